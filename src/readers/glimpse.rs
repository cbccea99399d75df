//! A look at a corpus of which nothing is known yet: its columns, and which of them are likely the text, the id and the
//! labels. For who writes a configuration.
//!
//! By the first rows alone, so that a corpus of any size is looked at in a moment. Only the values of a column that is
//! named for its labels are read to the end.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::config::CorpusConfig;
use crate::corpus::{Fields, records};
use crate::domain::sample::TextHash;
use crate::error::{Error, Result};

/// Values of a column of labels are repeated at least so often on average.
const REPEATED: u64 = 4;
/// A label is a word or a few, not a text.
const LONGEST_LABEL: f64 = 40.0;
/// Names that columns of texts, ids and labels often have, the surest first.
const TEXT_NAMES: [&str; 14] = [
    "text",
    "body",
    "message",
    "content",
    "description",
    "utterance",
    "question",
    "sentence",
    "comment",
    "review",
    "abstract",
    "summary",
    "title",
    "query",
];
const ID_NAMES: [&str; 8] = ["id", "uuid", "guid", "key", "_id", "doc_id", "number", "name"];
const LABEL_NAMES: [&str; 9] =
    ["label", "gold", "category", "class", "intent", "topic", "section", "target", "sentiment"];

/// What the first rows of a corpus hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Glimpse {
    /// Rows that were looked at.
    pub rows: u64,
    /// Of those, rows that cannot be read, and the first of them with its place and the reason.
    pub bad_rows: u64,
    /// See `bad_rows`.
    pub first_bad: Option<(String, String)>,
    /// Whether that are all rows there are.
    pub whole: bool,
    /// In the order of the source.
    pub columns: Vec<Column>,
}

/// What is in one column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Rows with something in it.
    pub filled: u64,
    /// Of those, rows that hold a string.
    pub strings: u64,
    /// Of those, rows that hold a string or a whole number, as ids are.
    pub names: u64,
    /// Different values.
    pub distinct: u64,
    /// Mean characters of a value.
    pub mean_chars: f64,
    /// The first value.
    pub example: String,
}

/// A column that was chosen, and why, as the end of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The column's name.
    pub name: String,
    /// Why it.
    pub why: String,
}

/// Counts one column.
#[derive(Default)]
struct Counting {
    filled: u64,
    strings: u64,
    names: u64,
    chars: u64,
    values: HashSet<TextHash>,
    example: String,
}

impl Counting {
    fn add(&mut self, value: &Value) {
        let Some(text) = shown(value) else { return };
        if self.filled == 0 {
            self.example.clone_from(&text);
        }
        self.filled += 1;
        self.strings += u64::from(value.is_string());
        self.names += u64::from(value.is_string() || value.is_i64() || value.is_u64());
        self.chars += text.chars().count() as u64;
        self.values.insert(TextHash::of(&text));
    }

    fn column(self, name: String) -> Column {
        let Self { filled, strings, names, chars, values, example } = self;
        let mean_chars = chars as f64 / filled.max(1) as f64;
        Column { name, filled, strings, names, distinct: values.len() as u64, mean_chars, example }
    }
}

/// A value as text; `None` where there is nothing.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Looks at the first `most` rows of the corpus at the place that `config` names; which columns it names does not matter.
///
/// # Errors
///
/// [`Error::Input`] and [`Error::Unfit`] for what is no corpus, or has no row of use.
pub fn glimpse(config: &CorpusConfig, most: u64) -> Result<Glimpse> {
    let mut records = records(config)?;
    let mut seen = Glimpse { rows: 0, bad_rows: 0, first_bad: None, whole: false, columns: Vec::new() };
    let mut columns: Vec<(String, Counting)> = Vec::new();
    while seen.rows < most {
        let Some(record) = records.next_record()? else {
            seen.whole = true;
            break;
        };
        seen.rows += 1;
        match record.fields {
            Ok(fields) => take_in(&fields, &mut columns),
            Err(reason) => {
                seen.bad_rows += 1;
                let place = format!("{}:{}", records.file(), record.place);
                seen.first_bad.get_or_insert((place, reason));
            }
        }
    }
    seen.columns = columns.into_iter().map(|(name, counting)| counting.column(name)).collect();
    Ok(seen)
}

