//! An answer: what a teacher said about one sample, and what it cost. No I/O.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::label::LabelId;
use crate::domain::sample::{SampleId, TextHash, short_hash, to_hex};

/// Hash of all that determines an answer: text, model, rendered prompt, decoding parameters. An answer that is stored
/// under it is not asked for again, unless it was useless; another way to make the key asks everything anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AnswerKey(pub [u8; 16]);

impl AnswerKey {
    /// The hash of `parts` in their order: all that the answer depends on. No two lists of parts are taken for each other.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        Self(short_hash(&parts))
    }

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
    /// The teacher could not be made to answer, after all retries.
    Unanswered,
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
            Self::Unanswered => "unanswered",
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
    /// Weights of the candidates, 0 to 1, in their order: stated or token probabilities. Empty where there are none.
    pub weights: Vec<f32>,
    /// The reply as received; none from a recording.
    pub raw: Option<String>,
    /// The model that replied, as it names itself.
    pub model: Option<String>,
    /// What it cost in tokens.
    pub usage: Option<Usage>,
    /// What it cost in money, in the currency of the configured prices; `None` where there are none. A decimal, for
    /// sums of it are held against a cap.
    #[serde(with = "rust_decimal::serde::str_option")]
    pub cost: Option<Decimal>,
    /// Seconds from sending the request to having the whole reply; none where there was no request.
    pub seconds: Option<f64>,
    /// What is wrong with the reply, when it is empty or parts of it were dropped.
    pub problem: Option<Problem>,
}

impl Answer {
    /// An answer that names `labels`, the likeliest first, and says nothing else.
    pub fn naming(labels: impl IntoIterator<Item = LabelId>) -> Self {
        Self { labels: labels.into_iter().collect(), ..Self::default() }
    }
}

/// An answer with all that belongs to it: what the journal keeps. Written once, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerRecord {
    /// What it answers.
    pub key: AnswerKey,
    /// The first sample it was asked for; others with the same text share the answer.
    pub id: SampleId,
    /// That sample's text, by hash.
    pub text_hash: TextHash,
    /// Who answered.
    pub teacher: String,
    /// Which try this was, from 1; the latest try under a key counts.
    pub attempt: u32,
    /// The reply.
    pub answer: Answer,
}

impl AnswerRecord {
    /// Whether asking again is not worth it: there are labels, or `allowed` tries were made (useless ones, of which
    /// each was paid for), or the text was refused.
    #[must_use]
    pub fn is_settled(&self, allowed: u32) -> bool {
        !self.answer.labels.is_empty() || self.attempt >= allowed || self.is_refused()
    }

    /// Whether model, server or filter refused the text.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.answer.problem.as_ref().is_some_and(|problem| problem.kind == ProblemKind::Refused)
    }
}
