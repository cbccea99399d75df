//! The `recorded` teacher: a JSONL file of answers, looked up by sample id.
//!
//! The file is held in memory (labels as numbers). The `answers.jsonl` of any run is such a file.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use futures::future::{self, BoxFuture};
use serde::Deserialize;

use super::{Answer, AnswerKey, AskError, Teacher};
use crate::config::RecordedConfig;
use crate::corpus::{Line, Lines};
use crate::error::{Error, Result};
use crate::label::{LabelId, LabelSet};
use crate::sample::{Sample, TextHash, short_hash};

/// A longer line is no answer.
const MAX_LINE_BYTES: usize = 16 << 20;

#[derive(Debug, Deserialize)]
struct RecordedLine {
    id: String,
    labels: Vec<String>,
    #[serde(default)]
    teacher: Option<String>,
    #[serde(default)]
    text_hash: Option<String>,
    /// Why there are no labels; kept so that a replayed failure still says so.
    #[serde(default)]
    problem: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct RecordedAnswer {
    labels: Vec<LabelId>,
    problem: Option<String>,
}

/// Recorded answers of one teacher.
#[derive(Debug)]
pub(super) struct Recorded {
    name: String,
    file: String,
    by_id: HashMap<String, RecordedAnswer>,
    /// For another corpus with the same texts under other ids.
    by_text: HashMap<TextHash, RecordedAnswer>,
}

impl Recorded {
    pub(super) fn open(config: &RecordedConfig, labels: &LabelSet) -> Result<Self> {
        let unreadable = |source| Error::Input { what: "recording", path: config.path.clone(), source };
        let file = File::open(&config.path).map_err(unreadable)?;
        let mut recorded = Self {
            name: config.name.clone(),
            file: config.path.display().to_string(),
            by_id: HashMap::new(),
            by_text: HashMap::new(),
        };
        let mut lines = Lines::new(BufReader::new(file), MAX_LINE_BYTES);
        let mut read: Vec<(Option<String>, String, Option<TextHash>, RecordedAnswer)> = Vec::new();
        let mut teachers = BTreeSet::new();
        while let Some((number, line)) = lines.next_line().map_err(unreadable)? {
            let wrong = |message: String| Error::InputLine { path: config.path.clone(), line: number, message };
            let Line::Text(line) = line else {
                return Err(wrong("is no line of UTF-8 text: mend or remove it".to_owned()));
            };
            if line.trim().is_empty() {
                continue;
            }
            let line = parse(&line).map_err(wrong)?;
            let answer =
                RecordedAnswer { labels: resolve(&line.labels, labels, &config.path, number)?, problem: line.problem };
            teachers.extend(line.teacher.clone());
            read.push((line.teacher, line.id, line.text_hash.and_then(|hex| TextHash::from_hex(&hex)), answer));
        }
        let chosen = choose(config, &teachers)?;
        for (teacher, id, text_hash, answer) in read {
            if chosen.is_none() || teacher.is_none() || teacher == chosen {
                if let Some(hash) = text_hash {
                    recorded.by_text.insert(hash, answer.clone());
                }
                recorded.by_id.insert(id, answer);
            }
        }
        Ok(recorded)
    }

    fn find(&self, sample: &Sample) -> Option<&RecordedAnswer> {
        self.by_id.get(&sample.id.0).or_else(|| {
            // Hashing a text is dear; plain recordings have no hashes to compare with.
            if self.by_text.is_empty() { None } else { self.by_text.get(&TextHash::of(&sample.text)) }
        })
    }
}

fn parse(line: &str) -> Result<RecordedLine, String> {
    if !crate::store::journal_line_is_whole(line) {
        return Err("does not match its checksum: it was changed or damaged; remove the line".to_owned());
    }
    serde_json::from_str(line).map_err(|error| {
        format!("is no answer ({error}); expected {{\"id\": \"..\", \"labels\": [\"..\"]}}: mend or remove the line")
    })
}

fn resolve(names: &[String], labels: &LabelSet, path: &Path, line: u64) -> Result<Vec<LabelId>> {
    names
        .iter()
        .map(|name| {
            labels.resolve(name).ok_or_else(|| {
                let near = labels.nearest(name).map(|near| format!(" (like {near:?})")).unwrap_or_default();
                Error::InputLine {
                    path: path.to_owned(),
                    line,
                    message: format!(
                        "the label {name:?} is none of the task's{near}: add it to task.labels, as a label or an alias"
                    ),
                }
            })
        })
        .collect()
}

/// Which teacher's lines to use: all when the file names at most one.
fn choose(config: &RecordedConfig, teachers: &BTreeSet<String>) -> Result<Option<String>> {
    if teachers.len() <= 1 {
        return Ok(None);
    }
    if teachers.contains(&config.name) {
        return Ok(Some(config.name.clone()));
    }
    let listed: Vec<&str> = teachers.iter().map(String::as_str).collect();
    Err(Error::TeacherConfig {
        teacher: config.name.clone(),
        message: format!(
            "{} holds answers of several teachers ({}): set `name` to one of them, and add a [[teachers]] entry for each you want",
            config.path.display(),
            listed.join(", ")
        ),
    })
}

impl Teacher for Recorded {
    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> String {
        // Not the file's content: a recording may grow with the corpus.
        format!("recorded:{}", self.name)
    }

