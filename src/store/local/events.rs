//! `labels.jsonl` and where its events stand: `store/events` has a record an event, with what the next event of the same
//! sample must know of it.
//!
//! The file is a function of the two logs, so it is never synced on its own: what a crash leaves of it is cut back to what
//! is sure and written again, with the same bytes. A record holds the checksum of the file up to and with its line.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::flat::{Fields, Flat, FlatReader, Record};
use super::log::{check_in_place, cut_torn_line};
use crate::base::durable::open_append;
use crate::base::failpoint::reach;
use crate::domain::event::{By, LabelEvent, StoredEvent};
use crate::domain::input::Names;
use crate::domain::label::LabelId;
use crate::domain::sample::{Position, SampleId};
use crate::error::{Error, Result};
use crate::store::{Digest, Labelled};

/// The log's name.
pub(crate) const FILE: &str = "labels.jsonl";
const NONE: u64 = u64::MAX;

/// A stored event, and the log up to and with its line.
#[derive(Debug, Clone, Copy, PartialEq)]
struct EventAt {
    event: StoredEvent,
    end: u64,
    crc: u32,
}

impl Record for EventAt {
    const SIZE: usize = 4 * 8 + 3 * 4 + 2 + 1;

    fn write(&self, bytes: &mut Vec<u8>) {
        let event = &self.event;
        for number in [self.end, event.position, event.previous.unwrap_or(NONE), event.student] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.crc, event.revision, event.confidence.to_bits()] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&event.label.0.to_le_bytes());
        bytes.push(u8::from(event.by_student) | (u8::from(event.is_final) << 1));
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let (end, position, previous, student) = (fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?);
        let (crc, revision, confidence) = (fields.u32()?, fields.u32()?, f32::from_bits(fields.u32()?));
        let (label, flags) = (LabelId(fields.u16()?), fields.u8()?);
        let event = StoredEvent {
            position,
            label,
            confidence,
            by_student: flags & 1 != 0,
            revision,
            student,
            is_final: flags & 2 != 0,
            previous: (previous != NONE).then_some(previous),
        };
        Some(Self { event, end, crc })
    }
}

/// How far a checkpoint vouches for the file, and where a sample of it stands.
pub(super) type Certified<'a> = (Digest, &'a dyn Fn(&SampleId) -> Result<Option<Position>>);

/// The offset of each sample's latest event plus one, by position; 0 where there is none.
type Latest = Arc<RwLock<Vec<u32>>>;

/// Reads events. Cheap to clone; reads from any thread.
#[derive(Debug, Clone)]
pub(super) struct EventsReader {
    flat: FlatReader<EventAt>,
    latest: Latest,
}

impl EventsReader {
    /// The latest event, with its offset, of each sample in `positions` among the events before `end`.
    pub(super) fn latest(&self, positions: Range<Position>, end: u64) -> Result<Vec<Option<(u64, StoredEvent)>>> {
        let heads: Vec<u32> = {
            let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
            let of = |position: u64| usize::try_from(position).ok().and_then(|place| latest.get(place)).copied();
            positions.map(|position| of(position).unwrap_or(0)).collect()
        };
        heads.into_iter().map(|head| self.before(head, end)).collect()
    }

