//! `candist check --deep`: reads every line of the logs of a run directory and says which are not as they were written. Changes
//! nothing, and works beside a run.
//!
//! A run checks what it opens where it has reason to; this checks all, at the speed of reading. Besides the checksums
//! it looks at what the lines say together: positions and offsets without a gap, revisions in order, no label of a text
//! that never arrived. Memory grows with the number of texts, some 40 bytes each.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use crate::domain::event::LabelEvent;
use crate::domain::input::Input;
use crate::domain::label::LabelSet;
use crate::domain::sample::short_hash;
use crate::error::{Error, Result};
use crate::store::{AUDITS, Audits, CORRECTIONS, Corrections, RunDir, RunView};

const LABELS: &str = "labels.jsonl";

/// What was found in one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileReport {
    /// Its name.
    pub name: &'static str,
    /// Its lines.
    pub lines: u64,
    /// What is in it, for a person.
    pub holds: String,
    /// What is wrong: line from 1, and why, as the end of a sentence that the line begins.
    pub problems: Vec<(u64, String)>,
}

impl FileReport {
    fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    fn wrong(&mut self, line: u64, why: impl Into<String>) {
        self.problems.push((line, why.into()));
    }

    /// A last line without line feed; a run that is alive may be writing it, so then it is let be.
    fn look_at_end(&mut self, view: &RunView) -> Result<()> {
        if !view.is_live() && !ends_whole(&view.dir().join(self.name))? {
            self.wrong(self.lines + 1, "is not complete: a crash cut it off, or its line feed is lost");
        }
        Ok(())
    }
}

/// Ids by hash, with the revision that their next label has.
type Revisions = HashMap<[u8; 16], u32>;

/// Reads all of the run directory `dir`.
/// One report a log: answers, inputs, labels, and corrections and audits where there are any. Damage is no error but what is reported.
///
/// # Errors
///
/// [`Error::NoRun`] where there is no run; [`Error::RunFile`] for a file that cannot be read.
pub fn check_deep(dir: &Path) -> Result<Vec<FileReport>> {
    let view = RunDir::view(dir)?;
    // A live run goes on writing: a label that is there by now is of a text that is in the input log.
    let written = std::fs::metadata(dir.join(LABELS)).map_or(0, |file| file.len());
    let (inputs, revisions) = inputs(&view)?;
    let corrections = Corrections::are_in(dir).then(|| corrections(&view)).transpose()?;
    let audits = Audits::are_in(dir).then(|| audits(&view)).transpose()?;
    let labels = labels(&view, written, revisions)?;
    Ok([answers(&view)?, inputs, labels].into_iter().chain(corrections).chain(audits).collect())
}

/// Every correction is to match its checksum and to be of this task.
fn corrections(view: &RunView) -> Result<FileReport> {
    let mut report = FileReport::new(CORRECTIONS);
    let mut read = Corrections::of(view.dir(), view.labels().clone());
    read.read()?;
    report.lines = read.lines();
    for line in read.damaged() {
        report.wrong(*line, "does not match its checksum, or names no label of the task");
    }
    report.holds = format!("corrections of {} texts", read.iter().count());
    report.look_at_end(view)?;
    Ok(report)
}

/// Every line of the audits is to match its checksum, and to follow from those before it.
fn audits(view: &RunView) -> Result<FileReport> {
    let mut report = FileReport::new(AUDITS);
    let mut read = Audits::of(view.dir(), view.labels().clone());
    read.read()?;
    report.lines = read.lines();
    read.damaged().iter().for_each(|(line, why)| report.wrong(*line, why));
    let (audits, audit) = (read.earlier() + usize::from(read.current().is_some()), read.current());
    let filled = audit.map_or(0, |audit| audit.filled());
    report.holds = format!("{audits} audit(s), {filled} label(s) of the latest");
    report.look_at_end(view)?;
    Ok(report)
}

/// Every answer is to match its checksum and to be one of this task; keys and tries are not compared.
fn answers(view: &RunView) -> Result<FileReport> {
    let mut report = FileReport::new("answers.jsonl");
    view.answer_lines(|number, answer| {
        report.lines = number;
        if let Err(why) = answer {
            report.wrong(number, why);
        }
    })?;
    // What is no line comes after that.
    report.holds = format!("{} answers", report.lines - report.problems.len() as u64);
    report.look_at_end(view)?;
    Ok(report)
}

