//! Rows as they are shown: what the table has, and the rest from where their lines stand. The table is not held while lines are
//! read.

use super::arrival::{event_at, said_at, text_at};
use super::lines::Lines;
use super::rows::{CORRECTED, FAILED, FINAL, Row, Table};
use super::shapes::ShownRow;
use crate::domain::sample::TextHash;

/// Characters of a text that a list shows.
pub(super) const LISTED: usize = 300;
/// Characters of a text that somebody has before them who gives labels. More is read in the detail.
pub(super) const REVIEWED: usize = 20_000;

/// What the table has of a text, to be read on without it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) position: u32,
    pub(super) row: Row,
    /// Where its answers stand.
    pub(super) asked_at: Option<u64>,
    label: Option<String>,
    by: Option<String>,
    is_sampled: bool,
}

/// The logs that lines are read from, which are those that the table was made of.
#[derive(Debug, Clone)]
pub(super) struct Logs {
    pub(super) inputs: Option<Lines>,
    pub(super) labels: Option<Lines>,
}

impl Logs {
    /// Those of `table`.
    pub(super) fn of(table: &Table) -> Self {
        Self { inputs: table.inputs.as_ref().map(|(lines, _)| lines.clone()), labels: table.labels.clone() }
    }
}

/// What `table` has of the text at `position`.
pub(super) fn known(table: &Table, position: u32) -> Option<Known> {
    let row = table.row(position)?;
    Some(Known {
        position,
        row,
        asked_at: table.asked_at(position),
        label: table.label_name(row.label).map(str::to_owned),
        by: table.by_name(&row).map(str::to_owned),
        is_sampled: table.sampled.contains(&position),
    })
}

/// Id and text of a row; `None` where their line cannot be read.
pub(super) fn id_and_text(known: &Known, logs: &Logs) -> Option<(String, String)> {
    text_at(logs.inputs.as_ref()?, known.row.text_at)
}

/// The row of a list; of the text no more than `most` characters. Empty where the text's line cannot be read.
pub(super) fn shown(known: &Known, logs: &Logs, most: usize) -> ShownRow {
    let row = &known.row;
    let (id, text) = id_and_text(known, logs).unwrap_or_default();
    let event = logs.labels.as_ref().and_then(|labels| event_at(labels, row.label_at, &id));
    let text_hash = TextHash::of(&text).to_hex();
    let (text, cut) = beginning(text, most);
    let (others, revision) =
        event.as_ref().map_or((Vec::new(), 0), |event| (event.others.clone().unwrap_or_default(), event.revision));
    ShownRow {
        position: known.position.into(),
        id,
        text_hash,
        text,
        cut,
        label: known.label.clone(),
        confidence: row.is_labelled().then(|| short(row.confidence)),
        margin: (row.is_labelled() && !row.margin.is_nan()).then(|| short(row.margin)),
        others,
        candidates: event.map_or_else(|| candidates(known, logs), |event| event.candidates),
        by: known.by.clone(),
        is_final: row.has(FINAL),
        revision,
        corrected: row.has(CORRECTED),
        failed: row.has(FAILED),
        audited: known.is_sampled,
    }
}

/// The same of a text that somebody is to label without knowing what the run says of it.
pub(super) fn blind(row: ShownRow) -> ShownRow {
    if !row.audited {
        return row;
    }
    ShownRow {
        label: None,
        confidence: None,
        margin: None,
        others: Vec::new(),
        candidates: Vec::new(),
        by: None,
        is_final: false,
        revision: 0,
        ..row
    }
}

/// Of a text without a label: what teachers named, in the order in which it was first named.
fn candidates(known: &Known, logs: &Logs) -> Vec<String> {
    let said = known.asked_at.and_then(|at| said_at(logs.inputs.as_ref()?, at)).unwrap_or_default();
    let mut candidates: Vec<String> = Vec::new();
    for label in said.asked.into_iter().flat_map(|asked| asked.labels) {
        if !candidates.contains(&label) {
            candidates.push(label);
        }
    }
    candidates
}

/// How a text begins, and whether it goes on.
pub(super) fn beginning(text: String, most: usize) -> (String, bool) {
    match text.char_indices().nth(most) {
        Some((end, _)) => (text.get(..end).unwrap_or_default().to_owned(), true),
        None => (text, false),
    }
}

/// As the log writes it: the shortest decimal of an f32 is short as an f64 only by way of its text.
fn short(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(beginning("é".repeat(300), LISTED), ("é".repeat(300), false));
        assert_eq!(beginning("é".repeat(301), LISTED), ("é".repeat(300), true));
    }
}
