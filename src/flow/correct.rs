//! Labels that a person gives the texts of a run, or takes back: kept at once, taken in by the run, or by the next one.

use std::collections::HashMap;

use super::sampled::refuse_audited;
use crate::domain::input::Input;
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::sample::{SampleId, TextHash};
use crate::error::{Error, Result};
use crate::store::{Correction, Corrections, RunView, change_corrections};

/// Ids that an error names, at most.
const NAMED: usize = 3;

/// A label that a person gives a text, or takes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCorrection {
    /// The text's id.
    pub id: String,
    /// The label, by its name; `None` takes back the one that was given.
    pub label: Option<String>,
    /// Whatever is to be kept with it.
    pub note: Option<String>,
}

/// What became of corrections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Corrected {
    /// Labels that are now kept.
    pub given: u64,
    /// Those of them that stand in the place of another label that a person gave before.
    pub replaced: u64,
    /// Labels that are taken back.
    pub taken_back: u64,
    /// Corrections that say what was said before.
    pub same: u64,
}

/// Keeps `corrections` of the run that `view` looks at, all of them or, where one of them does not fit, none; `who` is whoever gives them. They are on disk when
/// this returns, and hold from then on, whether a run goes on beside it or not: tables, `latest` and evaluations have them at
/// once, the label log when a run has taken them in. Of several for one text the last holds.
///
/// A correction is evidence too: the student learns from it, and the refinery how teachers err.
///
/// # Errors
///
/// [`Error::Unfit`] for an id that the run does not have, a label that is none of its task, or a text of an audit that goes on: nothing is
/// kept then.
/// [`Error::RunFile`] where it cannot be written; the first of them may be kept then, and giving all of them again is no harm.
///
/// ```no_run
/// use candist::{NewCorrection, RunDir, correct};
///
/// let view = RunDir::view("runs/support".as_ref())?;
/// let correction = NewCorrection { id: "17".into(), label: Some("refund".into()), note: None };
/// correct(&view, &[correction], Some("anna"))?;
/// # Ok::<(), candist::Error>(())
/// ```
pub fn correct(view: &RunView, corrections: &[NewCorrection], who: Option<&str>) -> Result<Corrected> {
    let labels = view.labels();
    let hashes = hashes(view, corrections)?;
    refuse_audited(view, hashes.iter().map(|(id, hash)| (*id, *hash)))?;
    let wanted =
        corrections.iter().map(|correction| Wanted::new(view, correction, &hashes)).collect::<Result<Vec<_>>>()?;
    let (mut known, mut done) = (Corrections::of(view.dir(), labels.clone()), Corrected::default());
    // What others say meanwhile comes before or after all of it.
    change_corrections(view.dir(), &mut known, |known| {
        let (news, counted) = news(wanted, known, who);
        done = counted;
        news
    })?;
    known.tell_damage(0);
    Ok(done)
}

/// A correction of a text that is there, by a label of the task.
struct Wanted {
    id: SampleId,
    text_hash: TextHash,
    label: Option<LabelId>,
    note: Option<String>,
}

impl Wanted {
    fn new(view: &RunView, new: &NewCorrection, hashes: &HashMap<&str, TextHash>) -> Result<Self> {
        let label = new.label.as_deref().map(|name| resolve(view, view.labels(), name)).transpose()?;
        let text_hash = hashes.get(new.id.as_str()).copied().ok_or_else(|| unknown(view, &[&new.id]))?;
        Ok(Self { id: SampleId(new.id.clone()), text_hash, label, note: new.note.clone() })
    }
}

/// What of `wanted` is to be kept, `known` being what is kept already; and what becomes of all of it.
fn news(wanted: Vec<Wanted>, known: &Corrections, who: Option<&str>) -> (Vec<Correction>, Corrected) {
    // By these, so far.
    let mut said: HashMap<SampleId, Option<LabelId>> = HashMap::new();
    let (mut done, mut news) = (Corrected::default(), Vec::new());
    for Wanted { id, text_hash, label, note } in wanted {
        let kept = || known.get(&id, text_hash).and_then(|known| known.label);
        let before = said.insert(id.clone(), label).unwrap_or_else(kept);
        if before == label && note.is_none() {
            done.same += 1;
            continue;
        }
        match label {
            Some(_) => {
                done.given += 1;
                done.replaced += u64::from(before.is_some_and(|before| Some(before) != label));
            }
            None => done.taken_back += 1,
        }
        news.push(Correction { id, text_hash, label, who: who.map(str::to_owned), note, file: false });
    }
    (news, done)
}

/// The hash of the text of each id, all of which have arrived.
fn hashes<'a>(view: &RunView, corrections: &'a [NewCorrection]) -> Result<HashMap<&'a str, TextHash>> {
    let mut wanted: HashMap<&str, Option<TextHash>> =
        corrections.iter().map(|correction| (correction.id.as_str(), None)).collect();
    view.inputs(|input| {
        if let Input::Arrive { sample, .. } = input
            && let Some(hash) = wanted.get_mut(sample.id.0.as_str())
        {
            *hash = Some(TextHash::of(&sample.text));
        }
        Ok(())
    })?;
    let missing: Vec<&str> = corrections
        .iter()
        .map(|correction| correction.id.as_str())
        .filter(|id| wanted.get(id).is_some_and(Option::is_none))
        .collect();
    if !missing.is_empty() {
        return Err(unknown(view, &missing));
    }
    Ok(wanted.into_iter().filter_map(|(id, hash)| Some((id, hash?))).collect())
}

fn unknown(view: &RunView, ids: &[&str]) -> Error {
    let named: Vec<String> = ids.iter().take(NAMED).map(|id| format!("{id:?}")).collect();
    let more = ids.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = format!(
        "has no text with the id {}{more}: nothing was kept. Ids are those of the corpus, and a text can be corrected once it is \
         answered",
        named.join(", ")
    );
    Error::Unfit { path: view.dir().to_owned(), message }
}

pub(crate) fn resolve(view: &RunView, labels: &LabelSet, name: &str) -> Result<LabelId> {
    labels.resolve(name).ok_or_else(|| {
        let near = labels.nearest(name).map(|near| format!("; did you mean {near:?}?"));
        let message =
            format!("has no label {name:?} among those of its task{} Nothing was kept", near.as_deref().unwrap_or("."));
        Error::Unfit { path: view.dir().to_owned(), message }
    })
}
