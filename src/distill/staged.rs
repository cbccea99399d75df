//! A refinery of a user's own: where it panics on the student's thread, the error names it and not the student.
//! Every method is wrapped: one that were forgotten would use the trait's default instead of the user's.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use super::NewRefinery;
use super::refinery::{Evidence, Refinery};
use crate::base::panic::in_stage;
use crate::domain::candidates::CandidateSet;
use crate::student::Loss;

const STAGE: &str = "refinery";

/// Makes what `new` makes, as a stage of its own.
pub(crate) fn staged<R: Refinery + 'static>(new: impl Fn(usize) -> R + Send + Sync + 'static) -> NewRefinery {
    Arc::new(move |labels| Box::new(Staged(in_stage(STAGE, || new(labels)))))
}

struct Staged<R>(R);

impl<R: Refinery> Refinery for Staged<R> {
    fn name(&self) -> &str {
        in_stage(STAGE, || self.0.name())
    }

    fn identity(&self) -> String {
        in_stage(STAGE, || self.0.identity())
    }

    fn target(&self, candidates: &CandidateSet, logits: Option<&[f32]>) -> Option<Vec<f32>> {
        in_stage(STAGE, || self.0.target(candidates, logits))
    }

    fn posterior(&self, candidates: &CandidateSet, logits: &[f32]) -> Vec<f32> {
        in_stage(STAGE, || self.0.posterior(candidates, logits))
    }

    fn steady(&self, candidates: &CandidateSet, logits: &[f32]) -> Option<Vec<f32>> {
        in_stage(STAGE, || self.0.steady(candidates, logits))
    }

    fn loss(&self) -> Loss {
        in_stage(STAGE, || self.0.loss())
    }

    fn temperature(&self) -> f64 {
        in_stage(STAGE, || self.0.temperature())
    }

    fn calibration_doubt(&self) -> Option<Cow<'_, str>> {
        in_stage(STAGE, || self.0.calibration_doubt())
    }

    fn refit(&mut self, evidence: &Evidence<'_>) {
        in_stage(STAGE, || self.0.refit(evidence));
    }

    fn save(&self) -> Value {
        in_stage(STAGE, || self.0.save())
    }

    fn load(&mut self, saved: Value) -> Result<(), String> {
        in_stage(STAGE, || self.0.load(saved))
    }
}
