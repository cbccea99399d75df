//! The journal `answers.jsonl`: every answer, one JSON line with a CRC-32 at its end. The truth of a run.
//!
//! Append-only but for one case: lines that do not match their checksum are moved to `answers.damaged.jsonl` on open.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::lines::{Line, Lines};
use crate::base::sealed;
use crate::domain::answer::{Answer, AnswerKey, AnswerRecord, Problem, ProblemKind, Usage};
use crate::domain::label::LabelSet;
use crate::domain::sample::{SampleId, TextHash, from_hex};
use crate::error::{Error, Result};

/// A line of the journal, without its checksum. A recording has the same fields; it needs only `id` and `labels`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct JournalLine {
    /// The sample's id.
    pub id: String,
    /// Who answered.
    pub teacher: String,
    /// Candidate labels, likeliest first; empty when none of the task's was named.
    pub labels: Vec<String>,
    /// Hash of text, model, prompt and decoding parameters, as hexadecimal.
    pub key: String,
    /// Hash of the text, as hexadecimal.
    pub text_hash: String,
    /// Which try this was, from 1.
    pub attempt: u32,
    /// The model that replied, as it names itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The reply as received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// Weights of the labels, 0 to 1, where the reply has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<f32>,
    /// Tokens that the provider counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What the answer cost, as a decimal in the currency of the prices.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "rust_decimal::serde::str_option")]
    #[schemars(with = "Option<String>")]
    pub cost: Option<Decimal>,
    /// What is wrong with the reply, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem_kind: Option<ProblemKind>,
    /// What is wrong with the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl JournalLine {
    fn new(record: &AnswerRecord, labels: &LabelSet) -> Self {
        let answer = record.answer.clone();
        Self {
            id: record.id.0.clone(),
            teacher: record.teacher.clone(),
            labels: answer.labels.iter().map(|&label| labels.name(label).to_owned()).collect(),
            key: record.key.to_hex(),
            text_hash: record.text_hash.to_hex(),
            attempt: record.attempt,
            model: answer.model,
            raw: answer.raw,
            weights: answer.weights,
            usage: answer.usage,
            cost: answer.cost,
            problem_kind: answer.problem.as_ref().map(|problem| problem.kind),
            problem: answer.problem.map(|problem| problem.message),
        }
    }

    fn into_record(self, labels: &LabelSet) -> Option<AnswerRecord> {
        let ids: Option<Vec<_>> = self.labels.iter().map(|name| labels.resolve(name)).collect();
        Some(AnswerRecord {
            key: AnswerKey(from_hex(&self.key)?),
            id: SampleId(self.id),
            text_hash: TextHash::from_hex(&self.text_hash)?,
            teacher: self.teacher,
            attempt: self.attempt,
            answer: Answer {
                labels: ids?,
                weights: self.weights,
                raw: self.raw,
                model: self.model,
                usage: self.usage,
                cost: self.cost,
                problem: self
                    .problem
                    .map(|message| Problem { kind: self.problem_kind.unwrap_or(ProblemKind::Empty), message }),
            },
        })
    }
}

/// One line with its checksum and line feed.
fn seal(record: &AnswerRecord, labels: &LabelSet) -> String {
    // Plain strings and numbers: serialising them cannot fail.
    sealed::seal(serde_json::to_string(&JournalLine::new(record, labels)).unwrap_or_default())
}

/// Whether a line is as it was written: its checksum holds, or it never had one.
pub(crate) fn journal_line_is_whole(line: &str) -> bool {
    sealed::checksum_holds(line).unwrap_or(true)
}

fn open_line(line: &Line, labels: &LabelSet) -> Option<AnswerRecord> {
    let Line::Text(line) = line else { return None };
    serde_json::from_str::<JournalLine>(sealed::open(line)?).ok()?.into_record(labels)
}

/// How far a journal goes, and what it holds up to there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extent {
    pub(super) bytes: u64,
    pub(super) lines: u64,
    /// CRC-32 of all bytes.
    pub(super) crc: u32,
}

impl Extent {
    /// Goes on by `bytes`, which are `lines` lines.
    fn extend(&mut self, bytes: &[u8], lines: u64) {
        let mut hasher = crc32fast::Hasher::new_with_initial_len(self.crc, self.bytes);
        hasher.update(bytes);
        self.crc = hasher.finalize();
        self.bytes += bytes.len() as u64;
        self.lines += lines;
    }
}

