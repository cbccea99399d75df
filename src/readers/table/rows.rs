//! The rows of a table, one after the other, from the two logs.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use super::TableSummary;
use super::choose::{Doubtful, Filter};
use super::held::HeldLabels;
use super::join::Join;
use super::row::Row;
use super::weights::{Said, weighted};
use crate::domain::label::LabelSet;
use crate::error::Result;
use crate::store::{Ended, FailureKind, Place, RunView};

/// What a line of the input log begins with that has new answers of a text that arrived before.
const ANSWERS: &[u8] = br#"{"event":"answers""#;

/// What a table takes of an event of the input log. One type for all events: their lines are read faster that way.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(default)]
    position: u64,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    #[serde(borrow, default)]
    asked: Vec<Said<'a>>,
}

fn parse(line: &[u8]) -> Result<Fields<'_>, String> {
    serde_json::from_slice(line).map_err(|error| error.to_string())
}

/// See the module.
pub(super) struct Rows<'a> {
    held: &'a HeldLabels,
    labels: &'a LabelSet,
    has_text: bool,
    filter: Filter,
    join: Option<Join>,
    /// Texts that could not be answered yet, by the notes of the latest run: they have not arrived.
    unanswered: Vec<String>,
    /// Where the answers stand that took the place of those with which a text arrived.
    later: HashMap<u64, Place>,
    /// Of the input log, as far as it was looked at.
    bytes: u64,
    /// Texts without a label, wanted or not.
    unlabelled: u64,
    summary: TableSummary,
}

impl<'a> Rows<'a> {
    /// The rows of the run that `view` looks at; `labels` are those of its task.
    ///
    /// # Errors
    ///
    /// Those of reading the logs.
    pub(super) fn new(
        view: &RunView,
        held: &'a HeldLabels,
        labels: &'a LabelSet,
        has_text: bool,
        filter: Filter,
        join: Option<Join>,
    ) -> Result<Self> {
        let mut later = HashMap::new();
        let bytes = held.logs().unchecked_inputs(|place, line| {
            // A damaged line is found when it is read for good.
            if let Some(fields) = line.starts_with(ANSWERS).then(|| parse(line).ok()).flatten() {
                later.insert(fields.position, place);
            }
        })?;
        let unanswered = view.noted()?.into_iter().filter(|note| note.kind == FailureKind::Unanswered);
        let unanswered = unanswered.map(|note| note.id).collect();
        let summary = TableSummary::default();
        Ok(Self { held, labels, has_text, filter, join, unanswered, later, bytes, unlabelled: 0, summary })
    }

    /// Hands the rows that are wanted to `each`: in the order of arrival, or, where the `doubtful` least certain are asked
    /// for, in that of certainty.
    ///
    /// # Errors
    ///
    /// Those of reading the logs and the corpus, and of `each`.
    pub(super) fn each(
        mut self,
        doubtful: Option<usize>,
        each: &mut dyn FnMut(Row) -> Result<()>,
    ) -> Result<TableSummary> {
        match doubtful {
            None => self.all(each)?,
            Some(most) => {
                let mut doubtful = Doubtful::new(most);
                self.all(&mut |row| {
                    doubtful.take(row);
                    Ok(())
                })?;
                let mut rows = 0;
                doubtful.into_rows().try_for_each(|row| {
                    rows += 1;
                    each(row)
                })?;
                (self.summary.rows, self.summary.without_label) = (rows, 0);
            }
        }
        // What arrived without a label is in the table.
        let unlabelled = self.join.as_ref().map_or(0, Join::unlabelled);
        self.summary.not_in_run = unlabelled.saturating_sub(self.unlabelled);
        Ok(self.summary)
    }

    fn all(&mut self, each: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
        let (logs, bytes) = (self.held.logs(), self.bytes);
        let unanswered = std::mem::take(&mut self.unanswered);
        let mut missing: HashSet<&str> = unanswered.iter().map(String::as_str).collect();
        logs.inputs(bytes, |line| {
            let arrival = parse(line)?;
            if arrival.event != "arrive" {
                return Ok(());
            }
            if !missing.is_empty() {
                missing.remove(&*arrival.id);
            }
            let row = self.row(arrival)?;
            self.give(row, each).map_err(Ended::from)
        })?;
        // They are of the corpus too; so no text is without a row.
        for id in unanswered.iter().filter(|id| missing.contains(id.as_str())) {
            let row = Row { id: id.clone(), text: None, label: None, candidates: Vec::new(), fields: Vec::new() };
            self.give(row, each)?;
        }
        Ok(())
    }

    /// The row of an arrival, without the corpus' own columns.
    fn row(&self, arrival: Fields<'_>) -> Result<Row, Ended> {
        let candidates = match self.later.get(&arrival.position) {
            None => weighted(&arrival.asked, self.labels)?,
            Some(place) => {
                let line = self.held.logs().input_at(*place)?;
                weighted(&parse(&line)?.asked, self.labels)?
            }
        };
        let label = self.held.of(&arrival.id)?;
        let text = self.has_text.then(|| arrival.text.into_owned());
        Ok(Row { id: arrival.id.into_owned(), text, label, candidates, fields: Vec::new() })
    }

    /// Gives a row away, with what belongs to it, if it is wanted.
    fn give(&mut self, mut row: Row, each: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
        let is_wanted = self.filter.takes(row.label);
        self.unlabelled += u64::from(row.label.is_none());
        // Also of a row that is not wanted: the corpus is read in the same order.
        if let Some(join) = &mut self.join {
            match join.fields(&row.id, row.text.as_deref(), is_wanted)? {
                Some(fields) => row.fields = fields,
                None => self.summary.not_in_corpus += u64::from(is_wanted),
            }
        }
        if !is_wanted {
            return Ok(());
        }
        self.summary.rows += 1;
        self.summary.without_label += u64::from(row.label.is_none());
        each(row)
    }
}
