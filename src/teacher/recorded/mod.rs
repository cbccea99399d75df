//! The `recorded` teacher: a JSONL file of answers, looked up by sample id.
//!
//! Of the file, what it says is held in memory (`answers`), not its lines. The `answers.jsonl` of any run is such a file.
//!
//! All of it is read and checked when the teacher is set up, so a line that cannot be used ends a run before it has
//! begun, and asking cannot fail: a sample that the recording does not know has that for an answer, of kind `missing`.

mod answers;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use futures::future::{self, BoxFuture};
use schemars::JsonSchema;
use serde::Deserialize;

use self::answers::{About, Answers, Reading, RecordedAnswer};
use super::{AskError, Asked, Teacher};
use crate::base::lines::{Line, Lines};
use crate::base::sealed;
use crate::config::RecordedConfig;
use crate::domain::answer::{Answer, AnswerKey, Problem, ProblemKind};
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::sample::{Sample, TextHash, short_hash};
use crate::error::{Error, Result};

/// A longer line is no answer.
const MAX_LINE_BYTES: usize = 16 << 20;

/// A line of a recording: what a teacher said of one text. It needs `id` and `labels`; what else is in it is passed over.
/// A line of a run's answers.jsonl is one.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct RecordedLine {
    /// The id of the text in the corpus.
    id: String,
    /// The candidates, likeliest first, by name or alias of the task. Empty for an answer that named none.
    labels: Vec<String>,
    /// Who answered. A line without it belongs to every teacher that reads the file.
    #[serde(default)]
    teacher: Option<String>,
    /// Hash of the text, in hexadecimal: finds the text under another id. One that is no hash counts as absent.
    #[serde(default)]
    text_hash: Option<String>,
    /// One weight a label, 0 to 1; another number of them than of labels is passed over.
    #[serde(default)]
    weights: Vec<f32>,
    /// Tells the draws of one text apart, and a second try from a second draw.
    #[serde(default)]
    key: Option<String>,
    /// Which try this was, from 1; the last one under a key counts.
    #[serde(default)]
    attempt: u32,
    /// Why there are no labels; kept so that a replayed failure still says so.
    #[serde(default)]
    problem: Option<String>,
    /// What is wrong with the answer, in a word.
    #[serde(default)]
    problem_kind: Option<ProblemKind>,
}

/// Recorded answers of one teacher.
#[derive(Debug)]
pub(super) struct Recorded {
    name: String,
    file: String,
    answers: Answers,
}

impl Recorded {
    /// Reads the recording. Every line is to be of use: one that is damaged, names an unknown label or is no answer is
    /// an error with its number, since a recording with a silent hole would give other labels than the one that was
    /// meant.
    pub(super) fn open(config: &RecordedConfig, labels: &LabelSet) -> Result<Self> {
        let unreadable = |source| Error::Input { what: "recording", path: config.path.clone(), source };
        let file = File::open(&config.path).map_err(unreadable)?;
        let mut lines = Lines::new(BufReader::new(file), MAX_LINE_BYTES);
        let mut reading = Reading::default();
        while let Some((number, line)) = lines.next_line().map_err(unreadable)? {
            let wrong = |message: String| Error::InputLine { path: config.path.clone(), line: number, message };
            // Not UTF-8, or longer than any answer.
            let Line::Text(line) = line else {
                return Err(wrong("is no line of UTF-8 text: mend or remove it".to_owned()));
            };
            if line.trim().is_empty() {
                continue;
            }
            let line = parse(&line).map_err(wrong)?;
            let about = About {
                id: &line.id,
                text: line.text_hash.as_deref().and_then(TextHash::from_hex),
                key: line.key.as_deref(),
                attempt: line.attempt,
                teacher: line.teacher.as_deref(),
            };
            let problem = |message| Problem { kind: line.problem_kind.unwrap_or(ProblemKind::Empty), message };
            let answer = RecordedAnswer {
                labels: resolve(&line.labels, labels, &config.path, number)?.into(),
                // One weight a label, or they say nothing.
                weights: if line.weights.len() == line.labels.len() { line.weights.into() } else { Box::default() },
                problem: line.problem.map(problem).map(Box::new),
            };
            reading.take(&about, answer);
        }
        // Only now all teachers of the file are known.
        let chosen = choose(config, reading.teachers())?;
        let answers = reading.answers(chosen);
        Ok(Self { name: config.name.clone(), file: config.path.display().to_string(), answers })
    }