/// Every input, and the ids that arrived, for the labels to be compared with. The first line, which says whose log it
/// is, was read with the view.
fn inputs(view: &RunView) -> Result<(FileReport, Revisions)> {
    // The line that begins the log is one of them, and is not handed out.
    let mut report = FileReport { lines: 1, ..FileReport::new("inputs.jsonl") };
    let (mut samples, mut ends, mut revisions) = (0, 0_u64, Revisions::new());
    view.input_lines(|number, input| {
        report.lines = number;
        match input {
            Err(why) => report.wrong(number, why),
            Ok(Input::Arrive { position, sample, .. }) => {
                if position != samples {
                    report.wrong(number, format!("is of position {position}, and {samples} texts arrived before"));
                }
                if revisions.insert(id_hash(&sample.id.0), 0).is_some() {
                    report.wrong(number, format!("is of {:?}, which arrived before", sample.id.0));
                }
                // A damaged line before is one problem, not one for every line after it.
                samples = position + 1;
            }
            // New answers and corrections are of a text that arrived before.
            Ok(Input::Answers { position, .. } | Input::Correct { position, .. }) if position >= samples => {
                report.wrong(number, format!("is of position {position}, and {samples} texts arrived before"));
            }
            Ok(Input::End { samples: said }) if said != samples => {
                report.wrong(number, format!("counts {said} texts, and {samples} arrived before"));
            }
            Ok(Input::End { .. }) => ends += 1,
            Ok(Input::Answers { .. } | Input::Correct { .. }) => {}
        }
    })?;
    report.look_at_end(view)?;
    report.holds = format!("{samples} texts, {ends} end(s) of the corpus");
    Ok((report, revisions))
}

/// The first `written` bytes of the label log. Its lines have no checksum of their own: what they were is in records
/// under `store/`, and without those only what they say can be judged.
fn labels(view: &RunView, written: u64, mut revisions: Revisions) -> Result<FileReport> {
    let path = view.dir().join(LABELS);
    let mut report = FileReport::new(LABELS);
    report.holds = "no labels yet".to_owned();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(report),
        Err(source) => return Err(Error::run_file("read", &path)(source)),
    };
    // Whole lines only: of the last one a live run may have written a part.
    let (mut input, mut line) = (BufReader::new(file.take(written)), Vec::new());
    while input.read_until(b'\n', &mut line).map_err(Error::run_file("read", &path))? > 0 && line.ends_with(b"\n") {
        let judged = event(&line, report.lines, view.labels(), &mut revisions);
        report.lines += 1;
        if let Err(why) = judged {
            report.wrong(report.lines, why);
        }
        line.clear();
    }
    let changed = view.changed_labels()?;
    report.holds = format!("{} label events", report.lines);
    match changed {
        Some(changed) => {
            // A line that says nonsense is also not as it was written: told once.
            let known: HashSet<u64> = report.problems.iter().map(|(line, _)| *line).collect();
            for line in changed.into_iter().filter(|line| !known.contains(line)) {
                report.wrong(line, "is not as it was written, or lost");
            }
            report.problems.sort();
        }
        None => report.holds.push_str(", not compared with their records: store/ is missing"),
    }
    report.look_at_end(view)?;
    Ok(report)
}

/// Whether `line` is the event number `offset` of a text that arrived, with the revision that is next for it; why not,
/// where it is not.
fn event(line: &[u8], offset: u64, labels: &LabelSet, revisions: &mut Revisions) -> Result<(), String> {
    let event: LabelEvent = serde_json::from_slice(line).map_err(|error| format!("is no label event ({error})"))?;
    // Offsets are line numbers from 0: whoever follows the log goes on by them.
    if event.offset != offset {
        return Err(format!("has offset {}, and {offset} events stand before it", event.offset));
    }
    // NaN is in no range.
    if !(0.0..=1.0).contains(&event.confidence) {
        return Err(format!("has confidence {}", event.confidence));
    }
    if let Some(name) = event.candidates.iter().chain([&event.label]).find(|name| labels.exact(name).is_none()) {
        return Err(format!("names {name:?}, no label of the task"));
    }
    let next =
        revisions.get_mut(&id_hash(&event.id)).ok_or_else(|| format!("is of {:?}, which never arrived", event.id))?;
    // Also after a wrong one it goes on from what is there: a lost line is one problem, not one for each event of its
    // text.
    let expected = std::mem::replace(next, event.revision + 1);
    if event.revision != expected {
        return Err(format!(
            "is revision {} of {:?}, and revision {expected} would come next",
            event.revision, event.id
        ));
    }
    Ok(())
}

fn id_hash(id: &str) -> [u8; 16] {
    short_hash(&[id.as_bytes()])
}

/// Whether the file at `path` ends with a line feed, is empty or is not there.
fn ends_whole(path: &Path) -> Result<bool> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(source) => return Err(Error::run_file("read", path)(source)),
    };
    let mut last = [0];
    match file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)) {
        Ok(()) => Ok(last == *b"\n"),
        // It is empty.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(true),
        Err(source) => Err(Error::run_file("read", path)(source)),
    }
}
