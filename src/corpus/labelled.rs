//! Files in which people named labels, one a text, in any format that a corpus may have.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Fields, Record, Records, Settings, id_of, records_of};
use crate::config::CorpusConfig;
use crate::domain::label::{LabelId, LabelSet};
use crate::error::{Error, Result};

/// As long as a line of a corpus may be.
const MAX_LINE_BYTES: usize = 16 << 20;

/// LabelColumns that are named where one is missing.
const NAMED: usize = 12;

/// A column, and the option or key by which a user names it: that is what an error about it tells.
#[derive(Debug, Clone, Copy)]
pub struct LabelColumn<'a> {
    /// What the column is called.
    pub name: &'a str,
    /// As `--label-field`.
    pub named_by: &'static str,
}

/// The columns of a labelled file. A row has an id, or a text whose hash is its id, as in a corpus.
#[derive(Debug, Clone, Copy)]
pub struct LabelColumns<'a> {
    /// By name or alias of the task.
    pub label: LabelColumn<'a>,
    /// As a corpus has it.
    pub id: LabelColumn<'a>,
    /// Read where there is no id.
    pub text: LabelColumn<'a>,
}

/// The labels of the file at `path`, by the id of their text, in their order; `what` it is called in errors.
///
/// # Errors
///
/// [`Error::InputLine`] for a row that cannot be used, with its place; [`Error::Unfit`] where there is none.
pub fn labels_of(
    path: &Path,
    what: &'static str,
    columns: LabelColumns<'_>,
    labels: &LabelSet,
) -> Result<Vec<(String, LabelId)>> {
    let mut named = Vec::new();
    LabelledFile::open(path, what, labels)?.read(columns, &mut |id, label| named.push((id.to_owned(), label)))?;
    if named.is_empty() {
        let (id, label) = (columns.id.name, columns.label.name);
        let message = format!("has no labels: expected rows like {{{id:?}: \"..\", {label:?}: \"LABEL\"}}");
        return Err(Error::Unfit { path: path.to_owned(), message });
    }
    Ok(named)
}

/// A row of a labelled file.
pub(crate) struct Labelled {
    /// Where it stands.
    pub(crate) place: u64,
    /// As the file has it.
    pub(crate) id: Option<Value>,
    pub(crate) text: Option<String>,
    pub(crate) label: LabelId,
}

/// The rows of such a file, for a task's labels.
pub(crate) struct LabelledFile<'a> {
    path: PathBuf,
    labels: &'a LabelSet,
    rows: Box<dyn Records>,
    /// The label of each id, and the row that names it first: files that were put together by hand have texts twice.
    named: HashMap<String, (LabelId, u64)>,
}

impl<'a> LabelledFile<'a> {
    /// Opens the file at `path`, which is called `what` in errors.
    pub(crate) fn open(path: &Path, what: &'static str, labels: &'a LabelSet) -> Result<Self> {
        let config = CorpusConfig { max_line_bytes: MAX_LINE_BYTES, ..CorpusConfig::of(vec![path.to_owned()]) };
        let settings = Settings { what, max_line_bytes: None, ..Settings::FILE };
        Ok(Self { path: path.to_owned(), labels, rows: records_of(&config, settings)?, named: HashMap::new() })
    }

    /// The next row and its place; `expected` is an example of one, for errors.
    pub(crate) fn next_row<T: DeserializeOwned>(&mut self, expected: &str) -> Result<Option<(u64, T)>> {
        let Some(Record { place, fields }) = self.rows.next_record()? else { return Ok(None) };
        let fields = fields.map_err(|reason| self.wrong(place, reason))?;
        let row = serde_json::from_value(filled(&fields));
        let row = row.map_err(|error| self.wrong(place, format!("{error}; expected {expected}")))?;
        Ok(Some((place, row)))
    }

