//! What a person said stands, whatever refinery labels the rest: before every refinery, for all of them alike.
//!
//! Of a text with a label that a person gave, the refinery is not asked for a label or a target. It is shown the text all the same
//! when it learns: a refinery that models how teachers err learns from the label given ([`CandidateSet::given`]).

use std::borrow::Cow;

use serde_json::Value;

use super::refinery::{Evidence, Refinery};
use crate::domain::candidates::CandidateSet;
use crate::domain::label::LabelId;
use crate::student::Loss;

/// A refinery with people's labels before its own.
pub(super) struct Corrected {
    refinery: Box<dyn Refinery>,
    /// Of the task, C.
    labels: usize,
}

impl Corrected {
    pub(super) fn new(refinery: Box<dyn Refinery>, labels: usize) -> Self {
        Self { refinery, labels }
    }

    /// All probability on `label`.
    fn sure(&self, label: LabelId) -> Vec<f32> {
        (0..self.labels).map(|index| if index == label.index() { 1.0 } else { 0.0 }).collect()
    }
}

impl Refinery for Corrected {
    fn name(&self) -> &str {
        self.refinery.name()
    }

    fn identity(&self) -> String {
        self.refinery.identity()
    }

    fn target(&self, candidates: &CandidateSet, logits: Option<&[f32]>) -> Option<Vec<f32>> {
        match candidates.given() {
            Some(label) => Some(self.sure(label)),
            None => self.refinery.target(candidates, logits),
        }
    }

    fn posterior(&self, candidates: &CandidateSet, logits: &[f32]) -> Vec<f32> {
        match candidates.given() {
            Some(label) => self.sure(label),
            None => self.refinery.posterior(candidates, logits),
        }
    }

    /// None of any text where the refinery does not regularise: it is asked of a text with a label given too.
    fn steady(&self, candidates: &CandidateSet, logits: &[f32]) -> Option<Vec<f32>> {
        let steady = self.refinery.steady(candidates, logits)?;
        Some(candidates.given().map_or(steady, |label| self.sure(label)))
    }

    fn loss(&self) -> Loss {
        self.refinery.loss()
    }

    fn temperature(&self) -> f64 {
        self.refinery.temperature()
    }

    fn calibration_doubt(&self) -> Option<Cow<'_, str>> {
        self.refinery.calibration_doubt()
    }

    fn refit(&mut self, evidence: &Evidence<'_>) {
        self.refinery.refit(evidence);
    }

    fn save(&self) -> Value {
        self.refinery.save()
    }

    fn load(&mut self, saved: Value) -> Result<(), String> {
        self.refinery.load(saved)
    }
}

#[cfg(test)]
mod tests {
    use super::super::refinery::new_refinery;
    use super::super::refinery::tests::set;
    use super::*;
    use crate::config::RefineryKind;

    #[test]
    fn a_label_that_a_person_gave_is_label_and_target_of_every_refinery() {
        for kind in [RefineryKind::Posterior, RefineryKind::Cc, RefineryKind::Single] {
            let refinery = Corrected::new(new_refinery(kind, 3), 3);
            let logits = [0.0, 9.0, 0.0];
            for candidates in [set(&[0]), set(&[1, 0]), CandidateSet::default()] {
                let given = candidates.clone().with_given(Some(LabelId(2)));
                assert_eq!(refinery.posterior(&given, &logits), [0.0, 0.0, 1.0], "{kind:?}");
                assert_eq!(refinery.target(&given, None), Some(vec![0.0, 0.0, 1.0]), "{kind:?}");
                // Taken back, it is as if nobody had said it.
                let taken_back = given.with_given(None);
                assert_eq!(refinery.posterior(&taken_back, &logits), refinery.posterior(&candidates, &logits));
            }
        }
    }
}
