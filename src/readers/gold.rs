//! Rows in which a person named labels, one a text: of a file in any format that a corpus may have, or of a run's own corpus,
//! where that has a column of them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::CorpusConfig;
use crate::corpus::{Fields, Record, Records, Settings, id_of, maker, records, records_of};
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::sample::TextHash;
use crate::error::{Error, Result};

/// As long as a line of a corpus may be.
const MAX_LINE_BYTES: usize = 16 << 20;

/// Columns that are named where one is missing.
const NAMED: usize = 12;

/// Gold labels: where they are, and in which columns.
#[derive(Debug, Clone, Copy)]
pub struct GoldLabels<'a> {
    /// The rows that have them.
    pub rows: GoldRows<'a>,
    /// The column of the label, by name or alias of the task.
    pub label_field: &'a str,
    /// The column of the id, read as a corpus' is. A corpus has its own.
    pub id_field: &'a str,
    /// The column of the text: its hash is the id of a row that has none. A corpus has its own.
    pub text_field: &'a str,
}

/// Rows in which a person named labels.
#[derive(Debug, Clone, Copy)]
pub enum GoldRows<'a> {
    /// Those of a file, in any format of a corpus. A row without a label is an error, and so are two labels of one text.
    File(&'a Path),
    /// Those of a run's corpus that have a label. Of several with one id the first of these counts.
    Corpus(&'a CorpusConfig),
}

/// Takes id, text and label.
type Each<'a> = &'a mut dyn FnMut(&str, Option<&str>, LabelId);

impl<'a> GoldLabels<'a> {
    /// A file with the columns `id`, or `text`, and `label`.
    pub fn file(path: &'a Path) -> Self {
        Self { rows: GoldRows::File(path), label_field: "label", id_field: "id", text_field: "text" }
    }

    /// Calls `each` with the id and the label of every text that has one, once, and of a corpus with the text too. Where there is
    /// none, that is an error.
    pub(super) fn read(self, labels: &LabelSet, mut each: impl FnMut(&str, Option<&str>, LabelId)) -> Result<()> {
        match self.rows {
            GoldRows::File(path) => self.read_file(path, labels, &mut each),
            GoldRows::Corpus(config) => self.read_corpus(config, labels, &mut each),
        }
    }

    fn read_file(self, path: &Path, labels: &LabelSet, each: Each<'_>) -> Result<()> {
        let mut file = GoldFile::open(path, "gold labels", labels)?;
        let mut count = 0;
        while let Some(row) = file.next_labelled(self)? {
            let id = file.id(row.place, self.id_field, row.id, row.text.as_deref())?;
            count += 1;
            if file.name(row.place, &id, row.label)? {
                each(&id, None, row.label);
            }
        }
        if count == 0 {
            return Err(Error::Unfit {
                path: self.path(),
                message: format!("has no gold labels: expected {}", self.expected()),
            });
        }
        Ok(())
    }

    fn read_corpus(self, config: &CorpusConfig, labels: &LabelSet, each: Each<'_>) -> Result<()> {
        let settings = Settings::CONFIGURATION;
        let (sample_of, mut rows) = (maker(config, settings)?, records(config)?);
        let (mut seen, mut count, mut columns) = (HashSet::new(), 0, None);
        while let Some(Record { place, fields }) = rows.next_record()? {
            // Of a row that is none the run tells.
            let Ok(fields) = fields else { continue };
            let name = fields.get(self.label_field).and_then(plain);
            columns.get_or_insert_with(|| names(&fields));
            let Some(name) = name else { continue };
            let Ok(sample) = sample_of.sample(fields, Vec::new) else { continue };
            if seen.insert(TextHash::of(&sample.id.0)) {
                let wrong = |message| Error::InputLine { path: PathBuf::from(rows.file()), line: place, message };
                each(&sample.id.0, Some(&sample.text), resolve(labels, &name).map_err(wrong)?);
                count += 1;
            }
        }
        if count == 0 {
            let has = columns.map(|columns| format!("; its columns are {columns}")).unwrap_or_default();
            let message = format!("has no gold labels in a column {:?}{has}", self.label_field);
            return Err(Error::Unfit { path: self.path(), message });
        }
        Ok(())
    }

    /// What errors about all of it name.
    pub(super) fn path(self) -> PathBuf {
        match self.rows {
            GoldRows::File(path) => path.to_owned(),
            GoldRows::Corpus(config) => config.shown().into(),
        }
    }

    /// An example of a row, for errors.
    fn expected(self) -> String {
        format!("rows like {{{:?}: \"..\", {:?}: \"LABEL\"}}", self.id_field, self.label_field)
    }
}

/// The labels that a person named, by the id of their text, in their order.
///
/// # Errors
///
/// [`Error::InputLine`] for a row that cannot be used, with its place; [`Error::Unfit`] where there is none.
pub fn labels_of(gold: GoldLabels<'_>, labels: &LabelSet) -> Result<Vec<(String, String)>> {
    let mut named = Vec::new();
    gold.read(labels, |id, _, label| named.push((id.to_owned(), labels.name(label).to_owned())))?;
    Ok(named)
}

/// A row of a file of gold labels.
pub(super) struct Labelled {
    /// Where it stands.
    pub(super) place: u64,
    /// As the file has it.
    pub(super) id: Option<Value>,
    pub(super) text: Option<String>,
    pub(super) label: LabelId,
}

/// The rows of such a file, for a task's labels.
pub(super) struct GoldFile<'a> {
    path: PathBuf,
    labels: &'a LabelSet,
    rows: Box<dyn Records>,
    /// The label of each id, and the row that names it first: files that were put together by hand have texts twice.
    named: HashMap<String, (LabelId, u64)>,
}

