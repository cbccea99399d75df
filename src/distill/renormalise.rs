//! `renormalise`: the student's probabilities within the candidates, q_c = p_c / sum over candidates (PRODEN, Lv et al.
//! 2020, arXiv 2002.08053; the core of CanDist's Distribution Refinery, arXiv 2506.03857).

use super::refinery::{Refinery, alike, nothing, restrict, usable};
use crate::domain::candidates::CandidateSet;
use crate::student::softmax;

pub(super) struct Renormalise {
    labels: usize,
}

impl Renormalise {
    pub(super) fn new(labels: usize) -> Self {
        Self { labels }
    }
}

impl Refinery for Renormalise {
    fn name(&self) -> &'static str {
        "renormalise"
    }

    fn identity(&self) -> String {
        "renormalise 1".to_owned()
    }

    fn target(&self, candidates: &CandidateSet, logits: Option<&[f32]>) -> Option<Vec<f32>> {
        Some(match logits {
            Some(logits) => self.posterior(candidates, usable(logits)?),
            None => alike(candidates.labels(), self.labels),
        })
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
        // p = (1, 3, 4) / 8 on candidates {0, 1}: (1, 3) / 4.
        let logits = [1.0_f32.ln(), 3.0_f32.ln(), 4.0_f32.ln()];
        let renormalise = Renormalise::new(3);
        let target = renormalise.target(&set(&[0, 1]), Some(&logits)).unwrap();
        assert!((target[0] - 0.25).abs() < 1e-6 && (target[1] - 0.75).abs() < 1e-6 && target[2] == 0.0);
        // Candidates that the student finds impossible are alike; so are all before it is asked.
        for logits in [Some([-400.0, -400.0, 0.0].as_slice()), None] {
            assert_eq!(renormalise.target(&set(&[0, 1]), logits), Some(vec![0.5, 0.5, 0.0]));
        }
    }
}
