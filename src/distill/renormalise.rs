//! `renormalise`: the student's probabilities within the candidates, q_c = p_c / sum over candidates (PRODEN, Lv et al.
//! 2020; the core of CanDist's Distribution Refinery, arXiv 2506.03857).

use super::refinery::{Refinery, restrict};
use crate::label::LabelId;
use crate::student::softmax;

pub(super) struct Renormalise;

impl Refinery for Renormalise {
    fn target(&self, candidates: &[LabelId], logits: &[f32]) -> Vec<f32> {
        restrict(candidates, &softmax(logits))
    }
}

#[cfg(test)]
mod tests {
    use super::super::refinery::tests::ids;
    use super::*;

    #[test]
    fn by_hand() {
        // p = (1, 3, 4) / 8 on candidates {0, 1}: (1, 3) / 4.
        let logits = [1.0_f32.ln(), 3.0_f32.ln(), 4.0_f32.ln()];
        let target = Renormalise.target(&ids(&[0, 1]), &logits);
        assert!((target[0] - 0.25).abs() < 1e-6 && (target[1] - 0.75).abs() < 1e-6 && target[2] == 0.0);
        // Candidates that the student finds impossible are alike.
        assert_eq!(Renormalise.target(&ids(&[0, 1]), &[-400.0, -400.0, 0.0]), [0.5, 0.5, 0.0]);
    }
}
