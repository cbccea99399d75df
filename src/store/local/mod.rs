//! The store of one machine: two logs, and caches beside them. The only module that names sled and bincode.
//!
//! `answers` and `inputs` are the logs (`log`: append-only, sealed lines), `events` the label log; `index` says where what is looked
//! up by key stands (sled, and sorted files of what is older), `flat` what is looked up by number. `writer` is the one thread that writes; everyone else sends it commands or reads.
//! `open` brings everything level.
//!
//! | on disk | written | durable |
//! |---|---|---|
//! | `answers.jsonl`, `inputs.jsonl` | by the writer, a group at a time | before it is acknowledged |
//! | `labels.jsonl` | by the writer | at a checkpoint, and at the end |
//! | `store/index` | with every group | within a second, and at the end |
//! | `store/inputs`, `store/events` | after their log's lines | `events` with its log; `inputs` never |
//! | `store/clean.json` | when all was closed | when written; gone while a run is at work |

mod answers;
pub(super) mod audit_line;
pub(super) mod audits;
mod codec;
pub(super) mod corrections;
pub(super) mod drawn_audit;
mod event_records;
mod events;
mod failures;
mod flat;
pub(super) mod format1;
mod guarded;
mod heads;
mod in_order;
mod index;
mod input_records;
mod inputs;
mod log;
mod mark;
mod open;
pub(super) mod shared_log;
mod tally;
#[cfg(test)]
mod tests;
mod writer;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use tokio::sync::{mpsc, oneshot, watch};

pub(super) use self::event_records::changed_label_lines;
pub(super) use self::failures::FILE as FAILURES;
pub(crate) use self::failures::forget as forget_failures;
pub use self::guarded::OPENING_THREAD;
pub(crate) use self::index::KnownSample;
pub(crate) use self::inputs::FILE as INPUTS;
pub(super) use self::inputs::{damaged_input, parse_input};
pub(super) use self::log::{Extent, scan};
pub(super) use self::mark::tally;
pub(crate) use self::tally::LabelTally;
pub(super) use self::tally::Tally;
pub(crate) use self::{answers::FILE as ANSWERS, events::FILE as LABELS};

use self::answers::AnswersReader;
use self::events::EventsReader;
use self::failures::Failures as FailuresFile;
use self::in_order::InOrder;
use self::index::Index;
use self::inputs::InputsReader;
use self::open::{Opened, Wanted};
use self::writer::{Command, QUEUE, Writer};
use super::{
    Answers, AskedSample, Digest, Events, Failure, InputCounts, Inputs, Labelled, Notes, RowKey, RunLock, Store, Totals,
};
use crate::domain::answer::{AnswerKey, AnswerRecord};
use crate::domain::event::{By, StoredEvent};
use crate::domain::input::{Input, Names, NewInput};
use crate::domain::sample::{Position, SampleId};
use crate::error::{Error, Result};

/// A store whose parts agree, not yet at work. Dropped without [`LocalStore::start`], it leaves no mark, and the next
/// opening checks all.
#[derive(Debug)]
pub(crate) struct LocalStore {
    opened: Opened,
}

impl LocalStore {
    /// Opens or creates the store in the run directory `dir`, whose input log has its first line. `certified` is how far a
    /// checkpoint vouches for the label log.
    ///
    /// # Errors
    ///
    /// Those of `open::open`.
    pub(crate) fn open(
        dir: &Path,
        names: &Arc<Names>,
        refinery: &By,
        certified: Option<Digest>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Self> {
        Ok(Self { opened: open::open(&Wanted { dir, names, refinery, certified, stop })? })
    }

    /// What had to be mended, one sentence each.
    pub(crate) fn repairs(&self) -> &[String] {
        &self.opened.repairs
    }

    /// Sums over all stored answers.
    pub(crate) fn totals(&self) -> &Totals {
        &self.opened.applied.totals
    }

    /// Samples that no teacher named a label for.
    pub(crate) fn failed(&self) -> u64 {
        self.opened.applied.failed
    }

    /// Label events stored.
    pub(crate) fn events(&self) -> u64 {
        self.opened.events.len()
    }

    /// How far the input log goes.
    pub(crate) fn inputs(&self) -> InputCounts {
        self.opened.inputs.reader().counts()
    }

    /// A check of every entry of the index, to be run beside the rest: what it finds missing may have been lost silently.
    pub(crate) fn check(&self) -> impl FnOnce(&dyn Fn() -> bool) -> Result<()> + Send + 'static {
        let (index, applied) = (self.opened.index.clone(), self.opened.applied.clone());
        move |stop| index.verify(&applied, stop)
    }

