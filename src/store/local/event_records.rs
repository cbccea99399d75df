//! `store/events`: a record for each event of the label log, with the log's end and checksum up to and with its line.
//!
//! 51 bytes with the record's own checksum. It holds what the next event of the same sample must know, so that labels
//! are looked up without parsing lines; and the digest of the log so far, so that a checkpoint can vouch for any
//! prefix of it and opening can tell how much of the file is as it was written.

use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use super::LABELS;
use super::flat::{Fields, Flat, Record, read_records};
use super::heads::Heads;
use crate::base::disk::{Disk, DiskFile, Machine, reading};
use crate::domain::event::{Source, StoredEvent};
use crate::domain::label::LabelId;
use crate::error::{Error, Result};
use crate::store::Digest;

/// Stands for "no event before": no log has an event of this number.
const NONE: u64 = u64::MAX;

/// A stored event, and the log up to and with its line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct EventAt {
    pub(super) event: StoredEvent,
    /// The log's length in bytes up to and with this line: the next line begins here.
    pub(super) end: u64,
    /// CRC-32 of all these bytes, not of this line alone.
    pub(super) crc: u32,
}

impl Record for EventAt {
    // u64: end, position, previous, student; u32: crc, revision, the bits of confidence; u16: label; u8: flags, of
    // which bit 0 says "by the student", bit 1 "final" and bit 2 "by a person". All little-endian.
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
        let by = match event.source {
            Source::Refinery => 0,
            Source::Student => 1,
            Source::Person => 4,
        };
        bytes.push(by | (u8::from(event.is_final) << 1));
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
            source: match flags & 5 {
                0 => Source::Refinery,
                1 => Source::Student,
                _ => Source::Person,
            },
            revision,
            student,
            is_final: flags & 2 != 0,
            previous: (previous != NONE).then_some(previous),
        };
        Some(Self { event, end, crc })
    }
}

/// The records of lines that a file of `length` bytes has, `most` of them at most, with what follows from them.
///
/// That is the latest event of each sample and the digest of the lines they cover. Records after the first that cannot be
/// are cut off. Costs one pass over the records, and none over the log.
pub(super) fn open_records<D: Disk>(
    disk: &D,
    path: &Path,
    length: u64,
    most: u64,
) -> Result<(Flat<EventAt, D>, Heads, Digest)> {
    let (mut latest, mut known, mut failed) = (Heads::default(), Digest::default(), None);
    let flat = Flat::open(disk, path, |number, record: &EventAt| {
        // A line has at least a byte, is in the file, and points back, not ahead: else a lookup might go round for
        // ever.
        if failed.is_some() {
            // Nothing is wrong with the records, which would be cut off.
            return true;
        }
        let sound = number < most
            && record.end > known.bytes
            && record.end <= length
            && record.event.previous.is_none_or(|previous| previous < number);
        if !sound {
            return false;
        }
        match latest.put(record.event.position, number) {
            Ok(_) => {
                known = Digest { lines: number + 1, bytes: record.end, crc: record.crc };
                true
            }
            Err(Error::TooLarge { .. }) => false,
            Err(error) => {
                failed = Some(error);
                true
            }
        }
    })?;
    failed.map_or(Ok((flat, latest, known)), Err)
}

/// Hands the number of each line of `labels` that is not as its record in `records` says, or is not there, to `each`, as long as
/// that gives true.
///
/// Compares by CRC-32, not by parsing: one pass over both files.
fn changed_lines(
    labels: &impl DiskFile,
    records: &impl DiskFile,
    mut each: impl FnMut(u64) -> bool,
) -> std::io::Result<()> {
    let (mut input, mut length) = (BufReader::with_capacity(1 << 18, reading(labels, 0)), 0);
    let (mut known, mut line, mut failed) = (Digest::default(), Vec::new(), Ok(()));
    read_records(records, |number, record: &EventAt| {
        // Asked again where it is not long enough: a run may be writing it.
        if record.end > length {
            match labels.len() {
                Ok(now) => length = now,
                Err(error) => {
                    failed = Err(error);
                    return false;
                }
            }
        }
        // The log is shorter than its records: this line and all after it are gone, so there is no point in going on. Found before
        // there is room for the line, for a damaged record may say anything.
        if record.end > length {
            each(number);
            return false;
        }
        line.resize(usize::try_from(record.end.saturating_sub(known.bytes)).unwrap_or(0), 0);
        match input.read_exact(&mut line) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                each(number);
                return false;
            }
            read => failed = read,
        }
        // Each line is checked against the sum before it *as recorded*, so one changed line does not make all after
        // it look changed.
        let is_same = known.with(&line).crc == record.crc && line.last() == Some(&b'\n');
        known = Digest { lines: number + 1, bytes: record.end, crc: record.crc };
        failed.is_ok() && (is_same || each(number))
    })?;
    failed
}

/// The number of the first line that is not as its record says. `None` where all are.
pub(super) fn first_changed(labels: &impl DiskFile, records: &impl DiskFile) -> std::io::Result<Option<u64>> {
    let mut first = None;
    changed_lines(labels, records, |number| {
        first = Some(number);
        false
    })?;
    Ok(first)
}

/// The numbers of lines of the log in `dir` that are not as their records say. Changes nothing; `None` where there are no
/// records.
pub(crate) fn changed_label_lines(dir: &Path) -> Result<Option<Vec<u64>>> {
    let (path, records) = (dir.join(LABELS), dir.join("store").join("events"));
    let (Ok(labels), Ok(records)) = (Machine.open(&path), Machine.open(&records)) else { return Ok(None) };
    let mut changed = Vec::new();
    let compared = changed_lines(&labels, &records, |number| {
        changed.push(number);
        true
    });
    compared.map(|()| Some(changed)).map_err(Error::run_file("read", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records with sound checksums of their own, which some program wrote that is none of ours.
    #[test]
    fn a_record_whose_line_would_end_behind_the_log_asks_for_no_memory() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("store")).unwrap();
        std::fs::write(dir.path().join(LABELS), "a\nb\n").unwrap();
        let records = dir.path().join("store").join("events");
        let (mut flat, ..) = open_records(&Machine, &records, 0, 0).unwrap();
        let first = Digest::default().with(b"a\n");
        let event = StoredEvent {
            position: 0,
            label: LabelId(0),
            confidence: 0.5,
            source: Source::Refinery,
            revision: 0,
            student: 0,
            is_final: false,
            previous: None,
        };
        let record = |end, crc| EventAt { event, end, crc };
        flat.append(&[record(first.bytes, first.crc), record(1 << 62, 0)]).unwrap();
        assert_eq!(changed_label_lines(dir.path()).unwrap(), Some(vec![1]));
    }
}
