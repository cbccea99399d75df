//! `candist export`: the student as a folder of its own. What was written says how to use it.

use std::path::Path;

use anyhow::Result;
use candist::export_student;

pub(super) fn run(dir: &Path, out: &Path) -> Result<()> {
    export_student(dir, out)?;
    tracing::info!("the student is in {0}: candist predict --student {0} FILE", out.display());
    Ok(())
}
