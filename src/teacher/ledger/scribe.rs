//! The thread that writes `requests.jsonl`: in groups, so that many requests share one write and one `fdatasync`.
//!
//! A request may be sent once its line is written. The file then survives a kill; where money is at stake it is also made
//! durable first, so that a power failure forgets nothing that may have been spent.
//!
//! The thread is "candist-ledger". It begins with the first note and ends when the ledger is closed, or with the first
//! error. Nobody holds a lock while it writes.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use rust_decimal::Decimal;

use super::book::Book;
use super::entry::Entry;
use crate::base::durable::{remove, replace_file};
use crate::error::{Error, Result};

/// Lines written together, at most.
const GROUP: usize = 1024;
/// Lines that may be over and done with before the file is written anew.
const STALE_LINES: usize = 65_536;

/// Who waits for a line is told its number, or why it could not be written.
type Written = Box<dyn FnOnce(Result<u64, String>) + Send>;

/// What to write.
pub(super) enum Note {
    /// A request is about to leave: `written` is called when that may happen, with the request's number.
    Send { to: Option<String>, tokens: u32, worst: Decimal, written: Written },
    /// A request has ended. Nobody waits for this line: as long as it is missing, the request counts at its worst.
    End { number: u64, cost: Option<Decimal>, tokens: Option<u32> },
    /// Money that no request of ours was reserved for.
    Spend { cost: Decimal, written: Written },
}

/// The way to the thread. There is no bound on what waits, because there is one elsewhere: a request is sent only after
/// its line was written, and ends once.
#[derive(Debug)]
pub(super) struct Scribe {
    notes: mpsc::Sender<Note>,
    thread: JoinHandle<Result<()>>,
}

impl Scribe {
    /// Starts the thread, which begins with a compact file at `path`; then `replaced`, which it makes up for, may go.
    pub(super) fn start(path: PathBuf, book: Book, replaced: PathBuf) -> Result<Self> {
        let (notes, received) = mpsc::channel();
        let failed = Error::run_file("start the thread for", &path);
        let thread = std::thread::Builder::new()
            .name("candist-ledger".to_owned())
            .spawn(move || Pen::begin(path, book, &replaced).and_then(|pen| pen.write_all(&received)))
            .map_err(failed)?;
        Ok(Self { notes, thread })
    }

    /// Hands a note over; `false` if nobody writes any more.
    pub(super) fn hand(&self, note: Note) -> bool {
        self.notes.send(note).is_ok()
    }

    /// Waits until all is written and durable; gives why it is not, where that is so. Not on a tokio worker.
    pub(super) fn finish(self) -> Result<()> {
        drop(self.notes);
        self.thread.join().unwrap_or_else(|_| Err(Error::gone("ledger")))
    }
}

/// The thread's state.
struct Pen {
    path: PathBuf,
    file: File,
    /// Of the file, up to the last group that was written whole: what stands after a failed write is cut off.
    bytes: u64,
    /// Of the file, more or less: they only decide when it is written anew.
    lines: usize,
    /// What the file says, line by line as it is written.
    book: Book,
}

impl Pen {
    /// Writes the balance, durably. Only then `replaced` goes: at every moment one of the two files says what was
    /// spent.
    fn begin(path: PathBuf, mut book: Book, replaced: &Path) -> Result<Self> {
        let (file, bytes, lines) = rewrite(&path, &mut book)?;
        remove(replaced)?;
        Ok(Self { path, file, bytes, lines, book })
    }

    /// Writes until all who hand notes over are gone. What came in while one group was written is the next one, so many
    /// requests a second cost few writes.
    fn write_all(mut self, notes: &mpsc::Receiver<Note>) -> Result<()> {
        while let Ok(first) = notes.recv() {
            let mut group = vec![first];
            group.extend(notes.try_iter().take(GROUP - 1));
            self.write(group)?;
            if self.lines > STALE_LINES + 2 * self.book.live_lines() {
                (self.file, self.bytes, self.lines) = rewrite(&self.path, &mut self.book)?;
            }
        }
        self.file.sync_data().map_err(Error::run_file("write", &self.path))
    }

    /// Writes a group and tells those who wait. After an error nothing is written any more: who waits is told by the end
    /// of the thread, and what ended meanwhile counts at its worst.
    fn write(&mut self, group: Vec<Note>) -> Result<()> {
        // One time for the group: they leave together.
        let at = now_ms();
        let (mut lines, mut waiting, mut costs) = (String::new(), Vec::new(), false);
        let count = group.len();
        for note in group {
            let entry = match note {
                Note::Send { to, tokens, worst, written } => {
                    let number = self.book.next();
                    costs |= worst > Decimal::ZERO;
                    waiting.push((number, written));
                    Entry::Send { number, at, to, tokens, worst }
                }
                Note::End { number, cost, tokens } => Entry::End { number, cost, tokens },
                Note::Spend { cost, written } => {
                    costs = true;
                    // It has no number; nobody reads this one.
                    waiting.push((0, written));
                    Entry::Spend { cost }
                }
            };
            // Before it is written: after an error this book is not used again.
            self.book.note(&entry);
            lines.push_str(&entry.seal());
        }
        let written =
            self.file.write_all(lines.as_bytes()).and_then(|()| if costs { self.file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // Whatever part reached the file is no request that was sent.
            let _ = self.file.set_len(self.bytes);
            let message = format!("cannot write {}: {error}. See that the disk has room", self.path.display());
            waiting.into_iter().for_each(|(_, written)| written(Err(message.clone())));
            return Err(Error::run_file("write", &self.path)(error));
        }
        self.bytes += lines.len() as u64;
        self.lines += count;
        waiting.into_iter().for_each(|(number, written)| written(Ok(number)));
        Ok(())
    }
}

/// Puts a compact file in place, durably; gives it open for appending, with its bytes and lines. Kill it where one
/// will, there is the old file or the new one, and both say the same.
fn rewrite(path: &Path, book: &mut Book) -> Result<(File, u64, usize)> {
    let lines = book.compact();
    replace_file(path, lines.as_bytes())?;
    let file = OpenOptions::new().append(true).open(path).map_err(Error::run_file("open", path))?;
    Ok((file, lines.len() as u64, book.live_lines()))
}

/// Milliseconds since 1970.
/// By the wall clock, since the next process has to understand it; a clock before 1970 counts as 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
