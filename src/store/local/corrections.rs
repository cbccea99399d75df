//! `corrections.jsonl`: every label that a person gave a text, or took back, in order; the last of a text holds.
//!
//! Sealed lines, as in the other logs. It belongs to no run: any process adds to it, beside a run or without one, and a
//! correction is kept as soon as its line is on disk. The file's own lock keeps two of them apart for as long as a write lasts. A text
//! is known by its id and the hash of its bytes, so a correction holds for that text alone, in whichever input log.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::log::{Extent, Log, scan};
use super::shared_log::{FileId, in_turn, look};
use crate::base::disk::Machine;
use crate::base::sealed;
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::sample::{Sample, SampleId, TextHash};
use crate::error::Result;

/// The log's name.
pub(crate) const FILE: &str = "corrections.jsonl";

/// A line, without its checksum.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CorrectionLine {
    /// The sample's id.
    pub id: String,
    /// Hash of the text, as hexadecimal.
    pub text_hash: String,
    /// The label; none where it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Who gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// What they noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Whether it comes of a file that the configuration names (`kind = "human"`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub file: bool,
}

/// A label that a person gave a text, or took back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Correction {
    pub(crate) id: SampleId,
    pub(crate) text_hash: TextHash,
    /// `None` where it was taken back.
    pub(crate) label: Option<LabelId>,
    pub(crate) who: Option<String>,
    pub(crate) note: Option<String>,
    /// Whether it comes of a file that the configuration names.
    pub(crate) file: bool,
}

impl Correction {
    fn line(&self, labels: &LabelSet) -> String {
        let line = CorrectionLine {
            id: self.id.0.clone(),
            text_hash: self.text_hash.to_hex(),
            label: self.label.map(|label| labels.name(label).to_owned()),
            who: self.who.clone(),
            note: self.note.clone(),
            file: self.file,
        };
        // Strings: serialising them cannot fail.
        sealed::seal(&serde_json::to_string(&line).unwrap_or_default())
    }

    /// Or why the line is none. It goes on from "this line of corrections.jsonl".
    pub(crate) fn parse(line: &[u8], labels: &LabelSet) -> Result<Self, String> {
        let line: CorrectionLine = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let label = |name: String| labels.exact(&name).ok_or_else(|| format!("names {name:?}, no label of the task"));
        Ok(Self {
            id: SampleId(line.id),
            text_hash: TextHash::from_hex(&line.text_hash).ok_or("has no hash of a text")?,
            label: line.label.map(label).transpose()?,
            who: line.who,
            note: line.note,
            file: line.file,
        })
    }
}

/// Adds corrections to the log in `dir`, which is made where there is none. They are on disk when this returns.
///
/// # Errors
///
/// [`Error::RunFile`](crate::Error::RunFile); a part of them may have been added then, whole lines all of them.
#[cfg(any(test, feature = "shared"))]
pub(crate) fn keep(dir: &Path, labels: &LabelSet, corrections: &[Correction]) -> Result<()> {
    in_turn(&dir.join(FILE), || append(dir, labels, corrections))
}

/// As [`keep`], as long as `is_here` says that `dir` is still the run directory that is meant. Whether it was, before and after: else what was
/// added may be in another's log.
///
/// # Errors
///
/// As [`keep`].
#[cfg(feature = "page")]
pub(crate) fn keep_while(
    dir: &Path,
    labels: &LabelSet,
    corrections: &[Correction],
    is_here: impl Fn() -> bool,
) -> Result<bool> {
    in_turn(&dir.join(FILE), || {
        if !is_here() {
            return Ok(false);
        }
        append(dir, labels, corrections)?;
        Ok(is_here())
    })
}

/// As [`keep`], of what `decide` makes of all that was said by then: nobody says anything in between. `corrections` are those of `dir`,
/// and read on, to the end. Gives the ids that the log was found to speak of.
///
/// # Errors
///
/// As [`keep`], and [`Error::RunFile`] where the log cannot be read.
pub(crate) fn change(
    dir: &Path,
    corrections: &mut Corrections,
    decide: impl FnOnce(&Corrections) -> Vec<Correction>,
) -> Result<Vec<SampleId>> {
    in_turn(&dir.join(FILE), || {
        let mut ids = corrections.read()?;
        let news = decide(corrections);
        if !news.is_empty() {
            append(dir, &corrections.labels, &news)?;
            ids.extend(corrections.read()?);
        }
        Ok(ids)
    })
}

