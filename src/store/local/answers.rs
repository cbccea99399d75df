//! `answers.jsonl` and where its answers stand.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use super::index::{AnswerAt, Applied, Index};
use super::log::{Extent, Log, LogReader};
use super::open::Place;
use crate::base::disk::{Disk, DiskFile, Machine, reading};
use crate::base::failpoint::{pass, reach};
use crate::domain::answer::{AnswerKey, AnswerRecord};
use crate::domain::input::Names;
use crate::error::{Error, Result};
use crate::store::answer_line::{parse, seal};

/// The log's name.
pub(crate) const FILE: &str = "answers.jsonl";

/// Looks up answers.
#[derive(Debug, Clone)]
pub(super) struct AnswersReader<D: Disk = Machine> {
    index: Index,
    log: LogReader<D>,
    names: Arc<Names>,
}

impl<D: Disk> AnswersReader<D> {
    /// The latest try under `key`.
    pub(super) fn find(&self, key: AnswerKey) -> Result<Option<AnswerRecord>> {
        let Some(at) = self.index.answer(key)? else { return Ok(None) };
        let record = self.log.line(at.span)?.and_then(|line| parse(&line, &self.names.labels));
        let record = record.filter(|record| record.key == key);
        if record.is_none() {
            let path = self.log.path().display();
            tracing::warn!("{path}: the line at byte {} is not as it was written; its answer is lost", at.span.offset);
        }
        Ok(record)
    }
}

/// The log, open for appending.
#[derive(Debug)]
pub(super) struct AnswersLog<D: Disk = Machine> {
    log: Log<D>,
    index: Index,
    names: Arc<Names>,
}

impl<D: Disk> AnswersLog<D> {
    /// Opens the log in `dir` and brings `index` and `applied` level with it. Unless the log is known to be as it was left,
    /// every line is checked; damaged ones are moved to `answers.damaged.jsonl`.
    pub(super) fn open(
        place: &Place<'_, D>,
        applied: &mut Applied,
        as_left: bool,
        repairs: &mut Vec<String>,
    ) -> Result<Self> {
        let Place { disk, dir, .. } = *place;
        let path = dir.join(FILE);
        let (log, torn) = Log::open(disk, &path)?;
        if torn > 0 {
            repairs.push(format!("{FILE}: cut off an unfinished last line ({torn} bytes)"));
        }
        let mut answers = Self { log, index: place.index.clone(), names: Arc::clone(place.names) };
        let known = applied.answers;
        if known.bytes > answers.log.file_len()? {
            return Err(damaged(dir, format!("{FILE} is shorter than what was taken in of it")));
        }
        let from = if as_left { known } else { Extent::default() };
        let broken = answers.take_in(from, applied, place.stop)?;
        if !broken.is_empty() {
            // Before lines stand elsewhere: after a kill in between, nothing of the log counts as taken in.
            place.index.set_applied(&Applied::default())?;
            place.index.flush()?;
            set_aside(disk, dir, &path, &broken).map_err(Error::run_file("mend", &path))?;
            repairs.push(format!("{FILE}: {} damaged line(s) moved to answers.damaged.jsonl", broken.len()));
            // All that follows stands elsewhere now.
            return Err(damaged(dir, format!("damaged lines were taken out of {FILE}")));
        }
        Ok(answers)
    }

    /// Reads the log from `from` on, indexes what is not indexed, and gives the numbers of damaged lines.
    fn take_in(&mut self, from: Extent, applied: &mut Applied, stop: &dyn Fn() -> bool) -> Result<Vec<u64>> {
        let (index, names, known) = (self.index.clone(), Arc::clone(&self.names), applied.answers);
        let folder = self.log.path().parent().unwrap_or(Path::new(".")).to_owned();
        let mut broken = Vec::new();
        self.log.scan(from, stop, |scanned| {
            let Some(line) = scanned.line else {
                broken.push(scanned.number);
                return Ok(());
            };
            if scanned.span.offset < known.bytes {
                // Only a log that was cut or edited has another number of lines here.
                return if scanned.number < known.lines { Ok(()) } else { Err(damaged(&folder, "lines were added")) };
            }
            let Some(record) = parse(line, &names.labels) else {
                broken.push(scanned.number);
                return Ok(());
            };
            applied.totals.add(&record);
            let at = AnswerAt { span: scanned.span, attempt: record.attempt };
            applied.keys += u64::from(index.put_answer(record.key, at)?);
            Ok(())
        })?;
        applied.answers = self.log.extent();
        Ok(broken)
    }

    pub(super) fn reader(&self) -> AnswersReader<D> {
        AnswersReader { index: self.index.clone(), log: self.log.reader(), names: Arc::clone(&self.names) }
    }

    /// Keeps answers; they are on disk when this returns.
    pub(super) fn append(&mut self, records: &[AnswerRecord], applied: &mut Applied) -> Result<()> {
        self.log.check_in_place()?;
        let lines: Vec<String> = records.iter().map(|record| seal(record, &self.names.labels)).collect();
        let spans = self.log.append(&lines)?;
        pass("answers-index")?;
        for (record, span) in records.iter().zip(spans) {
            let at = AnswerAt { span, attempt: record.attempt };
            applied.keys += u64::from(self.index.put_answer(record.key, at)?);
            applied.totals.add(record);
        }
        applied.answers = self.log.extent();
        Ok(())
    }

    pub(super) fn check_in_place(&self) -> Result<()> {
        self.log.check_in_place()
    }
}

fn damaged(dir: &Path, message: impl Into<String>) -> Error {
    Error::StoreDamaged { path: dir.join("store"), message: message.into() }
}

/// Moves damaged lines to `answers.damaged.jsonl` (whole lines of any bytes), and puts the rest in place atomically.
fn set_aside<D: Disk>(disk: &D, dir: &Path, path: &Path, broken: &[u64]) -> std::io::Result<()> {
    let new_path = dir.join("answers.jsonl.new");
    let old = disk.open(path)?;
    let (new, aside) = (disk.create(&new_path)?, disk.open_append(&dir.join("answers.damaged.jsonl"))?);
    let mut old = BufReader::with_capacity(1 << 18, reading(&old, 0));
    let (mut kept, mut line) = (Vec::new(), Vec::new());
    for number in 0_u64.. {
        line.clear();
        let read = old.read_until(b'\n', &mut line)?;
        if read == 0 || kept.len() >= 1 << 18 {
            new.append(&std::mem::take(&mut kept))?;
        }
        if read == 0 {
            break;
        }
        if broken.binary_search(&number).is_ok() { aside.append(&line)? } else { kept.extend_from_slice(&line) }
    }
    aside.sync()?;
    new.sync()?;
    reach("set-aside-rename")?;
    disk.rename(&new_path, path)?;
    reach("set-aside-renamed")?;
    disk.sync_folder_of(path)
}
