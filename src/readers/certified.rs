//! The run's own audit, as `audit.jsonl` has it: what it says of the labels, under which conditions, as a certificate to keep.
//!
//! An audit that goes on is judged by the labels as they are now, final or not, but for what people corrected since the draw: see
//! `population`. One that has ended is not judged again: its certificate
//! is kept, and from the figures in it follows any other threshold.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Serialize;

use super::audit::{Audit, AuditOptions, Share, TestStep, ToLabel, USUAL, test_steps};
use super::audited::{Audited, AuditedSets, Calibrated};
use super::basis::Basis;
use super::certificate::{AuditCertificate, KIND, Methods, SampleFacts, percent};
use super::population::Population;
use super::recalibration::Judged;
use crate::base::date;
use crate::domain::input::Input;
use crate::domain::sample::TextHash;
use crate::error::{Error, Result};
use crate::store::{AUDITS, Audits, DrawnAudit, RunView, no_audit};

/// The figures of an audit.
pub(crate) struct Figures {
    pub(crate) accuracy: Share,
    pub(crate) calibration: Calibrated,
    pub(crate) steps: Vec<TestStep>,
}

impl Figures {
    /// Of labels with these `confidences`, of which some were `judged`.
    pub(crate) fn of(confidences: Vec<f64>, judged: &[Judged]) -> Self {
        let right = judged.iter().filter(|(_, is_right)| *is_right).count() as u64;
        let calibration = Calibrated::new(&confidences, judged);
        Self { accuracy: Share::of(right, judged.len() as u64), calibration, steps: test_steps(confidences) }
    }
}

/// The run's own audit, as it is now or was at its end, with the threshold that `options` ask for; `None` where no sample was drawn,
/// or no label of it counts yet.
///
/// # Errors
///
/// Those of [`audit`](crate::audit), and of `audit.jsonl` where it cannot be read.
pub fn own_certificate(view: &RunView, options: &AuditOptions) -> Result<Option<AuditCertificate>> {
    let mut audits = Audits::of(view.dir(), view.labels().clone());
    audits.read()?;
    let Some(audit) = audits.current() else { return Ok(None) };
    if let Some(kept) = kept(view.dir(), audit)? {
        return Ok(Some(kept.at(options)));
    }
    if audit.prefix().next().is_none() {
        return Ok(None);
    }
    certify(view, &audits, audit, options).map(Some)
}

/// The same; an error that says why where there is none.
pub(crate) fn certificate_of(view: &RunView, options: &AuditOptions) -> Result<AuditCertificate> {
    if let Some(found) = own_certificate(view, options)? {
        return Ok(found);
    }
    let mut audits = Audits::of(view.dir(), view.labels().clone());
    audits.read()?;
    Err(audits.current().map_or_else(|| no_sample(view.dir(), &audits), |_| unfilled(view)))
}

/// That `audits` have no sample, and what to do.
pub(crate) fn no_sample(dir: &Path, audits: &Audits) -> Error {
    match audits.damaged() {
        [] => no_audit(dir),
        damaged => {
            let message = format!(
                "has no sample any more that can be read: {} of its {} line(s) are damaged (`candist check --deep RUN` names them). \
                 Put back a copy of the file, or move it away and draw a sample anew",
                damaged.len(),
                audits.lines()
            );
            Error::Unfit { path: dir.join(AUDITS), message }
        }
    }
}

/// Judges the run in `dir` by its own audit, as [`audit`](crate::audit) does by a sample in a file; with it what has to be known besides.
///
/// # Errors
///
/// Those of [`audit`](crate::audit); [`Error::Unfit`] where the run has no audit, or nothing of it is filled in.
pub fn own_audit(view: &RunView, options: &AuditOptions) -> Result<(Audit, AuditCertificate)> {
    let found = certificate_of(view, options)?;
    let sets = match options.coverage {
        Some(_) if found.ended => {
            let message =
                "has an audit that ended, whose certificate has no sets of labels: judge by a sample with --gold FILE";
            return Err(Error::Unfit { path: view.dir().to_owned(), message: message.to_owned() });
        }
        Some(coverage) => Some(sets(view, coverage)?),
        None => None,
    };
    let audit = Audit {
        audited: found.audited,
        unfilled: found.sample.draws.last().copied().unwrap_or_default().saturating_sub(found.sample.counted),
        foreign: found.sample.foreign,
        // No text of it is corrected before its end.
        given: 0,
        accuracy: found.accuracy,
        teacher_first: found.teacher_first,
        calibration: found.calibration.clone(),
        sets,
        threshold: found.threshold,
    };
    Ok((audit, found))
}

