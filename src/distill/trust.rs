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
//!
//! The same sources tell how often a teacher is right, by the probability that they give to what it names: see
//! [`Explained::named`] and `sureness.rs`.

use super::seen::{Sample, Seen};
use super::teacher_model::TeacherModel;
use crate::domain::label::LabelId;

/// Of the product of student and other teachers, which is too sure: powers, and shares of the first labels' own distribution
/// mixed in. The best is taken.
const POWERS: [f64; 6] = [0.1, 0.2, 0.3, 0.5, 0.7, 1.0];
const FIRST_POWER: f64 = POWERS[0];
const MIXES: [f64; 5] = [0.01, 0.03, 0.1, 0.2, 0.4];

/// What is known of a teacher without it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Explained {
    /// Of what there is to know about its first labels, 0 to 1.
    pub(super) share: f64,
    /// The mean probability that what explains gives to the labels of an answer, all together: 0 to 1.
    pub(super) named: f64,
}

impl Explained {
    /// The more of both.
    pub(super) fn or(self, other: Self) -> Self {
        Self { share: self.share.max(other.share), named: self.named.max(other.named) }
    }
}

/// What the student explains of a teacher. One pass over the evidence.
pub(super) fn by_student(teacher: u16, seen: &Seen<'_>) -> Explained {
    let answers: Vec<Answer<'_>> = answers(teacher, seen).collect();
    let marginal = Marginal::new(&answers, seen.labels());
    let (mut surprised, mut named) = (0.0, 0.0);
    for Answer { first, labels, sample } in &answers {
        surprised += surprise(sample.probability(*first));
        named += labels.iter().map(|label| sample.probability(*label)).sum::<f64>();
    }
    Explained { share: marginal.explained(surprised), named: named / answers.len().max(1) as f64 }
}

/// What the student and all other teachers explain of a teacher together.
///
/// The powers and shares are chosen on the samples they are judged by: with thirty choices and thousands of samples
/// that flatters little.
pub(super) fn by_the_rest(teachers: &[TeacherModel], teacher: u16, seen: &Seen<'_>) -> Explained {
    let answers: Vec<Answer<'_>> = answers(teacher, seen).collect();
    let marginal = Marginal::new(&answers, seen.labels());
    let (mut surprised, mut named) = ([[0.0; MIXES.len()]; POWERS.len()], [0.0; POWERS.len()]);
    let mut row = Vec::new();
    for answer in &answers {
        rest(teachers, teacher, answer, &mut row);
        let (sharpened, at_random) = (Sharpened::new(&mut row), at(&marginal.p, answer.first));
        for (sums, p) in surprised.iter_mut().zip(sharpened.of(answer.first)) {
            for (sum, mix) in sums.iter_mut().zip(MIXES) {
                *sum += surprise((1.0 - mix) * p + mix * at_random);
            }
        }
        for label in answer.labels {
            named.iter_mut().zip(sharpened.of(*label)).for_each(|(sum, p)| *sum += p);
        }
    }
    let named_at_random: f64 = answers.iter().flat_map(|a| a.labels).map(|label| at(&marginal.p, *label)).sum();
    let mut best = (f64::INFINITY, 0.0);
    for (surprised, named) in surprised.iter().zip(named) {
        for (surprised, mix) in surprised.iter().zip(MIXES) {
            if *surprised < best.0 {
                best = (*surprised, (1.0 - mix) * named + mix * named_at_random);
            }
        }
    }
    let (surprised, named) = best;
    Explained { share: marginal.explained(surprised), named: named / answers.len().max(1) as f64 }
}

/// ln of what student and other teachers say together of the labels of a text, up to a constant.
fn rest(teachers: &[TeacherModel], teacher: u16, answer: &Answer<'_>, row: &mut Vec<f64>) {
    row.clear();
    row.extend_from_slice(answer.sample.ln_student);
    for opinion in answer.sample.candidates.opinions().iter().filter(|opinion| opinion.teacher != teacher) {
        if let Some(model) = teachers.get(usize::from(opinion.teacher)) {
            model.weigh(opinion, 1.0, row);
        }
    }
}

/// A distribution to each of [`POWERS`].
struct Sharpened<'a> {
    /// To the first power, but for the sum.
    row: &'a [f64],
    sums: [f64; POWERS.len()],
}

impl<'a> Sharpened<'a> {
    /// Of that whose logarithms are `row`, up to a constant. One exponential a label: the powers are multiples of the first.
    fn new(row: &'a mut [f64]) -> Self {
        let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut sums = [0.0; POWERS.len()];
        for slot in row.iter_mut() {
            *slot = ((*slot - top) * FIRST_POWER).exp();
            sums.iter_mut().zip(Self::powers(*slot)).for_each(|(sum, p)| *sum += p);
        }
        Self { row, sums }
    }

