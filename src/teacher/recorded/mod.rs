//! The `recorded` teacher: a JSONL file of answers, looked up by sample id.
//!
//! In memory there is where its lines stand (`index`), not what they say: a line is read again when it is asked for (`answers`).
//! The `answers.jsonl` of any run is such a file.
//!
//! All of it is read and checked when the teacher is set up, so a line that cannot be used ends a run before it has
//! begun. Asking then fails only where the file is changed meanwhile; a sample that the recording does not know has that for
//! an answer, of kind `missing`.

mod answers;
mod index;
mod line;

use std::fs::File;
use std::io::{self, BufReader, Seek};
use std::path::Path;

use futures::future::{self, BoxFuture};

use self::answers::Answers;
use self::index::{Place, Reading};
use self::line::RecordedAnswer;
use super::{AskError, Asked, Teacher};
use crate::base::lines::{Lines, Raw};
use crate::base::scratch::scratch_file;
use crate::base::sorting::unsorted;
use crate::config::RecordedConfig;
use crate::domain::answer::{Answer, AnswerKey, Problem, ProblemKind};
use crate::domain::label::LabelSet;
use crate::domain::sample::{Sample, TextHash, short_hash};
use crate::error::{Error, Result};

pub(crate) use line::RecordedLine;

/// A longer line is no answer.
const MAX_LINE_BYTES: usize = 16 << 20;

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
        let file = open(&config.path).map_err(unreadable)?;
        let mut lines = Lines::new(BufReader::new(&file), MAX_LINE_BYTES);
        let mut reading = Reading::default();
        while let Some((number, start, line)) = lines.next_placed().map_err(unreadable)? {
            let wrong = |message: String| Error::InputLine { path: config.path.clone(), line: number, message };
            // Not UTF-8, or longer than any answer.
            let bytes = if let Raw::Bytes(bytes) = line { bytes } else { &[0xff] };
            let Ok(line) = std::str::from_utf8(bytes) else {
                return Err(wrong("is no line of UTF-8 text: mend or remove it".to_owned()));
            };
            if line.trim().is_empty() {
                continue;
            }
            let line = RecordedLine::read(line).map_err(wrong)?;
            let text = line.text_hash.as_deref().and_then(TextHash::from_hex);
            let beyond = || wrong("begins beyond the first tebibyte: make several recordings of it".to_owned());
            let place = Place::new(start, bytes).ok_or_else(beyond)?;
            reading.take(line.teacher.as_deref(), &line.id, text, place).map_err(unsorted)?;
            line.answer(labels).map_err(wrong)?;
        }
        // Only now all teachers of the file are known.
        let chosen = choose(config, &reading.teachers())?;
        let index = reading.index(chosen).map_err(unsorted)?;
        let answers = Answers { file, index, labels: labels.clone() };
        Ok(Self { name: config.name.clone(), file: config.path.display().to_string(), answers })
    }

    /// The answer to `sample`, by its id or else by its text.
    ///
    /// # Errors
    ///
    /// That it cannot be read any more, for people.
    fn find(&self, sample: &Sample) -> Result<Option<RecordedAnswer>, String> {
        let found = self.answers.of(&sample.id.0, &sample.text);
        found.map_err(|error| format!("cannot read the recording {}: {error}", self.file))
    }
}

/// Opens a file that can be read in any order: a pipe is read to its end first.
fn open(path: &Path) -> io::Result<File> {
    let mut file = File::open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    let mut copy = scratch_file()?;
    io::copy(&mut file, &mut copy)?;
    copy.rewind()?;
    Ok(copy)
}