/// The labels of the run's own audit that count, as a sample that was filled in: for other runs to be judged by, and for exports.
///
/// # Errors
///
/// [`Error::Unfit`] where there is no audit, nothing of it is filled in, or its labels are corrections by now: judged by them, their
/// texts are right by definition.
pub fn own_sample(view: &RunView) -> Result<Vec<ToLabel>> {
    let mut audits = Audits::of(view.dir(), view.labels().clone());
    audits.read()?;
    let audit = audits.current().ok_or_else(|| no_sample(view.dir(), &audits))?;
    if audit.ended.as_ref().is_some_and(|ended| ended.corrected.is_some()) {
        let message = "has an audit whose labels are corrections by now: as a sample they would call all of them right";
        return Err(Error::Unfit { path: view.dir().to_owned(), message: message.to_owned() });
    }
    let places: HashMap<_, _> =
        audit.prefix().zip(0_usize..).map(|((text, said), place)| (&text.id, (place, said))).collect();
    let mut rows = BTreeMap::new();
    view.inputs(|input| {
        if let Input::Arrive { sample, .. } = input
            && audit.has(&sample.id, TextHash::of(&sample.text))
            && let Some((place, said)) = places.get(&sample.id)
        {
            let gold = Some(view.labels().name(said.label).to_owned());
            rows.insert(*place, ToLabel { id: sample.id.0, text: sample.text, gold });
        }
        Ok(())
    })?;
    if rows.is_empty() { Err(unfilled(view)) } else { Ok(rows.into_values().collect()) }
}

fn sets(view: &RunView, coverage: f64) -> Result<AuditedSets> {
    let mut audits = Audits::of(view.dir(), view.labels().clone());
    audits.read()?;
    let audit = audits.open().ok_or_else(|| no_sample(view.dir(), &audits))?;
    let population = Population::read(view, Basis::of(view.dir())?, Some(audit.corrections))?;
    Ok(Audited::of(view, &population, audit)?.sets(coverage))
}

fn unfilled(view: &RunView) -> Error {
    let message = "has an audit of which the first text is not labelled yet: label the sample on the page (`candist serve RUN`, \
                   then Audit), in the order in which it was drawn, or give it up with `candist audit RUN --drop`";
    Error::Unfit { path: view.dir().to_owned(), message: message.to_owned() }
}

/// The certificate that an audit ended with; `None` while it goes on.
///
/// # Errors
///
/// [`Error::Unfit`] where it is of another version.
pub(crate) fn kept(dir: &Path, audit: &DrawnAudit) -> Result<Option<AuditCertificate>> {
    let Some(ended) = &audit.ended else { return Ok(None) };
    if ended.certificate.is_null() {
        let message = "has an audit that is over, and the line of its end is damaged: its certificate is lost, draw another sample";
        return Err(Error::Unfit { path: dir.join(AUDITS), message: message.to_owned() });
    }
    serde_json::from_value(ended.certificate.clone()).map(Some).map_err(|error| {
        let message =
            format!("has a certificate that this version cannot read ({error}): use the candist that wrote it");
        Error::Unfit { path: dir.join(AUDITS), message }
    })
}

/// What `audit`, which goes on, says now. Reads the logs.
///
/// # Errors
///
/// Those of [`audit`](crate::audit); [`Error::Unfit`] where nothing of it can be judged.
pub(crate) fn certify(
    view: &RunView,
    audits: &Audits,
    audit: &DrawnAudit,
    options: &AuditOptions,
) -> Result<AuditCertificate> {
    // What is hashed is what is judged by, whatever is added meanwhile.
    let basis = Basis::of(view.dir())?;
    let logs = basis.facts(view.dir(), audits.bytes())?;
    let population = Population::read(view, basis, Some(audit.corrections))?;
    let audited = Audited::of(view, &population, audit)?;
    if audited.rows.is_empty() {
        return Err(unfilled(view));
    }
    let (mut judged, confidences) = (audited.judged(), audited.confidences());
    let figures = Figures::of(confidences, &judged);
    judged.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
    let counted = audit.prefix().count() as u64;
    let sample = SampleFacts {
        seed: audit.seed,
        drawn_at: audit.date.clone(),
        draws: audit.draws.clone(),
        population: audit.population,
        filled: audit.filled(),
        counted,
        foreign: audited.foreign,
        earlier: audits.earlier() as u64,
    };
    let (epsilon, delta) = options.levels(USUAL);
    let known = Known {
        labels: audited.size.labels,
        unsettled: audited.size.unsettled,
        foreign: audited.foreign,
        corrected: population.corrected_since(),
        delta,
    };
    let certificate = AuditCertificate {
        kind: KIND.to_owned(),
        format: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        task: view.task().to_owned(),
        run: view.run().to_owned(),
        date: date::now(),
        ended: false,
        doubts: doubts(audits, audit, &known),
        sample,
        logs,
        labels: audited.size.labels,
        audited: judged.len() as u64,
        accuracy: figures.accuracy,
        teacher_first: audited.share_of(|row| row.is_first_right),
        calibration: figures.calibration,
        epsilon,
        delta,
        threshold: None,
        says: String::new(),
        methods: Methods::default(),
        steps: figures.steps,
        judged,
    };
    Ok(certificate.at(options))
}

