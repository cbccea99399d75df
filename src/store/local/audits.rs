//! `audit.jsonl`: the samples that were drawn to audit labels, what people said of their texts, and how each audit ended.
//!
//! Sealed lines, as in the other logs; like `corrections.jsonl` it belongs to no run, and the file's own lock keeps writers apart. A
//! draw is one line with all of its texts: one that was cut short is none. What a line says is held against the state that the
//! lines before it make, under the lock, so a label is always of a text of the sample that holds. Nothing that labels reads it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::audit_line::{AuditLine, DrawnText};
use super::drawn_audit::{AuditLabel, DrawnAudit, EndedAudit};
use super::log::{Extent, Log, scan};
use super::shared_log::{FileId, in_turn, look};
use crate::base::disk::Machine;
use crate::base::sealed;
use crate::domain::label::LabelSet;
use crate::error::{Error, Result};

/// The log's name.
pub(crate) const FILE: &str = "audit.jsonl";

/// The audits of a run, as the log has them by now. Reads it once, and then what is added.
#[derive(Debug, Clone)]
pub(crate) struct Audits {
    path: PathBuf,
    labels: LabelSet,
    /// What is read of.
    file: Option<FileId>,
    read: Extent,
    /// The file's length then; more than what was read of it where its last line is torn.
    looked: u64,
    current: Option<DrawnAudit>,
    /// The one before it that ended last: where the sample is given up, it holds again.
    ended: Option<DrawnAudit>,
    /// Seeds of those before it, each with whether anything of it was labelled.
    earlier: Vec<(u64, bool)>,
    damaged: Vec<(u64, String)>,
}

impl Audits {
    /// Of the run directory `dir`, whose task has `labels`. Nothing is read yet.
    pub(crate) fn of(dir: &Path, labels: LabelSet) -> Self {
        let (read, earlier, damaged) = (Extent::default(), Vec::new(), Vec::new());
        Self { path: dir.join(FILE), labels, file: None, read, looked: 0, current: None, ended: None, earlier, damaged }
    }

    /// Whether there is such a log in `dir`.
    pub(crate) fn are_in(dir: &Path) -> bool {
        dir.join(FILE).exists()
    }

    /// Whether there may be something new to read. Costs a look at the file's length.
    #[cfg(feature = "page")]
    pub(crate) fn has_news(&self) -> bool {
        let now = std::fs::metadata(&self.path).map(|file| (Some(FileId::of(&file)), file.len()));
        now.unwrap_or((self.file, 0)) != (self.file, self.looked)
    }

    /// Reads what was added. Damaged lines are left out.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] if the log cannot be read; there need be none.
    pub(crate) fn read(&mut self) -> Result<()> {
        let found = look(&self.path)?;
        let (file, length) = (found.map(|(file, _)| file), found.map_or(0, |(_, length)| length));
        // Another file has taken its place.
        if length < self.read.bytes || (file != self.file && self.read.bytes > 0) {
            (self.read, self.current, self.ended) = (Extent::default(), None, None);
            self.earlier.clear();
            self.damaged.clear();
        }
        (self.file, self.looked) = (file, length);
        if length == self.read.bytes {
            return Ok(());
        }
        let (path, from) = (self.path.clone(), self.read);
        scan(&path, from, &|| false, |scanned| {
            (self.read.bytes, self.read.lines) = (scanned.end(), scanned.number + 1);
            if let Err(why) = self.take(scanned.line) {
                self.damaged.push((scanned.number + 1, why));
            }
            Ok(())
        })
    }

