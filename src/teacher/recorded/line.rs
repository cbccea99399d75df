//! A line of a recording, and what it says.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::base::sealed;
use crate::domain::answer::{Problem, ProblemKind};
use crate::domain::label::{LabelId, LabelSet};

/// A line of a recording: what a teacher said of one text. It needs `id` and `labels`; what else is in it is passed over.
/// A line of a run's answers.jsonl is one.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct RecordedLine {
    /// The id of the text in the corpus.
    pub(super) id: String,
    /// The candidates, likeliest first, by name or alias of the task. Empty for an answer that named none.
    labels: Vec<String>,
    /// Who answered. A line without it belongs to every teacher that reads the file.
    #[serde(default)]
    pub(super) teacher: Option<String>,
    /// Hash of the text, in hexadecimal: finds the text under another id. One that is no hash counts as absent.
    #[serde(default)]
    pub(super) text_hash: Option<String>,
    /// One weight a label, 0 to 1; another number of them than of labels is passed over.
    #[serde(default)]
    weights: Vec<f32>,
    /// Tells the draws of one text apart, and a second try from a second draw.
    #[serde(default)]
    pub(super) key: Option<String>,
    /// Which try this was, from 1; the last one under a key counts.
    #[serde(default)]
    pub(super) attempt: u32,
    /// Why there are no labels; kept so that a replayed failure still says so.
    #[serde(default)]
    problem: Option<String>,
    /// What is wrong with the answer, in a word.
    #[serde(default)]
    problem_kind: Option<ProblemKind>,
}

/// What a teacher said of a text.
#[derive(Debug)]
pub(super) struct RecordedAnswer {
    pub(super) labels: Vec<LabelId>,
    /// One a label, or none.
    pub(super) weights: Vec<f32>,
    pub(super) problem: Option<Problem>,
}

impl RecordedLine {
    /// Reads a line. One with a checksum must match it; one without was written by a person, and is taken as it is.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for people.
    pub(super) fn read(line: &str) -> Result<Self, String> {
        if sealed::check(line.as_bytes()) == Err(sealed::Broken::Changed) {
            return Err("does not match its checksum: it was changed or damaged; remove the line".to_owned());
        }
        serde_json::from_str(line).map_err(|error| {
            format!(
                "is no answer ({error}); expected {{\"id\": \"..\", \"labels\": [\"..\"]}}: mend or remove the line"
            )
        })
    }

    /// What it says.
    ///
    /// # Errors
    ///
    /// As [`RecordedLine::read`], for a label that the task does not have.
    pub(super) fn answer(self, labels: &LabelSet) -> Result<RecordedAnswer, String> {
        let kind = self.problem_kind.unwrap_or(ProblemKind::Empty);
        Ok(RecordedAnswer {
            labels: resolve(&self.labels, labels)?,
            // One weight a label, or they say nothing.
            weights: if self.weights.len() == self.labels.len() { self.weights } else { Vec::new() },
            problem: self.problem.map(|message| Problem { kind, message }),
        })
    }
}

/// The labels that a line names. One that the task does not have is an error, with the one most like it: leaving it out
/// would make another answer of what was paid for.
fn resolve(names: &[String], labels: &LabelSet) -> Result<Vec<LabelId>, String> {
    names
        .iter()
        .map(|name| {
            labels.resolve(name).ok_or_else(|| {
                let near = labels.nearest(name).map(|near| format!(" (like {near:?})")).unwrap_or_default();
                format!("the label {name:?} is none of the task's{near}: add it to task.labels, as a label or an alias")
            })
        })
        .collect()
}
