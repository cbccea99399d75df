//! The run's own audit as the page has it: what `audit.jsonl` says, and how the labels of the table are judged by it. Nothing is written.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::audit_shapes::{AuditFigures, AuditNow, AuditShown, Difference};
use super::desk::Desk;
use super::rows::{CORRECTED, FINAL, Row, Table};
use super::shared::Shared;
use super::shown::{Known as ShownAs, LISTED, Logs, beginning, id_and_text, known};
use crate::audit::MOST;
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::sample::{SampleId, TextHash};
use crate::error::Result;
use crate::readers::audit::{AuditOptions, USUAL, threshold};
use crate::readers::certificate::says;
use crate::readers::certified::{Figures, Known, doubts, kept};
use crate::readers::probability::Probability;
use crate::readers::recalibration::Judged;
use crate::store::{Audits, DrawnAudit};

/// Differences that are told, at most.
const DIFFERENCES: usize = 100;

/// See the module. Calls block.
#[derive(Debug)]
pub(super) struct Auditing {
    dir: PathBuf,
    /// As far as it was read when somebody last asked, for a task of these labels.
    read: Mutex<Option<(LabelSet, Audits)>>,
}

impl Auditing {
    /// Of the run directory `dir`.
    pub(super) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), read: Mutex::new(None) }
    }

    /// What the log says now.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`](crate::Error::RunFile) where it cannot be read.
    pub(super) fn look<T>(&self, labels: &LabelSet, see: impl FnOnce(&Audits) -> T) -> Result<T> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let known = read.take().filter(|(known, _)| known.has_names_of(labels));
        let (_, audits) = read.insert(known.unwrap_or_else(|| (labels.clone(), Audits::of(&self.dir, labels.clone()))));
        audits.read()?;
        Ok(see(audits))
    }

    /// Whether the text of this id and hash is in the sample of the audit that goes on.
    ///
    /// # Errors
    ///
    /// Those of [`Auditing::look`].
    pub(super) fn has(&self, labels: &LabelSet, id: &SampleId, text_hash: TextHash) -> Result<bool> {
        self.look(labels, |audits| audits.open().is_some_and(|audit| audit.has(id, text_hash)))
    }

    /// How far the audit is, and what it says: at its end, when all of it is labelled, or where somebody wants to know before. Who sees
    /// figures move with each label is told by them what the run says of the text.
    ///
    /// # Errors
    ///
    /// Those of [`Auditing::look`], and of a certificate of another version.
    pub(super) fn now(&self, shared: &Shared, desk: &Desk, options: &AuditOptions, is_early: bool) -> Result<AuditNow> {
        let labels = shared.table().names.labels.clone();
        let is_reading = shared.pulse().status.reading;
        // Nobody waits for what is computed of it.
        let audits = self.look(&labels, Audits::clone)?;
        let given = audits.open().map(|audit| desk.given_since(&labels, audit.corrections)).unwrap_or_default();
        let table = shared.table();
        let held = Held::of(&table, &given);
        let population = held.labels().count() as u64;
        let judged = audits.open().map(|audit| Judging::of(&held, audit));
        let is_told = |audit: &DrawnAudit| is_early || !audit.is_open() || audit.prefix().count() == audit.texts.len();
        let differing = audits.current().filter(|audit| is_told(audit)).map(|audit| differing(&table, audit));
        let logs = Logs::of(&table);
        drop(table);
        let (figures, doubts) = match (audits.current(), judged) {
            (Some(audit), Some(judging)) => {
                let doubts = doubts(&audits, audit, &Known { delta: options.levels(USUAL).1, ..judging.known });
                (if is_told(audit) { judging.figures(options) } else { None }, doubts)
            }
            (Some(audit), None) => at_its_end(&self.dir, audit, options)?,
            (None, _) => (None, Vec::new()),
        };
        Ok(AuditNow {
            audit: audits.current().map(shown),
            population,
            most: MOST as u64,
            figures,
            doubts,
            differences: differing.unwrap_or_default().iter().map(|of| of.shown(&logs, &labels)).collect(),
            reading: is_reading,
        })
    }
}

fn shown(audit: &DrawnAudit) -> AuditShown {
    AuditShown {
        seed: audit.seed,
        drawn_at: audit.date.clone(),
        draws: audit.draws.clone(),
        drawn: audit.texts.len() as u64,
        filled: audit.filled(),
        counted: audit.prefix().count() as u64,
        population: audit.population,
        open: audit.is_open(),
        ended_at: audit.ended.as_ref().map(|ended| ended.date.clone()),
        corrected: audit.ended.as_ref().and_then(|ended| ended.corrected),
    }
}

/// The labels that an audit is about, as `readers::population` has them of the logs.
struct Held<'a> {
    table: &'a Table,
    /// Texts that people corrected since the draw.
    since: HashSet<u32>,
}

