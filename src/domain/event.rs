//! The label event: one line of the label log, and its shape in the store.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::label::{LabelId, LabelSet};
use super::sample::{Position, SampleId};

/// A label is doubtful below this confidence: all others together are then likelier than it is.
pub const DOUBTFUL: f64 = 0.5;

/// Where a label comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The refinery `posterior`: candidates as evidence, the student's prediction as prior.
    Posterior,
    /// The student alone: no teacher named a label.
    Student,
    /// A person.
    Person,
    /// The refinery of this name.
    #[serde(untagged)]
    Refinery(String),
}

impl By {
    /// The refinery called `name`.
    #[must_use]
    pub(crate) fn refinery(name: &str) -> Self {
        if name == "posterior" { Self::Posterior } else { Self::Refinery(name.to_owned()) }
    }
}

/// Where a label comes from, in a run that has one refinery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// What teachers named, and the student.
    Refinery,
    /// The student alone: no teacher named a label.
    Student,
    /// A person.
    Person,
}

impl Source {
    /// As users see it.
    fn by(self, refinery: &By) -> By {
        match self {
            Self::Refinery => refinery.clone(),
            Self::Student => By::Student,
            Self::Person => By::Person,
        }
    }

    /// What [`Source::by`] gave.
    pub(crate) fn of(by: &By) -> Self {
        match by {
            By::Student => Self::Student,
            By::Person => Self::Person,
            By::Posterior | By::Refinery(_) => Self::Refinery,
        }
    }
}

/// A label event as the store keeps it: all that decides what comes after it. Id and candidates are in the input log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StoredEvent {
    /// Whose label.
    pub position: Position,
    /// The label.
    pub label: LabelId,
    /// Its probability, 0 to 1, rounded to 4 digits.
    pub confidence: f32,
    /// Where it comes from.
    pub source: Source,
    /// 0 for the first label of a sample, then 1, 2, ...
    pub revision: u32,
    /// Training steps of the student by then.
    pub student: u64,
    /// Whether the corpus had ended and the student settled.
    pub is_final: bool,
    /// The offset of this sample's event before; `None` for its first, whose revision is 0.
    pub previous: Option<u64>,
}

/// How many labels of an event's [`others`](LabelEvent::others) there are at most.
pub(crate) const OTHERS: usize = 4;

/// What a posterior says besides its label; of each `None` where the log has none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rest<'a> {
    /// See [`LabelEvent::margin`].
    pub margin: Option<f32>,
    /// See [`LabelEvent::others`].
    pub others: Option<&'a [(LabelId, f32)]>,
}

/// A label that the text may have instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Other {
    /// The label.
    pub label: String,
    /// Its probability, 0 to 1.
    pub confidence: f64,
}

/// A label event: one line of labels.jsonl. Offsets count 0, 1, 2, ...; of several events with the same id the last holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LabelEvent {
    /// Number of the event in the log, from 0.
    pub offset: u64,
    /// The sample's id.
    pub id: String,
    /// Its label.
    pub label: String,
    /// Probability of the label, 0 to 1.
    pub confidence: f64,
    /// How far the label is ahead: its probability less that of the next likeliest label, 0 to 1. Logs that were begun before
    /// there were margins go on without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// The next likeliest labels with their probabilities, the likeliest first: up to 4, of 0.01 at least. Logs that were begun
    /// before there were any go on without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<Vec<Other>>,
    /// What the teacher named, likeliest first.
    pub candidates: Vec<String>,
    /// Where the label comes from: the name of the refinery, "student" where no teacher named a label, or "person" where a person
    /// gave it.
    pub by: By,
    /// 0 for the first label of a sample, then 1, 2, ...
    pub revision: u32,
    /// Training steps of the student by then.
    pub student: u64,
    /// Whether the corpus had ended and the student settled when this was written, or a person gave the label.
    #[serde(rename = "final")]
    pub is_final: bool,
}

impl LabelEvent {
    /// One that says no more than a label, for tests that are about nothing else.
    #[cfg(test)]
    pub(crate) fn plain(offset: u64, id: &str, label: &str) -> Self {
        Self {
            offset,
            id: id.into(),
            label: label.into(),
            confidence: 0.5,
            margin: None,
            others: None,
            candidates: Vec::new(),
            by: By::Posterior,
            revision: 0,
            student: 0,
            is_final: false,
        }
    }

    /// The event as users see it; `refinery` is where its label comes from if not from the student alone, and what of
    /// `rest` a log has none of is left out. A function of its arguments: written again, it has the same bytes.
    #[must_use]
    pub(crate) fn new(
        offset: u64,
        event: &StoredEvent,
        rest: &Rest<'_>,
        id: &SampleId,
        candidates: &[LabelId],
        labels: &LabelSet,
        refinery: &By,
    ) -> Self {
        let name = |label: LabelId| labels.name(label).to_owned();
        Self {
            offset,
            id: id.0.clone(),
            label: name(event.label),
            confidence: short(event.confidence),
            margin: rest.margin.map(short),
            others: rest.others.map(|others| others.iter().map(|&(label, share)| other(name(label), share)).collect()),
            candidates: candidates.iter().map(|&label| name(label)).collect(),
            by: event.source.by(refinery),
            revision: event.revision,
            student: event.student,
            is_final: event.is_final,
        }
    }

    /// One JSON line, with its line feed. Fields are in the order of the type, always all of them.
    #[must_use]
    pub fn to_line(&self) -> String {
        // Strings, numbers and flags: serialising them cannot fail.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

fn other(label: String, share: f32) -> Other {
    Other { label, confidence: short(share) }
}

/// As a person writes it: the shortest decimal of an f32 is short as an f64 only by way of its text.
fn short(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refinery_is_written_by_its_name() {
        for (by, text) in [
            (By::refinery("posterior"), "\"posterior\""),
            (By::refinery("candist"), "\"candist\""),
            (By::Student, "\"student\""),
            (By::Person, "\"person\""),
        ] {
            assert_eq!(serde_json::to_string(&by).unwrap(), text);
            assert_eq!(serde_json::from_str::<By>(text).unwrap(), by);
        }
    }
}
