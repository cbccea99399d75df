//! The label log `labels.jsonl`: events that the store has, as lines. Append-only but for mending on open.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::journal::{check_in_place, cut_torn_line};
use crate::domain::event::LabelEvent;
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
    /// Opens or creates the log in `dir` and cuts it back to the lines that are as they were written. Also gives the
    /// number of lines it lost, an unfinished last one apart.
    ///
    /// `written` gives a line as the store has it. A store that was rebuilt lacks lines which the log still has: up to
    /// line `ahead` they stay if they are events, and are compared when they come again.
    pub(super) fn open(
        dir: &Path,
        ahead: u64,
        mut written: impl FnMut(u64) -> Result<Option<String>>,
    ) -> Result<(Self, u64)> {
        let path = dir.join("labels.jsonl");
        let failed = |source| Error::run_file("mend", &path)(source);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(Error::run_file("open", &path))?;
        cut_torn_line(&file).map_err(failed)?;
        let mut reader = BufReader::new(File::open(&path).map_err(failed)?);
        // The good lines, and those of them that the store has.
        let (mut good, mut stored) = (End::default(), End::default());
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            let expected = if stored == good { written(good.lines)? } else { None };
            let is_good = match &expected {
                Some(expected) => expected.as_bytes() == line,
                None => good.lines < ahead && is_event(&line, good.lines),
            };
            if !is_good {
                break;
            }
            good = End { lines: good.lines + 1, bytes: good.bytes + line.len() as u64 };
            if expected.is_some() {
                stored = good;
            }
            line.clear();
        }
        let lost = count_lines(line.as_slice()).and_then(|lost| Ok(lost + count_lines(reader)?)).map_err(failed)?;
        file.set_len(good.bytes).map_err(failed)?;
        let ahead = if stored == good {
            None
        } else {
            let mut reader = BufReader::new(File::open(&path).map_err(failed)?);
            reader.seek(SeekFrom::Start(stored.bytes)).map_err(failed)?;
            Some(Ahead { reader, next: stored.lines })
        };
        Ok((Self { file, path, lines: good.lines, ahead }, lost))
    }

    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Whether the file is still where it was opened.
    pub(super) fn check_in_place(&self) -> Result<()> {
        check_in_place(&self.file, &self.path)
    }

    /// Compares `lines`, the first of which has `offset`, with those that only the file has.
    pub(super) fn compare(&mut self, offset: u64, lines: &[String]) -> Result<()> {
        for (offset, line) in (offset..self.lines).zip(lines) {
            let Some(ahead) = &mut self.ahead else { return Ok(()) };
            if offset < ahead.next {
                continue;
            }
            let mut before = Vec::new();
            ahead.reader.read_until(b'\n', &mut before).map_err(Error::run_file("read", &self.path))?;
            ahead.next += 1;
            if ahead.next == self.lines {
                self.ahead = None;
            }
            if before != line.as_bytes() {
                let before = String::from_utf8_lossy(&before).trim_end().to_owned();
                return Err(Error::Replay { offset, before, now: line.trim_end().into() });
            }
        }
        Ok(())
    }

    /// Appends `lines`, the first of which has `offset`, but for those that the file has.
    pub(super) fn append(&mut self, offset: u64, lines: &[String]) -> Result<()> {
        let known = usize::try_from(self.lines.saturating_sub(offset)).unwrap_or(usize::MAX);
        let new = lines.get(known..).unwrap_or_default();
        if new.is_empty() {
            return Ok(());
        }
        if let Err(source) = self.file.write_all(new.concat().as_bytes()) {
            // Leave no half line behind: the next open would cut it anyway, but a tail may read until then.
            let _ = cut_torn_line(&self.file);
            return Err(Error::run_file("write", &self.path)(source));
        }
        self.lines += new.len() as u64;
        Ok(())
    }
}

/// A place between two lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct End {
    lines: u64,
    bytes: u64,
}

fn is_event(line: &[u8], offset: u64) -> bool {
    serde_json::from_slice::<LabelEvent>(line).is_ok_and(|event| event.offset == offset)
}

fn count_lines(mut reader: impl BufRead) -> std::io::Result<u64> {
    let mut lines = 0;
    while reader.skip_until(b'\n')? > 0 {
        lines += 1;
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(offset: u64, label: &str) -> String {
        format!(
            "{{\"offset\":{offset},\"id\":\"x\",\"label\":\"{label}\",\"confidence\":1.0,\"candidates\":[],\
             \"by\":\"student\",\"revision\":0,\"student\":0,\"final\":false}}\n"
        )
    }

    fn content(dir: &Path) -> String {
        std::fs::read_to_string(dir.join("labels.jsonl")).unwrap()
    }

    /// Opens the log of a store that has these lines.
    fn open(dir: &Path, ahead: u64, stored: &[String]) -> (LabelLog, u64) {
        LabelLog::open(dir, ahead, |offset| Ok(stored.get(offset as usize).cloned())).unwrap()
    }

    #[test]
    fn a_torn_or_foreign_line_and_all_after_it_are_cut() {
        let stored = [line(0, "a"), line(1, "b")];
        let foreign = [
            (line(2, "c")[..20].to_owned(), 0),
            (line(2, "c"), 1),
            (line(3, "x") + &line(4, "y"), 2),
            ("\0\0\0\0\n\n".to_owned(), 2),
        ];
        for (tail, lost) in foreign {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("labels.jsonl"), stored.concat() + &tail).unwrap();
            let (mut log, found) = open(dir.path(), 2, &stored);
            assert_eq!((log.lines(), found, content(dir.path())), (2, lost, stored.concat()), "{tail:?}");
            log.append(2, &[line(2, "c")]).unwrap();
            assert_eq!(content(dir.path()), stored.concat() + &line(2, "c"));
        }
    }

    #[test]
    fn a_line_that_was_changed_is_cut_with_all_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let stored = [line(0, "a"), line(1, "b"), line(2, "c")];
        for changed in [b"{\"offset\":1,\"label\":\"z\"}\n".to_vec(), b"\xff\xfe\n".to_vec()] {
            let bytes = [stored[0].as_bytes(), &changed, stored[2].as_bytes()].concat();
            std::fs::write(dir.path().join("labels.jsonl"), bytes).unwrap();
            let (log, lost) = open(dir.path(), 3, &stored);
            assert_eq!((log.lines(), lost, content(dir.path())), (1, 2, stored[0].clone()));
        }
    }

    #[test]
    fn lines_the_store_does_not_have_are_compared_when_they_come_again() {
        let dir = tempfile::tempdir().unwrap();
        let all = [line(0, "a"), line(1, "b"), line(2, "c")];
        open(dir.path(), 0, &[]).0.append(0, &all).unwrap();
        let mut same = open(dir.path(), 3, &all[..1]).0;
        same.compare(0, &all[..2]).unwrap();
        same.compare(2, &[all[2].clone(), line(3, "d")]).unwrap();
        same.append(2, &[all[2].clone(), line(3, "d")]).unwrap();
        assert_eq!(content(dir.path()), all.concat() + &line(3, "d"));
        let mut other = open(dir.path(), 4, &[]).0;
        other.compare(0, &all[..1]).unwrap();
        assert!(matches!(other.compare(1, &[line(1, "x")]), Err(Error::Replay { offset: 1, .. })));
    }
}
