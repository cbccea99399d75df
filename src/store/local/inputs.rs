//! `inputs.jsonl`, read and appended to. `input_records` says where its events stand.
//!
//! Three counts must not be mixed up: lines of the file (the first is `begin`), events (number 0 is the second line),
//! and positions (arrivals alone). Event `n` is line `n + 2` for people, who count from 1.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::flat::{Flat, FlatReader};
use super::in_order::RowMark;
use super::index::{Applied, Index, KnownSample};
use super::input_records::{InputAt, Kind, Shared, last_before};
use super::log::{Extent, Log, LogReader, Span};
use super::open::Place;
use crate::base::disk::{Disk, Machine};
use crate::base::failpoint::pass;
use crate::base::sealed;
use crate::domain::candidates::CandidateSet;
use crate::domain::input::{Input, InputLine, Names, NewInput};
use crate::domain::label::LabelId;
use crate::domain::sample::Position;
use crate::error::{Error, Result};
use crate::store::{APPENDED_TOGETHER, AskedSample, InputCounts, RowKey};

/// The log's name.
pub(crate) const FILE: &str = "inputs.jsonl";

/// Reads events and samples. Cheap to clone; reads from any thread.
#[derive(Debug, Clone)]
pub(super) struct InputsReader<D: Disk = Machine> {
    log: LogReader<D>,
    flat: FlatReader<InputAt, D>,
    shared: Arc<RwLock<Shared>>,
    names: Arc<Names>,
}

impl<D: Disk> InputsReader<D> {
    fn shared(&self) -> RwLockReadGuard<'_, Shared> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> InputCounts {
        self.shared().counts
    }

    /// The events in `numbers`, which are there.
    pub(super) fn read(&self, numbers: Range<u64>) -> Result<Vec<Input>> {
        // One read of the records and one of the lines, however many there are: they lie side by side in both files.
        let count = usize::try_from(numbers.end - numbers.start).unwrap_or(0);
        let places = self.flat.range(numbers.start, count)?;
        self.at(&places, numbers.start)
    }

    /// The events at `places`, which follow each other. `first` is the number of the first of them, for messages.
    fn at(&self, places: &[InputAt], first: u64) -> Result<Vec<Input>> {
        let (Some(from), Some(to)) = (places.first(), places.last()) else { return Ok(Vec::new()) };
        let len = to.span.offset + u64::from(to.span.len) - from.span.offset;
        let bytes = self.log.bytes(from.span.offset, usize::try_from(len).unwrap_or(0))?;
        let mut rest = bytes.as_slice();
        let mut inputs = Vec::with_capacity(places.len());
        for (number, at) in (first..).zip(places) {
            // Never short: as many bytes were read as all spans have together.
            let Some((line, after)) = rest.split_at_checked(at.span.len as usize) else { break };
            rest = after;
            inputs.push(self.parse(line.strip_suffix(b"\n").unwrap_or(line), number)?);
        }
        Ok(inputs)
    }

    /// A line that was whole when the log was opened may have been damaged since: it is checked at every read.
    fn parse(&self, line: &[u8], number: u64) -> Result<Input> {
        parse_input(line, &self.names).map_err(|why| damaged_input(self.log.path(), number, &why))
    }

    /// What tells the rows apart that arrived from `first` on, so many of them at most.
    pub(super) fn marks(&self, first: Position, most: usize) -> Result<Vec<RowMark>> {
        let (from, to) = {
            let shared = self.shared();
            let end = shared.counts.samples.min(first.saturating_add(most as u64));
            let Some(last) = end.checked_sub(1).filter(|last| *last >= first) else { return Ok(Vec::new()) };
            (shared.others.arrival(first), shared.others.arrival(last))
        };
        let places = self.flat.range(from, usize::try_from(to + 1 - from).unwrap_or(0))?;
        Ok(places.into_iter().filter(|at| at.kind == Kind::Arrive).map(|at| at.row).collect())
    }

    /// The samples at `positions`, which have arrived, with the answers and labels given that they had when the events before
    /// `end` were all.
    pub(super) fn samples(&self, positions: Range<Position>, end: u64) -> Result<Vec<AskedSample>> {
        let Some(last) = positions.end.checked_sub(1).filter(|last| *last >= positions.start) else {
            return Ok(Vec::new());
        };
        // The lock is let go before anything is read from the disk.
        let (first, last) = {
            let shared = self.shared();
            (shared.others.arrival(positions.start), shared.others.arrival(last))
        };
        let mut samples = Vec::new();
        // Other events may lie between the arrivals; they are read with them and passed over.
        for input in self.read(first..last + 1)? {
            if let Input::Arrive { position, sample, outcome } = input {
                let candidates = self.late(position, end)?.unwrap_or_else(|| outcome.candidates());
                let candidates = candidates.with_given(self.given(position, end)?);
                samples.push(AskedSample { position, sample, candidates });
            }
        }
        Ok(samples)
    }

    /// The candidates by the last new answers before `end`; `None` where there are none, and those of the arrival
    /// count.
    fn late(&self, position: Position, end: u64) -> Result<Option<CandidateSet>> {
        let late = last_before(&self.shared().others.late, position, end);
        let Some((number, at)) = late else { return Ok(None) };
        Ok(match self.at(&[at], number)?.pop() {
            Some(Input::Answers { outcome, .. }) => Some(outcome.candidates()),
            _ => None,
        })
    }

    /// The label that a person gave by the last correction before `end`.
    fn given(&self, position: Position, end: u64) -> Result<Option<LabelId>> {
        let given = last_before(&self.shared().others.corrections, position, end);
        let Some((number, at)) = given else { return Ok(None) };
        Ok(match self.at(&[at], number)?.pop() {
            Some(Input::Correct { label, .. }) => label,
            _ => None,
        })
    }
}

