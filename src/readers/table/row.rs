//! A row of a table: one text with the label that holds, and what led to it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::columns::Column;
use crate::domain::label::{LabelId, LabelSet};

/// A label as it is held of every text while the logs are read: small, for there are millions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Held {
    /// The label.
    pub(super) label: LabelId,
    /// Where it comes from: an index into [`Shape::by`].
    pub(super) by: u16,
    /// Whether it is final.
    pub(super) is_final: bool,
    /// Of 4 digits, which an f32 has.
    confidence: f32,
    /// The same; not a number where the event has none.
    margin: f32,
}

impl Held {
    pub(super) fn new(label: LabelId, by: u16, is_final: bool, confidence: f64, margin: Option<f64>) -> Self {
        Self {
            label,
            by,
            is_final,
            confidence: confidence as f32,
            margin: margin.map_or(f32::NAN, |margin| margin as f32),
        }
    }

    /// As it stands in the log.
    pub(super) fn confidence(self) -> f64 {
        digits(f64::from(self.confidence))
    }

    pub(super) fn margin(self) -> Option<f64> {
        (!self.margin.is_nan()).then(|| digits(f64::from(self.margin)))
    }
}

/// Rounded to the 4 digits of the label log.
pub(super) fn digits(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}

/// A row, as it goes from the logs to a writer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// The sample's id.
    pub(super) id: String,
    /// The text, where it is asked for and known.
    pub(super) text: Option<String>,
    /// The label that holds, if there is one.
    pub(super) label: Option<Held>,
    /// The candidates with their weights, likeliest first.
    pub(super) candidates: Vec<(LabelId, f64)>,
    /// The corpus' own columns, in their order; empty where there are none to join, or the corpus does not have the text.
    pub(super) fields: Vec<Value>,
}

/// What all rows of a table have in common.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// The task's labels.
    pub(super) labels: LabelSet,
    /// Where labels come from.
    pub(super) by: Vec<String>,
    /// Whether there is a column of texts.
    pub(super) has_text: bool,
    /// The corpus' own columns.
    pub(super) columns: Vec<Column>,
}

/// The columns that every table has, in their order.
pub(super) const COLUMNS: [&str; 9] =
    ["id", "label", "confidence", "margin", "candidates", "candidate_weights", "by", "corrected", "final"];
/// The column of texts.
pub(super) const TEXT: &str = "text";

/// Whether a person gave the label, by what the label log says of where it comes from. Nobody does yet.
pub(super) fn is_corrected(by: &str) -> bool {
    by == "person"
}

/// A row of a table of labels: one text, in the order of arrival. Columns of the corpus follow, where they are joined.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TableRow<'a> {
    /// The sample's id.
    id: &'a str,
    /// Its label; null where it has none yet.
    label: Option<&'a str>,
    /// Probability of the label, 0 to 1, with 4 digits.
    confidence: Option<f64>,
    /// How far the label's probability is above that of the second likeliest, 0 to 1, with 4 digits; null where the label
    /// log does not say.
    margin: Option<f64>,
    /// What the teachers named, likeliest first.
    candidates: Vec<&'a str>,
    /// What the teachers' answers say of each candidate, in their order, with 4 digits; they sum to 1. The mean over the
    /// answers that name a label: there a candidate has its weight's share of the answer's weights, or, in an answer
    /// without weights, the same share as the others.
    candidate_weights: Vec<f64>,
    /// Where the label comes from: the name of the refinery, or "student" where no teacher named a label.
    by: Option<&'a str>,
    /// Whether a person gave the label.
    corrected: bool,
    /// Whether the label is final.
    #[serde(rename = "final")]
    is_final: bool,
    /// The text, in tables that have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Option<&'a str>>,
    #[serde(flatten)]
    #[schemars(with = "BTreeMap<String, Value>")]
    fields: Fields<'a>,
}

impl<'a> TableRow<'a> {
    /// `row` with the names of `shape`.
    pub(super) fn new(row: &'a Row, shape: &'a Shape) -> Self {
        let by = row.by(shape);
        Self {
            id: &row.id,
            label: row.label.map(|held| shape.labels.name(held.label)),
            confidence: row.label.map(Held::confidence),
            margin: row.label.and_then(Held::margin),
            candidates: row.candidates.iter().map(|&(label, _)| shape.labels.name(label)).collect(),
            candidate_weights: row.candidates.iter().map(|&(_, weight)| weight).collect(),
            by,
            corrected: by.is_some_and(is_corrected),
            is_final: row.is_final(),
            text: shape.has_text.then_some(row.text.as_deref()),
            fields: Fields { columns: &shape.columns, values: &row.fields },
        }
    }
}

impl Row {
    pub(super) fn by<'a>(&self, shape: &'a Shape) -> Option<&'a str> {
        self.label.and_then(|held| shape.by.get(usize::from(held.by))).map(String::as_str)
    }

    pub(super) fn is_final(&self) -> bool {
        self.label.is_some_and(|held| held.is_final)
    }

    /// The value of the corpus' column number `index`; null where the corpus has none of this text.
    pub(super) fn field(&self, index: usize) -> Cow<'_, Value> {
        self.fields.get(index).map_or(Cow::Owned(Value::Null), Cow::Borrowed)
    }
}

/// The corpus' columns of a row, each by its name.
#[derive(Debug)]
struct Fields<'a> {
    columns: &'a [Column],
    values: &'a [Value],
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len()))?;
        for (index, column) in self.columns.iter().enumerate() {
            map.serialize_entry(&column.name, self.values.get(index).unwrap_or(&Value::Null))?;
        }
        map.end()
    }
}
