//! The corpus: a stream of rows, read one at a time, never loaded whole.
//!
//! Formats are siblings of `jsonl`; each gives [`Corpus`]. A row that cannot be used is a value, not an error; a corpus
//! that begins with such rows alone is an error, which says what the file is instead.

mod file;
mod id;
mod jsonl;
mod plain;
mod samples;
mod sniff;
mod sound;

use std::io::{BufRead, BufReader};
use std::path::Path;

pub(crate) use id::id_of;
pub use samples::Samples;

use crate::config::CorpusConfig;
use crate::domain::sample::Sample;
use crate::error::{Error, Result};

/// Bytes that are read at once; what a file is, is told by the first of them.
const BUFFER: usize = 64 << 10;

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
    /// The one that bounds a line, if it can be set.
    pub max_line_bytes: Option<&'static str>,
}

impl Settings {
    /// Keys of the configuration.
    pub const CONFIGURATION: Self =
        Self { text_field: "corpus.text_field", max_line_bytes: Some("corpus.max_line_bytes") };
}

/// What a file is called where a row of it is spoken of.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Opens the configured corpus and reads its first rows: an empty one, or one of another format, is an error. The rows
/// that were read for that come again as the first ones.
///
/// # Errors
///
/// [`Error::Input`] where the file cannot be read; [`Error::Unfit`] where it is no file, is empty, or none of its first
/// rows is of use, with what it is instead and the command that converts it.
pub fn open(config: &CorpusConfig) -> Result<Box<dyn Corpus>> {
    let file = file::open(&config.path)?;
    let mut corpus = jsonl(Box::new(BufReader::with_capacity(BUFFER, file)), config, Settings::CONFIGURATION)?;
    if !corpus.begin()? {
        let message = "is empty: write one {\"id\": \"..\", \"text\": \"..\"} a line into it".to_owned();
        return Err(Error::Unfit { path: config.path.clone(), message });
    }
    Ok(Box::new(corpus))
}

/// How many rows a corpus has, good and bad, counted as fast as its format allows; `None` where `stop` said to stop. For who
/// shows how far a run is, on a thread of its own.
///
/// # Errors
///
/// [`Error::Input`] where a file cannot be read.
pub(crate) fn count(config: &CorpusConfig, stop: &dyn Fn() -> bool) -> Result<Option<u64>> {
    let unreadable = |source| Error::Input { what: "corpus", path: config.path.clone(), source };
    let mut file = BufReader::with_capacity(BUFFER, file::open(&config.path)?);
    let (mut rows, mut is_blank) = (0, true);
    while !stop() {
        let bytes = file.fill_buf().map_err(unreadable)?;
        if bytes.is_empty() {
            return Ok(Some(rows + u64::from(!is_blank)));
        }
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            is_blank = is_blank && line.trim_ascii().is_empty();
            if line.ends_with(b"\n") {
                rows += u64::from(!is_blank);
                is_blank = true;
            }
        }
        let read = bytes.len();
        file.consume(read);
    }
    Ok(None)
}

/// Rows of JSON objects from any input; `config.path` is its name in errors, and `settings` those of `config`.
/// Unlike [`open`] it does not read ahead: the first call of `next_row` says whether the input is of use.
///
/// # Errors
///
/// [`Error::Input`] where its first bytes cannot be read.
pub fn read_jsonl(
    input: Box<dyn BufRead + Send>,
    config: &CorpusConfig,
    settings: Settings,
) -> Result<Box<dyn Corpus>> {
    Ok(Box::new(jsonl(input, config, settings)?))
}

/// One text a line, from any input that is called `path` in errors. The id is the line's number.
///
/// # Errors
///
/// [`Error::Input`] where its first bytes cannot be read.
pub fn read_lines(mut input: Box<dyn BufRead + Send>, path: &Path, max_line_bytes: usize) -> Result<Box<dyn Corpus>> {
    // Of text, any is right.
    let kind = looks_like(&mut input, path)?.filter(|kind| kind.is_certain() && *kind != sniff::Kind::Array);
    let rows = Box::new(plain::Plain::read(input, path, max_line_bytes));
    Ok(Box::new(sound::Sound::new(rows, path.to_owned(), "text".to_owned(), kind)))
}

/// The rows of JSON objects, and what to say where none of the first is of use.
fn jsonl(mut input: Box<dyn BufRead + Send>, config: &CorpusConfig, settings: Settings) -> Result<sound::Sound> {
    let kind = looks_like(&mut input, &config.path)?;
    let rows = Box::new(jsonl::Jsonl::read(input, config, settings));
    Ok(sound::Sound::new(rows, config.path.clone(), config.text_field.clone(), kind))
}

/// What `input` looks like, if not JSONL; nothing is taken from it. By what its buffer holds after one read, which of a
/// pipe may be little.
fn looks_like(input: &mut dyn BufRead, path: &Path) -> Result<Option<sniff::Kind>> {
    let head = input.fill_buf().map_err(|source| Error::Input { what: "corpus", path: path.to_owned(), source })?;
    Ok(sniff::Kind::of(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(path: &Path) -> CorpusConfig {
        CorpusConfig { path: path.into(), text_field: "text".into(), id_field: "id".into(), max_line_bytes: 1 << 10 }
    }

    #[test]
    fn what_is_no_file_or_holds_nothing_is_refused_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool.jsonl");
        let refused = |path: &Path| open(&config(path)).err().unwrap().to_string();
        assert!(refused(&path).contains("check the path"));
        assert!(refused(folder.path()).contains("is a folder"));
        assert!(refused(Path::new("/dev/null")).contains("is a device"));
        std::fs::write(&path, " \n\n").unwrap();
        assert!(refused(&path).contains("is empty"));
        std::fs::write(&path, "id,text\n1,a\n").unwrap();
        assert!(refused(&path).contains("is CSV with the columns id, text"));
        std::fs::write(&path, "{\"text\": \"a\"}\n").unwrap();
        assert!(open(&config(&path)).unwrap().next_row().unwrap().is_some());
    }

    #[test]
    fn any_text_is_good_as_lines() {
        let lines = |text: &'static str| read_lines(Box::new(text.as_bytes()), Path::new("in"), 99).unwrap().next_row();
        for text in ["id,text\n", "[\"a\"\n", "\"a\"\n", "{\n"] {
            assert!(lines(text).unwrap().unwrap().sample.is_ok(), "{text:?}");
        }
        assert!(lines("\u{1f}\u{8b}").is_ok());
        assert!(lines("BZh9").is_err());
        assert!(lines("").unwrap().is_none());
    }
}
