//! What the routes of the audit take and answer with, as JSON. `openapi` tells of these types; nothing here computes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::readers::audit::{Share, Threshold};
use crate::readers::audited::Calibrated;

/// The run's own audit.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct AuditNow {
    /// Null where no sample was drawn.
    pub(super) audit: Option<AuditShown>,
    /// Labels that a sample is drawn from: of the texts that were there when the corpus last ended.
    pub(super) population: u64,
    /// Texts of a sample, at most.
    pub(super) most: u64,
    /// Null before a label of the audit counts, and before all of it is labelled, unless they are asked for. Of an audit that has ended, as they were
    /// at its end.
    pub(super) figures: Option<AuditFigures>,
    /// What has to be known besides, a sentence each.
    pub(super) doubts: Vec<String>,
    /// Where figures are told: texts of which the run has another label than the person, in drawn order; 100 at most.
    pub(super) differences: Vec<Difference>,
    /// Whether the logs are still being read for the first time: then figures are of a part.
    pub(super) reading: bool,
}

/// A text of which the run has another label than who audited it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Difference {
    /// Its place among the arrivals, from 0.
    pub(super) position: u64,
    /// How the text begins.
    pub(super) text: String,
    /// The label by the person.
    pub(super) said: String,
    /// The label by the run.
    pub(super) label: String,
    /// Its confidence.
    pub(super) confidence: f64,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct AuditShown {
    /// What decided which texts are drawn.
    pub(super) seed: u64,
    /// When the sample was drawn, as RFC 3339 has it.
    pub(super) drawn_at: String,
    /// Its sizes, one for each draw.
    pub(super) draws: Vec<u64>,
    /// Texts of the sample.
    pub(super) drawn: u64,
    /// Of these, texts that a person labelled.
    pub(super) filled: u64,
    /// Of these, those from the beginning of the sample on without a gap: they alone count.
    pub(super) counted: u64,
    /// Labels that it was drawn from.
    pub(super) population: u64,
    /// Whether it goes on.
    pub(super) open: bool,
    /// When it ended.
    pub(super) ended_at: Option<String>,
    /// Labels of it that were taken as corrections, once they were.
    pub(super) corrected: Option<u64>,
}

/// What it says of the labels.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct AuditFigures {
    /// Labels that are judged.
    pub(super) audited: u64,
    /// The share of right labels, with its 95% interval.
    pub(super) accuracy: Share,
    /// Whether confidences tell how many labels are right.
    pub(super) calibration: Calibrated,
    /// As it was asked for.
    pub(super) epsilon: f64,
    /// As it was asked for.
    pub(super) delta: f64,
    /// From which confidence on labels are that good; null where it could not be shown.
    pub(super) threshold: Option<Threshold>,
    /// The same in a sentence.
    pub(super) says: String,
}

/// A text to label. What the run says of it is left out.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct ToAudit {
    /// Its place among the arrivals, from 0.
    pub(super) position: u64,
    /// Its id.
    pub(super) id: String,
    /// Hash of the whole text, as hexadecimal: to be sent with its label.
    pub(super) text_hash: String,
    /// The text, or its beginning.
    pub(super) text: String,
    /// Whether the text goes on.
    pub(super) cut: bool,
    /// Labels to choose from, in no order.
    pub(super) choices: Vec<String>,
}

/// Texts of the sample that nobody has labelled yet.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct AuditQueue {
    /// How many.
    pub(super) remaining: u64,
    /// The first of them, in drawn order.
    pub(super) rows: Vec<ToAudit>,
}

/// A sample to draw.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDraw {
    /// Texts; of a sample that is made larger, of all of it.
    pub(super) n: u64,
    /// Without one, it is drawn too.
    #[serde(default)]
    pub(super) seed: Option<u64>,
    /// Whether an audit that goes on, and of which nothing is labelled, is dropped for it.
    #[serde(default)]
    pub(super) anew: bool,
    /// Who draws it.
    #[serde(default)]
    pub(super) who: Option<String>,
}

/// What a person says of a text of the sample.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAuditLabel {
    /// The text's place among the arrivals.
    pub(super) position: u64,
    /// Its id.
    pub(super) id: String,
    /// Hash of the text that was read.
    #[serde(default)]
    pub(super) text_hash: Option<String>,
    /// A label of the task.
    pub(super) label: String,
    /// Who says so.
    #[serde(default)]
    pub(super) who: Option<String>,
    /// Why.
    #[serde(default)]
    pub(super) note: Option<String>,
}

/// That an audit ends.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEnd {
    /// The share of wrong labels that its certificate allows; 0.05 if missing.
    #[serde(default)]
    pub(super) epsilon: Option<f64>,
    /// The chance that it allows for there to be more; 0.05 if missing.
    #[serde(default)]
    pub(super) delta: Option<f64>,
    /// Who ends it.
    #[serde(default)]
    pub(super) who: Option<String>,
}

/// That the labels of an audit, which has ended, become corrections.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTaking {
    /// Who takes them.
    #[serde(default)]
    pub(super) who: Option<String>,
}

/// Labels of an audit that are corrections now.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Taken {
    /// Those that were none before.
    pub(super) labels: u64,
}
