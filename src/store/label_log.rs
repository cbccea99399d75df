//! The label log `labels.jsonl`: events that the store has, as lines. Append-only but for mending on open.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::journal::cut_torn_line;
use crate::error::{Error, Result};

#[derive(Debug)]
pub(super) struct LabelLog {
    file: File,
    path: PathBuf,
    lines: u64,
    /// Reads the lines that were there on open and are yet to be regenerated; `None` when there are none.
    ahead: Option<Ahead>,
}

#[derive(Debug)]
struct Ahead {
    reader: BufReader<File>,
    next: u64,
}

impl LabelLog {
    /// Opens or creates the log in `dir`. It is cut back to its last whole line whose predecessors are whole too.
    /// Lines from `stored` on are not in the store; they are compared when they come again.
    pub(super) fn open(dir: &Path, stored: u64) -> Result<Self> {
        let path = dir.join("labels.jsonl");
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(Error::run_file("open", &path))?;
        let mend = || -> std::io::Result<(u64, Option<Ahead>)> {
            cut_torn_line(&file)?;
            let mut reader = BufReader::new(File::open(&path)?);
            let (mut lines, mut bytes, mut ahead_at) = (0_u64, 0_u64, 0_u64);
            let mut line = Vec::new();
            loop {
                line.clear();
                let read = reader.read_until(b'\n', &mut line)?;
                let prefix = format!("{{\"offset\":{lines},");
                if read == 0 || !line.starts_with(prefix.as_bytes()) || !line.ends_with(b"}\n") {
                    break;
                }
                lines += 1;
                bytes += read as u64;
                if lines == stored {
                    ahead_at = bytes;
                }
            }
            file.set_len(bytes)?;
            if lines <= stored {
                return Ok((lines, None));
            }
            let mut reader = BufReader::new(File::open(&path)?);
            reader.seek(SeekFrom::Start(ahead_at))?;
            Ok((lines, Some(Ahead { reader, next: stored })))
        };
        let (lines, ahead) = mend().map_err(Error::run_file("mend", &path))?;
        Ok(Self { file, path, lines, ahead })
    }

    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Appends `lines`, the first of which has `offset`. What the file has already is compared instead.
    pub(super) fn append(&mut self, offset: u64, lines: &[String]) -> Result<()> {
        let mut new = String::new();
        for (offset, line) in (offset..).zip(lines) {
            if offset < self.lines {
                self.compare(offset, line)?;
            } else {
                new.push_str(line);
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        if let Err(source) = self.file.write_all(new.as_bytes()) {
            // Leave no half line behind: the next open would cut it anyway, but a tail may read until then.
            let _ = cut_torn_line(&self.file);
            return Err(Error::run_file("write", &self.path)(source));
        }
        self.lines = offset + lines.len() as u64;
        Ok(())
    }

    fn compare(&mut self, offset: u64, line: &str) -> Result<()> {
        // The store compares what it has itself; only what comes from the file alone is compared here.
        let Some(ahead) = &mut self.ahead else { return Ok(()) };
        if offset < ahead.next {
            return Ok(());
        }
        let mut before = String::new();
        ahead.reader.read_line(&mut before).map_err(Error::run_file("read", &self.path))?;
        ahead.next += 1;
        if ahead.next == self.lines {
            self.ahead = None;
        }
        if before != line {
            return Err(Error::Replay { offset, before: before.trim_end().into(), now: line.trim_end().into() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(offset: u64, label: &str) -> String {
        format!("{{\"offset\":{offset},\"label\":\"{label}\"}}\n")
    }

    fn content(dir: &Path) -> String {
        std::fs::read_to_string(dir.join("labels.jsonl")).unwrap()
    }

    #[test]
    fn a_torn_or_foreign_line_and_all_after_it_are_cut() {
        let good = line(0, "a") + &line(1, "b");
        for tail in ["{\"offset\":2,\"la", "{\"offset\":3,\"label\":\"x\"}\n", "\0\0\0\0\n", "{\"offset\":2,\n}\n"] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("labels.jsonl"), format!("{good}{tail}")).unwrap();
            let mut log = LabelLog::open(dir.path(), 2).unwrap();
            assert_eq!((log.lines(), content(dir.path())), (2, good.clone()), "{tail:?}");
            log.append(2, &[line(2, "c")]).unwrap();
            assert_eq!(content(dir.path()), good.clone() + &line(2, "c"));
        }
    }

    #[test]
    fn lines_the_store_does_not_have_are_compared_when_they_come_again() {
        let dir = tempfile::tempdir().unwrap();
        let all = [line(0, "a"), line(1, "b"), line(2, "c")];
        LabelLog::open(dir.path(), 0).unwrap().append(0, &all).unwrap();
        let mut same = LabelLog::open(dir.path(), 1).unwrap();
        same.append(1, &all[1..]).unwrap();
        same.append(3, &[line(3, "d")]).unwrap();
        assert_eq!(content(dir.path()), all.concat() + &line(3, "d"));
        let mut other = LabelLog::open(dir.path(), 0).unwrap();
        other.append(0, &all[..1]).unwrap();
        assert!(matches!(other.append(1, &[line(1, "x")]), Err(Error::Replay { offset: 1, .. })));
    }
}
