//! The labels that an audit is about: one for each text that was there when the corpus last ended, and has a label.
//!
//! Final or not: a label that a run is about to change is one of the less certain, and without those all others would look better than
//! they are. What people corrected since a sample was drawn counts as the run had labelled it before: it was not chosen by
//! chance, and no text of the sample can be.

use std::collections::{HashMap, HashSet};

use super::basis::Basis;
use super::corrected::with;
use super::latest::{Holding, no_labels};
use crate::base::sorting::{Sorter, unsorted};
use crate::base::table::Table;
use crate::domain::event::{By, LabelEvent};
use crate::domain::input::Input;
use crate::domain::sample::{Sample, TextHash};
use crate::error::{Error, Result};
use crate::store::{Corrections, RunView, Tail};

/// See the module. Holds some 16 bytes a text that came since the corpus ended, and the corrections.
#[derive(Debug)]
pub(crate) struct Population {
    pub(super) basis: Basis,
    /// Lines of corrections.jsonl.
    pub(crate) corrections: u64,
    /// Labels that people gave, by the text's id; but for those since the draw.
    corrected: HashMap<String, String>,
    /// Texts that people gave a label since the draw, by the hash of their id.
    pub(super) since: HashSet<TextHash>,
    /// Texts that arrived after the corpus had ended the last time, by the hash of their id.
    beyond: HashSet<TextHash>,
}

/// How many labels there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) labels: u64,
    /// Of these, labels that the run may still change.
    pub(super) unsettled: u64,
}

impl Population {
    /// That of the run that `view` looks at, by `basis`. Where a sample was drawn, `since` are the lines of corrections.jsonl by then.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] and [`Error::InputLog`] for logs that cannot be read.
    pub(crate) fn read(view: &RunView, basis: Basis, since: Option<u64>) -> Result<Self> {
        let mut said = Corrections::of(view.dir(), view.labels().clone());
        said.read_within(basis.corrections)?;
        let (corrected, beyond) = (HashMap::new(), HashSet::new());
        let mut found = Self { basis, corrections: said.lines(), corrected, since: HashSet::new(), beyond };
        let ended = view.ended_within(basis.inputs)?;
        view.inputs_within(basis.inputs, |input| {
            if let Input::Arrive { position, sample, .. } = input {
                if position >= ended {
                    found.beyond.insert(TextHash::of(&sample.id.0));
                }
                found.arrive(view, sample, &said, since);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// That of today, with all that people said.
    pub(crate) fn now(view: &RunView) -> Result<Self> {
        Self::read(view, Basis::of(view.dir())?, None)
    }

    fn arrive(&mut self, view: &RunView, sample: Sample, said: &Corrections, since: Option<u64>) {
        let Some(correction) = said.of_sample(&sample) else { return };
        let Some(label) = correction.label else { return };
        if since.is_some_and(|lines| said.is_given_since(&sample.id, correction.text_hash, lines)) {
            self.since.insert(TextHash::of(&sample.id.0));
        } else {
            self.corrected.insert(sample.id.0, view.labels().name(label).to_owned());
        }
    }

    /// Texts that people corrected since the draw.
    pub(super) fn corrected_since(&self) -> u64 {
        self.since.difference(&self.beyond).count() as u64
    }

    /// Calls `each` with the event of each of the labels.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] if the log cannot be read; [`Error::Unfit`] where none of the labels is final: then the run has never come to
    /// an end, or has just begun to label anew.
    pub(super) fn each(&self, view: &RunView, mut each: impl FnMut(&LabelEvent)) -> Result<Size> {
        let mut tail = Tail::new(view.dir()).within(self.basis.labels);
        // The last of a text, or the last by the run itself.
        let counts = |event: &LabelEvent| {
            event.by != By::Person || self.since.is_empty() || !self.since.contains(&TextHash::of(&event.id))
        };
        let holding = Holding::of(&mut tail, counts)?;
        let (mut size, mut finals) = (Size::default(), 0);
        holding.each(&mut tail, |event, _| -> Result<()> {
            if self.beyond.is_empty() || !self.beyond.contains(&TextHash::of(&event.id)) {
                let corrected = self.corrected.get(&event.id).and_then(|label| with(event, label));
                let event = corrected.as_ref().unwrap_or(event);
                size.labels += 1;
                finals += u64::from(event.is_final);
                each(event);
            }
            Ok(())
        })?;
        size.unsettled = size.labels - finals;
        match (holding.is_empty(), finals) {
            (true, _) => Err(no_labels(view.dir())),
            (_, 0) => {
                let message =
                    "has no final label yet: let `candist run CONFIG` come to the end of the corpus".to_owned();
                Err(Error::Unfit { path: view.dir().to_owned(), message })
            }
            _ => Ok(size),
        }
    }

    /// The texts that have a label, by the hashes of their ids.
    ///
    /// # Errors
    ///
    /// Those of [`Population::each`].
    pub(super) fn ids(&self, view: &RunView) -> Result<Table<16>> {
        let (mut ids, mut failed) = (Sorter::default(), Ok(()));
        self.each(view, |event| {
            if failed.is_ok() {
                failed = ids.push(TextHash::of(&event.id).0);
            }
        })?;
        failed.and_then(|()| ids.table()).map_err(unsorted)
    }
}
