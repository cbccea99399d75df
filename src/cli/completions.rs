//! `candist completions` and `candist man`: what a shell and `man` know about the program, made from its command line.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script that completes verbs and flags.
pub(super) fn run(args: &CompletionsArgs) -> Result<()> {
    // Made first: what makes it does not take an error of writing well.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "candist", &mut script);
    Ok(std::io::stdout().lock().write_all(&script)?)
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The folder for the pages.
    dir: PathBuf,
}

/// Writes a page for the program and one for each verb.
pub(super) fn write_pages(args: &ManArgs) -> Result<()> {
    let dir = &args.dir;
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .with_context(|| format!("cannot write pages into {}", dir.display()))
}