    /// The next row, which has a label; a row without one is an error.
    pub(crate) fn next_labelled(&mut self, columns: LabelColumns<'_>) -> Result<Option<Labelled>> {
        let Some(Record { place, fields }) = self.rows.next_record()? else { return Ok(None) };
        let fields = fields.map_err(|reason| self.wrong(place, reason))?;
        let LabelColumns { label, id, text } = columns;
        let Some(name) = fields.get(label.name).and_then(plain) else {
            let message = match fields.get(label.name) {
                Some(_) => format!("the field {:?} has no label", label.name),
                None => format!(
                    "has no field {:?}, it has {}: name the one of the labels with {}",
                    label.name,
                    names(&fields),
                    label.named_by
                ),
            };
            return Err(self.wrong(place, message));
        };
        let named = self.label(place, &name)?;
        // A table has empty cells where JSON would have nothing.
        let said = |column: LabelColumn<'_>| {
            fields.get(column.name).filter(|value| !value.is_null() && value.as_str() != Some("")).cloned()
        };
        let (its_text, its_id) = (said(text).and_then(|text| text.as_str().map(str::to_owned)), said(id));
        if its_id.is_none() && its_text.is_none() {
            let message = format!(
                "has neither id nor text ({:?}, {:?}), it has {}: name the one of the ids with {}, or of the texts with {}",
                id.name,
                text.name,
                names(&fields),
                id.named_by,
                text.named_by
            );
            return Err(self.wrong(place, message));
        }
        Ok(Some(Labelled { place, id: its_id, text: its_text, label: named }))
    }

    /// Calls `each` with the id and the label of every text, once, and gives how many rows there are.
    pub(crate) fn read(mut self, columns: LabelColumns<'_>, each: &mut dyn FnMut(&str, LabelId)) -> Result<u64> {
        let mut count = 0;
        while let Some(row) = self.next_labelled(columns)? {
            let id = self.id(row.place, columns.id.name, row.id, row.text.as_deref())?;
            count += 1;
            if self.name(row.place, &id, row.label)? {
                each(&id, row.label);
            }
        }
        Ok(count)
    }

    /// The label that a person calls `name`, but for case, space and punctuation. Another one is an error, not a wrong
    /// answer of the run.
    pub(crate) fn label(&self, line: u64, name: &str) -> Result<LabelId> {
        resolve(self.labels, name).map_err(|message| self.wrong(line, message))
    }

    /// The id of a row, read as a corpus' is.
    pub(crate) fn id(&self, line: u64, field: &str, id: Option<Value>, text: Option<&str>) -> Result<String> {
        id_of(field, id, text).map(|id| id.0).map_err(|message| self.wrong(line, message))
    }

    /// Takes the label of `id`; gives whether it is the first. Another label than before is an error.
    pub(crate) fn name(&mut self, line: u64, id: &str, label: LabelId) -> Result<bool> {
        match self.named.entry(id.to_owned()) {
            Entry::Vacant(free) => {
                free.insert((label, line));
                Ok(true)
            }
            Entry::Occupied(taken) if taken.get().0 == label => Ok(false),
            Entry::Occupied(taken) => {
                let &(before, first) = taken.get();
                let message = format!(
                    "the text {id:?} has the label {:?} here and {:?} in line {first}: keep one of them",
                    self.labels.name(label),
                    self.labels.name(before)
                );
                Err(self.wrong(line, message))
            }
        }
    }

    /// An error about a line.
    pub(crate) fn wrong(&self, line: u64, message: String) -> Error {
        Error::InputLine { path: self.path.clone(), line, message }
    }
}

/// The label called `name`, or why there is none.
pub(crate) fn resolve(labels: &LabelSet, name: &str) -> Result<LabelId, String> {
    labels.resolve(name).ok_or_else(|| {
        let near = labels.nearest(name).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        format!("the label {name:?} is none of the task's{near}")
    })
}

/// A label as a column may have it: a table's may be a number. An empty one is none.
pub(crate) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(name) if name.trim().is_empty() => None,
        Value::String(name) => Some(name.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The columns of a row, for errors.
pub(crate) fn names(fields: &Fields) -> String {
    let more = fields.iter().nth(NAMED).map(|_| "...");
    let names: Vec<&str> = fields.iter().map(|(name, _)| name).take(NAMED).chain(more).collect();
    names.join(", ")
}

/// The columns that say something: a table has empty cells where JSON would have nothing.
fn filled(fields: &Fields) -> Value {
    let is_filled = |value: &Value| value.as_str().is_none_or(|text| !text.is_empty()) && !value.is_null();
    let filled = fields.iter().filter(|(_, value)| is_filled(value));
    filled.map(|(name, value)| (name.to_owned(), value.clone())).collect()
}