impl<'a> GoldFile<'a> {
    /// Opens the file at `path`, which is called `what` in errors.
    pub(super) fn open(path: &Path, what: &'static str, labels: &'a LabelSet) -> Result<Self> {
        let config = CorpusConfig { max_line_bytes: MAX_LINE_BYTES, ..CorpusConfig::of(vec![path.to_owned()]) };
        let settings = Settings { what, max_line_bytes: None, ..Settings::FILE };
        Ok(Self { path: path.to_owned(), labels, rows: records_of(&config, settings)?, named: HashMap::new() })
    }

    /// The next row and its place; `expected` is an example of one, for errors.
    pub(super) fn next_row<T: DeserializeOwned>(&mut self, expected: &str) -> Result<Option<(u64, T)>> {
        let Some(Record { place, fields }) = self.rows.next_record()? else { return Ok(None) };
        let fields = fields.map_err(|reason| self.wrong(place, reason))?;
        let row = serde_json::from_value(filled(&fields));
        let row = row.map_err(|error| self.wrong(place, format!("{error}; expected {expected}")))?;
        Ok(Some((place, row)))
    }

    /// The next row that has a label in the column that `gold` names; a row without one is an error.
    pub(super) fn next_labelled(&mut self, gold: GoldLabels<'_>) -> Result<Option<Labelled>> {
        let Some(Record { place, fields }) = self.rows.next_record()? else { return Ok(None) };
        let fields = fields.map_err(|reason| self.wrong(place, reason))?;
        let Some(name) = fields.get(gold.label_field).and_then(plain) else {
            let message = match fields.get(gold.label_field) {
                Some(_) => format!("the field {:?} has no label", gold.label_field),
                None => format!(
                    "has no field {:?}, it has {}: name the one of the labels with --gold-field",
                    gold.label_field,
                    names(&fields)
                ),
            };
            return Err(self.wrong(place, message));
        };
        let label = self.label(place, &name)?;
        // A table has empty cells where JSON would have nothing.
        let said =
            |field: &str| fields.get(field).filter(|value| !value.is_null() && value.as_str() != Some("")).cloned();
        let text = said(gold.text_field).and_then(|text| text.as_str().map(str::to_owned));
        let id = said(gold.id_field);
        if id.is_none() && text.is_none() {
            let (id, text) = (gold.id_field, gold.text_field);
            let message = format!(
                "has neither id nor text ({id:?}, {text:?}), it has {}: name the one of the ids with --id-field, or of the \
                 texts with --text-field",
                names(&fields)
            );
            return Err(self.wrong(place, message));
        }
        Ok(Some(Labelled { place, id, text, label }))
    }

    /// The label that a person calls `name`, but for case, space and punctuation. Another one is an error, not a wrong
    /// answer of the run.
    pub(super) fn label(&self, line: u64, name: &str) -> Result<LabelId> {
        resolve(self.labels, name).map_err(|message| self.wrong(line, message))
    }

    /// The id of a row, read as a corpus' is.
    pub(super) fn id(&self, line: u64, field: &str, id: Option<Value>, text: Option<&str>) -> Result<String> {
        id_of(field, id, text).map(|id| id.0).map_err(|message| self.wrong(line, message))
    }

    /// Takes the label of `id`; gives whether it is the first. Another label than before is an error.
    pub(super) fn name(&mut self, line: u64, id: &str, label: LabelId) -> Result<bool> {
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
    pub(super) fn wrong(&self, line: u64, message: String) -> Error {
        Error::InputLine { path: self.path.clone(), line, message }
    }
}

/// The label called `name`, or why there is none.
fn resolve(labels: &LabelSet, name: &str) -> Result<LabelId, String> {
    labels.resolve(name).ok_or_else(|| {
        let near = labels.nearest(name).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        format!("the label {name:?} is none of the task's{near}")
    })
}

/// A label as a column may have it: a table's may be a number. An empty one is none.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(name) if name.trim().is_empty() => None,
        Value::String(name) => Some(name.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The columns of a row, for errors.
fn names(fields: &Fields) -> String {
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
