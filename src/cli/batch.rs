//! `candist batch`: asking through files that a provider works through when it has time, at a lower price. An export
//! prints the names of its files alone on stdout, for a script to upload.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use candist::{Config, batch};
use clap::Subcommand;
use serde_json::json;

use super::{examples, grouped};

#[derive(Debug, Subcommand)]
pub(super) enum BatchCommand {
    /// Write what a run would ask as batch input files.
    #[command(after_help = examples::BATCH_EXPORT)]
    Export {
        /// The configuration (TOML).
        config: PathBuf,
        /// The folder for the files.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// The run directory, instead of the configuration's run.dir.
        #[arg(long, value_name = "DIR")]
        run_dir: Option<PathBuf>,
        /// Print JSON, one object.
        #[arg(long)]
        json: bool,
    },
    /// Take the results of batch files into the run directory; `candist run` then labels with them.
    #[command(after_help = examples::BATCH_IMPORT)]
    Import {
        /// The configuration (TOML) that the batch files were exported with.
        config: PathBuf,
        /// Result files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The run directory, instead of the configuration's run.dir.
        #[arg(long, value_name = "DIR")]
        run_dir: Option<PathBuf>,
        /// Print JSON, one object.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: BatchCommand) -> Result<()> {
    let out = &mut std::io::stdout().lock();
    match command {
        BatchCommand::Export { config, out: folder, run_dir, json } => {
            let exported = batch::export(&Config::load(&config, run_dir)?, &folder)?;
            if json {
                let (files, requests, stored) = (&exported.files, exported.requests, exported.stored);
                writeln!(out, "{}", json!({"files": files, "requests": requests, "stored": stored}))?;
            } else {
                for file in &exported.files {
                    writeln!(out, "{}", file.display())?;
                }
            }
            tracing::info!(
                "{} request(s) in {} file(s); {} stored answer(s) are not asked for again",
                grouped(exported.requests),
                exported.files.len(),
                grouped(exported.stored)
            );
        }
        BatchCommand::Import { config, files, run_dir, json } => {
            let imported = batch::import(&Config::load(&config, run_dir)?, &files)?;
            if json {
                let (new, known, failed, foreign) = (imported.new, imported.known, imported.failed, imported.foreign);
                writeln!(out, "{}", json!({"new": new, "known": known, "failed": failed, "foreign": foreign}))?;
                return Ok(());
            }
            for (count, meaning) in [
                (imported.new, "new answers"),
                (imported.known, "answers that were stored before"),
                (imported.failed, "errors; these texts stay to be asked"),
                (imported.foreign, "results that answer nothing of this corpus and configuration"),
            ] {
                writeln!(out, "  {:>12}  {meaning}", grouped(count))?;
            }
            if imported.new + imported.known + imported.failed == 0 {
                tracing::warn!(
                    "nothing was taken: are these the results of files that `candist batch export` wrote for this configuration?"
                );
                return Ok(());
            }
            tracing::info!("label with them: candist run {}", config.display());
        }
    }
    Ok(())
}
