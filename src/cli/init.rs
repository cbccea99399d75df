//! `candist init`: a configuration from a look at a corpus and a few answers, by questions on a terminal or by flags.
//!
//! Nothing is written before everything is settled and checked, and then at once: whoever stops in the middle leaves no
//! file.

mod ask;
mod labels;
mod paths;
mod presets;
mod settle;
mod template;

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use candist::config::TeacherConfig;
use candist::internal::replace_file;
use candist::{Config, Error, Schema, check, json_schema, missing_keys, with_causes};
use clap::Args;

use self::ask::Person;
use self::labels::{Labels, Source};
use self::presets::Provider;
use super::Exit;
use super::summary::shell_word;

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The corpus: a file with one text a row. Asked for on a terminal, as all else that no flag says.
    #[arg(value_name = "CORPUS")]
    path: Option<PathBuf>,
    /// The corpus, as a flag.
    #[arg(long, value_name = "FILE", conflicts_with = "path")]
    corpus: Option<PathBuf>,
    /// The configuration to write.
    #[arg(long, value_name = "FILE", default_value = "candist.toml")]
    out: PathBuf,
    /// The task's name. By default that of the corpus.
    #[arg(long, value_name = "NAME", value_parser = not_blank)]
    name: Option<String>,
    /// The column, or field, of the text; or a template of several: "{{ title }}. {{ body }}".
    #[arg(long, value_name = "COLUMN")]
    text_field: Option<String>,
    /// The column of the id, or - for none: a text then goes by its hash.
    #[arg(long, value_name = "COLUMN")]
    id_field: Option<String>,
    /// The format of the corpus, where its name and its beginning do not say it: jsonl, json, csv, tsv, lines or parquet.
    #[arg(long)]
    format: Option<String>,
    /// The encoding of the corpus, where it is not UTF-8 and has no mark that says so, e.g. latin1.
    #[arg(long)]
    encoding: Option<String>,
    /// What stands between the cells of a CSV file, where the header does not show it.
    #[arg(long, value_name = "SIGN")]
    delimiter: Option<String>,
    /// The labels, separated by commas.
    #[arg(long, value_name = "A,B,C", conflicts_with_all = ["labels_from", "labels_file"])]
    labels: Option<String>,
    /// Take the different values of a column for labels; `candist eval` can then judge by them.
    #[arg(long, value_name = "COLUMN", conflicts_with = "labels_file")]
    labels_from: Option<String>,
    /// A file of labels: one a line, what it means after a tab.
    #[arg(long, value_name = "FILE")]
    labels_file: Option<PathBuf>,
    /// What the model is to do, in a sentence.
    #[arg(long, value_name = "SENTENCE", value_parser = not_blank)]
    instruction: Option<String>,
    /// Who is asked.
    #[arg(long, value_enum)]
    provider: Option<Provider>,
    /// The model, by the provider's name for it.
    #[arg(long, value_parser = not_blank)]
    model: Option<String>,
    /// The API's address, where it is not the provider's usual one.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The file of answers, for --provider recorded.
    #[arg(long, value_name = "FILE")]
    recording: Option<PathBuf>,
    /// Ask nothing: take what is proposed.
    #[arg(long)]
    yes: bool,
    /// Write over a file that is there.
    #[arg(long)]
    force: bool,
}

/// The schema beside the configuration, for editors.
const SCHEMA: &str = "candist.schema.json";

fn not_blank(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("is blank".to_owned()) } else { Ok(text.to_owned()) }
}

impl InitArgs {
    fn corpus(&self) -> Option<&Path> {
        self.path.as_deref().or(self.corpus.as_deref())
    }

    /// Keys of the corpus that flags say.
    fn corpus_keys(&self) -> Vec<(&'static str, String)> {
        let keys = [("format", &self.format), ("encoding", &self.encoding), ("delimiter", &self.delimiter)];
        keys.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect()
    }

    /// Where the labels come from, as the flags say it.
    fn source(&self) -> Option<Source> {
        let typed = self.labels.as_deref().map(|text| Source::Typed(labels::typed(text)));
        let column = || self.labels_from.clone().map(Source::Column);
        typed.or_else(column).or_else(|| self.labels_file.clone().map(Source::File))
    }
}

