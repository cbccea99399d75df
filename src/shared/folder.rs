//! A folder for what a worker's teachers read, of its own and gone with it.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// See the module.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// An empty one, in the system's folder for such.
    pub(super) fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("candist-work-{:016x}", rand::random::<u64>()));
        // Nobody else reads what a prompt has of examples.
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(Error::run_file("create", &path))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of a few kilobytes is the system's to clear.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
