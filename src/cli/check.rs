//! `candist check`

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use candist::config::StudentKind;
use candist::{Config, Error, FileReport, check, check_deep};
use clap::Args;

use super::again::start_again_to_compute;
use super::messages::printable;
use super::place::directory;
use super::{Exit, grouped};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration (TOML); with --deep, the run directory or its configuration.
    path: PathBuf,
    /// Read every line of the logs of a run directory and say which are damaged; changes nothing, and exits with 1 if any
    /// is.
    #[arg(long)]
    deep: bool,
}

/// Problems of one file that are printed, at most.
const PRINTED: usize = 20;

pub(super) fn run(args: &CheckArgs) -> Result<Exit> {
    if args.deep { deep(&directory(&args.path)?) } else { configuration(&args.path) }
}

/// Checks a configuration.
fn configuration(path: &Path) -> Result<Exit> {
    let config = Config::load(path, None)?;
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
    writeln!(out, "{} is well-formed", path.display())?;
    writeln!(out, "  task      {} ({} labels)", config.task.name, config.task.labels.len())?;
    let note = if config.corpus.is_stdin() { " (not looked at: `candist run` reads it)" } else { "" };
    writeln!(out, "  corpus    {}{note}", config.corpus.shown())?;
    writeln!(out, "  teachers  {}", teachers.join(", "))?;
    writeln!(out, "  run       {}", config.run.dir.display())?;
    // A warning alone: the configuration is right, and the key may be on another machine.
    for missing in candist::missing_keys(&config) {
        tracing::warn!("{missing}");
    }
    Ok(Exit::Complete)
}

/// Checks every line of a run directory. Damage is printed, not an error: all of it is told before the exit says that
/// there is some.
fn deep(dir: &Path) -> Result<Exit> {
    let reports = check_deep(dir)?;
    let out = &mut std::io::stdout().lock();
    for report in &reports {
        print(dir, report, out)?;
    }
    let is_whole = reports.iter().all(|report| report.problems.is_empty());
    Ok(if is_whole { Exit::Complete } else { Exit::Failed })
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
