//! Files in which a person named labels, one a text: in any format that a corpus may have.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::CorpusConfig;
use crate::corpus::{Fields, Record, Records, Settings, id_of, records_of};
use crate::domain::label::{LabelId, LabelSet};
use crate::error::{Error, Result};

/// As long as a line of a corpus may be.
const MAX_LINE_BYTES: usize = 16 << 20;

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

    /// The label that a person calls `name`, but for case, space and punctuation. Another one is an error, not a wrong
    /// answer of the run.
    pub(super) fn label(&self, line: u64, name: &str) -> Result<LabelId> {
        self.labels.resolve(name).ok_or_else(|| {
            let near = self.labels.nearest(name).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            self.wrong(line, format!("the label {name:?} is none of the task's{near}"))
        })
    }

    /// The id of a row, read as a corpus' is.
    pub(super) fn id(&self, line: u64, id: Option<Value>, text: Option<&str>) -> Result<String> {
        id_of("id", id, text).map(|id| id.0).map_err(|message| self.wrong(line, message))
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

/// The columns that say something: a table has empty cells where JSON would have nothing.
fn filled(fields: &Fields) -> Value {
    let is_filled = |value: &Value| value.as_str().is_none_or(|text| !text.is_empty()) && !value.is_null();
    let filled = fields.iter().filter(|(_, value)| is_filled(value));
    filled.map(|(name, value)| (name.to_owned(), value.clone())).collect()
}