    /// p^0.1 to p^0.1, 0.2, 0.3, 0.5, 0.7 and 1.
    fn powers(p: f64) -> [f64; POWERS.len()] {
        let p2 = p * p;
        let p3 = p2 * p;
        let p5 = p3 * p2;
        [p, p2, p3, p5, p5 * p2, p5 * p5]
    }

    /// The probability of a label, to each power.
    fn of(&self, label: LabelId) -> [f64; POWERS.len()] {
        let mut p = Self::powers(at(self.row, label));
        p.iter_mut().zip(self.sums).for_each(|(p, sum)| *p /= sum);
        p
    }
}

/// An answer of a teacher that names a label, and what else there is of its text.
struct Answer<'a> {
    first: LabelId,
    labels: &'a [LabelId],
    sample: Sample<'a>,
}

fn answers<'a>(teacher: u16, seen: &'a Seen<'_>) -> impl Iterator<Item = Answer<'a>> {
    seen.iter().filter_map(move |sample| {
        let labels = &sample.candidates.opinions().iter().find(|opinion| opinion.teacher == teacher)?.labels;
        Some(Answer { first: *labels.first()?, labels, sample })
    })
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
    fn new(answers: &[Answer<'_>], labels: usize) -> Self {
        let mut p = vec![0.0; labels];
        for answer in answers {
            p.get_mut(answer.first.index()).into_iter().for_each(|p| *p += 1.0 / answers.len() as f64);
        }
        let entropy = answers.iter().map(|answer| surprise(at(&p, answer.first))).sum();
        Self { p, entropy }
    }

    /// `surprise` is over the same samples. Worse than the marginal counts as nothing explained.
    fn explained(&self, surprise: f64) -> f64 {
        if self.entropy > 0.0 { (1.0 - surprise / self.entropy).clamp(0.0, 1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::calibration::Calibration;
    use super::super::ranks::RankLikelihood;
    use super::super::refinery::Evidence;
    use super::super::refinery::tests::{set, sets};
    use super::*;
    use crate::domain::candidates::{CandidateSet, Opinion};
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
        let by = |logits| by_student(0, &Seen::new(&calibration, &evidence(logits)));
        let good = by([[sure, 0.0, -99.0], [0.0, sure, -99.0]]);
        assert!((good.share - (1.0 - (4.0_f64 / 3.0).ln() / 2.0_f64.ln())).abs() < 1e-6, "{good:?}");
        // Three quarters of each: label 2, which the first answer names too, is next to impossible.
        assert!((good.named - 0.75).abs() < 1e-6, "{good:?}");
        let bad = by([[0.0, sure, -99.0], [sure, 0.0, -99.0]]);
        assert!(bad.share == 0.0 && (bad.named - 0.25).abs() < 1e-6, "{bad:?}");
    }

    /// What the rest explains of 60 samples on which the student knows nothing and a second teacher says `second`.
    fn explained(second: fn(u16) -> u16) -> Explained {
        let candidates: Vec<CandidateSet> = (0..60).map(|i| sets(&[&[i % 3], &[second(i)]])).collect();
        let evidence = Evidence { candidates: candidates.iter().collect(), logits: Rows::new(3, vec![0.0; 180]) };
        let said = || candidates.iter().flat_map(CandidateSet::opinions);
        let of = |teacher: u16| {
            TeacherModel::new(said().filter(move |o: &&Opinion| o.teacher == teacher), &RankLikelihood::prior(), 3)
        };
        let calibration = Calibration::plain(3);
        let seen = Seen::new(&calibration, &evidence);
        let student = by_student(0, &seen);
        assert!(student.share < 1e-6 && (student.named - 1.0 / 3.0).abs() < 1e-6, "{student:?}");
        by_the_rest(&[of(0), of(1)], 0, &seen)
    }

    #[test]
    fn teachers_that_agree_explain_each_other_and_others_do_not() {
        let (same, unrelated) = (explained(|i| i % 3), explained(|i| i / 3 % 3));
        assert!(same.share > 0.5 && unrelated.share < 0.05, "{same:?} {unrelated:?}");
        assert!(same.named > 0.8 && unrelated.named < 0.4, "{same:?} {unrelated:?}");
    }

    #[test]
    fn all_powers_at_once_are_each_by_itself() {
        let ln = [-0.5, -3.0, -20.0, -1.0];
        let mut row = ln.to_vec();
        let found = Sharpened::new(&mut row);
        for (place, power) in POWERS.iter().enumerate() {
            let alone = super::super::refinery::sharpened(&ln, *power);
            for (label, alone) in (0..).zip(&alone) {
                let p = found.of(LabelId(label))[place];
                assert!((p / alone - 1.0).abs() < 1e-12, "{label} to {power}: {p} {alone}");
            }
        }
    }
}
