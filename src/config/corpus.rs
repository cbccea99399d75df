//! The checked corpus: where the texts are, in which form, and what of a row is text and id.
//!
//! Whether its files are there, and have the columns that are named, is for the run to find out: a configuration may be
//! checked before.

use std::fmt;
use std::path::{Path, PathBuf};

use super::fields::{one_of, required, resolve};
use super::raw::{RawCorpus, RawPaths};
use super::settings as set;
use super::{Problem, Problems};

/// The path that stands for standard input.
const STDIN: &str = "-";

/// The corpus.
#[derive(Debug, Clone)]
pub struct CorpusConfig {
    /// Files and patterns of files, in the order in which they are read, or "-" for standard input; empty only after
    /// [`Config::new`](super::Config::new).
    pub paths: Vec<PathBuf>,
    /// What all files are; none where each is what its name or its beginning says.
    pub format: Option<CorpusFormat>,
    /// What of a row is the text.
    pub text: TextFrom,
    /// The field of the id; rows without it go by the hash of their text.
    pub id_field: String,
    /// What stands between the cells of a CSV file, a character of ASCII; none to tell it from the header.
    pub delimiter: Option<u8>,
    /// The encoding, by one of the names that browsers know; none for UTF-8 or what a mark at the beginning says.
    pub encoding: Option<String>,
    /// For lines: a regular expression whose named groups are the columns.
    pub pattern: Option<String>,
    /// Bytes of a row, at most; a longer one is a bad row, and is not held.
    pub max_line_bytes: usize,
    /// Where the run keeps what came from standard input.
    pub spool: PathBuf,
}

/// What of a row is the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextFrom {
    /// A field, or a column.
    Field(String),
    /// A Jinja template of several.
    Template(String),
}

/// What a file of texts is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CorpusFormat {
    /// One JSON object a line.
    Jsonl,
    /// JSON objects in an array, or one after the other.
    Json,
    /// Cells with a delimiter, and a header.
    Csv,
    /// The same with tabs.
    Tsv,
    /// One text a line.
    Lines,
    /// Columns in binary.
    Parquet,
}

impl CorpusFormat {
    /// All, by the names that settings have.
    pub const ALL: [(&'static str, Self); 6] = [
        ("jsonl", Self::Jsonl),
        ("json", Self::Json),
        ("csv", Self::Csv),
        ("tsv", Self::Tsv),
        ("lines", Self::Lines),
        ("parquet", Self::Parquet),
    ];

    /// All names.
    pub(super) fn names() -> [&'static str; 6] {
        Self::ALL.map(|(name, _)| name)
    }

    /// Its name in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }
}

impl fmt::Display for CorpusFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl CorpusConfig {
    /// Texts and ids of `paths`, by the names and forms that files have if nothing is said. For files beside a run's own
    /// corpus: of gold labels, of texts to label.
    #[must_use]
    pub fn of(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            format: None,
            text: TextFrom::Field(set::TEXT_FIELD.to_owned()),
            id_field: set::ID_FIELD.to_owned(),
            delimiter: None,
            encoding: None,
            pattern: None,
            max_line_bytes: usize::try_from(set::MAX_LINE_BYTES.default).unwrap_or(usize::MAX),
            spool: PathBuf::new(),
        }
    }

    /// Whether the texts come from standard input.
    #[must_use]
    pub fn is_stdin(&self) -> bool {
        self.paths.iter().any(|path| is_stdin(path))
    }

    /// The paths as a person reads them.
    #[must_use]
    pub fn shown(&self) -> String {
        if self.is_stdin() {
            return "standard input".to_owned();
        }
        self.paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    }
}

/// Whether `path` stands for standard input.
fn is_stdin(path: &Path) -> bool {
    path == Path::new(STDIN)
}

/// The delimiter that a setting names.
///
/// # Errors
///
/// In words, where it is no single character that can be one.
pub fn delimiter(typed: &str) -> Result<u8, String> {
    match typed.as_bytes() {
        b"\\t" | b"tab" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) && !byte.is_ascii_alphanumeric() => Ok(*byte),
        _ => Err(format!("is {typed:?}; it can be \",\", \";\", \"|\", \"\\t\" or another single sign")),
    }
}

