//! Corrections on their way from `corrections.jsonl` into the input log.
//!
//! What is still to be told follows from the two: a text that has arrived, and whose label by the input log is not what
//! was said of it last. So there is no cursor to lose, and what is looked at twice is told once.

use std::collections::HashMap;
use std::path::Path;

use futures::executor::block_on;

use crate::domain::input::NewInput;
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::sample::{Position, Sample, SampleId, TextHash};
use crate::error::Result;
use crate::store::{Correction, Corrections, Store};

/// See the module.
pub(super) struct Correcting {
    corrections: Corrections,
    store: Store,
    /// Of texts that have not arrived: the rest of the corpus, or all of it after a changed prompt.
    waiting: HashMap<SampleId, Correction>,
}

impl Correcting {
    /// Of the run directory `dir`; nothing is read yet.
    pub(super) fn new(dir: &Path, labels: &LabelSet, store: Store) -> Self {
        Self { corrections: Corrections::of(dir, labels.clone()), store, waiting: HashMap::new() }
    }

    /// Whether people may have said something since the last look.
    pub(super) fn has_news(&self) -> bool {
        self.corrections.has_news()
    }

    /// Reads what people said since the last look, and gives what of it the input log is to be told. Blocks: it reads both logs.
    pub(super) fn look(&mut self) -> Result<Vec<NewInput>> {
        let damaged = self.corrections.damaged().len();
        let ids = self.corrections.read()?;
        if let Some(line) = self.corrections.damaged().get(damaged..).and_then(<[u64]>::first) {
            tracing::warn!(
                "corrections.jsonl has a damaged line, {line}: what it says is left out; give that label again"
            );
        }
        let known = block_on(self.store.inputs.known(&ids))?;
        let mut inputs = Vec::new();
        for (id, known) in ids.into_iter().zip(known) {
            let Some(correction) = self.corrections.get(&id) else { continue };
            match known {
                None => {
                    self.waiting.insert(id, correction.clone());
                }
                Some(known) if known.text_hash != correction.text_hash => told_of_another(&id),
                Some(known) if self.given(known.position)? != correction.label => {
                    inputs.push(NewInput::Correct(known.position, correction.label));
                }
                Some(_) => {}
            }
        }
        Ok(inputs)
    }

    /// The label that the input log has of a person.
    fn given(&self, position: Position) -> Result<Option<LabelId>> {
        let end = self.store.inputs.counts().events;
        let samples = block_on(self.store.inputs.samples(position..position + 1, end))?;
        Ok(samples.first().and_then(|sample| sample.candidates.given()))
    }

    /// What was said of a text before it arrived, which it does now.
    pub(super) fn arrives(&mut self, sample: &Sample, position: Position) -> Option<NewInput> {
        if self.waiting.is_empty() {
            return None;
        }
        let correction = self.waiting.remove(&sample.id)?;
        if correction.text_hash != TextHash::of(&sample.text) {
            told_of_another(&sample.id);
            return None;
        }
        correction.label.map(|label| NewInput::Correct(position, Some(label)))
    }
}

fn told_of_another(id: &SampleId) {
    tracing::warn!("the correction of {id} is left out: it was given to another text of this id");
}
