//! Following the input log, from any process, while it is written: its events, and where their lines stand.
//!
//! Whole lines only: a torn last line is waited for. A damaged line is passed when something sound follows it; at the end of
//! the log it may be what a power cut left, which the next run cuts off. A log that was cut below what was read, or that
//! has another in its place, begins anew.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, ErrorKind, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::header::Header;
use super::local::shared_log::FileId;
use super::local::{INPUTS, parse_input};
use crate::domain::input::{Input, Names};
use crate::error::{Error, Result};

/// What came next in the log.
#[derive(Debug)]
pub(crate) enum FollowInput {
    /// A log begins, whose events name these labels and teachers; what came before is of another.
    Begin(Box<Header>, Names),
    /// An event, and where its line begins.
    Event(Input, u64),
    /// A line, by its number from 1, that is no event, and why. Something sound follows it.
    Damaged(u64, String),
    /// Nothing yet.
    Waiting,
}

/// A reader of an input log.
#[derive(Debug)]
pub(crate) struct InputTail {
    path: PathBuf,
    open: Option<Open>,
    /// Read, and not given yet.
    ready: VecDeque<FollowInput>,
}

#[derive(Debug)]
struct Open {
    reader: BufReader<File>,
    file: FileId,
    names: Names,
    /// Where the next unread line begins.
    at: u64,
    /// Lines before it.
    lines: u64,
    /// Damaged lines before it that nothing sound followed yet.
    held: Vec<(u64, String)>,
    /// Where the first of them begins, and the lines before it.
    sound: (u64, u64),
    /// How long the log was when it ended in damaged lines: they are not read again before that changes.
    stuck_at: Option<u64>,
}

impl InputTail {
    /// Reads the log of the run directory `dir`, which need not be there yet, from its start.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { path: dir.join(INPUTS), open: None, ready: VecDeque::new() }
    }

    /// What comes next, if there is something yet.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] where the log cannot be read, [`Error::InputLog`] and [`Error::Format`] where its first line
    /// cannot be used. The next call tries again.
    pub(crate) fn poll(&mut self) -> Result<FollowInput> {
        if let Some(ready) = self.ready.pop_front() {
            return Ok(ready);
        }
        if self.open.is_none() {
            return self.begin();
        }
        let Some(open) = &mut self.open else { return Ok(FollowInput::Waiting) };
        // Asked at the end of the log alone: a look for every line would take longer than the line.
        let about = || std::fs::metadata(&self.path).ok();
        if open.stuck_at.is_none_or(|length| about().is_none_or(|about| about.len() != length)) {
            open.stuck_at = None;
            open.read(&mut self.ready).map_err(Error::run_file("read", &self.path))?;
        }
        if let Some(ready) = self.ready.pop_front() {
            return Ok(ready);
        }
        if about().is_some_and(|about| open.is_over(&about)) {
            self.open = None;
            return self.begin();
        }
        Ok(FollowInput::Waiting)
    }

    /// The log that is being read, to read its lines by their place.
    pub(crate) fn file(&self) -> Option<io::Result<File>> {
        Some(self.open.as_ref()?.reader.get_ref().try_clone())
    }

    /// How far it has read.
    pub(crate) fn end(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.at)
    }

    /// Whether the log ends in damaged lines.
    pub(crate) fn is_stuck(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.stuck_at.is_some())
    }

    fn begin(&mut self) -> Result<FollowInput> {
        let read = || Error::run_file("read", &self.path);
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(FollowInput::Waiting);
            }
            Err(source) => return Err(read()(source)),
        };
        let id = FileId::of(&file.metadata().map_err(read())?);
        let mut reader = BufReader::with_capacity(1 << 18, file);
        let Some((header, length)) = Header::read_from(&mut reader, &self.path)? else {
            return Ok(FollowInput::Waiting);
        };
        let names = header.names()?;
        let sound = (length, 1);
        let (held, stuck_at) = (Vec::new(), None);
        self.open = Some(Open { reader, file: id, names: names.clone(), at: length, lines: 1, held, sound, stuck_at });
        Ok(FollowInput::Begin(Box::new(header), names))
    }
}

impl Open {
    /// Whether the path leads to another log by now, or this one lost what was read of it.
    fn is_over(&self, about: &Metadata) -> bool {
        FileId::of(about) != self.file || about.len() < self.sound.0
    }

