//! An audit by people: a random sample is drawn, labelled text by text, and ended with a certificate. All of it is kept in
//! `audit.jsonl` before anybody is told so, and nothing of it reaches student or refinery.

use std::collections::HashMap;

use crate::base::date;
use crate::domain::label::LabelId;
use crate::domain::sample::{Sample, SampleId, TextHash};
use crate::error::{Error, Result};
use crate::flow::correct::{NewCorrection, resolve};
use crate::readers::audit::AuditOptions;
use crate::readers::certificate::AuditCertificate;
use crate::readers::certified::{certify, kept};
use crate::readers::drawing::{Lot, drawing, lot};
use crate::store::{
    AuditLabel, AuditLine, AuditText, Audits, Correction, Corrections, DrawnAudit, DrawnText, RunView, change_audits,
    keep_corrections, no_audit,
};

/// Texts of a sample, at most: a person labels them.
pub(crate) const MOST: usize = 10_000;

/// Draws `count` of the final labels for an audit, which takes the place of the one before. Without a `seed`, one is drawn too.
///
/// # Errors
///
/// Those of [`draw`](crate::draw); [`Error::Unfit`] for a count that cannot be, a seed that was used before, and an audit that goes on,
/// unless it is to be dropped: `anew`.
pub fn draw_audit(view: &RunView, count: usize, seed: Option<u64>, anew: bool, who: Option<&str>) -> Result<()> {
    check_count(view, count)?;
    // A seed that JSON's readers keep whole.
    let seed = seed.unwrap_or_else(|| rand::random::<u64>() >> 11);
    // Before the log is made: there may be nothing to draw from.
    let drawing = drawing(view, count, seed, None, text_of)?;
    let mut corrections = Corrections::of(view.dir(), view.labels().clone());
    corrections.read()?;
    change_audits(view.dir(), view.labels(), true, |audits| {
        if audits.open().is_some() && !anew {
            return Err(unfit(view, "has an audit that goes on: draw more for it, or end it first"));
        }
        let before = audits.current().map(|audit| audit.seed);
        if audits.earlier().iter().chain(&before).any(|earlier| *earlier == seed) {
            let message = format!(
                "was audited with the seed {seed} before, and its texts are known: leave it out, or take another"
            );
            return Err(unfit(view, &message));
        }
        let (population, who, corrections) = (drawing.population, who.map(str::to_owned), corrections.lines());
        let (date, texts) = (date::now(), drawing.drawn);
        Ok((vec![AuditLine::Draw { date, seed, more: false, population, corrections, texts, who }], ()))
    })
}

/// Makes the sample of the audit that goes on larger, to `count` texts at least; those that it has stay, and so does what was said of
/// them. Texts that came since the draw are drawn with the same chance as the others.
///
/// # Errors
///
/// Those of [`draw_audit`]; [`Error::Unfit`] where no audit goes on, or the sample is as large already.
pub fn draw_more(view: &RunView, count: usize, who: Option<&str>) -> Result<()> {
    check_count(view, count)?;
    change_audits(view.dir(), view.labels(), false, |audits| {
        let audit = open(view, audits)?;
        let (seed, size) = (audit.seed, audit.texts.len());
        if count <= size {
            return Err(unfit(view, &format!("has an audit of {size} texts: ask for more than that")));
        }
        let last: Option<Lot> = audit.texts.iter().map(|text| lot(seed, &text.id)).max();
        let drawing = drawing(view, count, seed, last, text_of)?;
        if drawing.drawn.len() <= size {
            return Err(unfit(view, "has no more final labels to draw: all of them are in the sample"));
        }
        let (population, who, corrections) = (drawing.population, who.map(str::to_owned), audit.corrections);
        let (date, texts) = (date::now(), drawing.drawn);
        Ok((vec![AuditLine::Draw { date, seed, more: true, population, corrections, texts, who }], ()))
    })
}

fn check_count(view: &RunView, count: usize) -> Result<()> {
    if (1..=MOST).contains(&count) {
        return Ok(());
    }
    Err(unfit(view, &format!("is audited by a sample of 1 to {MOST} texts")))
}

fn text_of(sample: Sample) -> DrawnText {
    DrawnText::new(&sample.id, TextHash::of(&sample.text))
}

