//! What a line of `audit.jsonl` may say. What lines mean together is `audits`'.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::sample::{SampleId, TextHash};

/// A line, without its checksum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum AuditLine {
    /// A random sample was drawn; it takes the place of the one before.
    Draw {
        /// When, as RFC 3339 has it.
        date: String,
        /// What decides which texts are drawn.
        seed: u64,
        /// Whether it is the sample of the same seed, made larger: what was said of its texts stays.
        #[serde(default)]
        more: bool,
        /// Final labels that there were to draw from.
        population: u64,
        /// Lines of corrections.jsonl by then.
        corrections: u64,
        /// All texts of the sample, in drawn order.
        texts: Vec<DrawnText>,
        /// Who drew it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        who: Option<String>,
    },
    /// What a person says a text of the sample is.
    Label {
        /// When.
        date: String,
        /// That of the sample; logs of older versions do not say so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
        /// The text.
        #[serde(flatten)]
        text: DrawnText,
        /// Its label; none where it is taken back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<String>,
        /// Who says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        who: Option<String>,
        /// What they noted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// The audit ended.
    End {
        /// When.
        date: String,
        /// That of the sample; logs of older versions do not say so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
        /// Who ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        who: Option<String>,
        /// What it says of the labels, as they were then.
        certificate: Value,
        /// Lines of corrections.jsonl by then; logs of older versions do not say so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        corrections: Option<u64>,
    },
    /// The sample was given up before anything of it counted: nothing is judged by it.
    Drop {
        /// When.
        date: String,
        /// That of the sample; logs of older versions do not say so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
        /// Who gave it up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        who: Option<String>,
    },
    /// The labels of the audit, which has ended, were taken as corrections.
    Corrected {
        /// When.
        date: String,
        /// That of the sample; logs of older versions do not say so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
        /// Who took them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        who: Option<String>,
        /// How many.
        labels: u64,
    },
}

impl AuditLine {
    /// The sample that it is of, where it says so.
    pub(super) fn seed(&self) -> Option<u64> {
        match self {
            Self::Draw { seed, .. } => Some(*seed),
            Self::Label { seed, .. }
            | Self::End { seed, .. }
            | Self::Drop { seed, .. }
            | Self::Corrected { seed, .. } => *seed,
        }
    }
}

/// A text of a sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DrawnText {
    /// Its id.
    pub id: String,
    /// Hash of the text, as hexadecimal.
    pub text_hash: String,
}

impl DrawnText {
    /// As a line has it.
    pub(crate) fn new(id: &SampleId, text_hash: TextHash) -> Self {
        Self { id: id.0.clone(), text_hash: text_hash.to_hex() }
    }

    /// Id and hash, or why it has none.
    pub(super) fn parts(self) -> Result<(SampleId, TextHash), String> {
        let text_hash = TextHash::from_hex(&self.text_hash).ok_or("has no hash of a text")?;
        Ok((SampleId(self.id), text_hash))
    }
}
