//! An append-only file of sealed lines: what `answers.jsonl` and `inputs.jsonl` are.
//!
//! One thread appends; readers use the same open file by place, and never a position that they share. A line is known
//! by its span, so a lookup is one read, and its checksum is checked at each.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::disk::{Disk, DiskFile, Machine, reading};
use crate::base::durable::open_append;
use crate::base::failpoint::reach;
use crate::base::sealed;
use crate::error::{Error, Result};

/// Lines between two looks at whether to stop. Few enough to stop at once, for they are read in some milliseconds.
const STOP_EVERY: u64 = 4096;

/// How far a log goes. Both say the same thing; the index keeps both, and where bytes agree and lines do not, the file
/// was edited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extent {
    /// Where the next line begins.
    pub(crate) bytes: u64,
    /// Line feeds up to there.
    pub(crate) lines: u64,
}

/// Where a line stands. A line of 4 GiB or more would not fit: rows, replies and prompts are bounded far below that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    /// Bytes before it.
    pub(crate) offset: u64,
    /// With its line feed.
    pub(crate) len: u32,
}

/// One line of a scan.
pub(crate) struct Scanned<'a> {
    /// Without its line feed; `None` if it is not as it was sealed. Borrowed from the buffer of the scan, which the
    /// next line overwrites.
    pub(crate) line: Option<&'a [u8]>,
    pub(crate) span: Span,
    /// From 0.
    pub(crate) number: u64,
    /// Whether it is damaged and has bytes in it that no line has: a page that never reached the disk reads as zeros.
    pub(crate) has_hole: bool,
}

impl Scanned<'_> {
    /// Where the next line begins.
    pub(crate) fn end(&self) -> u64 {
        self.span.offset + u64::from(self.span.len)
    }
}

/// The log, open for appending.
#[derive(Debug)]
pub(super) struct Log<D: Disk = Machine> {
    disk: D,
    file: Arc<D::File>,
    path: PathBuf,
    /// Of all whole lines; set by [`Log::scan`], and by every append.
    extent: Extent,
}

/// Reads lines of a log by their place. Cheap to clone; reads from any thread.
#[derive(Debug)]
pub(super) struct LogReader<D: Disk = Machine> {
    file: Arc<D::File>,
    path: Arc<PathBuf>,
}

impl<D: Disk> Clone for LogReader<D> {
    fn clone(&self) -> Self {
        Self { file: Arc::clone(&self.file), path: Arc::clone(&self.path) }
    }
}

