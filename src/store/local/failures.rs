//! `failures.jsonl`: rows that cannot be used and texts that could not be asked about, as the latest run found them.
//!
//! A cache: the next run finds out anew which there are. (A text whose answers name no label is in the input log.)

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::store::Failure;

/// The file's name.
pub(crate) const FILE: &str = "failures.jsonl";

/// Used by the writer's thread alone. Never synced: a kill may cost the last notes, and nothing else depends on them.
#[derive(Debug)]
pub(super) struct Failures {
    file: Option<BufWriter<File>>,
    path: PathBuf,
}

impl Failures {
    /// The file of the run in `dir`; what is in it stays.
    pub(super) fn new(dir: &Path) -> Self {
        Self { file: None, path: dir.join(FILE) }
    }

    /// Buffered; seen by others after [`Failures::flush`].
    pub(super) fn note(&mut self, failure: &Failure) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = File::options().create(true).append(true).open(&self.path);
                none.insert(BufWriter::new(file.map_err(Error::run_file("create", &self.path))?))
            }
        };
        // Strings: serialising them cannot fail.
        let line = serde_json::to_string(failure).unwrap_or_default();
        writeln!(file, "{line}").map_err(Error::run_file("write", &self.path))
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.flush().map_err(Error::run_file("write", &self.path)))
    }
}

/// Forgets what earlier runs found. Without the file nothing is lost but the list.
pub(crate) fn forget(dir: &Path) {
    let path = dir.join(FILE);
    if let Err(error) = File::create(&path).map_err(Error::run_file("create", &path)) {
        tracing::warn!("{error}: which rows and texts failed is not listed");
    }
}
