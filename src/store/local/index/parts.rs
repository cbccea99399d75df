//! All parts of the index as they are at one moment, and as they change.

use std::ops::RangeInclusive;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use super::part::{Key, Part};
use super::sorted::Sorted;
use super::young::Young;
use crate::error::Result;

/// Sorted parts of a size that become one. So an entry is written again each time there are four times as many, and with a thousand
/// parts there are at most fifteen files, and what came while a large one was made.
const TOGETHER: usize = 4;

/// All parts at one moment.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) young: Arc<Young>,
    /// Full, and to be sorted.
    pub(super) retired: Option<Arc<Young>>,
    /// The newest first.
    pub(super) sorted: Vec<Arc<Shelved>>,
}

/// A sorted part, and which parts it is made of.
#[derive(Debug)]
pub(super) struct Shelved {
    pub(super) numbers: RangeInclusive<u64>,
    pub(super) part: Sorted,
}

impl Parts {
    /// Those of sled, the youngest first.
    pub(super) fn of_sled(&self) -> impl Iterator<Item = &dyn Part> {
        std::iter::once(&self.young).chain(&self.retired).map(|young| young.as_ref() as &dyn Part)
    }

    /// The youngest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &dyn Part> {
        self.of_sled().chain(self.sorted.iter().map(|shelved| &shelved.part as &dyn Part))
    }

    /// What the youngest part says that says something.
    pub(super) fn find<T>(&self, ask: impl Fn(&dyn Part) -> Result<Option<T>>) -> Result<Option<T>> {
        self.all().find_map(|part| ask(part).transpose()).transpose()
    }

    /// The newest sorted parts that are to become one: where many are of a size.
    fn together(&self) -> Option<Vec<Arc<Shelved>>> {
        let entries = |shelved: &Arc<Shelved>| shelved.part.counts().all();
        let most = 2 * entries(self.sorted.first()?);
        let few: Vec<_> = self.sorted.iter().take_while(|shelved| entries(shelved) <= most).cloned().collect();
        (few.len() >= TOGETHER).then_some(few)
    }
}

/// Whether any of `parts` has an answer under `key`.
pub(super) fn have_answer(parts: &[&dyn Part], key: &Key) -> Result<bool> {
    let found = parts.iter().find_map(|part| part.answer(key).transpose());
    Ok(found.transpose()?.is_some())
}

/// What there is to do beside the run.
pub(super) enum Job {
    /// Write this full part to a file.
    Sort(Arc<Young>),
    /// Make one file of these, which are the newest.
    PutTogether(Vec<Arc<Shelved>>),
}

/// The parts as they change. Who looks has those of one moment, as long as it takes.
#[derive(Debug)]
pub(super) struct Shared(RwLock<State>);

#[derive(Debug)]
struct State {
    parts: Arc<Parts>,
    /// Whether a thread is about it: it ends only when it has found, at once with saying so, that there is nothing to do.
    is_kept: bool,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Self {
        Self(RwLock::new(State { parts: Arc::new(parts), is_kept: false }))
    }

    pub(super) fn now(&self) -> Arc<Parts> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).parts)
    }

    fn state(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change(&self, change: impl FnOnce(Parts) -> Parts) {
        let mut state = self.state();
        state.parts = Arc::new(change(state.parts.as_ref().clone()));
    }

    /// Whether a thread is to begin: there is something to do, and none is about it. From now on one is.
    pub(super) fn begin(&self) -> bool {
        let mut state = self.state();
        let is_idle = !state.is_kept && (state.parts.retired.is_some() || state.parts.together().is_some());
        state.is_kept |= is_idle;
        is_idle
    }

    /// What is next for the thread, which ends where there is nothing. Without `together` nothing is put together.
    pub(super) fn next(&self, together: bool) -> Option<Job> {
        let mut state = self.state();
        let parts = &state.parts;
        let sort = parts.retired.clone().map(Job::Sort);
        let next = sort.or_else(|| parts.together().filter(|_| together).map(Job::PutTogether));
        state.is_kept = next.is_some();
        next
    }

    /// The thread is gone.
    pub(super) fn end(&self) {
        self.state().is_kept = false;
    }

    pub(super) fn is_kept(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_kept
    }
}
