//! The index: what resume and sweeps read. sled trees of encoded values; all of it can be rebuilt.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::codec::{Undecodable, decode, encode};
use super::journal::Extent;
use crate::domain::answer::{AnswerKey, AnswerRecord};
use crate::domain::candidates::CandidateSet;
use crate::domain::event::StoredEvent;
use crate::domain::sample::{Position, Sample, SampleId, TextHash};
use crate::error::{Error, Result};

/// sled's page cache; the part of memory that the store takes, whatever the corpus' size.
const CACHE_BYTES: u64 = 64 << 20;

/// A sample at its position, with what came of asking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredSample {
    /// Its id.
    pub id: SampleId,
    /// Its text.
    pub text: String,
    /// Its candidates; empty for a failure.
    pub candidates: CandidateSet,
}

/// What is known of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSample {
    /// Where it stands.
    pub position: Position,
    /// Its text, by hash.
    pub text_hash: TextHash,
}

/// Why a sample or a row has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The sample's id, or file and line of a row.
    pub id: String,
    /// What happened.
    pub reason: String,
}

/// Where the latest checkpoint is, and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointPointer {
    /// The file's name in `checkpoints/`.
    pub file: String,
    /// BLAKE3 of the file, hexadecimal.
    pub hash: String,
    /// Samples consumed by then.
    pub position: Position,
    /// Events emitted by then.
    pub offset: u64,
}

/// Every tree, open.
#[derive(Debug, Clone)]
pub(super) struct Index {
    db: sled::Db,
    path: PathBuf,
    meta: sled::Tree,
    answers: sled::Tree,
    samples: sled::Tree,
    by_id: sled::Tree,
    labels: sled::Tree,
    latest: sled::Tree,
    failures: sled::Tree,
}

/// How much an index holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) answers: u64,
    pub(super) samples: u64,
    pub(super) events: u64,
    pub(super) failures: u64,
}

/// What the index holds for sure.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Applied {
    pub(super) journal: Extent,
    pub(super) answers: u64,
    pub(super) samples: u64,
    pub(super) events: u64,
    /// Lines that the label log had when the index was made: more than `events` while these come again.
    pub(super) log_lines: u64,
}

