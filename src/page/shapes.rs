//! What the page's routes answer with, as JSON. `openapi` tells of these types; nothing here computes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::event::Other;
use crate::domain::status::Status;
use crate::readers::audit::Share;

/// A label of the task.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct TaskLabel {
    /// As the log spells it.
    pub(super) name: String,
    /// What it means, where the server was given the configuration.
    pub(super) description: Option<String>,
}

/// What is shown. It does not change unless another input log begins.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct About {
    /// The task's name.
    pub(super) task: String,
    /// Its labels, in the order of the configuration.
    pub(super) labels: Vec<TaskLabel>,
    /// The teachers, in the order of the configuration.
    pub(super) teachers: Vec<String>,
    /// The run directory, as it was named.
    pub(super) directory: String,
    /// The server's version.
    pub(super) version: String,
    /// Whether a process runs in the directory now.
    pub(super) live: bool,
    /// Whether labels can be given here.
    pub(super) correctable: bool,
    /// What gives labels; null before there are any.
    pub(super) refinery: Option<String>,
}

/// How far the run is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(super) struct StatusNow {
    /// Whether a process runs in the directory now.
    pub(super) live: bool,
    /// What the process says of itself or, where none runs, what the last one said.
    pub(super) status: Option<Status>,
    /// Whether the logs are still being read for the first time: then there is more than is shown.
    pub(super) reading: bool,
    /// What is wrong with the files, a sentence each.
    pub(super) problems: Vec<String>,
}

/// That rows changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
pub(super) struct RowsChanged {
    /// Events of the label log so far.
    pub(super) events: u64,
    /// Another one for every change.
    pub(super) version: u64,
}

/// Texts that have a label.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct LabelCount {
    /// The label.
    pub(super) label: String,
    /// Texts.
    pub(super) count: u64,
}

/// Texts with as many candidates.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct SizeCount {
    /// Candidates; 255 stands for more, too.
    pub(super) size: u64,
    /// Texts.
    pub(super) count: u64,
}

/// Texts whose label comes from there.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct ByCount {
    /// A refinery's name, "student" or "person".
    pub(super) by: String,
    /// Texts.
    pub(super) count: u64,
}

/// How often labels are what a teacher named first.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Agreement {
    /// The teacher.
    pub(super) teacher: String,
    /// Labelled texts that it named a label for.
    pub(super) answered: u64,
    /// Of these, texts whose label is its first.
    pub(super) agrees: u64,
}

/// Labels that changed in a part of the stream.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Changed {
    /// Labelled texts at the part's end.
    pub(super) texts: u64,
    /// Events in it that gave a text another label.
    pub(super) changed: u64,
}

/// All texts, counted.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Overview {
    /// Texts that arrived.
    pub(super) texts: u64,
    /// Texts with a label.
    pub(super) labelled: u64,
    /// Texts whose label is final.
    #[serde(rename = "final")]
    pub(super) finals: u64,
    /// Texts whose label a person gave.
    pub(super) corrected: u64,
    /// Texts that no teacher named a label for.
    pub(super) failed: u64,
    /// Events of the label log.
    pub(super) events: u64,
    /// See [`RowsChanged`].
    pub(super) version: u64,
    /// All labels of the task, the most frequent first.
    pub(super) distribution: Vec<LabelCount>,
    /// Texts by confidence, in 20 bins of 0.05.
    pub(super) confidence: Vec<u64>,
    /// Texts by the number of their candidates, without those that have none.
    pub(super) set_sizes: Vec<SizeCount>,
    /// Texts by where their label comes from.
    pub(super) by: Vec<ByCount>,
    /// Teachers, in the order of the configuration.
    pub(super) agreement: Vec<Agreement>,
    /// Labels that changed over the stream, in at most 60 parts.
    pub(super) changes: Vec<Changed>,
    /// Why confidences are a ranking and no probabilities, where that is so.
    pub(super) calibration_doubt: Option<String>,
}

/// One text with its label, as a list shows it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct ShownRow {
    /// Its place among the arrivals, from 0.
    pub(super) position: u64,
    /// Its id; empty where its line of the input log is damaged.
    pub(super) id: String,
    /// Hash of the whole text, as hexadecimal: to be sent with what is decided of it.
    pub(super) text_hash: String,
    /// The text, or its beginning.
    pub(super) text: String,
    /// Whether the text goes on.
    pub(super) cut: bool,
    /// Null where it has none yet, as are the next two.
    pub(super) label: Option<String>,
    /// Probability of the label, 0 to 1.
    pub(super) confidence: Option<f64>,
    /// How far the label is ahead; null also where the log has no margins.
    pub(super) margin: Option<f64>,
    /// The next likeliest labels.
    pub(super) others: Vec<Other>,
    /// What teachers named, likeliest first.
    pub(super) candidates: Vec<String>,
    /// Where the label comes from.
    pub(super) by: Option<String>,
    /// Whether the label is final.
    #[serde(rename = "final")]
    pub(super) is_final: bool,
    /// 0 for the first label of a text, then 1, 2, ...
    pub(super) revision: u32,
    /// Whether a person gave the label.
    pub(super) corrected: bool,
    /// Whether no teacher named a label.
    pub(super) failed: bool,
    /// Whether it is in the sample of the audit that goes on: then it cannot be corrected.
    pub(super) audited: bool,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Page {
    /// Rows of the whole list.
    pub(super) total: u64,
    /// See [`RowsChanged`].
    pub(super) version: u64,
    /// Whether the search for a text ran out of time: then only the first texts were searched.
    pub(super) partial: bool,
    /// Texts that were searched, where a text was searched for.
    pub(super) searched: Option<u64>,
    /// The rows asked for.
    pub(super) rows: Vec<ShownRow>,
}

