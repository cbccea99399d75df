//! `uniform`: all candidates alike. The target never learns; the label is the student's choice among the candidates.

use super::refinery::{Refinery, restrict};
use crate::label::LabelId;
use crate::student::softmax;

pub(super) struct Uniform;

impl Refinery for Uniform {
    fn target(&self, candidates: &[LabelId], logits: &[f32]) -> Vec<f32> {
        let equal = vec![1.0 / logits.len() as f32; logits.len()];
        restrict(candidates, &equal)
    }

    fn posterior(&self, candidates: &[LabelId], logits: &[f32]) -> Vec<f32> {
        restrict(candidates, &softmax(logits))
    }
}

#[cfg(test)]
mod tests {
    use super::super::refinery::tests::ids;
    use super::*;

    #[test]
    fn by_hand() {
        let logits = [0.0, 3.0_f32.ln(), 9.0];
        assert_eq!(Uniform.target(&ids(&[1, 0]), &logits), [0.5, 0.5, 0.0]);
        let posterior = Uniform.posterior(&ids(&[1, 0]), &logits);
        assert!((posterior[1] - 0.75).abs() < 1e-6 && posterior[2] == 0.0);
    }
}
