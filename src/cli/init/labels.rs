//! Where the labels of a new task come from: typed, a file, or the values that a column of the corpus has.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use candist::config::CorpusConfig;
use candist::internal::distinct_values;

use crate::cli::grouped;
use crate::cli::messages::one_line;

/// More values of a column are hardly labels; and from here on a JSON schema cannot name them all.
const MOST_VALUES: usize = 500;
/// Values that are shown with their counts.
const SHOWN: usize = 12;

/// Where labels come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// These.
    Typed(Vec<String>),
    /// A file with one a line.
    File(PathBuf),
    /// The different values of a column.
    Column(String),
}

/// A label, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewLabel {
    pub(super) name: String,
    pub(super) description: Option<String>,
}

/// The labels of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) labels: Vec<NewLabel>,
    /// The column that they were taken from, which then has gold labels.
    pub(super) gold: Option<String>,
    /// What there is to tell about them.
    pub(super) told: Vec<String>,
}

impl Source {
    /// What a person types: `a, b, c`, `file PATH` or `column NAME`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let after = |word: &str| text.strip_prefix(word).map(str::trim).filter(|rest| !rest.is_empty());
        if let Some(path) = after("file ") {
            return Ok(Self::File(path.into()));
        }
        if let Some(column) = after("column ") {
            return Ok(Self::Column(column.to_owned()));
        }
        let labels = typed(text);
        if labels.len() < 2 {
            return Err(
                "name at least two labels, separated by commas; or \"column NAME\", or \"file PATH\"".to_owned()
            );
        }
        Ok(Self::Typed(labels))
    }
}

/// Labels separated by commas, or where there is none by semicolons. None of them can have a comma: a file can say those.
pub(super) fn typed(text: &str) -> Vec<String> {
    let separator = if text.contains(',') { ',' } else { ';' };
    text.split(separator).map(str::trim).filter(|label| !label.is_empty()).map(str::to_owned).collect()
}

/// Gets the labels. A column's are those of the whole corpus.
///
/// # Errors
///
/// Where there are fewer than two, or the same one twice, or too many values in a column.
pub(super) fn labels(source: &Source, corpus: &CorpusConfig) -> Result<Labels> {
    let plain = |name: &String| NewLabel { name: name.clone(), description: None };
    let labels = match source {
        Source::Typed(names) => Labels { labels: names.iter().map(plain).collect(), gold: None, told: Vec::new() },
        Source::File(path) => Labels { labels: read(path)?, gold: None, told: Vec::new() },
        Source::Column(column) => values(column, corpus)?,
    };
    if labels.labels.len() < 2 {
        let found = labels.labels.first().map_or(String::new(), |label| format!(" ({:?})", label.name));
        bail!("a task needs at least two labels, and there is {}{found}", labels.labels.len());
    }
    let mut names: Vec<&str> = labels.labels.iter().map(|label| label.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair.first() == pair.last()).and_then(|pair| pair.first()) {
        bail!("the label {twice:?} is there twice");
    }
    Ok(labels)
}

/// A file of labels: one a line, what it means after a tab.
fn read(path: &Path) -> Result<Vec<NewLabel>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the labels in {}", path.display()))?;
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty());
    let label = |line: &str| {
        let (name, meaning) = line.split_once('\t').unwrap_or((line, ""));
        let description = Some(meaning.trim().to_owned()).filter(|meaning| !meaning.is_empty());
        NewLabel { name: name.trim().to_owned(), description }
    };
    Ok(lines.map(label).collect())
}

/// The values of a column, and how often each is there.
fn values(column: &str, corpus: &CorpusConfig) -> Result<Labels> {
    let (values, without) = distinct_values(corpus, column, MOST_VALUES)?;
    let rows: u64 = values.iter().map(|(_, count)| count).sum();
    if values.len() as u64 == rows && rows > 1 {
        bail!("the column {column:?} has another value in every row: that are no labels");
    }
    let mut by_count: Vec<&(String, u64)> = values.iter().collect();
    by_count.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut told =
        vec![format!("{} labels in the column {column:?} of {} rows:", values.len(), grouped(rows + without))];
    told.extend(
        by_count.iter().take(SHOWN).map(|(value, count)| format!("  {:>9}  {}", grouped(*count), one_line(value))),
    );
    if let Some(more) = values.len().checked_sub(SHOWN).filter(|&more| more > 0) {
        told.push(format!("  and {more} more"));
    }
    if without > 0 {
        told.push(format!("  {:>9}  rows have none", grouped(without)));
    }
    let labels = values.into_iter().map(|(name, _)| NewLabel { name, description: None }).collect();
    Ok(Labels { labels, gold: Some(column.to_owned()), told })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(lines: &str) -> (tempfile::TempDir, CorpusConfig) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("c.jsonl"), lines).unwrap();
        let toml = "[task]\nname = \"t\"\nlabels = [\"a\", \"b\"]\n[corpus]\npath = \"c.jsonl\"\n[[teachers]]\nkind = \"recorded\"\npath = \"a\"";
        let corpus = candist::Config::parse(toml, folder.path(), None).unwrap().corpus;
        (folder, corpus)
    }

    #[test]
    fn what_is_typed_is_a_list_a_file_or_a_column() {
        assert_eq!(Source::parse("a, b c ,,d").unwrap(), Source::Typed(["a", "b c", "d"].map(str::to_owned).into()));
        assert_eq!(Source::parse(" file labels.txt").unwrap(), Source::File("labels.txt".into()));
        assert_eq!(Source::parse("column my labels").unwrap(), Source::Column("my labels".into()));
        for wrong in ["", "spam", "file", "column "] {
            assert!(Source::parse(wrong).unwrap_err().contains("at least two"), "{wrong:?}");
        }
    }

    #[test]
    fn labels_come_from_a_file_with_what_they_mean() {
        let (folder, corpus) = corpus("{}\n");
        let path = folder.path().join("labels");
        std::fs::write(&path, "\u{feff}spam\twhat nobody asked for\r\n\n ham, eggs \n").unwrap();
        let found = labels(&Source::File(path.clone()), &corpus).unwrap();
        assert_eq!(found.labels[0].description.as_deref(), Some("what nobody asked for"));
        assert_eq!((found.labels[0].name.as_str(), found.labels[1].name.as_str()), ("spam", "ham, eggs"));
        for (lines, said) in [("a\n", "at least two"), ("a\nb\na\n", "\"a\" is there twice"), ("", "there is 0")] {
            std::fs::write(&path, lines).unwrap();
            assert!(labels(&Source::File(path.clone()), &corpus).unwrap_err().to_string().contains(said), "{lines:?}");
        }
    }

    #[test]
    fn a_columns_values_are_labels_where_there_are_neither_too_many_nor_too_few() {
        let (_folder, corpus) =
            corpus("{\"s\": \"b\", \"id\": 1}\n{\"s\": \"a\\n\", \"id\": 2}\n{\"s\": \"b\", \"id\": 3}\n{}\n");
        let found = labels(&Source::Column("s".into()), &corpus).unwrap();
        assert_eq!(found.labels.iter().map(|label| label.name.as_str()).collect::<Vec<_>>(), ["a\n", "b"]);
        assert_eq!(found.gold.as_deref(), Some("s"));
        assert!(found.told.iter().any(|line| line.contains("a\\n")), "{:?}", found.told);
        assert!(found.told.iter().any(|line| line.contains("rows have none")), "{:?}", found.told);
        let refused = |column: &str| labels(&Source::Column(column.into()), &corpus).unwrap_err().to_string();
        assert!(refused("id").contains("another value in every row"));
        assert!(refused("x").contains("nothing in a column"));
    }
}
