//! How sure labels may be on average, as far as that shows without a gold label, and why it may not.
//!
//! What shows is agreement. Two sources that are right with probability r and err apart agree on
//!
//! ```text
//! d = r^2 + (1 - r)^2 / (C - 1)
//! ```
//!
//! of the samples: both right, or both wrong with the same one of C - 1 labels. There are two agreements to go by: `a`, of the
//! student with what the teachers say together, and `d`, of the teachers with each other. Sources seldom err apart. So of
//! the two accuracies the smaller counts: sqrt(a), and the r of d.
//!
//! Of one teacher alone there is `a` only, and the student learns part of its mistakes. Taken for half of them, the student
//! repeats what the teacher says with probability r where that is right and r / 2 where it is not: `a = r (1 + r) / 2`. That it is
//! half is an assumption. It fits LLMs on BANKING77, and is far from the truth where the teacher's mistakes follow from
//! what the student sees, as with a teacher that stands on the student's own encoder. Nothing in the answers tells one case
//! from the other, which is said: [`Sureness::doubt`].

use super::calibration::Calibration;
use super::refinery::Evidence;
use crate::domain::candidates::CandidateSet;
use crate::domain::label::LabelId;

/// What the second teacher's voice must be for the teachers' agreement to tell how good they are.
const HEARD: f64 = 0.5;
/// How much more accurate the student's agreement may make labels than the teachers' own, before it is a sign of shared
/// mistakes.
const SHARED: f64 = 0.15;

/// What agreement says of the labels' accuracy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sureness {
    /// C.
    labels: usize,
    teachers: usize,
    /// The mean probability that the student, out of sample, gives to what the teachers say together.
    with_student: f64,
    /// Among teachers: the share of samples on which two say the same, the mean over pairs weighted by their voices. None
    /// where no two are heard.
    among_teachers: Option<f64>,
    /// The voice of the second of them, 0 to 1; the first has 1.
    second: f64,
}

impl Sureness {
    /// `with_student` is `a` of the module; `voices` are by teacher, 0 to 1.
    pub(super) fn new(labels: usize, with_student: f64, voices: &[f64], evidence: &Evidence<'_>) -> Self {
        let mut sorted = voices.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        Self {
            labels,
            teachers: voices.len(),
            with_student,
            among_teachers: among(voices, evidence),
            second: sorted.get(1).copied().unwrap_or_default(),
        }
    }

    /// What the mean confidence should be, 0 to 1.
    pub(super) fn accuracy(&self) -> f64 {
        let alone = ((1.0 + 8.0 * self.with_student).sqrt() - 1.0) / 2.0;
        let Some(among) = self.among_teachers else { return alone };
        let together = self.with_student.sqrt().min(apart(among, self.labels));
        self.second * together + (1.0 - self.second) * alone
    }

    /// Why the labels' confidences are a ranking, and may be far from probabilities. None where teachers that disagree show
    /// how good they are.
    pub(super) fn doubt(&self) -> Option<&'static str> {
        if self.teachers < 2 {
            return Some("there is one teacher, and what it and the student get wrong together shows nowhere");
        }
        let Some(among) = self.among_teachers.filter(|_| self.second >= HEARD) else {
            return Some(
                "the student can learn from one of the teachers alone, and what the two get wrong together shows nowhere",
            );
        };
        let is_shared = self.with_student.sqrt() - apart(among, self.labels) > SHARED;
        is_shared.then_some(
            "the student agrees with the teachers more than these do with each other, so it has learned mistakes of theirs",
        )
    }
}

/// The accuracy of two sources that err apart and agree on the share `agreed`, with C labels: the larger root of the
/// quadratic of the module. What chance alone brings about is 1 / C.
fn apart(agreed: f64, labels: usize) -> f64 {
    let others = 1.0 / labels.saturating_sub(1).max(1) as f64;
    let root = (others * others - (1.0 + others) * (others - agreed)).max(0.0).sqrt();
    (others + root) / (1.0 + others)
}