/// Checks the name of an encoding.
///
/// # Errors
///
/// In words, where nobody calls an encoding so.
pub fn encoding(typed: &str) -> Result<String, String> {
    match encoding_rs::Encoding::for_label(typed.as_bytes()) {
        Some(_) => Ok(typed.to_owned()),
        None => Err(format!(
            "is {typed:?}, which is no encoding; usual ones are \"utf-8\", \"utf-16le\", \"latin1\", \"windows-1252\", \
             \"shift_jis\""
        )),
    }
}

/// Checks a pattern of lines.
///
/// # Errors
///
/// In words, where it is no regular expression, or no group of it has a name.
pub fn pattern(typed: &str) -> Result<String, String> {
    let regex = regex::Regex::new(typed).map_err(|error| format!("is no regular expression: {error}"))?;
    match regex.capture_names().flatten().next() {
        Some(_) => Ok(typed.to_owned()),
        None => Err("has no named group, and these are the columns: write e.g. (?<text>.*)".to_owned()),
    }
}

/// Checks the corpus.
pub(super) fn check(raw: RawCorpus, base: &Path, problems: &mut Problems) -> Option<CorpusConfig> {
    let max_line_bytes = set::MAX_LINE_BYTES.of("corpus.max_line_bytes", raw.max_line_bytes, problems);
    let format = raw.format.and_then(|name| one_of("corpus.format", &name, &CorpusFormat::ALL, problems));
    let text = text(raw.text_field, raw.text, problems);
    let id_field = raw.id_field.unwrap_or_else(|| set::ID_FIELD.to_owned());
    if id_field.is_empty() {
        problems.add("corpus.id_field", "is empty: name one, or leave the key out for the default");
    }
    if text == TextFrom::Field(id_field.clone()) {
        problems.add(
            "corpus.id_field",
            "is the field of the text too: name another; without one in a row, its text's hash is its id",
        );
    }
    let mut checked = |key: &str, typed: Option<String>, check: fn(&str) -> Result<String, String>| {
        typed.and_then(|typed| check(&typed).map_err(|message| problems.add(key, message)).ok())
    };
    let encoding = checked("corpus.encoding", raw.encoding, encoding);
    let pattern = checked("corpus.pattern", raw.pattern, pattern);
    let delimiter = raw
        .delimiter
        .and_then(|typed| delimiter(&typed).map_err(|message| problems.add("corpus.delimiter", message)).ok());
    only_for("delimiter", delimiter.is_some(), CorpusFormat::Csv, format, problems);
    only_for("pattern", pattern.is_some(), CorpusFormat::Lines, format, problems);
    let paths = paths(raw.path, base, problems)?;
    Some(CorpusConfig {
        paths,
        // A pattern is for lines, whatever they look like.
        format: format.or(pattern.is_some().then_some(CorpusFormat::Lines)),
        text,
        id_field,
        delimiter,
        encoding,
        pattern,
        max_line_bytes: usize::try_from(max_line_bytes).unwrap_or(usize::MAX),
        // Where that is, the run says.
        spool: PathBuf::new(),
    })
}

/// The field or the template.
fn text(field: Option<String>, template: Option<String>, problems: &mut Problems) -> TextFrom {
    match (field, template) {
        (Some(_), Some(_)) => {
            problems.add("corpus.text", "is there beside corpus.text_field: keep one of them");
            TextFrom::Field(String::new())
        }
        (None, Some(template)) => {
            if !template.contains("{{") {
                let message = "names no column: write e.g. \"{{ title }}. {{ body }}\", or set corpus.text_field";
                problems.add("corpus.text", message);
            }
            TextFrom::Template(template)
        }
        (field, None) => {
            let field = field.unwrap_or_else(|| set::TEXT_FIELD.to_owned());
            if field.is_empty() {
                problems.add("corpus.text_field", "is empty: name one, or leave the key out for the default");
            }
            TextFrom::Field(field)
        }
    }
}

