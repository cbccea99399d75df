//! `candist report`: a run in one HTML file, for people who read, print and hand it on.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::Result;
use candist::{Config, Error, ReportOptions, RunDir, write_report};
use clap::Args;

use super::gold::GoldArgs;
use super::place::RunArg;

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    run: RunArg,
    /// The file that is written [default: standard output].
    ///
    /// An earlier report is replaced, once the new one is whole; another file of that name is refused.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    gold: GoldArgs,
    /// An audited sample: what `candist audit RUN --sample N` drew of this run, filled in.
    #[arg(long, value_name = "FILE")]
    audited: Option<PathBuf>,
    /// The configuration of the run, where RUN is its directory: for --gold-field.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check every line of the run against its checksum, and tell what was found.
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &ReportArgs) -> Result<()> {
    let config = match &args.config {
        Some(path) => Some(Config::load(path, None)?),
        None => args.run.config()?,
    };
    let file = args.out.as_deref().filter(|file| *file != Path::new("-"));
    if file.is_none() && io::stdout().is_terminal() {
        let message = "would go to the terminal: name a file with --out FILE, or send it to a program".to_owned();
        return Err(Error::Unfit { path: "the report".into(), message }.into());
    }
    let view = RunDir::view(&args.run.dir()?)?;
    let gold = args.gold.labels(config.as_ref())?;
    let options = ReportOptions { gold, audited: args.audited.as_deref(), check: args.check };
    match write_report(&view, &options, config.clone(), file) {
        // Whoever reads our output, through a pipe that is closed now, has seen enough.
        Err(Error::RunFile { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => {
            if let Some(file) = file {
                tracing::info!("the report is in {}: open it in a browser", file.display());
            }
            Ok(())
        }
    }
}
