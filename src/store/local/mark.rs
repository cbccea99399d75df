//! The mark of a clean close: `store/clean.json` says how the files were left. Where one of them is as it was left, it
//! need not be read again; where it is not, or the mark is missing after a kill, it is checked line by line. It also
//! has the [`Tally`] of what the files hold, for who looks at a run that nobody is at work on.
//!
//! Without it, every opening would read all of the logs to find damage that is almost never there. What it cannot see
//! is a change below the file system, of bits on the disk; every read of a line checks its checksum for that.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::tally::Tally;
use super::{answers, events, inputs};
use crate::base::durable::{remove, replace_file};
use crate::error::Result;

/// How a file was left.
///
/// The time of the last change of its inode cannot be set by a program, so an edit that keeps length and modification
/// time is noticed too. The inode tells a copy that was put in place; a restored backup is therefore checked in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    len: u64,
    /// Seconds and nanoseconds. Since 1970, of the last write to its content.
    modified: (i64, i64),
    /// Of the last change of content, name, owner or mode.
    changed: (i64, i64),
    inode: u64,
}

impl Stamp {
    /// `None` where the file cannot be looked at: then it is not as it was left.
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// By name, as the files stood when the mark was left; `None` for one that was not there.
    answers: Option<Stamp>,
    inputs: Option<Stamp>,
    labels: Option<Stamp>,
    /// What all three hold.
    #[serde(default)]
    tally: Option<Tally>,
}

/// Which files are as they were left. Each for itself: a label log that was edited does not make the answers be read
/// again.
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
        Self { answers: of(answers::FILE), inputs: of(inputs::FILE), labels: of(events::FILE), tally: None }
    }

    /// The mark as it was left; nothing where there is none that can be read.
    fn left(dir: &Path) -> Self {
        std::fs::read(path(dir)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    fn as_left(&self, now: &Self) -> AsLeft {
        let same = |left: &Option<Stamp>, now: &Option<Stamp>| left.is_some() && left == now;
        AsLeft {
            answers: same(&self.answers, &now.answers),
            inputs: same(&self.inputs, &now.inputs),
            labels: same(&self.labels, &now.labels),
        }
    }

    /// Takes the mark away: from now on, files change. Says which are as they were left.
    ///
    /// It is gone from the disk when this returns, before anything is written: after a kill there is no mark, and all
    /// is checked. A mark that cannot be read counts as none.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`](crate::error::Error::RunFile) where it cannot be removed: a mark that stays would be
    /// believed after a kill.
    pub(super) fn take(dir: &Path) -> Result<AsLeft> {
        let left = Self::left(dir);
        remove(&path(dir))?;
        Ok(left.as_left(&Self::now(dir)))
    }

    /// Leaves the mark: everything was written and closed. To be called last, with the files synced: any write after it
    /// makes it void.
    pub(super) fn leave(dir: &Path, tally: Option<Tally>) -> Result<()> {
        let mark = Self { tally, ..Self::now(dir) };
        // Names and numbers: serialising them cannot fail.
        replace_file(&path(dir), &serde_json::to_vec(&mark).unwrap_or_default())
    }
}

/// What the logs in `dir` hold, where all of them are as they were left. Changes nothing: the mark stays.
pub(in crate::store) fn tally(dir: &Path) -> Option<Tally> {
    let left = Mark::left(dir);
    let AsLeft { answers, inputs, labels } = left.as_left(&Mark::now(dir));
    left.tally.filter(|_| answers && inputs && labels)
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
        Mark::leave(dir.path(), Some(Tally { samples: 7, ..Tally::default() })).unwrap();
        assert_eq!(tally(dir.path()).map(|tally| tally.samples), Some(7), "a look leaves it in place");
        write(inputs::FILE, "y");
        assert_eq!(tally(dir.path()), None);
        let taken = Mark::take(dir.path()).unwrap();
        assert_eq!(taken, AsLeft { answers: true, inputs: false, labels: true });
        assert_eq!(Mark::take(dir.path()).unwrap(), no);
        std::fs::write(path(dir.path()), "junk").unwrap();
        assert_eq!(Mark::take(dir.path()).unwrap(), no);
    }
}
