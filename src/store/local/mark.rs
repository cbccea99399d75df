//! The mark of a clean close: `store/clean.json` says how the files were left. Where one of them is as it was left, it need not
//! be read again; where it is not, or the mark is missing after a kill, it is checked line by line.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{answers, events, inputs};
use crate::base::durable::{remove, replace_file};
use crate::error::Result;

/// How a file was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    len: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            len: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
            inode: file.ino(),
        })
    }
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    answers: Option<Stamp>,
    inputs: Option<Stamp>,
    labels: Option<Stamp>,
}

/// Which files are as they were left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AsLeft {
    pub(super) answers: bool,
    pub(super) inputs: bool,
    pub(super) labels: bool,
}

fn path(dir: &Path) -> PathBuf {
    dir.join("store").join("clean.json")
}

impl Mark {
    fn now(dir: &Path) -> Self {
        let of = |name: &str| Stamp::of(&dir.join(name));
        Self { answers: of(answers::FILE), inputs: of(inputs::FILE), labels: of(events::FILE) }
    }

    /// Takes the mark away: from now on, files change. Says which are as they were left.
    pub(super) fn take(dir: &Path) -> Result<AsLeft> {
        let path = path(dir);
        let left: Self =
            std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        remove(&path)?;
        let now = Self::now(dir);
        let same = |left: &Option<Stamp>, now: &Option<Stamp>| left.is_some() && left == now;
        Ok(AsLeft {
            answers: same(&left.answers, &now.answers),
            inputs: same(&left.inputs, &now.inputs),
            labels: same(&left.labels, &now.labels),
        })
    }

    /// Leaves the mark: everything was written and closed.
    pub(super) fn leave(dir: &Path) -> Result<()> {
        // Numbers: serialising them cannot fail.
        replace_file(&path(dir), &serde_json::to_vec(&Self::now(dir)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_as_it_was_left_is_trusted_and_only_once() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        std::fs::create_dir(dir.path().join("store")).unwrap();
        for name in [answers::FILE, inputs::FILE, events::FILE] {
            write(name, "x");
        }
        let no = AsLeft { answers: false, inputs: false, labels: false };
        assert_eq!(Mark::take(dir.path()).unwrap(), no);
        Mark::leave(dir.path()).unwrap();
        write(inputs::FILE, "y");
        let taken = Mark::take(dir.path()).unwrap();
        assert_eq!(taken, AsLeft { answers: true, inputs: false, labels: true });
        assert_eq!(Mark::take(dir.path()).unwrap(), no);
        std::fs::write(path(dir.path()), "junk").unwrap();
        assert_eq!(Mark::take(dir.path()).unwrap(), no);
    }
}
