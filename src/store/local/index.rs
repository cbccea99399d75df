//! The index: where what resume looks up stands in the logs. sled trees of small values; all of it can be rebuilt.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `meta` | `applied` | [`Applied`]: how far into the logs the rest goes |
//! | `answers` | [`AnswerKey`], 16 bytes | [`AnswerAt`] |
//! | `ids` | hash of the id, 16 bytes | [`KnownSample`] |
//!
//! sled writes to disk once a second and keeps no order between entries, so after a kill `applied` may be behind the
//! other trees, and after damage ahead of them. The first is harmless, since what is put twice is the same; the
//! second is what [`Index::verify`] looks for.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::codec::{Undecodable, decode, encode};
use super::log::{Extent, Span};
use crate::domain::answer::AnswerKey;
use crate::domain::sample::{Position, SampleId, TextHash, short_hash};
use crate::error::{Error, Result};
use crate::store::Totals;

/// sled's page cache, by what its pages take on the disk; in memory they take several times as much. A run of a million texts
/// with a small student takes 590 MB with this one, and 780 MB and 7% less time with four times as much.
const CACHE_BYTES: u64 = 16 << 20;
/// How long the lock of sled's file is waited for, and how often it is tried. Who has the directory's lock is alone with the
/// index; but sled lets go of a file by closing it, and a process that this one was about to start may have inherited it.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_TRY: Duration = Duration::from_millis(10);

/// Where the latest try of an answer stands in `answers.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AnswerAt {
    pub(super) span: Span,
    pub(super) attempt: u32,
}

/// What is known of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownSample {
    /// Where it stands.
    pub position: Position,
    /// Its text, by hash.
    pub text_hash: TextHash,
}

/// How far into the logs the index goes.
///
/// The writer's thread has it in memory, adds to it with every append, and keeps it after every group of commands. It
/// is one value, so extents and sums always belong together: after a kill, exactly the lines behind the extents are
/// added again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Applied {
    pub(super) answers: Extent,
    pub(super) inputs: Extent,
    /// Different keys of answers, or fewer: after a kill, a key with several tries may not be counted again. So
    /// [`Index::verify`] finds a loss for certain only if the index has fewer entries than this.
    pub(super) keys: u64,
    /// Different ids, one a position.
    pub(super) samples: u64,
    /// Of these, samples that no teacher named a label for.
    pub(super) failed: u64,
    /// Sums over all answers.
    pub(super) totals: Totals,
}

/// Every tree, open. Cheap to clone; every method may be called from any thread but tokio's, for sled blocks.
#[derive(Debug, Clone)]
pub(super) struct Index {
    db: sled::Db,
    path: PathBuf,
    meta: sled::Tree,
    answers: sled::Tree,
    ids: sled::Tree,
}