impl Index {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Self::open_trees(path).map_err(|error| failed(path, error))
    }

    fn open_trees(path: &Path) -> Result<Self, sled::Error> {
        let db = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            // The committer flushes when it must; this bounds what an idle run leaves unwritten.
            .flush_every_ms(Some(500))
            .open()?;
        let tree = |name: &str| db.open_tree(name);
        Ok(Self {
            meta: tree("meta")?,
            answers: tree("answers")?,
            samples: tree("samples")?,
            by_id: tree("by_id")?,
            labels: tree("labels")?,
            latest: tree("latest")?,
            failures: tree("failures")?,
            path: path.to_owned(),
            db,
        })
    }

    fn damaged(&self, what: impl std::fmt::Display) -> Error {
        Error::StoreDamaged { path: self.path.clone(), message: what.to_string() }
    }

    fn get<T: DeserializeOwned>(&self, tree: &sled::Tree, key: &[u8]) -> Result<Option<T>> {
        let bytes = tree.get(key).map_err(|error| failed(&self.path, error))?;
        bytes.map(|bytes| decode(&bytes).map_err(|Undecodable(why)| self.damaged(why))).transpose()
    }

    fn put<T: Serialize>(&self, tree: &sled::Tree, key: &[u8], value: &T) -> Result<()> {
        let bytes = encode(value).map_err(|Undecodable(why)| self.damaged(why))?;
        tree.insert(key, bytes).map_err(|error| failed(&self.path, error))?;
        Ok(())
    }

    pub(super) fn answer(&self, key: AnswerKey) -> Result<Option<AnswerRecord>> {
        self.get(&self.answers, &key.0)
    }

    pub(super) fn known(&self, id: &SampleId) -> Result<Option<KnownSample>> {
        self.get(&self.by_id, id.0.as_bytes())
    }

    pub(super) fn sample(&self, position: Position) -> Result<Option<StoredSample>> {
        self.get(&self.samples, &position.to_be_bytes())
    }

    pub(super) fn event(&self, offset: u64) -> Result<Option<StoredEvent>> {
        self.get(&self.labels, &offset.to_be_bytes())
    }

    /// The offset of the latest event of the sample at `position`.
    pub(super) fn latest(&self, position: Position) -> Result<Option<u64>> {
        self.get(&self.latest, &position.to_be_bytes())
    }

    pub(super) fn checkpoint(&self) -> Result<Option<CheckpointPointer>> {
        self.get(&self.meta, b"checkpoint")
    }

    pub(super) fn applied(&self) -> Result<Applied> {
        Ok(self.get(&self.meta, b"applied")?.unwrap_or_default())
    }

    pub(super) fn set_applied(&self, applied: &Applied) -> Result<()> {
        self.put(&self.meta, b"applied", applied)
    }

    pub(super) fn set_checkpoint(&self, pointer: &CheckpointPointer) -> Result<()> {
        self.put(&self.meta, b"checkpoint", pointer)
    }

    pub(super) fn forget_checkpoint(&self) -> Result<()> {
        self.meta.remove(b"checkpoint").map_err(|error| failed(&self.path, error))?;
        Ok(())
    }

    /// Keeps an answer, unless there is one of a later attempt. Whether it is the first under its key.
    pub(super) fn put_answer(&self, record: &AnswerRecord) -> Result<bool> {
        let known = self.answer(record.key)?;
        if known.is_some_and(|known| known.attempt > record.attempt) {
            return Ok(false);
        }
        let bytes = encode(record).map_err(|Undecodable(why)| self.damaged(why))?;
        let before = self.answers.insert(record.key.0, bytes).map_err(|error| failed(&self.path, error))?;
        Ok(before.is_none())
    }

    pub(super) fn put_sample(&self, position: Position, sample: &Sample, candidates: &CandidateSet) -> Result<()> {
        let stored = StoredSample { id: sample.id.clone(), text: sample.text.clone(), candidates: candidates.clone() };
        let known = KnownSample { position, text_hash: TextHash::of(&sample.text) };
        self.put(&self.samples, &position.to_be_bytes(), &stored)?;
        self.put(&self.by_id, sample.id.0.as_bytes(), &known)
    }

    pub(super) fn put_event(&self, offset: u64, event: &StoredEvent) -> Result<()> {
        self.put(&self.labels, &offset.to_be_bytes(), event)?;
        self.put(&self.latest, &event.position.to_be_bytes(), &offset)
    }

    pub(super) fn put_failure(&self, key: &str, failure: &Failure) -> Result<()> {
        self.put(&self.failures, key.as_bytes(), failure)
    }

    pub(super) fn remove_failures(&self, prefix: &str) -> Result<()> {
        for key in self.failures.scan_prefix(prefix).keys() {
            self.failures
                .remove(key.map_err(|error| failed(&self.path, error))?)
                .map_err(|error| failed(&self.path, error))?;
        }
        Ok(())
    }

    pub(super) fn failures(&self) -> Result<Vec<(String, Failure)>> {
        self.failures
            .iter()
            .map(|entry| {
                let (key, value) = entry.map_err(|error| failed(&self.path, error))?;
                let failure = decode(&value).map_err(|Undecodable(why)| self.damaged(why))?;
                Ok((String::from_utf8_lossy(&key).into_owned(), failure))
            })
            .collect()
    }

    /// Every answer.
    pub(super) fn answers(&self) -> impl Iterator<Item = Result<AnswerRecord>> + '_ {
        self.answers.iter().values().map(|value| {
            let value = value.map_err(|error| failed(&self.path, error))?;
            decode(&value).map_err(|Undecodable(why)| self.damaged(why))
        })
    }

    pub(super) fn flush(&self) -> Result<()> {
        self.db.flush().map_err(|error| failed(&self.path, error))?;
        Ok(())
    }

    /// Reads everything there is and counts it: finds missing, torn and misplaced entries.
    ///
    /// A crash may part the last sample, or the last event, from its entry in the other tree; that one is put there.
    pub(super) fn verify(&self) -> Result<Counts> {
        let mut counts = Counts::default();
        for answer in self.answers() {
            answer?;
            counts.answers += 1;
        }
        counts.samples = self.verify_samples()?;
        counts.events = self.verify_events(counts.samples)?;
        counts.failures = self.failures()?.len() as u64;
        self.checkpoint()?;
        Ok(counts)
    }

    fn verify_samples(&self) -> Result<u64> {
        let mut count: u64 = 0;
        let mut parted: Option<(SampleId, KnownSample)> = None;
        for entry in &self.samples {
            let (key, value) = entry.map_err(|error| failed(&self.path, error))?;
            let sample: StoredSample = decode(&value).map_err(|Undecodable(why)| self.damaged(why))?;
            let expected = KnownSample { position: count, text_hash: TextHash::of(&sample.text) };
            let known = self.known(&sample.id)?;
            if *key != count.to_be_bytes() || known.is_some_and(|known| known != expected) || parted.is_some() {
                return Err(self.damaged(format!("sample {count} is not as it was written")));
            }
            if known.is_none() {
                parted = Some((sample.id, expected));
            }
            count += 1;
        }
        if let Some((id, known)) = parted {
            self.put(&self.by_id, id.0.as_bytes(), &known)?;
        }
        Ok(count)
    }

    fn verify_events(&self, samples: u64) -> Result<u64> {
        let mut count: u64 = 0;
        let mut parted: Option<(Position, u64)> = None;
        for entry in &self.labels {
            let (key, value) = entry.map_err(|error| failed(&self.path, error))?;
            let event: StoredEvent = decode(&value).map_err(|Undecodable(why)| self.damaged(why))?;
            if *key != count.to_be_bytes() || event.position >= samples || parted.is_some() {
                return Err(self.damaged(format!("label event {count} is not as it was written")));
            }
            if self.latest(event.position)?.is_none_or(|latest| latest < count) {
                parted = Some((event.position, count));
            }
            count += 1;
        }
        if let Some((position, offset)) = parted {
            self.put(&self.latest, &position.to_be_bytes(), &offset)?;
        }
        Ok(count)
    }
}

