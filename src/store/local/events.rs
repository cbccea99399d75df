//! `labels.jsonl` and where its events stand: `store/events` has a record an event, with what the next event of the same
//! sample must know of it.
//!
//! The file is a function of the two logs, so it is never synced on its own: what a crash leaves of it is cut back to what
//! is sure and written again, with the same bytes. A record holds the checksum of the file up to and with its line.
//!
//! Opening finds one of four cases. Records and file agree: nothing is done. A line is not as its record says: the
//! file is cut before it. The file has more lines than records: those are cut, unless the records were lost
//! altogether. Records were lost: those lines for which a checkpoint vouches get records again, and the rest stays in
//! place to be compared line by line as the student repeats it (`ahead`).

use std::io::{BufRead, BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::event_records::{EventAt, first_changed, open_records};
use super::flat::{Flat, FlatReader, read_records};
use super::heads::Heads;
use super::log::{check_in_place, cut_torn_line};
use super::tally::{LabelCount, LabelTally};
use crate::base::disk::{Disk, DiskFile, Machine, Reading, reading};
use crate::base::durable::open_append;
use crate::base::failpoint::reach;
use crate::domain::event::{By, LabelEvent, Rest, Source, StoredEvent};
use crate::domain::input::Names;
use crate::domain::sample::{Position, SampleId};
use crate::error::{Error, Result};
use crate::store::{Digest, Labelled};

/// The log's name.
pub(crate) const FILE: &str = "labels.jsonl";

/// How far a checkpoint vouches for the file, and where a sample of it stands. The position tells which sample an id of
/// the file is, for the file has ids and the records have positions.
pub(super) type Certified<'a> = (Digest, &'a dyn Fn(&SampleId) -> Result<Option<Position>>);

/// Each sample's latest event. Written by the writer's thread after the records are, and read under the lock by anyone.
type Latest = Arc<RwLock<Heads>>;

/// Reads events. Cheap to clone; reads from any thread.
#[derive(Debug, Clone)]
pub(super) struct EventsReader<D: Disk = Machine> {
    flat: FlatReader<EventAt, D>,
    latest: Latest,
}

impl<D: Disk> EventsReader<D> {
    /// The latest event, with its offset, of each sample in `positions` among the events before `end`.
    ///
    /// One read of a record a sample, and one more for each of its events from `end` on. Only what was stored is
    /// seen: the caller settles first.
    ///
    /// # Errors
    ///
    /// Those of [`Look::get`](super::heads::Look::get) and [`FlatReader::get`].
    pub(super) fn latest(&self, positions: Range<Position>, end: u64) -> Result<Vec<Option<(u64, StoredEvent)>>> {
        // Copied out, so that the lock is not held while a record is read for each.
        let heads: Vec<Option<u64>> = {
            let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
            let mut look = latest.look();
            positions.map(|position| look.get(position)).collect::<Result<_>>()?
        };
        heads.into_iter().map(|head| self.before(head, end)).collect()
    }

    /// Follows the chain of one sample's events from its latest back to the first one before `end`. Each record names
    /// its predecessor, which comes earlier in the log, so the chain ends.
    fn before(&self, mut at: Option<u64>, end: u64) -> Result<Option<(u64, StoredEvent)>> {
        while let Some(offset) = at {
            let event = self.flat.get(offset)?.event;
            if offset < end {
                return Ok(Some((offset, event)));
            }
            at = event.previous;
        }
        Ok(None)
    }
}

/// The log, open for appending.
///
/// Not synced by an append: only [`EventsLog::sync`] makes lines durable, before a checkpoint vouches for them and at
/// the end.
#[derive(Debug)]
pub(super) struct EventsLog<D: Disk = Machine> {
    disk: D,
    file: Arc<D::File>,
    path: PathBuf,
    flat: Flat<EventAt, D>,
    latest: Latest,
    /// The part of the file that the records know. Its CRC-32 is carried on from line to line, so an append costs what
    /// it adds.
    known: Digest,
    /// Lines behind that part: what a lost store left. They are compared when they come again. Reads on behind the last
    /// line that was compared; `None` once all are, and while nothing is left over.
    ahead: Option<BufReader<Reading<Arc<D::File>>>>,
    /// What its lines have.
    fields: Newer,
    names: Arc<Names>,
    /// What labels are `by`, unless they are the student's own.
    refinery: By,
}