    /// Starts the writer. It ends, and all is on disk, when the last handle is dropped.
    ///
    /// Its error is in the joined thread; a handle only learns that it is gone. `lock` is held by the thread and by
    /// every handle.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] where no thread can be started.
    pub(crate) fn start(self, dir: &Path, lock: Arc<RunLock>) -> Result<(Store, JoinHandle<Result<()>>)> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (written, seen) = watch::channel(self.events());
        let Opened { index, answers, inputs, events, applied, .. } = self.opened;
        let labels_ended = Arc::new(AtomicBool::new(false));
        let handle = Arc::new(Handle {
            sender,
            index: index.clone(),
            answers: answers.reader(),
            inputs: inputs.reader(),
            in_order: InOrder::default(),
            events: events.reader(),
            written: seen,
            labels_ended: Arc::clone(&labels_ended),
            _lock: Arc::clone(&lock),
        });
        let failures = FailuresFile::new(dir);
        let writer = Writer {
            dir: dir.to_owned(),
            answers,
            inputs,
            events,
            failures,
            index,
            applied,
            written,
            labels_ended,
            label_error: None,
            input_error: None,
            _lock: lock,
        };
        let thread = std::thread::Builder::new()
            .name("candist-store".to_owned())
            .spawn(move || writer.run(receiver))
            .map_err(Error::no_thread)?;
        let store = Store {
            answers: Arc::clone(&handle) as Arc<dyn Answers>,
            inputs: Arc::clone(&handle) as Arc<dyn Inputs>,
            events: Arc::clone(&handle) as Arc<dyn Events>,
            notes: handle,
        };
        Ok((store, thread))
    }
}

/// Sends commands to the writer, and reads.
///
/// Commands wait for room in the queue, on any thread. Reads happen where they are called, before the future is
/// polled, and block on the disk: tokio's workers keep away from them.
#[derive(Debug)]
struct Handle {
    sender: mpsc::Sender<Command>,
    index: Index,
    answers: AnswersReader,
    inputs: InputsReader,
    in_order: InOrder,
    events: EventsReader,
    written: watch::Receiver<u64>,
    /// Set when the label log can be written no more.
    labels_ended: Arc<AtomicBool>,
    /// The last field: held until the index is closed, or another process would find it in use.
    _lock: Arc<RunLock>,
}

impl Handle {
    /// Sends a command and waits until it is acknowledged. An error means that the writer is gone; why, its thread
    /// says.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T> {
        let (ack, done) = oneshot::channel();
        self.sender.send(command(ack)).await.map_err(|_| Error::gone("store"))?;
        done.await.map_err(|_| Error::gone("store"))
    }
}

impl Answers for Handle {
    fn find<'a>(&'a self, keys: &'a [AnswerKey]) -> BoxFuture<'a, Result<Vec<Option<AnswerRecord>>>> {
        ready(keys.iter().map(|&key| self.answers.find(key)).collect()).boxed()
    }

    fn keep(&self, records: Vec<AnswerRecord>) -> BoxFuture<'_, Result<()>> {
        self.ask(|ack| Command::Keep(records, ack)).boxed()
    }
}

impl Inputs for Handle {
    fn known<'a>(&'a self, ids: &'a [SampleId]) -> BoxFuture<'a, Result<Vec<Option<KnownSample>>>> {
        ready(ids.iter().map(|id| self.index.known(id)).collect()).boxed()
    }

    fn known_rows<'a>(&'a self, rows: &'a [RowKey]) -> BoxFuture<'a, Result<Vec<Option<KnownSample>>>> {
        ready(self.in_order.known(rows, &self.inputs, &self.index)).boxed()
    }

    fn append(&self, inputs: Vec<NewInput>) -> BoxFuture<'_, Result<InputCounts>> {
        self.ask(|ack| Command::Append(inputs, ack)).boxed()
    }

    fn counts(&self) -> InputCounts {
        self.inputs.counts()
    }

    fn read(&self, events: Range<u64>) -> BoxFuture<'_, Result<Vec<Input>>> {
        ready(self.inputs.read(events)).boxed()
    }

    fn samples(&self, positions: Range<Position>, end: u64) -> BoxFuture<'_, Result<Vec<AskedSample>>> {
        ready(self.inputs.samples(positions, end)).boxed()
    }
}

impl Events for Handle {
    fn append(&self, first: u64, events: Vec<Labelled>) -> BoxFuture<'_, Result<()>> {
        async move {
            // The queue still takes commands then, for answers; without this the student would go on for nothing.
            if self.labels_ended.load(Ordering::Relaxed) {
                return Err(Error::gone("store"));
            }
            self.sender.send(Command::Emit(first, events)).await.map_err(|_| Error::gone("store"))
        }
        .boxed()
    }

    fn written(&self) -> watch::Receiver<u64> {
        self.written.clone()
    }

    fn settle(&self) -> BoxFuture<'_, Result<()>> {
        self.ask(Command::Settle).boxed()
    }

    fn latest(&self, positions: Range<Position>, end: u64) -> BoxFuture<'_, Result<Vec<Option<(u64, StoredEvent)>>>> {
        ready(self.events.latest(positions, end)).boxed()
    }

    fn seal(&self, events: u64) -> BoxFuture<'_, Result<Digest>> {
        self.ask(move |ack| Command::Seal(events, ack)).boxed()
    }
}

impl Notes for Handle {
    fn note(&self, failure: Failure) -> BoxFuture<'_, Result<()>> {
        async { self.sender.send(Command::Note(failure)).await.map_err(|_| Error::gone("store")) }.boxed()
    }
}
