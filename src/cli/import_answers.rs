//! `candist import-answers`: answers that were paid for elsewhere, brought into the database, so that no run there pays again.

use std::path::PathBuf;

use anyhow::{Context, Result};
use candist::{Error, import_answers};
use clap::Args;
use indicatif::HumanCount;

#[derive(Debug, Args)]
pub(super) struct ImportAnswersArgs {
    /// The database: postgres://USER@HOST/DATABASE.
    #[arg(value_name = "URL", env = "CANDIST_DATABASE", hide_env_values = true)]
    url: String,
    /// Run directories, or files of workers whose database was lost (candist-unsent-*.jsonl).
    #[arg(value_name = "RUN", required = true)]
    from: Vec<PathBuf>,
}

pub(super) fn run(args: &ImportAnswersArgs) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    for path in &args.from {
        let imported = runtime.block_on(import_answers(&args.url, path))?;
        if imported.new + imported.known == 0 && imported.damaged > 0 {
            let message = "has no answer: name a run directory, or a file candist-unsent-*.jsonl".to_owned();
            return Err(Error::Unfit { path: path.clone(), message }.into());
        }
        tracing::info!(
            "{}: {} answers are new in the database, {} were there",
            path.display(),
            HumanCount(imported.new),
            HumanCount(imported.known)
        );
        if imported.damaged > 0 {
            tracing::warn!("{}: {} lines are damaged, and were left out", path.display(), HumanCount(imported.damaged));
        }
    }
    Ok(())
}
