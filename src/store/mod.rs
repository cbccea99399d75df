//! What a run keeps, behind small traits: answers, inputs, label events, notes of failures; checkpoints are files.
//!
//! `local` is the store of one machine (sled and the logs). `RunDir` is the one way into a run directory: `view` to look,
//! without lock or write; `own` to run.

mod answer_line;
mod checkpoints;
mod header;
#[cfg(feature = "page")]
mod input_tail;
mod local;
mod lock;
mod manifest;
mod outside;
mod raw;
mod run_dir;
mod tail;
mod totals;
mod view;

use std::ops::Range;
use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub(crate) use self::answer_line::AnswerLine;
#[cfg(any(feature = "page", feature = "shared"))]
pub(crate) use self::answer_line::parse as parse_answer;
pub(crate) use self::checkpoints::CheckpointFiles;
pub(crate) use self::checkpoints::Checkpoints;
#[cfg(feature = "page")]
pub(crate) use self::input_tail::{FollowInput, InputTail};
#[cfg(any(feature = "page", feature = "shared"))]
pub(crate) use self::local::INPUTS;
pub(crate) use self::local::KnownSample;
pub(crate) use self::local::LabelTally;
pub(crate) use self::local::LocalStore;
pub use self::local::OPENING_THREAD;
pub(crate) use self::local::audit_line::{AuditLine, DrawnText};
pub(crate) use self::local::audits::{Audits, FILE as AUDITS, change as change_audits, no_audit};
#[cfg(any(test, feature = "shared"))]
pub(crate) use self::local::corrections::keep as keep_corrections;
#[cfg(feature = "page")]
pub(crate) use self::local::corrections::keep_while as keep_corrections_while;
pub(crate) use self::local::corrections::{
    Correction, CorrectionLine, Corrections, FILE as CORRECTIONS, change as change_corrections,
};
pub(crate) use self::local::drawn_audit::{AuditLabel, AuditText, DrawnAudit};
pub(crate) use self::local::forget_failures;
#[cfg(feature = "page")]
pub(crate) use self::local::shared_log::FileId;
#[cfg(feature = "shared")]
pub(crate) use self::local::{ANSWERS, LABELS};
pub use self::lock::RunLock;
pub(crate) use self::outside::outside;
pub(crate) use self::raw::{Ended, Place, RawAnswers, RawLogs, changed};
#[cfg(feature = "shared")]
pub(crate) use self::run_dir::FETCHING;
pub use self::run_dir::RunDir;
pub(crate) use self::run_dir::{Identity, OwnedRun};
pub use self::tail::{Follow, Tail};
pub use self::totals::Totals;
pub use self::view::{RunView, ViewCounts};

use crate::domain::answer::{AnswerKey, AnswerRecord};
use crate::domain::candidates::CandidateSet;
use crate::domain::event::{LabelEvent, StoredEvent};
use crate::domain::input::{Input, NewInput};
use crate::domain::label::LabelId;
use crate::domain::sample::{Position, Sample, SampleId, TextHash};
use crate::error::Result;

/// What was paid for. Reads may block on the disk where they are called; see `local`.
pub(crate) trait Answers: Send + Sync {
    /// The answer under each of `keys`, in their order, the latest try of it. `None` also for one whose line is
    /// damaged.
    fn find<'a>(&'a self, keys: &'a [AnswerKey]) -> BoxFuture<'a, Result<Vec<Option<AnswerRecord>>>>;

    /// Keeps answers. They are on disk when this returns; before that they count as nothing. An error means that the
    /// store has ended, and its thread says why; the answers may be kept all the same.
    fn keep(&self, records: Vec<AnswerRecord>) -> BoxFuture<'_, Result<()>>;
}

/// A row of the corpus: its id and, by hash, its text.
#[derive(Debug, Clone)]
pub(crate) struct RowKey {
    pub id: SampleId,
    pub text_hash: TextHash,
}

impl RowKey {
    pub(crate) fn of(sample: &Sample) -> Self {
        Self { id: sample.id.clone(), text_hash: TextHash::of(&sample.text) }
    }
}

/// Inputs that are appended together, at most, before the next wait for them: what a power cut may tear.
pub(crate) const APPENDED_TOGETHER: usize = 256;

/// The input log: what happened, in order.
pub(crate) trait Inputs: Send + Sync {
    /// What is known of each of `ids`.
    fn known<'a>(&'a self, ids: &'a [SampleId]) -> BoxFuture<'a, Result<Vec<Option<KnownSample>>>>;

    /// The same of rows that one reader of the corpus gives, a part after the other. Rows that come in the order in which they
    /// arrived before cost least.
    fn known_rows<'a>(&'a self, rows: &'a [RowKey]) -> BoxFuture<'a, Result<Vec<Option<KnownSample>>>>;

    /// Appends events, in order, [`APPENDED_TOGETHER`] at most. They are on disk when this returns the counts of then.
    fn append(&self, inputs: Vec<NewInput>) -> BoxFuture<'_, Result<InputCounts>>;

    /// How far the log goes: what is counted can be read.
    fn counts(&self) -> InputCounts;

    /// The events of these numbers, which are there.
    fn read(&self, events: Range<u64>) -> BoxFuture<'_, Result<Vec<Input>>>;

    /// The samples at `positions`, which have arrived, with the answers they had when the events before number `end` were
    /// all that there was.
    fn samples(&self, positions: Range<Position>, end: u64) -> BoxFuture<'_, Result<Vec<AskedSample>>>;
}

/// A sample's latest event with its offset, if it has any.
pub(crate) type Latest = Option<(u64, StoredEvent)>;

