//! Following the label log, from any process, while it is written.
//!
//! Reads whole lines only. The log may be cut back and written again by a restarted run; it is then written with the
//! same bytes, so a reader that waits at its place misses and repeats nothing. Only a new log (moved into place for
//! other settings) starts from 0 again.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::local::LABELS;
use super::local::shared_log::FileId;
use crate::base::changes::Changes;
use crate::domain::event::LabelEvent;
use crate::error::{Error, Result};

/// What came next in a log.
#[derive(Debug, PartialEq)]
pub enum Follow {
    /// An event, and its line without the line feed.
    Event(Box<LabelEvent>, String),
    /// Nothing yet.
    Waiting,
    /// Another log is in the old one's place; its events follow.
    NewLog,
}

/// A reader of a label log, from any process, also while it is written.
///
/// ```
/// use candist::{Follow, Tail};
///
/// # let folder = tempfile::tempdir()?;
/// # let dir = folder.path();
/// # std::fs::write(dir.join("labels.jsonl"), concat!(
/// #     r#"{"offset":0,"id":"a","label":"good","confidence":0.9,"candidates":["good"],"by":"posterior","#,
/// #     r#""revision":0,"student":0,"final":false}"#, "\n{\"offset\":1"))?;
/// let mut tail = Tail::new(dir);
/// loop {
///     match tail.poll()? {
///         Follow::Event(event, _) => println!("{}: {} ({:.2})", event.id, event.label, event.confidence),
///         // Settings changed: labels are written anew, from offset 0.
///         Follow::NewLog => println!("a new log"),
///         // To follow: tail.wait(Duration::from_millis(100)), and poll again.
///         Follow::Waiting => break,
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    open: Option<Open>,
    /// A line that has no line feed yet.
    partial: Vec<u8>,
    /// The first event that is given.
    from: u64,
    /// Bytes of the log that are read, at most.
    within: u64,
    /// From when it was waited for first.
    changes: Option<Changes>,
}

/// A log that is open stays readable when another takes its name: its events are read to the end first.
#[derive(Debug)]
struct Open {
    reader: BufReader<File>,
    /// Tells whether the path still leads to this log.
    file: FileId,
    /// Where the next unread line begins.
    at: u64,
    /// Lines before it.
    lines: u64,
    /// Where the line that was read last begins.
    last: u64,
}

