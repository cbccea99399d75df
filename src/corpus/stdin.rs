//! A corpus from standard input: first what is kept of earlier pieces, then what comes now, which is kept while it is read.
//!
//! So a run that was killed goes on without its pipe, and whoever gives it the same again gives it nothing new. Rows are read as
//! they come, on a thread of their own: neither the rows before the one that a writer waits with, nor a stop, wait for it.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, IsTerminal, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use encoding_rs::Encoding;

use super::rows;
use super::sniff::Kind;
use super::sound::Sound;
use super::source::{Ends, STDIN, Source, State, Tee};
use super::spool::{pieces, take_up};
use super::{Corpus, Row, SampleOf, Settings};
use crate::base::panic::caught;
use crate::config::CorpusConfig;
use crate::error::{Error, Result};

/// Rows that were read and not taken, at most.
const AHEAD: usize = 128;
/// How long a stop may go unnoticed.
const PATIENCE: Duration = Duration::from_millis(50);

/// A row, with what its piece is called.
type Named = Result<(String, Row)>;

/// See the module.
pub(super) struct Stdin {
    /// What is read, until it is.
    pieces: Option<Pieces>,
    reading: Option<Reading>,
    stop: Arc<AtomicBool>,
    ends: Ends,
    /// What the piece is called whose row was given last.
    name: String,
}

/// The thread that reads rows.
struct Reading {
    rows: Receiver<Named>,
    /// One that came already.
    next: Option<Named>,
    thread: JoinHandle<()>,
}

impl Stdin {
    /// To be kept in `spool`, of which nothing is changed before the first row is asked for.
    pub(super) fn open(
        config: &CorpusConfig,
        spool: PathBuf,
        settings: Settings,
        sample_of: Arc<SampleOf>,
    ) -> Result<Self> {
        if pieces(&spool)?.is_empty() && io::stdin().is_terminal() {
            let message =
                "is the terminal: give the texts by a pipe (`program | candist run ..`) or `< file`".to_owned();
            return Err(Error::Unfit { path: "standard input".into(), message });
        }
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let ends: Ends = Arc::new(move || asked.load(Ordering::Relaxed));
        let pieces = Pieces::new(CorpusConfig { spool, ..config.clone() }, settings, sample_of, ends);
        Ok(Self {
            pieces: Some(pieces),
            reading: None,
            stop,
            ends: Arc::new(|| false),
            name: "standard input".to_owned(),
        })
    }

    /// Starts the thread with the first row: only then the run directory is the run's alone.
    fn start(&mut self) -> Result<()> {
        let Some(pieces) = self.pieces.take() else { return Ok(()) };
        let (sender, rows) = sync_channel(AHEAD);
        let thread = std::thread::Builder::new()
            .name("candist-rows".to_owned())
            .spawn(move || give(pieces, &sender))
            .map_err(Error::no_thread)?;
        self.reading = Some(Reading { rows, next: None, thread });
        Ok(())
    }
}

/// Gives rows until there are no more, or nobody wants them.
fn give(mut pieces: Pieces, rows: &SyncSender<Named>) {
    loop {
        let next = caught("corpus", || pieces.next_row()).transpose();
        let Some(next) = next.map(|row| row.map(|row| (pieces.name(), row))) else { return };
        let is_last = next.is_err();
        if rows.send(next).is_err() || is_last {
            return;
        }
    }
}

impl Corpus for Stdin {
    fn next_row(&mut self) -> Result<Option<Row>> {
        self.start()?;
        let Some(reading) = &mut self.reading else { return Ok(None) };
        let next = loop {
            if let Some(next) = reading.next.take() {
                break next;
            }
            match reading.rows.recv_timeout(PATIENCE) {
                Ok(next) => break next,
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                // Whoever says that the run is to end knows that this is not the end of the corpus.
                Err(RecvTimeoutError::Timeout) if (self.ends)() => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
        };
        let (name, row) = next?;
        self.name = name;
        Ok(Some(row))
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn until(&mut self, ends: Ends) {
        self.ends = ends;
    }

    fn is_waiting(&mut self) -> bool {
        let Some(reading) = &mut self.reading else { return false };
        if reading.next.is_some() {
            return false;
        }
        match reading.rows.try_recv() {
            Ok(next) => reading.next = Some(next),
            Err(TryRecvError::Empty) => return true,
            Err(TryRecvError::Disconnected) => {}
        }
        false
    }
}

impl Drop for Stdin {
    /// The thread writes into the run directory, so it ends first. It does soon: it waits for nobody long.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(Reading { rows, thread, .. }) = self.reading.take() {
            drop(rows);
            // Its panics were caught.
            let _ = thread.join();
        }
    }
}

