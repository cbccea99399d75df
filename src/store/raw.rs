//! The logs of a run directory, line by line as they stand, for readers that take no more of a line than they need.
//!
//! Labels and inputs are opened at once, and read from what was opened: a run that begins other logs meanwhile changes nothing of what
//! is read here. As with every view, an unfinished last line is left out.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use super::answer_line;
use super::local::{ANSWERS, INPUTS, LABELS, damaged_input};
use super::view::RunView;
use crate::base::disk::{Disk, Machine, reading};
use crate::base::sealed;
use crate::domain::answer::AnswerRecord;
use crate::domain::label::LabelSet;
use crate::error::{Error, Result};

/// Bytes that are read at once.
const BUFFER: usize = 1 << 18;
/// And for one line, which most are no longer than.
const LINE: usize = 1024;
/// How often the logs are opened again where others take their place just then.
const TRIES: u32 = 8;

/// See the module.
#[derive(Debug)]
pub(crate) struct RawLogs {
    /// `None` where there is no label log.
    labels: Option<Log>,
    inputs: Log,
}

/// A log, and where it was found.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: File,
}

/// Where a line stands, its line feed not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The line's number, from 0.
    pub(crate) number: u64,
    /// Of its first byte.
    pub(crate) offset: u64,
}

/// Why whoever is handed lines ends their reading.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The line cannot be used; as the rest of a sentence that it begins.
    Damaged(String),
    /// Something else failed.
    Failed(Error),
}