impl Tail {
    /// Reads the log of the run directory `dir`, which need not be there yet, from its start.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { path: dir.join(LABELS), open: None, partial: Vec::new(), from: 0, within: u64::MAX, changes: None }
    }

    /// Gives the events from offset `from` on; those before it are not even looked at.
    #[must_use]
    pub fn from(self, from: u64) -> Self {
        Self { from, ..self }
    }

    /// Reads the first `bytes` of the log and no further: after them it waits.
    #[must_use]
    pub(crate) fn within(self, bytes: u64) -> Self {
        Self { within: bytes, ..self }
    }

    /// The next event, if there is one yet.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] if the log cannot be read, [`Error::LabelLine`] if one of its lines is no event; the next call goes on
    /// after that line.
    pub fn poll(&mut self) -> Result<Follow> {
        let read = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Labels { path, source }
        };
        if self.open.is_none() && !self.open_log().map_err(read(&self.path))? {
            return Ok(Follow::Waiting);
        }
        let Some(open) = &mut self.open else { return Ok(Follow::Waiting) };
        while open.reader.read_until(b'\n', &mut self.partial).map_err(read(&self.path))? > 0
            && self.partial.last() == Some(&b'\n')
        {
            let (at, number) = (open.at, open.lines);
            if at.saturating_add(self.partial.len() as u64) > self.within {
                break;
            }
            open.last = at;
            open.at += self.partial.len() as u64;
            open.lines += 1;
            // An event's offset is the number of its line.
            if number >= self.from {
                let line = std::mem::take(&mut self.partial);
                return self.parse(line, at);
            }
            self.partial.clear();
        }
        // At the end. Bytes of an unfinished line may be cut away by a restarted run: read them again next time.
        self.partial.clear();
        let at = open.at;
        open.reader.seek(SeekFrom::Start(at)).map_err(read(&self.path))?;
        match std::fs::metadata(&self.path) {
            Ok(metadata) if FileId::of(&metadata) != open.file => {
                self.open = None;
                Ok(Follow::NewLog)
            }
            _ => Ok(Follow::Waiting),
        }
    }

    /// Waits until there may be more, and `at_most` so long: not every file system tells what happens to its files.
    pub fn wait(&mut self, at_most: Duration) {
        self.changes.get_or_insert_with(|| Changes::of(&self.path)).wait(at_most);
    }

    /// Where the log is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Goes back to the start of the log that is open; another one in its place is not looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] where that fails.
    pub(crate) fn rewind(&mut self) -> Result<()> {
        self.partial.clear();
        if let Some(open) = &mut self.open {
            (open.at, open.lines) = (0, 0);
            open.reader.rewind().map_err(|source| Error::Labels { path: self.path.clone(), source })?;
        }
        Ok(())
    }

    /// Where in the log the line of the event that was given last begins.
    #[cfg(feature = "page")]
    pub(crate) fn last(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.last)
    }

    /// The log that is being read, to read its lines by their place.
    #[cfg(feature = "page")]
    pub(crate) fn file(&self) -> Option<io::Result<File>> {
        Some(self.open.as_ref()?.reader.get_ref().try_clone())
    }

    /// The run directory.
    #[cfg(feature = "page")]
    pub(crate) fn folder(&self) -> PathBuf {
        self.path.parent().unwrap_or(&self.path).to_owned()
    }

    /// Whether the log was cut below what was read of it.
    #[cfg(feature = "page")]
    pub(crate) fn is_cut(&self) -> bool {
        let length = std::fs::metadata(&self.path).map_or(u64::MAX, |log| log.len());
        self.open.as_ref().is_some_and(|open| length < open.at)
    }

    /// False where there is no log yet.
    fn open_log(&mut self) -> io::Result<bool> {
        match File::open(&self.path) {
            Ok(file) => {
                let id = FileId::of(&file.metadata()?);
                self.open = Some(Open { reader: BufReader::new(file), file: id, at: 0, lines: 0, last: 0 });
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn parse(&self, mut line: Vec<u8>, at: u64) -> Result<Follow> {
        line.pop();
        let wrong = |message: String| Error::LabelLine { path: self.path.clone(), at, message };
        let line = String::from_utf8(line).map_err(|error| wrong(error.to_string()))?;
        let event = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        Ok(Follow::Event(Box::new(event), line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::By;
    use std::io::Write;

    fn line(offset: u64) -> String {
        LabelEvent {
            offset,
            id: format!("s{offset}"),
            label: "a".into(),
            confidence: 0.5,
            margin: None,
            others: None,
            candidates: vec!["a".into()],
            by: By::Posterior,
            revision: 0,
            student: 0,
            is_final: false,
        }
        .to_line()
    }

    fn drain(tail: &mut Tail) -> Vec<u64> {
        std::iter::from_fn(|| match tail.poll().unwrap() {
            Follow::Event(event, _) => Some(event.offset),
            Follow::NewLog => Some(u64::MAX),
            Follow::Waiting => None,
        })
        .collect()
    }

    #[test]
    fn whole_lines_come_once_and_in_order_whatever_happens_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels.jsonl");
        let mut tail = Tail::new(dir.path());
        assert_eq!(drain(&mut tail), Vec::<u64>::new());
        let mut file = File::create(&path).unwrap();
        let torn = line(1);
        write!(file, "{}{}", line(0), &torn[..10]).unwrap();
        assert_eq!(drain(&mut tail), [0]);
        // A restarted run cuts the log back, even behind the reader, and writes the same again.
        file.set_len(0).unwrap();
        file.rewind().unwrap();
        assert_eq!(drain(&mut tail), Vec::<u64>::new());
        write!(file, "{}{}{}", line(0), line(1), line(2)).unwrap();
        assert_eq!(drain(&mut tail), [1, 2]);
        // Other settings: another log.
        std::fs::write(dir.path().join("new"), line(0)).unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        assert_eq!(drain(&mut tail), [u64::MAX, 0]);
    }

    #[test]
    fn what_is_beyond_the_bytes_that_are_to_be_read_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let log = line(0) + &line(1) + &line(2);
        std::fs::write(dir.path().join(LABELS), &log).unwrap();
        for (bytes, offsets) in [(log.len() - 1, vec![0, 1]), (log.len(), vec![0, 1, 2]), (0, vec![])] {
            let mut tail = Tail::new(dir.path()).within(bytes as u64);
            assert_eq!(drain(&mut tail), offsets);
            tail.rewind().unwrap();
            assert_eq!(drain(&mut tail), offsets);
        }
    }

    #[test]
    fn what_is_no_event_is_an_error_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("labels.jsonl"), format!("{}{{}}\n", line(0))).unwrap();
        let mut tail = Tail::new(dir.path());
        tail.poll().unwrap();
        assert!(tail.poll().unwrap_err().to_string().contains(&format!("at byte {}", line(0).len())));
    }
}
