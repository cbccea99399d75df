//! What came from standard input, in the run directory: a file for each piece of it, `stdin/0001` and so on, as UTF-8 text.
//!
//! A run reads its corpus from the start each time, and a pipe gives what it has once. A piece that is being written, or that a
//! kill cut, has the ending `part`; it is whole when its input has ended.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::base::durable;
use crate::error::{Error, Result};

/// The ending of a piece that is not whole.
const PART: &str = "part";
/// How long what was written may be lost in a power cut.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The pieces in the folder `spool`, in the order in which they came. Only looks.
pub(super) fn pieces(spool: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = Error::run_file("read", spool);
    let entries = match std::fs::read_dir(spool) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(unreadable)?,
    };
    let mut pieces: Vec<(u32, PathBuf)> =
        entries.into_iter().filter_map(|entry| Some((number(&entry.path())?, entry.path()))).collect();
    pieces.sort();
    Ok(pieces.into_iter().map(|(_, path)| path).collect())
}

/// The number of a piece; none where the file is none.
fn number(path: &Path) -> Option<u32> {
    let is_ours = path.extension().is_none_or(|extension| extension == PART);
    path.file_stem()?.to_str().filter(|_| is_ours)?.parse().ok()
}

/// Cuts a piece that a kill cut to its last whole line: half a line may look like a row. Gives whether anything is left.
pub(super) fn take_up(piece: &Path) -> Result<bool> {
    if piece.extension().is_none() {
        return Ok(true);
    }
    let cut = || -> io::Result<u64> {
        let mut file = File::options().read(true).write(true).open(piece)?;
        let whole = whole_lines(&mut file)?;
        file.set_len(whole)?;
        file.sync_all()?;
        Ok(whole)
    };
    let left = cut().map_err(Error::run_file("cut", piece))?;
    if left == 0 {
        durable::remove(piece)?;
    }
    Ok(left > 0)
}

