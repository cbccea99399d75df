//! The corpus: a stream of rows, read one at a time, never loaded whole.
//!
//! Formats are siblings of `jsonl`; each gives [`Corpus`]. A row that cannot be used is a value, not an error.

mod jsonl;
mod plain;

use std::io::BufRead;
use std::path::Path;

use crate::config::CorpusConfig;
use crate::domain::sample::Sample;
use crate::error::Result;

/// One row of a corpus.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it stands, from 1.
    pub line: u64,
    /// The sample, or why there is none.
    pub sample: Result<Sample, String>,
}

/// A source of rows. Reading may block, so it has a thread of its own.
pub trait Corpus: Send {
    /// The next row; `None` at the end. An error means that the source itself failed.
    fn next_row(&mut self) -> Result<Option<Row>>;

    /// What it is called where a row of it is spoken of: the file's name.
    fn name(&self) -> String {
        "corpus".to_owned()
    }
}

/// Opens the configured corpus.
pub fn open(config: &CorpusConfig) -> Result<Box<dyn Corpus>> {
    Ok(Box::new(jsonl::Jsonl::open(config)?))
}

/// Rows of JSON objects from any input; `config.path` is its name in errors.
#[must_use]
pub fn read_jsonl(input: Box<dyn BufRead + Send>, config: &CorpusConfig) -> Box<dyn Corpus> {
    Box::new(jsonl::Jsonl::read(input, config))
}

/// One text a line, from any input that is called `path` in errors. The id is the line's number.
#[must_use]
pub fn read_lines(input: Box<dyn BufRead + Send>, path: &Path, max_line_bytes: usize) -> Box<dyn Corpus> {
    Box::new(plain::Plain::read(input, path, max_line_bytes))
}