impl<D: Disk> LogReader<D> {
    /// `len` bytes from `offset` on: lines that follow each other.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] where the file cannot be read or has not as many.
    pub(super) fn bytes(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, offset).map_err(Error::run_file("read", &self.path))?;
        Ok(bytes)
    }

    /// The line at `span`, without its line feed; `None` if it is not as it was sealed. That is so for a span that is
    /// no line's, too: an index that leads astray finds nothing.
    pub(super) fn line(&self, span: Span) -> Result<Option<Vec<u8>>> {
        let mut line = match self.bytes(span.offset, span.len as usize) {
            // A log that was cut does not have it any more.
            Err(Error::RunFile { source, .. }) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Ok(None);
            }
            read => read?,
        };
        Ok((line.pop() == Some(b'\n') && sealed::check(&line).is_ok()).then_some(line))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl<D: Disk> Log<D> {
    /// Opens or creates the log at `path` and cuts off an unfinished last line; what is left is on disk. Its extent is not
    /// known before a scan. Also gives the bytes that were cut off.
    ///
    /// A process that was killed may have left lines unsynced. What is read from here on is built upon, so all of it
    /// is synced first, with its name in the folder.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] where it cannot be opened, synced or cut.
    pub(super) fn open(disk: &D, path: &Path) -> Result<(Self, u64)> {
        let file = open_append(disk, path).map_err(Error::run_file("open", path))?;
        let torn = cut_torn_line(&file).map_err(Error::run_file("mend", path))?;
        Ok((Self { disk: disk.clone(), file: Arc::new(file), path: path.to_owned(), extent: Extent::default() }, torn))
    }

    pub(super) fn reader(&self) -> LogReader<D> {
        LogReader { file: Arc::clone(&self.file), path: Arc::new(self.path.clone()) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn extent(&self) -> Extent {
        self.extent
    }

    pub(super) fn file_len(&self) -> Result<u64> {
        self.file.len().map_err(Error::run_file("read", &self.path))
    }

    /// Goes on behind `known`, which is believed to be there, and hands every line to `each` until the end. Then the extent
    /// is that of the whole file.
    ///
    /// # Errors
    ///
    /// Those of `each`, which end the scan where it is; [`Error::Interrupted`] where `stop` says so;
    /// [`Error::RunFile`] where the file cannot be read. The extent is then that of the lines that were handed on.
    pub(super) fn scan(
        &mut self,
        known: Extent,
        stop: &dyn Fn() -> bool,
        mut each: impl FnMut(Scanned<'_>) -> Result<()>,
    ) -> Result<()> {
        let path = self.path.clone();
        self.extent = known;
        scan_on(&self.disk.clone(), &path, known, stop, |scanned| {
            self.extent.bytes += u64::from(scanned.span.len);
            self.extent.lines += 1;
            each(scanned)
        })
    }

    /// Appends lines, each with its line feed, and returns when they are on disk. Where it fails, no part of a line stays; whole
    /// ones do, for they may have been paid for, and the next opening takes them in. Nothing is to be appended then.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] where writing or syncing fails. After a failed fdatasync the kernel may have dropped the
    /// pages and would call the next one a success, which is why the run ends instead of trying again.
    pub(super) fn append(&mut self, lines: &[String]) -> Result<Vec<Span>> {
        let bytes = lines.concat();
        let write = || {
            reach("log-write")?;
            self.file.append(bytes.as_bytes())?;
            reach("log-sync")?;
            self.file.sync()?;
            reach("log-synced")
        };
        if let Err(source) = write() {
            let _ = cut_torn_line(self.file.as_ref());
            return Err(Error::run_file("write", &self.path)(source));
        }
        // Only now: what has no extent was not promised to anyone.
        let mut spans = Vec::with_capacity(lines.len());
        for line in lines {
            let len = u32::try_from(line.len()).unwrap_or(u32::MAX);
            spans.push(Span { offset: self.extent.bytes, len });
            self.extent.bytes += u64::from(len);
            self.extent.lines += 1;
        }
        Ok(spans)
    }

    /// Cuts off what follows `extent`, durably. To be used for what was never acknowledged alone.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] where it cannot be cut or synced.
    pub(super) fn cut_back(&mut self, extent: Extent) -> Result<()> {
        let cut = self.file.set_len(extent.bytes).and_then(|()| self.file.sync());
        cut.map_err(Error::run_file("mend", &self.path))?;
        self.extent = extent;
        Ok(())
    }

    /// Whether the file is still where it was opened.
    ///
    /// # Errors
    ///
    /// [`Error::TakenAway`] where it is not, or its path cannot be looked at.
    pub(super) fn check_in_place(&self) -> Result<()> {
        check_in_place(&self.disk, &self.file, &self.path)
    }
}

/// Reads the log at `path` from `known` on, a line at a time. Changes nothing. Memory: the longest line. A last line
/// without its line feed is not handed on: it may be in the middle of being written.
pub(crate) fn scan(
    path: &Path,
    known: Extent,
    stop: &dyn Fn() -> bool,
    each: impl FnMut(Scanned<'_>) -> Result<()>,
) -> Result<()> {
    scan_on(&Machine, path, known, stop, each)
}

fn scan_on<D: Disk>(
    disk: &D,
    path: &Path,
    known: Extent,
    stop: &dyn Fn() -> bool,
    mut each: impl FnMut(Scanned<'_>) -> Result<()>,
) -> Result<()> {
    let unreadable = || Error::run_file("read", path);
    let file = disk.open(path).map_err(unreadable())?;
    let mut input = BufReader::with_capacity(1 << 18, reading(&file, known.bytes));
    let (mut offset, mut number, mut line) = (known.bytes, known.lines, Vec::new());
    loop {
        if number.is_multiple_of(STOP_EVERY) && stop() {
            return Err(Error::Interrupted);
        }
        line.clear();
        let len = input.read_until(b'\n', &mut line).map_err(unreadable())?;
        // An unfinished last line is being written, or was cut by a crash.
        if line.pop() != Some(b'\n') {
            return Ok(());
        }
        // A longer line is none of ours. The offset below counts it in full all the same.
        let span = Span { offset, len: u32::try_from(len).unwrap_or(u32::MAX) };
        let whole = sealed::check(&line).is_ok().then_some(line.as_slice());
        each(Scanned { line: whole, span, number, has_hole: whole.is_none() && line.contains(&0) })?;
        offset += len as u64;
        number += 1;
    }
}

/// Whether `path` still leads to `file`: what is written to a file that was removed is lost. By device and inode,
/// before every append: an editor that saves, or a tool that syncs, puts another file in its place.
pub(super) fn check_in_place<D: Disk>(disk: &D, file: &D::File, path: &Path) -> Result<()> {
    match disk.leads_to(path, file) {
        Ok(true) => Ok(()),
        _ => Err(Error::TakenAway { path: path.to_owned() }),
    }
}

/// Cuts off what follows the last line feed: a write that a crash interrupted. Gives the bytes that were cut off.
///
/// Reads backwards in blocks of 64 KiB, so it costs as much as what is cut off, not as the file. Durable when it
/// returns, if anything was cut. A file without any line feed becomes empty.
pub(super) fn cut_torn_line(file: &impl DiskFile) -> std::io::Result<u64> {
    let length = file.len()?;
    let mut end = length;
    let mut block = vec![0; 1 << 16];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let size = usize::try_from(end - start).unwrap_or(block.len());
        let Some(part) = block.get_mut(..size) else { break };
        file.read_exact_at(part, start)?;
        if let Some(at) = part.iter().rposition(|&b| b == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    if end < length {
        file.set_len(end)?;
        file.sync()?;
    }
    Ok(length - end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::sealed::seal;
    use proptest::prelude::*;
    use std::fs::File;

    fn lines(count: u32) -> Vec<String> {
        (0..count).map(|number| seal(&format!("{{\"number\":{number},\"text\":\"é\"}}"))).collect()
    }

    fn open(path: &Path) -> (Log, u64, Vec<Option<String>>) {
        let (mut log, torn) = Log::open(&Machine, path).unwrap();
        let mut read = Vec::new();
        log.scan(Extent::default(), &|| false, |scanned| {
            read.push(scanned.line.map(|line| String::from_utf8(line.to_vec()).unwrap() + "\n"));
            Ok(())
        })
        .unwrap();
        (log, torn, read)
    }

    #[test]
    fn what_was_appended_is_there_after_reopening_and_at_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let (mut log, ..) = open(&path);
        let written = lines(3);
        let mut spans = log.append(&written[..2]).unwrap();
        spans.extend(log.append(&written[2..]).unwrap());
        let (again, torn, read) = open(&path);
        assert_eq!((again.extent(), torn), (log.extent(), 0));
        assert_eq!(read.into_iter().flatten().collect::<Vec<_>>(), written);
        for (span, line) in spans.iter().zip(&written) {
            assert_eq!(log.reader().line(*span).unwrap().unwrap(), line.trim_end().as_bytes());
        }
        assert_eq!(log.reader().line(Span { offset: 9, ..spans[0] }).unwrap(), None);
        assert_eq!(log.reader().line(Span { offset: 1 << 20, ..spans[0] }).unwrap(), None);
    }

    #[test]
    fn a_torn_line_is_cut_and_the_next_append_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let written = lines(3);
        open(&path).0.append(&written[..2]).unwrap();
        let length = std::fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(length - 5).unwrap();
        let (mut log, torn, read) = open(&path);
        assert_eq!((read, torn), (vec![Some(written[0].clone())], written[1].len() as u64 - 5));
        log.append(&written[2..]).unwrap();
        assert_eq!(open(&path).2, [Some(written[0].clone()), Some(written[2].clone())]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_flipped_byte_costs_its_line_and_nothing_else(at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            let written = lines(5);
            open(&path).0.append(&written).unwrap();
            let mut content = std::fs::read(&path).unwrap();
            let at = at.index(content.len() - 1);
            prop_assume!(content[at] ^ flip != content[at].to_ascii_uppercase());
            content[at] ^= flip;
            std::fs::write(&path, &content).unwrap();
            let read = open(&path).2;
            // A line feed made or lost spoils at most the two lines beside it.
            prop_assert!(read.iter().flatten().count() >= 3);
            prop_assert!(read.iter().flatten().all(|line| written.contains(line)));
            prop_assert!(read.iter().flatten().count() < 5);
        }
    }
}