impl<D: Disk> EventsLog<D> {
    /// Opens the log in `dir`, cut back to the lines that are as they were written. Unless it is known to be as it was left,
    /// all of it is checked.
    ///
    /// Where the records are lost, those up to `certified` are made from the file, if it still begins with that; what
    /// follows is compared when it comes again.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] where file or records cannot be read or cut; [`Error::TooLarge`] where the file has more
    /// events or samples than 32 bits count.
    pub(super) fn open(
        disk: &D,
        dir: &Path,
        names: &Arc<Names>,
        refinery: By,
        as_left: bool,
        certified: Option<Certified<'_>>,
        repairs: &mut Vec<String>,
    ) -> Result<Self> {
        let path = dir.join(FILE);
        let file = open_append(disk, &path).map_err(Error::run_file("open", &path))?;
        cut_torn_line(&file).map_err(Error::run_file("mend", &path))?;
        let length = file.len().map_err(Error::run_file("read", &path))?;
        let records = dir.join("store").join("events");
        // Records of lines that the file does not have any more are dropped here: records and lines are written
        // apart, and a power cut may keep either.
        let (mut flat, mut latest, mut known) = open_records(disk, &records, length, u64::MAX)?;
        let mut length = length;
        // An editor, a bit that flipped, or pages that a power cut did not write. All from the first changed line on
        // is made again, for later lines stand elsewhere if it has another length.
        if !as_left && let Some(bad) = first_changed(&file, flat.file()).map_err(Error::run_file("read", &path))? {
            let lost = flat.len() - bad;
            repairs.push(format!("{FILE}: {lost} line(s) from line {} on were not as written: written anew", bad + 1));
            // Lines before records: records without lines are dropped by whoever opens next, and lines without records may be compared.
            let end =
                bad.checked_sub(1).map(|last| flat.reader().get(last)).transpose()?.map_or(0, |record| record.end);
            file.set_len(end).map_err(Error::run_file("mend", &path))?;
            length = end;
            drop((flat, latest));
            (flat, latest, known) = open_records(disk, &records, length, bad)?;
        }
        let mut log = Self {
            disk: disk.clone(),
            file: Arc::new(file),
            path,
            flat,
            latest: Arc::new(RwLock::new(latest)),
            known,
            ahead: None,
            fields: Newer::ALL,
            names: Arc::clone(names),
            refinery,
        };
        // A checkpoint that knows no more than the records, or more than the file has, is of no help.
        let certified = certified.filter(|(digest, _)| digest.lines > log.known.lines && digest.bytes <= length);
        // More lines than records. Either records were lost (there is none, or fewer than a checkpoint saw), or the
        // end of the file is what a kill left between line and record, which is cheaper to write again than to check.
        if length > log.known.bytes && (log.known.lines == 0 || certified.is_some()) {
            log.forget_records()?;
            log.take_up(certified, repairs)?;
        } else if length > log.known.bytes {
            log.cut(repairs)?;
        }
        log.fields = Newer::of(log.file.as_ref()).map_err(Error::run_file("read", &log.path))?;
        Ok(log)
    }

    /// Records that are lost in part are made anew altogether: what is left of them has no use of its own.
    fn forget_records(&mut self) -> Result<()> {
        self.flat.truncate(0)?;
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Heads::default();
        self.known = Digest::default();
        Ok(())
    }

