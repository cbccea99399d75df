//! Rows as their source has them: columns, by name, as JSON values.
//!
//! A run needs of a row only what its text and its id are made of, and reads no more. Who joins a run's labels with what its
//! corpus says besides, or looks at a corpus to find out what it is, reads all columns.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::error::{Error, Result};

/// One row as its source has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    /// The line or row it begins at in its file, from 1.
    pub place: u64,
    /// Its columns, or why it cannot be read, as the end of a sentence that its place begins.
    pub fields: Result<Fields, String>,
}

/// The columns of a row, in the source's order. A name that is there twice has its last value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fields(Vec<(Arc<str>, Value)>);

impl Fields {
    /// With room for so many columns.
    pub(super) fn with_capacity(columns: usize) -> Self {
        Self(Vec::with_capacity(columns))
    }

    /// Adds a column after the others.
    pub(super) fn push(&mut self, name: &Arc<str>, value: Value) {
        self.0.push((Arc::clone(name), value));
    }

    /// The value of a column.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().rev().find(|(known, _)| **known == *name).map(|(_, value)| value)
    }

    /// All columns, in the source's order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Takes the value of a column out.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.iter_mut().rev().find(|(known, _)| **known == *name).map(|(_, value)| std::mem::take(value))
    }
}

impl FromIterator<(Arc<str>, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Value)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

/// Rows as their source has them, read one at a time.
pub(crate) trait Records: Send {
    /// The next row; `None` at the end.
    ///
    /// # Errors
    ///
    /// Those after which nothing more can be read. A row that cannot be read is none.
    fn next_record(&mut self) -> Result<Option<Record>>;

    /// The file of the row that was given last: where its place is meant.
    fn file(&self) -> String;
}

/// Which columns are read; what is not wanted is passed over, and costs as little as the format allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All there are.
    All,
    /// These, where they are there.
    Columns(Vec<Arc<str>>),
    /// None: rows are counted.
    Nothing,
}

impl Wanted {
    /// The name of a column, if it is wanted.
    pub(super) fn name(&self, column: &str) -> Option<Arc<str>> {
        match self {
            Self::All => Some(Arc::from(column)),
            Self::Columns(columns) => columns.iter().find(|wanted| ***wanted == *column).cloned(),
            Self::Nothing => None,
        }
    }
}

/// A format: what reads the rows of one file.
pub(super) trait Reader: Send {
    /// The next row, with those of its columns that are wanted; `None` at the end.
    ///
    /// # Errors
    ///
    /// Those after which nothing more of the file can be read.
    fn next(&mut self) -> Result<Option<Record>>;

    /// The columns that all rows have, where the format names them before the first row.
    fn header(&self) -> Option<Vec<String>> {
        None
    }

    /// All columns of the row that was given last, for the message that one is missing.
    fn names(&self) -> Vec<String>;
}

/// The error that nothing more can be read of a file: it is cut off, damaged, or the disk fails.
pub(super) fn broken(path: &Path, what: &str, place: u64, error: &dyn std::fmt::Display) -> Error {
    let message = format!(
        "the file cannot be read beyond {what} {place}: {error}. What comes before it was read; mend the file, or get it \
         again, and run again"
    );
    Error::InputLine { path: path.to_owned(), line: place, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_columns_with_one_name_the_last_counts() {
        let fields: Fields = [("z", 1), ("a", 2), ("z", 3)]
            .into_iter()
            .map(|(name, value)| (Arc::from(name), Value::from(value)))
            .collect();
        assert_eq!(fields.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["z", "a", "z"]);
        assert_eq!(fields.get("z"), Some(&Value::from(3)));
        assert_eq!(fields.get("b"), None);
    }
}
