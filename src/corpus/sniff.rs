//! What a file is, told by its first bytes: which format it has, and of what is no corpus what it is instead, with the
//! command that makes one of it.
//!
//! A guess, so a name or a setting goes before it. What is certain by its first bytes (an archive, a binary file, one array)
//! is the exception. Commands are for a shell, and never write over the file.

use std::fmt;
use std::path::Path;

use crate::config::CorpusFormat;

/// Characters of a header's cell, at most: names of columns are short, parts of a sentence mostly not.
const LONGEST_COLUMN: usize = 40;
/// What may stand between cells.
const DELIMITERS: [char; 4] = ['\t', ',', ';', '|'];
/// Columns that nearly every table of texts has one of: a first line with one of these is a header, whatever follows.
const USUAL_COLUMNS: [&str; 9] = ["text", "id", "label", "message", "body", "content", "title", "question", "sentence"];

/// How a file is compressed, where that is no matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    /// What `head`, the beginning of a file, says.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // A frame, or one that is skipped and may come before others.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// A content that is not one JSON object a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Compressed with this program.
    Compressed(&'static str),
    /// A ZIP archive, as spreadsheets are.
    Zip,
    /// Columns, for programs.
    Parquet,
    /// Text of two bytes a character, the lower first.
    Utf16Le,
    /// The upper first.
    Utf16Be,
    /// No text at all.
    Binary,
    /// All rows in one JSON array.
    Array,
    /// JSON objects that go over several lines, as pretty-printers write them.
    Spread,
    /// One JSON string a line.
    Strings,
    /// Cells, with their delimiter and the columns.
    Table(char, Vec<String>),
    /// One text a line.
    Plain,
}

impl Kind {
    /// What `head`, the beginning of a file, says. `None` where it may be JSONL.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        if let Some(kind) = by_magic(head) {
            return Some(kind);
        }
        // The head may end in the middle of a character or a line: no matter for what is looked for.
        let text = String::from_utf8_lossy(head);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let first = text.lines().next()?.trim_end();
        let after_bracket = text.strip_prefix('[').map(|rest| rest.trim_start().chars().next());
        if after_bracket.is_some_and(|next| next.is_none_or(|next| "{[\"]".contains(next))) {
            return Some(Self::Array);
        }
        if first == "{" {
            return Some(Self::Spread);
        }
        let table = table(text);
        let is_sure = matches!(&table, Some(Self::Table(_, columns)) if columns.iter().any(|column| is_usual(column)));
        // Some line begins an object: it may well be JSONL with bad rows at its head, and their reasons say more. A cell of
        // several lines may do so too.
        if !is_sure && text.lines().any(|line| line.trim_start().starts_with('{')) || first.starts_with('{') {
            return None;
        }
        if serde_json::from_str::<String>(first).is_ok() {
            return Some(Self::Strings);
        }
        if table.is_some() {
            return table;
        }
        // Text may have a zero here and there; of binary files they are a good part.
        let odd =
            text.chars().filter(|c| c.is_control() && !c.is_whitespace() || *c == char::REPLACEMENT_CHARACTER).count();
        let is_binary = text.contains('\0') && 5 * odd > text.chars().count();
        Some(if is_binary { Self::Binary } else { Self::Plain })
    }

    /// Whether it is no corpus in any format, whatever a name says.
    pub(super) fn is_foreign(&self) -> bool {
        matches!(self, Self::Compressed(_) | Self::Zip | Self::Binary)
    }

    /// The format that reads it, if there is one.
    pub(super) fn format(&self) -> Option<CorpusFormat> {
        match self {
            Self::Parquet => Some(CorpusFormat::Parquet),
            Self::Array | Self::Spread => Some(CorpusFormat::Json),
            Self::Table('\t', _) => Some(CorpusFormat::Tsv),
            Self::Table(..) => Some(CorpusFormat::Csv),
            Self::Plain => Some(CorpusFormat::Lines),
            Self::Compressed(_) | Self::Zip | Self::Utf16Le | Self::Utf16Be | Self::Binary | Self::Strings => None,
        }
    }

    /// What it is and what to do, as the end of a sentence that `path` begins. `setting` is what names a format.
    pub(super) fn advice(&self, path: &Path, text_field: &str, setting: &str) -> String {
        if let Some(format) = self.format() {
            return format!("{self}: set {setting} to {format:?}", format = format.name());
        }
        let (from, to) = (quoted(&path.to_string_lossy()), quoted(&converted(path)));
        match self.command(&from, &to, text_field) {
            Some(command) => format!("{self}. This makes a corpus of it:\n  $ {command}"),
            None => self.to_string(),
        }
    }

    /// The command, of programs that most machines have; none where a person has to decide something first. `from` and
    /// `to` are quoted.
    fn command(&self, from: &str, to: &str, text_field: &str) -> Option<String> {
        match self {
            Self::Compressed(program) => Some(format!("{program} -dc < {from} > {to}")),
            Self::Strings => {
                let program = format!("{{{}: .}}", serde_json::Value::from(text_field));
                Some(format!("jq -c {} < {from} > {to}", quoted(&program)))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compressed(program) => write!(f, "is compressed with {program}"),
            Self::Zip => f.write_str("is a ZIP archive: unpack it, or if it is a spreadsheet, save it as CSV"),
            Self::Parquet => f.write_str("is a Parquet file"),
            Self::Utf16Le | Self::Utf16Be => f.write_str("is UTF-16"),
            Self::Binary => f.write_str("is a binary file, and no corpus"),
            Self::Array => f.write_str("is a JSON array"),
            Self::Spread => f.write_str("holds JSON objects over several lines"),
            Self::Strings => f.write_str("holds JSON strings, not objects"),
            Self::Table(delimiter, columns) => {
                let name = if *delimiter == '\t' { "TSV" } else { "CSV" };
                write!(f, "is {name} with the columns {}", columns.join(", "))
            }
            Self::Plain => f.write_str("is plain text"),
        }
    }
}

