//! `single`: cross-entropy on the teacher's first label, and the student's own choice as the label. What annotators do
//! that ask for one label and train on it; here to compare with. The label may be one that no teacher named.

use super::refinery::{Refinery, nothing, restrict, usable};
use crate::domain::candidates::CandidateSet;
use crate::student::softmax;

pub(super) struct Single {
    labels: usize,
}

impl Single {
    pub(super) fn new(labels: usize) -> Self {
        Self { labels }
    }
}

impl Refinery for Single {
    fn name(&self) -> &'static str {
        "single"
    }

    fn identity(&self) -> String {
        "single 1".to_owned()
    }

    fn target(&self, candidates: &CandidateSet, _logits: Option<&[f32]>) -> Option<Vec<f32>> {
        let first = candidates.labels().get(..1)?;
        Some(restrict(first, &vec![1.0; self.labels]))
    }

    fn posterior(&self, _candidates: &CandidateSet, logits: &[f32]) -> Vec<f32> {
        let Some(logits) = usable(logits) else { return nothing(logits) };
        softmax(logits)
    }
}

#[cfg(test)]
mod tests {
    use super::super::refinery::tests::set;
    use super::*;

    #[test]
    fn by_hand() {
        let single = Single::new(3);
        assert_eq!(single.target(&set(&[2, 0]), Some(&[9.0, 0.0, 0.0])), Some(vec![0.0, 0.0, 1.0]));
        let posterior = single.posterior(&set(&[2]), &[3.0_f32.ln(), 0.0, f32::MIN]);
        assert!((posterior[0] - 0.75).abs() < 1e-6 && (posterior[1] - 0.25).abs() < 1e-6);
    }
}
