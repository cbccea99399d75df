//! The store: the only module that names sled and bincode.
//!
//! `journal` is the truth (every paid answer), `index` the sled trees that resume reads, `label_log` the file that users
//! read. `committer` is the one thread that writes all three; everyone else sends it commands or reads. `open` mends.

mod codec;
mod committer;
mod index;
mod journal;
mod label_log;
mod lock;
mod manifest;
mod open;
mod totals;

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

pub use committer::Annotated;
pub use index::{CheckpointPointer, Failure, KnownSample, StoredSample};
pub use journal::JournalLine;
pub(crate) use journal::journal_line_is_whole;
pub use lock::RunLock;
pub use manifest::Manifest;
pub use open::OPENING_THREAD;
pub use totals::Totals;

use self::committer::{Command, Committer, QUEUE};
use self::index::Index;
use crate::domain::answer::{AnswerKey, AnswerRecord};
use crate::domain::event::StoredEvent;
use crate::domain::label::LabelSet;
use crate::domain::sample::{Position, SampleId};
use crate::error::{Error, Result};

/// A store whose parts agree, not yet at work.
#[derive(Debug)]
pub struct Store {
    opened: open::Opened,
    labels: LabelSet,
}

impl Store {
    /// Opens or creates the store in the run directory `dir`, mending what can be mended. The caller holds the lock.
    pub fn open(dir: &Path, labels: &LabelSet) -> Result<Self> {
        Ok(Self { opened: open::open(dir, labels)?, labels: labels.clone() })
    }

    /// What had to be mended, one sentence each.
    #[must_use]
    pub fn repairs(&self) -> &[String] {
        &self.opened.repairs
    }

    /// Reads what is stored.
    #[must_use]
    pub fn reader(&self) -> StoreReader {
        StoreReader { index: self.opened.index.clone() }
    }

    /// Sums over all stored answers.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.opened.totals
    }

    /// How many answers, samples and label events are stored.
    #[must_use]
    pub fn counts(&self) -> (u64, u64, u64) {
        let applied = self.opened.applied;
        (applied.answers, applied.samples, applied.events)
    }

    /// Forgets the bad rows and unanswered samples of earlier runs: this one finds out which there are now.
    pub fn forget_passing_failures(&self) -> Result<()> {
        self.opened.index.remove_failures("row:")?;
        self.opened.index.remove_failures("unanswered:")
    }

    /// Forgets the checkpoint: labels are replayed from the first answer.
    pub fn forget_checkpoint(&self) -> Result<()> {
        self.opened.index.forget_checkpoint()
    }

    /// Starts the committer. It ends, and all is on disk, when the last handle is dropped.
    pub fn start(self) -> Result<(StoreHandle, JoinHandle<Result<()>>)> {
        let reader = self.reader();
        let (sender, receiver) = mpsc::channel(QUEUE);
        let committer = Committer::new(self.opened, self.labels);
        let thread = std::thread::Builder::new()
            .name("candist-store".to_owned())
            .spawn(move || committer.run(receiver))
            .map_err(|source| Error::RunFile { action: "start the thread of", path: PathBuf::from("store"), source })?;
        Ok((StoreHandle { sender, reader }, thread))
    }
}

/// Sends commands to the committer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StoreHandle {
    sender: mpsc::Sender<Command>,
    reader: StoreReader,
}

impl StoreHandle {
    /// Reads what is stored.
    #[must_use]
    pub fn reader(&self) -> &StoreReader {
        &self.reader
    }

    /// Keeps an answer. When this returns it is on disk.
    pub async fn record(&self, record: AnswerRecord) -> Result<()> {
        let (ack, done) = oneshot::channel();
        self.send(Command::Record(Box::new(record), ack)).await?;
        done.await.map_err(|_| Error::gone("store"))
    }

    /// Gives samples the next positions, in order; returns the first.
    pub async fn place(&self, batch: Vec<Annotated>) -> Result<Position> {
        let (ack, done) = oneshot::channel();
        self.send(Command::Place(batch, ack)).await?;
        done.await.map_err(|_| Error::gone("store"))
    }