fn take_in(fields: &Fields, columns: &mut Vec<(String, Counting)>) {
    for (name, value) in fields.iter() {
        // Tables have few columns: a list keeps their order, and is as fast.
        let place = columns.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            columns.push((name.to_owned(), Counting::default()));
            columns.len() - 1
        });
        if let Some((_, counting)) = columns.get_mut(place) {
            counting.add(value);
        }
    }
}

impl Glimpse {
    /// The column of this name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The column that most likely holds the text: one of the usual names, or else the longest values. `None` where no column
    /// holds texts.
    #[must_use]
    pub fn text(&self) -> Option<Choice> {
        let is_text = |column: &&Column| 2 * column.filled > self.good() && column.strings == column.filled;
        let texts: Vec<&Column> = self.columns.iter().filter(is_text).collect();
        let longest = texts.iter().max_by(|a, b| a.mean_chars.total_cmp(&b.mean_chars))?;
        let named = by_name(&TEXT_NAMES, &texts);
        // A name says more than a length, unless its values are much shorter than another's.
        let chosen = named.filter(|named| 4.0 * named.mean_chars >= longest.mean_chars).unwrap_or(longest);
        let why = if texts.len() == 1 {
            "it is the only column of texts".to_owned()
        } else if chosen == *longest {
            format!("it has the longest values, {:.0} characters on average", chosen.mean_chars)
        } else {
            format!("by its name; its values have {:.0} characters on average", chosen.mean_chars)
        };
        Some(Choice { name: chosen.name.clone(), why })
    }

    /// The column that most likely holds the id: a different value in every row, `text` apart. `None` where there is none;
    /// then a text goes by its hash.
    #[must_use]
    pub fn id(&self, text: &str) -> Option<Choice> {
        let is_id = |column: &&Column| {
            let unique = column.filled == self.good() && column.distinct == column.filled;
            // A nameless one is the index of a data frame, which is another's in the next file.
            let is_named = !column.name.trim().is_empty() && column.name != text;
            is_named && unique && column.names == column.filled && column.filled > 0
        };
        let ids: Vec<&Column> = self.columns.iter().filter(is_id).collect();
        let short = |column: &&&Column| column.mean_chars <= LONGEST_LABEL;
        // By its values alone only where all were seen: times and amounts differ in the first rows too.
        let by_values = || ids.iter().find(short).copied().filter(|_| self.whole);
        let chosen = by_name(&ID_NAMES, &ids).or_else(by_values)?;
        let rows = if self.whole { "every row" } else { "every row that was looked at" };
        Some(Choice { name: chosen.name.clone(), why: format!("it has another value in {rows}") })
    }

    /// The column that may hold the labels that a person gave: few short values, each many times.
    #[must_use]
    pub fn labels(&self, text: &str) -> Option<Choice> {
        let is_label = |column: &&Column| {
            let is_repeated = column.distinct >= 2 && REPEATED * column.distinct <= column.filled;
            column.name != text && column.names == column.filled && is_repeated && column.mean_chars <= LONGEST_LABEL
        };
        let labels: Vec<&Column> = self.columns.iter().filter(is_label).collect();
        let named = by_name(&LABEL_NAMES, &labels);
        let strings = || labels.iter().find(|column| column.strings == column.filled).copied();
        let chosen = named.or_else(strings)?;
        let why = format!("it has {} different values in {} rows", chosen.distinct, chosen.filled);
        Some(Choice { name: chosen.name.clone(), why })
    }

    /// Rows that can be read.
    fn good(&self) -> u64 {
        self.rows - self.bad_rows
    }
}

/// The first of `columns` with one of these names, whole or as its last part (`message_body`); the order of names decides.
fn by_name<'a>(names: &[&str], columns: &[&'a Column]) -> Option<&'a Column> {
    let is = |column: &Column, name: &str, whole: bool| {
        let column = column.name.to_lowercase();
        if whole { column == name } else { column.rsplit(['_', '-', ' ', '.']).next() == Some(name) }
    };
    let find =
        |whole: bool| names.iter().find_map(|name| columns.iter().find(|column| is(column, name, whole)).copied());
    find(true).or_else(|| find(false))
}