/// Keeps what a person says of a text of the sample; without a label, what was said before is taken back. On disk when this returns.
///
/// # Errors
///
/// [`Error::Unfit`] where no audit goes on, the text is not of its sample, or the label is none of the task; [`Error::RunFile`] where it
/// cannot be written.
pub fn label_audited(view: &RunView, said: &NewCorrection, who: Option<&str>) -> Result<()> {
    change_audits(view.dir(), view.labels(), false, |audits| {
        let (audit, id) = (open(view, audits)?, SampleId(said.id.clone()));
        let text = audit.text(&id).ok_or_else(|| {
            unfit(view, &format!("has another sample by now, without the text {:?}: load the page again", id.0))
        })?;
        let label = said.label.as_deref().map(|name| resolve(view, view.labels(), name)).transpose()?;
        let label = label.map(|label| view.labels().name(label).to_owned());
        let (text, date, who) = (DrawnText::new(&id, text.text_hash), date::now(), who.map(str::to_owned));
        Ok((vec![AuditLine::Label { date, text, label, who, note: said.note.clone() }], ()))
    })
}

/// Ends the audit that goes on, with its certificate as it is now.
///
/// # Errors
///
/// Those of [`audit`](crate::audit); [`Error::Unfit`] where no audit goes on, or nothing of it is filled in.
pub fn end_audit(view: &RunView, options: &AuditOptions, who: Option<&str>) -> Result<AuditCertificate> {
    change_audits(view.dir(), view.labels(), false, |audits| {
        let certificate = certify(view, audits, open(view, audits)?, options)?.ended();
        // Strings and finite numbers: it cannot fail.
        let kept = serde_json::to_value(&certificate).unwrap_or_default();
        let end = AuditLine::End { date: certificate.date.clone(), who: who.map(str::to_owned), certificate: kept };
        Ok((vec![end], certificate))
    })
}

/// Takes the labels of the audit, which has ended, as corrections: how many texts have another label by it than people gave them before.
/// Those of texts that were skipped over count too.
///
/// # Errors
///
/// [`Error::Unfit`] where there is no audit, or it goes on; [`Error::RunFile`] where it cannot be written.
pub fn correct_audited(view: &RunView, who: Option<&str>) -> Result<u64> {
    change_audits(view.dir(), view.labels(), false, |audits| {
        let audit = audits.current().ok_or_else(|| no_audit(view.dir()))?;
        if audit.is_open() {
            return Err(unfit(
                view,
                "has an audit that goes on: its labels may become corrections when it has ended (--end)",
            ));
        }
        // Reads it: a certificate that nobody can read ended nothing.
        kept(view.dir(), audit)?;
        let new = corrections_of(view, audit)?;
        // A kill between the two has them taken again, which changes nothing.
        keep_corrections(view.dir(), view.labels(), &new)?;
        let labels = new.len() as u64;
        Ok((
            vec![AuditLine::Corrected { date: date::now(), who: who.map(str::to_owned), labels: audit.filled() }],
            labels,
        ))
    })
}

/// What people said of the sample, but for what they said as a correction before.
fn corrections_of(view: &RunView, audit: &DrawnAudit) -> Result<Vec<Correction>> {
    let mut known = Corrections::of(view.dir(), view.labels().clone());
    known.read()?;
    let known: HashMap<&SampleId, (TextHash, Option<LabelId>)> =
        known.iter().map(|known| (&known.id, (known.text_hash, known.label))).collect();
    let said = audit.texts.iter().filter_map(|text| Some((text, text.said.clone()?)));
    let new = said.filter(|(text, said)| known.get(&text.id) != Some(&(text.text_hash, Some(said.label))));
    let correction = |(text, said): (&AuditText, AuditLabel)| Correction {
        id: text.id.clone(),
        text_hash: text.text_hash,
        label: Some(said.label),
        who: said.who,
        note: said.note,
        file: false,
    };
    Ok(new.map(correction).collect())
}

fn open<'a>(view: &RunView, audits: &'a Audits) -> Result<&'a DrawnAudit> {
    let ended = || unfit(view, "has an audit that has ended: draw another sample");
    match audits.current() {
        None => Err(no_audit(view.dir())),
        Some(_) => audits.open().ok_or_else(ended),
    }
}

fn unfit(view: &RunView, message: &str) -> Error {
    Error::Unfit { path: view.dir().to_owned(), message: message.to_owned() }
}
