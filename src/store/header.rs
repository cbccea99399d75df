//! The first line of the input log: whose log it is. Without it nothing that follows can be read, for it has the
//! names that events use.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use super::local::{INPUTS, damaged_input};
use super::run_dir::Identity;
use crate::base::durable::replace_file;
use crate::base::sealed;
use crate::domain::input::{InputLine, Names};
use crate::domain::label::{Label, LabelSet};
use crate::domain::sample::to_hex;
use crate::error::{Error, Result};

/// The input log's format that this program writes.
const FORMAT: u32 = 1;
/// A first line is no longer: 65,535 labels of a kilobyte.
const MOST_BYTES: u64 = 128 << 20;

/// Whose input log it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// Random name of the run directory, 128 bits in hexadecimal: tells a log from another with the same settings.
    pub(crate) run: String,
    pub(crate) task: String,
    /// In the order of the configuration, which decides their numbers.
    pub(crate) labels: Vec<String>,
    pub(crate) teachers: Vec<String>,
    /// Hash of all that answers depend on.
    pub(crate) asking: String,
}

impl Header {
    /// A new run directory's.
    pub(crate) fn new(identity: &Identity) -> Self {
        Self {
            run: to_hex(rand::random()),
            task: identity.task.clone(),
            labels: identity.labels(),
            teachers: identity.names.teachers.clone(),
            asking: identity.asking.clone(),
        }
    }

    /// Reads that of the log in `dir`; `None` where there is no log, or an empty one.
    ///
    /// # Errors
    ///
    /// [`Error::InputLog`] where the line is damaged, [`Error::Format`] where it is of another format,
    /// [`Error::RunFile`] where it cannot be read.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(INPUTS);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(source) => return Err(Error::run_file("read", &path)(source)),
        };
        Ok(Self::read_from(&mut BufReader::new(file), &path)?.map(|(header, _)| header))
    }

    /// Reads that of the log at `path` from its start, with the length of the line; `None` where the log is empty.
    ///
    /// # Errors
    ///
    /// Those of [`Header::read`].
    pub(super) fn read_from(reader: &mut impl BufRead, path: &Path) -> Result<Option<(Self, u64)>> {
        let mut line = Vec::new();
        let length = reader.take(MOST_BYTES).read_until(b'\n', &mut line).map_err(Error::run_file("read", path))?;
        if line.is_empty() {
            return Ok(None);
        }
        // The first line is line 1, an event would be line 2.
        let wrong = |why: &str| damaged_input(path, u64::MAX, why);
        let line = line.strip_suffix(b"\n").ok_or_else(|| wrong("is not complete"))?;
        sealed::check(line).map_err(|_| wrong("does not match its checksum"))?;
        match serde_json::from_slice(line).map_err(|error| wrong(&error.to_string()))? {
            InputLine::Begin { format: FORMAT, run, task, labels, teachers, asking, .. } => {
                Ok(Some((Self { run, task, labels, teachers, asking }, length as u64)))
            }
            InputLine::Begin { format, .. } => {
                Err(Error::Format { path: path.to_owned(), found: format, known: FORMAT })
            }
            _ => Err(wrong("does not begin a log")),
        }
    }

    /// The line, with its line feed.
    pub(crate) fn line(&self) -> String {
        let line = InputLine::Begin {
            format: FORMAT,
            run: self.run.clone(),
            task: self.task.clone(),
            labels: self.labels.clone(),
            teachers: self.teachers.clone(),
            asking: self.asking.clone(),
            crc: String::new(),
        };
        // Strings and numbers: serialising them cannot fail.
        sealed::seal(&serde_json::to_string(&line).unwrap_or_default())
    }

    /// Begins a log in `dir`, on disk when this returns, in one step: a log is never without its first line. What is
    /// there is replaced.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        replace_file(&dir.join(INPUTS), self.line().as_bytes())
    }

    /// The names in the log.
    pub(crate) fn names(&self) -> Result<Names> {
        Ok(Names { labels: label_set(&self.labels)?, teachers: self.teachers.clone() })
    }
}

/// Labels without descriptions and aliases, which logs do not have.
pub(crate) fn label_set(labels: &[String]) -> Result<LabelSet> {
    let label = |name: &String| Label { name: name.clone(), description: None, aliases: Vec::new() };
    LabelSet::new(labels.iter().map(label).collect())
        .map_err(|error| Error::Manifest { path: INPUTS.into(), message: error.to_string() })
}