/// In a turn.
fn append(dir: &Path, labels: &LabelSet, corrections: &[Correction]) -> Result<()> {
    // Cuts off what a process left that was killed while it wrote: nobody was told that it was kept.
    let (mut log, _) = Log::open(&Machine, &dir.join(FILE))?;
    log.append(&corrections.iter().map(|correction| correction.line(labels)).collect::<Vec<_>>())?;
    Ok(())
}

/// What people said, as the log has it by now. Reads it once, and then what is added. Some 200 bytes a correction.
#[derive(Debug)]
pub(crate) struct Corrections {
    path: PathBuf,
    labels: LabelSet,
    /// What is read of.
    file: Option<FileId>,
    read: Extent,
    /// The file's length then; more than what was read of it where its last line is torn.
    looked: u64,
    /// Of the text of each id that was spoken of last.
    latest: HashMap<SampleId, Said>,
    /// Of texts whose id another text came to have, which was spoken of since.
    others: HashMap<(SampleId, TextHash), Said>,
    /// What a file said of texts of which something else was said since.
    overruled: HashMap<SampleId, Correction>,
    damaged: Vec<u64>,
}

/// What was said last of a text, and when: lines are counted from 1.
#[derive(Debug)]
struct Said {
    correction: Correction,
    /// The line that says it.
    line: u64,
    /// The line from which on the text has had a label of a person, this one or another.
    given: Option<u64>,
}

impl Said {
    /// `correction`, on `line`, after what was said of the text `before`.
    fn new(correction: Correction, line: u64, before: Option<&Self>) -> Self {
        let given = before.and_then(|before| before.given).unwrap_or(line);
        Self { given: correction.label.map(|_| given), correction, line }
    }
}

impl Corrections {
    /// Of the run directory `dir`, whose task has `labels`. Nothing is read yet.
    pub(crate) fn of(dir: &Path, labels: LabelSet) -> Self {
        let (path, read, damaged) = (dir.join(FILE), Extent::default(), Vec::new());
        let (latest, others, overruled) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { path, labels, file: None, read, looked: 0, latest, others, overruled, damaged }
    }

    /// Whether there is such a log in `dir`.
    pub(crate) fn are_in(dir: &Path) -> bool {
        dir.join(FILE).exists()
    }

    /// Whether there may be something new to read. Costs a look at the file's length.
    pub(crate) fn has_news(&self) -> bool {
        let now = std::fs::metadata(&self.path).map(|file| (Some(FileId::of(&file)), file.len()));
        now.unwrap_or((self.file, 0)) != (self.file, self.looked)
    }

    /// Reads what was added, and gives the ids that it speaks of; in the order in which they are first spoken of. Damaged lines
    /// are left out.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] if the log cannot be read; there need be none.
    pub(crate) fn read(&mut self) -> Result<Vec<SampleId>> {
        self.read_within(u64::MAX)
    }

    /// The same of the first `bytes` of the log.
    pub(crate) fn read_within(&mut self, bytes: u64) -> Result<Vec<SampleId>> {
        let found = look(&self.path)?;
        let (file, length) = (found.map(|(file, _)| file), found.map_or(0, |(_, length)| length));
        // Another file has taken its place.
        if length < self.read.bytes || (file != self.file && self.read.bytes > 0) {
            (self.read, self.damaged) = (Extent::default(), Vec::new());
            (self.latest, self.others, self.overruled) = (HashMap::new(), HashMap::new(), HashMap::new());
        }
        self.file = file;
        let mut named = Vec::new();
        if length == self.read.bytes {
            self.looked = length;
            return Ok(named);
        }
        let (path, from) = (self.path.clone(), self.read);
        scan(&path, from, &|| false, |scanned| {
            if scanned.end() > bytes {
                return Ok(());
            }
            (self.read.bytes, self.read.lines) = (scanned.end(), scanned.number + 1);
            match scanned.line.and_then(|line| Correction::parse(line, &self.labels).ok()) {
                Some(correction) => {
                    named.push(correction.id.clone());
                    self.take(correction, scanned.number + 1);
                }
                None => self.damaged.push(scanned.number + 1),
            }
            Ok(())
        })?;
        self.looked = length.min(bytes);
        let mut seen = HashSet::new();
        named.retain(|id| seen.insert(id.clone()));
        Ok(named)
    }

    /// What `line` says.
    fn take(&mut self, correction: Correction, line: u64) {
        let (id, is_of_file) = (correction.id.clone(), correction.file);
        let of_this = (id.clone(), correction.text_hash);
        let last = self.latest.remove(&id);
        let last_of_file = last.as_ref().filter(|last| last.correction.file).map(|last| last.correction.clone());
        let before = match last {
            Some(last) if last.correction.text_hash == correction.text_hash => Some(last),
            Some(last) => {
                self.others.insert((id.clone(), last.correction.text_hash), last);
                self.others.remove(&of_this)
            }
            None => None,
        };
        self.latest.insert(id.clone(), Said::new(correction, line, before.as_ref()));
        if is_of_file {
            self.overruled.remove(&id);
        } else if let Some(before) = last_of_file {
            self.overruled.insert(id, before);
        }
    }