pub(super) fn run(args: &InitArgs) -> Result<Exit> {
    // Messages and questions both go to stderr, and answers come from stdin: without both being a person's, nobody is asked.
    let is_asked = !args.yes && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let (mut answers, mut questions) = (std::io::stdin().lock(), std::io::stderr());
    let mut person = is_asked.then_some(Person { answers: &mut answers, questions: &mut questions });
    match write(args, &mut person) {
        Ok(()) => Ok(Exit::Complete),
        Err(error) if error.is::<Error>() => Err(error),
        // All that goes wrong here is for a person to mend.
        Err(error) => {
            tracing::error!("{}", with_causes(error.as_ref()));
            Ok(Exit::Usage)
        }
    }
}

fn write(args: &InitArgs, person: &mut Option<Person<'_>>) -> Result<()> {
    let out = &args.out;
    // Before anything is asked: the answers would be lost.
    if out.symlink_metadata().is_ok() && !args.force {
        bail!("{} is there already: name another with --out, or write over it with --force", out.display());
    }
    let folder = out.parent().unwrap_or(Path::new(""));
    if !folder.as_os_str().is_empty() && !folder.is_dir() {
        bail!("{} is no folder: make it first", folder.display());
    }
    let (settled, labels) = settle::settle(args, folder, person)?;
    let text = template::text(&settled);
    let config =
        Config::parse(&text, folder, None).map_err(|problems| Error::Config { path: out.clone(), problems })?;
    let problems = check(&config);
    if !problems.is_empty() {
        tracing::error!("nothing was written, for a run of this configuration could not begin");
        return Err(Error::Config { path: out.clone(), problems }.into());
    }
    let schema = folder.join(SCHEMA);
    // With --force too.
    let is_out = |file: &PathBuf| {
        std::fs::canonicalize(file).is_ok_and(|file| std::fs::canonicalize(out).is_ok_and(|out| file == out))
    };
    let recordings = config.teachers.iter().filter_map(|teacher| match teacher {
        TeacherConfig::Recorded(recorded) => Some(&recorded.path),
        TeacherConfig::OpenAi(_) => None,
    });
    if config.corpus.paths.iter().chain(recordings).any(is_out) || out.file_name() == Some(OsStr::new(SCHEMA)) {
        bail!("{} is the corpus, a recording, or the schema: name another file with --out", out.display());
    }
    write_schema(&schema)?;
    if args.force {
        replace_file(out, text.as_bytes())?;
    } else {
        write_new(out, text.as_bytes()).with_context(|| format!("cannot write {}", out.display()))?;
    }
    tracing::info!("{} is written; {} beside it is for editors", out.display(), schema.display());
    tell_what_is_next(out, &config, &labels);
    Ok(())
}

/// Writes a file that is not there: what another process made meanwhile stays, and half a file does not.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // Ours: nobody else has it open for writing.
        let _ = std::fs::remove_file(path);
    }
    written
}

/// Writes the schema, over an older one of ours. A file of this name that is none of ours stays.
fn write_schema(path: &Path) -> Result<()> {
    let schema = serde_json::to_string_pretty(&json_schema(Schema::Config))? + "\n";
    let is_ours = |text: &str| {
        let found: Option<serde_json::Value> = serde_json::from_str(text).ok();
        let described = found.as_ref().and_then(|found| found.get("description")?.as_str());
        described.is_some_and(|described| described.starts_with("Configuration of a candist run"))
    };
    match std::fs::read_to_string(path) {
        Ok(found) if found == schema => return Ok(()),
        Ok(found) if !is_ours(&found) => {
            tracing::warn!("{} is there and is no schema of candist's: it is left as it is", path.display());
            return Ok(());
        }
        _ => {}
    }
    Ok(replace_file(path, schema.as_bytes())?)
}

/// The commands that come next, in their order.
fn tell_what_is_next(out: &Path, config: &Config, labels: &Labels) {
    for missing in missing_keys(config) {
        tracing::info!("{missing}");
    }
    let out = shell_word(out);
    let mut next = vec![
        (format!("candist check {out}"), "whether all is right"),
        (format!("candist plan {out} --show 3"), "what would be asked, and what it takes; sends nothing"),
        (format!("candist run {out} --limit 50"), "a pilot: the first 50 texts, whose answers count later"),
        (format!("candist run {out}"), "all of them"),
    ];
    if let Some(gold) = &labels.gold {
        let gold = format!("--gold-field={}", shell_word(Path::new(gold)));
        next.insert(3, (format!("candist plan {out} {gold}"), "how good the pilot's answers are, by that column"));
        next.push((format!("candist eval {out} {gold}"), "how good the labels are"));
    }
    let width = next.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    let lines: Vec<String> = next.iter().map(|(command, what)| format!("  {command:<width$}   # {what}")).collect();
    tracing::info!("next:\n{}", lines.join("\n"));
}
