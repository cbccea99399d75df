//! An audit by people: a random sample is drawn, labelled text by text, and ended with a certificate. All of it is kept in
//! `audit.jsonl` before anybody is told so, and nothing of it reaches student or refinery.

use std::collections::BTreeMap;

use crate::base::date;
use crate::domain::lot::lot;
use crate::domain::sample::{Sample, SampleId, TextHash};
use crate::error::{Error, Result};
use crate::flow::correct::{NewCorrection, resolve};
use crate::readers::audit::AuditOptions;
use crate::readers::basis::Basis;
use crate::readers::certificate::AuditCertificate;
use crate::readers::certified::{certify, kept, no_sample};
use crate::readers::drawing::{Drawing, Smaller, drawing};
use crate::readers::population::Population;
use crate::store::{
    AuditLabel, AuditLine, AuditText, Audits, Correction, Corrections, DrawnAudit, DrawnText, RunView, change_audits,
    change_corrections, no_audit,
};

/// Texts of a sample, at most: a person labels them.
pub(crate) const MOST: usize = 10_000;

/// How often an audit is judged again that people label while it is to end.
const TRIES: usize = 5;

/// Draws `count` of the labels for an audit, which takes the place of the one before. Without a `seed`, one is drawn too.
///
/// # Errors
///
/// Those of [`draw`](crate::draw); [`Error::Unfit`] for a count that cannot be, a seed that was used before, and an audit that goes on,
/// unless nothing of it is labelled and it is to be dropped: `anew`.
pub fn draw_audit(view: &RunView, count: usize, seed: Option<u64>, anew: bool, who: Option<&str>) -> Result<()> {
    check_count(view, count)?;
    // A seed that JSON's readers keep whole.
    let seed = seed.unwrap_or_else(|| rand::random::<u64>() >> 11);
    // Before the log is made: there may be nothing to draw from. What is corrected meanwhile counts as corrected since.
    let of = Population::now(view)?;
    let drawing = drawing(view, &of, (count, seed), None, text_of)?;
    change_audits(view.dir(), view.labels(), true, |audits| {
        match audits.open().map(DrawnAudit::filled) {
            Some(_) if !anew => {
                return Err(unfit(view, "has an audit that goes on: draw more for it, or end it first"));
            }
            // Somebody else's, perhaps, who labelled it just now.
            Some(labelled @ 1..) => {
                let message =
                    format!("has an audit of which {labelled} label(s) are given: end it first, and they are not lost");
                return Err(unfit(view, &message));
            }
            _ => {}
        }
        if audits.has_seed(seed) {
            let message = format!(
                "was audited with the seed {seed} before, and its texts are known: leave it out, or take another"
            );
            return Err(unfit(view, &message));
        }
        let (population, who, corrections) = (drawing.population, who.map(str::to_owned), of.corrections);
        let (date, texts) = (date::now(), drawing.drawn);
        Ok((vec![AuditLine::Draw { date, seed, more: false, population, corrections, texts, who }], ()))
    })
}

/// Makes the sample of the audit that goes on larger, to `count` texts at least; those that it has stay, and so does what was said of
/// them. Texts that came since the draw are drawn with the same chance as the others.
///
/// # Errors
///
/// Those of [`draw_audit`]; [`Error::Unfit`] where no audit goes on, the sample is as large already, or so much came since that it would
/// be far larger.
pub fn draw_more(view: &RunView, count: usize, who: Option<&str>) -> Result<()> {
    check_count(view, count)?;
    let audits = read(view)?;
    let audit = open(view, &audits)?;
    if count <= audit.texts.len() {
        let message = format!("has an audit of {} texts: ask for more than that", audit.texts.len());
        return Err(unfit(view, &message));
    }
    let larger = larger(view, audit, count)?;
    change_audits(view.dir(), view.labels(), false, |audits| {
        let now = open(view, audits)?;
        if (now.seed, &now.draws) != (audit.seed, &audit.draws) {
            return Err(unfit(view, "has another sample since just now: look at it, and draw more then"));
        }
        let (date, seed, corrections, who) = (date::now(), audit.seed, audit.corrections, who.map(str::to_owned));
        let (population, texts) = (larger.population, larger.drawn);
        Ok((vec![AuditLine::Draw { date, seed, more: true, population, corrections, texts, who }], ()))
    })
}