/// The label log. One thread appends, the student's.
pub(crate) trait Events: Send + Sync {
    /// Appends events, the first of which has the offset `first`, and returns when they are accepted; an error of an earlier
    /// call may surface in a later one. Events that are there already must be the same.
    fn append(&self, first: u64, events: Vec<Labelled>) -> BoxFuture<'_, Result<()>>;

    /// How many events are in the log, as it grows. Closed when no more come.
    fn written(&self) -> watch::Receiver<u64>;

    /// Returns when all that was accepted is stored, for [`Events::latest`] to see.
    fn settle(&self) -> BoxFuture<'_, Result<()>>;

    /// The latest event, with its offset, of each sample in `positions` among the events before `end`.
    fn latest(&self, positions: Range<Position>, end: u64) -> BoxFuture<'_, Result<Vec<Latest>>>;

    /// Makes the first `events` events, which are there, durable; gives what tells them from others.
    fn seal(&self, events: u64) -> BoxFuture<'_, Result<Digest>>;
}

/// Notes of what failed in this run, which the next one finds out anew. They may be lost.
pub(crate) trait Notes: Send + Sync {
    /// Keeps a note.
    fn note(&self, failure: Failure) -> BoxFuture<'_, Result<()>>;
}

/// Someone who is given every label event once it is in the log, in order: a user's own table, queue or socket.
///
/// A sink works on a thread of its own and is given what stands in the label log, so a slow one holds up neither labels nor
/// anything that was paid for; the run waits for it at its end. Events never change under their offset.
///
/// ```
/// use candist::{LabelEvent, Sink};
///
/// /// Prints final labels, from the run's first on, each time that it goes on.
/// struct Print;
///
/// impl Sink for Print {
///     fn write(&mut self, events: &[LabelEvent]) -> Result<(), String> {
///         for event in events.iter().filter(|event| event.is_final) {
///             println!("{}: {} ({:.2})", event.id, event.label, event.confidence);
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Sink: Send {
    /// Called once, before anything is written: the offset of the first event that is wanted, where those before it were
    /// taken in by an earlier run. What was not handed on then, because of a kill or an error, comes now.
    ///
    /// `log` tells label logs apart: other settings begin another one, with other events from offset 0 on. A sink that
    /// outlives a run keeps it beside what it has.
    ///
    /// # Errors
    ///
    /// An error ends the run, as one of the others does.
    fn begin(&mut self, _log: &str) -> Result<u64, String> {
        Ok(0)
    }

    /// Takes the next events, at least one.
    ///
    /// # Errors
    ///
    /// An error ends the run with [`Error::Sink`](crate::Error::Sink). The next run begins with what [`Sink::begin`] asks for.
    fn write(&mut self, events: &[LabelEvent]) -> Result<(), String>;

    /// The run ends, complete or not; nothing comes any more.
    ///
    /// # Errors
    ///
    /// An error ends the run with [`Error::Sink`](crate::Error::Sink).
    fn end(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// All that a run keeps. Cheap to clone; the store closes when the last clone is gone.
#[derive(Clone)]
pub(crate) struct Store {
    /// See the trait.
    pub answers: Arc<dyn Answers>,
    /// See the trait.
    pub inputs: Arc<dyn Inputs>,
    /// See the trait.
    pub events: Arc<dyn Events>,
    /// See the trait.
    pub notes: Arc<dyn Notes>,
}

/// A sample with what the teachers said of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AskedSample {
    /// How many arrived before.
    pub position: Position,
    /// Id and text.
    pub sample: Sample,
    /// Empty for a failure.
    pub candidates: CandidateSet,
}

/// A label event with what its line needs besides.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Labelled {
    /// The event.
    pub event: StoredEvent,
    /// How far the label is ahead of the next, 0 to 1, rounded to 4 digits. For the line alone: nothing follows from it.
    pub margin: f32,
    /// The next likeliest labels, as [`LabelEvent::others`](crate::domain::event::LabelEvent::others) has them. For the line alone
    /// too.
    pub others: Vec<(LabelId, f32)>,
    /// The sample's id.
    pub id: SampleId,
    /// Its candidates, likeliest first.
    pub candidates: Vec<LabelId>,
}

/// How far an input log goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct InputCounts {
    /// Events.
    pub events: u64,
    /// Of these, arrivals.
    pub samples: u64,
    /// Events up to and with the last end of the corpus; `None` before the first.
    pub ended: Option<u64>,
}

/// The first part of a file of lines, and what tells it from others. Whole lines; finds accidents, not intent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Digest {
    /// Its lines.
    pub lines: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Their CRC-32.
    pub crc: u32,
}

impl Digest {
    /// The part that is longer by `line`, which has its line feed. Costs the line, not the part.
    #[must_use]
    pub(crate) fn with(self, line: &[u8]) -> Self {
        let mut hasher = crc32fast::Hasher::new_with_initial_len(self.crc, self.bytes);
        hasher.update(line);
        Self { lines: self.lines + 1, bytes: self.bytes + line.len() as u64, crc: hasher.finalize() }
    }
}

/// What a failure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FailureKind {
    /// A sample that no teacher named a label for.
    #[serde(rename = "failed")]
    Sample,
    /// A row of the corpus that cannot be used.
    #[serde(rename = "bad row")]
    Row,
    /// A sample that the last run could not get an answer for.
    Unanswered,
}

/// Why a sample or a row has no label of a teacher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// Of what.
    pub kind: FailureKind,
    /// The sample's id, or file and line of a row.
    pub id: String,
    /// What happened.
    pub reason: String,
}

/// Numbers of failures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureCounts {
    /// Samples that no teacher named a label for.
    pub samples: u64,
    /// Rows of the corpus that cannot be used.
    pub rows: u64,
    /// Samples that the last run could not get an answer for.
    pub unanswered: u64,
}
