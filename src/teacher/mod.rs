//! Teachers: who names candidate labels. One trait; `recorded` and `openai` are its kinds.

mod openai;
mod recorded;

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::config::{Config, TeacherConfig};
use crate::error::Result;
use crate::label::LabelId;
use crate::sample::{Sample, SampleId, TextHash, to_hex};

pub use openai::parse::labels_in;

/// Hash of all that determines an answer: text, model, rendered prompt, decoding parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AnswerKey(pub [u8; 16]);

impl AnswerKey {
    /// Lower-case hexadecimal, 32 characters.
    #[must_use]
    pub fn to_hex(self) -> String {
        to_hex(self.0)
    }
}

/// Tokens that the provider counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Usage {
    /// Tokens of the prompt.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    #[serde(default)]
    pub completion_tokens: u64,
}

/// A teacher's reply about one sample.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its candidates, likeliest first; empty when none of the task's labels was named.
    pub labels: Vec<LabelId>,
    /// The reply as received; none from a recording.
    pub raw: Option<String>,
    /// The model that replied, as it names itself.
    pub model: Option<String>,
    /// What it cost in tokens.
    pub usage: Option<Usage>,
    /// What is wrong with the reply, when it is empty or parts of it were dropped.
    pub problem: Option<String>,
}

/// An answer with all that belongs to it: what the journal keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerRecord {
    /// What it answers.
    pub key: AnswerKey,
    /// The first sample it was asked for.
    pub id: SampleId,
    /// That sample's text, by hash.
    pub text_hash: TextHash,
    /// Who answered.
    pub teacher: String,
    /// Which try this was, from 1.
    pub attempt: u32,
    /// The reply.
    pub answer: Answer,
}

impl AnswerRecord {
    /// Whether asking `teacher` again is not worth it: there are labels, or it had its tries.
    #[must_use]
    pub fn is_settled(&self, teacher: &dyn Teacher) -> bool {
        !self.answer.labels.is_empty() || self.attempt >= teacher.attempts()
    }
}

/// Why a teacher gave no answer at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskError {
    /// This sample cannot be answered; others may be.
    Failed(String),
    /// Nothing can be answered any more: wrong key, no credit, nobody listens.
    Stop(String),
    /// It was not sent, because the run stops.
    Cancelled,
}

/// Someone who names candidate labels for a sample.
pub trait Teacher: Send + Sync {
    /// The name under which its answers are kept.
    fn name(&self) -> &str;

    /// What its answers depend on besides the sample; part of the labelling fingerprint.
    fn identity(&self) -> String;

    /// The key of the answer to `sample`. Pure: the same for the same sample, always.
    fn key(&self, sample: &Sample) -> AnswerKey;

    /// How often a sample is asked when the answer names no label.
    fn attempts(&self) -> u32;

    /// Sends nothing from now on; what is in flight still comes back.
    fn stop(&self) {}

    /// Asks. May be called for many samples at the same time; keeps its own limits.
    fn ask<'a>(&'a self, sample: &'a Sample) -> BoxFuture<'a, Result<Answer, AskError>>;
}

/// Sets up the configured teachers, in their order.
pub fn open_all(config: &Config) -> Result<Vec<Arc<dyn Teacher>>> {
    config
        .teachers
        .iter()
        .map(|teacher| -> Result<Arc<dyn Teacher>> {
            Ok(match teacher {
                TeacherConfig::Recorded(recorded) => Arc::new(recorded::Recorded::open(recorded, &config.task.labels)?),
                TeacherConfig::OpenAi(openai) => Arc::new(openai::OpenAi::open(openai, &config.task)?),
            })
        })
        .collect()
}
