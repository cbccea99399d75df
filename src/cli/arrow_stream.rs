//! `candist predict --format arrow`: an Arrow IPC stream of texts in, one of labels out. Every batch is answered at once with a
//! batch of as many rows, so one process can serve one request after the other for as long as its standard input is open.
//!
//! A row that has no text to label is answered with why (`error`), and takes no other row with it. A stream that is none, or
//! has no column of texts, ends the program: whoever wrote it has to change something.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use arrow_array::RecordBatch;
use arrow_array::builder::{Float64Builder, ListBuilder, StringBuilder};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use candist::{Error, TextHash};

use super::arrow_columns::{Ids, Words};
use super::arrow_guard::guarded;

/// What is said of one text.
pub(super) struct Said<'a> {
    /// None where the student is less sure than asked for.
    pub(super) label: Option<&'a str>,
    /// The probability of the likeliest label.
    pub(super) confidence: f64,
    /// Likeliest first; only where there is no label.
    pub(super) candidates: Vec<&'a str>,
}

/// The columns that are read.
pub(super) struct Columns<'a> {
    pub(super) text: &'a str,
    pub(super) id: &'a str,
}

/// What every message of a stream begins with. Anything else is told apart before it is taken for the length of something.
const BEGINS: [u8; 4] = [0xff; 4];

/// The stream in `path`, or standard input, and what messages call it.
pub(super) fn open(path: Option<&Path>) -> Result<(Box<dyn Read>, PathBuf)> {
    let Some(path) = path.filter(|path| *path != Path::new("-")) else {
        return Ok((Box::new(BufReader::new(io::stdin())), PathBuf::from("standard input")));
    };
    let unread = |source| Error::Input { what: "texts", path: path.to_owned(), source };
    Ok((Box::new(BufReader::new(File::open(path).map_err(unread)?)), path.to_owned()))
}

/// Answers every batch of `input`, which messages call `name`, on `out`. Returns how many rows had nothing to label. `label` is
/// given up to `window` texts at once: a bound on memory, whatever the size of a batch.
///
/// The schema is written before anything is read: who waits for it knows that the student is there.
///
/// # Errors
///
/// [`Error::Unfit`] where the input is no stream, is broken or has no column of texts; those of `label` and of writing.
pub(super) fn answer<'a>(
    input: impl Read,
    name: &Path,
    out: impl Write,
    columns: &Columns<'_>,
    window: usize,
    mut label: impl FnMut(&[&str]) -> Result<Vec<Said<'a>>>,
) -> Result<u64> {
    let schema = Arc::new(schema());
    let mut answers = StreamWriter::try_new(out, &schema).map_err(unwritten)?;
    answers.flush().map_err(unwritten)?;
    let wrong = |message| Error::Unfit { path: name.to_owned(), message };
    let input = check_beginning(input, name)?;
    let mut texts = decoded(|| StreamReader::try_new(input, None)).map_err(|error| unreadable(name, error, 0))?;
    columns.check(&texts.schema()).map_err(wrong)?;
    let (mut rows, mut unread) = (0, 0);
    while let Some(batch) = decoded(|| texts.next().transpose()).map_err(|error| unreadable(name, error, rows))? {
        let (answer, without) = answer_batch(&batch, columns, &schema, window, &mut label)?;
        rows += batch.num_rows() as u64;
        unread += without;
        answers.write(&answer).map_err(unwritten)?;
        // Whoever asked waits for it.
        answers.flush().map_err(unwritten)?;
    }
    answers.finish().map_err(unwritten)?;
    Ok(unread)
}