    /// What a person's file said last of a text with this id, whatever was said since.
    pub(crate) fn filed(&self, id: &SampleId) -> Option<&Correction> {
        let latest = self.latest.get(id).map(|said| &said.correction);
        latest.filter(|latest| latest.file).or_else(|| self.overruled.get(id))
    }

    /// Whether something was said of a text with this id, be it of another hash.
    pub(crate) fn speaks_of(&self, id: &SampleId) -> bool {
        self.latest.contains_key(id)
    }

    /// What was said last of the text with this id and hash.
    pub(crate) fn get(&self, id: &SampleId, text_hash: TextHash) -> Option<&Correction> {
        self.said(id, text_hash).map(|said| &said.correction)
    }

    /// What was said last of `sample`. Most texts were never spoken of, and need no hash.
    pub(crate) fn of_sample(&self, sample: &Sample) -> Option<&Correction> {
        self.speaks_of(&sample.id).then(|| self.get(&sample.id, TextHash::of(&sample.text)))?
    }

    fn said(&self, id: &SampleId, text_hash: TextHash) -> Option<&Said> {
        let latest = self.latest.get(id)?;
        if latest.correction.text_hash == text_hash {
            return Some(latest);
        }
        self.others.get(&(id.clone(), text_hash))
    }

    /// The line, from 1, that says it; 0 where nothing was said.
    pub(crate) fn said_at(&self, id: &SampleId, text_hash: TextHash) -> u64 {
        self.said(id, text_hash).map_or(0, |said| said.line)
    }

    /// Whether a person gave this text its label after the first `lines`, and it had none of a person then.
    pub(crate) fn is_given_since(&self, id: &SampleId, text_hash: TextHash, lines: u64) -> bool {
        self.said(id, text_hash).and_then(|said| said.given).is_some_and(|given| given > lines)
    }

