//! A run directory seen by someone who does not own it, from the logs alone: no lock is taken, nothing is written or mended,
//! and a run beside it is not disturbed.
//!
//! Each method reads its file from the beginning, most of them line by line: what a view says is as new as the call,
//! and two calls may see a log of different length. An unfinished last line is left out, as one that is being
//! written.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use memchr::memmem::Finder;

use super::header::{Header, label_set};
use super::local::{
    ANSWERS, Extent, FAILURES, INPUTS, LABELS, LabelTally, Tally, changed_label_lines, damaged_input, parse_input,
    scan, tally,
};
use super::manifest::{Found, Manifest};
use super::run_dir::same_task;
use super::{Failure, FailureKind, Totals, answer_line};
use crate::domain::answer::AnswerRecord;
use crate::domain::event::LabelEvent;
use crate::domain::input::{Input, Names, Outcome};
use crate::domain::label::LabelSet;
use crate::domain::sample::{Position, SampleId};
use crate::error::{Error, Result};

const UNLIKE_CHECKSUM: &str = "does not match its checksum";

/// A run directory, looked at by [`RunDir::view`](crate::RunDir::view). What it gives is as the logs are when it is asked.
#[derive(Debug)]
pub struct RunView {
    dir: PathBuf,
    task: String,
    names: Names,
    /// Whether there is an input log: an older run directory has none before it is taken up.
    has_inputs: bool,
    /// Hash of all that answers depend on.
    asking: Option<String>,
    /// The run's random name.
    run: String,
}

/// What is in the logs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ViewCounts {
    /// Tries of answers.
    pub answers: u64,
    /// Sums over them.
    pub totals: Totals,
    /// Lines of the logs that cannot be read; the next run mends them or says what to do.
    pub damaged: u64,
    /// Samples that arrived.
    pub samples: u64,
    /// Of these, samples that no teacher named a label for.
    pub failed: u64,
    /// Whether the corpus' end is the last that happened.
    pub ended: bool,
}

