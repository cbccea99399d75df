//! A corpus of one JSON object a line.
//!
//! Nothing of a line but text and id is kept. Blank lines are no rows; every other line is one, good or bad, and its
//! number is that in the file, so that a person finds it with an editor.

use std::io::BufRead;
use std::path::PathBuf;

use super::{Corpus, Fields, Record, Records, Row, Settings, file_name, sample_of};
use crate::base::lines::{Line, Lines};
use crate::config::CorpusConfig;
use crate::domain::sample::Sample;
use crate::error::{Error, Result};

/// Fields of a row that are named where the one of the text is missing.
const NAMED_FIELDS: usize = 12;

/// See the module. Holds one line at a time, which is no longer than `max_line_bytes`.
pub(super) struct Jsonl {
    lines: Lines<Box<dyn BufRead + Send>>,
    /// For messages; the input may be a pipe.
    path: PathBuf,
    config: CorpusConfig,
    /// What these settings are called where they were typed.
    settings: Settings,
}

impl Jsonl {
    /// Reads `input`, of which `config` tells what it is.
    pub(super) fn read(input: Box<dyn BufRead + Send>, config: &CorpusConfig, settings: Settings) -> Self {
        Self {
            lines: Lines::new(input, config.max_line_bytes),
            path: config.path.clone(),
            config: config.clone(),
            settings,
        }
    }

    /// The next line that is a row.
    fn next_fields(&mut self) -> Result<Option<(u64, Result<Fields, String>)>> {
        loop {
            // A file that cannot be read any further ends the run; a line that cannot be used does not.
            let next = self.lines.next_line().map_err(|source| Error::Input {
                what: "corpus",
                path: self.path.clone(),
                source,
            })?;
            let Some((line, content)) = next else { return Ok(None) };
            let fields = match content {
                Line::Text(text) if text.trim().is_empty() => continue,
                Line::Text(text) => serde_json::from_str(&text).map_err(|error| not_an_object(&error)),
                Line::NotUtf8(at) => Err(format!("is not UTF-8 (byte {at})")),
                Line::TooLong => Err(self.too_long()),
            };
            return Ok(Some((line, fields)));
        }
    }

    /// The sample in a row, or why there is none. The text is as it is, spaces included: it is hashed into keys, and answers
    /// are stored under those.
    fn sample(&self, fields: &Fields) -> Result<Sample, String> {
        match fields.get(&self.config.text_field) {
            Some(_) => sample_of(&self.config, fields),
            None => Err(self.without_text(fields)),
        }
    }

    /// Mostly the field has another name: so those that are there are named, and where to say which it is.
    fn without_text(&self, fields: &Fields) -> String {
        let mut names: Vec<&str> = fields.iter().map(|(name, _)| name).take(NAMED_FIELDS + 1).collect();
        if names.len() > NAMED_FIELDS {
            names.truncate(NAMED_FIELDS);
            names.push("...");
        }
        let has = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        format!(
            "has no field {:?}, it has {has}: set {} to the field of the text",
            self.config.text_field, self.settings.text_field
        )
    }

    /// The line itself was passed over without being held.
    fn too_long(&self) -> String {
        let setting = self.settings.max_line_bytes.map(|name| format!(" ({name})")).unwrap_or_default();
        format!("is longer than {} bytes{setting}", self.config.max_line_bytes)
    }
}

/// serde_json counts lines too, of which there is one here: its "line 1" beside the corpus' own line would confuse.
fn not_an_object(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let what = message.split(" at line ").next().unwrap_or_default();
    format!("is not a JSON object: {what} (column {})", error.column())
}

impl Corpus for Jsonl {
    fn name(&self) -> String {
        file_name(&self.path)
    }

    fn next_row(&mut self) -> Result<Option<Row>> {
        let Some((line, fields)) = self.next_fields()? else { return Ok(None) };
        Ok(Some(Row { line, sample: fields.and_then(|fields| self.sample(&fields)) }))
    }
}

impl Records for Jsonl {
    fn next_record(&mut self) -> Result<Option<Record>> {
        Ok(self.next_fields()?.map(|(place, fields)| Record { place, fields }))
    }

    fn file(&self) -> String {
        file_name(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample::TextHash;

    fn read(content: &[u8]) -> Vec<Row> {
        let config = CorpusConfig {
            path: "pool.jsonl".into(),
            text_field: "text".into(),
            id_field: "id".into(),
            max_line_bytes: 60,
        };
        let mut corpus =
            Jsonl::read(Box::new(std::io::Cursor::new(content.to_vec())), &config, Settings::CONFIGURATION);
        std::iter::from_fn(|| corpus.next_row().unwrap()).collect()
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
            (5, "has no field \"text\", it has id: set corpus.text_field"),
            (6, "is not a JSON object: expected ident (column 2)"),
            (7, "the field \"text\" is empty"),
            (8, "is not a JSON object"),
            (9, "is not UTF-8"),
            (10, "the field \"id\" is neither"),
            (11, "is longer than 60 bytes (corpus.max_line_bytes)"),
            (12, "last=no line feed"),
        ]) {
            assert_eq!(*line, expected_line);
            assert!(seen.starts_with(expected), "line {line}: {seen}");
        }
        assert_eq!(seen.len(), 11);
    }
}
