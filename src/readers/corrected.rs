//! What people said of the texts of a run, from `corrections.jsonl`: the label log may not have it yet, for a run takes it in.

use std::collections::HashMap;
use std::path::Path;

use crate::domain::event::{By, LabelEvent};
use crate::domain::input::Input;
use crate::domain::label::LabelId;
use crate::domain::sample::Position;
use crate::error::Result;
use crate::store::{Corrections, RunDir, RunView};

/// How many texts have a label that a person gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CorrectionCounts {
    /// Texts with such a label.
    pub texts: u64,
    /// Texts of which the input log does not have what was said last: the next run takes it in.
    pub waiting: u64,
}

/// Counts the corrections of the run that `view` looks at, by one pass over its input log, where there are any.
///
/// # Errors
///
/// [`Error::RunFile`](crate::Error::RunFile) and [`Error::InputLog`](crate::Error::InputLog) for logs that cannot be read.
pub fn correction_counts(view: &RunView) -> Result<CorrectionCounts> {
    let mut counts = CorrectionCounts::default();
    let Some(said) = said(view)? else { return Ok(counts) };
    // What the input log has been told of each of these texts, which are few.
    let mut told: HashMap<Position, (Option<LabelId>, Option<LabelId>)> = HashMap::new();
    view.inputs(|input| {
        match input {
            Input::Arrive { position, sample, .. } => {
                if let Some(correction) = said.of_sample(&sample) {
                    told.insert(position, (correction.label, None));
                }
            }
            Input::Correct { position, label } => {
                told.entry(position).and_modify(|(_, told)| *told = label);
            }
            Input::Answers { .. } | Input::End { .. } => {}
        }
        Ok(())
    })?;
    for (said, told) in told.into_values() {
        counts.texts += u64::from(said.is_some());
        counts.waiting += u64::from(said != told);
    }
    Ok(counts)
}

/// The labels that people gave the texts of the run in `dir`, by name, by the text's id.
pub(super) fn corrected(dir: &Path) -> Result<HashMap<String, String>> {
    let mut corrected = HashMap::new();
    if !Corrections::are_in(dir) {
        return Ok(corrected);
    }
    let view = RunDir::view(dir)?;
    let Some(said) = said(&view)? else { return Ok(corrected) };
    view.inputs(|input| {
        if let Input::Arrive { sample, .. } = input
            && let Some(label) = said.of_sample(&sample).and_then(|correction| correction.label)
        {
            corrected.insert(sample.id.0, view.labels().name(label).to_owned());
        }
        Ok(())
    })?;
    Ok(corrected)
}

/// What people said, if anything.
fn said(view: &RunView) -> Result<Option<Corrections>> {
    let mut corrections = Corrections::of(view.dir(), view.labels().clone());
    let has_any = !corrections.read()?.is_empty();
    corrections.tell_damage(0);
    Ok(has_any.then_some(corrections))
}

/// `event` as the label log will have it, where a person gave its text another label; with the offset that it has now.
pub(super) fn with(event: &LabelEvent, label: &str) -> Option<LabelEvent> {
    if event.by == By::Person && event.label == label {
        return None;
    }
    Some(LabelEvent {
        label: label.to_owned(),
        confidence: 1.0,
        margin: event.margin.map(|_| 1.0),
        others: event.others.as_ref().map(|_| Vec::new()),
        by: By::Person,
        is_final: true,
        ..event.clone()
    })
}