    fn key(&self, sample: &Sample) -> AnswerKey {
        let mut parts: Vec<Vec<u8>> = vec![
            b"recorded".to_vec(),
            self.name.clone().into(),
            sample.id.0.clone().into(),
            sample.text.clone().into(),
        ];
        if let Some(answer) = self.find(sample) {
            parts.extend(answer.labels.iter().map(|label| label.0.to_le_bytes().to_vec()));
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        AnswerKey(short_hash(&parts))
    }

    fn attempts(&self) -> u32 {
        1
    }

    fn ask<'a>(&'a self, sample: &'a Sample) -> BoxFuture<'a, Result<Answer, AskError>> {
        let answer = match self.find(sample) {
            Some(found) if found.labels.is_empty() => Answer {
                problem: Some(found.problem.clone().unwrap_or_else(|| "the recorded answer names no label".to_owned())),
                ..Answer::default()
            },
            Some(found) => Answer { labels: found.labels.clone(), ..Answer::default() },
            None => Answer { problem: Some(format!("{} has no answer for this id", self.file)), ..Answer::default() },
        };
        Box::pin(future::ready(Ok(answer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Label;
    use crate::sample::SampleId;
    use std::io::Write;

    fn open(content: &str, name: &str) -> Result<Recorded, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let label = |name: &str| Label { name: name.into(), description: None, aliases: vec![] };
        let labels = LabelSet::new(vec![label("card_arrival"), label("age_limit")]).unwrap();
        let config = RecordedConfig { name: name.into(), path: file.path().into() };
        Recorded::open(&config, &labels).map_err(|error| error.to_string())
    }

    fn ask(recorded: &Recorded, id: &str, text: &str) -> Answer {
        let sample = Sample { id: SampleId(id.into()), text: text.into() };
        futures::executor::block_on(recorded.ask(&sample)).unwrap()
    }

    #[test]
    fn answers_are_found_by_id_then_by_text() {
        let hash = TextHash::of("how old?").to_hex();
        let recorded = open(
            &format!(
                "{{\"id\":\"1\",\"labels\":[\"age limit\",\"card_arrival\"],\"text_hash\":\"{hash}\"}}\n\n{{\"id\":\"2\",\"labels\":[]}}\n"
            ),
            "t",
        )
        .unwrap();
        assert_eq!(ask(&recorded, "1", "x").labels, [LabelId(1), LabelId(0)]);
        assert_eq!(ask(&recorded, "other", "how old?").labels, [LabelId(1), LabelId(0)]);
        assert!(ask(&recorded, "2", "x").problem.unwrap().contains("names no label"));
        assert!(ask(&recorded, "3", "x").problem.unwrap().contains("has no answer"));
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_line() {
        for (content, expected) in [
            ("{\"id\":\"1\",\"labels\":[]}\n{\"id\"", ":2: is no answer"),
            (
                "{\"id\":\"1\",\"labels\":[\"card_arival\"]}",
                ":1: the label \"card_arival\" is none of the task's (like \"card_arrival\")",
            ),
            ("{\"id\":\"1\",\"labels\":[],\"crc\":\"00000000\"}", ":1: does not match its checksum"),
            (
                "{\"id\":\"1\",\"labels\":[],\"teacher\":\"a\"}\n{\"id\":\"1\",\"labels\":[],\"teacher\":\"b\"}",
                "several teachers (a, b): set `name`",
            ),
        ] {
            let error = open(content, "t").unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_name_chooses_among_several_teachers() {
        let content = "{\"id\":\"1\",\"labels\":[\"age_limit\"],\"teacher\":\"a\"}\n{\"id\":\"1\",\"labels\":[\"card_arrival\"],\"teacher\":\"b\"}";
        assert_eq!(ask(&open(content, "a").unwrap(), "1", "x").labels, [LabelId(1)]);
        assert_eq!(ask(&open(content, "b").unwrap(), "1", "x").labels, [LabelId(0)]);
    }
}
