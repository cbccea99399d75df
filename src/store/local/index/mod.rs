//! The index: where what resume looks up stands in the logs. All of it can be rebuilt.
//!
//! It is in parts, by age. What is put goes to the youngest, which is sled's (`young`). When that is full, another begins, and a thread
//! of the index's own writes the full one to a file that never changes (`sorted`), and makes one file of several of a size, between whose
//! entries it writes what is full meanwhile. A look-up asks one part after the other, the youngest first. So sled has as much to hold, to
//! check and to open with ten million texts as with a hundred thousand; a sorted entry costs its own bytes on the disk and next to nothing
//! in memory. `files` says what is where.
//!
//! A key has an entry in several parts where an answer was tried again; the youngest holds.

mod blocks;
mod file_filter;
mod files;
mod keeper;
mod part;
mod parts;
mod sorted;
#[cfg(test)]
mod tests;
mod young;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use self::keeper::{Keeper, LOOK};
use self::part::{Key, Part};
use self::parts::{Parts, Shared, have_answer};
use self::young::Young;
use super::guarded::sound;
use super::log::{Extent, Span};
use crate::base::failpoint::{pass, reach};
use crate::domain::answer::AnswerKey;
use crate::domain::sample::{Position, SampleId, TextHash, short_hash};
use crate::error::{Error, Result};
use crate::store::Totals;

/// Entries that make a part full; a text has two. With four times as many the parts that are sled's take 30 MB more, and nothing is faster.
const FULL: u64 = if cfg!(test) { 64 } else { 1 << 15 };
/// Entries at which whoever puts waits until the part before is sorted.
const CROWDED: u64 = 2 * FULL;

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

/// Every part, open. Cheap to clone; every method may be called from any thread but tokio's, for sled blocks. One thread puts.
#[derive(Debug, Clone)]
pub(super) struct Index {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    parts: Arc<Shared>,
    /// Ends, with what it is at, when the last clone is dropped.
    keeper: Mutex<Keeper>,
}

