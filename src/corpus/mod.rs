//! The corpus: a stream of rows, read one at a time, never loaded whole.
//!
//! From the outside in: `files` (which ones, one after the other) or `stdin`; `sound` (a look at the first rows); `rows` (which
//! format, and what reads it); `input` (decompressed and decoded); the formats, each a `Reader` of [`Record`]s; and `text`, what
//! of a record is text and id. `pieces` are what a large file is cut into, where many read it. A row that cannot be used is a value, not an error; a file that begins with such rows alone is
//! an error, which says what the file is instead.

mod cells;
mod elements;
mod file;
mod files;
mod id;
mod input;
mod json;
mod jsonl;
pub(crate) mod labelled;
mod lines;
#[cfg(feature = "parquet")]
mod parquet;
pub(crate) mod pieces;
mod record;
mod rows;
mod samples;
#[cfg(feature = "parquet")]
mod scratch;
mod sniff;
mod sound;
mod source;
mod spool;
mod stdin;
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

pub(crate) use files::{files, matches, would_match};
pub(crate) use id::id_of;
pub(crate) use record::{Fields, Record, Records};
pub use samples::Samples;
pub(crate) use text::SampleOf;

use crate::config::{CorpusConfig, SPOOL, TextFrom};
use crate::domain::sample::Sample;
use crate::error::{Error, Result};
use files::{FileRecords, Files};
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

    /// What is called by its place where a bad row is spoken of, the one that was given last: the name of a file, a table.
    fn name(&self) -> String {
        "corpus".to_owned()
    }

    /// Takes what tells whether the run is to end. A corpus that may have to wait long for a row, of a pipe or a queue, asks it
    /// now and then, and gives no more rows then: what the run is to read is known the next time.
    fn until(&mut self, ends: Arc<dyn Fn() -> bool + Send + Sync>) {
        let _ = ends;
    }

    /// Whether the next row is still to come, of a pipe or a queue: then those before it are not kept back for it.
    fn is_waiting(&mut self) -> bool {
        false
    }
}

impl<C: Corpus + ?Sized> Corpus for Box<C> {
    fn next_row(&mut self) -> Result<Option<Row>> {
        (**self).next_row()
    }

    fn name(&self) -> String {
        (**self).name()
    }

    fn until(&mut self, ends: Arc<dyn Fn() -> bool + Send + Sync>) {
        (**self).until(ends);
    }

    fn is_waiting(&mut self) -> bool {
        (**self).is_waiting()
    }
}

/// What settings are called where they were typed, for messages about rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What is read, as errors call it.
    pub what: &'static str,
    /// The one that names the field of the text.
    pub text_field: &'static str,
    /// The one that has the template of the text.
    pub text: &'static str,
    /// The one that names the format, with what stands before its value.
    pub format: &'static str,
    /// The one that bounds a line, if it can be set.
    pub max_line_bytes: Option<&'static str>,
    /// Whether it is read once alone, and may be a pipe.
    pub once: bool,
    /// Whether a plain line has its number for an id; else it goes by its hash.
    pub line_numbers: bool,
}

impl Settings {
    /// Keys of the configuration.
    pub const CONFIGURATION: Self = Self {
        what: "corpus",
        text_field: "corpus.text_field",
        text: "corpus.text",
        format: "corpus.format",
        max_line_bytes: Some("corpus.max_line_bytes"),
        once: false,
        line_numbers: false,
    };

    /// Of a file that is what it is: it has no settings.
    pub(crate) const FILE: Self =
        Self { text: "the template", format: "its format", max_line_bytes: None, once: true, ..Self::CONFIGURATION };
}

/// Opens the configured corpus and reads the first rows of its files: an empty one, or one of another format, is an error. The
/// rows that were read for that come again as the first ones.
///
/// # Errors
///
/// [`Error::Input`] where a file cannot be read; [`Error::Unfit`] where it is no file, is empty, or none of its first rows is of
/// use, with what it is instead and what to do.
///
/// Of standard input it reads what a run has kept, and takes nothing: only a run does that.
pub fn open(config: &CorpusConfig) -> Result<Box<dyn Corpus>> {
    Ok(Box::new(Files::open(config, Settings::CONFIGURATION, files(config)?)?))
}