/// Bytes up to and with the last line feed. A file in binary has no lines, and is of no use in parts.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let mut magic = Vec::new();
    Read::take(&mut *file, 4).read_to_end(&mut magic)?;
    let (mut end, mut block) = (file.seek(SeekFrom::End(0))?, Vec::new());
    while end > 0 && magic != b"PAR1" {
        let start = end.saturating_sub(64 << 10);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        Read::take(&mut *file, end - start).read_to_end(&mut block)?;
        if let Some(last) = block.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// A piece that is being written.
#[derive(Debug)]
pub(super) struct Writing {
    path: PathBuf,
    file: File,
    synced: Instant,
}

impl Writing {
    /// A new piece after those in `spool`, which begins with the first `length` bytes of `like`.
    pub(super) fn new(spool: &Path, like: Option<(&Path, u64)>) -> Result<Self> {
        let last = pieces(spool)?.last().and_then(|last| number(last)).unwrap_or(0);
        let path = spool.join(format!("{:04}.{PART}", last + 1));
        let create = || -> io::Result<File> {
            std::fs::create_dir_all(spool)?;
            durable::sync_folder_of(spool)?;
            let mut file = File::options().append(true).create_new(true).open(&path)?;
            durable::sync_folder_of(&path)?;
            if let Some((like, length)) = like {
                io::copy(&mut File::open(like)?.take(length), &mut file)?;
            }
            Ok(file)
        };
        let file = create().map_err(Error::run_file("write", &path))?;
        Ok(Self { path, file, synced: Instant::now() })
    }

    /// Goes on with a piece that is there.
    pub(super) fn go_on(piece: &Path) -> Result<Self> {
        let path = piece.with_extension(PART);
        // A kill from here on must not leave half a line under the name of a whole piece.
        if piece != path {
            durable::rename(piece, &path).map_err(Error::run_file("move", piece))?;
        }
        let file = File::options().append(true).open(&path).map_err(Error::run_file("write", &path))?;
        Ok(Self { path, file, synced: Instant::now() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it, from its start, up to where it is now.
    pub(super) fn so_far(&self) -> Result<impl BufRead + Send + use<>> {
        let open = || {
            let file = File::open(&self.path)?;
            let length = file.metadata()?.len();
            Ok(BufReader::new(file.take(length)))
        };
        open().map_err(Error::run_file("read", &self.path))
    }

    /// Adds `bytes`. A kill loses none of them, and a power cut those of the last moment.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<()> {
        let mut write = || {
            self.file.write_all(bytes)?;
            if self.synced.elapsed() > SYNC_EVERY {
                self.file.sync_data()?;
                self.synced = Instant::now();
            }
            Ok(())
        };
        write().map_err(Error::run_file("write", &self.path))
    }

    /// Its input has ended: it is whole, or not there if there was nothing.
    pub(super) fn end(self) -> Result<PathBuf> {
        let length = self.file.metadata().map_err(Error::run_file("read", &self.path))?.len();
        if length == 0 {
            durable::remove(&self.path)?;
        } else {
            self.file.sync_all().map_err(Error::run_file("write", &self.path))?;
            durable::rename(&self.path, &self.path.with_extension("")).map_err(Error::run_file("move", &self.path))?;
        }
        Ok(self.path.with_extension(""))
    }
}

/// Finds out whether an input is one that came before: the same bytes, as far as it goes.
#[derive(Debug)]
pub(super) struct Matching {
    /// Pieces that are the same so far.
    same: Vec<(PathBuf, BufReader<File>)>,
    /// Bytes that are.
    length: u64,
}

/// What an input turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// The same as a piece so far.
    Same,
    /// It goes on behind the end of this piece, with what stands in the chunk from here on.
    GoesOn(PathBuf, usize),
    /// No piece begins as it does. The first bytes, as many as are given, are those that this piece has.
    Other(Option<(PathBuf, u64)>),
}

impl Matching {
    /// With the pieces in `spool`.
    pub(super) fn new(spool: &Path) -> Result<Self> {
        let open = |path: PathBuf| {
            let file = File::open(&path).map_err(Error::run_file("read", &path))?;
            Ok((path, BufReader::new(file)))
        };
        Ok(Self { same: pieces(spool)?.into_iter().map(open).collect::<Result<_>>()?, length: 0 })
    }

    /// Compares the next chunk of the input. After an answer that is not [`Match::Same`] there is nothing more to compare.
    pub(super) fn next(&mut self, chunk: &[u8]) -> Result<Match> {
        let (mut same, mut ended, mut like) = (Vec::new(), None, None);
        for (path, mut file) in std::mem::take(&mut self.same) {
            let equal = equal_bytes(&mut file, chunk).map_err(Error::run_file("read", &path))?;
            let at_end = equal < chunk.len() && file.fill_buf().map_err(Error::run_file("read", &path))?.is_empty();
            match equal {
                equal if equal == chunk.len() => same.push((path, file)),
                equal if at_end => ended = Some((path, equal)),
                _ => like = Some(path),
            }
        }
        self.same = same;
        if !self.same.is_empty() {
            self.length += chunk.len() as u64;
            return Ok(Match::Same);
        }
        Ok(match ended {
            Some((path, equal)) => Match::GoesOn(path, equal),
            None => Match::Other(like.map(|path| (path, self.length))),
        })
    }

    /// The input has ended, the same as the pieces that are left: one that a kill cut is whole, if it had come so far.
    pub(super) fn end(self) -> Result<()> {
        for (path, mut file) in self.same {
            let at_end = file.fill_buf().map_err(Error::run_file("read", &path))?.is_empty();
            if at_end && path.extension().is_some() {
                Writing::go_on(&path)?.end()?;
            }
        }
        Ok(())
    }
}

/// How many of `bytes` the file has next; so many are taken.
fn equal_bytes(file: &mut BufReader<File>, bytes: &[u8]) -> io::Result<usize> {
    let mut equal = 0;
    while let Some(rest) = bytes.get(equal..).filter(|rest| !rest.is_empty()) {
        let there = file.fill_buf()?;
        let same = there.iter().zip(rest).take_while(|(a, b)| a == b).count();
        let (all, is_end) = (there.len().min(rest.len()), there.is_empty());
        file.consume(same);
        equal += same;
        if same < all || is_end {
            break;
        }
    }
    Ok(equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives `input` to `spool` in chunks of `step` bytes, as a run does; `cut` where it is killed before the end.
    fn give(spool: &Path, input: &[u8], step: usize, cut: bool) {
        let mut matching = Some(Matching::new(spool).unwrap());
        let mut writing: Option<Writing> = None;
        for chunk in input.chunks(step) {
            if let Some(writing) = &mut writing {
                writing.add(chunk).unwrap();
                continue;
            }
            match matching.as_mut().unwrap().next(chunk).unwrap() {
                Match::Same => continue,
                Match::GoesOn(piece, from) => {
                    let mut piece = Writing::go_on(&piece).unwrap();
                    piece.add(&chunk[from..]).unwrap();
                    writing = Some(piece);
                }
                Match::Other(like) => {
                    let like = like.as_ref().map(|(path, length)| (path.as_path(), *length));
                    let mut piece = Writing::new(spool, like).unwrap();
                    piece.add(chunk).unwrap();
                    writing = Some(piece);
                }
            }
            matching = None;
        }
        if !cut {
            if let Some(matching) = matching {
                matching.end().unwrap();
            }
            if let Some(writing) = writing {
                writing.end().unwrap();
            }
        }
    }

    fn all(spool: &Path) -> Vec<(String, String)> {
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let pieces = pieces(spool).unwrap();
        pieces.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
    }

    #[test]
    fn each_piece_is_kept_once_and_goes_on_where_it_was_cut() {
        for step in [1, 3, 1000] {
            let folder = tempfile::tempdir().unwrap();
            let spool = folder.path().join("run/stdin");
            let piece = |name: &str, text: &str| (name.to_owned(), text.to_owned());
            assert_eq!(all(&spool), []);
            give(&spool, b"one\ntwo\nthr", step, true);
            assert_eq!(all(&spool), [piece("0001.part", "one\ntwo\nthr")]);
            assert!(take_up(&spool.join("0001.part")).unwrap());
            assert_eq!(all(&spool), [piece("0001.part", "one\ntwo\n")]);
            // The same again, now to its end; then once more.
            for _ in 0..2 {
                give(&spool, b"one\ntwo\nthree\n", step, false);
                assert_eq!(all(&spool), [piece("0001", "one\ntwo\nthree\n")]);
            }
            // Another, that begins as it did; a part of the first; the first, grown.
            give(&spool, b"one\nTWO\n", step, false);
            give(&spool, b"one\ntwo\n", step, false);
            give(&spool, b"one\ntwo\nthree\nfour\n", step, false);
            assert_eq!(all(&spool), [piece("0001", "one\ntwo\nthree\nfour\n"), piece("0002", "one\nTWO\n")]);
            give(&spool, b"", step, false);
            assert_eq!(all(&spool).len(), 2);
        }
    }

    #[test]
    fn half_a_line_is_no_row_and_half_a_binary_file_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cut = |content: &[u8]| {
            let path = folder.path().join("0001.part");
            std::fs::write(&path, content).unwrap();
            let left = take_up(&path).unwrap();
            assert_eq!(left, path.exists());
            std::fs::read(&path).unwrap_or_default()
        };
        assert_eq!(cut(b"a\nb"), b"a\n");
        assert_eq!(cut(b"a\n"), b"a\n");
        assert_eq!(cut(b"half"), b"");
        assert_eq!(cut(b"PAR1\n\n"), b"");
        let long = [b"a\n".as_slice(), &[b'x'; 200_000]].concat();
        assert_eq!(cut(&long), b"a\n");
    }
}