/// The event in `line`, or why it is none. `line` is without its line feed. The reason goes on from "this line of the
/// input log".
pub(crate) fn parse_input(line: &[u8], names: &Names) -> Result<Input, String> {
    sealed::check(line).map_err(|_| "does not match its checksum".to_owned())?;
    let line: InputLine = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    names.input(line)
}

/// `number` counts events; the first line is no event. Wraps, so that `u64::MAX` stands for the first line, which is
/// line 1.
pub(crate) fn damaged_input(path: &Path, number: u64, why: &str) -> Error {
    Error::InputLog { path: path.to_owned(), line: number.wrapping_add(2), message: why.to_owned() }
}

/// The log, open for appending.
///
/// An event is appended in three steps: the line with an fdatasync, then the index and the record, then [`Shared`].
/// After a kill between them the line counts, and opening makes up for the rest.
#[derive(Debug)]
pub(super) struct InputsLog<D: Disk = Machine> {
    log: Log<D>,
    flat: Flat<InputAt, D>,
    reader: InputsReader<D>,
    index: Index,
}

impl<D: Disk> InputsLog<D> {
    /// Opens the log in `dir`, whose first line is there, and brings records, `index` and `applied` level with it. Unless
    /// the log is known to be as it was left, every line is checked.
    ///
    /// # Errors
    ///
    /// [`Error::InputLog`] for a damaged line that cannot be cut off, [`Error::StoreDamaged`] where records or index
    /// speak of another file (the caller makes `store/` anew and opens once more), [`Error::Interrupted`] where
    /// `stop` says so.
    pub(super) fn open(
        place: &Place<'_, D>,
        applied: &mut Applied,
        as_left: bool,
        repairs: &mut Vec<String>,
    ) -> Result<Self> {
        let Place { disk, dir, names, .. } = *place;
        let (log, torn) = Log::open(disk, &dir.join(FILE))?;
        if torn > 0 {
            repairs.push(format!("{FILE}: cut off an unfinished last line ({torn} bytes)"));
        }
        let file_len = log.file_len()?;
        let mut shared = Shared::default();
        // Records are taken as long as they describe a log of this length; those after the first that does not are
        // cut off, and come again from the lines. Records are never synced, so a power cut may have left anything of
        // them.
        let flat = Flat::open(disk, &dir.join("store").join("inputs"), |_, at: &InputAt| {
            let is_there = at.span.offset + u64::from(at.span.len) <= file_len;
            let accepted = is_there && shared.follows(at);
            if accepted {
                shared.add(*at);
            }
            accepted
        })?;
        // The index knows ids that the log has no more. It cannot forget single ones, so all of it is made anew.
        if applied.inputs.bytes > file_len {
            let message = format!("{FILE} is shorter than what was taken in of it");
            return Err(Error::StoreDamaged { path: dir.join("store"), message });
        }
        let shared = Arc::new(RwLock::new(shared));
        let reader = InputsReader { log: log.reader(), flat: flat.reader(), shared, names: Arc::clone(names) };
        let mut inputs = Self { log, flat, reader, index: place.index.clone() };
        if let Some(lines) = inputs.take_in(applied, as_left, place.stop)? {
            repairs.push(format!("{FILE}: cut off {lines} unfinished line(s) at its end"));
        }
        Ok(inputs)
    }

