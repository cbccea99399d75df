//! The index: where what resume looks up stands in the logs. All of it can be rebuilt.
//!
//! It is in parts, by age. What is put goes to the youngest, which is sled's (`young`). When that is full, another begins, and a thread
//! of the index's own writes the full one to a file that never changes (`sorted`), and makes one file of several of a size. A look-up
//! asks one part after the other, the youngest first. So sled has as much to hold, to check and to open with ten million texts as with a
//! hundred thousand; a sorted entry costs its own bytes on the disk and next to nothing in memory. `files` says what is where.
//!
//! A key has an entry in several parts where an answer was tried again; the youngest holds.

mod files;
mod filter;
mod keeper;
mod part;
mod parts;
mod sorted;
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

/// Entries that make a part full; a text has two.
const FULL: u64 = if cfg!(test) { 64 } else { 1 << 17 };
/// Entries at which whoever puts waits until the part before is sorted.
const CROWDED: u64 = 4 * FULL;

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
        // A test may have parts that are full with few.
        let (full, crowded) = if reach("index-few").is_err() { (16, 16) } else { (FULL, CROWDED) };
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

/// Ids may be long; their keys are not. 128 bits, so that two ids of one corpus never meet.
fn id_key(id: &SampleId) -> Key {
    short_hash(&[id.0.as_bytes()])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::young::LOCK_TRY;
    use super::*;

    fn known(position: Position) -> KnownSample {
        KnownSample { position, text_hash: TextHash([7; 16]) }
    }

    fn id(number: u64) -> SampleId {
        SampleId(format!("id-{number}"))
    }

    fn key(number: u64) -> AnswerKey {
        AnswerKey(short_hash(&[&number.to_le_bytes()]))
    }

    fn at(number: u64, attempt: u32) -> AnswerAt {
        AnswerAt { span: Span { offset: number * 10 + u64::from(attempt), len: 10 }, attempt }
    }

    /// So many samples with an answer each, and how far that goes.
    fn filled(dir: &Path, samples: u64) -> (Index, Applied) {
        let index = Index::open(dir).unwrap();
        for number in 0..samples {
            assert!(index.put_answer(key(number), at(number, 1)).unwrap());
            assert!(index.put_sample(&id(number), &known(number)).unwrap());
        }
        let answers = Extent { bytes: 30, lines: samples };
        (index, Applied { answers, keys: samples, samples, ..Applied::default() })
    }

    /// Waits until all that is full is sorted.
    fn rest(index: &Index) -> Arc<Parts> {
        index.keeper().wait().unwrap();
        index.parts()
    }

    fn is_damaged<T>(opened: &Result<T>) -> bool {
        matches!(opened, Err(Error::StoreDamaged { .. }))
    }

    #[test]
    fn a_lock_that_goes_soon_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        drop(filled(dir.path(), 3));
        let file = std::fs::File::options().write(true).open(files::young_path(dir.path(), 0).join("db")).unwrap();
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
        let cases: [fn(&Young); 4] = [
            |young| drop(young.ids.remove(id_key(&id(1))).unwrap()),
            |young| drop(young.answers.remove(key(1).0).unwrap()),
            |young| drop(young.answers.insert(key(1).0, b"junk").unwrap()),
            |young| {
                let other = young.answers.get(key(2).0).unwrap().unwrap();
                young.answers.insert(key(1).0, other).unwrap();
            },
        ];
        for damage in cases {
            let dir = tempfile::tempdir().unwrap();
            let (index, applied) = filled(dir.path(), 3);
            index.verify(&applied, &|| false).unwrap();
            damage(&index.parts().young);
            assert!(is_damaged(&index.verify(&applied, &|| false)));
        }
    }

    #[test]
    fn what_is_missing_or_changed_of_a_file_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let (index, applied) = filled(dir.path(), 10 * FULL);
        index.set_applied(&applied).unwrap();
        let parts = rest(&index);
        assert!(!parts.sorted.is_empty() && parts.retired.is_none());
        let paths: Vec<_> = parts.sorted.iter().map(|shelved| shelved.part.path().to_owned()).collect();
        drop((index, parts));
        for path in paths {
            let whole = std::fs::read(&path).unwrap();
            let len = whole.len();
            for place in [0, 4095, len / 2, len - 30, len - 1] {
                let mut bytes = whole.clone();
                bytes[place] ^= 1;
                std::fs::write(&path, bytes).unwrap();
                assert!(
                    is_damaged(&Index::open(dir.path()).and_then(|index| index.verify(&applied, &|| false))),
                    "{place}"
                );
            }
            for len in [0, 7, 4096, len - 1] {
                std::fs::write(&path, &whole[..len]).unwrap();
                assert!(is_damaged(&Index::open(dir.path())), "{len}");
            }
            std::fs::remove_file(&path).unwrap();
            assert!(is_damaged(&Index::open(dir.path())));
            std::fs::write(&path, whole).unwrap();
        }
        Index::open(dir.path()).unwrap().verify(&applied, &|| false).unwrap();
        std::fs::remove_dir_all(dir.path()).unwrap();
        assert_eq!(Index::open(dir.path()).unwrap().applied().unwrap(), Applied::default());
    }

    #[test]
    fn what_is_written_meanwhile_does_not_disturb_the_check() {
        let dir = tempfile::tempdir().unwrap();
        let (index, applied) = filled(dir.path(), 3);
        index.put_sample(&id(3), &known(3)).unwrap();
        index.put_answer(key(1), at(9, 2)).unwrap();
        index.verify(&applied, &|| false).unwrap();
    }

    #[test]
    fn the_later_try_stays_whatever_the_order() {
        let dir = tempfile::tempdir().unwrap();
        let (index, _) = filled(dir.path(), 3);
        assert!(index.put_answer(key(9), at(9, 2)).unwrap());
        assert!(!index.put_answer(key(9), at(9, 1)).unwrap());
        assert_eq!(index.answer(key(9)).unwrap(), Some(at(9, 2)));
    }

    #[test]
    fn an_entry_that_is_lost_is_missed_when_its_part_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (index, mut applied) = filled(dir.path(), 4 * FULL);
        // Its first try is in another part, so the sums of all parts do not tell. A put may let the next part begin behind it.
        let is_young = |attempt: &u32| {
            assert!(!index.put_answer(key(0), at(0, *attempt)).unwrap());
            rest(&index).young.answers.contains_key(key(0).0).unwrap()
        };
        assert!((2..9).find(is_young).is_some());
        applied.answers.lines += 1;
        index.set_applied(&applied).unwrap();
        let parts = rest(&index);
        assert!(parts.young.answers.remove(key(0).0).unwrap().is_some());
        index.verify(&applied, &|| false).unwrap();
        drop((index, parts));
        assert!(is_damaged(&Index::open(dir.path())));
    }

    /// What a kill may leave between any two steps.
    #[test]
    fn the_names_say_what_holds() {
        let dir = tempfile::tempdir().unwrap();
        let (index, applied) = filled(dir.path(), 20 * FULL);
        index.set_applied(&applied).unwrap();
        let sorted = rest(&index).sorted.len();
        let young = index.parts().young.number;
        drop(index);
        let old = files::young_path(dir.path(), young - 1);
        // The full part was sorted and is still there; another was half written.
        drop(Young::open(old.clone(), young - 1).unwrap());
        std::fs::write(dir.path().join("sorted-0-9.new"), "half").unwrap();
        let first = files::sorted_path(dir.path(), &(0..=0));
        let is_put_together = !first.exists();
        if is_put_together {
            std::fs::write(&first, "a part of another").unwrap();
        }
        let index = Index::open(dir.path()).unwrap();
        index.verify(&applied, &|| false).unwrap();
        assert_eq!((index.parts().sorted.len(), index.applied().unwrap()), (sorted, applied.clone()));
        drop(index);
        assert!(!old.exists() && !dir.path().join("sorted-0-9.new").exists());
        assert!(first.exists() != is_put_together);
        // The next part had begun, and said nothing yet.
        drop(Young::open(files::young_path(dir.path(), young + 1), young + 1).unwrap());
        let index = Index::open(dir.path()).unwrap();
        assert_eq!(index.applied().unwrap(), applied);
        assert_eq!(rest(&index).young.number, young + 1);
        index.verify(&applied, &|| false).unwrap();
        drop(index);
        std::fs::remove_dir_all(files::young_path(dir.path(), young + 1)).unwrap();
        assert!(is_damaged(&Index::open(dir.path())));
    }

    #[test]
    fn what_has_the_name_of_a_part_and_is_none_is_damage_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("index");
        drop(filled(&folder, 20 * FULL));
        for nothing in ["sorted-00-63", "sorted-0-18446744073709551615", "young-01", "sorted-5", "notes.txt"] {
            std::fs::write(folder.join(nothing), "x").unwrap();
            Index::open(&folder).unwrap();
        }
        let folded = folder.join("sorted-0-9999");
        std::fs::create_dir(&folded).unwrap();
        assert!(is_damaged(&Index::open(&folder)));
        std::fs::remove_dir(&folded).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::write(&folder, "no folder").unwrap();
        assert!(is_damaged(&Index::open(&folder)));
    }

    #[test]
    fn an_index_that_was_all_of_sled_is_the_first_part() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("index");
        let before = Young::open(folder.clone(), 0).unwrap();
        before.put_answer(&key(1).0, at(1, 1)).unwrap();
        before.keep_as_before_parts(&Applied { keys: 1, ..Applied::default() });
        drop(before);
        for _ in 0..2 {
            let index = Index::open(&folder).unwrap();
            assert_eq!((index.answer(key(1)).unwrap(), index.applied().unwrap().keys), (Some(at(1, 1)), 1));
        }
    }

    #[test]
    fn the_check_ends_when_it_is_told_to() {
        let dir = tempfile::tempdir().unwrap();
        let (index, applied) = filled(dir.path(), 3000);
        assert!(matches!(index.verify(&applied, &|| true), Err(Error::Interrupted)));
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config { cases: 12, ..Default::default() })]

        #[test]
        fn what_was_put_is_there_in_whatever_part(
            puts in prop::collection::vec((0..400_u64, any::<bool>()), 1..800), reopened in prop::collection::vec(0..800_usize, 0..3),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut index = Index::open(dir.path()).unwrap();
            let (mut tries, mut positions) = (BTreeMap::new(), BTreeMap::new());
            let mut applied = Applied::default();
            for (step, &(number, is_answer)) in puts.iter().enumerate() {
                if is_answer {
                    let attempt = tries.entry(number).or_insert(0_u32);
                    *attempt += 1;
                    let is_first = index.put_answer(key(number), at(number, *attempt)).unwrap();
                    prop_assert_eq!(is_first, *attempt == 1);
                    applied.keys += u64::from(is_first);
                } else {
                    let next = positions.len() as u64;
                    let position = *positions.entry(number).or_insert(next);
                    prop_assert_eq!(index.put_sample(&id(number), &known(position)).unwrap(), true);
                    applied.samples = positions.len() as u64;
                }
                if reopened.contains(&step) {
                    index.set_applied(&applied).unwrap();
                    drop(index);
                    index = Index::open(dir.path()).unwrap();
                    prop_assert_eq!(&index.applied().unwrap(), &applied);
                }
            }
            index.verify(&applied, &|| false).unwrap();
            for index in [index.clone(), { rest(&index); index }] {
                for number in 0..400 {
                    let expected = tries.get(&number).map(|attempt| at(number, *attempt));
                    prop_assert_eq!(index.answer(key(number)).unwrap(), expected);
                    let expected = positions.get(&number).map(|position| known(*position));
                    prop_assert_eq!(index.known(&id(number)).unwrap(), expected);
                }
                index.verify(&applied, &|| false).unwrap();
            }
        }
    }
}