/// By the magic numbers that formats begin with, or the pattern of bytes of an encoding.
fn by_magic(head: &[u8]) -> Option<Kind> {
    let magics: [(&[u8], Kind); 8] = [
        (b"BZh", Kind::Compressed("bzip2")),
        (b"\xfd7zXZ\0", Kind::Compressed("xz")),
        (b"PK\x03\x04", Kind::Zip),
        (b"PAR1", Kind::Parquet),
        (b"\xff\xfe", Kind::Utf16Le),
        (b"\xfe\xff", Kind::Utf16Be),
        (b"SQLite format 3\0", Kind::Binary),
        (b"ARROW1\0", Kind::Binary),
    ];
    if let Some((_, kind)) = magics.into_iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(kind);
    }
    // Without a mark: every second byte of what JSON is written with is zero.
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    match head {
        [a, 0, b, 0, ..] if is_text(a) && is_text(b) => Some(Kind::Utf16Le),
        [0, a, 0, b, ..] if is_text(a) && is_text(b) => Some(Kind::Utf16Be),
        _ => None,
    }
}

/// Whether a column of texts is mostly called so.
fn is_usual(column: &str) -> bool {
    USUAL_COLUMNS.contains(&column.to_lowercase().as_str())
}

/// A header line and what follows it. A sentence has commas too, so its cells must look like names of columns.
fn table(text: &str) -> Option<Kind> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let (header, row) = (lines.next()?, lines.next());
    DELIMITERS.into_iter().find_map(|delimiter| {
        let cells = cells(header, delimiter);
        let is_name = |cell: &String| {
            (1..=LONGEST_COLUMN).contains(&cell.chars().count())
                && !cell.contains(|c: char| c.is_control() || ".!?\"".contains(c))
        };
        let row_has_as_many = row.is_some_and(|row| row.matches(delimiter).count() + 1 >= cells.len());
        let are_words = cells.iter().all(|cell| !cell.contains(' '));
        // Either a column that tables of texts have, or one-word names over a row with as many cells.
        let is_header = cells.len() > 1
            && cells.iter().all(is_name)
            && (cells.iter().any(|cell| is_usual(cell)) || (row_has_as_many && are_words));
        is_header.then_some(Kind::Table(delimiter, cells))
    })
}

fn cells(header: &str, delimiter: char) -> Vec<String> {
    header.split(delimiter).map(|cell| cell.trim().trim_matches('"').to_owned()).collect()
}

/// A first line that names all of `columns`: of a pipe it may be all that came so far.
pub(super) fn table_of(head: &[u8], columns: &[&str]) -> Option<Kind> {
    let text = String::from_utf8_lossy(head);
    let header = text.trim_start_matches('\u{feff}').lines().find(|line| !line.trim().is_empty())?;
    DELIMITERS.into_iter().find_map(|delimiter| {
        let cells = cells(header, delimiter);
        let has = |column: &&str| cells.iter().any(|cell| cell == column);
        columns.iter().all(has).then_some(Kind::Table(delimiter, cells))
    })
}

/// Beside the file, and never the file itself.
fn converted(path: &Path) -> String {
    path.with_extension("converted.jsonl").to_string_lossy().into_owned()
}

/// As a shell reads it back: between single quotes, in which only the quote itself means something.
fn quoted(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_alphanumeric() || "/._-+@%:".contains(c));
    if is_plain && !text.is_empty() { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jsonl_is_taken_for_nothing_else() {
        for head in [
            "",
            "{\"text\": \"a\"}\n",
            "\u{feff}{\"text\": \"a\"}\n",
            "{\"text\": \"a, b\", \"id\": 1}\n[1]\n",
            "nonsense\n{\"text\": \"a\"}\n",
            "Hello, you\n{\"text\": \"a\", \"id\": 1}\n",
            "[a comment]\n{\"text\": \"a\"}\n",
            "{\"id\": \"cut",
        ] {
            assert_eq!(Kind::of(head.as_bytes()), None, "{head:?}");
        }
    }

    #[test]
    fn a_table_is_told_from_sentences_by_its_header() {
        let columns = |columns: &[&str]| columns.iter().map(|&column| column.to_owned()).collect::<Vec<_>>();
        for (head, expected) in [
            ("id,text\n1,a\n", Kind::Table(',', columns(&["id", "text"]))),
            (
                "\"number\";\"what was said\";\"Text\"\n",
                Kind::Table(';', columns(&["number", "what was said", "Text"])),
            ),
            ("utterance\tintent\nhello, you\tgreet\n", Kind::Table('\t', columns(&["utterance", "intent"]))),
            ("Hello, I would like to know where my card is.\nThanks, you too!\n", Kind::Plain),
            ("where is my card\nwhen does it come\n", Kind::Plain),
            ("id,text\n1,\"\n{\"\n", Kind::Table(',', columns(&["id", "text"]))),
        ] {
            assert_eq!(Kind::of(head.as_bytes()), Some(expected), "{head:?}");
        }
    }

    #[test]
    fn names_are_quoted_for_the_shell() {
        assert_eq!(quoted("data/pool.csv"), "data/pool.csv");
        assert_eq!(quoted("it's mine.csv"), "'it'\\''s mine.csv'");
        let command = Kind::Strings.advice(Path::new("my data.json"), "text", "corpus.format");
        assert!(command.ends_with("$ jq -c '{\"text\": .}' < 'my data.json' > 'my data.converted.jsonl'"), "{command}");
    }
}
