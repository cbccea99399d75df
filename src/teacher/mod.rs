//! Teachers: who names candidate labels. One trait; `recorded` and `openai` are its kinds.

mod openai;
mod recorded;

use std::sync::Arc;

use futures::future::BoxFuture;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::config::{Config, TeacherConfig};
use crate::error::Result;
use crate::label::LabelId;
use crate::ledger::Ledger;
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
    /// Of the prompt's, tokens that the provider had in its cache.
    #[serde(default)]
    pub cached_tokens: u64,
}

impl Usage {
    /// Tokens in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }

    /// Adds what another request took.
    pub fn add(&mut self, other: Self) {
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(other.completion_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
    }
}

/// What may be wrong with a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// It names what is no label of the task; labels beside that were kept.
    OffList,
    /// It names nothing.
    Empty,
    /// The model, or the provider's filter, refused.
    Refused,
    /// It ends at the most tokens allowed.
    CutOff,
    /// There is no answer in the recording.
    Missing,
}

impl ProblemKind {
    /// Its name, as the journal has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OffList => "off-list",
            Self::Empty => "empty",
            Self::Refused => "refused",
            Self::CutOff => "cut-off",
            Self::Missing => "missing",
        }
    }
}

/// What is wrong with a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// In a word.
    pub kind: ProblemKind,
    /// In a sentence.
    pub message: String,
}

/// A teacher's reply about one sample.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Its candidates, likeliest first; empty when none of the task's labels was named.
    pub labels: Vec<LabelId>,
    /// Weights of the candidates, 0 to 1: stated or token probabilities. Empty where there are none.
    pub weights: Vec<f32>,
    /// The reply as received; none from a recording.
    pub raw: Option<String>,
    /// The model that replied, as it names itself.
    pub model: Option<String>,
    /// What it cost in tokens.
    pub usage: Option<Usage>,
    /// What it cost in money.
    #[serde(with = "rust_decimal::serde::str_option")]
    pub cost: Option<Decimal>,
    /// What is wrong with the reply, when it is empty or parts of it were dropped.
    pub problem: Option<Problem>,
}

/// An answer with all that belongs to it: what the journal keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Whether asking again is not worth it: there are labels, or `allowed` tries were made.
    #[must_use]
    pub fn is_settled(&self, allowed: u32) -> bool {
        !self.answer.labels.is_empty() || self.attempt >= allowed
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

/// Tokens that a request is expected to take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Of the prompt.
    pub prompt: u32,
    /// Of the prompt, at most.
    pub prompt_bound: u32,
    /// Of the answer.
    pub completion: u32,
    /// Of the answer, at most.
    pub completion_bound: u32,
}

/// Someone who names candidate labels for a sample.
pub trait Teacher: Send + Sync {
    /// The name under which its answers are kept.
    fn name(&self) -> &str;

    /// What its answers depend on besides the sample; part of the labelling fingerprint.
    fn identity(&self) -> String;

    /// How often each sample is asked about (self-consistency).
    fn draws(&self) -> u32 {
        1
    }

    /// The key of an answer to `sample`; `draw` counts from 0. Pure: the same for the same sample, always.
    fn key(&self, sample: &Sample, draw: u32) -> AnswerKey;

    /// How often a sample is asked when the answer names no label.
    fn attempts(&self) -> u32;

    /// Sends nothing from now on; what is in flight still comes back.
    fn stop(&self) {}

    /// Asks. May be called for many samples at the same time; keeps its own limits.
    fn ask<'a>(&'a self, sample: &'a Sample, draw: u32) -> BoxFuture<'a, Result<Answer, AskError>>;

    /// Its requests as such, where it has any: for plans and batch files.
    fn requests(&self) -> Option<&dyn Requests> {
        None
    }
}

/// A teacher that is asked by requests, seen without sending any.
pub trait Requests {
    /// The tokens of a request about `sample`.
    fn size(&self, sample: &Sample) -> Result<Size, String>;

    /// Whether sizes are counted with the model's tokenizer; else they are estimated.
    fn sizes_are_counted(&self) -> bool;

    /// The path of the API and the body of a request about `sample`, for a batch file.
    fn body(&self, sample: &Sample) -> Result<(&'static str, serde_json::Value), String>;

    /// Reads the body of a reply that came in a batch file; its cost is at batch prices.
    fn read(&self, body: &[u8]) -> Result<Answer, String>;
}

/// Sets up the configured teachers, in their order.
///
/// What they spend goes through `ledger`. Teachers at the same address share their pauses.
pub fn open_all(config: &Config, ledger: &Arc<Ledger>) -> Result<Vec<Arc<dyn Teacher>>> {
    let mut shared = openai::Shared::default();
    config
        .teachers
        .iter()
        .map(|teacher| -> Result<Arc<dyn Teacher>> {
            Ok(match teacher {
                TeacherConfig::Recorded(recorded) => Arc::new(recorded::Recorded::open(recorded, &config.task.labels)?),
                TeacherConfig::OpenAi(openai) => {
                    Arc::new(openai::OpenAi::open(openai, &config.task, ledger, &mut shared)?)
                }
            })
        })
        .collect()
}

/// Sets up the configured teachers without their keys: for looking, not for asking.
pub fn open_without_keys(config: &Config, ledger: &Arc<Ledger>) -> Result<Vec<Arc<dyn Teacher>>> {
    let mut config = config.clone();
    for teacher in &mut config.teachers {
        if let TeacherConfig::OpenAi(openai) = teacher {
            openai.http.api_key_env = None;
        }
    }
    open_all(&config, ledger)
}
