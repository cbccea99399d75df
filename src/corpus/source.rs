//! The standard input of this process: a thread that reads it, what it turns out to be, and the piece of it that is kept while
//! its rows are read.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use encoding_rs::Encoding;

use super::input::{BUFFER, Text};
use super::sniff::Kind;
use super::spool::{Match, Matching, Writing};
use crate::error::{Error, Result};

/// Chunks that were read and not taken, at most.
const AHEAD: usize = 4;
/// How long a stop may go unnoticed.
const PATIENCE: Duration = Duration::from_millis(50);

/// Tells whether the run is to end.
pub(super) type Ends = Arc<dyn Fn() -> bool + Send + Sync>;

/// The standard input of this process, between two runs; none before the first one and while one has it. A run may begin
/// once more, and then goes on with it.
pub(super) static STDIN: Mutex<Option<Source>> = Mutex::new(None);

/// Standard input, and what was found out of it.
#[derive(Debug)]
pub(super) struct Source {
    /// Chunks of its text; an error after which there is nothing more.
    chunks: Receiver<io::Result<Vec<u8>>>,
    spool: PathBuf,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    /// Nothing was read that no piece has.
    Matching(Matching),
    Writing(Writing),
    Ended,
}

impl Source {
    /// The process' input, to be kept in `spool`.
    pub(super) fn take(spool: &Path, encoding: Option<&'static Encoding>) -> Result<Self> {
        static STARTED: Mutex<bool> = Mutex::new(false);
        let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
        if *started {
            let source = STDIN.lock().unwrap_or_else(PoisonError::into_inner).take();
            return source.filter(|source| source.spool == spool).ok_or_else(|| Error::Unfit {
                path: "standard input".into(),
                message: "is read by another run of this process: give one of them files".to_owned(),
            });
        }
        *started = true;
        let matching = Matching::new(spool)?;
        Ok(Self { chunks: pump(encoding)?, spool: spool.to_owned(), state: State::Matching(matching) })
    }

    /// The next chunk; `None` at the end.
    fn next(&mut self, ends: &Ends) -> Result<Option<Vec<u8>>> {
        loop {
            match self.chunks.recv_timeout(PATIENCE) {
                Ok(Ok(chunk)) => return Ok(Some(chunk)),
                Ok(Err(source)) => {
                    return Err(Error::Input { what: "corpus", path: "standard input".into(), source });
                }
                Err(RecvTimeoutError::Timeout) if ends() => return Err(Error::Interrupted),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    /// Reads until there is something that no piece has: then it is being written, from its piece's start. False where the
    /// input has ended before.
    pub(super) fn begin(&mut self, ends: &Ends) -> Result<bool> {
        loop {
            let chunk = match &self.state {
                State::Ended => return Ok(false),
                // It was begun before, by this process.
                State::Writing(_) => return Ok(true),
                State::Matching(_) => self.next(ends)?,
            };
            let State::Matching(matching) = &mut self.state else { return Ok(false) };
            let Some(chunk) = chunk else {
                if let State::Matching(matching) = std::mem::replace(&mut self.state, State::Ended) {
                    matching.end()?;
                }
                return Ok(false);
            };
            let mut writing = match matching.next(&chunk)? {
                Match::Same => continue,
                Match::GoesOn(piece, from) => {
                    let mut writing = Writing::go_on(&piece)?;
                    writing.add(chunk.get(from..).unwrap_or_default())?;
                    self.state = State::Writing(writing);
                    return Ok(true);
                }
                Match::Other(like) => {
                    // Before a gigabyte is kept that no format reads.
                    if let Some(kind) = Kind::of(&chunk).filter(|kind| like.is_none() && kind.is_foreign()) {
                        let message = kind.advice(Path::new("FILE"), "text", "corpus.format");
                        return Err(Error::Unfit { path: "standard input".into(), message });
                    }
                    Writing::new(&self.spool, like.as_ref().map(|(path, length)| (path.as_path(), *length)))?
                }
            };
            writing.add(&chunk)?;
            self.state = State::Writing(writing);
            return Ok(true);
        }
    }

    /// The next chunk of the piece that is being written, once it is kept; `None` at the end, when the piece is whole.
    fn read(&mut self, ends: &Ends) -> Result<Option<Vec<u8>>> {
        if !matches!(self.state, State::Writing(_)) {
            return Ok(None);
        }
        let chunk = self.next(ends)?;
        match (&mut self.state, chunk) {
            (State::Writing(writing), Some(chunk)) => {
                writing.add(&chunk)?;
                Ok(Some(chunk))
            }
            _ => {
                if let State::Writing(writing) = std::mem::replace(&mut self.state, State::Ended) {
                    writing.end()?;
                }
                Ok(None)
            }
        }
    }
}

/// Reads standard input on a thread of its own, for as long as the process lives. It is decompressed and decoded, so that what
/// is kept has lines.
fn pump(encoding: Option<&'static Encoding>) -> Result<Receiver<io::Result<Vec<u8>>>> {
    let (sender, receiver) = sync_channel(AHEAD);
    let read = move || {
        let mut text = match Text::of(Box::new(BufReader::with_capacity(BUFFER, io::stdin())), encoding) {
            Ok(text) => text.input,
            Err(error) => return drop(sender.send(Err(error))),
        };
        loop {
            let chunk = match text.fill_buf() {
                Ok([]) => return,
                Ok(bytes) => Ok(bytes.to_vec()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let (length, failed) = (chunk.as_ref().map_or(0, Vec::len), chunk.is_err());
            if sender.send(chunk).is_err() || failed {
                return;
            }
            text.consume(length);
        }
    };
    std::thread::Builder::new().name("candist-stdin".to_owned()).spawn(read).map_err(Error::no_thread)?;
    Ok(receiver)
}

/// The piece that is being written, as an input of rows. What ends it early is kept for who reads the rows: to them it is an
/// error of reading.
pub(super) struct Tee {
    source: Arc<Mutex<Option<Source>>>,
    ends: Ends,
    failed: Arc<Mutex<Option<Error>>>,
    chunk: Vec<u8>,
    taken: usize,
}

impl Tee {
    pub(super) fn new(source: Arc<Mutex<Option<Source>>>, ends: Ends, failed: Arc<Mutex<Option<Error>>>) -> Self {
        Self { source, ends, failed, chunk: Vec::new(), taken: 0 }
    }
}

impl BufRead for Tee {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken == self.chunk.len() {
            let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            let next = source.as_mut().map_or(Ok(None), |source| source.read(&self.ends));
            match next {
                Ok(chunk) => (self.chunk, self.taken) = (chunk.unwrap_or_default(), 0),
                Err(error) => {
                    let told = io::Error::other(error.to_string());
                    *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    return Err(told);
                }
            }
        }
        Ok(self.chunk.get(self.taken..).unwrap_or_default())
    }

    fn consume(&mut self, bytes: usize) {
        self.taken = (self.taken + bytes).min(self.chunk.len());
    }
}

impl Read for Tee {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}