impl<'a> Held<'a> {
    /// Of `table`, where people gave labels to the texts with the ids `given` since the draw.
    fn of(table: &'a Table, given: &[String]) -> Self {
        let is_given = |position: &u32| table.ended().get(*position as usize).is_some_and(|row| row.has(CORRECTED));
        let since = given.iter().filter_map(|id| table.ids.position(id)).filter(is_given).collect();
        Self { table, since }
    }

    /// What is judged of the text at `position`.
    fn label(&self, position: u32) -> Option<Row> {
        let row = self.table.ended().get(position as usize).copied()?;
        let held = if self.since.contains(&position) { self.table.unaided(position) } else { Some(row) };
        held.filter(Row::is_labelled)
    }

    /// All of them; none before one is final.
    fn labels(&self) -> impl Iterator<Item = Row> {
        let places = u32::try_from(self.table.ended().len()).unwrap_or(u32::MAX);
        let all = (0..places).filter_map(|position| self.label(position));
        all.filter(|_| self.table.counts.finals > 0)
    }
}

/// A text of the sample, as a person and the run itself have it.
struct Differing {
    known: ShownAs,
    said: LabelId,
    row: Row,
}

/// Those of which the run itself has another label than the person, whatever was corrected since.
fn differing(table: &Table, audit: &DrawnAudit) -> Vec<Differing> {
    let all = audit.prefix().filter_map(|(text, said)| {
        let position = table.ids.position(&text.id.0)?;
        let row = table.unaided(position).filter(|row| row.label != said.label.0)?;
        Some(Differing { known: known(table, position)?, said: said.label, row })
    });
    all.take(DIFFERENCES).collect()
}

impl Differing {
    /// Reads the text.
    fn shown(&self, logs: &Logs, labels: &LabelSet) -> Difference {
        let text = id_and_text(&self.known, logs).map(|(_, text)| text).unwrap_or_default();
        let name = |label: LabelId| labels.name(label).to_owned();
        Difference {
            position: self.known.position.into(),
            text: beginning(text, LISTED).0,
            said: name(self.said),
            label: name(LabelId(self.row.label)),
            confidence: confidence(&self.row),
        }
    }
}

/// What `audit`, which has ended, said at its end.
fn at_its_end(dir: &Path, audit: &DrawnAudit, options: &AuditOptions) -> Result<(Option<AuditFigures>, Vec<String>)> {
    let Some(kept) = kept(dir, audit)? else { return Ok((None, Vec::new())) };
    let kept = kept.at(options);
    let figures = AuditFigures {
        audited: kept.audited,
        accuracy: kept.accuracy,
        calibration: kept.calibration,
        epsilon: kept.epsilon,
        delta: kept.delta,
        threshold: kept.threshold,
        says: kept.says,
    };
    Ok((Some(figures), kept.doubts))
}

/// What an audit that goes on is judged by, apart from the table.
struct Judging {
    judged: Vec<Judged>,
    /// Of all labels.
    confidences: Vec<f64>,
    known: Known,
}

impl Judging {
    fn of(held: &Held<'_>, audit: &DrawnAudit) -> Self {
        let (judged, foreign) = judged(held, audit);
        let confidences: Vec<f64> = held.labels().map(|row| confidence(&row)).collect();
        let known = Known {
            labels: confidences.len() as u64,
            unsettled: held.labels().filter(|row| !row.has(FINAL)).count() as u64,
            foreign,
            corrected: held.since.len() as u64,
            delta: 0.0,
        };
        Self { judged, confidences, known }
    }

    /// None before a label counts.
    fn figures(self, options: &AuditOptions) -> Option<AuditFigures> {
        if self.judged.is_empty() {
            return None;
        }
        let Figures { accuracy, calibration, steps } = Figures::of(self.confidences, &self.judged);
        let (epsilon, delta) = options.levels(USUAL);
        let threshold = threshold(&steps, &self.judged, epsilon, delta);
        let (audited, says) = (self.judged.len() as u64, says(threshold.as_ref(), epsilon, delta));
        Some(AuditFigures { audited, accuracy, calibration, epsilon, delta, threshold, says })
    }
}

/// The labels that count, each with whether it is right; and how many texts have no label, or another text.
fn judged(held: &Held<'_>, audit: &DrawnAudit) -> (Vec<Judged>, u64) {
    let (mut judged, mut foreign) = (Vec::new(), 0);
    for (text, said) in audit.prefix() {
        let position = held.table.ids.position(&text.id.0).filter(|position| held.table.sampled.contains(position));
        match position.and_then(|position| held.label(position)) {
            Some(row) => judged.push((confidence(&row), row.label == said.label.0)),
            None => foreign += 1,
        }
    }
    (judged, foreign)
}

/// As the log has it.
fn confidence(row: &Row) -> f64 {
    Probability::of(f64::from(row.confidence)).get()
}