    /// Takes in a line, or says why it is none of this log.
    fn take(&mut self, line: Option<&[u8]>) -> Result<(), String> {
        let line = line.ok_or("does not match its checksum")?;
        let line: AuditLine = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if let AuditLine::Draw { date, seed, more, population, corrections, texts, .. } = line {
            return self.take_draw(more, population, texts, DrawnAudit::new(date, seed, corrections));
        }
        let audit = self.current.as_mut().ok_or("comes before a draw")?;
        // The line that drew it is damaged.
        if line.seed().is_some_and(|seed| seed != audit.seed) {
            return Err("is of another sample than the one before it".to_owned());
        }
        if matches!(line, AuditLine::Drop { .. }) && audit.is_open() {
            self.set_aside();
            self.current = self.ended.take();
            let restored = self.current.as_ref().map(|audit| audit.seed);
            self.earlier.retain(|(seed, _)| Some(*seed) != restored);
            return Ok(());
        }
        match (line, &mut audit.ended) {
            (AuditLine::Label { text, label, who, note, .. }, None) => {
                let (id, text_hash) = text.parts()?;
                let label = label.map(|name| self.labels.exact(&name).ok_or(name)).transpose();
                let label = label.map_err(|name| format!("names {name:?}, no label of the task"))?;
                let place = audit.places.get(&id).copied();
                let text =
                    place.and_then(|place| audit.texts.get_mut(place)).filter(|text| text.text_hash == text_hash);
                let text = text.ok_or("is of a text that is not in the sample")?;
                text.said = label.map(|label| AuditLabel { label, who, note });
            }
            (AuditLine::End { date, certificate, corrections, .. }, ended @ None) => {
                *ended = Some(EndedAudit { date, certificate, corrections, corrected: None });
            }
            (AuditLine::Corrected { labels, .. }, Some(ended)) => ended.corrected = Some(labels),
            // Its end is damaged. Open again, its labels would be right by definition.
            (AuditLine::Corrected { date, labels, .. }, ended @ None) => {
                let (certificate, corrections, corrected) = (Value::Null, None, Some(labels));
                *ended = Some(EndedAudit { date, certificate, corrections, corrected });
                return Err("comes without the end of its audit, which is over all the same".to_owned());
            }
            _ => return Err("comes after the end of its audit".to_owned()),
        }
        Ok(())
    }

    fn take_draw(&mut self, more: bool, population: u64, texts: Vec<DrawnText>, new: DrawnAudit) -> Result<(), String> {
        if more {
            let same = self.current.as_mut().filter(|audit| audit.is_open() && audit.seed == new.seed);
            return same.ok_or("makes a sample larger that there is not")?.draw(population, texts);
        }
        let mut audit = new;
        audit.draw(population, texts)?;
        self.set_aside();
        self.current = Some(audit);
        Ok(())
    }

    fn set_aside(&mut self) {
        let Some(audit) = self.current.take() else { return };
        self.earlier.push((audit.seed, audit.filled() > 0));
        if !audit.is_open() {
            self.ended = Some(audit);
        }
    }

    /// The latest audit.
    pub(crate) fn current(&self) -> Option<&DrawnAudit> {
        self.current.as_ref()
    }

    /// The latest audit, where it has not ended.
    pub(crate) fn open(&self) -> Option<&DrawnAudit> {
        self.current.as_ref().filter(|audit| audit.is_open())
    }

    /// Whether a sample of this seed was drawn before: its texts are known.
    pub(crate) fn has_seed(&self, seed: u64) -> bool {
        let current = self.current.as_ref().map(|audit| audit.seed);
        current == Some(seed) || self.earlier.iter().any(|(earlier, _)| *earlier == seed)
    }

    /// Audits before it, of which something was labelled.
    pub(crate) fn earlier(&self) -> usize {
        self.earlier.iter().filter(|(_, is_labelled)| *is_labelled).count()
    }

    /// Lines that were read.
    pub(crate) fn lines(&self) -> u64 {
        self.read.lines
    }

    /// Bytes that were read.
    pub(crate) fn bytes(&self) -> u64 {
        self.read.bytes
    }

    /// Lines, from 1, that are none of this log, and why.
    pub(crate) fn damaged(&self) -> &[(u64, String)] {
        &self.damaged
    }
}

/// Adds the lines to the log in `dir` that `make` makes of all that is in it. They are on disk when this returns; nobody else writes
/// meanwhile, so `make` reads no log of the run, which may be long. The log is made where `is_first`; else there must be one.
///
/// # Errors
///
/// [`Error::RunFile`], and those of `make`: nothing is added then.
pub(crate) fn change<T>(
    dir: &Path,
    labels: &LabelSet,
    is_first: bool,
    make: impl FnOnce(&Audits) -> Result<(Vec<AuditLine>, T)>,
) -> Result<T> {
    if !is_first && !Audits::are_in(dir) {
        return Err(no_audit(dir));
    }
    in_turn(&dir.join(FILE), || add(dir, labels, make))
}

