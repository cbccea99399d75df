//! What the logs hold, summed up by the run that closed them: `candist status` need not read them for it.
//!
//! It is kept with the mark of a clean close and counts as long as the mark does, which is as long as all logs are as they were
//! left. It holds nothing that the logs do not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event_records::EventAt;
use super::index::Applied;
use crate::domain::event::DOUBTFUL;
use crate::domain::label::{LabelId, LabelSet};
use crate::store::{InputCounts, Totals};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Tries of answers.
    pub(crate) answers: u64,
    /// Sums over them.
    pub(crate) totals: Totals,
    /// Samples that arrived.
    pub(crate) samples: u64,
    /// Of these, samples that no teacher named a label for.
    pub(crate) failed: u64,
    /// Whether the corpus' end is the last that happened.
    pub(crate) ended: bool,
    /// What holds in the label log.
    pub(crate) labels: LabelTally,
}

/// What holds in a label log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LabelTally {
    pub(crate) events: u64,
    /// Whether the last of them is final.
    pub(crate) is_final: bool,
    /// Texts whose label has a confidence below [`DOUBTFUL`].
    pub(crate) doubtful: u64,
    /// Texts by their label's name; without the labels that no text has.
    pub(crate) texts: BTreeMap<String, u64>,
}

impl Tally {
    /// Of logs that are level with the index. `None` where an id stands for several samples, as an older version let it: who
    /// reads the logs knows texts by their ids.
    pub(super) fn of(applied: &Applied, inputs: &InputCounts, labels: LabelTally) -> Option<Self> {
        (applied.samples == inputs.samples).then(|| Self {
            answers: applied.answers.lines,
            totals: applied.totals.clone(),
            samples: inputs.samples,
            failed: applied.failed,
            ended: inputs.ended == Some(inputs.events),
            labels,
        })
    }
}

/// Counts labels by one pass over the records of their events.
#[derive(Debug, Default)]
pub(super) struct LabelCount {
    by_label: BTreeMap<LabelId, u64>,
    events: u64,
    is_final: bool,
    doubtful: u64,
}

impl LabelCount {
    /// Takes in the next record; `holds` says whether no later one is of the same sample.
    pub(super) fn add(&mut self, record: &EventAt, holds: bool) {
        self.events += 1;
        self.is_final = record.event.is_final;
        if holds {
            *self.by_label.entry(record.event.label).or_default() += 1;
            self.doubtful += u64::from(f64::from(record.event.confidence) < DOUBTFUL);
        }
    }

    pub(super) fn named(self, labels: &LabelSet) -> LabelTally {
        let texts = self.by_label.into_iter().map(|(label, texts)| (labels.name(label).to_owned(), texts)).collect();
        LabelTally { events: self.events, is_final: self.is_final, doubtful: self.doubtful, texts }
    }
}