    fn before(&self, head: u32, end: u64) -> Result<Option<(u64, StoredEvent)>> {
        let mut at = head.checked_sub(1).map(u64::from);
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
#[derive(Debug)]
pub(super) struct EventsLog {
    file: Arc<File>,
    path: PathBuf,
    flat: Flat<EventAt>,
    latest: Latest,
    /// The part of the file that the records know.
    known: Digest,
    /// Lines behind that part: what a lost store left. They are compared when they come again.
    ahead: Option<BufReader<File>>,
    names: Arc<Names>,
    refinery: By,
}

impl EventsLog {
    /// Opens the log in `dir`, cut back to the lines that are as they were written. Unless it is known to be as it was left,
    /// all of it is checked.
    ///
    /// Where the records are lost, those up to `certified` are made from the file, if it still begins with that; what
    /// follows is compared when it comes again.
    pub(super) fn open(
        dir: &Path,
        names: &Arc<Names>,
        refinery: By,
        as_left: bool,
        certified: Option<Certified<'_>>,
        repairs: &mut Vec<String>,
    ) -> Result<Self> {
        let path = dir.join(FILE);
        let file = open_append(&path).map_err(Error::run_file("open", &path))?;
        cut_torn_line(&file).map_err(Error::run_file("mend", &path))?;
        let length = file.metadata().map_err(Error::run_file("read", &path))?.len();
        let records = dir.join("store").join("events");
        let (mut flat, mut latest, mut known) = open_records(&records, length, u64::MAX)?;
        let mut length = length;
        if !as_left && let Some(bad) = first_changed(&path, &flat).map_err(Error::run_file("read", &path))? {
            let lost = flat.len() - bad;
            repairs.push(format!("{FILE}: {lost} line(s) from line {} on were not as written: written anew", bad + 1));
            (flat, latest, known) = open_records(&records, length, bad)?;
            file.set_len(known.bytes).map_err(Error::run_file("mend", &path))?;
            length = known.bytes;
        }
        let mut log = Self {
            file: Arc::new(file),
            path,
            flat,
            latest: Arc::new(RwLock::new(latest)),
            known,
            ahead: None,
            names: Arc::clone(names),
            refinery,
        };
        let certified = certified.filter(|(digest, _)| digest.lines > log.known.lines && digest.bytes <= length);
        if length > log.known.bytes && (log.known.lines == 0 || certified.is_some()) {
            log.forget_records()?;
            log.take_up(certified, repairs)?;
        } else if length > log.known.bytes {
            log.cut(repairs)?;
        }
        Ok(log)
    }

    fn forget_records(&mut self) -> Result<()> {
        self.flat.truncate(0)?;
        self.latest.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.known = Digest::default();
        Ok(())
    }

    /// Cuts off what the records do not know: it comes again.
    fn cut(&mut self, repairs: &mut Vec<String>) -> Result<()> {
        let failed = || Error::run_file("mend", &self.path);
        let mut rest = File::open(&self.path).map_err(failed())?;
        rest.seek(SeekFrom::Start(self.known.bytes)).map_err(failed())?;
        let mut bytes = Vec::new();
        rest.take(1 << 20).read_to_end(&mut bytes).map_err(failed())?;
        let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
        let foreign = (self.known.lines..).zip(&lines).filter(|(offset, line)| !is_event(line, *offset)).count();
        if foreign > 0 {
            let from = self.known.lines + 1;
            repairs.push(format!("{FILE}: {} line(s) from line {from} on were not as written: cut off", lines.len()));
        }
        self.file.set_len(self.known.bytes).map_err(failed())
    }

    /// The records are lost, the file is there.
    fn take_up(&mut self, certified: Option<Certified<'_>>, repairs: &mut Vec<String>) -> Result<()> {
        let failed = || Error::run_file("read", &self.path);
        if let Some((digest, position)) = certified {
            let file = File::open(&self.path).map_err(failed())?;
            if crc_of(&file, digest.bytes).map_err(failed())? == Some(digest.crc) && self.rebuild(digest, position)? {
                repairs
                    .push(format!("store/events was lost: made anew from the first {} lines of {FILE}", digest.lines));
            }
        }
        let mut rest = File::open(&self.path).map_err(Error::run_file("read", &self.path))?;
        rest.seek(SeekFrom::Start(self.known.bytes)).map_err(Error::run_file("read", &self.path))?;
        self.ahead = Some(BufReader::new(rest));
        Ok(())
    }

    /// Makes the records of the lines that `digest` covers; whether all of them are events of this run.
    fn rebuild(&mut self, digest: Digest, position: &dyn Fn(&SampleId) -> Result<Option<Position>>) -> Result<bool> {
        use std::io::BufRead;
        let failed = || Error::run_file("read", &self.path);
        let mut input = BufReader::new(File::open(&self.path).map_err(failed())?).take(digest.bytes);
        let (mut known, mut records, mut line) = (Digest::default(), Vec::new(), Vec::new());
        let mut latest: Vec<u32> = Vec::new();
        while known.lines < digest.lines && input.read_until(b'\n', &mut line).map_err(failed())? > 0 {
            let Some(event) = serde_json::from_slice::<LabelEvent>(&line).ok().filter(|e| e.offset == known.lines)
            else {
                return Ok(false);
            };
            let (Some(position), Some(label)) = (position(&SampleId(event.id))?, self.names.labels.exact(&event.label))
            else {
                return Ok(false);
            };
            known = known.with(&line);
            let place = slot(&mut latest, position)?;
            let previous = place.checked_sub(1).map(u64::from);
            *place = head(known.lines - 1)?;
            records.push(EventAt {
                event: StoredEvent {
                    position,
                    label,
                    confidence: event.confidence.to_string().parse().unwrap_or_default(),
                    by_student: event.by == By::Student,
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

    pub(super) fn reader(&self) -> EventsReader {
        EventsReader { flat: self.flat.reader(), latest: Arc::clone(&self.latest) }
    }

    pub(super) fn len(&self) -> u64 {
        self.known.lines
    }

    /// The log's first `lines` lines, of which there are as many.
    pub(super) fn digest(&self, lines: u64) -> Result<Digest> {
        let Some(last) = lines.checked_sub(1) else { return Ok(Digest::default()) };
        let EventAt { end, crc, .. } = self.flat.reader().get(last)?;
        Ok(Digest { lines, bytes: end, crc })
    }

    /// Appends events, the first of which has the offset `first`; those that are there already must be the same.
    pub(super) fn append(&mut self, first: u64, labelled: &[Labelled]) -> Result<()> {
        check_in_place(&self.file, &self.path)?;
        let (mut records, mut lines) = (Vec::new(), String::new());
        let mut known = self.known;
        for (offset, labelled) in (first..).zip(labelled) {
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
        reach("labels-recorded").map_err(Error::run_file("write", &self.path))?;
        let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        for (offset, record) in (self.known.lines..).zip(&records) {
            *slot(&mut latest, record.event.position)? = head(offset)?;
        }
        drop(latest);
        self.flat.append(&records)?;
        self.known = known;
        Ok(())
    }

    fn write(&mut self, lines: &str) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let write = || {
            reach("labels-write")?;
            self.file.as_ref().write_all(lines.as_bytes())
        };
        if let Err(source) = write() {
            // Leave no half line behind: the next open would cut it anyway, but a tail may read until then.
            let _ = cut_torn_line(&self.file);
            return Err(Error::run_file("write", &self.path)(source));
        }
        Ok(())
    }

    fn event(&self, offset: u64, labelled: &Labelled) -> LabelEvent {
        let Labelled { event, id, candidates } = labelled;
        LabelEvent::new(offset, event, id, candidates, &self.names.labels, &self.refinery)
    }

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

    /// Whether `line` is in the file already; an error if another is.
    fn compare_ahead(&mut self, offset: u64, line: &str) -> Result<bool> {
        use std::io::BufRead;
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

    /// Makes what was appended durable.
    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::run_file("write", &self.path))?;
        self.flat.sync()
    }

    /// The end of a run: the log is where it was opened, and has no line but ours.
    pub(super) fn close(&mut self) -> Result<()> {
        check_in_place(&self.file, &self.path)?;
        self.ahead = None;
        self.file.set_len(self.known.bytes).map_err(Error::run_file("write", &self.path))
    }
}

fn differs(offset: u64, before: &[u8], now: &LabelEvent) -> Error {
    let before = String::from_utf8_lossy(before).trim_end().to_owned();
    Error::Replay { offset, before, now: now.to_line().trim_end().to_owned() }
}

fn head(offset: u64) -> Result<u32> {
    u32::try_from(offset + 1).map_err(|_| Error::TooLarge { what: "label events", most: u64::from(u32::MAX) - 1 })
}

fn slot(latest: &mut Vec<u32>, position: Position) -> Result<&mut u32> {
    let most = u64::from(u32::MAX);
    let place = usize::try_from(position).ok().filter(|_| position < most);
    let place = place.ok_or(Error::TooLarge { what: "samples", most })?;
    if latest.len() <= place {
        latest.resize(place + 1, 0);
    }
    latest.get_mut(place).ok_or(Error::TooLarge { what: "samples", most })
}

/// The records of lines that a file of `length` bytes has, `most` of them at most, with what follows from them.
fn open_records(path: &Path, length: u64, most: u64) -> Result<(Flat<EventAt>, Vec<u32>, Digest)> {
    let (mut latest, mut known) = (Vec::new(), Digest::default());
    let flat = Flat::open(path, |number, record: &EventAt| {
        let sound = number < most
            && record.end > known.bytes
            && record.end <= length
            && record.event.previous.is_none_or(|previous| previous < number);
        let (Some(head), Ok(place)) = (head(number).ok().filter(|_| sound), slot(&mut latest, record.event.position))
        else {
            return false;
        };
        *place = head;
        known = Digest { lines: number + 1, bytes: record.end, crc: record.crc };
        true
    })?;
    Ok((flat, latest, known))
}

/// The number of the first line that is not as its record says.
fn first_changed(path: &Path, flat: &Flat<EventAt>) -> std::io::Result<Option<u64>> {
    const TOGETHER: u64 = 1024;
    let mut input = BufReader::with_capacity(1 << 18, File::open(path)?);
    let (mut hasher, mut at, mut bytes) = (crc32fast::Hasher::new(), 0, Vec::new());
    let mut first = 0;
    while first < flat.len() {
        let count = usize::try_from(TOGETHER.min(flat.len() - first)).unwrap_or(0);
        let Ok(records) = flat.reader().range(first, count) else { return Ok(Some(first)) };
        for (number, record) in (first..).zip(&records) {
            bytes.resize(usize::try_from(record.end.saturating_sub(at)).unwrap_or(0), 0);
            input.read_exact(&mut bytes)?;
            hasher.update(&bytes);
            at = record.end;
            if hasher.clone().finalize() != record.crc || bytes.last() != Some(&b'\n') {
                return Ok(Some(number));
            }
        }
        first += count as u64;
    }
    Ok(None)
}

/// The CRC-32 of the first `bytes` bytes; `None` if there are not as many.
fn crc_of(file: &File, bytes: u64) -> std::io::Result<Option<u32>> {
    let mut hasher = crc32fast::Hasher::new();
    let mut input = BufReader::with_capacity(1 << 18, file).take(bytes);
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

fn is_event(line: &[u8], offset: u64) -> bool {
    serde_json::from_slice::<LabelEvent>(line).is_ok_and(|event| event.offset == offset)
}