    async fn send(&self, command: Command) -> Result<()> {
        self.sender.send(command).await.map_err(|_| Error::gone("store"))
    }

    fn send_blocking(&self, command: Command) -> Result<()> {
        self.sender.blocking_send(command).map_err(|_| Error::gone("store"))
    }

    /// Keeps why a row cannot be used. `place` is its file and line. Not on a tokio worker.
    pub fn bad_row(&self, place: String, reason: String) -> Result<()> {
        self.send_blocking(Command::Fail { kind: "row", failure: Failure { id: place, reason } })
    }

    /// Keeps why a sample has no answer yet.
    pub async fn unanswered(&self, id: SampleId, reason: String) -> Result<()> {
        self.send(Command::Fail { kind: "unanswered", failure: Failure { id: id.0, reason } }).await
    }

    /// Keeps events, the first of which has `offset`, and writes them to the label log. Not on a tokio worker.
    pub fn emit(&self, offset: u64, events: Vec<StoredEvent>) -> Result<()> {
        self.send_blocking(Command::Emit(offset, events))
    }

    /// Remembers a checkpoint whose file is in place, after all events sent before. Not on a tokio worker.
    pub fn checkpoint(&self, pointer: CheckpointPointer) -> Result<()> {
        self.send_blocking(Command::Checkpoint(pointer))
    }

    /// Returns when all that was sent before is stored. Not on a tokio worker.
    pub fn barrier(&self) -> Result<()> {
        let (ack, done) = oneshot::channel();
        self.send_blocking(Command::Barrier(ack))?;
        done.blocking_recv().map_err(|_| Error::gone("store"))
    }
}

/// Reads what is stored. Reads may touch the disk, so not on a tokio worker.
#[derive(Debug, Clone)]
pub struct StoreReader {
    index: Index,
}

impl StoreReader {
    /// The answer under `key`.
    pub fn answer(&self, key: AnswerKey) -> Result<Option<AnswerRecord>> {
        self.index.answer(key)
    }

    /// What is known of `id`.
    pub fn known(&self, id: &SampleId) -> Result<Option<KnownSample>> {
        self.index.known(id)
    }

    /// The sample at `position`.
    pub fn sample(&self, position: Position) -> Result<Option<StoredSample>> {
        self.index.sample(position)
    }

    /// The latest event, with its offset, of the sample at `position` among the events before `offset`.
    pub fn latest_before(&self, position: Position, offset: u64) -> Result<Option<(u64, StoredEvent)>> {
        let mut at = self.index.latest(position)?;
        while let Some(found) = at {
            let Some(event) = self.index.event(found)? else { break };
            if found < offset {
                return Ok(Some((found, event)));
            }
            at = event.previous;
        }
        Ok(None)
    }

    /// The latest checkpoint.
    pub fn checkpoint(&self) -> Result<Option<CheckpointPointer>> {
        self.index.checkpoint()
    }

    /// Failed rows and samples, unanswered ones.
    pub fn failures(&self) -> Result<Vec<(FailureKind, Failure)>> {
        let kind = |key: &str| match key.split_once(':') {
            Some(("row", _)) => FailureKind::Row,
            Some(("unanswered", _)) => FailureKind::Unanswered,
            _ => FailureKind::Sample,
        };
        Ok(self.index.failures()?.into_iter().map(|(key, failure)| (kind(&key), failure)).collect())
    }

    /// Every answer, the latest try of each.
    pub fn answers(&self) -> impl Iterator<Item = Result<AnswerRecord>> + '_ {
        self.index.answers()
    }

    /// How many failures there are of each kind.
    pub fn failure_counts(&self) -> Result<FailureCounts> {
        let failures = self.index.failures()?;
        let count = |prefix: &str| failures.iter().filter(|(key, _)| key.starts_with(prefix)).count() as u64;
        Ok(FailureCounts { samples: count("sample:"), rows: count("row:"), unanswered: count("unanswered:") })
    }
}

/// What a failure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
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