/// Which teacher's lines to use: all when the file names at most one.
fn choose<'a>(config: &'a RecordedConfig, teachers: &[&str]) -> Result<Option<&'a str>> {
    if teachers.len() <= 1 {
        return Ok(None);
    }
    if teachers.contains(&config.name.as_str()) {
        return Ok(Some(&config.name));
    }
    let mut listed = teachers.to_vec();
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
        match self.find(sample) {
            Ok(Some(answer)) => parts.extend(answer.labels.iter().map(|label| label.0.to_le_bytes().to_vec())),
            Ok(None) => {}
            // No stored answer stands in for one that cannot be read: asking says what is wrong.
            Err(error) => parts.push(error.into()),
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
            Ok(Some(found)) => Answer {
                // Beside labels a problem (some names were off the list) was told when the answer was new.
                problem: found.problem.filter(|_| found.labels.is_empty()),
                labels: found.labels,
                weights: found.weights,
                ..Answer::default()
            },
            Ok(None) => {
                let problem = Some(missing(format!("{} has no answer for this id", self.file)));
                Answer { problem, ..Answer::default() }
            }
            Err(error) => return Box::pin(future::ready(Err(AskError::Stop(error)))),
        };
        Box::pin(future::ready(Ok(Asked::free(answer))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::{Label, LabelId};
    use crate::domain::sample::SampleId;
    use std::io::Write;

    fn open(content: &str, name: &str) -> Result<Recorded, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        opened(file.path(), name)
    }

    fn opened(path: &Path, name: &str) -> Result<Recorded, String> {
        let label = |name: &str| Label { name: name.into(), description: None, aliases: vec![] };
        let labels = LabelSet::new(vec![label("card_arrival"), label("age_limit")]).unwrap();
        let config = RecordedConfig { name: name.into(), path: path.into() };
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

    #[test]
    fn of_two_ids_with_one_text_the_later_answers_for_it() {
        let hash = TextHash::of("how old?").to_hex();
        let line = |id: &str, hash: &str, label: &str| {
            format!("{{\"id\":\"{id}\",\"text_hash\":\"{hash}\",\"labels\":[\"{label}\"]}}\n")
        };
        let lines = [
            line("1", &hash, "age_limit"),
            line("2", &hash, "card_arrival"),
            line("1", &hash, "age_limit"),
            // A text is known by the first line of its id.
            line("3", "", "age_limit"),
            line("3", &hash, "age_limit"),
        ];
        let recorded = open(&lines.concat(), "t").unwrap();
        assert_eq!(ask(&recorded, "other", "how old?").labels, [LabelId(0)]);
        assert_eq!(ask(&recorded, "1", "how old?").labels, [LabelId(1)]);
        assert!(ask(&recorded, "other", "how young?").problem.unwrap().message.contains("has no answer"));
    }

    #[test]
    fn lines_are_found_however_they_end_and_whatever_their_length() {
        let long = "x".repeat(3000);
        let content = format!(
            "\u{feff}{{\"id\":\"1\",\"labels\":[\"age_limit\"]}}\r\n{{\"id\":\"2\",\"raw\":\"{long}\",\"labels\":[\"card_arrival\"]}}\n\n{{\"id\":\"3\",\"labels\":[\"age_limit\"]}}"
        );
        let recorded = open(&content, "t").unwrap();
        let labels = ["1", "2", "3"].map(|id| ask(&recorded, id, "x").labels);
        assert_eq!(labels, [[LabelId(1)], [LabelId(0)], [LabelId(1)]]);
    }

    #[test]
    fn a_file_that_is_changed_in_use_ends_the_run_and_is_not_taken_for_one_without_the_answer() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let content = "{\"id\":\"1\",\"labels\":[\"age_limit\"]}\n";
        file.write_all(content.as_bytes()).unwrap();
        let recorded = opened(file.path(), "t").unwrap();
        // It may grow.
        file.write_all(b"{\"id\":\"2\",\"labels\":[]}\n").unwrap();
        let sample = |id: &str| Sample::new(id, "x");
        assert_eq!(ask(&recorded, "1", "x").labels, [LabelId(1)]);
        let keys = ["1", "2"].map(|id| recorded.key(&sample(id), 0));
        std::fs::write(file.path(), content.replace("age_limit", "age limit")).unwrap();
        let asked = futures::executor::block_on(recorded.ask(&sample("1"), 0)).unwrap_err();
        assert!(matches!(&asked, AskError::Stop(reason) if reason.contains("it was changed")), "{asked:?}");
        let none = opened(file.path(), "t").unwrap();
        std::fs::write(file.path(), "").unwrap();
        assert_eq!(recorded.key(&sample("2"), 0), keys[1]);
        assert!(![keys[0], none.key(&sample("2"), 0)].contains(&recorded.key(&sample("1"), 0)));
    }

    #[test]
    fn a_recording_may_come_through_a_pipe() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let writer = pipe.clone();
        let written = std::thread::spawn(move || std::fs::write(writer, "{\"id\":\"1\",\"labels\":[\"age_limit\"]}"));
        let recorded = opened(&pipe, "t").unwrap();
        written.join().unwrap().unwrap();
        assert_eq!(ask(&recorded, "1", "x").labels, [LabelId(1)]);
    }
}
