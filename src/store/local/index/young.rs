//! The youngest part of the index, in sled: what was put since the part before it was full. Trees of small values.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `meta` | `level` | [`Level`] |
//! | `answers` | [`AnswerKey`](crate::domain::answer::AnswerKey) | [`AnswerAt`] |
//! | `ids` | hash of the id | [`KnownSample`] |
//!
//! sled writes to disk once a second and keeps no order between entries, so after a kill the level may be behind the
//! other trees, and after damage ahead of them. The first is harmless, since what is put twice is the same; the
//! second is looked for when the part is opened, and by [`Index::verify`](super::Index::verify).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::part::{Counts, Entries, Key, Part};
use super::{AnswerAt, Applied, KnownSample};
use crate::error::{Error, Result};
use crate::store::local::codec::{Undecodable, decode, encode};
use crate::store::local::guarded::{failed, guarded, is_locked, remove_half_written_snapshots};

/// sled's page cache, by what its pages take on the disk; in memory they take several times as much.
const CACHE_BYTES: u64 = 16 << 20;
/// How long the lock of sled's file is waited for, and how often it is tried. Who has the directory's lock is alone with the
/// index; but sled lets go of a file by closing it, and a process that this one was about to start may have inherited it.
const LOCK_WAIT: Duration = Duration::from_secs(5);
pub(super) const LOCK_TRY: Duration = Duration::from_millis(10);

/// How far it goes. One value, so that what it says belongs together.
#[derive(Debug, Serialize, Deserialize)]
struct Level {
    /// How far into the logs all of the index goes.
    applied: Applied,
    /// Entries of this part, or fewer.
    entries: u64,
}

/// See the module. Every method may be called from any thread but tokio's, for sled blocks.
#[derive(Debug)]
pub(super) struct Young {
    /// Parts are numbered as they began.
    pub(super) number: u64,
    pub(super) path: PathBuf,
    db: sled::Db,
    meta: sled::Tree,
    pub(super) answers: sled::Tree,
    pub(super) ids: sled::Tree,
    /// Of each tree: to count them sled reads all.
    counted: [AtomicU64; 2],
}

impl Young {
    /// Opens or makes the part `number` in the folder `path`.
    ///
    /// # Errors
    ///
    /// Those of [`guarded`] and [`failed`]; [`Error::StoreDamaged`] where entries are missing.
    pub(super) fn open(path: PathBuf, number: u64) -> Result<Self> {
        remove_half_written_snapshots(&path)?;
        guarded(path, move |path| {
            let young = Self::open_trees(path, number).map_err(|error| failed(path, error))?;
            match (young.counts().all(), young.level()?) {
                (entries, Some(level)) if entries < level.entries => {
                    Err(young.damaged(format!("it has {entries} entries, of {}", level.entries)))
                }
                _ => Ok(young),
            }
        })
    }

    fn open_trees(path: &Path, number: u64) -> Result<Self, sled::Error> {
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
        let (meta, answers, ids) = (tree("meta")?, tree("answers")?, tree("ids")?);
        // Not by their `len`, which goes on for ever where a page cannot be read.
        let count = |tree: &sled::Tree| tree.iter().try_fold(0, |count, entry| entry.map(|_| count + 1));
        let counted = [count(&answers)?.into(), count(&ids)?.into()];
        Ok(Self { number, path: path.to_owned(), counted, meta, answers, ids, db })
    }

    /// # Errors
    ///
    /// [`Error::StoreDamaged`] where the value is not as it was written: the index is to be made anew.
    fn get<T: DeserializeOwned>(&self, tree: &sled::Tree, key: &[u8]) -> Result<Option<T>> {
        let bytes = tree.get(key).map_err(|error| failed(&self.path, error))?;
        bytes.map(|bytes| self.decoded(key, &bytes)).transpose()
    }

    /// Whether there was none under the key.
    fn put<T: Serialize>(&self, tree: &sled::Tree, key: &[u8], value: &T) -> Result<bool> {
        let bytes = encode(key, value).map_err(|Undecodable(why)| self.damaged(why))?;
        Ok(tree.insert(key, bytes).map_err(|error| failed(&self.path, error))?.is_none())
    }

    pub(super) fn put_answer(&self, key: &Key, at: AnswerAt) -> Result<()> {
        let [answers, _] = &self.counted;
        answers.fetch_add(u64::from(self.put(&self.answers, key, &at)?), Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn put_sample(&self, key: &Key, known: KnownSample) -> Result<()> {
        let [_, ids] = &self.counted;
        ids.fetch_add(u64::from(self.put(&self.ids, key, &known)?), Ordering::Relaxed);
        Ok(())
    }

    fn level(&self) -> Result<Option<Level>> {
        self.get(&self.meta, b"level")
    }

    /// As it was last kept here, if it was.
    pub(super) fn applied(&self) -> Result<Option<Applied>> {
        match self.level()? {
            Some(level) => Ok(Some(level.applied)),
            // Where all of the index was sled's, it was kept by itself.
            None => self.get(&self.meta, b"applied"),
        }
    }

    pub(super) fn set_applied(&self, applied: &Applied) -> Result<()> {
        let level = Level { applied: applied.clone(), entries: self.counts().all() };
        self.put(&self.meta, b"level", &level).map(drop)
    }

    /// Makes everything that was put durable. Otherwise sled does so within a second.
    pub(super) fn flush(&self) -> Result<()> {
        self.db.flush().map_err(|error| failed(&self.path, error))?;
        // sled only begins to write, where the system can do that.
        let synced = File::open(self.path.join("db")).and_then(|file| file.sync_all());
        synced.map_err(Error::run_file("write", &self.path))
    }

    fn all<'a, T: DeserializeOwned>(&'a self, tree: &'a sled::Tree) -> Entries<'a, T> {
        let entry = |entry: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, value) = entry.map_err(|error| failed(&self.path, error))?;
            let of_length = Key::try_from(key.as_ref()).map_err(|_| self.damaged("a key has another length"))?;
            Ok((of_length, self.decoded(&key, &value)?))
        };
        Box::new(tree.iter().map(entry))
    }

    fn decoded<T: DeserializeOwned>(&self, key: &[u8], bytes: &[u8]) -> Result<T> {
        decode(key, bytes).map_err(|Undecodable(why)| self.damaged(why))
    }

    fn damaged(&self, what: impl Into<String>) -> Error {
        Error::StoreDamaged { path: self.path.clone(), message: what.into() }
    }

    #[cfg(test)]
    pub(super) fn keep_as_before_parts(&self, applied: &Applied) {
        assert!(self.put(&self.meta, b"applied", applied).unwrap());
    }

    #[cfg(test)]
    pub(super) fn clear(&self) {
        [&self.meta, &self.answers, &self.ids].into_iter().for_each(|tree| tree.clear().unwrap());
        self.counted.iter().for_each(|counted| counted.store(0, Ordering::Relaxed));
    }
}

impl Part for Young {
    fn counts(&self) -> Counts {
        let [answers, samples] = self.counted.each_ref().map(|counted| counted.load(Ordering::Relaxed));
        Counts { answers, samples }
    }

    fn answer(&self, key: &Key) -> Result<Option<AnswerAt>> {
        self.get(&self.answers, key)
    }

    fn sample(&self, key: &Key) -> Result<Option<KnownSample>> {
        self.get(&self.ids, key)
    }

    fn answers(&self) -> Entries<'_, AnswerAt> {
        self.all(&self.answers)
    }

    fn samples(&self) -> Entries<'_, KnownSample> {
        self.all(&self.ids)
    }
}