    /// Reads what is not recorded or not indexed yet, or everything. Gives the number of lines that had to be cut off.
    ///
    /// Damaged lines at the end which neither records nor index know, and which no whole line follows, are what a power
    /// cut left of a last write; whole lines may follow if a damaged one has a hole, for the pages of a write reach the
    /// disk in any order, but no more than are ever written together. All of them are cut off: nobody was told that it
    /// was done. Any other damaged line is an error.
    fn take_in(&mut self, applied: &mut Applied, as_left: bool, stop: &dyn Fn() -> bool) -> Result<Option<u64>> {
        // Records and index are brought level in one pass, which begins where the shorter of them ends. After an
        // unclean end it begins at 0: then what both know is read for its checksum alone.
        let (recorded, indexed) = (self.recorded(), applied.inputs);
        let both = if recorded.bytes < indexed.bytes { recorded } else { indexed };
        let from = if as_left { both } else { Extent::default() };
        let (path, names) = (self.log.path().to_owned(), Arc::clone(&self.reader.names));
        let (mut new, mut torn) = (Vec::new(), None);
        let mut behind_hole = 0;
        let (flat, index, shared) = (&mut self.flat, &self.index, &self.reader.shared);
        self.log.scan(from, stop, |scanned| {
            let number = scanned.number.wrapping_sub(1);
            let damaged = |why: &str| damaged_input(&path, number, why);
            let is_recorded = scanned.span.offset < recorded.bytes;
            let is_indexed = scanned.span.offset < indexed.bytes;
            let Some(line) = scanned.line else {
                let why = damaged("does not match its checksum");
                // It was whole once, and labels may have come of it. Without the first line nobody knows whose log
                // this is.
                if scanned.number == 0 || is_recorded || is_indexed {
                    return Err(why);
                }
                // The first damaged line decides; what follows shows whether it may be cut off.
                let whole = Extent { bytes: scanned.span.offset, lines: scanned.number };
                torn.get_or_insert((whole, why, scanned.has_hole));
                return Ok(());
            };
            match &torn {
                Some((.., true)) if behind_hole < APPENDED_TOGETHER => {
                    behind_hole += 1;
                    return Ok(());
                }
                Some(_) => return torn.take().map_or(Ok(()), |(_, why, _)| Err(why)),
                None => {}
            }
            // Both know the line. If they count fewer lines up to these bytes than there are, the file was edited
            // since.
            if scanned.number == 0 || (is_recorded && is_indexed) {
                return if is_recorded && scanned.number >= recorded.lines { Err(moved(&path)) } else { Ok(()) };
            }
            let input = parse_input(line, &names).map_err(|why| damaged(&why))?;
            if !is_indexed {
                index_input(index, &input, applied)?;
            }
            if !is_recorded {
                let at = place(&input, scanned.span);
                let mut shared = shared.write().unwrap_or_else(PoisonError::into_inner);
                if !shared.follows(&at) {
                    let samples = shared.counts.samples;
                    return Err(damaged(&format!("does not follow on the {samples} samples before it")));
                }
                shared.add(at);
                new.push(at);
            }
            // A log of any length is taken up in bounded memory.
            if new.len() >= 4096 {
                flat.append(&std::mem::take(&mut new))?;
            }
            Ok(())
        })?;
        self.flat.append(&new)?;
        // The cut comes last: up to here an error leaves the file as it was found.
        let cut = torn.map(|(whole, ..)| (self.log.extent().lines - whole.lines, whole));
        if let Some((_, whole)) = cut {
            self.log.cut_back(whole)?;
        }
        applied.inputs = self.log.extent();
        Ok(cut.map(|(lines, _)| lines))
    }

    /// How far the records go. In lines, the first one counts; in an empty log it does not, so that it is read too.
    fn recorded(&self) -> Extent {
        let shared = self.reader.shared();
        match shared.counts.events {
            0 => Extent::default(),
            events => Extent { bytes: shared.end, lines: events + 1 },
        }
    }

    pub(super) fn reader(&self) -> InputsReader<D> {
        self.reader.clone()
    }