    /// What was said last of each text.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Correction> {
        self.latest.values().chain(self.others.values()).map(|said| &said.correction)
    }

    /// Lines that were read.
    pub(crate) fn lines(&self) -> u64 {
        self.read.lines
    }

    /// Lines, from 1, that cannot be read.
    pub(crate) fn damaged(&self) -> &[u64] {
        &self.damaged
    }

    /// Tells of damaged lines, but for the first `known`.
    pub(crate) fn tell_damage(&self, known: usize) {
        let Some([first, more @ ..]) = self.damaged.get(known..) else { return };
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        tracing::warn!(
            "{} has damaged lines, {first}{more}: what they say is left out; give those labels again",
            self.path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::Label;

    fn labels() -> LabelSet {
        let label = |name: &str| Label { name: name.into(), description: None, aliases: Vec::new() };
        LabelSet::new(["a", "b \"b\"", "é"].map(label).into()).unwrap()
    }

    fn correction(id: &str, label: Option<u16>) -> Correction {
        let (who, note) = (Some("anna".to_owned()), Some("a\nnote".to_owned()));
        Correction { id: id.into(), text_hash: TextHash::of(id), label: label.map(LabelId), who, note, file: false }
    }

    #[test]
    fn the_last_correction_of_a_text_holds_and_what_is_added_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut read = Corrections::of(dir.path(), labels());
        assert!(!read.has_news() && read.read().unwrap().is_empty());
        keep(dir.path(), &labels(), &[correction("x", Some(1)), correction("y", Some(2))]).unwrap();
        keep(dir.path(), &labels(), &[correction("x", None)]).unwrap();
        assert!(read.has_news());
        assert_eq!(read.read().unwrap(), ["x".into(), "y".into()]);
        assert_eq!(read.get(&"x".into(), TextHash::of("x")), Some(&correction("x", None)));
        assert_eq!(read.get(&"y".into(), TextHash::of("y")), Some(&correction("y", Some(2))));
        assert!(!read.has_news() && read.read().unwrap().is_empty());
        keep(dir.path(), &labels(), &[correction("x", Some(0))]).unwrap();
        assert_eq!(read.read().unwrap(), ["x".into()]);
        assert_eq!((read.iter().count(), read.damaged()), (2, [].as_slice()));
        // Another file in its place is read from its beginning.
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        assert_eq!((read.read().unwrap(), read.iter().count()), (vec![], 0));
    }

    #[test]
    fn what_a_file_said_is_known_whatever_was_said_since() {
        let dir = tempfile::tempdir().unwrap();
        let filed = Correction { file: true, ..correction("x", Some(1)) };
        let mut read = Corrections::of(dir.path(), labels());
        let ids = change(dir.path(), &mut read, |_| vec![filed.clone()]).unwrap();
        assert_eq!((ids, read.get(&"x".into(), TextHash::of("x"))), (vec!["x".into()], Some(&filed)));
        keep(dir.path(), &labels(), &[correction("x", Some(2)), correction("y", Some(0))]).unwrap();
        // Whoever decides knows all that was said by then.
        let ids = change(dir.path(), &mut read, |known| {
            assert_eq!(
                (known.get(&"x".into(), TextHash::of("x")), known.filed(&"x".into())),
                (Some(&correction("x", Some(2))), Some(&filed))
            );
            vec![]
        })
        .unwrap();
        assert_eq!(ids, ["x".into(), "y".into()]);
        assert_eq!(read.filed(&"y".into()), None);
    }

    #[test]
    fn it_is_known_since_when_a_text_has_had_a_label_of_a_person() {
        let dir = tempfile::tempdir().unwrap();
        let said = [("x", Some(1)), ("y", Some(1)), ("x", Some(2)), ("y", None), ("y", Some(0)), ("z", None)];
        keep(dir.path(), &labels(), &said.map(|(id, label)| correction(id, label))).unwrap();
        let mut read = Corrections::of(dir.path(), labels());
        read.read().unwrap();
        let of = |id: &str| {
            let (hash, id) = (TextHash::of(id), id.into());
            (read.said_at(&id, hash), (0..7).filter(|at| read.is_given_since(&id, hash, *at)).count())
        };
        // Each of the first lines, of which so many end before.
        assert_eq!(["x", "y", "z", "other"].map(of), [(3, 1), (5, 5), (6, 0), (0, 0)]);
        let bytes = std::fs::metadata(dir.path().join(FILE)).unwrap().len();
        let mut part = Corrections::of(dir.path(), labels());
        part.read_within(bytes - 1).unwrap();
        assert_eq!((part.lines(), part.said_at(&"z".into(), TextHash::of("z"))), (5, 0));
    }

    #[test]
    fn what_was_said_of_a_text_holds_when_its_id_had_another_text_in_between() {
        let dir = tempfile::tempdir().unwrap();
        let of = |text: &str, label| Correction { text_hash: TextHash::of(text), ..correction("x", label) };
        let said = [of("first", Some(1)), of("second", Some(2)), of("first", Some(0)), of("third", None)];
        keep(dir.path(), &labels(), &said).unwrap();
        let mut read = Corrections::of(dir.path(), labels());
        assert_eq!(read.read().unwrap(), ["x".into()]);
        for last in said.get(1..).unwrap() {
            assert_eq!(read.get(&"x".into(), last.text_hash), Some(last));
        }
        assert_eq!((read.iter().count(), read.get(&"x".into(), TextHash::of("fourth"))), (3, None));
        let first = TextHash::of("first");
        assert_eq!((read.said_at(&"x".into(), first), read.is_given_since(&"x".into(), first, 1)), (3, false));
        assert!(read.speaks_of(&"x".into()) && !read.speaks_of(&"y".into()));
    }

    #[test]
    fn a_torn_line_is_cut_by_the_next_and_a_damaged_one_costs_itself_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        keep(dir.path(), &labels(), &[correction("x", Some(1)), correction("y", Some(2))]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole, whole.get(..20).unwrap()].concat()).unwrap();
        let mut read = Corrections::of(dir.path(), labels());
        assert_eq!(read.read().unwrap().len(), 2);
        assert!(!read.has_news(), "a torn line is no news for ever");
        keep(dir.path(), &labels(), &[correction("z", Some(0))]).unwrap();
        assert!(read.has_news());
        assert_eq!(read.read().unwrap(), ["z".into()]);
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.get_mut(8).unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let mut read = Corrections::of(dir.path(), labels());
        assert_eq!((read.read().unwrap(), read.damaged()), (vec!["y".into(), "z".into()], [1].as_slice()));
    }

    #[test]
    fn writers_beside_each_other_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let dir = dir.path();
                scope.spawn(move || {
                    for number in 0..25 {
                        keep(dir, &labels(), &[correction(&format!("{writer}-{number}"), Some(0))]).unwrap();
                    }
                });
            }
        });
        let mut read = Corrections::of(dir.path(), labels());
        assert_eq!((read.read().unwrap().len(), read.damaged().len()), (100, 0));
    }
}