/// What `decode` reads of a stream; a panic of it is an error.
fn decoded<T>(decode: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, ArrowError> {
    guarded(decode).unwrap_or_else(|panicked| Err(ArrowError::IpcError(panicked)))
}

/// The columns of an answer.
fn schema() -> Schema {
    Schema::new(vec![
        Field::new("id", DataType::Utf8, true),
        Field::new("label", DataType::Utf8, true),
        Field::new("confidence", DataType::Float64, true),
        Field::new("candidates", DataType::new_list(DataType::Utf8, true), false),
        Field::new("error", DataType::Utf8, true),
    ])
}

/// Reads what a stream begins with, and gives it back in front of the rest.
fn check_beginning(mut input: impl Read, name: &Path) -> Result<impl Read> {
    let mut begins = Vec::new();
    let unread = |source| Error::Input { what: "texts", path: name.to_owned(), source };
    input.by_ref().take(BEGINS.len() as u64).read_to_end(&mut begins).map_err(unread)?;
    if begins != BEGINS {
        let found = match begins.as_slice() {
            [] => "is empty".to_owned(),
            b"ARRO" => "is an Arrow file (Feather), and no Arrow IPC stream".to_owned(),
            _ => format!("is no Arrow IPC stream: it begins with {:?}", String::from_utf8_lossy(&begins)),
        };
        let message =
            format!("{found}; `pyarrow.ipc.new_stream` writes one, and without --format arrow texts are JSONL");
        return Err(Error::Unfit { path: name.to_owned(), message }.into());
    }
    Ok(io::Cursor::new(begins).chain(input))
}

impl Columns<'_> {
    /// Whether a stream of this schema can be labelled; if not, what to do.
    fn check(&self, schema: &Schema) -> Result<(), String> {
        let Ok(text) = schema.field_with_name(self.text) else {
            let has: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
            return Err(format!(
                "has no column {:?}, it has {has}: set --text-field to the column of the text",
                self.text
            ));
        };
        if !Words::can_be(text.data_type()) {
            return Err(format!(
                "has texts in a column of {}: {:?} must be one of strings",
                text.data_type(),
                self.text
            ));
        }
        match schema.field_with_name(self.id) {
            Ok(id) if !Ids::can_be(id.data_type()) => Err(format!(
                "has ids in a column of {}: {:?} must be one of strings or whole numbers (--id-field names another)",
                id.data_type(),
                self.id
            )),
            _ => Ok(()),
        }
    }
}

/// One batch's answer, a row for each of its rows, and how many had nothing to label.
fn answer_batch<'a>(
    batch: &RecordBatch,
    columns: &Columns<'_>,
    schema: &Arc<Schema>,
    window: usize,
    label: &mut impl FnMut(&[&str]) -> Result<Vec<Said<'a>>>,
) -> Result<(RecordBatch, u64)> {
    let texts = batch.column_by_name(columns.text).and_then(|column| Words::new(column));
    let ids = batch.column_by_name(columns.id).and_then(|column| Ids::new(column));
    let rows: Vec<Result<(String, &str), String>> = (0..batch.num_rows())
        .map(|row| {
            let text = match texts.as_ref().and_then(|texts| texts.get(row)) {
                Some(text) if !text.trim().is_empty() => text,
                Some(_) => return Err(format!("the column {:?} is empty", columns.text)),
                None => return Err(format!("the column {:?} is null", columns.text)),
            };
            let named = ids.as_ref().and_then(|ids| ids.get(row));
            Ok((named.unwrap_or_else(|| TextHash::of(text).to_hex()), text))
        })
        .collect();
    let found: Vec<&str> = rows.iter().flatten().map(|(_, text)| *text).collect();
    let mut said = Vec::with_capacity(found.len());
    for chunk in found.chunks(window) {
        said.extend(label(chunk)?);
    }
    let mut said = said.into_iter();
    let mut answer = Answer::default();
    for (row, read) in rows.iter().enumerate() {
        match read {
            Ok((id, _)) => answer.labelled(id, said.next()),
            Err(reason) => answer.without(ids.as_ref().and_then(|ids| ids.get(row)), reason),
        }
    }
    let without = rows.iter().filter(|row| row.is_err()).count() as u64;
    Ok((answer.finish(schema)?, without))
}

/// The columns of an answer, as they grow.
#[derive(Default)]
struct Answer {
    id: StringBuilder,
    label: StringBuilder,
    confidence: Float64Builder,
    candidates: ListBuilder<StringBuilder>,
    error: StringBuilder,
}

impl Answer {
    fn labelled(&mut self, id: &str, said: Option<Said<'_>>) {
        self.id.append_value(id);
        self.label.append_option(said.as_ref().and_then(|said| said.label));
        self.confidence.append_option(said.as_ref().map(|said| said.confidence));
        self.candidates.append_value(said.into_iter().flat_map(|said| said.candidates).map(Some));
        self.error.append_null();
    }

    fn without(&mut self, id: Option<String>, reason: &str) {
        self.id.append_option(id);
        self.label.append_null();
        self.confidence.append_null();
        self.candidates.append(true);
        self.error.append_value(reason);
    }

