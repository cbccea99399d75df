//! The run's own audit as the page has it: what `audit.jsonl` says, and how the labels of the table are judged by it. Nothing is written.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::audit_shapes::{AuditFigures, AuditNow, AuditShown};
use super::desk::Desk;
use super::rows::{FINAL, Row, Table};
use super::shared::Shared;
use crate::audit::MOST;
use crate::domain::label::LabelSet;
use crate::domain::sample::{SampleId, TextHash};
use crate::error::Result;
use crate::readers::audit::{AuditOptions, threshold};
use crate::readers::certificate::says;
use crate::readers::certified::{Figures, Known, doubts, kept};
use crate::readers::probability::Probability;
use crate::readers::recalibration::Judged;
use crate::store::{Audits, DrawnAudit};

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
        let same = |known: &LabelSet| known.iter().map(|label| &label.name).eq(labels.iter().map(|label| &label.name));
        let known = read.take().filter(|(known, _)| same(known));
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

    /// How far the audit is, and what it says.
    ///
    /// # Errors
    ///
    /// Those of [`Auditing::look`], and of a certificate of another version.
    pub(super) fn now(&self, shared: &Shared, desk: &Desk, options: &AuditOptions) -> Result<AuditNow> {
        let labels = shared.table().names.labels.clone();
        let corrections = desk.lines(&labels);
        let is_reading = shared.pulse().status.reading;
        self.look(&labels, |audits| {
            let table = shared.table();
            let (figures, doubts) = match audits.current() {
                Some(audit) => judge(&self.dir, audits, audit, &table, corrections, options)?,
                None => (None, Vec::new()),
            };
            Ok(AuditNow {
                audit: audits.current().map(shown),
                population: finals(&table),
                most: MOST as u64,
                figures,
                doubts,
                reading: is_reading,
            })
        })?
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

fn finals(table: &Table) -> u64 {
    u64::try_from(table.counts.finals).unwrap_or_default()
}

/// What `audit` says: as it was at its end, or by the labels of the table.
fn judge(
    dir: &Path,
    audits: &Audits,
    audit: &DrawnAudit,
    table: &Table,
    corrections: u64,
    options: &AuditOptions,
) -> Result<(Option<AuditFigures>, Vec<String>)> {
    if let Some(kept) = kept(dir, audit)? {
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
        return Ok((Some(figures), kept.doubts));
    }
    let (judged, foreign) = judged(table, audit);
    let known = Known { finals: finals(table), foreign, corrections, delta: options.delta };
    let figures = (!judged.is_empty()).then(|| {
        let all = table.rows().iter().filter(|row| is_final(row)).map(confidence).collect();
        let Figures { accuracy, calibration, steps } = Figures::of(all, &judged);
        let (epsilon, delta) = (options.epsilon, options.delta);
        let threshold = threshold(&steps, &judged, epsilon, delta);
        let (audited, says) = (judged.len() as u64, says(threshold.as_ref(), epsilon, delta));
        AuditFigures { audited, accuracy, calibration, epsilon, delta, threshold, says }
    });
    Ok((figures, doubts(audits, audit, &known)))
}

/// The labels that count, each with whether it is right; and how many texts have no final label, or another text.
fn judged(table: &Table, audit: &DrawnAudit) -> (Vec<Judged>, u64) {
    let (mut judged, mut foreign) = (Vec::new(), 0);
    for (text, said) in audit.prefix() {
        let position = table.ids.position(&text.id.0).filter(|position| table.sampled.contains(position));
        match position.and_then(|position| table.row(position)).filter(is_final) {
            Some(row) => judged.push((confidence(&row), row.label == said.label.0)),
            None => foreign += 1,
        }
    }
    (judged, foreign)
}

fn is_final(row: &Row) -> bool {
    row.is_labelled() && row.has(FINAL)
}

/// As the log has it.
fn confidence(row: &Row) -> f64 {
    Probability::of(f64::from(row.confidence)).get()
}
