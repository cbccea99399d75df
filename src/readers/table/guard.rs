//! What a slip must not cost: nothing is written into a run directory, over the corpus, or over a file that is no earlier export.

use std::path::{Path, PathBuf};

use super::TableOptions;
use crate::config::{CorpusConfig, CorpusFormat};
use crate::corpus::{Fields, Settings, files, records_of, would_match};
use crate::error::{Error, Result};
use crate::store::{RunView, outside};

/// The longest row of an earlier table.
const MAX_LINE_BYTES: usize = 64 << 20;

/// No table without rows is as large.
const LARGE: u64 = 1 << 20;
/// A packed one is smaller.
const SMALL: usize = 512;

/// What earlier exports are known by.
pub(in crate::readers) enum Earlier<'a> {
    /// Rows, of which the first has these columns.
    Rows(&'a [&'a str]),
    /// Text that has this in it.
    Text(&'a str),
}

/// Columns of every table of labels.
pub(super) const TABLE: Earlier<'static> = Earlier::Rows(&["id", "label", "confidence"]);

/// Refuses a place in the run directory, a file of the corpus, and one that the corpus' pattern would take in.
pub(in crate::readers) fn refuse_ours(view: &RunView, options: &TableOptions, out: &Path) -> Result<()> {
    outside(view.dir(), out)?;
    let Some(config) = &options.config else { return Ok(()) };
    if let Some(place) = real(out)
        && corpus_files(&config.corpus).iter().any(|file| real(file).as_ref() == Some(&place))
    {
        return Err(unfit(out, "is a file of the corpus: choose another name"));
    }
    if config.corpus.paths.iter().any(|path| would_match(path, out)) {
        return Err(unfit(
            out,
            "would be taken for a file of the corpus, whose pattern it matches: choose another place",
        ));
    }
    Ok(())
}

/// Refuses a file with something in it that no earlier export wrote. A device, a pipe and an empty file lose nothing.
pub(in crate::readers) fn refuse_others(out: &Path, earlier: &Earlier<'_>) -> Result<()> {
    let has_content = std::fs::metadata(out).is_ok_and(|there| there.is_file() && there.len() > 0);
    if !has_content || is_earlier(out, earlier) {
        return Ok(());
    }
    Err(unfit(out, "is there already, and was not written by candist: choose another name, or move it away"))
}

fn is_earlier(out: &Path, earlier: &Earlier<'_>) -> bool {
    match earlier {
        Earlier::Text(mark) => std::fs::read_to_string(out).is_ok_and(|text| text.contains(mark)),
        Earlier::Rows(columns) => {
            let of = CorpusConfig { max_line_bytes: MAX_LINE_BYTES, ..CorpusConfig::of(vec![out.to_owned()]) };
            let has_all = |fields: Fields| columns.iter().all(|column| fields.get(column).is_some());
            // By its name, or as `--format` may have said otherwise.
            let formats = [None, Some(CorpusFormat::Jsonl), Some(CorpusFormat::Csv), Some(CorpusFormat::Tsv)];
            formats.into_iter().any(|format| {
                let config = CorpusConfig { format, ..of.clone() };
                let first = records_of(&config, Settings::FILE).and_then(|mut rows| rows.next_record());
                first.is_ok_and(|first| match first {
                    Some(record) => record.fields.is_ok_and(has_all),
                    None => is_empty_table(out, columns),
                })
            })
        }
    }
}

/// Whether a file without rows is a table without rows: it names the columns, or is packed and too small to hold anything.
fn is_empty_table(out: &Path, columns: &[&str]) -> bool {
    if std::fs::metadata(out).is_ok_and(|there| there.len() > LARGE) {
        return false;
    }
    let head = std::fs::read(out).unwrap_or_default();
    let text = String::from_utf8_lossy(&head);
    let is_packed = head.starts_with(&[0x1f, 0x8b]) || head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    columns.iter().all(|column| text.contains(column)) || is_packed && head.len() < SMALL
}

/// The files of a corpus that can be found: a pattern that matches none must not hide the others.
fn corpus_files(corpus: &CorpusConfig) -> Vec<PathBuf> {
    let alone = |path: &PathBuf| CorpusConfig { paths: vec![path.clone()], ..corpus.clone() };
    corpus.paths.iter().flat_map(|path| files(&alone(path)).unwrap_or_default()).collect()
}

fn real(path: &Path) -> Option<PathBuf> {
    std::fs::canonicalize(path).ok()
}

fn unfit(out: &Path, message: &str) -> Error {
    Error::Unfit { path: out.to_owned(), message: message.to_owned() }
}