/// The journal, open for appending.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    extent: Extent,
}

/// What opening a journal found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct JournalDamage {
    /// Lines set aside.
    pub(super) lines: u64,
    /// Bytes of a last line that was never finished: cut off.
    pub(super) torn_bytes: u64,
}

/// No answer is longer: replies are capped at 1 MiB, and JSON escapes at six bytes a byte.
const MAX_LINE_BYTES: usize = 16 << 20;

impl Journal {
    /// Opens or creates the journal in `dir`, mends it, and hands every record to `each` with the extent up to and
    /// with its line.
    pub(super) fn open(
        dir: &Path,
        labels: &LabelSet,
        mut each: impl FnMut(AnswerRecord, Extent) -> Result<()>,
    ) -> Result<(Self, JournalDamage)> {
        let path = dir.join("answers.jsonl");
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(Error::run_file("open", &path))?;
        let mut damage = cut_torn_line(&file).map_err(Error::run_file("mend", &path))?;
        let mut journal = Self { file, path, extent: Extent::default() };
        let damaged = journal.scan(labels, &mut each)?;
        if damaged.is_empty() {
            return Ok((journal, damage));
        }
        damage.lines = damaged.len() as u64;
        journal.set_aside(dir, &damaged)?;
        Ok((journal, damage))
    }

    /// Reads all lines; returns the numbers of those that are damaged. Offsets are those of a journal without them.
    fn scan(
        &mut self,
        labels: &LabelSet,
        each: &mut impl FnMut(AnswerRecord, Extent) -> Result<()>,
    ) -> Result<Vec<u64>> {
        let path = self.path.clone();
        let unreadable = || Error::run_file("read", &path);
        let file = File::open(&path).map_err(unreadable())?;
        let mut reader = Lines::new(BufReader::new(file), MAX_LINE_BYTES);
        let mut damaged = Vec::new();
        while let Some((number, line)) = reader.next_line().map_err(unreadable())? {
            match open_line(&line, labels) {
                Some(record) => {
                    if let Line::Text(text) = &line {
                        self.extent.extend(text.as_bytes(), 0);
                    }
                    self.extent.extend(b"\n", 1);
                    each(record, self.extent)?;
                }
                None => damaged.push(number),
            }
        }
        Ok(damaged)
    }

    /// Moves damaged lines to `answers.damaged.jsonl` (whole lines of any bytes), and puts the rest in place atomically.
    fn set_aside(&mut self, dir: &Path, damaged: &[u64]) -> Result<()> {
        let (new_path, aside_path) = (dir.join("answers.jsonl.new"), dir.join("answers.damaged.jsonl"));
        let copy = || -> std::io::Result<()> {
            let mut old = BufReader::new(File::open(&self.path)?);
            let mut new = BufWriter::new(File::create(&new_path)?);
            let mut aside = OpenOptions::new().create(true).append(true).open(&aside_path)?;
            let mut line = Vec::new();
            for number in 1_u64.. {
                line.clear();
                if old.read_until(b'\n', &mut line)? == 0 {
                    break;
                }
                if damaged.binary_search(&number).is_ok() { aside.write_all(&line)? } else { new.write_all(&line)? }
            }
            new.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
            aside.sync_all()?;
            std::fs::rename(&new_path, &self.path)?;
            File::open(dir)?.sync_all()
        };
        copy().map_err(Error::run_file("mend", &self.path))?;
        self.file = OpenOptions::new().append(true).open(&self.path).map_err(Error::run_file("open", &self.path))?;
        Ok(())
    }

    /// Appends `records` and returns when they are on disk.
    pub(super) fn append<'a>(
        &mut self,
        records: impl Iterator<Item = &'a AnswerRecord>,
        labels: &LabelSet,
    ) -> Result<Extent> {
        let mut lines = String::new();
        let mut count = 0;
        for record in records {
            lines.push_str(&seal(record, labels));
            count += 1;
        }
        let write = |file: &mut File| {
            file.write_all(lines.as_bytes())?;
            file.sync_data()
        };
        if let Err(source) = write(&mut self.file) {
            // Whatever part reached the file is no answer that anyone was told of.
            let _ = self.file.set_len(self.extent.bytes);
            return Err(Error::run_file("write", &self.path)(source));
        }
        self.extent.extend(lines.as_bytes(), count);
        Ok(self.extent)
    }

    /// Whether the file is still where it was opened.
    pub(super) fn check_in_place(&self) -> Result<()> {
        check_in_place(&self.file, &self.path)
    }

    pub(super) fn extent(&self) -> Extent {
        self.extent
    }
}

