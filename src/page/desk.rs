//! Where labels go that people give on the page: into `corrections.jsonl`, durably, before anybody is told that they are kept.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::shapes::Decided;
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::sample::{SampleId, TextHash};
use crate::error::Result;
use crate::store::{Correction, Corrections, keep_corrections_while};

/// See the module. Calls block.
#[derive(Debug)]
pub(super) struct Desk {
    dir: PathBuf,
    /// Whether it takes anything.
    is_open: bool,
    /// As far as it was read when somebody last asked, for a task of these labels.
    said: Mutex<Option<(LabelSet, Corrections)>>,
}

impl Desk {
    /// Of the run directory `dir`; where it is not open, people only look.
    pub(super) fn new(dir: &Path, is_open: bool) -> Self {
        Self { dir: dir.to_owned(), is_open, said: Mutex::new(None) }
    }

    /// Whether it takes anything.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Keeps a label, or that it was taken back, as long as `is_here` says that the run directory is the one that is meant; on disk when this
    /// returns true.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`](crate::Error::RunFile) where it cannot be written.
    pub(super) fn keep(&self, labels: &LabelSet, correction: Correction, is_here: impl Fn() -> bool) -> Result<bool> {
        keep_corrections_while(&self.dir, labels, &[correction], is_here)
    }

    /// Ids of the texts that people gave a label after the first `lines` of the log, and that had none of a person then.
    pub(super) fn given_since(&self, labels: &LabelSet, lines: u64) -> Vec<String> {
        let given = |said: &Corrections| {
            let is_since = |given: &&Correction| said.is_given_since(&given.id, given.text_hash, lines);
            said.iter().filter(is_since).map(|given| given.id.0.clone()).collect()
        };
        self.look(labels, given).unwrap_or_default()
    }

    fn look<T>(&self, labels: &LabelSet, see: impl FnOnce(&Corrections) -> T) -> Option<T> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let known = said.take().filter(|(known, _)| known.has_names_of(labels));
        let (_, said) =
            said.insert(known.unwrap_or_else(|| (labels.clone(), Corrections::of(&self.dir, labels.clone()))));
        // Who follows the logs tells why they cannot be read.
        said.read().ok()?;
        Some(see(said))
    }

    /// What a person decided of the text with this id, as long as it is the text of this hash.
    pub(super) fn decided(&self, labels: &LabelSet, id: &str, text_hash: TextHash) -> Option<Decided> {
        let correction = self.look(labels, |said| said.get(&SampleId(id.to_owned()), text_hash).cloned())??;
        let name = |label: LabelId| labels.name(label).to_owned();
        let label = correction.label.map(name)?;
        Some(Decided { label, who: correction.who, note: correction.note })
    }
}
