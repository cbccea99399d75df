//! The thread that sorts: it writes the part that is full to a file, and makes one file of several of a size.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use super::files::{self, Files, Shelved};
use super::part::{Entries, Key, Part, merged};
use super::sorted::Sorted;
use super::young::Young;
use crate::base::durable::remove;
use crate::base::failpoint::pass;
use crate::base::panic;
use crate::error::{Error, Result};
use crate::store::local::guarded::{OPENING_THREAD, sound};

/// Sorted parts of a size that become one. So an entry is written again each time there are four times as many, and with a thousand
/// parts there are at most fifteen files.
const TOGETHER: usize = 4;
/// How soon it is looked again whether a part is still being read.
const LOOK: Duration = Duration::from_millis(1);

/// All parts at one moment.
pub(super) type Parts = Files;

impl Parts {
    /// The youngest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &dyn Part> {
        let young = std::iter::once(&self.young).chain(&self.retired).map(|young| young.as_ref() as &dyn Part);
        young.chain(self.sorted.iter().map(|shelved| &shelved.part as &dyn Part))
    }

    /// What the youngest part says that says something.
    pub(super) fn find<T>(&self, ask: impl Fn(&dyn Part) -> Result<Option<T>>) -> Result<Option<T>> {
        self.all().find_map(|part| ask(part).transpose()).transpose()
    }

    /// Whether a part after that at `place` has an answer under `key`.
    pub(super) fn is_behind(&self, place: usize, key: &Key) -> Result<bool> {
        let found = self.all().skip(place + 1).find_map(|part| part.answer(key).transpose());
        Ok(found.transpose()?.is_some())
    }

    /// How many of the newest sorted parts are to become one: where many are of a size.
    fn together(&self) -> Option<usize> {
        let entries = |shelved: &Arc<Shelved>| shelved.part.counts().all();
        let most = 2 * entries(self.sorted.first()?);
        let count = self.sorted.iter().take_while(|shelved| entries(shelved) <= most).count();
        (count >= TOGETHER).then_some(count)
    }
}

/// The parts as they change. Who looks has those of one moment, as long as it takes.
#[derive(Debug)]
pub(super) struct Shared(RwLock<Arc<Parts>>);

impl Shared {
    pub(super) fn new(parts: Parts) -> Self {
        Self(RwLock::new(Arc::new(parts)))
    }

    pub(super) fn now(&self) -> Arc<Parts> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn change(&self, change: impl FnOnce(Parts) -> Parts) {
        let mut parts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *parts = Arc::new(change(parts.as_ref().clone()));
    }
}

/// The thread, where it is at work.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    thread: Option<JoinHandle<Result<()>>>,
    stop: Arc<AtomicBool>,
}

impl Keeper {
    /// Starts it where there is something to do. It is not at work.
    pub(super) fn start(&mut self, folder: &Path, parts: &Arc<Shared>) -> Result<()> {
        let now = parts.now();
        if now.retired.is_none() && now.together().is_none() {
            return Ok(());
        }
        let work = Work { folder: folder.to_owned(), parts: Arc::clone(parts), stop: Arc::clone(&self.stop) };
        // sled's panics on damage are errors.
        let work = move || sound(&work.folder, || work.all());
        let thread = std::thread::Builder::new().name(OPENING_THREAD.to_owned()).spawn(work);
        self.thread = Some(thread.map_err(Error::no_thread)?);
        Ok(())
    }

    pub(super) fn is_at_work(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
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
        // Nothing else of this moment is held while it is sorted: the part goes when nobody has it any more.
        let retired = self.parts.now().retired.clone();
        retired.map_or(Ok(()), |retired| self.sort(retired))?;
        while let Some(count) = self.parts.now().together() {
            self.put_together(count)?;
        }
        Ok(())
    }

    fn sort(&self, retired: Arc<Young>) -> Result<()> {
        let numbers = retired.number..=retired.number;
        let path = files::sorted(&self.folder, &numbers);
        let (answers, samples) = (self.stopping(retired.answers()), self.stopping(retired.samples()));
        let part = Sorted::write(&path, retired.counts(), answers, samples)?;
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

    fn put_together(&self, count: usize) -> Result<()> {
        let parts = self.parts.now();
        let Some((newest, oldest)) = parts.sorted.get(..count).and_then(|few| few.first().zip(few.last())) else {
            return Ok(());
        };
        let numbers = *oldest.numbers.start()..=*newest.numbers.end();
        let few = || parts.sorted.iter().take(count);
        let answers = merged(few().map(|shelved| shelved.part.answers()));
        let samples = merged(few().map(|shelved| shelved.part.samples()));
        let path = files::sorted(&self.folder, &numbers);
        let most = few().map(|shelved| shelved.part.counts()).sum();
        let part = Sorted::write(&path, most, self.stopping(answers), self.stopping(samples))?;
        let shelved = Arc::new(Shelved { numbers, part });
        self.parts.change(|mut parts| {
            drop(parts.sorted.splice(..count, [shelved]));
            parts
        });
        pass("index-together")?;
        few().try_for_each(|shelved| remove(shelved.part.path()))
    }

    /// `entries`, until it is to stop.
    fn stopping<'a, R: 'a>(&'a self, entries: Entries<'a, R>) -> Entries<'a, R> {
        let mut read = 0_u64;
        Box::new(entries.map(move |entry| {
            read += 1;
            if read.is_multiple_of(4096) {
                self.go_on()?;
            }
            entry
        }))
    }

    fn go_on(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}