/// The sample of `audit` with `count` texts: its own, also those that have no label just now, and others, in drawn order.
fn larger(view: &RunView, audit: &DrawnAudit, count: usize) -> Result<Drawing<DrawnText>> {
    let ticket = |id: &SampleId, text: TextHash| ((lot(audit.seed, id), id.0.clone()), DrawnText::new(id, text));
    let own: BTreeMap<_, _> = audit.texts.iter().map(|text| ticket(&text.id, text.text_hash)).collect();
    let Some(((least, _), _)) = own.last_key_value() else { return Err(no_audit(view.dir())) };
    let smaller = Smaller { least: *least, most: most(count) };
    let population = Population::read(view, Basis::of(view.dir())?, Some(audit.corrections))?;
    let take = |sample: Sample| ticket(&sample.id, TextHash::of(&sample.text));
    let drawing = drawing(view, &population, (count, audit.seed), Some(smaller), take)?;
    if drawing.due > smaller.most {
        return Err(too_many(view, audit, &drawing, count));
    }
    let (mut all, size) = (own.clone(), own.len());
    all.extend(drawing.drawn);
    if all.len() <= size {
        return Err(unfit(view, "has no more labels to draw: all of them are in the sample"));
    }
    let due = all.keys().filter(|(lot, _)| lot <= least).count();
    let drawn = all.into_values().take(count.max(due)).collect();
    Ok(Drawing { drawn, population: drawing.population, due: drawing.due })
}

/// Texts of a sample that was to have `count`, at most.
fn most(count: usize) -> usize {
    count.saturating_mul(2).min(MOST)
}

