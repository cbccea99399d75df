//! `candist check`

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use candist::config::StudentKind;
use candist::{Config, Error, FEW_TEXTS, FileReport, check, check_deep, few_texts};
use clap::Args;
use serde_json::{Value, json};

use super::again::start_again_to_compute;
use super::messages::printable;
use super::place::directory;
use super::{Exit, grouped};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration (TOML); with --deep, the run directory or its configuration.
    #[arg(value_name = "CONFIG")]
    path: PathBuf,
    /// Read every line of the logs of a run directory and say which are damaged; changes nothing, and exits with 1 if any
    /// is.
    #[arg(long)]
    deep: bool,
    /// The run directory, instead of the configuration's run.dir.
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Print JSON: one object, with --deep one a file.
    #[arg(long)]
    json: bool,
}

/// Problems of one file that are printed, at most.
const PRINTED: usize = 20;

pub(super) fn run(args: &CheckArgs) -> Result<Exit> {
    if !args.deep {
        return configuration(args);
    }
    let dir = args.run_dir.clone().map_or_else(|| directory(&args.path), Ok)?;
    deep(&dir, args.json)
}

/// Checks a configuration.
fn configuration(args: &CheckArgs) -> Result<Exit> {
    let path = &args.path;
    let config = Config::load(path, args.run_dir.clone())?;
    if let StudentKind::Encoder(encoder) = &config.student.kind {
        start_again_to_compute(encoder.device, config.student.threads);
    }
    // What is wrong with the values was said by `load`; this tries what they name.
    let problems = check(&config);
    if !problems.is_empty() {
        return Err(Error::Config { path: path.to_owned(), problems }.into());
    }
    let teachers: Vec<&str> = config.teachers.iter().map(candist::config::TeacherConfig::name).collect();
    let out = &mut std::io::stdout().lock();
    if args.json {
        let labels: Vec<&str> = config.task.labels.iter().map(|label| label.name.as_str()).collect();
        let object = json!({
            "config": path,
            "task": config.task.name,
            "labels": labels,
            "corpus": config.corpus.shown(),
            "teachers": teachers,
            "run": config.run.dir,
            "missing_keys": candist::missing_keys(&config),
        });
        writeln!(out, "{object}")?;
        return Ok(Exit::Complete);
    }
    writeln!(out, "{} is well-formed", path.display())?;
    writeln!(out, "  task      {} ({} labels)", config.task.name, config.task.labels.len())?;
    let note = if config.corpus.is_stdin() { " (not looked at: `candist run` reads it)" } else { "" };
    writeln!(out, "  corpus    {}{note}", config.corpus.shown())?;
    writeln!(out, "  teachers  {}", teachers.join(", "))?;
    for person in &config.people {
        writeln!(out, "  labels    {}, by {}", person.path.display(), person.name)?;
    }
    writeln!(out, "  run       {}", config.run.dir.display())?;
    if let Ok(Some(texts)) = few_texts(&config) {
        tell_of_few_texts(texts);
    }
    // A warning alone: the configuration is right, and the key may be on another machine.
    for missing in candist::missing_keys(&config) {
        tracing::warn!("{missing}");
    }
    Ok(Exit::Complete)
}

/// What a small corpus means for the confidences of its labels.
pub(super) fn tell_of_few_texts(texts: u64) {
    tracing::warn!(
        "the corpus has {} texts: with fewer than some {FEW_TEXTS} the student learns too little for confidences to be calibrated \
         well; take labels for as good as the teacher's, and check a sample (`candist audit`)",
        grouped(texts)
    );
}

/// Checks every line of a run directory. Damage is printed, not an error: all of it is told before the exit says that
/// there is some.
fn deep(dir: &Path, json: bool) -> Result<Exit> {
    let reports = check_deep(dir)?;
    let out = &mut std::io::stdout().lock();
    for report in &reports {
        if json { writeln!(out, "{}", object(dir, report))? } else { print(dir, report, out)? }
    }
    let is_whole = reports.iter().all(|report| report.problems.is_empty());
    Ok(if is_whole { Exit::Complete } else { Exit::Failed })
}

/// One file for a program, with all that is wrong with it.
fn object(dir: &Path, report: &FileReport) -> Value {
    let problem = |(line, why): &(u64, String)| json!({"line": line, "problem": why});
    let problems: Vec<Value> = report.problems.iter().map(problem).collect();
    json!({"file": dir.join(report.name), "lines": report.lines, "holds": report.holds, "problems": problems})
}

/// `FILE:LINE: what is wrong`, as compilers have it, so that editors find the place.
fn print(dir: &Path, report: &FileReport, out: &mut dyn Write) -> Result<()> {
    let path = dir.join(report.name);
    if report.problems.is_empty() {
        writeln!(out, "{}: {} lines, whole: {}", path.display(), grouped(report.lines), report.holds)?;
    }
    for (line, why) in report.problems.iter().take(PRINTED) {
        writeln!(out, "{}:{line}: {}", path.display(), printable(why))?;
    }
    let more = report.problems.len().saturating_sub(PRINTED);
    if more > 0 {
        writeln!(out, "{}: {} more lines are wrong", path.display(), grouped(more as u64))?;
    }
    Ok(())
}