/// What sled's error means: the machine refuses, another program has the files, or they are damaged.
fn failed(path: &Path, error: sled::Error) -> Error {
    /// Operation not permitted, I/O error, out of memory, permission denied, too many files (two), file too large, no
    /// space, read-only, quota; see errno(3). Any other may come of reading at a damaged offset.
    const REFUSALS: [i32; 10] = [1, 5, 12, 13, 23, 24, 27, 28, 30, 122];
    match error {
        sled::Error::Io(source) if source.raw_os_error().is_some_and(|code| REFUSALS.contains(&code)) => {
            Error::RunFile { action: "use", path: path.to_owned(), source }
        }
        sled::Error::Io(source) if source.to_string().contains("could not acquire lock") => {
            Error::Busy { path: path.to_owned() }
        }
        other => Error::StoreDamaged { path: path.to_owned(), message: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::candidates::Opinion;
    use crate::domain::event::By;
    use crate::domain::label::LabelId;

    /// Three samples with an event each.
    fn filled(dir: &Path) -> Index {
        let index = Index::open(dir).unwrap();
        for position in 0..3 {
            let sample = Sample { id: SampleId(format!("id-{position}")), text: format!("text {position}") };
            index.put_sample(position, &sample, &CandidateSet::merge([Opinion::of(0, &[LabelId(0)], &[])])).unwrap();
            let event = StoredEvent {
                position,
                label: LabelId(0),
                confidence: 1.0,
                by: By::Posterior,
                revision: 0,
                student: 0,
                is_final: false,
                previous: None,
            };
            index.put_event(position, &event).unwrap();
        }
        index
    }

    #[test]
    fn what_a_crash_parted_at_the_end_is_put_together() {
        let dir = tempfile::tempdir().unwrap();
        let index = filled(dir.path());
        index.by_id.remove("id-2").unwrap();
        index.latest.remove(2_u64.to_be_bytes()).unwrap();
        let counts = index.verify().unwrap();
        assert_eq!((counts.samples, counts.events), (3, 3));
        assert_eq!(index.known(&SampleId("id-2".into())).unwrap().unwrap().position, 2);
        assert_eq!(index.latest(2).unwrap(), Some(2));
    }

    #[test]
    fn what_the_machine_refuses_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let refused = failed(dir.path(), sled::Error::Io(std::io::Error::from_raw_os_error(28)));
        assert!(matches!(refused, Error::RunFile { .. }), "{refused}");
        let invalid = failed(dir.path(), sled::Error::Io(std::io::Error::from_raw_os_error(22)));
        assert!(matches!(invalid, Error::StoreDamaged { .. }), "{invalid}");
        let _held = Index::open(dir.path()).unwrap();
        assert!(matches!(Index::open(dir.path()), Err(Error::Busy { .. })));
    }

    #[test]
    fn what_is_missing_before_the_end_is_damage() {
        let cases: [fn(&Index); 5] = [
            |index| drop(index.by_id.remove("id-0").unwrap()),
            |index| drop(index.samples.remove(1_u64.to_be_bytes()).unwrap()),
            |index| drop(index.latest.remove(1_u64.to_be_bytes()).unwrap()),
            |index| drop(index.labels.remove(0_u64.to_be_bytes()).unwrap()),
            |index| drop(index.samples.insert(2_u64.to_be_bytes(), b"junk").unwrap()),
        ];
        for damage in cases {
            let dir = tempfile::tempdir().unwrap();
            let index = filled(dir.path());
            damage(&index);
            assert!(matches!(index.verify(), Err(Error::StoreDamaged { .. })));
        }
    }
}