impl Index {
    /// Opens or makes the index in the folder `path`.
    ///
    /// # Errors
    ///
    /// Those of [`failed`]. It may also panic, or not return, where the files are damaged: see `open::guarded`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Self::open_trees(path).map_err(|error| failed(path, error))
    }

    fn open_trees(path: &Path) -> Result<Self, sled::Error> {
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            // What is lost with a kill is read again from the logs.
            .flush_every_ms(Some(1000));
        let until = Instant::now() + LOCK_WAIT;
        let db = loop {
            match config.open() {
                Err(error) if is_locked(&error) && Instant::now() < until => std::thread::sleep(LOCK_TRY),
                opened => break opened?,
            }
        };
        let tree = |name: &str| db.open_tree(name);
        Ok(Self { meta: tree("meta")?, answers: tree("answers")?, ids: tree("ids")?, path: path.to_owned(), db })
    }

    fn damaged(&self, what: impl std::fmt::Display) -> Error {
        Error::StoreDamaged { path: self.path.clone(), message: what.to_string() }
    }

    /// # Errors
    ///
    /// [`Error::StoreDamaged`] where the value is not as it was written: the index is to be made anew.
    fn get<T: DeserializeOwned>(&self, tree: &sled::Tree, key: &[u8]) -> Result<Option<T>> {
        let bytes = tree.get(key).map_err(|error| failed(&self.path, error))?;
        bytes.map(|bytes| decode(key, &bytes).map_err(|Undecodable(why)| self.damaged(why))).transpose()
    }

    /// Gives what was there before.
    fn put<T: Serialize + DeserializeOwned>(&self, tree: &sled::Tree, key: &[u8], value: &T) -> Result<Option<T>> {
        let damaged = |Undecodable(why)| self.damaged(why);
        let bytes = encode(key, value).map_err(damaged)?;
        let before = tree.insert(key, bytes).map_err(|error| failed(&self.path, error))?;
        before.map(|bytes| decode(key, &bytes).map_err(damaged)).transpose()
    }

    /// Where the latest try under `key` stands.
    pub(super) fn answer(&self, key: AnswerKey) -> Result<Option<AnswerAt>> {
        self.get(&self.answers, &key.0)
    }

    /// Keeps where an answer stands, unless there is one of a later attempt. Whether it is the first under its key, also where a
    /// crash left it here and not among what was counted.
    ///
    /// Of two lines with one key and try the later holds, as everywhere.
    pub(super) fn put_answer(&self, key: AnswerKey, at: AnswerAt) -> Result<bool> {
        if self.answer(key)?.is_some_and(|known| known.attempt > at.attempt) {
            return Ok(false);
        }
        let before = self.put(&self.answers, &key.0, &at)?;
        Ok(before.is_none_or(|before| before == at && at.attempt == 1))
    }

    pub(super) fn known(&self, id: &SampleId) -> Result<Option<KnownSample>> {
        self.get(&self.ids, &id_key(id))
    }

    /// Keeps where a sample stands. Whether its id is new, also where a crash left it here and not among what was
    /// counted. An id that is there with another position is not new; intake lets none arrive twice.
    pub(super) fn put_sample(&self, id: &SampleId, known: &KnownSample) -> Result<bool> {
        let before = self.put(&self.ids, &id_key(id), known)?;
        Ok(before.is_none_or(|before| before.position == known.position))
    }

    /// How far it goes, as it was last kept; nothing for a new index.
    pub(super) fn applied(&self) -> Result<Applied> {
        Ok(self.get(&self.meta, b"applied")?.unwrap_or_default())
    }

    pub(super) fn set_applied(&self, applied: &Applied) -> Result<()> {
        self.put(&self.meta, b"applied", applied).map(drop)
    }

    /// Makes everything that was put durable. Otherwise sled does so within a second.
    pub(super) fn flush(&self) -> Result<()> {
        self.db.flush().map_err(|error| failed(&self.path, error))?;
        Ok(())
    }

    /// As it is when it was lost.
    #[cfg(test)]
    pub(super) fn clear(&self) {
        [&self.meta, &self.answers, &self.ids].into_iter().for_each(|tree| tree.clear().unwrap());
    }

    /// Reads every entry and counts them: an entry that sled lost, or does not give back as it was written, is damage.
    /// What is written meanwhile, behind `applied`, does no harm: samples from its number on are not counted, and of
    /// answers there may be more.
    ///
    /// Reads all of the index, in time that grows with it; runs on a thread of its own, beside the run.
    ///
    /// # Errors
    ///
    /// [`Error::StoreDamaged`] where something is missing, [`Error::Interrupted`] where `stop` says so, which is
    /// asked every 4096 entries.
    pub(super) fn verify(&self, applied: &Applied, stop: &dyn Fn() -> bool) -> Result<()> {
        let answers = self.count::<AnswerAt>(&self.answers, stop, |_| true)?;
        let samples = self.count::<KnownSample>(&self.ids, stop, |known| known.position < applied.samples)?;
        if answers < applied.keys || samples != applied.samples {
            let (keys, all) = (applied.keys, applied.samples);
            return Err(self.damaged(format!("it has {answers} answers and {samples} samples, of {keys} and {all}")));
        }
        Ok(())
    }

    /// Decodes every entry of `tree`, and counts those that `counts` accepts.
    fn count<T: DeserializeOwned>(
        &self,
        tree: &sled::Tree,
        stop: &dyn Fn() -> bool,
        counts: impl Fn(&T) -> bool,
    ) -> Result<u64> {
        let mut count = 0;
        for (number, entry) in tree.iter().enumerate() {
            if number.is_multiple_of(4096) && stop() {
                return Err(Error::Interrupted);
            }
            let (key, value) = entry.map_err(|error| failed(&self.path, error))?;
            let value: T = decode(&key, &value).map_err(|Undecodable(why)| self.damaged(why))?;
            count += u64::from(counts(&value));
        }
        Ok(count)
    }
}

/// Ids may be long; their keys are not. 128 bits, so that two ids of one corpus never meet.
fn id_key(id: &SampleId) -> [u8; 16] {
    short_hash(&[id.0.as_bytes()])
}

/// Whether someone has the lock of sled's file. sled has no kind of its own for it: its text alone tells.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(_)) && error.to_string().contains("could not acquire lock")
}

