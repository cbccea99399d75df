//! The thread that sorts: it writes the part that is full to a file, and makes one file of several of a size.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::files;
use super::is_to_be_full_with_few;
use super::part::{Counts, Entries, Part, merged};
use super::parts::{Job, Parts, Shared, Shelved};
use super::sorted::{Bounds, Sorted};
use super::young::Young;
use crate::base::durable::remove;
use crate::base::failpoint::pass;
use crate::base::panic;
use crate::error::{Error, Result};
use crate::store::local::guarded::{OPENING_THREAD, sound};

/// How soon it is looked again whether a part is still being read, or sorted.
pub(super) const LOOK: Duration = Duration::from_millis(1);

/// Entries after which the thread looks whether it is to stop, and what waits for it.
const BETWEEN: u64 = if cfg!(test) { 16 } else { 4096 };

/// The thread, where it is at work.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    thread: Option<JoinHandle<Result<()>>>,
    stop: Arc<AtomicBool>,
}

impl Keeper {
    /// Starts it where there is something to do and it is not about it.
    ///
    /// # Errors
    ///
    /// Those that it ended with before; [`Error::no_thread`].
    pub(super) fn start(&mut self, folder: &Path, parts: &Arc<Shared>) -> Result<()> {
        if !parts.begin() {
            return Ok(());
        }
        let work = Work { folder: folder.to_owned(), parts: Arc::clone(parts), stop: Arc::clone(&self.stop) };
        let ended = self.wait();
        let work = move || {
            // sled's panics on damage are errors.
            let done = sound(&work.folder, || work.all());
            // Where it found nothing more to do it said so, and another may have begun since.
            if done.is_err() {
                work.parts.end();
            }
            done
        };
        match ended.and_then(|()| {
            let thread = std::thread::Builder::new().name(OPENING_THREAD.to_owned()).spawn(work);
            thread.map_err(Error::no_thread)
        }) {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                parts.end();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Waits until it is done.
    ///
    /// # Errors
    ///
    /// Its own, once.
    pub(super) fn wait(&mut self) -> Result<()> {
        let ended = self.thread.take().map_or(Ok(Ok(())), JoinHandle::join);
        match ended.unwrap_or_else(|panicked| Err(panic::panicked("index", panicked))) {
            Err(Error::Interrupted) if self.stop.load(Ordering::Relaxed) => Ok(()),
            ended => ended,
        }
    }

    /// Its error, where it ended with one.
    pub(super) fn check(&mut self) -> Result<()> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) { self.wait() } else { Ok(()) }
    }
}

impl Drop for Keeper {
    /// What it is at is given up: the next opening begins it again.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.wait());
    }
}

struct Work {
    folder: PathBuf,
    parts: Arc<Shared>,
    stop: Arc<AtomicBool>,
}

impl Work {
    fn all(&self) -> Result<()> {
        let mut together = true;
        while let Some(job) = self.parts.next(together) {
            match job {
                Job::Sort(retired) => self.sort(retired)?,
                Job::PutTogether(few) => together = self.put_together(&few)?,
            }
        }
        Ok(())
    }

    fn sort(&self, retired: Arc<Young>) -> Result<()> {
        let numbers = retired.number..=retired.number;
        let counts = retired.counts();
        // As many as were put: what sled does not give back is noticed before its part goes.
        let bounds = Bounds { least: counts.all(), most: counts };
        let path = files::sorted_path(&self.folder, &numbers);
        let go_on = || self.go_on();
        let part = Sorted::write(&path, bounds, pausing(go_on, retired.answers()), pausing(go_on, retired.samples()))?;
        let shelved = Arc::new(Shelved { numbers, part });
        self.parts.change(|mut parts| {
            parts.sorted.insert(0, shelved);
            Parts { retired: None, ..parts }
        });
        pass("index-sorted")?;
        self.discard(retired)
    }

    /// Removes sled's folder when nobody reads in it any more: sled makes files in it as long as it is open.
    fn discard(&self, mut retired: Arc<Young>) -> Result<()> {
        let path = retired.path.clone();
        while let Err(read) = Arc::try_unwrap(retired) {
            self.go_on()?;
            std::thread::sleep(LOOK);
            retired = read;
        }
        remove(&path)
    }

