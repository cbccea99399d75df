//! A folder of a process' own and gone with it: for what a worker's teachers read, and for what is fetched.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What the folders' names begin with; then comes the number of the process.
const PREFIX: &str = "candist-work-";

/// See the module.
pub(super) struct Folder(PathBuf);

/// Removes what processes left that were killed.
fn clear(temporary: &Path) {
    let entries = std::fs::read_dir(temporary).into_iter().flatten().filter_map(Result::ok);
    for entry in entries {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok());
        // Without /proc/1 other users' processes are hidden, and nothing can be told.
        let is_left =
            |owner: u32| Path::new("/proc/1").exists() && !Path::new("/proc").join(owner.to_string()).exists();
        if owner.is_some_and(is_left) {
            // Another user's is not ours to remove, and does not let us.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

impl Folder {
    /// An empty one, in the system's folder for such.
    pub(super) fn new() -> Result<Self> {
        Self::within(&std::env::temp_dir())
    }

    /// An empty one in `parent`.
    pub(super) fn within(parent: &Path) -> Result<Self> {
        clear(parent);
        let path = parent.join(format!("{PREFIX}{}-{:016x}", std::process::id(), rand::random::<u64>()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_cleared_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let gone = child.id();
        child.wait().unwrap();
        let names = [format!("{PREFIX}{gone}-1"), format!("{PREFIX}{}-1", std::process::id()), "other-1".to_owned()];
        names.iter().for_each(|name| std::fs::create_dir(dir.path().join(name)).unwrap());
        clear(dir.path());
        assert_eq!(names.map(|name| dir.path().join(name).exists()), [false, true, true]);
    }
}