impl From<String> for Ended {
    fn from(why: String) -> Self {
        Self::Damaged(why)
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl RawLogs {
    /// Opens the logs that `view` looks at.
    ///
    /// # Errors
    ///
    /// [`Error::Unconverted`] where there is no input log yet, [`Error::RunFile`] where one cannot be opened.
    pub(crate) fn open(view: &RunView) -> Result<Self> {
        view.needs_inputs()?;
        let (labels_path, inputs_path) = (view.dir().join(LABELS), view.dir().join(INPUTS));
        let mut tries = 0;
        loop {
            let labels = Log::find(&labels_path)?;
            let inputs = Log::open(&inputs_path)?;
            tries += 1;
            // A run moves its labels away before its inputs: labels that are still in place belong to these inputs.
            if tries == TRIES || labels.as_ref().is_none_or(Log::is_in_place) {
                return Ok(Self { labels, inputs });
            }
        }
    }

    /// Hands every line of the label log to `each`, with its place.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] if it cannot be read, [`Error::LabelLine`] where `each` says why a line is no event.
    pub(crate) fn labels(&self, mut each: impl FnMut(Place, &[u8]) -> Result<(), String>) -> Result<()> {
        let Some(log) = &self.labels else { return Ok(()) };
        let unreadable = |source| Error::Labels { path: log.path.clone(), source };
        log.lines(u64::MAX, unreadable, |place, line| {
            each(place, line).map_err(|message| Error::LabelLine { path: log.path.clone(), at: place.offset, message })
        })?;
        Ok(())
    }

    /// What `parse` makes of the line of the label log that begins at `offset`; `None` where it is not the one that was there.
    ///
    /// # Errors
    ///
    /// Those of [`RawLogs::labels`], and [`Error::Unfit`] where the log was changed since.
    pub(crate) fn label_at<T>(&self, offset: u64, parse: impl FnOnce(&[u8]) -> Result<Option<T>, String>) -> Result<T> {
        let Some(log) = &self.labels else { return Err(Error::gone("label log")) };
        let line = log.line_at(offset, |source| Error::Labels { path: log.path.clone(), source })?;
        let parsed = parse(&line).map_err(|message| Error::LabelLine { path: log.path.clone(), at: offset, message });
        parsed?.ok_or_else(|| changed(&log.path))
    }

    /// Hands every event of the input log to `each`, as its line, not checked against its checksum: to find where
    /// something stands. Gives the bytes of the log that were read.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] if it cannot be read, and those of `each`.
    pub(crate) fn unchecked_inputs(&self, mut each: impl FnMut(Place, &[u8])) -> Result<u64> {
        self.inputs.lines(u64::MAX, Error::run_file("read", &self.inputs.path), |place, line| {
            if place.number > 0 {
                each(place, line);
            }
            Ok(())
        })
    }

    /// Hands the events of the input log's first `bytes` to `each`, as their lines, each of which matches its checksum.
    ///
    /// # Errors
    ///
    /// [`Error::InputLog`] at the first damaged line, and where `each` says why a line cannot be used; [`Error::RunFile`]
    /// if the log cannot be read.
    pub(crate) fn inputs(&self, bytes: u64, mut each: impl FnMut(&[u8]) -> Result<(), Ended>) -> Result<()> {
        self.inputs.lines(bytes, Error::run_file("read", &self.inputs.path), |place, line| {
            if place.number == 0 {
                return Ok(());
            }
            let damaged = |why: &str| damaged_input(&self.inputs.path, place.number - 1, why);
            sealed::check(line).map_err(|_| damaged("does not match its checksum"))?;
            each(line).map_err(|ended| match ended {
                Ended::Damaged(why) => damaged(&why),
                Ended::Failed(error) => error,
            })
        })?;
        Ok(())
    }

    /// The line of the input log at `place`, which matches its checksum.
    ///
    /// # Errors
    ///
    /// Those of [`RawLogs::inputs`].
    pub(crate) fn input_at(&self, place: Place) -> Result<Vec<u8>> {
        let line = self.inputs.line_at(place.offset, Error::run_file("read", &self.inputs.path))?;
        let damaged = || damaged_input(&self.inputs.path, place.number - 1, "does not match its checksum");
        sealed::check(&line).map_err(|_| damaged())?;
        Ok(line)
    }
}

/// Of a log that does not have what it had before.
pub(crate) fn changed(path: &Path) -> Error {
    let message = "was changed while it was read, by a run that began meanwhile: do this again".to_owned();
    Error::Unfit { path: path.to_owned(), message }
}

/// The answers of a run directory, every try of each, by where they stand.
#[derive(Debug)]
pub(crate) struct RawAnswers {
    log: Log,
    labels: LabelSet,
}

impl RawAnswers {
    /// Opens those of the run that `view` looks at; `None` where there are none.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] where they cannot be opened.
    pub(crate) fn open(view: &RunView) -> Result<Option<Self>> {
        let path = view.dir().join(ANSWERS);
        let labels = view.labels().clone();
        path.exists().then(|| Ok(Self { log: Log::open(&path)?, labels })).transpose()
    }

    /// Hands every answer to `each`, with the offset of its line. Lines that cannot be read are none.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] if the log cannot be read, and those of `each`.
    pub(crate) fn each(&self, mut each: impl FnMut(u64, AnswerRecord) -> Result<()>) -> Result<()> {
        self.log.lines(u64::MAX, Error::run_file("read", &self.log.path), |place, line| {
            self.parse(line).map_or(Ok(()), |answer| each(place.offset, answer))
        })?;
        Ok(())
    }

    /// The answer that stands at `offset`.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] if it cannot be read, also where it is there no more.
    pub(crate) fn at(&self, offset: u64) -> Result<AnswerRecord> {
        let line = self.log.line_at(offset, Error::run_file("read", &self.log.path))?;
        self.parse(&line).ok_or_else(|| changed(&self.log.path))
    }

    fn parse(&self, line: &[u8]) -> Option<AnswerRecord> {
        sealed::check(line).ok().and_then(|()| answer_line::parse(line, &self.labels))
    }
}

impl Log {
    fn open(path: &Path) -> Result<Self> {
        let file = Machine.open(path).map_err(Error::run_file("read", path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// `None` where there is none.
    fn find(path: &Path) -> Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self { path: path.to_owned(), file })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Labels { path: path.to_owned(), source }),
        }
    }

    fn is_in_place(&self) -> bool {
        Machine.leads_to(&self.path, &self.file).unwrap_or(false)
    }

    /// The line that begins at `offset`, without its line feed.
    fn line_at(&self, offset: u64, unreadable: impl FnOnce(std::io::Error) -> Error) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut input = BufReader::with_capacity(LINE, reading(&self.file, offset));
        input.read_until(b'\n', &mut line).map_err(unreadable)?;
        // A run that goes on after a kill cuts what it writes anew.
        if line.pop() == Some(b'\n') { Ok(line) } else { Err(changed(&self.path)) }
    }