impl RunView {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let no_run = || Error::NoRun { path: dir.to_owned(), missing: "inputs.jsonl" };
        if let Some(header) = Header::read(dir)? {
            let names = header.names()?;
            let (asking, run) = (Some(header.asking), header.run);
            return Ok(Self { dir: dir.to_owned(), task: header.task, names, has_inputs: true, asking, run });
        }
        let Found::Old(old) = Manifest::read(dir)? else { return Err(no_run()) };
        let names = Names { labels: label_set(&old.labels)?, teachers: Vec::new() };
        Ok(Self { dir: dir.to_owned(), task: old.task, names, has_inputs: false, asking: None, run: String::new() })
    }

    /// The run directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The task's name.
    #[must_use]
    pub fn task(&self) -> &str {
        &self.task
    }

    /// Its labels, without descriptions and aliases.
    #[must_use]
    pub fn labels(&self) -> &LabelSet {
        &self.names.labels
    }

    /// The teachers of the run, in the order of its configuration.
    pub(crate) fn teachers(&self) -> &[String] {
        &self.names.teachers
    }

    /// How its labels differ from `labels`, where they were changed since; an error if it is another task's.
    pub(crate) fn same_task(&self, task: &str, labels: &LabelSet) -> Result<Option<String>> {
        let names: Vec<String> = self.names.labels.iter().map(|label| label.name.clone()).collect();
        same_task(&self.dir, (&self.task, &names), (task, labels))
    }

    /// An error where there is no input log yet.
    pub(super) fn needs_inputs(&self) -> Result<()> {
        if self.has_inputs { Ok(()) } else { Err(Error::Unconverted { path: self.dir.clone() }) }
    }

    /// The random name that tells its input log from another with the same settings.
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// Hash of all that answers depend on.
    pub(crate) fn asking(&self) -> Option<&str> {
        self.asking.as_deref()
    }

    /// Whether a process runs in the directory now, as the kernel has it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        super::lock::RunLock::is_held(&self.dir)
    }

    /// What holds in the label log, by the word that a run left when it closed the logs; `None` where it left none, or they
    /// changed since, and the log is to be read.
    pub(crate) fn label_tally(&self) -> Option<LabelTally> {
        tally(&self.dir).map(|tally| tally.labels)
    }

    /// How many label events there are, and whether the last one is final. Where the last run's word on that does not
    /// hold any more, line feeds are counted, and only the last line is parsed.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] if the log cannot be read; there need be none.
    pub fn label_events(&self) -> Result<(u64, bool)> {
        if let Some(labels) = self.label_tally() {
            return Ok((labels.events, labels.is_final));
        }
        let path = self.dir.join(LABELS);
        let mut file = match std::fs::File::open(&path) {
            Ok(file) => std::io::BufReader::with_capacity(1 << 18, file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((0, false)),
            Err(source) => return Err(Error::run_file("read", &path)(source)),
        };
        let (mut events, mut last, mut line) = (0, Vec::new(), Vec::new());
        while file.read_until(b'\n', &mut line).map_err(Error::run_file("read", &path))? > 0 {
            if line.ends_with(b"\n") {
                events += 1;
                std::mem::swap(&mut last, &mut line);
            }
            line.clear();
        }
        let is_final = serde_json::from_slice::<LabelEvent>(&last).is_ok_and(|event| event.is_final);
        Ok((events, is_final))
    }

    /// Whether there is a label log.
    #[must_use]
    pub fn has_labels(&self) -> bool {
        std::fs::metadata(self.dir.join(LABELS)).is_ok_and(|file| file.len() > 0)
    }

    /// Hands every event of the input log to `each`, in order.
    ///
    /// # Errors
    ///
    /// [`Error::InputLog`] at the first damaged line, [`Error::Unconverted`] where there is no input log yet, and
    /// those of `each`.
    pub(crate) fn inputs(&self, each: impl FnMut(Input) -> Result<()>) -> Result<()> {
        self.inputs_within(u64::MAX, each)
    }

    /// The same of the events in the first `bytes` of the log.
    pub(crate) fn inputs_within(&self, bytes: u64, each: impl FnMut(Input) -> Result<()>) -> Result<()> {
        self.inputs_where(bytes, |_| true, each)
    }

    /// How many texts had arrived when the corpus ended the last time, in the log's first `bytes`; 0 where it never did.
    ///
    /// # Errors
    ///
    /// As [`RunView::inputs`].
    pub(crate) fn ended_within(&self, bytes: u64) -> Result<Position> {
        let mut ended = 0;
        let says_end = |line: &[u8]| line.starts_with(br#"{"event":"end""#);
        self.inputs_where(bytes, says_end, |input| {
            if let Input::End { samples } = input {
                ended = samples;
            }
            Ok(())
        })?;
        Ok(ended)
    }

    /// The same of the events whose lines `wanted` takes, which costs less than parsing them. All lines are checked.
    fn inputs_where(
        &self,
        bytes: u64,
        wanted: impl Fn(&[u8]) -> bool,
        mut each: impl FnMut(Input) -> Result<()>,
    ) -> Result<()> {
        if !self.has_inputs {
            return Err(Error::Unconverted { path: self.dir.clone() });
        }
        let path = self.dir.join(INPUTS);
        scan(&path, Extent::default(), &|| false, |scanned| {
            if scanned.number == 0 || scanned.end() > bytes {
                return Ok(());
            }
            let number = scanned.number - 1;
            let line = scanned.line.ok_or_else(|| damaged_input(&path, number, UNLIKE_CHECKSUM))?;
            if !wanted(line) {
                return Ok(());
            }
            each(parse_input(line, &self.names).map_err(|why| damaged_input(&path, number, &why))?)
        })
    }

    /// Hands every answer to `each`, every try of it, in the order in which they came. Gives the number of lines that
    /// cannot be read.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] if the log cannot be read, and those of `each`, which end it.
    pub fn answers(&self, mut each: impl FnMut(AnswerRecord) -> Result<()>) -> Result<u64> {
        let path = self.dir.join(ANSWERS);
        let mut damaged = 0;
        if !path.exists() {
            return Ok(0);
        }
        scan(&path, Extent::default(), &|| false, |scanned| {
            match scanned.line.and_then(|line| answer_line::parse(line, &self.names.labels)) {
                Some(record) => each(record),
                None => {
                    damaged += 1;
                    Ok(())
                }
            }
        })?;
        Ok(damaged)
    }

    /// Hands every line of the input log after the first to `each`, by its number from 1, with its event or why it is none.
    pub(crate) fn input_lines(&self, mut each: impl FnMut(u64, Result<Input, String>)) -> Result<()> {
        if !self.has_inputs {
            return Err(Error::Unconverted { path: self.dir.clone() });
        }
        scan(&self.dir.join(INPUTS), Extent::default(), &|| false, |scanned| {
            if scanned.number > 0 {
                let line = scanned.line.ok_or_else(|| UNLIKE_CHECKSUM.to_owned());
                each(scanned.number + 1, line.and_then(|line| parse_input(line, &self.names)));
            }
            Ok(())
        })
    }

    /// Hands every line of the answers to `each`, by its number from 1, with its answer or why it is none.
    pub(crate) fn answer_lines(&self, mut each: impl FnMut(u64, Result<AnswerRecord, String>)) -> Result<()> {
        let path = self.dir.join(ANSWERS);
        if !path.exists() {
            return Ok(());
        }
        scan(&path, Extent::default(), &|| false, |scanned| {
            let line = scanned.line.ok_or_else(|| UNLIKE_CHECKSUM.to_owned());
            let parse =
                |line| answer_line::parse(line, &self.names.labels).ok_or("is no answer of this task".to_owned());
            each(scanned.number + 1, line.and_then(parse));
            Ok(())
        })
    }

    /// The lines of the label log, from 1, that are not as they were recorded when they were written; `None` where the records
    /// are lost.
    pub(crate) fn changed_labels(&self) -> Result<Option<Vec<u64>>> {
        Ok(changed_label_lines(&self.dir)?.map(|numbers| numbers.into_iter().map(|number| number + 1).collect()))
    }

    /// Counts what is in the logs. All of them are read for it, but where they are as a run left them when it closed them: it
    /// left its sums with them.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] if a log cannot be read, [`Error::InputLog`] if the input log is damaged, [`Error::Unconverted`] for a
    /// run directory of an older version.
    pub fn counts(&self) -> Result<ViewCounts> {
        if let Some(tally) = tally(&self.dir) {
            let Tally { answers, totals, samples, failed, ended, .. } = tally;
            return Ok(ViewCounts { answers, totals, damaged: 0, samples, failed, ended });
        }
        let mut counts = ViewCounts::default();
        let mut failed: BTreeMap<Position, ()> = BTreeMap::new();
        counts.damaged = self.answers(|record| {
            counts.answers += 1;
            counts.totals.add(&record);
            Ok(())
        })?;
        self.inputs(|input| {
            counts.ended = matches!(input, Input::End { .. });
            counts.samples += u64::from(matches!(input, Input::Arrive { .. }));
            if let Some((position, outcome)) = outcome_of(&input) {
                note(&mut failed, position, outcome, ());
            }
            Ok(())
        })?;
        counts.failed = failed.len() as u64;
        Ok(counts)
    }

    /// Samples that no teacher named a label for, and what the latest run noted: bad rows and unanswered texts.
    ///
    /// # Errors
    ///
    /// Those of [`RunView::counts`].
    pub fn failures(&self) -> Result<Vec<Failure>> {
        let mut failed: BTreeMap<Position, Failure> = BTreeMap::new();
        let mut ids: BTreeMap<Position, SampleId> = BTreeMap::new();
        if tally(&self.dir).is_some_and(|tally| tally.failed == 0) {
            return self.noted();
        }
        let tells = TellsOfFailures::new();
        let of_failures = |line: &[u8]| tells.looks_so(line);
        self.inputs_where(u64::MAX, of_failures, |input| {
            if let Input::Arrive { position, sample, outcome } = &input
                && outcome.names_nothing()
            {
                ids.insert(*position, sample.id.clone());
            }
            if let Some((position, outcome)) = outcome_of(&input) {
                let id = ids.get(&position).map(|id| id.0.clone()).unwrap_or_default();
                let reason = outcome.failure.clone().unwrap_or_default();
                note(&mut failed, position, outcome, Failure { kind: FailureKind::Sample, id, reason });
            }
            Ok(())
        })?;
        Ok(self.noted()?.into_iter().chain(failed.into_values()).collect())
    }

    /// What the latest run noted: bad rows and unanswered texts.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] if the notes cannot be read.
    pub fn noted(&self) -> Result<Vec<Failure>> {
        let path = self.dir.join(FAILURES);
        let file = match std::fs::File::open(&path) {
            Ok(file) => std::io::BufReader::new(file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Error::run_file("read", &path)(source)),
        };
        let lines = file.split(b'\n').collect::<std::io::Result<Vec<_>>>().map_err(Error::run_file("read", &path))?;
        // What a live run is just writing, or a crash tore, is left out.
        Ok(lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }
}

/// Tells lines of the input log that may be of a failure, without parsing them: most are not.
struct TellsOfFailures([Finder<'static>; 3]);

impl TellsOfFailures {
    /// A teacher that named nothing, nobody who was asked, and new answers, which may end a failure. As the log's writer writes
    /// them; in a text, quotes have a backslash before them.
    fn new() -> Self {
        Self([r#""labels":[]"#, r#""asked":[]"#, r#""event":"answers""#].map(Finder::new))
    }

    fn looks_so(&self, line: &[u8]) -> bool {
        self.0.iter().any(|finder| finder.find(line).is_some())
    }
}

fn outcome_of(input: &Input) -> Option<(Position, &Outcome)> {
    match input {
        Input::Arrive { position, outcome, .. } | Input::Answers { position, outcome } => Some((*position, outcome)),
        Input::Correct { .. } | Input::End { .. } => None,
    }
}

/// Keeps `value` for a sample as long as nobody has named a label for it. Memory grows with the failures, not with
/// the samples.
fn note<T>(failed: &mut BTreeMap<Position, T>, position: Position, outcome: &Outcome, value: T) {
    if outcome.names_nothing() {
        failed.insert(position, value);
    } else {
        failed.remove(&position);
    }
}