/// What else is known of a run when it is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// Labels that an audit is about.
    pub(crate) labels: u64,
    /// Of these, labels that the run may still change.
    pub(crate) unsettled: u64,
    /// Labelled texts that cannot be judged.
    pub(crate) foreign: u64,
    /// Texts that people corrected since the draw.
    pub(crate) corrected: u64,
    pub(crate) delta: f64,
}

/// What an audit holds under, where it is not as one would take it to be.
pub(crate) fn doubts(audits: &Audits, audit: &DrawnAudit, known: &Known) -> Vec<String> {
    let (drawn, filled, counted) = (audit.texts.len() as u64, audit.filled(), audit.prefix().count() as u64);
    let (looks, earlier) = (audit.draws.len(), audits.earlier());
    let drawn_from = audit.population;
    let told = [
        (filled > counted).then(|| {
            format!(
                "{} labelled after a text that was skipped are not counted: label the skipped ones, for texts that are hard to label would \
                 be missing.",
                texts(filled - counted)
            )
        }),
        (counted < drawn).then(|| {
            format!(
                "Only the first {counted} of the {drawn} drawn texts count: they stand for all labels unless it was the figures that made \
                 somebody stop there."
            )
        }),
        (known.labels > drawn_from).then(|| {
            format!(
                "The sample was drawn from {drawn_from} labels, and there are {} now: draw more to take in what has come since.",
                known.labels
            )
        }),
        (known.labels < drawn_from).then(|| {
            format!(
                "The sample was drawn from {drawn_from} labels, and there are only {} now: the others are to be labelled again, or their \
                 texts are gone, and nothing is said of them.",
                known.labels
            )
        }),
        (known.unsettled > 0).then(|| {
            format!(
                "{} of the {} labels are not final: the run may still change them, and this is how good they are just now.",
                known.unsettled, known.labels
            )
        }),
        (known.corrected > 0).then(|| {
            format!(
                "{} corrected since the draw: judged and counted is the label that the run had given, for people's are not what an audit \
                 is about.",
                were(known.corrected)
            )
        }),
        (known.foreign > 0).then(|| {
            format!("{} of the sample have no label now, or another text: they are left out.", texts(known.foreign))
        }),
        (looks > 1).then(|| {
            format!(
                "The sample was made larger after it was drawn, so there were {looks} looks at it: the chance that any of their thresholds \
                 is wrong is {} at most, together.",
                percent((known.delta * looks as f64).min(1.0))
            )
        }),
        (earlier > 0).then(|| {
            let before = if earlier == 1 { "1 audit of this run was labelled" } else { &format!("{earlier} audits of this run were labelled") };
            format!("{before} before: the best of several is no fair judge.")
        }),
        (!audits.damaged().is_empty()).then(|| {
            format!("{} line(s) of audit.jsonl are damaged: what they said is missing.", audits.damaged().len())
        }),
    ];
    told.into_iter().flatten().collect()
}

fn were(count: u64) -> String {
    if count == 1 { "1 text was".to_owned() } else { format!("{count} texts were") }
}

fn texts(count: u64) -> String {
    if count == 1 { "1 text".to_owned() } else { format!("{count} texts") }
}

/// How far a run's own audit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AuditProgress {
    /// Texts of the sample.
    pub drawn: u64,
    /// Of these, texts that a person labelled.
    pub filled: u64,
    /// Whether it goes on.
    pub open: bool,
}

/// How far the latest audit of the run that `view` looks at is; `None` where no sample was drawn.
///
/// # Errors
///
/// [`Error::RunFile`] where `audit.jsonl` cannot be read.
pub fn audit_progress(view: &RunView) -> Result<Option<AuditProgress>> {
    let mut audits = Audits::of(view.dir(), view.labels().clone());
    audits.read()?;
    let progress = |audit: &DrawnAudit| AuditProgress {
        drawn: audit.texts.len() as u64,
        filled: audit.filled(),
        open: audit.is_open(),
    };
    Ok(audits.current().map(progress))
}

#[cfg(test)]
mod tests {
    use super::super::audit::threshold;
    use super::*;

    #[test]
    fn another_threshold_follows_from_what_a_certificate_has() {
        let judged: Vec<Judged> = (0..200).map(|i| (1.0 - f64::from(i) / 200.0, i < 120 || i % 2 == 0)).collect();
        let confidences: Vec<f64> = (0..2000).map(|i| 1.0 - f64::from(i) / 2000.0).collect();
        let figures = Figures::of(confidences, &judged);
        let at = |epsilon| threshold(&figures.steps, &judged, epsilon, 0.05);
        let (strict, lax) = (at(0.05).unwrap(), at(0.2).unwrap());
        assert!(
            lax.confidence < strict.confidence && strict.labels < lax.labels && strict.labels <= 0.65,
            "{strict:?} {lax:?}"
        );
        assert_eq!((at(0.001), figures.accuracy.estimate), (None, 0.8));
    }
}
