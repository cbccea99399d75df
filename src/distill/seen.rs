//! The evidence as `posterior` learns from it: each sample's candidates and what the calibrated student says of its labels,
//! computed once for all that a refit looks at it for.

use super::calibration::Calibration;
use super::refinery::Evidence;
use crate::domain::candidates::CandidateSet;
use crate::domain::label::LabelId;

/// See the module. Of every sample of [`Evidence::iter`], in its order.
pub(super) struct Seen<'a> {
    /// C.
    labels: usize,
    candidates: Vec<&'a CandidateSet>,
    /// ln p~, C values a sample.
    ln_student: Vec<f64>,
}

/// One sample.
#[derive(Clone, Copy)]
pub(super) struct Sample<'a> {
    pub(super) candidates: &'a CandidateSet,
    /// ln p~, by label: C values.
    pub(super) ln_student: &'a [f64],
}

impl<'a> Seen<'a> {
    pub(super) fn new(calibration: &Calibration, evidence: &'a Evidence<'_>) -> Self {
        let mut seen = Self { labels: calibration.labels(), candidates: Vec::new(), ln_student: Vec::new() };
        for (candidates, logits) in evidence.iter() {
            seen.candidates.push(candidates);
            seen.ln_student.extend(calibration.logarithms(logits));
        }
        seen
    }

    /// C.
    pub(super) fn labels(&self) -> usize {
        self.labels
    }

    pub(super) fn len(&self) -> usize {
        self.candidates.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Sample<'_>> {
        let rows = self.candidates.iter().zip(self.ln_student.chunks_exact(self.labels.max(1)));
        rows.map(|(candidates, ln_student)| Sample { candidates, ln_student })
    }

    pub(super) fn candidates(&self) -> &[&'a CandidateSet] {
        &self.candidates
    }
}

impl Sample<'_> {
    /// p~ of a label; 0 of one that the row does not have.
    pub(super) fn probability(&self, label: LabelId) -> f64 {
        self.ln_student.get(label.index()).map_or(0.0, |ln| ln.exp())
    }
}