/// What sled's error means: the machine refuses, another program has the files, or they are damaged.
pub(super) fn failed(path: &Path, error: sled::Error) -> Error {
    /// Operation not permitted, I/O error, out of memory, permission denied, too many files (two), file too large, no
    /// space, read-only, quota; see errno(3). Any other may come of reading at a damaged offset.
    const REFUSALS: [i32; 10] = [1, 5, 12, 13, 23, 24, 27, 28, 30, 122];
    let text = error.to_string();
    if is_locked(&error) {
        // Another process has the index, and no damage is to be mended.
        return Error::Busy { path: path.to_owned() };
    }
    match error {
        sled::Error::Io(source) if source.raw_os_error().is_some_and(|code| REFUSALS.contains(&code)) => {
            Error::RunFile { action: "use", path: path.to_owned(), source }
        }
        // sled wraps some errors of the system into its own.
        _ if ["No space left", "os error 28", "Disk quota"].iter().any(|full| text.contains(full)) => {
            Error::RunFile { action: "write", path: path.to_owned(), source: std::io::Error::from_raw_os_error(28) }
        }
        _ => Error::StoreDamaged { path: path.to_owned(), message: text },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(position: Position) -> KnownSample {
        KnownSample { position, text_hash: TextHash([7; 16]) }
    }

    /// Three samples with an answer each, and how far that goes.
    fn filled(dir: &Path) -> (Index, Applied) {
        let index = Index::open(dir).unwrap();
        for number in 0..3_u8 {
            let at = AnswerAt { span: Span { offset: u64::from(number) * 10, len: 10 }, attempt: 1 };
            assert!(index.put_answer(AnswerKey([number; 16]), at).unwrap());
            assert!(index.put_sample(&SampleId(format!("id-{number}")), &known(number.into())).unwrap());
        }
        let applied = Applied { answers: Extent { bytes: 30, lines: 3 }, keys: 3, samples: 3, ..Applied::default() };
        (index, applied)
    }

    #[test]
    fn a_lock_that_goes_soon_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        drop(filled(dir.path()));
        let file = std::fs::File::options().write(true).open(dir.path().join("db")).unwrap();
        file.lock().unwrap();
        let holder = std::thread::spawn(move || {
            std::thread::sleep(20 * LOCK_TRY);
            drop(file);
        });
        Index::open(dir.path()).unwrap();
        holder.join().unwrap();
    }

    #[test]
    fn what_is_missing_or_changed_is_damage() {
        let cases: [fn(&Index); 4] = [
            |index| drop(index.ids.remove(id_key(&SampleId("id-1".into()))).unwrap()),
            |index| drop(index.answers.remove([1; 16]).unwrap()),
            |index| drop(index.answers.insert([1; 16], b"junk").unwrap()),
            |index| {
                let other = index.answers.get([2; 16]).unwrap().unwrap();
                index.answers.insert([1; 16], other).unwrap();
            },
        ];
        for damage in cases {
            let dir = tempfile::tempdir().unwrap();
            let (index, applied) = filled(dir.path());
            index.verify(&applied, &|| false).unwrap();
            damage(&index);
            assert!(matches!(index.verify(&applied, &|| false), Err(Error::StoreDamaged { .. })));
        }
    }

    #[test]
    fn what_is_written_meanwhile_does_not_disturb_the_check() {
        let dir = tempfile::tempdir().unwrap();
        let (index, applied) = filled(dir.path());
        index.put_sample(&SampleId("new".into()), &known(3)).unwrap();
        index.put_answer(AnswerKey([1; 16]), AnswerAt { span: Span { offset: 30, len: 9 }, attempt: 2 }).unwrap();
        index.verify(&applied, &|| false).unwrap();
    }

    #[test]
    fn the_later_try_stays_whatever_the_order() {
        let dir = tempfile::tempdir().unwrap();
        let (index, _) = filled(dir.path());
        let at = |attempt| AnswerAt { span: Span { offset: 99, len: attempt }, attempt };
        assert!(index.put_answer(AnswerKey([9; 16]), at(2)).unwrap());
        assert!(!index.put_answer(AnswerKey([9; 16]), at(1)).unwrap());
        assert_eq!(index.answer(AnswerKey([9; 16])).unwrap(), Some(at(2)));
    }

    #[test]
    fn what_the_machine_refuses_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let refused = failed(dir.path(), sled::Error::Io(std::io::Error::from_raw_os_error(28)));
        assert!(matches!(refused, Error::RunFile { .. }), "{refused}");
        let full = failed(dir.path(), sled::Error::ReportableBug("No space left on device".into()));
        assert!(matches!(full, Error::RunFile { .. }), "{full}");
        let invalid = failed(dir.path(), sled::Error::Io(std::io::Error::from_raw_os_error(22)));
        assert!(matches!(invalid, Error::StoreDamaged { .. }), "{invalid}");
        let _held = Index::open(dir.path()).unwrap();
        assert!(matches!(Index::open(dir.path()), Err(Error::Busy { .. })));
    }
}
