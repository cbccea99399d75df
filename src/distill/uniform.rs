//! `uniform`: all candidates alike. The target never learns; the label is the student's choice among the candidates.
//! The plainest way to learn from candidates, to compare the others with.

use super::refinery::{Refinery, alike, nothing, restrict, usable};
use crate::domain::candidates::CandidateSet;
use crate::student::softmax;

pub(super) struct Uniform {
    labels: usize,
}

impl Uniform {
    pub(super) fn new(labels: usize) -> Self {
        Self { labels }
    }
}

impl Refinery for Uniform {
    fn name(&self) -> &'static str {
        "uniform"
    }

    fn identity(&self) -> String {
        "uniform 1".to_owned()
    }

    fn target(&self, candidates: &CandidateSet, _logits: Option<&[f32]>) -> Option<Vec<f32>> {
        Some(alike(candidates.labels(), self.labels))
    }

    fn posterior(&self, candidates: &CandidateSet, logits: &[f32]) -> Vec<f32> {
        let Some(logits) = usable(logits) else { return nothing(logits) };
        restrict(candidates.labels(), &softmax(logits))
    }
}

#[cfg(test)]
mod tests {
    use super::super::refinery::tests::set;
    use super::*;

    #[test]
    fn by_hand() {
        let (uniform, logits) = (Uniform::new(3), [0.0, 3.0_f32.ln(), 9.0]);
        assert_eq!(uniform.target(&set(&[1, 0]), Some(&logits)), Some(vec![0.5, 0.5, 0.0]));
        let posterior = uniform.posterior(&set(&[1, 0]), &logits);
        assert!((posterior[1] - 0.75).abs() < 1e-6 && posterior[2] == 0.0);
    }
}