/// As [`open`], for a run in the directory `dir`, which is to be this process' alone before the first row is asked for: what
/// comes from standard input is kept there.
///
/// # Errors
///
/// Those of [`open`]; for standard input [`Error::Unfit`] where that is a terminal.
pub(crate) fn open_for_run(config: &CorpusConfig, dir: &Path) -> Result<Box<dyn Corpus>> {
    if !config.is_stdin() {
        return open(config);
    }
    let (settings, spool) = (Settings::CONFIGURATION, dir.join(SPOOL));
    Ok(Box::new(stdin::Stdin::open(config, spool, settings, maker(config, settings)?)?))
}

/// Whether a run has kept anything of standard input.
///
/// # Errors
///
/// [`Error::RunFile`] where the folder cannot be read.
pub(crate) fn has_kept(config: &CorpusConfig) -> Result<bool> {
    Ok(!spool::pieces(&config.spool)?.is_empty())
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
    let sample_of = maker(config, settings)?;
    let opened = rows::read(input, path, None, config, settings, &sample_of.wanted())?;
    Ok(Box::new(opened.sound(path, sample_of)))
}

/// As [`read`], of the file at `path`, which may be a pipe too.
///
/// # Errors
///
/// Those of [`read`].
pub fn read_file(path: &Path, config: &CorpusConfig, settings: Settings) -> Result<Box<dyn Corpus>> {
    let sample_of = maker(config, settings)?;
    let opened = rows::open(path, config, settings, &sample_of.wanted())?;
    Ok(Box::new(opened.sound(path, sample_of)))
}

/// What makes samples of a corpus' rows.
///
/// # Errors
///
/// [`Error::Unfit`] where its template is none.
pub(crate) fn maker(config: &CorpusConfig, settings: Settings) -> Result<Arc<SampleOf>> {
    let made = SampleOf::new(config, settings);
    made.map(Arc::new).map_err(|message| Error::Unfit { path: config.shown().into(), message })
}

/// What rows with these columns lack for the template `text`, in words; or what is wrong with it.
#[must_use]
pub fn lacks(text: &str, columns: &[String]) -> Option<String> {
    let config = CorpusConfig { text: TextFrom::Template(text.to_owned()), ..CorpusConfig::of(Vec::new()) };
    match SampleOf::new(&config, Settings { text: "it", ..Settings::CONFIGURATION }) {
        Ok(sample_of) => sample_of.lacks(columns).map(|lacking| format!("has {lacking}")),
        Err(why) => Some(why),
    }
}

/// The rows of a corpus with all their columns: for joining them with a run's labels, and for looking at a corpus.
///
/// # Errors
///
/// [`Error::Input`] where a file cannot be read, [`Error::Unfit`] where one is in no format that is known.
pub(crate) fn records(config: &CorpusConfig) -> Result<Box<dyn Records>> {
    records_of(config, Settings::CONFIGURATION)
}

/// As [`records`], of a file that is none of a corpus; `settings` say what it is.
pub(crate) fn records_of(config: &CorpusConfig, settings: Settings) -> Result<Box<dyn Records>> {
    Ok(Box::new(FileRecords::new(config, settings, Wanted::All, files(config)?)))
}

/// How many rows a corpus has, good and bad, counted as fast as its format allows; `None` where `stop` said to stop, and of
/// standard input. For who shows how far a run is, on a thread of its own.
///
/// # Errors
///
/// [`Error::Input`] where a file cannot be read.
pub fn count(config: &CorpusConfig, stop: &dyn Fn() -> bool) -> Result<Option<u64>> {
    // How much is still to come nobody knows.
    if config.is_stdin() {
        return Ok(None);
    }
    let mut rows = 0;
    for file in files(config)? {
        match rows::count(&file, config, stop)? {
            Some(more) => rows += more,
            None => return Ok(None),
        }
    }
    Ok(Some(rows))
}
