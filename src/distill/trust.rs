//! How far student and learned teacher models can be trusted: the share of what there is to know about a teacher's first
//! labels that is explained without that teacher, 1 - H(first | what explains) / H(first) (McFadden's R squared). Who has
//! learned little has nothing to overrule a teacher with, however sure it is.
//!
//! What explains is the student, on samples it never saw. Where there are several teachers, it is also the student and the
//! other teachers together: teachers that bear each other out may be combined even if the student is weak. Each teacher is
//! judged for itself, so the order of the configuration does not matter.
//!
//! With sums over n samples, where m is how often each label comes first: H(first) = -sum ln m(first_i), and H(first
//! | what explains) = -sum ln p_i(first_i). The share is 0 where p does no better than m, and 1 where it is sure of
//! all and right. Where all first labels are the same there is nothing to know, and it is 0.

use super::calibration::Calibration;
use super::refinery::{Evidence, sharpened};
use super::teacher_model::TeacherModel;
use crate::domain::candidates::CandidateSet;
use crate::domain::label::LabelId;

/// Of the product of student and other teachers, which is too sure: powers, and shares of the first labels' own distribution
/// mixed in. The best is taken.
const POWERS: [f64; 6] = [0.1, 0.2, 0.3, 0.5, 0.7, 1.0];
const MIXES: [f64; 5] = [0.01, 0.03, 0.1, 0.2, 0.4];

/// The share of a teacher's first labels that the student explains, 0 to 1. One pass over the evidence.
pub(super) fn in_student(calibration: &Calibration, teacher: u16, evidence: &Evidence<'_>) -> f64 {
    let rows = evidence
        .iter()
        .filter_map(|(candidates, logits)| Some((first_of(candidates, teacher)?, calibration.probabilities(logits))));
    let (firsts, rows): (Vec<LabelId>, Vec<Vec<f64>>) = rows.unzip();
    let marginal = Marginal::new(&firsts, calibration.labels());
    let surprise = firsts.iter().zip(&rows).map(|(first, p)| surprise(at(p, *first))).sum();
    marginal.explained(surprise)
}

/// The share of a teacher's first labels that the student and all other teachers explain together, 0 to 1.
///
/// The powers and shares are chosen on the samples they are judged by: with thirty choices and thousands of samples
/// that flatters little.
pub(super) fn in_the_rest(
    calibration: &Calibration,
    teachers: &[TeacherModel],
    teacher: u16,
    evidence: &Evidence<'_>,
) -> f64 {
    let (mut firsts, mut rows): (Vec<LabelId>, Vec<Vec<f64>>) = (Vec::new(), Vec::new());
    for (candidates, logits) in evidence.iter() {
        let Some(first) = first_of(candidates, teacher) else { continue };
        let mut row: Vec<f64> = calibration.probabilities(logits).iter().map(|p| p.ln()).collect();
        for opinion in candidates.opinions().iter().filter(|opinion| opinion.teacher != teacher) {
            if let Some(model) = teachers.get(usize::from(opinion.teacher)) {
                model.weigh(opinion, 1.0, &mut row);
            }
        }
        firsts.push(first);
        rows.push(row);
    }
    let marginal = Marginal::new(&firsts, calibration.labels());
    let mut least = f64::INFINITY;
    for power in POWERS {
        let p: Vec<f64> = firsts.iter().zip(&rows).map(|(first, row)| at(&sharpened(row, power), *first)).collect();
        for mix in MIXES {
            let mixed = p.iter().zip(&firsts).map(|(p, &first)| (1.0 - mix) * p + mix * at(&marginal.p, first));
            least = least.min(mixed.map(surprise).sum());
        }
    }
    marginal.explained(least)
}

/// What the teacher names first.
fn first_of(candidates: &CandidateSet, teacher: u16) -> Option<LabelId> {
    let opinion = candidates.opinions().iter().find(|opinion| opinion.teacher == teacher)?;
    opinion.labels.first().copied()
}

/// 0 for a label that the row does not have.
fn at(row: &[f64], label: LabelId) -> f64 {
    row.get(label.index()).copied().unwrap_or_default()
}

/// In nats, 27.6 at most: one sample on which it is sure and wrong must not outweigh all others.
fn surprise(p: f64) -> f64 {
    -p.max(1e-12).ln()
}

/// How often each label comes first.
struct Marginal {
    /// C shares that sum to 1.
    p: Vec<f64>,
    /// Of all first labels together.
    entropy: f64,
}

impl Marginal {
    fn new(firsts: &[LabelId], labels: usize) -> Self {
        let mut p = vec![0.0; labels];
        for first in firsts {
            p.get_mut(first.index()).into_iter().for_each(|p| *p += 1.0 / firsts.len() as f64);
        }
        let entropy = firsts.iter().map(|&first| surprise(at(&p, first))).sum();
        Self { p, entropy }
    }

    /// `surprise` is over the same samples. Worse than the marginal counts as nothing explained.
    fn explained(&self, surprise: f64) -> f64 {
        if self.entropy > 0.0 { (1.0 - surprise / self.entropy).clamp(0.0, 1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::refinery::tests::{set, sets};
    use super::*;
    use crate::domain::candidates::Opinion;
    use crate::student::Rows;

    #[test]
    fn what_a_student_explains_by_hand() {
        // Labels 0 and 1 alike often: ln 2 to know. The student gives the right one 3/4: 1 - ln(4/3) / ln 2.
        let (first, second) = (set(&[0, 2]), set(&[1]));
        let sure = 3.0_f32.ln();
        let evidence = |logits: [[f32; 3]; 2]| Evidence {
            candidates: vec![&first, &second],
            logits: Rows::new(3, logits.concat()),
        };
        let calibration = Calibration::plain(3);
        let good = in_student(&calibration, 0, &evidence([[sure, 0.0, -99.0], [0.0, sure, -99.0]]));
        assert!((good - (1.0 - (4.0_f64 / 3.0).ln() / 2.0_f64.ln())).abs() < 1e-6, "{good}");
        assert_eq!(in_student(&calibration, 0, &evidence([[0.0, sure, -99.0], [sure, 0.0, -99.0]])), 0.0);
    }

    /// What the rest explains of 60 samples on which the student knows nothing and a second teacher says `second`.
    fn explained(second: fn(u16) -> u16) -> f64 {
        let candidates: Vec<CandidateSet> = (0..60).map(|i| sets(&[&[i % 3], &[second(i)]])).collect();
        let evidence = Evidence { candidates: candidates.iter().collect(), logits: Rows::new(3, vec![0.0; 180]) };
        let said = || candidates.iter().flat_map(CandidateSet::opinions);
        let of = |teacher: u16| TeacherModel::new(said().filter(move |o: &&Opinion| o.teacher == teacher), 3);
        let calibration = Calibration::plain(3);
        assert!(in_student(&calibration, 0, &evidence) < 1e-6);
        in_the_rest(&calibration, &[of(0), of(1)], 0, &evidence)
    }

    #[test]
    fn teachers_that_agree_explain_each_other_and_others_do_not() {
        let (same, unrelated) = (explained(|i| i % 3), explained(|i| i / 3 % 3));
        assert!(same > 0.5 && unrelated < 0.05, "{same} {unrelated}");
    }
}
