//! `answers.jsonl` and where its answers stand.
//!
//! The log is what was paid for. It has every try of every answer; the index leads from a key to the latest try. No
//! line of it is ever changed or dropped: what cannot be read is moved to a file of its own, byte for byte.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use super::index::{AnswerAt, Applied, Index};
use super::log::{Extent, Log, LogReader, Span};
use super::open::Place;
use crate::base::disk::{Disk, DiskFile, Machine, reading};
use crate::base::failpoint::{pass, reach};
use crate::domain::answer::{AnswerKey, AnswerRecord};
use crate::domain::input::Names;
use crate::error::{Error, Result};
use crate::store::answer_line::{parse, seal};

/// The log's name.
pub(crate) const FILE: &str = "answers.jsonl";

/// Looks up answers. Reads from any thread; a lookup is one read of the index and one of the log.
#[derive(Debug, Clone)]
pub(super) struct AnswersReader<D: Disk = Machine> {
    index: Index,
    log: LogReader<D>,
    names: Arc<Names>,
}

impl<D: Disk> AnswersReader<D> {
    /// The latest try under `key`.
    ///
    /// `None` also where its line is damaged: the answer is lost then, and may be asked again. The checksum is
    /// checked at every read, and the key compared, so that an index that leads astray never attaches another text's
    /// answer.
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
    ///
    /// # Errors
    ///
    /// [`Error::StoreDamaged`] where the index speaks of another file, or lines were taken out: `store/` is to be
    /// made anew from the log, and the log opened once more. [`Error::RunFile`] where it cannot be read or mended,
    /// [`Error::Interrupted`] where `stop` says so.
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
        // Someone cut the log or put another in its place: the index would lead to bytes that are not there.
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
    ///
    /// Numbers are from 0 and rise. A line that is whole but no answer of this task counts as damaged too: it cannot
    /// be used. Lines that the index knows are read for their checksum alone, and not counted again.
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

    /// Keeps answers; they are on disk when this returns. One write and one fdatasync for all of them. Where they stand is for
    /// [`AnswersLog::index`]; after a kill before that, opening finds the lines behind what `applied` says and indexes them.
    ///
    /// # Errors
    ///
    /// [`Error::TakenAway`] where the log was removed or replaced, [`Error::RunFile`] where it cannot be written. Whole lines that
    /// were written stay, for they were paid for.
    pub(super) fn append(&mut self, records: &[AnswerRecord]) -> Result<Vec<Span>> {
        self.log.check_in_place()?;
        let lines: Vec<String> = records.iter().map(|record| seal(record, &self.names.labels)).collect();
        self.log.append(&lines)
    }

    /// Indexes what was appended last, which stands in `spans`.
    ///
    /// # Errors
    ///
    /// [`Error::StoreDamaged`] and [`Error::RunFile`] of the index; `applied` says too much then.
    pub(super) fn index(&self, records: &[AnswerRecord], spans: Vec<Span>, applied: &mut Applied) -> Result<()> {
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

/// Of the folder `store`, which is made anew for it; never of the log.
fn damaged(dir: &Path, message: impl Into<String>) -> Error {
    Error::StoreDamaged { path: dir.join("store"), message: message.into() }
}

/// Moves damaged lines to `answers.damaged.jsonl` (whole lines of any bytes), and puts the rest in place atomically.
///
/// A kill before the rename leaves the log as it was, and the next opening begins again: lines may then be twice in
/// `answers.damaged.jsonl`, and none is lost. In bounded memory, whatever the length of the log.
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
    // What was set aside is durable before the log is without it.
    aside.sync()?;
    new.sync()?;
    reach("set-aside-rename")?;
    disk.rename(&new_path, path)?;
    reach("set-aside-renamed")?;
    disk.sync_folder_of(path)
}