/// Whether `path` still leads to `file`: what is written to a file that was removed is lost.
pub(super) fn check_in_place(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let ours = file.metadata().map_err(Error::run_file("read", path))?;
    match std::fs::metadata(path) {
        Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => Ok(()),
        _ => Err(Error::TakenAway { path: path.to_owned() }),
    }
}

/// Cuts off what follows the last line feed: a write that a crash interrupted.
pub(super) fn cut_torn_line(mut file: &File) -> std::io::Result<JournalDamage> {
    use std::io::Read;
    let length = file.seek(SeekFrom::End(0))?;
    let mut end = length;
    let mut block = vec![0; 1 << 16];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let size = usize::try_from(end - start).unwrap_or(block.len());
        let Some(part) = block.get_mut(..size) else { break };
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|&b| b == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    if end < length {
        file.set_len(end)?;
        file.sync_data()?;
    }
    Ok(JournalDamage { lines: 0, torn_bytes: length - end })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::label::{Label, LabelId};
    use proptest::prelude::*;

    pub(crate) fn labels() -> LabelSet {
        let label = |name: &str| Label { name: name.into(), description: None, aliases: vec![] };
        LabelSet::new(vec![label("a"), label("b"), label("c")]).unwrap()
    }

    pub(crate) fn record(number: u8) -> AnswerRecord {
        AnswerRecord {
            key: AnswerKey([number; 16]),
            id: SampleId(format!("id-{number}")),
            text_hash: TextHash([number; 16]),
            teacher: "t".into(),
            attempt: 1,
            answer: Answer {
                labels: vec![LabelId(u16::from(number % 3))],
                raw: Some("[\"é\"]\n".into()),
                ..Answer::default()
            },
        }
    }

    fn open(dir: &Path) -> (Vec<AnswerRecord>, Journal, JournalDamage) {
        let mut read = Vec::new();
        let (journal, damage) = Journal::open(dir, &labels(), |record, _| {
            read.push(record);
            Ok(())
        })
        .unwrap();
        (read, journal, damage)
    }

    #[test]
    fn what_was_appended_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let records = [record(1), record(2), record(3)];
        let extent = open(dir.path()).1.append(records.iter(), &labels()).unwrap();
        let (read, journal, damage) = open(dir.path());
        assert_eq!((read.as_slice(), journal.extent(), damage), (records.as_slice(), extent, JournalDamage::default()));
        assert_eq!(extent.bytes, std::fs::metadata(dir.path().join("answers.jsonl")).unwrap().len());
    }

    #[test]
    fn a_torn_line_is_cut_and_the_next_append_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).1.append([record(1), record(2)].iter(), &labels()).unwrap();
        let path = dir.path().join("answers.jsonl");
        let length = std::fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(length - 5).unwrap();
        let (read, mut journal, damage) = open(dir.path());
        assert_eq!(read, [record(1)]);
        assert!(damage.torn_bytes > 0);
        journal.append([record(3)].iter(), &labels()).unwrap();
        assert_eq!(open(dir.path()).0, [record(1), record(3)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_flipped_byte_costs_its_line_and_nothing_else(at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
            let dir = tempfile::tempdir().unwrap();
            let records: Vec<_> = (1..6).map(record).collect();
            open(dir.path()).1.append(records.iter(), &labels()).unwrap();
            let path = dir.path().join("answers.jsonl");
            let mut content = std::fs::read(&path).unwrap();
            let at = at.index(content.len() - 1);
            content[at] ^= flip;
            std::fs::write(&path, &content).unwrap();
            let (read, _, damage) = open(dir.path());
            // A line feed made or lost spoils at most the two lines beside it.
            prop_assert!(read.len() >= 3 && read.iter().all(|record| records.contains(record)));
            prop_assert!(damage.lines >= 1 || damage.torn_bytes > 0);
            let (again, _, damage) = open(dir.path());
            prop_assert_eq!((again, damage), (read, JournalDamage::default()));
        }
    }
}