impl Index {
    /// Opens or makes the index in the folder `folder`.
    ///
    /// # Errors
    ///
    /// Those of `files::open`.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let parts = Arc::new(Shared::new(files::open(folder)?));
        let index = Self { inner: Arc::new(Inner { folder: folder.to_owned(), parts, keeper: Mutex::default() }) };
        let Inner { folder, parts, .. } = index.inner.as_ref();
        index.keeper().start(folder, parts)?;
        index.tend()?;
        Ok(index)
    }

    fn parts(&self) -> Arc<Parts> {
        self.inner.parts.now()
    }

    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        self.inner.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the latest try under `key` stands.
    pub(super) fn answer(&self, key: AnswerKey) -> Result<Option<AnswerAt>> {
        self.parts().find(|part| part.answer(&key.0))
    }

    /// Keeps where an answer stands, unless there is one of a later attempt. Whether it is the first under its key, also where a
    /// crash left it here and not among what was counted.
    ///
    /// Of two lines with one key and try the later holds, as everywhere.
    pub(super) fn put_answer(&self, key: AnswerKey, at: AnswerAt) -> Result<bool> {
        let parts = self.parts();
        let before = parts.find(|part| part.answer(&key.0))?;
        match before {
            Some(before) if before == at => return Ok(at.attempt == 1),
            Some(before) if before.attempt > at.attempt => return Ok(false),
            _ => parts.young.put_answer(&key.0, at)?,
        }
        drop(parts);
        self.tend()?;
        Ok(before.is_none())
    }

    pub(super) fn known(&self, id: &SampleId) -> Result<Option<KnownSample>> {
        let key = id_key(id);
        self.parts().find(|part| part.sample(&key))
    }

    /// Keeps where a sample stands. Whether its id is new, also where a crash left it here and not among what was
    /// counted. An id that is there with another position is not new; intake lets none arrive twice.
    pub(super) fn put_sample(&self, id: &SampleId, known: &KnownSample) -> Result<bool> {
        let (key, parts) = (id_key(id), self.parts());
        let before = parts.find(|part| part.sample(&key))?;
        if before.as_ref() != Some(known) {
            parts.young.put_sample(&key, *known)?;
            drop(parts);
            self.tend()?;
        }
        Ok(before.is_none_or(|before| before.position == known.position))
    }

    /// How far it goes, as it was last kept; nothing for a new index.
    pub(super) fn applied(&self) -> Result<Applied> {
        Ok(self.parts().young.applied()?.unwrap_or_default())
    }

    /// # Errors
    ///
    /// Those of sled, and that of the thread which sorts, where it ended with one.
    pub(super) fn set_applied(&self, applied: &Applied) -> Result<()> {
        self.keeper().check()?;
        self.parts().young.set_applied(applied)
    }

    /// Makes everything that was put durable. Otherwise sled does so within a second.
    pub(super) fn flush(&self) -> Result<()> {
        self.parts().young.flush()
    }

    /// Lets the next part begin where the youngest is full.
    ///
    /// # Errors
    ///
    /// Those of sled, and that of the thread which sorts, where it ended with one.
    fn tend(&self) -> Result<()> {
        let (full, crowded) = if is_to_be_full_with_few() { (16, 16) } else { (FULL, CROWDED) };
        let Inner { folder, parts, .. } = self.inner.as_ref();
        let entries = parts.now().young.counts().all();
        if entries < full {
            return Ok(());
        }
        let mut keeper = self.keeper();
        while parts.now().retired.is_some() {
            if !parts.is_kept() {
                // It failed, which is told once, and begins again.
                keeper.check()?;
                return keeper.start(folder, parts);
            }
            if entries < crowded {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        keeper.check()?;
        // What the full one says of the logs holds for the next as well, and is on disk before it: all that it counts on is.
        let young = Arc::clone(&parts.now().young);
        young.flush()?;
        pass("index-full")?;
        let next = Young::open(files::young_path(folder, young.number + 1), young.number + 1)?;
        pass("index-begun")?;
        next.set_applied(&self.applied()?)?;
        next.flush()?;
        parts.change(|parts| Parts { young: Arc::new(next), retired: Some(young), ..parts });
        keeper.start(folder, parts)
    }

    /// Reads every entry and counts them: an entry that sled lost, or a part does not give back as it was written, is damage.
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
        let (mut answers, mut samples, mut read) = (0, 0, 0_u64);
        let mut go_on = || {
            read += 1;
            if read.is_multiple_of(4096) && stop() { Err(Error::Interrupted) } else { Ok(()) }
        };
        let mut count = |parts: &[&dyn Part], most: usize| {
            for (place, part) in parts.iter().enumerate().take(most) {
                for entry in part.answers() {
                    let (key, at) = entry?;
                    go_on()?;
                    // One that was tried again may be in an older part as well.
                    let is_counted = at.attempt > 1 && have_answer(parts.get(place + 1..).unwrap_or_default(), &key)?;
                    answers += u64::from(!is_counted);
                }
                for entry in part.samples() {
                    go_on()?;
                    samples += u64::from(entry?.1.position < applied.samples);
                }
            }
            Ok(())
        };
        sound(&self.inner.folder, || {
            // sled's parts are held no longer than they are read: they go when they are sorted.
            let parts = self.parts();
            count(&parts.all().collect::<Vec<_>>(), parts.of_sled().count())?;
            let sorted = parts.sorted.clone();
            drop(parts);
            count(&sorted.iter().map(|shelved| &shelved.part as &dyn Part).collect::<Vec<_>>(), sorted.len())
        })?;
        if answers < applied.keys || samples != applied.samples {
            let (keys, all) = (applied.keys, applied.samples);
            let message = format!("it has {answers} answers and {samples} samples, of {keys} and {all}");
            return Err(Error::StoreDamaged { path: self.inner.folder.clone(), message });
        }
        Ok(())
    }

    /// As it is when it was lost.
    #[cfg(test)]
    pub(super) fn clear(&self) {
        self.keeper().wait().unwrap();
        let Inner { folder, parts, .. } = self.inner.as_ref();
        parts.change(|Parts { young, .. }| Parts { young, retired: None, sorted: Vec::new() });
        let young = &parts.now().young;
        young.clear();
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry != young.path {
                crate::base::durable::remove(&entry).unwrap();
            }
        }
    }
}

/// A test may have parts that are full with few entries.
fn is_to_be_full_with_few() -> bool {
    reach("index-few").is_err()
}

/// Ids may be long; their keys are not. 128 bits, so that two ids of one corpus never meet.
fn id_key(id: &SampleId) -> Key {
    short_hash(&[id.0.as_bytes()])
}
