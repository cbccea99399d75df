//! A line of `answers.jsonl`: an answer as it is kept, in the format of a recording. So the log of one run can be the
//! teacher of another, and a person can read it.

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::sealed;
use crate::domain::answer::{Answer, AnswerKey, AnswerRecord, Problem, ProblemKind, Usage};
use crate::domain::label::LabelSet;
use crate::domain::sample::{SampleId, TextHash, from_hex};

/// A line of the journal, without its checksum. A recording has the same fields; it needs only `id` and `labels`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AnswerLine {
    /// The sample's id.
    pub id: String,
    /// Who answered.
    pub teacher: String,
    /// Candidate labels, likeliest first; empty when none of the task's was named.
    pub labels: Vec<String>,
    /// Hash of text, model, prompt and decoding parameters, as hexadecimal.
    pub key: String,
    /// Hash of the text, as hexadecimal.
    pub text_hash: String,
    /// Which try this was, from 1.
    pub attempt: u32,
    /// The model that replied, as it names itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The reply as received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// Weights of the labels, 0 to 1, where the reply has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<f32>,
    /// Tokens that the provider counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What the answer cost, as a decimal in the currency of the prices.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "rust_decimal::serde::str_option")]
    #[schemars(with = "Option<String>")]
    pub cost: Option<Decimal>,
    /// Seconds from sending the request to having the whole reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// What is wrong with the reply, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem_kind: Option<ProblemKind>,
    /// What is wrong with the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl AnswerLine {
    /// Labels by name, for their numbers change with the configuration.
    pub(crate) fn new(record: &AnswerRecord, labels: &LabelSet) -> Self {
        let answer = record.answer.clone();
        Self {
            id: record.id.0.clone(),
            teacher: record.teacher.clone(),
            labels: answer.labels.iter().map(|&label| labels.name(label).to_owned()).collect(),
            key: record.key.to_hex(),
            text_hash: record.text_hash.to_hex(),
            attempt: record.attempt,
            model: answer.model,
            raw: answer.raw,
            weights: answer.weights,
            usage: answer.usage,
            cost: answer.cost,
            seconds: answer.seconds,
            problem_kind: answer.problem.as_ref().map(|problem| problem.kind),
            problem: answer.problem.map(|problem| problem.message),
        }
    }

    /// `None` where a name is no label of the task, or a hash is none: such a line is set aside, not used in part. A
    /// problem without a kind counts as `empty`.
    pub(crate) fn into_record(self, labels: &LabelSet) -> Option<AnswerRecord> {
        let ids: Option<Vec<_>> = self.labels.iter().map(|name| labels.resolve(name)).collect();
        Some(AnswerRecord {
            key: AnswerKey(from_hex(&self.key)?),
            id: SampleId(self.id),
            text_hash: TextHash::from_hex(&self.text_hash)?,
            teacher: self.teacher,
            attempt: self.attempt,
            answer: Answer {
                labels: ids?,
                weights: self.weights,
                raw: self.raw,
                model: self.model,
                usage: self.usage,
                cost: self.cost,
                seconds: self.seconds,
                problem: self
                    .problem
                    .map(|message| Problem { kind: self.problem_kind.unwrap_or(ProblemKind::Empty), message }),
            },
        })
    }
}

/// `record` as a sealed line with its line feed.
pub(crate) fn seal(record: &AnswerRecord, labels: &LabelSet) -> String {
    // Plain strings and numbers: serialising them cannot fail.
    sealed::seal(&serde_json::to_string(&AnswerLine::new(record, labels)).unwrap_or_default())
}

/// The answer in `line`, whose checksum was checked; `None` if it is none of this task.
pub(crate) fn parse(line: &[u8], labels: &LabelSet) -> Option<AnswerRecord> {
    serde_json::from_slice::<AnswerLine>(line).ok()?.into_record(labels)
}