    /// Cuts off what the records do not know: it comes again.
    fn cut(&mut self, repairs: &mut Vec<String>) -> Result<()> {
        let failed = || Error::run_file("mend", &self.path);
        let mut bytes = Vec::new();
        // Only to tell the user whether lines were cut that nobody of us wrote: a mebibyte of them is enough for
        // that.
        let rest = reading(self.file.as_ref(), self.known.bytes);
        rest.take(1 << 20).read_to_end(&mut bytes).map_err(failed())?;
        // What was read of a longer rest may end within a line.
        let lines: Vec<&[u8]> =
            bytes.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")).collect();
        let foreign = (self.known.lines..).zip(&lines).filter(|(offset, line)| !is_event(line, *offset)).count();
        if foreign > 0 {
            let from = self.known.lines + 1;
            repairs.push(format!("{FILE}: {} line(s) from line {from} on were not as written: cut off", lines.len()));
        }
        self.file.set_len(self.known.bytes).map_err(failed())
    }

    /// The records are lost, the file is there.
    ///
    /// In the end the file has no line that is no event, and `ahead` stands behind the last record.
    fn take_up(&mut self, certified: Option<Certified<'_>>, repairs: &mut Vec<String>) -> Result<()> {
        let failed = || Error::run_file("read", &self.path);
        if let Some((digest, position)) = certified
            // The file must begin with the very bytes that the checkpoint saw. Otherwise nothing vouches for it, and
            // the student, which is then made from the beginning, is compared with every line.
            && crc_of(self.file.as_ref(), digest.bytes).map_err(failed())? == Some(digest.crc)
            && self.rebuild(digest, position)?
        {
            repairs.push(format!("store/events was lost: made anew from the first {} lines of {FILE}", digest.lines));
        }
        self.cut_what_is_no_event(repairs).map_err(Error::run_file("mend", &self.path))?;
        self.ahead = Some(BufReader::new(reading(Arc::clone(&self.file), self.known.bytes)));
        Ok(())
    }

    /// Lines that are events will be compared when they come again; what a power cut left of others comes again without.
    fn cut_what_is_no_event(&self, repairs: &mut Vec<String>) -> std::io::Result<()> {
        let mut input = BufReader::new(reading(self.file.as_ref(), self.known.bytes));
        let (mut offset, mut end, mut line) = (self.known.lines, self.known.bytes, Vec::new());
        while input.read_until(b'\n', &mut line)? > 0 && is_event(&line, offset) {
            (offset, end) = (offset + 1, end + line.len() as u64);
            line.clear();
        }
        if line.is_empty() {
            return Ok(());
        }
        repairs.push(format!("{FILE}: what follows line {offset} was not as written: written anew"));
        self.file.set_len(end)
    }

    /// Makes the records of the lines that `digest` covers; whether all of them are events of this run.
    ///
    /// Where it gives `false`, lines without a record are compared one by one as they come again. All records are in
    /// memory at once, some 64 bytes a line.
    fn rebuild(&mut self, digest: Digest, position: &dyn Fn(&SampleId) -> Result<Option<Position>>) -> Result<bool> {
        let failed = || Error::run_file("read", &self.path);
        let mut input = BufReader::new(reading(self.file.as_ref(), 0)).take(digest.bytes);
        let (mut known, mut records, mut line) = (Digest::default(), Vec::new(), Vec::new());
        let mut latest = Heads::default();
        while known.lines < digest.lines && input.read_until(b'\n', &mut line).map_err(failed())? > 0 {
            let Some(event) = serde_json::from_slice::<LabelEvent>(&line).ok().filter(|e| e.offset == known.lines)
            else {
                return Ok(false);
            };
            let (Some(position), Some(label)) = (position(&SampleId(event.id))?, self.names.labels.exact(&event.label))
            else {
                return Ok(false);
            };
            // As at an append: the digest grows, and the event's predecessor is the sample's latest so far.
            known = known.with(&line);
            let previous = latest.put(position, event.offset)?;
            records.push(EventAt {
                event: StoredEvent {
                    position,
                    label,
                    // By way of its text, as it was written: a cast may give the float beside it, and then a replay
                    // would find a difference.
                    confidence: event.confidence.to_string().parse().unwrap_or_default(),
                    source: Source::of(&event.by),
                    revision: event.revision,
                    student: event.student,
                    is_final: event.is_final,
                    previous,
                },
                end: known.bytes,
                crc: known.crc,
            });
            line.clear();
        }
        self.flat.append(&records)?;
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = latest;
        self.known = known;
        Ok(known == digest)
    }

