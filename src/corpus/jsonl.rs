//! A corpus of one JSON object a line.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::{Corpus, Row};
use crate::base::lines::{Line, Lines};
use crate::config::CorpusConfig;
use crate::domain::sample::{Sample, SampleId, TextHash};
use crate::error::{Error, Result};

pub(super) struct Jsonl {
    lines: Lines<Box<dyn BufRead + Send>>,
    path: PathBuf,
    text_field: String,
    id_field: String,
}

impl Jsonl {
    pub(super) fn open(config: &CorpusConfig) -> Result<Self> {
        let unreadable = |source| Error::Input { what: "corpus", path: config.path.clone(), source };
        let file = File::open(&config.path).map_err(unreadable)?;
        // A folder opens but does not read: say so now.
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self::read(Box::new(BufReader::new(file)), config))
    }

    /// Reads `input`, of which `config` tells what it is.
    pub(super) fn read(input: Box<dyn BufRead + Send>, config: &CorpusConfig) -> Self {
        Self {
            lines: Lines::new(input, config.max_line_bytes),
            path: config.path.clone(),
            text_field: config.text_field.clone(),
            id_field: config.id_field.clone(),
        }
    }

    fn sample(&self, line: &str) -> Result<Sample, String> {
        let mut object: Map<String, Value> =
            serde_json::from_str(line).map_err(|error| format!("is not a JSON object: {error}"))?;
        let text = match object.remove(&self.text_field) {
            Some(Value::String(text)) if !text.trim().is_empty() => text,
            Some(Value::String(_)) => return Err(format!("the field {:?} is empty", self.text_field)),
            Some(_) => return Err(format!("the field {:?} is no string", self.text_field)),
            None => return Err(format!("has no field {:?} (set corpus.text_field to the text's)", self.text_field)),
        };
        let id = match object.remove(&self.id_field) {
            Some(Value::String(id)) if !id.is_empty() => id,
            Some(Value::Number(id)) if id.is_u64() || id.is_i64() => id.to_string(),
            None | Some(Value::Null) => TextHash::of(&text).to_hex(),
            Some(_) => return Err(format!("the field {:?} is neither a string nor a whole number", self.id_field)),
        };
        Ok(Sample { id: SampleId(id), text })
    }
}

impl Corpus for Jsonl {
    fn next_row(&mut self) -> Result<Option<Row>> {
        loop {
            let next = self.lines.next_line().map_err(|source| Error::Input {
                what: "corpus",
                path: self.path.clone(),
                source,
            })?;
            let Some((line, content)) = next else {
                return Ok(None);
            };
            let sample = match content {
                Line::Text(text) if text.trim().is_empty() => continue,
                Line::Text(text) => self.sample(&text),
                Line::NotUtf8(at) => Err(format!("is not UTF-8 (byte {at})")),
                Line::TooLong => Err("is longer than corpus.max_line_bytes".to_owned()),
            };
            return Ok(Some(Row { line, sample }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::path::Path;

    fn read(content: &[u8]) -> Vec<Row> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let mut corpus = open(file.path()).unwrap();
        std::iter::from_fn(|| corpus.next_row().unwrap()).collect()
    }

    fn open(path: &Path) -> Result<Jsonl> {
        Jsonl::open(&CorpusConfig {
            path: path.to_owned(),
            text_field: "text".into(),
            id_field: "id".into(),
            max_line_bytes: 60,
        })
    }

    #[test]
    fn a_row_is_a_sample_or_a_reason() {
        let long = format!("{{\"text\": \"{}\"}}\n", "x".repeat(80));
        let content = [
            b"{\"id\": \"a\", \"text\": \"one\"}\n{\"id\": 7, \"text\": \"two\", \"more\": [1]}\n\n{\"text\": \"three\"}\n".as_slice(),
            b"{\"id\": \"b\"}\nnot json\n{\"text\": \" \"}\n\"text\"\n{\"text\": \"\xff\"}\n{\"id\": 1.5, \"text\": \"x\"}\n",
            long.as_bytes(),
            b"{\"id\": \"last\", \"text\": \"no line feed\"}",
        ]
        .concat();
        let rows = read(&content);
        let seen: Vec<(u64, String)> = rows
            .into_iter()
            .map(|row| {
                (row.line, row.sample.map_or_else(|reason| reason, |sample| format!("{}={}", sample.id, sample.text)))
            })
            .collect();
        let hash = TextHash::of("three").to_hex();
        for ((line, seen), (expected_line, expected)) in seen.iter().zip([
            (1, "a=one"),
            (2, "7=two"),
            (4, &format!("{hash}=three")),
            (5, "has no field \"text\""),
            (6, "is not a JSON object"),
            (7, "the field \"text\" is empty"),
            (8, "is not a JSON object"),
            (9, "is not UTF-8"),
            (10, "the field \"id\" is neither"),
            (11, "is longer than"),
            (12, "last=no line feed"),
        ]) {
            assert_eq!(*line, expected_line);
            assert!(seen.starts_with(expected), "line {line}: {seen}");
        }
        assert_eq!(seen.len(), 11);
    }

    #[test]
    fn a_missing_file_and_a_folder_are_refused() {
        assert!(open(Path::new("/nowhere/pool.jsonl")).is_err());
        assert!(open(&std::env::temp_dir()).is_err());
    }
}
