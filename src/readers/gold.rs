//! Files in which a person named labels: one JSON object a line, one label a text.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::base::lines::{Line, Lines};
use crate::corpus::id_of;
use crate::domain::label::{LabelId, LabelSet};
use crate::error::{Error, Result};

/// As long as a line of a corpus may be.
const MAX_LINE_BYTES: usize = 16 << 20;

/// The rows of such a file, for a task's labels.
pub(super) struct GoldFile<'a> {
    path: PathBuf,
    labels: &'a LabelSet,
    lines: Lines<BufReader<File>>,
    /// The label of each id, and the line that names it first: files that were put together by hand have texts twice.
    named: HashMap<String, (LabelId, u64)>,
}

impl<'a> GoldFile<'a> {
    /// Opens the file at `path`, which is called `what` in errors.
    pub(super) fn open(path: &Path, what: &'static str, labels: &'a LabelSet) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::Input { what, path: path.to_owned(), source })?;
        let lines = Lines::new(BufReader::new(file), MAX_LINE_BYTES);
        Ok(Self { path: path.to_owned(), labels, lines, named: HashMap::new() })
    }

    /// The next row and its line; `expected` is an example of one, for errors.
    pub(super) fn next_row<T: DeserializeOwned>(&mut self, expected: &str) -> Result<Option<(u64, T)>> {
        loop {
            let unreadable = |source| Error::Input { what: "gold labels", path: self.path.clone(), source };
            let Some((line, content)) = self.lines.next_line().map_err(unreadable)? else { return Ok(None) };
            let Line::Text(text) = content else {
                return Err(self.wrong(line, "is no line of UTF-8 text, or too long".to_owned()));
            };
            if !text.trim().is_empty() {
                let row = serde_json::from_str(&text);
                let row = row.map_err(|error| self.wrong(line, format!("{error}; expected {expected}")))?;
                return Ok(Some((line, row)));
            }
        }
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