    /// Makes one of `few`, which may take long: what is full meanwhile is sorted in between, for sled has it in memory until then.
    /// Whether there was room for it: where there is none, all goes on with many, which is slower and no more. There may have been none
    /// for what is sorted in between, for which there is some when this is given up.
    fn put_together(&self, few: &[Arc<Shelved>]) -> Result<bool> {
        let Some((newest, oldest)) = few.first().zip(few.last()) else { return Ok(true) };
        let numbers = *oldest.numbers.start()..=*newest.numbers.end();
        let counts = || few.iter().map(|shelved| shelved.part.counts());
        let bounds = Bounds { least: counts().map(Counts::all).max().unwrap_or(0), most: counts().sum() };
        let answers = merged(few.iter().map(|shelved| shelved.part.answers()));
        let samples = merged(few.iter().map(|shelved| shelved.part.samples()));
        let path = files::sorted_path(&self.folder, &numbers);
        let sort = || self.sort_what_waits();
        let part = match Sorted::write(&path, bounds, pausing(sort, answers), pausing(sort, samples)) {
            Err(error @ Error::RunFile { .. }) => {
                tracing::warn!("parts of the index are not put together this time: {error}");
                return Ok(false);
            }
            written => written?,
        };
        let shelved = Arc::new(Shelved { numbers, part });
        self.parts.change(|mut parts| {
            let newer = parts.sorted.iter().take_while(|part| !Arc::ptr_eq(part, newest)).count();
            drop(parts.sorted.splice(newer..newer + few.len(), [shelved]));
            parts
        });
        pass("index-together")?;
        few.iter().try_for_each(|shelved| remove(shelved.part.path()))?;
        Ok(true)
    }

    fn sort_what_waits(&self) -> Result<()> {
        self.go_on()?;
        let retired = self.parts.now().retired.clone();
        retired.map_or(Ok(()), |retired| self.sort(retired))
    }

    fn go_on(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// `entries`; every few of them `between` is done.
fn pausing<'a, R: 'a>(between: impl Fn() -> Result<()> + 'a, entries: Entries<'a, R>) -> Entries<'a, R> {
    let (each, mut read) = (if is_to_be_full_with_few() { 4 } else { BETWEEN }, 0_u64);
    Box::new(entries.map(move |entry| {
        read += 1;
        if read.is_multiple_of(each) {
            between()?;
        }
        entry
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample::short_hash;
    use crate::store::local::index::AnswerAt;
    use crate::store::local::log::Span;

    const EACH: u32 = 2 * BETWEEN as u32;

    fn key(number: u32) -> [u8; 16] {
        short_hash(&[&number.to_le_bytes()])
    }

    /// The part `number`, with [`EACH`] answers of its own.
    fn young(folder: &Path, number: u32) -> Arc<Young> {
        let number = u64::from(number);
        let young = Young::open(files::young_path(folder, number), number).unwrap();
        for key in (0..EACH).map(|at| key(number as u32 * EACH + at)) {
            young.put_answer(&key, AnswerAt { span: Span { offset: number, len: 1 }, attempt: 1 }).unwrap();
        }
        Arc::new(young)
    }

    /// Four sorted parts, one that is full, and the youngest.
    fn work(folder: &Path) -> Work {
        let parts = Parts { young: young(folder, 5), retired: None, sorted: Vec::new() };
        let work = Work { folder: folder.to_owned(), parts: Arc::new(Shared::new(parts)), stop: Arc::default() };
        for number in 0..5 {
            work.sort_what_waits().unwrap();
            work.parts.change(|parts| Parts { retired: Some(young(folder, number)), ..parts });
        }
        work
    }

    fn numbers(parts: &Parts) -> Vec<std::ops::RangeInclusive<u64>> {
        parts.sorted.iter().map(|part| part.numbers.clone()).collect()
    }

    #[test]
    fn what_is_full_is_sorted_while_others_are_put_together() {
        let dir = tempfile::tempdir().unwrap();
        let work = work(dir.path());
        let sorted = work.parts.now().sorted.clone();
        assert!(work.put_together(&sorted).unwrap());
        let parts = work.parts.now();
        assert!(parts.retired.is_none());
        assert_eq!(numbers(&parts), [4..=4, 0..=3]);
        for number in 0..6 * EACH {
            let at = parts.find(|part| part.answer(&key(number))).unwrap();
            assert_eq!(at.map(|at| at.span.offset), Some(u64::from(number / EACH)));
        }
        drop((parts, sorted, work));
        assert_eq!(numbers(&files::open(dir.path()).unwrap()), [4..=4, 0..=3]);
    }

    #[test]
    fn where_what_is_full_finds_no_room_nothing_is_put_together_and_it_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let work = work(dir.path());
        let in_the_way = dir.path().join("sorted-4-4.new");
        std::fs::create_dir(&in_the_way).unwrap();
        let sorted = work.parts.now().sorted.clone();
        assert!(!work.put_together(&sorted).unwrap());
        assert!(work.parts.now().retired.is_some() && work.parts.now().sorted.len() == 4);
        assert!(!dir.path().join("sorted-0-3.new").exists());
        assert!(matches!(work.all(), Err(Error::RunFile { .. })), "told where there is no room without it either");
        std::fs::remove_dir(&in_the_way).unwrap();
        work.all().unwrap();
        assert_eq!(numbers(&work.parts.now()), [0..=4]);
    }

    #[test]
    fn a_merge_ends_when_it_is_told_to_and_what_it_is_made_of_stays() {
        let dir = tempfile::tempdir().unwrap();
        let work = work(dir.path());
        work.stop.store(true, Ordering::Relaxed);
        let sorted = work.parts.now().sorted.clone();
        assert!(matches!(work.put_together(&sorted), Err(Error::Interrupted)));
        drop((sorted, work));
        assert_eq!(files::open(dir.path()).unwrap().sorted.len(), 4);
    }
}
