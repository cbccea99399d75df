//! The student of a run as a folder of its own: a product that labels new text without any LLM.

use std::path::Path;

use crate::distill::load_student;
use crate::error::{Error, Result};
use crate::store::{RunDir, outside};

/// Writes the student of the run in `dir` to the folder `out`, whole or not at all. `out` must not be there, or be empty.
///
/// # Errors
///
/// [`Error::NoRun`] where there is no run, [`Error::NoStudent`] where it has no student yet, [`Error::Checkpoint`] where that is
/// a program's own; [`Error::Model`] where `out` has something in it.
pub fn export_student(dir: &Path, out: &Path) -> Result<()> {
    let labels: Vec<String> = RunDir::view(dir)?.labels().iter().map(|label| label.name.clone()).collect();
    outside(dir, out)?;
    let is_empty = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
    if out.exists() && !is_empty {
        let message = "is there already: choose another folder, or remove it".to_owned();
        return Err(Error::Model { path: out.to_owned(), message });
    }
    // From its latest checkpoint, also beside a run.
    let trained = load_student(dir)?;
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    // Beside it, on the same file system, so that the rename is at once; with the process' number, so that two do not
    // meet.
    let beside = out.with_file_name(format!(".{name}.{}", std::process::id()));
    std::fs::create_dir_all(&beside).map_err(Error::run_file("create", &beside))?;
    let written = trained
        .student
        .export(&beside, &labels, trained.temperature)
        .and_then(|()| std::fs::rename(&beside, out).map_err(Error::run_file("write", out)));
    if written.is_err() {
        // What is half there helps nobody; the error says the rest.
        let _ = std::fs::remove_dir_all(&beside);
    }
    written
}
