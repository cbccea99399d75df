//! `candist export`: the student as a folder of its own. What was written says how to use it.

use std::path::PathBuf;

use anyhow::Result;
use candist::export_student;
use clap::Args;

use super::place::RunArg;

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    run: RunArg,
    /// The new folder: a Hugging Face folder for an encoder student.
    #[arg(long, value_name = "DIR")]
    student: PathBuf,
}

pub(super) fn run(args: &ExportArgs) -> Result<()> {
    let out = &args.student;
    export_student(&args.run.dir()?, out)?;
    tracing::info!("the student is in {0}: candist predict --student {0} FILE", out.display());
    Ok(())
}