/// Of pairs of teachers that both answered, weighted by their voices, the share that name the same label first.
fn among(voices: &[f64], evidence: &Evidence<'_>) -> Option<f64> {
    let voice = |teacher: u16| voices.get(usize::from(teacher)).copied().unwrap_or_default();
    let (mut agreed, mut all) = (0.0, 0.0);
    for (candidates, _) in evidence.iter() {
        let firsts = firsts(candidates);
        for (place, (teacher, first)) in firsts.iter().enumerate() {
            for (other, second) in firsts.iter().skip(place + 1) {
                let weight = voice(*teacher) * voice(*other);
                all += weight;
                agreed += if first == second { weight } else { 0.0 };
            }
        }
    }
    (all > 0.0).then(|| agreed / all)
}

/// What each teacher names first.
fn firsts(candidates: &CandidateSet) -> Vec<(u16, LabelId)> {
    let first = |opinion: &crate::domain::candidates::Opinion| Some((opinion.teacher, *opinion.labels.first()?));
    candidates.opinions().iter().filter_map(first).collect()
}

/// `a` of the module: the mean probability of `said`, one label or none a sample.
pub(super) fn agreement<'a>(
    calibration: &Calibration,
    said: impl Iterator<Item = (Option<usize>, &'a [f32])>,
) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u64);
    for (label, logits) in said {
        sum += label.and_then(|label| calibration.probabilities(logits).get(label).copied()).unwrap_or_default();
        count += 1;
    }
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::super::refinery::tests::sets;
    use super::*;
    use crate::student::Rows;

    /// `agreeing` of 100 samples on which two teachers say the same, on the others not; a third always says label 2.
    fn sureness(agreeing: u16, with_student: f64, voices: &[f64]) -> Sureness {
        let said: Vec<CandidateSet> =
            (0..100).map(|i| sets(&[&[0], &[u16::from(i >= agreeing)], &[2]][..voices.len()])).collect();
        let evidence = Evidence { candidates: said.iter().collect(), logits: Rows::new(3, vec![0.0; 300]) };
        Sureness::new(3, with_student, voices, &evidence)
    }

    #[test]
    fn accuracies_by_hand() {
        // r = 0.8, three labels: 0.64 + 0.04 / 2.
        assert!((apart(0.66, 3) - 0.8).abs() < 1e-9);
        assert!((apart(0.5, 2) - 0.5).abs() < 1e-9 && (apart(1.0, 77) - 1.0).abs() < 1e-9);
        // Less than chance says nothing good of either.
        assert!((apart(0.1, 3) - 1.0 / 3.0).abs() < 1e-9);
        // One teacher of 0.8: 0.8 x 1.8 / 2.
        let alone = sureness(0, 0.72, &[1.0]);
        assert!((alone.accuracy() - 0.8).abs() < 1e-9 && alone.among_teachers.is_none());
        // Two, the student agreeing less than they do, and more.
        assert!((sureness(81, 0.49, &[1.0, 1.0]).accuracy() - 0.7).abs() < 1e-9);
        assert!((sureness(66, 0.81, &[1.0, 1.0]).accuracy() - 0.8).abs() < 1e-9);
        // One that is not heard neither helps nor harms.
        let beside = sureness(81, 0.72, &[1.0, 0.0]);
        assert_eq!((beside.accuracy(), beside.among_teachers), (alone.accuracy(), None));
        // Halfway.
        assert!((sureness(66, 0.72, &[1.0, 0.5, 0.0]).accuracy() - 0.8).abs() < 1e-9);
    }

    #[test]
    fn whoever_cannot_know_says_so() {
        let doubt = |sureness: Sureness| sureness.doubt().unwrap_or("none");
        assert!(doubt(sureness(0, 0.9, &[1.0])).contains("one teacher"));
        assert!(doubt(sureness(80, 0.9, &[1.0, 0.2])).contains("from one of the teachers"));
        assert!(doubt(sureness(50, 0.9, &[1.0, 1.0])).contains("learned mistakes"));
        assert_eq!(doubt(sureness(80, 0.8, &[1.0, 0.9])), "none");
    }
}
