//! All that a report tells, counted: the passes over the logs in their order. What is shown of it is `show`'s.

use std::collections::BTreeMap;

use super::answers::Answers;
use super::chosen::{Chosen, Example};
use super::counts::Counts;
use super::judged::{Bin, Gold, Judged, reliability};
use super::people::People;
use super::rows::{Changes, NONE, Rows, needs_judged};
use super::state::{State, last_word, newest};
use super::{Patience, ReportOptions};
use crate::domain::label::LabelId;
use crate::domain::label::LabelSet;
use crate::error::Result;
use crate::readers::audit::AuditOptions;
use crate::readers::audit::Share;
use crate::readers::audited::{Audited, Calibrated};
use crate::readers::certificate::AuditCertificate;
use crate::readers::certified::own_certificate;
use crate::readers::deep::{FileReport, check_deep};
use crate::readers::spending::{Sums, spending};
use crate::store::{Failure, FailureKind, RunView};

/// Rows that could not be used, and texts without an answer, that are shown.
const NOTED: usize = 3;

/// See the module.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) task: String,
    /// The run directory's own name.
    pub(super) directory: String,
    pub(super) state: State,
    pub(super) newest: Option<String>,
    pub(super) labels: LabelSet,
    pub(super) refinery: Option<String>,
    pub(super) events: u64,
    pub(super) counts: Counts,
    pub(super) changes: Changes,
    /// Why confidences are a ranking only, where they are.
    pub(super) doubt: Option<String>,
    pub(super) answers: Answers,
    /// Teachers of the run; `answers` may have others after them.
    pub(super) teachers: usize,
    pub(super) spent: Sums,
    pub(super) judged: Option<Judged>,
    pub(super) audited: Option<AuditFacts>,
    pub(super) people: Vec<(Option<String>, u64)>,
    pub(super) chosen: Chosen,
    pub(super) examples: BTreeMap<u32, Example>,
    /// Rows that could not be used, and texts without an answer: how many, and the first.
    pub(super) bad_rows: (u64, Vec<Failure>),
    pub(super) unanswered: (u64, Vec<Failure>),
    pub(super) checked: Option<Vec<FileReport>>,
}

/// What a sample that a person labelled says.
#[derive(Debug)]
pub(super) struct AuditFacts {
    pub(super) texts: u64,
    pub(super) accuracy: Share,
    pub(super) first: Share,
    pub(super) calibrated: Calibrated,
    pub(super) reliability: Vec<Bin>,
    /// Of the run's own audit.
    pub(super) certificate: Option<AuditCertificate>,
}

impl Facts {
    /// Of the run that `view` looks at.
    pub(super) fn of(view: &RunView, options: &ReportOptions<'_>, patience: Patience<'_>) -> Result<Self> {
        let labels = view.labels().clone();
        // In this order: of a process that ends meanwhile it is told that it ran.
        let (is_live, word) = (view.is_live(), last_word(view.dir()));
        let gold = options.gold.map(|gold| Gold::read(gold, &labels)).transpose()?;
        let mut people = People::read(view)?;
        let answers = Answers::read(view, patience)?;
        let rows = Rows::read(view, gold.as_ref(), &mut people, patience)?;
        let counts = Counts::of(&rows, labels.len(), view.teachers().len());
        if let Some(gold) = &gold {
            needs_judged(&rows, gold, view)?;
        }
        let judged = gold.map(|gold| Judged::new(&rows, &gold, &labels));
        let chosen = Chosen::of(&rows, &counts, judged.as_ref());
        let examples = chosen.read(view, &rows, patience)?;
        let [bad_rows, unanswered] = noted(view)?;
        // Without a text there is no label to be final.
        let is_settled = rows.is_settled || counts.texts == 0;
        Ok(Self {
            task: view.task().to_owned(),
            directory: directory(view),
            state: State::of(is_live, word.as_ref(), rows.ended, is_settled, unanswered.0),
            newest: newest(view),
            refinery: rows.refinery.clone(),
            events: rows.events,
            changes: rows.changes.clone(),
            doubt: word.and_then(|word| word.calibration_doubt).filter(|_| rows.events > 0),
            spent: spending(view, &answers.counts)?,
            teachers: view.teachers().len(),
            audited: AuditFacts::of(view, options)?,
            people: people.by(),
            checked: if options.check { Some(check_deep(view.dir())?) } else { None },
            labels,
            counts,
            answers,
            judged,
            chosen,
            examples,
            bad_rows,
            unanswered,
        })
    }

    /// The name of a label.
    pub(super) fn label(&self, label: u16) -> &str {
        if label == NONE { "none" } else { self.labels.name(LabelId(label)) }
    }

    /// The name of a teacher of the run.
    pub(super) fn teacher(&self, teacher: usize) -> &str {
        self.answers.teachers.get(teacher).map_or("", |teacher| &teacher.teacher)
    }

    /// How good the labels are: by right labels, else by an audit.
    pub(super) fn accuracy(&self) -> Option<Share> {
        let judged = self.judged.as_ref().map(|judged| judged.distilled);
        judged.or_else(|| self.audited.as_ref().map(|audited| audited.accuracy))
    }
}

impl AuditFacts {
    /// Of the sample that was given; where nothing was, of the run's own audit, as far as it is.
    fn of(view: &RunView, options: &ReportOptions<'_>) -> Result<Option<Self>> {
        if let Some(path) = options.audited {
            return Self::read(view, path).map(Some);
        }
        if options.gold.is_some() {
            return Ok(None);
        }
        let own = |found: AuditCertificate| Self {
            texts: found.audited,
            accuracy: found.accuracy,
            first: found.teacher_first,
            calibrated: found.calibration.clone(),
            reliability: reliability(found.judged.clone()),
            certificate: Some(found),
        };
        Ok(own_certificate(view, &AuditOptions::default())?.map(own))
    }

    fn read(view: &RunView, path: &std::path::Path) -> Result<Self> {
        let audited = Audited::read(view, path)?;
        let (texts, judged) = (audited.rows.len() as u64, audited.judged());
        let first = audited.rows.iter().filter(|row| row.is_first_right).count() as u64;
        let right = audited.rows.iter().filter(|row| row.is_right).count() as u64;
        Ok(Self {
            texts,
            accuracy: Share::of(right, texts),
            first: Share::of(first, texts),
            calibrated: Calibrated::new(&audited.confidences(), &judged),
            reliability: reliability(judged),
            certificate: None,
        })
    }
}

/// Its last part alone: where it is on whose machine is nobody's business.
fn directory(view: &RunView) -> String {
    let real = std::fs::canonicalize(view.dir()).unwrap_or_else(|_| view.dir().to_owned());
    real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What the latest run noted: rows that could not be used, and texts without an answer.
fn noted(view: &RunView) -> Result<[(u64, Vec<Failure>); 2]> {
    let noted = view.noted()?;
    let of = |kind: FailureKind| {
        let failures: Vec<&Failure> = noted.iter().filter(|failure| failure.kind == kind).collect();
        (failures.len() as u64, failures.into_iter().take(NOTED).cloned().collect())
    };
    Ok([of(FailureKind::Row), of(FailureKind::Unanswered)])
}