    /// Appends events; they are on disk when this returns. Gives the counts then. Positions are given out here, from
    /// the number of samples on.
    ///
    /// # Errors
    ///
    /// After any error nothing more may be appended, and the store is to be opened anew: lines may be in the log that
    /// neither records nor counts have.
    pub(super) fn append(&mut self, new: &[NewInput], applied: &mut Applied) -> Result<InputCounts> {
        self.log.check_in_place()?;
        let first = self.reader.counts().samples;
        let (mut position, mut lines) = (first, Vec::with_capacity(new.len()));
        for input in new {
            let line = self.reader.names.line(input, position);
            // Strings and numbers: serialising them cannot fail.
            lines.push(sealed::seal(&serde_json::to_string(&line).unwrap_or_default()));
            position += u64::from(matches!(input, NewInput::Arrive(..)));
        }
        let spans = self.log.append(&lines)?;
        pass("inputs-index")?;
        // Once more over the same events, now that it is known where they stand.
        let mut position = first;
        let mut places = Vec::with_capacity(new.len());
        for (input, span) in new.iter().zip(spans) {
            let (kind, at) = match input {
                NewInput::Arrive(..) => (Kind::Arrive, position),
                NewInput::Answers(position, _) => (Kind::Answers, *position),
                NewInput::Correct(position, _) => (Kind::Correct, *position),
                NewInput::End => (Kind::End, position),
            };
            applied.failed = failed_after_new(applied.failed, input);
            let mut row = RowMark::default();
            if let NewInput::Arrive(sample, _) = input {
                let key = RowKey::of(sample);
                row = key.mark();
                applied.samples += u64::from(put_sample(&self.index, position, &key)?);
                position += 1;
            }
            places.push(InputAt { span, position: at, kind, row });
        }
        applied.inputs = self.log.extent();
        self.flat.append(&places)?;
        pass("inputs-recorded")?;
        // Last of all: whoever sees an event in the counts can read its record and its line.
        let mut shared = self.reader.shared.write().unwrap_or_else(PoisonError::into_inner);
        places.into_iter().for_each(|at| shared.add(at));
        Ok(shared.counts)
    }

    pub(super) fn check_in_place(&self) -> Result<()> {
        self.log.check_in_place()
    }
}

/// Keeps what the index has of an event that was read from the log.
fn index_input(index: &Index, input: &Input, applied: &mut Applied) -> Result<()> {
    applied.failed = failed_after(applied.failed, input);
    if let Input::Arrive { position, sample, .. } = input {
        applied.samples += u64::from(put_sample(index, *position, &RowKey::of(sample))?);
    }
    Ok(())
}

/// Whether the sample counts as new. The hash lets intake tell an id that comes again with another text.
fn put_sample(index: &Index, position: Position, row: &RowKey) -> Result<bool> {
    index.put_sample(&row.id, &KnownSample { position, text_hash: row.text_hash })
}

/// Samples without candidates after `input`. New answers are written only for such samples, and only if they name a label.
fn failed_after(failed: u64, input: &Input) -> u64 {
    match input {
        Input::Arrive { outcome, .. } => failed + u64::from(outcome.names_nothing()),
        Input::Answers { outcome, .. } => failed.saturating_sub(u64::from(!outcome.names_nothing())),
        Input::Correct { .. } | Input::End { .. } => failed,
    }
}

/// The same for an event that is about to be written; both must agree, or counts would differ after the index is made
/// anew.
fn failed_after_new(failed: u64, input: &NewInput) -> u64 {
    match input {
        NewInput::Arrive(_, outcome) => failed + u64::from(outcome.names_nothing()),
        NewInput::Answers(_, outcome) => failed.saturating_sub(u64::from(!outcome.names_nothing())),
        NewInput::Correct(..) | NewInput::End => failed,
    }
}

/// The record of an event that was read. In it the writer of the log says the position, so it is checked afterwards.
fn place(input: &Input, span: Span) -> InputAt {
    let (kind, position) = match input {
        Input::Arrive { position, .. } => (Kind::Arrive, *position),
        Input::Answers { position, .. } => (Kind::Answers, *position),
        Input::Correct { position, .. } => (Kind::Correct, *position),
        Input::End { samples } => (Kind::End, *samples),
    };
    let row = match input {
        Input::Arrive { sample, .. } => RowKey::of(sample).mark(),
        _ => RowMark::default(),
    };
    InputAt { span, position, kind, row }
}

/// The records speak of another file: they are made anew.
fn moved(path: &Path) -> Error {
    let store = path.with_file_name("store");
    Error::StoreDamaged { path: store, message: format!("lines of {FILE} stand elsewhere than they did") }
}
