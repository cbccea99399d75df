//! The run's own audit as the page has it: what `audit.jsonl` says, and how the labels of the table are judged by it. Nothing is written.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::audit_shapes::{AuditFigures, AuditNow, AuditShown};
use super::desk::Desk;
use super::rows::{CORRECTED, FINAL, Row, Table};
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
        let is_reading = shared.pulse().status.reading;
        self.look(&labels, |audits| {
            let given = audits.open().map(|audit| desk.given_since(&labels, audit.corrections)).unwrap_or_default();
            let table = shared.table();
            let held = Held::of(&table, &given);
            let (figures, doubts) = match audits.current() {
                Some(audit) => judge(&self.dir, audits, audit, &held, options)?,
                None => (None, Vec::new()),
            };
            Ok(AuditNow {
                audit: audits.current().map(shown),
                population: held.labels().count() as u64,
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

/// What `audit` says: as it was at its end, or by the labels of the table.
fn judge(
    dir: &Path,
    audits: &Audits,
    audit: &DrawnAudit,
    held: &Held<'_>,
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
    let (judged, foreign) = judged(held, audit);
    let known = Known {
        labels: held.labels().count() as u64,
        unsettled: held.labels().filter(|row| !row.has(FINAL)).count() as u64,
        foreign,
        corrected: held.since.len() as u64,
        delta: options.delta,
    };
    let figures = (!judged.is_empty()).then(|| {
        let all = held.labels().map(|row| confidence(&row)).collect();
        let Figures { accuracy, calibration, steps } = Figures::of(all, &judged);
        let (epsilon, delta) = (options.epsilon, options.delta);
        let threshold = threshold(&steps, &judged, epsilon, delta);
        let (audited, says) = (judged.len() as u64, says(threshold.as_ref(), epsilon, delta));
        AuditFigures { audited, accuracy, calibration, epsilon, delta, threshold, says }
    });
    Ok((figures, doubts(audits, audit, &known)))
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