    fn finish(mut self, schema: &Arc<Schema>) -> Result<RecordBatch> {
        let columns: Vec<arrow_array::ArrayRef> = vec![
            Arc::new(self.id.finish()),
            Arc::new(self.label.finish()),
            Arc::new(self.confidence.finish()),
            Arc::new(self.candidates.finish()),
            Arc::new(self.error.finish()),
        ];
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }
}

/// What became of a stream that cannot be read on, of which `rows` rows were answered.
fn unreadable(name: &Path, error: ArrowError, rows: u64) -> Error {
    let path = name.to_owned();
    match error {
        ArrowError::IoError(_, source) if source.kind() != io::ErrorKind::UnexpectedEof => {
            Error::Input { what: "texts", path, source }
        }
        ArrowError::IoError(..) => {
            let message =
                format!("ends within a batch, after {rows} rows that were answered: send it again from there");
            Error::Unfit { path, message }
        }
        error => {
            let message = format!("is no whole Arrow IPC stream, after {rows} rows that were answered: {error}");
            Error::Unfit { path, message }
        }
    }
}

/// An error of writing as itself: that a reader went away is no failure.
fn unwritten(error: ArrowError) -> anyhow::Error {
    match error {
        ArrowError::IoError(_, source) => source.into(),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int32Type};
    use arrow_array::{
        Array, ArrayRef, BooleanArray, DictionaryArray, Int64Array, LargeStringArray, NullArray, StringArray,
        StringViewArray,
    };
    use proptest::prelude::*;

    const CHUNK: usize = 256;
    const COLUMNS: Columns<'_> = Columns { text: "text", id: "id" };

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
            .unwrap()
    }

    fn stream(batches: &[RecordBatch]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = StreamWriter::try_new(&mut bytes, &batches[0].schema()).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap();
        drop(writer);
        bytes
    }

    /// Answers each text with its first word, sure of it where it has one alone.
    fn first_words<'a>(texts: &[&str]) -> Result<Vec<Said<'a>>> {
        let said = |text: &&str| {
            if text.contains(' ') {
                Said { label: None, confidence: 0.25, candidates: vec!["a", "b"] }
            } else {
                Said { label: Some("word"), confidence: 1.0, candidates: Vec::new() }
            }
        };
        Ok(texts.iter().map(said).collect())
    }

    fn answered(input: &[u8]) -> Result<(Vec<RecordBatch>, u64)> {
        let mut out = Vec::new();
        let unread = answer(input, Path::new("standard input"), &mut out, &COLUMNS, CHUNK, first_words)?;
        Ok((StreamReader::try_new(out.as_slice(), None)?.collect::<Result<_, _>>()?, unread))
    }

    fn refused(input: &[u8]) -> String {
        let error = answered(input).unwrap_err();
        assert!(matches!(error.downcast_ref::<Error>(), Some(Error::Unfit { .. })), "{error:?}");
        error.to_string()
    }

    fn strings<'a>(batch: &'a RecordBatch, column: &str) -> Vec<Option<&'a str>> {
        batch.column_by_name(column).unwrap().as_string::<i32>().iter().collect()
    }

    #[test]
    fn every_row_has_an_answer_and_one_without_a_text_says_why() {
        let texts = StringArray::from(vec![Some("hello"), None, Some("two words"), Some("  ")]);
        let ids = Int64Array::from(vec![Some(7), Some(-8), None, None]);
        let input = stream(&[batch(vec![("id", Arc::new(ids)), ("text", Arc::new(texts))])]);
        let (batches, unread) = answered(&input).unwrap();
        assert_eq!((batches.len(), unread), (1, 2));
        let hash = TextHash::of("two words").to_hex();
        assert_eq!(strings(&batches[0], "id"), [Some("7"), Some("-8"), Some(hash.as_str()), None]);
        assert_eq!(strings(&batches[0], "label"), [Some("word"), None, None, None]);
        let confidences = batches[0].column_by_name("confidence").unwrap().as_primitive::<Float64Type>();
        assert_eq!(confidences.iter().collect::<Vec<_>>(), [Some(1.0), None, Some(0.25), None]);
        let candidates = batches[0].column_by_name("candidates").unwrap().as_list::<i32>();
        assert_eq!(candidates.null_count(), 0);
        assert_eq!((0..4).map(|row| candidates.value(row).len()).collect::<Vec<_>>(), [0, 0, 2, 0]);
        let errors = [None, Some("the column \"text\" is null"), None, Some("the column \"text\" is empty")];
        assert_eq!(strings(&batches[0], "error"), errors);
    }

    #[test]
    fn strings_of_every_type_are_texts_and_ids() {
        let words = [Some("one"), None, Some("two")];
        let dictionary: DictionaryArray<Int32Type> = words.into_iter().collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter(words)),
            Arc::new(LargeStringArray::from_iter(words)),
            Arc::new(StringViewArray::from_iter(words)),
            Arc::new(dictionary),
        ];
        for column in columns {
            let kind = column.data_type().clone();
            let (batches, unread) =
                answered(&stream(&[batch(vec![("text", Arc::clone(&column)), ("id", column)])])).unwrap();
            assert_eq!((strings(&batches[0], "id"), unread), (words.to_vec(), 1), "{kind}");
        }
        let none: DictionaryArray<Int32Type> = [None::<&str>, None].into_iter().collect();
        for column in [Arc::new(NullArray::new(2)) as ArrayRef, Arc::new(none)] {
            assert_eq!(answered(&stream(&[batch(vec![("text", column)])])).unwrap().1, 2);
        }
    }

    #[test]
    fn batches_are_answered_one_by_one_however_large_they_are() {
        let of = |rows: usize| batch(vec![("text", Arc::new(StringArray::from(vec!["x"; rows])) as ArrayRef)]);
        let sizes = [1, 0, CHUNK, 3 * CHUNK + 1];
        let input = stream(&sizes.map(of));
        let longest = Cell::new(0);
        let mut out = Vec::new();
        answer(input.as_slice(), Path::new("-"), &mut out, &COLUMNS, CHUNK, |texts| {
            longest.set(longest.get().max(texts.len()));
            first_words(texts)
        })
        .unwrap();
        let rows = StreamReader::try_new(out.as_slice(), None).unwrap().map(|batch| batch.unwrap().num_rows());
        assert_eq!((rows.collect::<Vec<_>>(), longest.get()), (sizes.to_vec(), CHUNK));
    }

    #[test]
    fn what_cannot_be_labelled_says_what_to_do() {
        assert!(refused(b"").contains("standard input is empty; `pyarrow.ipc.new_stream` writes one"));
        assert!(refused(b"{\"text\": \"hello\"}\n").contains("it begins with \"{\\\"te\""));
        assert!(refused(b"ARROW1\0\0").contains("is an Arrow file (Feather)"));
        let words = || Arc::new(StringArray::from(vec!["x"])) as ArrayRef;
        let numbers = || Arc::new(BooleanArray::from(vec![true])) as ArrayRef;
        let other = refused(&stream(&[batch(vec![("body", words()), ("title", words())])]));
        assert!(other.contains("no column \"text\", it has body, title: set --text-field"), "{other}");
        assert!(refused(&stream(&[batch(vec![("text", numbers())])])).contains("texts in a column of Boolean"));
        let ids = refused(&stream(&[batch(vec![("text", words()), ("id", numbers())])]));
        assert!(ids.contains("ids in a column of Boolean"), "{ids}");
        let whole = stream(&[batch(vec![("text", words())]), batch(vec![("text", words())])]);
        // Cut within the second batch: the end has 8 bytes.
        assert!(refused(&whole[..whole.len() - 20]).contains("ends within a batch, after 1 rows"));
    }

    proptest! {
        #[test]
        fn a_damaged_stream_is_answered_or_refused(place: prop::sample::Index, bits in 1u8.., cut: prop::sample::Index) {
            let texts = Arc::new(StringArray::from(vec![Some("one"), None, Some("three words here")])) as ArrayRef;
            let dictionary: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
            let mut input = stream(&[batch(vec![("text", texts), ("id", Arc::new(dictionary))])]);
            let place = place.index(input.len());
            input[place] ^= bits;
            input.truncate(1 + cut.index(2 * input.len()));
            // No panic, and nothing but rows for rows.
            if let Ok((batches, _)) = answered(&input) {
                prop_assert!(batches.iter().all(|batch| batch.num_columns() == 5));
            }
        }
    }
}