fn too_many<T>(view: &RunView, audit: &DrawnAudit, drawing: &Drawing<T>, count: usize) -> Error {
    let (due, came) = (drawing.due, drawing.population.saturating_sub(audit.population));
    let ask = if due <= MOST { format!("ask for {due} texts, or draw") } else { "draw".to_owned() };
    let message = format!(
        "has {came} more labels than at the draw, and a larger sample takes in as great a part of them: {due} texts in all, far more than \
         {count}. End the audit as it is, or {ask} a sample anew"
    );
    unfit(view, &message)
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

/// Keeps what a person says of a text of the sample, whose hash is `text_hash` where they know it; without a label, what was said before is
/// taken back. On disk when this returns.
///
/// # Errors
///
/// [`Error::Unfit`] where no audit goes on, the text is not of its sample, or the label is none of the task; [`Error::RunFile`] where it
/// cannot be written.
pub fn label_audited(view: &RunView, said: &NewCorrection, text_hash: Option<&str>, who: Option<&str>) -> Result<()> {
    change_audits(view.dir(), view.labels(), false, |audits| {
        let (audit, id) = (open(view, audits)?, SampleId(said.id.clone()));
        let is_this = |text: &&AuditText| text_hash.is_none_or(|hash| text.text_hash.to_hex() == hash);
        let text = audit.text(&id).filter(is_this).ok_or_else(|| {
            unfit(view, &format!("has another sample by now, without the text {:?}: load the page again", id.0))
        })?;
        let label = said.label.as_deref().map(|name| resolve(view, view.labels(), name)).transpose()?;
        let label = label.map(|label| view.labels().name(label).to_owned());
        let (text, date, who) = (DrawnText::new(&id, text.text_hash), date::now(), who.map(str::to_owned));
        Ok((vec![AuditLine::Label { date, seed: Some(audit.seed), text, label, who, note: said.note.clone() }], ()))
    })
}

/// Ends the audit that goes on, with its certificate as it is now.
///
/// # Errors
///
/// Those of [`audit`](crate::audit); [`Error::Unfit`] where no audit goes on, nothing of it is filled in, or people label it so fast that
/// there is no certificate of all that they say.
pub fn end_audit(view: &RunView, options: &AuditOptions, who: Option<&str>) -> Result<AuditCertificate> {
    for _ in 0..TRIES {
        let audits = read(view)?;
        let certificate = certify(view, &audits, open(view, &audits)?, options)?.ended();
        // Strings and finite numbers: it cannot fail.
        let kept = serde_json::to_value(&certificate).unwrap_or_default();
        let is_kept = change_audits(view.dir(), view.labels(), false, |now| {
            let seed = Some(open(view, now)?.seed);
            // Of more than was judged: once again. Judging reads long logs, for which nobody who labels should have to wait.
            if now.bytes() != audits.bytes() {
                return Ok((Vec::new(), false));
            }
            let (date, corrections) = (certificate.date.clone(), Some(corrections(view)?.lines()));
            Ok((vec![AuditLine::End { date, seed, who: who.map(str::to_owned), certificate: kept, corrections }], true))
        })?;
        if is_kept {
            return Ok(certificate);
        }
    }
    Err(unfit(
        view,
        "has an audit that is labelled just now: end it when nobody labels, and nothing that they say is left out",
    ))
}

/// Gives up the sample of the audit that goes on, of which nothing counts: its texts can be corrected again, and the audit before it that had
/// ended, if any, holds again.
/// Gives how many of its texts people had labelled all the same, after one that they skipped.
///
/// # Errors
///
/// [`Error::Unfit`] where no audit goes on, or labels of it count; [`Error::RunFile`] where it cannot be written.
pub fn drop_audit(view: &RunView, who: Option<&str>) -> Result<u64> {
    change_audits(view.dir(), view.labels(), false, |audits| {
        let audit = open(view, audits)?;
        if audit.filled() > 0 && !audits.damaged().is_empty() {
            let message = "has an audit of which labels cannot be read, or all of them would count, perhaps: put back a copy of audit.jsonl \
                           (`candist check --deep RUN` names the lines), or draw a sample anew";
            return Err(unfit(view, message));
        }
        let counted = audit.prefix().count();
        if counted > 0 {
            let message =
                format!("has an audit of which {counted} label(s) count: end it (--end), and they are not lost");
            return Err(unfit(view, &message));
        }
        let (date, who) = (date::now(), who.map(str::to_owned));
        Ok((vec![AuditLine::Drop { date, seed: Some(audit.seed), who }], audit.filled()))
    })
}

/// Takes the labels of the audit, which has ended, as corrections, once: how many texts have another label by it than people gave them
/// before. Those of texts that were skipped over count too. What people said of a text after the audit had ended stands.
///
/// # Errors
///
/// [`Error::Unfit`] where there is no audit, it goes on, or its labels were taken already; [`Error::RunFile`] where it cannot be written.
pub fn correct_audited(view: &RunView, who: Option<&str>) -> Result<u64> {
    change_audits(view.dir(), view.labels(), false, |audits| {
        let audit = audits.current().ok_or_else(|| no_sample(view.dir(), audits))?;
        let Some(ended) = &audit.ended else {
            return Err(unfit(
                view,
                "has an audit that goes on: its labels may become corrections when it has ended (--end)",
            ));
        };
        if ended.corrected.is_some() {
            let message = "has an audit whose labels are corrections already: they are taken once, and what people said since stands";
            return Err(unfit(view, message));
        }
        // Reads it: a certificate that nobody can read ended nothing.
        kept(view.dir(), audit)?;
        // Older logs do not say how many there were at the end. No text of a sample is corrected before.
        let lines = ended.corrections.unwrap_or(audit.corrections);
        let (mut known, mut stands, mut count) = (Corrections::of(view.dir(), view.labels().clone()), 0, 0);
        // Whoever corrects a text meanwhile comes before or after this, and stands. A kill between the two logs has labels taken again,
        // which changes nothing.
        change_corrections(view.dir(), &mut known, |known| {
            let (new, labels) = corrections_of(known, audit, lines);
            (count, stands) = (new.len() as u64, labels);
            new
        })?;
        let (date, who) = (date::now(), who.map(str::to_owned));
        Ok((vec![AuditLine::Corrected { date, seed: Some(audit.seed), who, labels: stands }], count))
    })
}

/// What people said of the sample, but for what they said as a correction before, and for texts of which corrections.jsonl says something
/// else after its first `lines`; and how many texts have the label of the audit then.
fn corrections_of(known: &Corrections, audit: &DrawnAudit, lines: u64) -> (Vec<Correction>, u64) {
    let (mut new, mut stands) = (Vec::new(), 0);
    for text in &audit.texts {
        let Some(AuditLabel { label, who, note }) = text.said.clone() else { continue };
        let before = known.get(&text.id, text.text_hash);
        let is_known = before.is_some_and(|known| known.label == Some(label));
        if !is_known && before.is_some() && known.said_at(&text.id, text.text_hash) > lines {
            continue;
        }
        stands += 1;
        if !is_known {
            let (id, text_hash) = (text.id.clone(), text.text_hash);
            new.push(Correction { id, text_hash, label: Some(label), who, note, file: false });
        }
    }
    (new, stands)
}

fn corrections(view: &RunView) -> Result<Corrections> {
    let mut corrections = Corrections::of(view.dir(), view.labels().clone());
    corrections.read()?;
    Ok(corrections)
}

fn read(view: &RunView) -> Result<Audits> {
    let mut audits = Audits::of(view.dir(), view.labels().clone());
    audits.read()?;
    Ok(audits)
}

fn open<'a>(view: &RunView, audits: &'a Audits) -> Result<&'a DrawnAudit> {
    let ended = || unfit(view, "has an audit that has ended: draw another sample");
    match audits.current() {
        None => Err(no_sample(view.dir(), audits)),
        Some(_) => audits.open().ok_or_else(ended),
    }
}

fn unfit(view: &RunView, message: &str) -> Error {
    Error::Unfit { path: view.dir().to_owned(), message: message.to_owned() }
}