/// What was kept, and then what comes.
struct Pieces {
    config: CorpusConfig,
    settings: Settings,
    sample_of: Arc<SampleOf>,
    ends: Ends,
    /// Pieces that were kept before; none before they were looked for.
    pieces: Option<VecDeque<PathBuf>>,
    source: Arc<Mutex<Option<Source>>>,
    failed: Arc<Mutex<Option<Error>>>,
    open: Option<Sound>,
    /// The piece whose row was given last.
    piece: PathBuf,
    /// Rows of the piece so far; and of each piece those up to the last good one: where it goes on, a bad one at its end may
    /// become whole.
    seen: u64,
    given: HashMap<PathBuf, u64>,
    /// Rows that are to come again, and are not given again.
    again: u64,
    has_ended: bool,
    has_good: bool,
    /// The piece whose end a kill cut off, until its input is given again.
    cut: Option<PathBuf>,
    /// Why a piece that was kept is none of this corpus. It is passed over: else it would be in the way of every later one.
    unfit: Option<Error>,
}

impl Pieces {
    fn new(config: CorpusConfig, settings: Settings, sample_of: Arc<SampleOf>, ends: Ends) -> Self {
        Self {
            config,
            settings,
            sample_of,
            ends,
            pieces: None,
            source: Arc::default(),
            failed: Arc::default(),
            open: None,
            piece: PathBuf::new(),
            seen: 0,
            given: HashMap::new(),
            again: 0,
            has_ended: false,
            has_good: false,
            cut: None,
            unfit: None,
        }
    }

    /// Goes to what comes next: a piece, or what comes now. False where there is nothing more.
    fn go_on(&mut self) -> Result<bool> {
        if self.pieces.is_none() {
            self.pieces = Some(self.take_up()?);
        }
        if let Some(piece) = self.pieces.as_mut().and_then(VecDeque::pop_front) {
            return self.read_kept(piece);
        }
        if self.has_ended {
            return Ok(false);
        }
        self.has_ended = true;
        self.read_on()
    }

    /// The pieces that are there, each in whole lines. One that this process is writing is none of them.
    fn take_up(&mut self) -> Result<VecDeque<PathBuf>> {
        let stdin = STDIN.lock().unwrap_or_else(PoisonError::into_inner);
        let writing = match stdin.as_ref().map(|source| &source.state) {
            Some(State::Writing(writing)) => Some(writing.path().to_owned()),
            _ => None,
        };
        let mut left = VecDeque::new();
        for piece in pieces(&self.config.spool)? {
            if Some(&piece) != writing.as_ref() && take_up(&piece)? {
                self.cut = piece.extension().is_some().then(|| piece.clone());
                left.push_back(piece);
            }
        }
        Ok(left)
    }

    /// What is kept is UTF-8, whatever it was.
    fn kept(&self) -> CorpusConfig {
        CorpusConfig { encoding: None, ..self.config.clone() }
    }

    /// Goes to a piece that was kept before, past those that are none of this corpus. Always true: what follows comes next.
    fn read_kept(&mut self, piece: PathBuf) -> Result<bool> {
        let begun = self.read_file(piece.clone()).and_then(|()| self.open.as_mut().map_or(Ok(false), Sound::begin));
        if let Err(error) = begun {
            if !matches!(error, Error::Unfit { .. }) {
                return Err(error);
            }
            self.open = None;
            tracing::warn!("what is kept of standard input is passed over: {error}");
            self.unfit.get_or_insert(error);
        }
        self.piece = piece;
        Ok(true)
    }