    /// Reads up to the next sound line, which goes into `ready` after the damaged ones before it.
    fn read(&mut self, ready: &mut VecDeque<FollowInput>) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = self.reader.read_until(b'\n', &mut line)? as u64;
            if line.pop() != Some(b'\n') {
                return self.back(self.at + read);
            }
            let at = self.at;
            self.at += read;
            self.lines += 1;
            match parse_input(&line, &self.names) {
                Ok(input) => {
                    ready.extend(self.held.drain(..).map(|(number, why)| FollowInput::Damaged(number, why)));
                    ready.push_back(FollowInput::Event(input, at));
                    self.sound = (self.at, self.lines);
                    return Ok(());
                }
                Err(why) => self.held.push((self.lines, why)),
            }
        }
    }

    /// At the end, which is at `length`: what is torn or damaged there is read again when the log has changed.
    fn back(&mut self, length: u64) -> io::Result<()> {
        self.stuck_at = (!self.held.is_empty()).then_some(length);
        self.held.clear();
        (self.at, self.lines) = self.sound;
        self.reader.seek(SeekFrom::Start(self.at)).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::sealed::seal;
    use std::io::Write;

    fn header(run: &str) -> Header {
        Header {
            run: run.into(),
            task: "t".into(),
            labels: vec!["a".into(), "b".into()],
            teachers: vec!["one".into()],
            asking: "x".into(),
        }
    }

    fn arrive(position: u64) -> String {
        seal(
            &serde_json::json!({"event": "arrive", "position": position, "id": format!("i{position}"), "text": "t",
                "asked": [{"teacher": "one", "labels": ["a"]}]})
            .to_string(),
        )
    }

    fn append(dir: &Path, text: &str) {
        let mut file = std::fs::OpenOptions::new().append(true).open(dir.join(INPUTS)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// What comes until there is nothing more, in short.
    fn all(tail: &mut InputTail) -> Vec<String> {
        let mut found = Vec::new();
        loop {
            found.push(match tail.poll().unwrap() {
                FollowInput::Begin(header, _) => format!("begin {}", header.run),
                FollowInput::Event(Input::Arrive { position, .. }, _) => format!("arrive {position}"),
                FollowInput::Event(..) => "other".to_owned(),
                FollowInput::Damaged(line, _) => format!("damaged {line}"),
                FollowInput::Waiting => return found,
            });
        }
    }

    #[test]
    fn a_torn_line_is_waited_for_and_a_damaged_one_passed_when_something_sound_follows() {
        let dir = tempfile::tempdir().unwrap();
        let mut tail = InputTail::new(dir.path());
        assert!(all(&mut tail).is_empty());
        header("r").write(dir.path()).unwrap();
        append(dir.path(), &arrive(0));
        let second = arrive(1);
        append(dir.path(), &second[..second.len() - 9]);
        assert_eq!(all(&mut tail), ["begin r", "arrive 0"]);
        append(dir.path(), &second[second.len() - 9..]);
        append(dir.path(), "damaged\n");
        assert_eq!(all(&mut tail), ["arrive 1"]);
        assert!(tail.is_stuck());
        assert!(all(&mut tail).is_empty());
        append(dir.path(), &arrive(3));
        assert_eq!(all(&mut tail), ["damaged 4", "arrive 3"]);
        assert!(!tail.is_stuck());
    }

    #[test]
    fn damage_that_is_cut_off_was_never_passed() {
        let dir = tempfile::tempdir().unwrap();
        header("r").write(dir.path()).unwrap();
        append(dir.path(), &arrive(0));
        let length = std::fs::metadata(dir.path().join(INPUTS)).unwrap().len();
        append(dir.path(), "damaged\n");
        let mut tail = InputTail::new(dir.path());
        assert_eq!(all(&mut tail), ["begin r", "arrive 0"]);
        let file = std::fs::OpenOptions::new().write(true).open(dir.path().join(INPUTS)).unwrap();
        file.set_len(length).unwrap();
        append(dir.path(), &arrive(1));
        assert_eq!(all(&mut tail), ["arrive 1"]);
    }

    #[test]
    fn another_log_begins_anew_and_so_does_one_that_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        header("r").write(dir.path()).unwrap();
        let begun = std::fs::metadata(dir.path().join(INPUTS)).unwrap().len();
        append(dir.path(), &arrive(0));
        let mut tail = InputTail::new(dir.path());
        assert_eq!(all(&mut tail), ["begin r", "arrive 0"]);
        // Gone: nothing is said, what was read stays.
        std::fs::rename(dir.path().join(INPUTS), dir.path().join("away")).unwrap();
        assert!(all(&mut tail).is_empty());
        header("s").write(dir.path()).unwrap();
        append(dir.path(), &arrive(0));
        assert_eq!(all(&mut tail), ["begin s", "arrive 0"]);
        let file = std::fs::OpenOptions::new().write(true).open(dir.path().join(INPUTS)).unwrap();
        file.set_len(begun).unwrap();
        assert_eq!(all(&mut tail), ["begin s"]);
    }
}
