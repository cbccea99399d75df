//! The corpus: a stream of rows, read one at a time, never loaded whole.
//!
//! From the outside in: `files` (which ones, one after the other) or `stdin`; `sound` (a look at the first rows); `rows` (which
//! format, and what reads it); `input` (decompressed and decoded); the formats, each a `Reader` of [`Record`]s; and `text`, what
//! of a record is text and id. A row that cannot be used is a value, not an error; a file that begins with such rows alone is
//! an error, which says what the file is instead.

mod cells;
mod elements;
mod file;
mod files;
mod id;
mod input;
mod json;
mod jsonl;
mod lines;
#[cfg(feature = "parquet")]
mod parquet;
mod record;
mod rows;
mod samples;
mod sniff;
mod sound;
mod stream;
mod table;
#[cfg(test)]
mod tests;
mod text;
#[cfg(feature = "parquet")]
mod values;

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

pub(crate) use id::id_of;
pub(crate) use record::{Fields, Record, Records};
pub use samples::Samples;
pub(crate) use text::SampleOf;

use crate::config::CorpusConfig;
use crate::domain::sample::Sample;
use crate::error::{Error, Result};
use files::{FileRecords, Files, files};
use record::Wanted;

/// One row of a corpus.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it stands in the corpus, from 1: for messages about bad rows.
    pub line: u64,
    /// The sample, or in words why there is none.
    pub sample: Result<Sample, String>,
}

/// A source of rows, read one at a time on a thread of its own, which it may block.
///
/// Every run reads it from its start to its end, and passes over the rows that it knows by their id: those cost a look into
/// the store. New ones are asked about, and arrive in the corpus' order; so an appended corpus goes on where it was, and one
/// that was reordered changes nothing of what is labelled already. A row whose text was given before under another id
/// is asked about once; one whose id was given before with another text is a bad row.
///
/// ```
/// use candist::{Corpus, Result, Row, Sample};
///
/// /// The paragraphs of a book.
/// struct Paragraphs<'a>(std::iter::Enumerate<std::str::Split<'a, &'a str>>);
///
/// impl Corpus for Paragraphs<'_> {
///     fn next_row(&mut self) -> Result<Option<Row>> {
///         let Some((number, text)) = self.0.next() else { return Ok(None) };
///         let line = number as u64 + 1;
///         let sample = match text.trim() {
///             // A row that cannot be used is counted and listed, and the run goes on.
///             "" => Err("the paragraph is empty".to_owned()),
///             text => Ok(Sample::new(format!("paragraph-{line}"), text)),
///         };
///         Ok(Some(Row { line, sample }))
///     }
/// }
///
/// let mut book = Paragraphs("Call me Ishmael.\n\nSome years ago".split("\n\n").enumerate());
/// book.next_row()?;
/// assert_eq!(book.next_row()?.unwrap().sample.unwrap().text, "Some years ago");
/// assert_eq!(book.next_row()?, None);
/// # Ok::<(), candist::Error>(())
/// ```
pub trait Corpus: Send {
    /// The next row; `None` at the end. A run that is to stop waits for the row that is just being read.
    ///
    /// # Errors
    ///
    /// An error ends the run: the source itself failed, or is no corpus. A row that cannot be used is no error.
    fn next_row(&mut self) -> Result<Option<Row>>;

    /// What it is called where a bad row of it is spoken of: the name of a file, a table.
    fn name(&self) -> String {
        "corpus".to_owned()
    }
}

impl<C: Corpus + ?Sized> Corpus for Box<C> {
    fn next_row(&mut self) -> Result<Option<Row>> {
        (**self).next_row()
    }

    fn name(&self) -> String {
        (**self).name()
    }
}

/// What settings are called where they were typed, for messages about rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The one that names the field of the text.
    pub text_field: &'static str,
    /// The one that has the template of the text.
    pub text: &'static str,
    /// The one that names the format, with what stands before its value.
    pub format: &'static str,
    /// The one that bounds a line, if it can be set.
    pub max_line_bytes: Option<&'static str>,
    /// Whether a plain line has its number for an id; else it goes by its hash.
    pub line_numbers: bool,
}

impl Settings {
    /// Keys of the configuration.
    pub const CONFIGURATION: Self = Self {
        text_field: "corpus.text_field",
        text: "corpus.text",
        format: "corpus.format",
        max_line_bytes: Some("corpus.max_line_bytes"),
        line_numbers: false,
    };
}

/// Opens the configured corpus and reads the first rows of its files: an empty one, or one of another format, is an error. The
/// rows that were read for that come again as the first ones.
///
/// # Errors
///
/// [`Error::Input`] where a file cannot be read; [`Error::Unfit`] where it is no file, is empty, or none of its first rows is of
/// use, with what it is instead and what to do.
pub fn open(config: &CorpusConfig) -> Result<Box<dyn Corpus>> {
    Ok(Box::new(Files::open(config, Settings::CONFIGURATION, files(config)?)?))
}

/// Rows from any input; it is called `path`, and `settings` are those of `config`. Unlike [`open`] it does not look at the first
/// rows: the first call of `next_row` says whether the input is of use.
///
/// # Errors
///
/// [`Error::Input`] where its first bytes cannot be read; [`Error::Unfit`] where they are those of no corpus.
pub fn read(
    input: Box<dyn BufRead + Send>,
    path: &Path,
    config: &CorpusConfig,
    settings: Settings,
) -> Result<Box<dyn Corpus>> {
    let sample_of = sample_of(config, settings)?;
    let opened = rows::read(input, path, false, config, settings, &sample_of.wanted())?;
    Ok(Box::new(opened.sound(path, sample_of)))
}

/// As [`read`], of the file at `path`.
///
/// # Errors
///
/// Those of [`read`].
pub fn read_file(path: &Path, config: &CorpusConfig, settings: Settings) -> Result<Box<dyn Corpus>> {
    let sample_of = sample_of(config, settings)?;
    let opened = rows::open(path, config, settings, &sample_of.wanted())?;
    Ok(Box::new(opened.sound(path, sample_of)))
}

fn sample_of(config: &CorpusConfig, settings: Settings) -> Result<Arc<SampleOf>> {
    let made = SampleOf::new(config, settings);
    made.map(Arc::new).map_err(|message| Error::Unfit { path: config.shown().into(), message })
}

/// The rows of a corpus with all their columns: for joining them with a run's labels, and for looking at a corpus.
///
/// # Errors
///
/// [`Error::Input`] where a file cannot be read, [`Error::Unfit`] where one is in no format that is known.
pub(crate) fn records(config: &CorpusConfig) -> Result<Box<dyn Records>> {
    Ok(Box::new(FileRecords::new(config, Settings::CONFIGURATION, Wanted::All, files(config)?)))
}

/// How many rows a corpus has, good and bad, counted as fast as its format allows; `None` where `stop` said to stop. For who
/// shows how far a run is, on a thread of its own.
///
/// # Errors
///
/// [`Error::Input`] where a file cannot be read.
pub fn count(config: &CorpusConfig, stop: &dyn Fn() -> bool) -> Result<Option<u64>> {
    let mut rows = 0;
    for file in files(config)? {
        match rows::count(&file, config, stop)? {
            Some(more) => rows += more,
            None => return Ok(None),
        }
    }
    Ok(Some(rows))
}
