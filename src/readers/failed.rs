//! The answers behind failures: what was said of the texts that got no candidate. They are held in memory, for failures
//! are few.

use std::collections::{HashMap, HashSet};

use crate::domain::answer::AnswerRecord;
use crate::domain::input::Input;
use crate::domain::sample::TextHash;
use crate::error::Result;
use crate::store::{Failure, FailureKind, RunView};

/// The answers that there are to each failed text, the latest try of each, by the text's id. Reads both logs.
///
/// # Errors
///
/// Those of [`RunView::counts`].
pub fn failed_answers(view: &RunView, failures: &[Failure]) -> Result<HashMap<String, Vec<AnswerRecord>>> {
    let failed: HashSet<&str> = failures
        .iter()
        .filter(|failure| failure.kind == FailureKind::Sample)
        .map(|failure| failure.id.as_str())
        .collect();
    let mut answers: HashMap<String, Vec<AnswerRecord>> = HashMap::new();
    if failed.is_empty() {
        return Ok(answers);
    }
    // Equal texts share one answer, which has the id of the first of them.
    let mut ids: HashMap<TextHash, Vec<String>> = HashMap::new();
    view.inputs(|input| {
        if let Input::Arrive { sample, .. } = input
            && failed.contains(sample.id.0.as_str())
        {
            ids.entry(TextHash::of(&sample.text)).or_default().push(sample.id.0);
        }
        Ok(())
    })?;
    view.answers(|record| {
        for id in ids.get(&record.text_hash).into_iter().flatten() {
            let latest = answers.entry(id.clone()).or_default();
            // The log has tries in their order, so the later line is the later try. A key is a teacher, a prompt and a
            // draw.
            match latest.iter_mut().find(|other| other.key == record.key) {
                Some(other) => *other = record.clone(),
                None => latest.push(record.clone()),
            }
        }
        Ok(())
    })?;
    Ok(answers)
}