/// The different values of a column, with how often each is there, in the order of their names; and the rows that have none.
/// Reads the whole corpus.
///
/// # Errors
///
/// [`Error::Unfit`] where there are more than `most`, or no row has the column; and those of [`glimpse`].
pub fn distinct_values(config: &CorpusConfig, column: &str, most: usize) -> Result<(Vec<(String, u64)>, u64)> {
    let mut records = records(config)?;
    let mut values: BTreeMap<String, u64> = BTreeMap::new();
    let mut without = 0;
    let unfit = |message: String| Error::Unfit { path: records_path(config), message };
    while let Some(record) = records.next_record()? {
        let Ok(fields) = record.fields else { continue };
        let Some(value) = fields.get(column).and_then(shown) else {
            without += 1;
            continue;
        };
        *values.entry(value).or_default() += 1;
        if values.len() > most {
            let message =
                format!("has more than {most} different values in the column {column:?}: too many for labels");
            return Err(unfit(message));
        }
    }
    if values.is_empty() {
        return Err(unfit(format!("has nothing in a column {column:?}: name one of its columns")));
    }
    Ok((values.into_iter().collect(), without))
}

/// What the corpus is called in an error.
fn records_path(config: &CorpusConfig) -> std::path::PathBuf {
    config.shown().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(lines: &[String]) -> Glimpse {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, lines.join("\n").as_bytes()).unwrap();
        glimpse(&config(file.path()), 1000).unwrap()
    }

    fn config(path: &std::path::Path) -> CorpusConfig {
        let toml = "[task]\nname = \"t\"\nlabels = [\"a\", \"b\"]\n[corpus]\npath = \"PATH\"\n[[teachers]]\nkind = \"recorded\"\npath = \"a\"";
        let toml = toml.replace("PATH", path.to_str().unwrap());
        crate::Config::parse(&toml, "".as_ref(), None).unwrap().corpus
    }

    #[test]
    fn fields_are_found_by_names_lengths_and_values() {
        let row = |number: usize| {
            let section = ["games", "net", "sound"][number % 3];
            format!(
                "{{\"package\": \"p{number}\", \"title\": \"a title\", \"description\": \"{}\", \"section\": \"{section}\", \
                 \"size\": {number}, \"empty\": null}}",
                "words and more words ".repeat(1 + number % 2)
            )
        };
        let seen = look(&(0..60).map(row).collect::<Vec<_>>());
        assert_eq!((seen.rows, seen.bad_rows, seen.whole), (60, 0, true));
        assert_eq!(seen.text().unwrap().name, "description");
        assert_eq!(seen.id("description").unwrap().name, "package");
        assert_eq!(seen.labels("description").unwrap().name, "section");
        let names: Vec<&str> = seen.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["package", "title", "description", "section", "size", "empty"]);
        assert_eq!(seen.column("empty").unwrap().filled, 0);
    }

    #[test]
    fn what_is_not_there_is_not_proposed() {
        let seen = look(&["{\"a\": 1, \"b\": [2]}".to_owned(), "no row".to_owned()]);
        assert_eq!((seen.text(), seen.id("x").map(|id| id.name), seen.labels("x")), (None, Some("a".to_owned()), None));
        assert_eq!((seen.bad_rows, seen.first_bad.unwrap().0.ends_with(":2")), (1, true));
        // A name that is usual goes before a column that is longer by little.
        let seen = look(&["{\"text\": \"short text\", \"url\": \"a somewhat longer url\"}".to_owned()]);
        assert_eq!(seen.text().unwrap().name, "text");
        let seen = look(&["{\"text\": \"x\", \"notes\": \"what was really said in this call\"}".to_owned()]);
        assert_eq!(seen.text().unwrap().name, "notes");
    }

    #[test]
    fn values_are_counted_and_too_many_are_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let rows = "{\"l\": \"b\"}\n{\"l\": \"a\\n\\\"\"}\n{\"l\": \"b\"}\n{\"l\": \" \"}\n{}\n{\"l\": 7}\n";
        std::io::Write::write_all(&mut file, rows.as_bytes()).unwrap();
        let config = config(file.path());
        let expected = [("7", 1), ("a\n\"", 1), ("b", 2)].map(|(value, count)| (value.to_owned(), count));
        assert_eq!(distinct_values(&config, "l", 3).unwrap(), (expected.to_vec(), 2));
        assert!(distinct_values(&config, "l", 2).unwrap_err().to_string().contains("too many"));
        assert!(distinct_values(&config, "m", 2).unwrap_err().to_string().contains("nothing in a column \"m\""));
    }
}