/// A setting of one format would do nothing for another, and whoever wrote it believes that it does.
fn only_for(key: &str, is_set: bool, of: CorpusFormat, format: Option<CorpusFormat>, problems: &mut Problems) {
    if let Some(format) = format.filter(|format| is_set && *format != of) {
        let message = format!("is for corpus.format = \"{of}\" alone, and it is \"{format}\": remove one of them");
        problems.add(&format!("corpus.{key}"), message);
    }
}

/// Where the texts are, as seen from `base`.
fn paths(raw: Option<RawPaths>, base: &Path, problems: &mut Problems) -> Option<Vec<PathBuf>> {
    let raw =
        required("corpus.path", raw, "the file of texts (JSONL, JSON, CSV, TSV, Parquet or plain lines)", problems)?;
    let paths = match raw {
        RawPaths::One(path) => vec![path],
        // Only [`Config::new`](super::Config::new) has none: a list that was typed has something in it.
        RawPaths::Several(paths) => paths,
    };
    if paths.iter().any(|path| path.as_os_str().is_empty()) {
        problems.push(Problem::at("corpus.path", "is empty: name the file of texts"));
    }
    if paths.len() > 1 && paths.iter().any(|path| is_stdin(path)) {
        problems.push(Problem::at("corpus.path", "names standard input (\"-\") beside files: name one or the other"));
    }
    Some(paths.into_iter().map(|path| if is_stdin(&path) { path } else { resolve(base, path) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(toml: &str) -> (Option<CorpusConfig>, String) {
        let mut problems = Problems::default();
        let config = check(toml::from_str(toml).unwrap(), Path::new("conf"), &mut problems);
        (config, problems.to_string())
    }

    #[test]
    fn paths_are_one_or_several_and_stdin_stays_what_it_is() {
        let (config, _) = checked("path = \"a.csv\"");
        assert_eq!(config.unwrap().paths, [Path::new("conf/a.csv")]);
        let (config, _) = checked("path = [\"b/*.jsonl.gz\", \"/c.csv\"]");
        assert_eq!(config.unwrap().paths, [Path::new("conf/b/*.jsonl.gz"), Path::new("/c.csv")]);
        let (config, problems) = checked("path = \"-\"");
        assert!(config.unwrap().is_stdin() && problems.is_empty(), "{problems}");
    }

    #[test]
    fn a_pattern_makes_it_lines() {
        let (config, problems) = checked("path = \"app.log\"\npattern = '^(?<id>\\S+) (?<text>.*)$'");
        assert_eq!(config.unwrap().format, Some(CorpusFormat::Lines), "{problems}");
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_its_key() {
        for (toml, said) in [
            ("path = \"a\"\ntext = \"{{ a }}\"\ntext_field = \"b\"", "`corpus.text` is there beside corpus.text_field"),
            ("path = \"a\"\ntext = \"body\"", "`corpus.text` names no column"),
            ("path = \"a\"\ntext_field = \"\"", "`corpus.text_field` is empty"),
            ("path = \"a\"\nid_field = \"text\"", "`corpus.id_field` is the field of the text too"),
            ("path = \"a\"\nformat = \"parqet\"", "`corpus.format` is \"parqet\"; did you mean \"parquet\"?"),
            ("path = \"a\"\ndelimiter = \",,\"", "`corpus.delimiter` is \",,\""),
            ("path = \"a\"\nformat = \"json\"\ndelimiter = \";\"", "`corpus.delimiter` is for corpus.format = \"csv\""),
            ("path = \"a\"\nencoding = \"latin-99\"", "`corpus.encoding` is \"latin-99\", which is no encoding"),
            ("path = \"a\"\npattern = \"(\"", "`corpus.pattern` is no regular expression"),
            ("path = \"a\"\npattern = \".*\"", "`corpus.pattern` has no named group"),
            ("path = [\"-\", \"a\"]", "`corpus.path` names standard input (\"-\") beside files"),
            ("path = \"\"", "`corpus.path` is empty"),
            ("", "`corpus.path` is missing"),
        ] {
            let (_, problems) = checked(toml);
            assert!(problems.contains(said), "{said:?} is not in\n{problems}");
        }
    }
}