/// Numbers of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureCounts {
    /// Samples that no teacher named a label for.
    pub samples: u64,
    /// Rows of the corpus that cannot be used.
    pub rows: u64,
    /// Samples that the last run could not get an answer for.
    pub unanswered: u64,
}

/// Moves the label log of other settings away and drops what was derived for it; answers stay.
///
/// Safe to interrupt anywhere: it is done again until the manifest has the new settings.
pub fn start_new_labels(dir: &Path) -> Result<Option<PathBuf>> {
    let log = dir.join("labels.jsonl");
    let mut moved = None;
    if log.exists() {
        let aside = open::free_name(dir, "labels.old.jsonl");
        std::fs::rename(&log, &aside).map_err(Error::run_file("move", &log))?;
        moved = Some(aside);
    }
    for folder in ["store", "checkpoints"] {
        let path = dir.join(folder);
        if path.exists() {
            std::fs::remove_dir_all(&path).map_err(Error::run_file("remove", &path))?;
        }
        // Empty, not missing: what is rebuilt then is no repair.
        std::fs::create_dir(&path).map_err(Error::run_file("create", &path))?;
    }
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::journal::tests::{labels, record};
    use super::*;
    use crate::domain::candidates::{CandidateSet, Opinion};
    use crate::domain::event::By;
    use crate::domain::label::LabelId;
    use crate::domain::sample::Sample;

    fn event(position: Position, label: u16, previous: Option<u64>) -> StoredEvent {
        StoredEvent {
            position,
            label: LabelId(label),
            confidence: 0.5,
            by: By::Posterior,
            revision: 0,
            student: 0,
            is_final: false,
            previous,
        }
    }

    fn annotated(id: &str) -> Annotated {
        Annotated {
            sample: Sample { id: SampleId(id.into()), text: format!("text of {id}") },
            candidates: CandidateSet::merge([Opinion::of(0, &[LabelId(1)], &[])]),
            failure: None,
        }
    }

    /// Three answers, two samples, three events.
    fn fill(dir: &Path) {
        let (store, thread) = Store::open(dir, &labels()).unwrap().start().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for number in 1..4 {
                store.record(record(number)).await.unwrap();
            }
            assert_eq!(store.place(vec![annotated("x"), annotated("y")]).await.unwrap(), 0);
        });
        store.emit(0, vec![event(0, 1, None), event(1, 2, None)]).unwrap();
        store.emit(2, vec![event(0, 2, Some(0))]).unwrap();
        drop(store);
        thread.join().unwrap().unwrap();
    }

    fn reopen(dir: &Path) -> (Store, Vec<String>) {
        let store = Store::open(dir, &labels()).unwrap();
        let repairs = store.repairs().to_vec();
        (store, repairs)
    }

    #[test]
    fn all_that_was_written_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        let (store, repairs) = reopen(dir.path());
        assert_eq!((store.counts(), repairs), ((3, 2, 3), vec![]));
        let reader = store.reader();
        assert_eq!(reader.answer(record(2).key).unwrap(), Some(record(2)));
        assert_eq!(reader.known(&SampleId("y".into())).unwrap().unwrap().position, 1);
        assert_eq!(reader.sample(1).unwrap().unwrap().text, "text of y");
        let labels = std::fs::read_to_string(dir.path().join("labels.jsonl")).unwrap();
        assert_eq!(labels.lines().count(), 3);
        assert!(labels.lines().nth(2).unwrap().starts_with(r#"{"offset":2,"id":"x","label":"c""#));
    }

    #[test]
    fn the_past_of_a_label_can_be_looked_up() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        let reader = reopen(dir.path()).0.reader();
        let at = |offset| reader.latest_before(0, offset).unwrap().map(|(found, event)| (found, event.label.0));
        assert_eq!([at(0), at(1), at(2), at(3), at(9)], [None, Some((0, 1)), Some((0, 1)), Some((2, 2)), Some((2, 2))]);
    }

    #[test]
    fn a_lost_or_junk_store_is_rebuilt_from_the_journal() {
        for junk in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            fill(dir.path());
            let path = dir.path().join("store");
            std::fs::remove_dir_all(&path).unwrap();
            if junk {
                std::fs::create_dir(&path).unwrap();
                std::fs::write(path.join("conf"), b"junk").unwrap();
                std::fs::write(path.join("db"), vec![7; 10_000]).unwrap();
            }
            let (store, repairs) = reopen(dir.path());
            assert_eq!(repairs.len(), 1, "{repairs:?}");
            assert_eq!(store.counts(), (3, 0, 0));
            assert_eq!(store.reader().answer(record(3).key).unwrap(), Some(record(3)));
        }
    }

    #[test]
    fn a_half_written_snapshot_does_not_block_opening() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        std::fs::write(dir.path().join("store/snap.FFFFFFFFFFFFFFFF.generating"), b"half").unwrap();
        let (store, repairs) = reopen(dir.path());
        assert_eq!((store.counts(), repairs), ((3, 2, 3), vec![]));
    }

    #[test]
    fn a_lost_or_damaged_journal_is_put_back_from_the_store() {
        for damage in ["delete", "flip", "truncate"] {
            let dir = tempfile::tempdir().unwrap();
            fill(dir.path());
            let path = dir.path().join("answers.jsonl");
            let content = std::fs::read(&path).unwrap();
            match damage {
                "delete" => std::fs::remove_file(&path).unwrap(),
                "flip" => {
                    std::fs::write(&path, String::from_utf8(content).unwrap().replacen("id-2", "id-9", 1)).unwrap()
                }
                _ => std::fs::write(&path, &content[..content.len() / 2]).unwrap(),
            }
            let (store, repairs) = reopen(dir.path());
            assert!(repairs.iter().any(|repair| repair.contains("put back from store/")), "{damage}: {repairs:?}");
            drop(store);
            std::fs::remove_dir_all(dir.path().join("store")).unwrap();
            assert_eq!(reopen(dir.path()).0.counts().0, 3, "{damage}");
        }
    }

    #[test]
    fn a_line_that_took_anothers_place_in_the_journal_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        let path = dir.path().join("answers.jsonl");
        let content = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = content.split_inclusive('\n').collect();
        std::fs::write(&path, [lines[0], lines[0], lines[2]].concat()).unwrap();
        let (_, repairs) = reopen(dir.path());
        assert!(repairs.iter().any(|repair| repair.contains("1 lost answer(s) put back")), "{repairs:?}");
    }

    #[test]
    fn the_later_attempt_is_the_answer_whatever_the_order() {
        let dir = tempfile::tempdir().unwrap();
        let late = AnswerRecord { attempt: 2, ..record(1) };
        for order in [[record(1), late.clone()], [late.clone(), record(1)]] {
            let (store, thread) = Store::open(dir.path(), &labels()).unwrap().start().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                for record in order {
                    store.record(record).await.unwrap();
                }
            });
            drop(store);
            thread.join().unwrap().unwrap();
            assert_eq!(reopen(dir.path()).0.reader().answer(late.key).unwrap(), Some(late.clone()));
        }
        // Lost from the journal, it comes back from the store.
        let path = dir.path().join("answers.jsonl");
        let content = std::fs::read_to_string(&path).unwrap();
        let first: String = content.split_inclusive('\n').filter(|line| line.contains("\"attempt\":1")).collect();
        std::fs::write(&path, first).unwrap();
        drop(reopen(dir.path()));
        assert!(std::fs::read_to_string(&path).unwrap().contains("\"attempt\":2"));
    }

    #[test]
    fn an_event_that_comes_again_must_be_the_same() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        let (store, thread) = reopen(dir.path()).0.start().unwrap();
        store.emit(1, vec![event(1, 2, None)]).unwrap();
        store.barrier().unwrap();
        store.emit(1, vec![event(1, 0, None)]).unwrap();
        assert!(store.barrier().is_err());
        assert!(matches!(thread.join().unwrap(), Err(Error::Replay { offset: 1, .. })));
    }

    #[test]
    fn a_label_log_behind_the_store_is_brought_level() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        let path = dir.path().join("labels.jsonl");
        let content = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &content[..content.len() / 2]).unwrap();
        drop(reopen(dir.path()));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
}
