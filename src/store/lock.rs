//! One process per run directory: two would append to the same logs, each by its own count of what is there.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, Result};

const FILE: &str = "lock";

/// Held while a process runs in the directory; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

impl Drop for RunLock {
    /// By closing alone, it would stay while a process that this one is about to start still has the descriptor.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl RunLock {
    /// Takes the lock of `dir`, or says that someone else has it. Does not wait. The file stays when the lock is let
    /// go; only the kernel's lock on it counts.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] where a process, this one included, has it; [`Error::RunFile`] where the file cannot be opened
    /// or locked.
    pub fn take(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::run_file("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(Error::Busy { path: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(Error::run_file("lock", &path)(source)),
        }
    }

    /// Whether a process holds the lock of `dir`. Asked of the kernel's list and not by trying: whoever tries holds it for a moment,
    /// and a run that begins just then would be refused.
    pub(crate) fn is_held(dir: &Path) -> bool {
        let Ok(file) = std::fs::metadata(dir.join(FILE)) else { return false };
        // Of a long list one that is there may be missed, where another is let go between two reads.
        (0..2).any(|_| locks().lines().any(|line| holds(line, file.ino())))
    }
}

/// The kernel's list, with a page a read: each read is of one moment, and by itself a string is read in small pieces.
fn locks() -> String {
    let mut locks = String::with_capacity(1 << 16);
    match File::open("/proc/locks").and_then(|mut file| file.read_to_string(&mut locks)) {
        Ok(_) => locks,
        Err(_) => String::new(),
    }
}

/// `1: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF`: of the device only some file systems say the same here as in stat, so
/// the inode decides.
fn holds(line: &str, inode: u64) -> bool {
    let mut words = line.split_ascii_whitespace();
    let is_lock = words.clone().any(|word| word == "FLOCK") && words.clone().any(|word| word == "WRITE");
    // A process that waits for a lock has an arrow before its line.
    let waits = words.clone().any(|word| word == "->");
    let file = words.find(|word| word.matches(':').count() == 2);
    let found = file.and_then(|file| file.rsplit(':').next()).and_then(|inode| inode.parse::<u64>().ok());
    is_lock && !waits && found == Some(inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_seen_while_it_is_held_and_looking_does_not_take_it() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!RunLock::is_held(dir.path()));
        let lock = RunLock::take(dir.path()).unwrap();
        assert!(RunLock::is_held(dir.path()));
        assert!(matches!(RunLock::take(dir.path()), Err(Error::Busy { .. })));
        drop(lock);
        assert!(!RunLock::is_held(dir.path()));
    }

    #[test]
    fn a_descriptor_that_a_process_to_be_has_inherited_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let lock = RunLock::take(dir.path()).unwrap();
        let inherited = lock.file.try_clone().unwrap();
        drop(lock);
        RunLock::take(dir.path()).unwrap();
        drop(inherited);
    }

    #[test]
    fn only_a_held_lock_of_this_file_counts() {
        assert!(holds("1: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF", 5678));
        assert!(!holds("1: FLOCK  ADVISORY  WRITE 1234 fd:01:5679 0 EOF", 5678));
        assert!(!holds("1: -> FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF", 5678));
        assert!(!holds("1: POSIX  ADVISORY  WRITE 1234 fd:01:5678 0 EOF", 5678));
    }
}