    pub(super) fn reader(&self) -> EventsReader<D> {
        EventsReader { flat: self.flat.reader(), latest: Arc::clone(&self.latest) }
    }

    pub(super) fn len(&self) -> u64 {
        self.known.lines
    }

    /// What holds in it, by one pass over the records; `None` where they cannot all be read, which the next opening mends, or tells.
    pub(super) fn tally(&self) -> Option<LabelTally> {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        let (mut count, mut look) = (LabelCount::default(), latest.look());
        let add = |offset, record: &EventAt| {
            let latest = look.get(record.event.position);
            count.add(record, matches!(latest, Ok(Some(latest)) if latest == offset));
            latest.is_ok()
        };
        let read = read_records(self.flat.file(), add).ok()?;
        (read == self.known.lines).then(|| count.named(&self.names.labels))
    }

    /// The log's first `lines` lines, of which there are as many. From the records alone, at one read.
    pub(super) fn digest(&self, lines: u64) -> Result<Digest> {
        let Some(last) = lines.checked_sub(1) else { return Ok(Digest::default()) };
        let EventAt { end, crc, .. } = self.flat.reader().get(last)?;
        Ok(Digest { lines, bytes: end, crc })
    }

    /// Appends events, the first of which has the offset `first`; those that are there already must be the same.
    ///
    /// In order: the lines, their records, the table of latest events, and then `known`. An error before the last
    /// leaves `known` as it was; the log is not to be appended to any more, and the next opening cuts what is behind
    /// the records.
    ///
    /// # Errors
    ///
    /// [`Error::Replay`] where an event comes out otherwise than it stands in the log, [`Error::TakenAway`] where the
    /// file was removed or replaced, [`Error::RunFile`] where it cannot be written.
    pub(super) fn append(&mut self, first: u64, labelled: &[Labelled]) -> Result<()> {
        check_in_place(&self.disk, &self.file, &self.path)?;
        let (mut records, mut lines) = (Vec::new(), String::new());
        let mut known = self.known;
        for (offset, labelled) in (first..).zip(labelled) {
            // Three kinds of events: recorded ones are compared with the record, left over ones with the file, all
            // others written.
            let event = self.event(offset, labelled);
            if offset < self.known.lines {
                self.compare_stored(offset, labelled, &event)?;
                continue;
            }
            let line = event.to_line();
            if !self.compare_ahead(offset, &line)? {
                lines.push_str(&line);
            }
            known = known.with(line.as_bytes());
            records.push(EventAt { event: labelled.event, end: known.bytes, crc: known.crc });
        }
        self.write(&lines)?;
        reach("labels-written").map_err(Error::run_file("write", &self.path))?;
        self.flat.append(&records)?;
        let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        for (offset, record) in (self.known.lines..).zip(&records) {
            latest.put(record.event.position, offset)?;
        }
        drop(latest);
        reach("labels-recorded").map_err(Error::run_file("write", &self.path))?;
        self.known = known;
        Ok(())
    }