    /// The answer to `sample`, by its id or else by its text.
    fn find(&self, sample: &Sample) -> Option<&RecordedAnswer> {
        self.answers.of(&sample.id.0, &sample.text)
    }
}

/// Reads a line. One with a checksum must match it; one without was written by a person, and is taken as it is.
fn parse(line: &str) -> Result<RecordedLine, String> {
    if sealed::check(line.as_bytes()) == Err(sealed::Broken::Changed) {
        return Err("does not match its checksum: it was changed or damaged; remove the line".to_owned());
    }
    serde_json::from_str(line).map_err(|error| {
        format!("is no answer ({error}); expected {{\"id\": \"..\", \"labels\": [\"..\"]}}: mend or remove the line")
    })
}

/// The labels that a line names. One that the task does not have is an error, with the one most like it: leaving it out
/// would make another answer of what was paid for.
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
fn choose<'a>(config: &'a RecordedConfig, teachers: &[String]) -> Result<Option<&'a str>> {
    if teachers.len() <= 1 {
        return Ok(None);
    }
    if teachers.contains(&config.name) {
        return Ok(Some(&config.name));
    }
    let mut listed: Vec<&str> = teachers.iter().map(String::as_str).collect();
    listed.sort_unstable();
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

    /// Its name alone tells recordings apart.
    fn identity(&self) -> String {
        // Not the file's content: a recording may grow with the corpus.
        format!("recorded:{}", self.name)
    }

    fn key(&self, sample: &Sample, _draw: u32) -> AnswerKey {
        // The labels are part of it: where a recording now names others for a text, that is another answer, and takes
        // the place of the one that a run has stored. Weights are not: they come along with labels that changed.
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

    /// The file says the same each time.
    fn attempts(&self) -> u32 {
        1
    }

    fn ask<'a>(&'a self, sample: &'a Sample, _draw: u32) -> BoxFuture<'a, Result<Asked, AskError>> {
        let missing = |message: String| Problem { kind: ProblemKind::Missing, message };
        let answer = match self.find(sample) {
            Some(found) => Answer {
                labels: found.labels.to_vec(),
                weights: found.weights.to_vec(),
                // Beside labels a problem (some names were off the list) was told when the answer was new.
                problem: found.problem.as_deref().filter(|_| found.labels.is_empty()).cloned(),
                ..Answer::default()
            },
            None => {
                let problem = Some(missing(format!("{} has no answer for this id", self.file)));
                Answer { problem, ..Answer::default() }
            }
        };
        Box::pin(future::ready(Ok(Asked::free(answer))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::Label;
    use crate::domain::sample::SampleId;
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
        futures::executor::block_on(recorded.ask(&sample, 0)).unwrap().answer
    }

    #[test]
    fn answers_are_found_by_id_then_by_text() {
        let hash = TextHash::of("how old?").to_hex();
        let recorded = open(
            &format!(
                "{{\"id\":\"1\",\"labels\":[\"age limit\",\"card_arrival\"],\"text_hash\":\"{hash}\"}}\n\n{{\"id\":\"2\",\"labels\":[],\"problem\":\"said nothing\"}}\n"
            ),
            "t",
        )
        .unwrap();
        assert_eq!(ask(&recorded, "1", "x").labels, [LabelId(1), LabelId(0)]);
        assert_eq!(ask(&recorded, "other", "how old?").labels, [LabelId(1), LabelId(0)]);
        assert!(ask(&recorded, "2", "x").problem.unwrap().message.contains("said nothing"));
        assert!(ask(&recorded, "3", "x").problem.unwrap().message.contains("has no answer"));
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

    #[test]
    fn tries_replace_each_other_and_draws_vote() {
        let line = |key: &str, attempt: u32, labels: &str| {
            format!("{{\"id\":\"1\",\"key\":\"{key}\",\"attempt\":{attempt},\"labels\":[{labels}]}}\n")
        };
        let tries = [line("k", 1, ""), line("k", 2, "\"age_limit\"")].concat();
        assert_eq!(ask(&open(&tries, "t").unwrap(), "1", "x").labels, [LabelId(1)]);
        let draws = [
            line("k0", 1, "\"age_limit\""),
            line("k1", 1, "\"card_arrival\""),
            line("k2", 1, "\"card_arrival\", \"age_limit\""),
        ];
        assert_eq!(ask(&open(&draws.concat(), "t").unwrap(), "1", "x").labels, [LabelId(0), LabelId(1)]);
    }
}
