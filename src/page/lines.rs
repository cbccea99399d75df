//! Lines of a log by where they begin, and the log as a whole, read from any thread without a position that they share.
//! The file stays readable when another takes its name.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::store::FileId;

/// Read at once; most lines are shorter.
const BLOCK: usize = 4096;
/// A longer line is none of ours.
const LONGEST: usize = 64 << 20;

/// A log that is open. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Lines(Arc<File>);

impl Lines {
    /// Reads from `file`.
    pub(super) fn new(file: File) -> Self {
        Self(Arc::new(file))
    }

    /// The line that begins at `at`, without its line feed; `None` where there is no whole line.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub(super) fn line(&self, at: u64) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        while line.len() < LONGEST {
            let begin = line.len();
            let size = begin.max(BLOCK);
            line.resize(begin + size, 0);
            let block = line.get_mut(begin..).unwrap_or_default();
            let read = self.read_some(block, at + begin as u64)?;
            line.truncate(begin + read);
            if let Some(end) = memchr::memchr(b'\n', line.get(begin..).unwrap_or_default()) {
                line.truncate(begin + end);
                return Ok(Some(line));
            }
            if read < size {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Fills `block` from `at` on, as far as there is something; gives how far.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub(super) fn read_some(&self, block: &mut [u8], at: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Whether it is the same open log.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether it is what is at `path` now.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        matches!((self.0.metadata(), path.metadata()), (Ok(own), Ok(there)) if FileId::of(&own) == FileId::of(&there))
    }

    /// How long it is.
    ///
    /// # Errors
    ///
    /// Those of asking.
    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_another_took_the_place_of_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "a\n").unwrap();
        let lines = Lines::new(File::open(&path).unwrap());
        assert!(lines.is_at(&path));
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        assert!(!lines.is_at(&path));
        std::fs::write(&path, "a\n").unwrap();
        assert!(!lines.is_at(&path) && lines.is_at(&dir.path().join("old")));
    }

    #[test]
    fn a_line_of_any_length_is_read_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let long = "x".repeat(3 * BLOCK);
        std::fs::write(&path, format!("a\n{long}\n\ntorn")).unwrap();
        let lines = Lines::new(File::open(&path).unwrap());
        let line = |at: usize| lines.line(at as u64).unwrap().map(|line| String::from_utf8(line).unwrap());
        assert_eq!((line(0), line(2)), (Some("a".into()), Some(long.clone())));
        assert_eq!((line(long.len() + 3), line(long.len() + 4), line(1 << 20)), (Some(String::new()), None, None));
    }
}
