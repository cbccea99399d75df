//! The book's page of verbs, made from the command line itself; a test compares, and `make reference` writes it.

use std::fmt::Write;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};

use super::Cli;

const HEAD: &str = "# Verbs

<!-- Made from the command line by `make reference`: edit the doc comments in src/cli. -->

RUN is a run directory, or the configuration that names it. Data goes to stdout, everything else to stderr.

";

/// An argument as it is typed, with its value.
fn typed(arg: &Arg) -> String {
    let value = || {
        let names = arg.get_value_names().unwrap_or_default().iter().map(|name| format!("{name}"));
        names.collect::<Vec<_>>().join(" ")
    };
    let mut ways: Vec<String> = arg.get_short().map(|short| format!("-{short}")).into_iter().collect();
    ways.extend(arg.get_long().map(|long| format!("--{long}")));
    match (ways.is_empty(), arg.get_action().takes_values()) {
        (true, _) => value(),
        (false, true) => format!("{} {}", ways.join(", "), value()),
        (false, false) => ways.join(", "),
    }
}

/// A line of a list: the argument, what it does, what it can be and is.
fn entry(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let help = help.trim().replace("\n\n", " ").replace('\n', " ");
    // The full stop of a help of one paragraph is taken off by clap.
    let stop = if help.ends_with('.') { "" } else { "." };
    let mut line = format!("- `{}`: {help}{stop}", typed(arg));
    let values = arg.get_possible_values();
    if arg.get_action().takes_values() && !values.is_empty() {
        let names: Vec<String> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
        write!(line, " One of {}.", names.join(", ")).unwrap();
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if arg.get_action().takes_values() && !defaults.is_empty() {
        write!(line, " Default: `{}`.", defaults.join(" ")).unwrap();
    }
    line + "\n"
}

/// A verb, and those below it.
fn section(command: &mut Command, page: &mut String) {
    let is_shown = |arg: &&Arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str());
    let verbs: Vec<String> =
        command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(|verb| verb.get_name().to_owned()).collect();
    if verbs.is_empty() {
        let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string);
        let name = command.get_bin_name().unwrap_or_default().to_owned();
        let usage = command.render_usage().to_string();
        let usage = usage.trim_start_matches("Usage:").trim();
        write!(page, "## `{name}`\n\n{}\n\n```text\n{usage}\n```\n\n", about.unwrap_or_default()).unwrap();
        command.get_arguments().filter(is_shown).for_each(|arg| page.push_str(&entry(arg)));
        page.push('\n');
        if let Some(more) = command.get_after_help() {
            write!(page, "```text\n{}\n```\n\n", more.to_string().trim_end()).unwrap();
        }
    }
    for verb in verbs.iter().filter(|verb| *verb != "help") {
        section(command.find_subcommand_mut(verb).unwrap(), page);
    }
}

#[test]
fn the_reference_of_verbs_is_that_of_the_command_line() {
    let mut command = Cli::command();
    command.build();
    let mut page = HEAD.to_owned();
    section(&mut command, &mut page);
    let page = page.replace("\n\n\n", "\n\n").trim_end().to_owned() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src/reference/verbs.md");
    if std::env::var_os("CANDIST_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let shipped = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(shipped == page, "{} is of another program: run `make reference`", path.display());
}
