//! A row of a table: one text with the label that holds, and what led to it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::columns::Column;
use crate::domain::event::OTHERS;
use crate::domain::label::{LabelId, LabelSet};
use crate::readers::audited::in_set;
use crate::readers::probability::Probability;
use crate::readers::recalibration::Curve;

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
    /// Of the label log, where `confidence` is another by an audit.
    raw: Probability,
    others: Others,
}

/// The next likeliest labels, as small as they are held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Others {
    /// Those of probability 0 are none; [`UNKNOWN`] where the label log does not say which there are.
    places: [(LabelId, Probability); OTHERS],
}

/// No label, of no probability.
const UNKNOWN: [(LabelId, Probability); OTHERS] = [(LabelId(u16::MAX), Probability::ZERO); OTHERS];

impl Others {
    /// `None` where the log does not say.
    pub(super) fn new(others: Option<Vec<(LabelId, Probability)>>) -> Self {
        let Some(others) = others else { return Self { places: UNKNOWN } };
        let mut places = [(LabelId(0), Probability::ZERO); OTHERS];
        for (place, other) in places.iter_mut().zip(others) {
            *place = other;
        }
        Self { places }
    }

    fn iter(&self) -> impl Iterator<Item = (LabelId, Probability)> {
        self.places.into_iter().filter(|(_, share)| *share > Probability::ZERO)
    }
}

impl Held {
    pub(super) fn new(
        label: LabelId,
        by: u16,
        is_final: bool,
        confidence: f64,
        margin: Option<f64>,
        others: Others,
    ) -> Self {
        Self {
            label,
            by,
            is_final,
            confidence: confidence as f32,
            margin: margin.map_or(f32::NAN, |margin| margin as f32),
            raw: Probability::of(confidence),
            others,
        }
    }

    /// Moves the confidence along `curve`.
    pub(super) fn recalibrate(&mut self, curve: &Curve) {
        self.confidence = curve.at(self.confidence()) as f32;
    }

    /// As it stands in the log, or recalibrated.
    pub(super) fn confidence(self) -> f64 {
        digits(f64::from(self.confidence))
    }

    /// As it stands in the log in any case.
    pub(super) fn raw_confidence(self) -> f64 {
        self.raw.get()
    }

    pub(super) fn margin(self) -> Option<f64> {
        (!self.margin.is_nan()).then(|| digits(f64::from(self.margin)))
    }
}

/// A label with its probability, as tables have it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub(super) struct OtherLabel<'a> {
    /// The label.
    pub(super) label: &'a str,
    /// Its probability, 0 to 1, with 4 digits.
    pub(super) confidence: f64,
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
    /// Whether confidences are recalibrated, and those of the log have a column.
    pub(super) is_audited: bool,
    /// Where there is a column of label sets: the probability from which on a label belongs to them.
    pub(super) least: Option<Probability>,
    /// Whether there is a column of texts.
    pub(super) has_text: bool,
    /// The corpus' own columns.
    pub(super) columns: Vec<Column>,
}

/// The columns that every table has, in their order.
pub(super) const COLUMNS: [&str; 10] =
    ["id", "label", "confidence", "margin", "others", "candidates", "candidate_weights", "by", "corrected", "final"];
/// The column of confidences as the label log has them, in tables whose confidences are recalibrated.
pub(super) const RAW: &str = "confidence_raw";
/// The column of label sets.
pub(super) const LABEL_SET: &str = "label_set";
/// The column of texts.
pub(super) const TEXT: &str = "text";

/// Where labels come from, as the label log says it, that a person gave.
pub(super) const PERSON: &str = "person";

/// Whether a person gave the label, by what the label log says of where it comes from.
pub(super) fn is_corrected(by: &str) -> bool {
    by == PERSON
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
    /// The next likeliest labels, the likeliest first: up to 4, of 0.01 at least; null where the label log does not say.
    others: Option<Vec<OtherLabel<'a>>>,
    /// What the teachers named, likeliest first.
    candidates: Vec<&'a str>,
    /// What the teachers' answers say of each candidate, in their order, with 4 digits; they sum to 1. The mean over the
    /// answers that name a label: there a candidate has its weight's share of the answer's weights, or, in an answer
    /// without weights, the same share as the others.
    candidate_weights: Vec<f64>,
    /// Where the label comes from: the name of the refinery, "student" where no teacher named a label, or "person" where a
    /// person gave it.
    by: Option<&'a str>,
    /// Whether a person gave the label.
    corrected: bool,
    /// Whether the label is final.
    #[serde(rename = "final")]
    is_final: bool,
    /// The confidence that the label log has, in tables whose `confidence` is recalibrated by an audit.
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence_raw: Option<Option<f64>>,
    /// The label and the others that may be right instead, in tables that have such sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    label_set: Option<Vec<&'a str>>,
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
            others: row.others(shape),
            candidates: row.candidates.iter().map(|&(label, _)| shape.labels.name(label)).collect(),
            candidate_weights: row.candidates.iter().map(|&(_, weight)| weight).collect(),
            by,
            corrected: by.is_some_and(is_corrected),
            is_final: row.is_final(),
            confidence_raw: shape.is_audited.then(|| row.label.map(Held::raw_confidence)),
            label_set: row.label_set(shape),
            text: shape.has_text.then_some(row.text.as_deref()),
            fields: Fields { columns: &shape.columns, values: &row.fields },
        }
    }
}

impl Shape {
    /// The names of all columns but the corpus' own, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let more = [(RAW, self.is_audited), (LABEL_SET, self.least.is_some()), (TEXT, self.has_text)];
        COLUMNS.into_iter().chain(more.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)))
    }
}

/// Whether a table may have a column of this name without the corpus.
pub(super) fn is_own(name: &str) -> bool {
    COLUMNS.contains(&name) || [RAW, LABEL_SET, TEXT].contains(&name)
}

impl Row {
    /// The next likeliest labels; `None` where nothing says which they are.
    pub(super) fn others<'a>(&self, shape: &'a Shape) -> Option<Vec<OtherLabel<'a>>> {
        let others = self.label.filter(|held| held.others.places != UNKNOWN)?.others;
        let name = |(label, share): (LabelId, Probability)| OtherLabel {
            label: shape.labels.name(label),
            confidence: share.get(),
        };
        Some(others.iter().map(name).collect())
    }

    /// The set of labels, with the text's own first; empty for a text without a label, and `None` in a table without sets.
    pub(super) fn label_set<'a>(&self, shape: &'a Shape) -> Option<Vec<&'a str>> {
        let least = shape.least?;
        let set = self.label.iter().flat_map(|held| {
            let others = held.others.iter().filter(move |(_, share)| in_set(*share, least));
            std::iter::once(held.label).chain(others.map(|(label, _)| label))
        });
        Some(set.map(|label| shape.labels.name(label)).collect())
    }

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