    /// Hands the whole lines before the offset `end` to `each`; gives the offset behind the last of them. Memory: the longest
    /// line.
    fn lines(
        &self,
        end: u64,
        unreadable: impl FnOnce(std::io::Error) -> Error,
        mut each: impl FnMut(Place, &[u8]) -> Result<()>,
    ) -> Result<u64> {
        let mut input = BufReader::with_capacity(BUFFER, reading(&self.file, 0));
        let (mut offset, mut number, mut line) = (0, 0, Vec::new());
        while offset < end {
            line.clear();
            let len = match input.read_until(b'\n', &mut line) {
                Ok(len) => len,
                Err(source) => return Err(unreadable(source)),
            };
            // An unfinished last line is being written, or was cut by a crash.
            if line.pop() != Some(b'\n') {
                break;
            }
            each(Place { number, offset }, &line)?;
            offset += len as u64;
            number += 1;
        }
        Ok(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RunDir;

    /// A run directory with a first line, and these lines after it.
    fn run(inputs: &[&str], torn: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let begin =
            r#"{"event":"begin","format":1,"run":"0","task":"t","labels":["a","b"],"teachers":["x"],"asking":"0"}"#;
        let lines: String = std::iter::once(&begin).chain(inputs).map(|line| sealed::seal(line)).collect();
        std::fs::write(dir.path().join(INPUTS), lines + torn).unwrap();
        dir
    }

    #[test]
    fn lines_are_read_as_far_as_they_were_seen_and_found_again() {
        let dir = run(&[r#"{"event":"end","samples":0}"#, r#"{"event":"end","samples":1}"#], "{\"event\":\"end\"");
        let logs = RawLogs::open(&RunDir::view(dir.path()).unwrap()).unwrap();
        let (mut places, mut seen) = (Vec::new(), Vec::new());
        let bytes = logs.unchecked_inputs(|place, _| places.push(place)).unwrap();
        assert_eq!(places.iter().map(|place| place.number).collect::<Vec<_>>(), [1, 2]);
        let more = sealed::seal(r#"{"event":"end","samples":2}"#);
        let log = dir.path().join(INPUTS);
        let whole = std::fs::read(&log).unwrap();
        std::fs::write(&log, [&whole[..usize::try_from(bytes).unwrap()], more.as_bytes()].concat()).unwrap();
        logs.inputs(bytes, |line| {
            seen.push(line.to_vec());
            Ok(())
        })
        .unwrap();
        assert_eq!(seen.len(), 2);
        assert_eq!(logs.input_at(places[1]).unwrap(), seen[1]);
        // A run that goes on cuts it.
        std::fs::write(&log, &whole[..usize::try_from(places[1].offset).unwrap() + 5]).unwrap();
        assert!(logs.input_at(places[1]).unwrap_err().to_string().contains("changed while it was read"));
        // Without a label log there is nothing to read.
        logs.labels(|_, _| Err("is one".into())).unwrap();
    }

    #[test]
    fn a_damaged_line_is_an_error_with_its_place() {
        let dir = run(&[r#"{"event":"end","samples":0}"#], "{\"event\":\"end\"}\n");
        std::fs::write(dir.path().join(LABELS), "one\ntwo\n").unwrap();
        let logs = RawLogs::open(&RunDir::view(dir.path()).unwrap()).unwrap();
        let error = logs.inputs(u64::MAX, |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("inputs.jsonl:3: this line of the input log does not match its checksum"), "{error}");
        let error = logs.inputs(u64::MAX, |_| Err("is odd".to_owned().into())).unwrap_err().to_string();
        assert!(error.contains("inputs.jsonl:2: this line of the input log is odd"), "{error}");
        let second = |_, line: &[u8]| if line == b"two" { Err("is wrong".to_owned()) } else { Ok(()) };
        let error = logs.labels(second).unwrap_err().to_string();
        assert!(error.contains("at byte 4"), "{error}");
    }
}