    fn read_file(&mut self, piece: PathBuf) -> Result<()> {
        let opened = rows::open(&piece, &self.kept(), self.settings, &self.sample_of.wanted())?;
        self.open = Some(opened.sound(&piece, Arc::clone(&self.sample_of)));
        self.piece = piece;
        Ok(())
    }

    /// Reads what comes now. False where that is nothing new.
    fn read_on(&mut self) -> Result<bool> {
        if io::stdin().is_terminal() {
            return Ok(false);
        }
        let encoding = self.config.encoding.as_deref().and_then(|label| Encoding::for_label(label.as_bytes()));
        let mut source = Source::take(&self.config.spool, encoding)?;
        let begun = source.begin(&self.ends);
        let writing = match &source.state {
            State::Writing(writing) => Some((writing.path().to_owned(), writing.so_far()?)),
            State::Matching(_) | State::Ended => None,
        };
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = Some(source);
        let (Some((piece, mut so_far)), true) = (writing, begun?) else { return Ok(false) };
        self.cut = None;
        let tee = Tee::new(Arc::clone(&self.source), Arc::clone(&self.ends), Arc::clone(&self.failed));
        let whole = piece.with_extension("");
        self.again = self.given.get(&whole).copied().unwrap_or(0);
        // Its end comes first: a file in binary is read from there.
        if matches!(Kind::of(so_far.fill_buf().unwrap_or_default()), Some(Kind::Parquet)) {
            io::copy(&mut { tee }, &mut io::sink())
                .map_err(|source| self.why(Error::Input { what: "corpus", path: "standard input".into(), source }))?;
            self.read_file(whole)?;
            return Ok(true);
        }
        let input = Box::new(so_far.chain(tee));
        let opened = rows::read(input, &whole, None, &self.kept(), self.settings, &self.sample_of.wanted());
        self.open = Some(opened.map_err(|error| self.why(error))?.sound(&whole, Arc::clone(&self.sample_of)));
        self.piece = whole;
        Ok(true)
    }

    /// What ended the input, if `error` is what the rows made of that.
    fn why(&self, error: Error) -> Error {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(error)
    }

    fn next(&mut self) -> Result<Option<Row>> {
        loop {
            let next = self.open.as_mut().map_or(Ok(None), Corpus::next_row);
            let Some(row) = next.map_err(|error| self.why(error))? else {
                if !self.go_on()? {
                    if let Some(cut) = self.cut.take() {
                        tracing::warn!(
                            "what is kept in {} was cut before its end: give the same input again to go on behind it",
                            cut.display()
                        );
                    }
                    return self.unfit.take().filter(|_| !self.has_good && !(self.ends)()).map_or(Ok(None), Err);
                }
                self.seen = 0;
                continue;
            };
            self.seen += 1;
            if self.seen <= self.again {
                continue;
            }
            if row.sample.is_ok() {
                self.has_good = true;
                self.given.insert(self.piece.with_extension(""), self.seen);
            }
            return Ok(Some(row));
        }
    }
}

impl Corpus for Pieces {
    fn next_row(&mut self) -> Result<Option<Row>> {
        match self.next() {
            // Whoever says that the run is to end knows it.
            Err(Error::Interrupted) => Ok(None),
            Ok(None) if self.piece.as_os_str().is_empty() && !(self.ends)() => Err(Error::Unfit {
                path: "standard input".into(),
                message: "is empty: give the texts by a pipe (`program | candist run ..`) or `< file`".to_owned(),
            }),
            next => next,
        }
    }

    fn name(&self) -> String {
        let piece = self.piece.with_extension("");
        format!("stdin/{}", piece.file_name().unwrap_or_default().to_string_lossy())
    }
}

impl Drop for Pieces {
    /// Another run of this process may go on with what comes.
    fn drop(&mut self) {
        // The rows hold a part of it.
        self.open = None;
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(source) = source {
            *STDIN.lock().unwrap_or_else(PoisonError::into_inner) = Some(source);
        }
    }
}
