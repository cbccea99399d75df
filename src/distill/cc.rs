//! `cc`: the loss -log of the sum of the candidates' probabilities (classifier-consistent, Feng et al. 2020, arXiv
//! 2007.08929). The student shares the weight out by what it believes itself, in sample. So logits out of sample are
//! not asked for a target: the loss needs only which labels are candidates.

use super::refinery::{Refinery, nothing, restrict, usable};
use crate::domain::candidates::CandidateSet;
use crate::student::{Loss, softmax};

pub(super) struct Cc {
    labels: usize,
}

impl Cc {
    pub(super) fn new(labels: usize) -> Self {
        Self { labels }
    }
}

impl Refinery for Cc {
    fn name(&self) -> &'static str {
        "cc"
    }

    fn identity(&self) -> String {
        "cc 1".to_owned()
    }

    /// 1 for each candidate.
    fn target(&self, candidates: &CandidateSet, _logits: Option<&[f32]>) -> Option<Vec<f32>> {
        let mut target = vec![0.0; self.labels];
        for label in candidates.labels() {
            target.get_mut(label.index()).into_iter().for_each(|slot| *slot = 1.0);
        }
        Some(target)
    }

    fn posterior(&self, candidates: &CandidateSet, logits: &[f32]) -> Vec<f32> {
        let Some(logits) = usable(logits) else { return nothing(logits) };
        restrict(candidates.labels(), &softmax(logits))
    }

    fn loss(&self) -> Loss {
        Loss::Candidates
    }
}

#[cfg(test)]
mod tests {
    use super::super::refinery::tests::set;
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(Cc::new(3).target(&set(&[2, 0]), None), Some(vec![1.0, 0.0, 1.0]));
        // p = (1, 3, 4) / 8 on candidates {0, 1}: (1, 3) / 4.
        let posterior = Cc::new(3).posterior(&set(&[0, 1]), &[1.0_f32.ln(), 3.0_f32.ln(), 4.0_f32.ln()]);
        assert!((posterior[1] - 0.75).abs() < 1e-6 && posterior[2] == 0.0);
    }
}