    fn write(&mut self, lines: &str) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let write = || {
            reach("labels-write")?;
            self.file.append(lines.as_bytes())
        };
        if let Err(source) = write() {
            // Leave no half line behind: the next open would cut it anyway, but a tail may read until then.
            let _ = cut_torn_line(self.file.as_ref());
            return Err(Error::run_file("write", &self.path)(source));
        }
        Ok(())
    }

    fn event(&self, offset: u64, labelled: &Labelled) -> LabelEvent {
        let Labelled { event, margin, others, id, candidates } = labelled;
        let Newer { margin: has_margin, others: has_others } = self.fields;
        let rest = Rest { margin: has_margin.then_some(*margin), others: has_others.then_some(others) };
        LabelEvent::new(offset, event, &rest, id, candidates, &self.names.labels, &self.refinery)
    }

    /// Compares with the record, which has all but id and candidates. The line is read only to show it where they
    /// differ.
    fn compare_stored(&self, offset: u64, labelled: &Labelled, now: &LabelEvent) -> Result<()> {
        let reader = self.flat.reader();
        let stored = reader.get(offset)?;
        if stored.event == labelled.event {
            return Ok(());
        }
        let start = offset.checked_sub(1).map_or(Ok(0), |before| reader.get(before).map(|record| record.end))?;
        let mut line = vec![0; usize::try_from(stored.end - start).unwrap_or(0)];
        self.file.read_exact_at(&mut line, start).map_err(Error::run_file("read", &self.path))?;
        Err(differs(offset, &line, now))
    }

    /// Whether `line` is in the file already; an error if another is. Byte by byte, for there is no record of it.
    fn compare_ahead(&mut self, offset: u64, line: &str) -> Result<bool> {
        let Some(ahead) = &mut self.ahead else { return Ok(false) };
        let mut before = Vec::new();
        if ahead.read_until(b'\n', &mut before).map_err(Error::run_file("read", &self.path))? == 0 {
            self.ahead = None;
            return Ok(false);
        }
        if before == line.as_bytes() {
            return Ok(true);
        }
        let now = line.trim_end().to_owned();
        let before = String::from_utf8_lossy(&before).trim_end().to_owned();
        Err(Error::Replay { offset, before, now })
    }

    /// Makes what was appended durable. The lines first: records without lines are dropped when the log is opened, and
    /// the other way round lines are written again, so no order is needed for safety.
    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync().map_err(Error::run_file("write", &self.path))?;
        self.flat.sync()
    }

    /// The end of a run: the log is where it was opened, and has no line but ours. Lines that were left over and did
    /// not come again are cut: the input log that they came of has changed.
    pub(super) fn close(&mut self) -> Result<()> {
        check_in_place(&self.disk, &self.file, &self.path)?;
        self.ahead = None;
        self.file.set_len(self.known.bytes).map_err(Error::run_file("write", &self.path))
    }
}

/// Both lines as they are, so that the user can see what changed.
fn differs(offset: u64, before: &[u8], now: &LabelEvent) -> Error {
    let before = String::from_utf8_lossy(before).trim_end().to_owned();
    Error::Replay { offset, before, now: now.to_line().trim_end().to_owned() }
}

/// The CRC-32 of the first `bytes` bytes; `None` if there are not as many.
fn crc_of(file: &impl DiskFile, bytes: u64) -> std::io::Result<Option<u32>> {
    let mut hasher = crc32fast::Hasher::new();
    let mut input = BufReader::with_capacity(1 << 18, reading(file, 0)).take(bytes);
    let mut block = vec![0; 1 << 18];
    let mut left = bytes;
    while left > 0 {
        let read = input.read(&mut block)?;
        if read == 0 {
            return Ok(None);
        }
        hasher.update(block.get(..read).unwrap_or_default());
        left -= read as u64;
    }
    Ok(Some(hasher.finalize()))
}

/// Which of the fields that came later the lines of a log have: one that was begun without goes on without, so that its bytes
/// stay a function of what they come of.
#[derive(Debug, Clone, Copy)]
struct Newer {
    margin: bool,
    others: bool,
}

impl Newer {
    const ALL: Self = Self { margin: true, others: true };

    /// Those of the first line; all where there is none yet.
    fn of(file: &impl DiskFile) -> std::io::Result<Self> {
        let mut line = Vec::new();
        BufReader::new(reading(file, 0)).read_until(b'\n', &mut line)?;
        let first = serde_json::from_slice::<LabelEvent>(&line);
        Ok(first.map_or(Self::ALL, |first| Self { margin: first.margin.is_some(), others: first.others.is_some() }))
    }
}

/// Whether `line` is the event of this offset. The label log has no checksum in its lines: it is read by other
/// programs.
fn is_event(line: &[u8], offset: u64) -> bool {
    serde_json::from_slice::<LabelEvent>(line).is_ok_and(|event| event.offset == offset)
}