/// How right labels are said to be, by their confidences alone.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Expected {
    /// Texts with a label.
    pub(super) labelled: u64,
    /// The mean of their confidences, in which a label that a person gave counts 1: the share of labels that is expected to be right.
    /// Null before there is a label.
    pub(super) right: Option<f64>,
    /// Why it is no such share, but confidences are a ranking, where that is so.
    pub(super) calibration_doubt: Option<String>,
}

/// What is known of how right labels are while people look at them.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Estimates {
    /// By confidences.
    pub(super) expected: Expected,
    /// The share of labels that are others than a person would give, by the `changed` of `looked` that were asked with, and the interval that holds
    /// it for all texts that these were drawn from by chance. Null where none were looked at.
    pub(super) changed: Option<Share>,
}

/// What to look at next.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Review {
    /// Texts in this queue that nobody has corrected.
    pub(super) remaining: u64,
    /// How right all labels are said to be.
    pub(super) expected: Expected,
    /// The first of them, with the whole text.
    pub(super) rows: Vec<ShownRow>,
}

/// An answer as a teacher gave it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct RawAnswer {
    /// Which try this was, from 1.
    pub(super) attempt: u32,
    /// The reply as received; none from a recording.
    pub(super) raw: Option<String>,
    /// What a model thought aloud is not kept: always null.
    pub(super) reasoning: Option<String>,
    /// What is wrong with the reply.
    pub(super) problem: Option<String>,
}

/// What one teacher said of a text.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Said {
    /// The teacher.
    pub(super) teacher: String,
    /// The labels that count, likeliest first.
    pub(super) labels: Vec<String>,
    /// One weight a label, where it gave any.
    pub(super) weights: Vec<f32>,
    /// Its answers to this text that are stored, also to other prompts, in the order in which they came.
    pub(super) answers: Vec<RawAnswer>,
}

/// An event of the label log.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Past {
    /// Number of the event in the log.
    pub(super) offset: u64,
    /// The label it gave.
    pub(super) label: String,
    /// Probability of the label, 0 to 1.
    pub(super) confidence: f64,
    /// Where the label comes from.
    pub(super) by: String,
    /// Whether it was final.
    #[serde(rename = "final")]
    pub(super) is_final: bool,
    /// 0 for the first, then 1, 2, ...
    pub(super) revision: u32,
    /// Training steps of the student by then.
    pub(super) student: u64,
}

/// What a person decided of a text.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Decided {
    /// The label given.
    pub(crate) label: String,
    /// By whom.
    pub(crate) who: Option<String>,
    /// Why.
    pub(crate) note: Option<String>,
}

/// A text that is like another.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Near {
    /// Its place among the arrivals.
    pub(super) position: u64,
    /// Its id.
    pub(super) id: String,
    /// Its text, or the beginning.
    pub(super) text: String,
    /// Its label.
    pub(super) label: Option<String>,
    /// How much they share of words, pairs of words and parts of words: the cosine of their n-grams, 0 to 1.
    pub(super) similarity: f64,
}

/// One text with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Detail {
    /// As in a list, with the whole text.
    #[serde(flatten)]
    pub(super) row: ShownRow,
    /// Who was asked and what they said.
    pub(super) teachers: Vec<Said>,
    /// Why there are no candidates, where there are none.
    pub(super) failure: Option<String>,
    /// Its events, the oldest first.
    pub(super) history: Vec<Past>,
    /// What a person decided.
    pub(super) correction: Option<Decided>,
    /// The labelled texts that are nearest to it, the nearest first; five at most.
    pub(super) nearest: Vec<Near>,
    /// Whether looking for answers and history ran out of time: then some may be missing.
    pub(super) partial: bool,
}

/// A label that a person gives.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Correction {
    /// The text's place among the arrivals.
    pub(crate) position: u64,
    /// Its id: a position alone might be another text's by now.
    pub(crate) id: String,
    /// Hash of the text that was read: an id might be another's too.
    #[serde(default)]
    pub(crate) text_hash: Option<String>,
    /// A label of the task.
    pub(crate) label: String,
    /// Who gives it.
    #[serde(default)]
    pub(crate) who: Option<String>,
    /// Why.
    #[serde(default)]
    pub(crate) note: Option<String>,
}

/// That a correction, or that it was taken back, is durable.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Corrected {
    /// The text.
    pub(super) position: u64,
    /// The label it was given; null where that was taken back.
    pub(super) label: Option<String>,
}

pub(super) use crate::http::Fault;