/// In a turn.
fn add<T>(dir: &Path, labels: &LabelSet, make: impl FnOnce(&Audits) -> Result<(Vec<AuditLine>, T)>) -> Result<T> {
    // Cuts off what a process left that was killed while it wrote: nobody was told that it was kept.
    let (mut log, _) = Log::open(&Machine, &dir.join(FILE))?;
    let mut audits = Audits::of(dir, labels.clone());
    audits.read()?;
    let (lines, made) = make(&audits)?;
    // Strings and numbers: serialising them cannot fail.
    let seal = |line: &AuditLine| sealed::seal(&serde_json::to_string(line).unwrap_or_default());
    if !lines.is_empty() {
        log.append(&lines.iter().map(seal).collect::<Vec<_>>())?;
    }
    Ok(made)
}

/// That no sample was drawn in the run directory `dir`, and what to do.
pub(crate) fn no_audit(dir: &Path) -> Error {
    let message = "has no audit of its own: draw a sample on its page (`candist serve RUN`, then Audit), or print one to fill in \
                   with `candist audit RUN --sample N` and judge by it with --gold FILE";
    Error::Unfit { path: dir.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::Label;
    use crate::domain::lot::lot;
    use crate::domain::sample::TextHash;

    fn labels() -> LabelSet {
        let label = |name: &str| Label { name: name.into(), description: None, aliases: Vec::new() };
        LabelSet::new(["a", "b"].map(label).into()).unwrap()
    }

    fn text(id: &str) -> DrawnText {
        DrawnText::new(&id.into(), TextHash::of(id))
    }

    fn draw(seed: u64, more: bool, ids: &[&str]) -> AuditLine {
        let texts = ids.iter().map(|id| text(id)).collect();
        AuditLine::Draw { date: "now".into(), seed, more, population: 9, corrections: 0, texts, who: None }
    }

    fn label(id: &str, label: Option<&str>) -> AuditLine {
        let (label, who) = (label.map(str::to_owned), Some("anna".to_owned()));
        AuditLine::Label { date: "now".into(), seed: None, text: text(id), label, who, note: None }
    }

    fn add(dir: &Path, lines: Vec<AuditLine>) {
        change(dir, &labels(), true, |_| Ok((lines, ()))).unwrap();
    }

    fn read(dir: &Path) -> Audits {
        let mut audits = Audits::of(dir, labels());
        audits.read().unwrap();
        audits
    }

    fn filled(audits: &Audits) -> (u64, usize, usize) {
        let audit = audits.current().unwrap();
        (audit.filled(), audit.prefix().count(), audit.texts.len())
    }

    #[test]
    fn a_sample_is_filled_made_larger_and_ended() {
        let dir = tempfile::tempdir().unwrap();
        let error = change(dir.path(), &labels(), false, |_| Ok((vec![], ()))).unwrap_err();
        assert!(error.to_string().contains("draw a sample"), "{error}");
        assert!(!Audits::are_in(dir.path()));
        add(dir.path(), vec![draw(7, false, &["x", "y", "z"]), label("x", Some("a")), label("z", Some("b"))]);
        let mut audits = read(dir.path());
        assert_eq!((filled(&audits), audits.damaged().len()), ((2, 1, 3), 0));
        add(dir.path(), vec![label("z", None), label("y", Some("b")), draw(7, true, &["x", "v", "y", "z", "w"])]);
        assert!(audits.has_news());
        audits.read().unwrap();
        assert_eq!((filled(&audits), audits.damaged().len()), ((2, 1, 5), 0));
        assert_eq!(audits.current().unwrap().draws, [3, 5]);
        assert!(audits.open().unwrap().has(&"v".into(), TextHash::of("v")));
        assert!(!audits.open().unwrap().has(&"v".into(), TextHash::of("another")));
        let end = AuditLine::End {
            date: "later".into(),
            seed: None,
            who: None,
            certificate: Value::from(1),
            corrections: Some(4),
        };
        let corrected = AuditLine::Corrected { date: "later".into(), seed: None, who: None, labels: 2 };
        add(dir.path(), vec![end, corrected]);
        let audits = read(dir.path());
        let ended = audits.current().unwrap().ended.clone().unwrap();
        assert_eq!((ended.corrected, ended.certificate, audits.open()), (Some(2), Value::from(1), None));
        assert_eq!(ended.corrections, Some(4));
        add(dir.path(), vec![draw(8, false, &["y"])]);
        let audits = read(dir.path());
        assert_eq!((filled(&audits), audits.earlier(), audits.damaged().len()), ((0, 0, 1), 1, 0));
    }

    #[test]
    fn a_draw_that_was_cut_short_is_none_and_lines_out_of_place_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        add(dir.path(), vec![draw(7, false, &["x", "y"]), label("x", Some("a"))]);
        let whole = std::fs::read(&path).unwrap();
        add(dir.path(), vec![draw(9, false, &["y", "z"])]);
        let longer = std::fs::read(&path).unwrap();
        for end in whole.len()..longer.len() {
            std::fs::write(&path, &longer[..end]).unwrap();
            let audits = read(dir.path());
            assert_eq!((audits.current().unwrap().seed, filled(&audits)), (7, (1, 1, 2)));
        }
        // The next writer keeps one that is all there but for its line feed, and cuts off any other.
        let add_after = |end: usize| {
            std::fs::write(&path, &longer[..end]).unwrap();
            change(dir.path(), &labels(), true, |now| Ok((vec![], now.current().map(|audit| audit.seed)))).unwrap()
        };
        assert_eq!((add_after(longer.len() - 1), add_after(longer.len() - 2)), (Some(9), Some(7)));
        add(dir.path(), vec![label("y", Some("b"))]);
        let audits = read(dir.path());
        assert_eq!((filled(&audits), audits.lines(), audits.damaged().len()), ((2, 2, 2), 3, 0));
        let corrected = AuditLine::Corrected { date: "now".into(), seed: None, who: None, labels: 2 };
        add(dir.path(), vec![label("q", Some("a")), label("x", Some("c")), draw(1, true, &["x"]), corrected]);
        add(dir.path(), vec![draw(2, false, &["x", "x"])]);
        let audits = read(dir.path());
        let wrong: Vec<u64> = audits.damaged().iter().map(|(line, _)| *line).collect();
        assert_eq!((filled(&audits), wrong), ((2, 2, 2), vec![4, 5, 6, 7, 8]));
        assert!(audits.open().is_none(), "its labels are corrections, whatever became of its end");
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.get_mut(8).unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(read(dir.path()).current().is_none());
    }

    #[test]
    fn a_larger_sample_that_leaves_texts_out_keeps_them_with_what_was_said() {
        let dir = tempfile::tempdir().unwrap();
        let mut ids = ["x", "y", "z", "v", "w"];
        ids.sort_by_key(|id| lot(7, &(*id).into()));
        let [first, second, third, fourth, fifth] = ids;
        add(
            dir.path(),
            vec![draw(7, false, &[first, second, third]), label(first, Some("a")), label(second, Some("b"))],
        );
        add(dir.path(), vec![draw(7, true, &[first, third, fourth, fifth])]);
        let audits = read(dir.path());
        let audit = audits.current().unwrap();
        assert!(audit.texts.iter().map(|text| text.id.0.as_str()).eq(ids));
        assert_eq!((filled(&audits), audit.draws.as_slice()), ((2, 2, 5), [3, 5].as_slice()));
        add(dir.path(), vec![label(third, Some("a")), label(second, None)]);
        assert_eq!(filled(&read(dir.path())), (2, 1, 5));
    }

    #[test]
    fn writers_beside_each_other_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let ids: Vec<String> = (0..80).map(|id| id.to_string()).collect();
        add(dir.path(), vec![draw(7, false, &ids.iter().map(String::as_str).collect::<Vec<_>>())]);
        std::thread::scope(|scope| {
            for ids in ids.chunks(20) {
                let dir = dir.path();
                scope.spawn(move || ids.iter().for_each(|id| add(dir, vec![label(id, Some("a"))])));
            }
        });
        let audits = read(dir.path());
        assert_eq!((filled(&audits), audits.damaged().len()), ((80, 80, 80), 0));
    }
}
