//! How sure labels may be on average, as far as that shows without a gold label, and why it may not.
//!
//! What shows is agreement. Two sources that are right with probability r and err apart agree on
//!
//! ```text
//! d = r^2 + (1 - r)^2 q,   q = sum over labels c of m_1(c) m_2(c) C / (C - 1)
//! ```
//!
//! of the samples: both right, or both wrong with the same label; m is how often a source names each label, and q is 1 / (C - 1)
//! where all are named alike often. There are two agreements to go by: `a`, of the
//! student with what the teachers say together, and `d`, of the teachers with each other. Sources seldom err apart. So of
//! the two accuracies the smaller counts: sqrt(a), and the r of d.
//!
//! Of one teacher alone there is `a` only, and the student learns part of its mistakes. Taken for half of them, the student
//! repeats what the teacher says with probability r where that is right and r / 2 where it is not: `a = r (1 + r) / 2`. That it is
//! half is an assumption. It fits LLMs on BANKING77, and is far from the truth where the teacher's mistakes follow from
//! what the student sees, as with a teacher that stands on the student's own encoder. Nothing in the answers tells one case
//! from the other, which is said: [`Sureness::doubt`].

use super::pairs::Pairs;

/// What the second teacher's voice must be for the teachers' agreement to tell how good they are.
const HEARD: f64 = 0.5;
/// Teachers that agree with a smaller kappa (Landis and Koch: less than moderately) bear each other out too seldom for that to show
/// how right they are: both too high and too low confidences were measured there.
const MODERATE: f64 = 0.4;
/// How much more accurate the student's agreement may make labels than the teachers' own, before it is a sign of shared
/// mistakes.
const SHARED: f64 = 0.15;

/// What agreement says of the labels' accuracy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sureness {
    teachers: usize,
    /// The mean probability that the student, out of sample, gives to what the teachers say together.
    with_student: f64,
    /// What the teachers say of each other. None where no two are heard.
    among_teachers: Option<Among>,
    /// The voice of the second of them, 0 to 1; the first has 1.
    second: f64,
}

impl Sureness {
    /// `with_student` is `a` of the module; `voices` are by teacher, 0 to 1.
    pub(super) fn new(labels: usize, with_student: f64, voices: &[f64], pairs: &Pairs) -> Self {
        let mut sorted = voices.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        Self {
            teachers: voices.len(),
            with_student,
            among_teachers: among(labels, voices, pairs),
            second: sorted.get(1).copied().unwrap_or_default(),
        }
    }

    /// What the mean confidence should be, 0 to 1.
    pub(super) fn accuracy(&self) -> f64 {
        let alone = accuracy_alone(self.with_student);
        let Some(among) = self.among_teachers else { return alone };
        let together = self.with_student.sqrt().min(among.right);
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
                "nothing bears out more than one of the teachers, and what that one and the student get wrong together shows nowhere",
            );
        };
        if self.with_student.sqrt() - among.right > SHARED {
            return Some(
                "the student agrees with the teachers more than these do with each other, so it has learned mistakes of theirs",
            );
        }
        let is_seldom = among.beyond_chance < MODERATE;
        is_seldom.then_some("the teachers agree with each other too seldom for that to show how often they are right")
    }
}

/// The accuracy of a teacher of which half of the mistakes are repeated by what agrees with it on the share `agreed`.
pub(super) fn accuracy_alone(agreed: f64) -> f64 {
    ((1.0 + 8.0 * agreed).sqrt() - 1.0) / 2.0
}

/// The accuracy of two sources that err apart, agree on the share `agreed`, and if both are wrong agree with probability
/// `by_chance`: the larger root of the quadratic of the module.
fn apart(agreed: f64, by_chance: f64) -> f64 {
    let root = (by_chance * by_chance - (1.0 + by_chance) * (by_chance - agreed)).max(0.0).sqrt();
    (by_chance + root) / (1.0 + by_chance)
}

/// How often teachers agree, as the mean over pairs weighted by their voices.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Among {
    /// The accuracy at which, erring apart, they agree as often as they do: r of the module.
    right: f64,
    /// Cohen's kappa.
    beyond_chance: f64,
}

/// None where no two teachers are heard.
fn among(labels: usize, voices: &[f64], pairs: &Pairs) -> Option<Among> {
    let (mut agreed, mut by_chance, mut wrong_alike, mut all) = (0.0, 0.0, 0.0, 0.0);
    for pair in pairs.iter() {
        let [first, second] = pair.of.map(|teacher| voices.get(teacher).copied().unwrap_or_default());
        let weight = first * second * pair.count as f64;
        agreed += weight * pair.agreed();
        by_chance += weight * pair.by_chance();
        // q of the module.
        wrong_alike += weight * (pair.by_chance() * labels as f64 / (labels as f64 - 1.0).max(1.0)).min(1.0);
        all += weight;
    }
    (all > 0.0).then(|| Among {
        right: apart(agreed / all, wrong_alike / all),
        beyond_chance: (agreed - by_chance) / (all - by_chance).max(f64::MIN_POSITIVE),
    })
}

#[cfg(test)]
mod tests {
    use super::super::refinery::tests::sets;
    use super::*;
    use crate::domain::candidates::CandidateSet;

    /// Of 100 samples of three labels, alike often, those on which two teachers say the same; a third always says label 2.
    fn sureness(agreeing: u16, with_student: f64, voices: &[f64]) -> Sureness {
        let said = |i: u16| -> Vec<u16> {
            let label = i % 3;
            vec![label, if i < agreeing { label } else { (label + 1) % 3 }, 2]
        };
        let set = |i: u16| {
            let said = said(i);
            sets(&said.iter().take(voices.len()).map(std::slice::from_ref).collect::<Vec<_>>())
        };
        let said: Vec<CandidateSet> = (0..100).map(set).collect();
        let pairs = Pairs::new(voices.len(), 3, &said.iter().collect::<Vec<_>>());
        Sureness::new(3, with_student, voices, &pairs)
    }

    #[test]
    fn accuracies_by_hand() {
        // r = 0.8, three labels alike often: 0.64 + 0.04 / 2.
        assert!((apart(0.66, 0.5) - 0.8).abs() < 1e-9);
        assert!((apart(0.5, 1.0) - 0.5).abs() < 1e-9 && (apart(1.0, 1.0 / 76.0) - 1.0).abs() < 1e-9);
        // Less than chance says nothing good of either.
        assert!((apart(0.1, 0.5) - 1.0 / 3.0).abs() < 1e-9);
        // One teacher of 0.8: 0.8 x 1.8 / 2.
        let alone = sureness(0, 0.72, &[1.0]);
        assert!((alone.accuracy() - 0.8).abs() < 1e-9 && alone.among_teachers.is_none());
        // Two, the student agreeing less than they do, and more. 100 samples of three labels are not quite alike often.
        assert!((sureness(81, 0.49, &[1.0, 1.0]).accuracy() - 0.7).abs() < 1e-9);
        assert!((sureness(66, 0.81, &[1.0, 1.0]).accuracy() - 0.8).abs() < 1e-3);
        // One that is not heard neither helps nor harms.
        let beside = sureness(81, 0.72, &[1.0, 0.0]);
        assert_eq!((beside.accuracy(), beside.among_teachers), (alone.accuracy(), None));
        // Halfway between 0.8 and sqrt(0.5625) = 0.75, from a = 0.5625: r (1 + r) / 2 = a at r = 0.6726.
        let halfway = sureness(66, 0.5625, &[1.0, 0.5, 0.0]).accuracy();
        assert!((halfway - (0.75 + 0.672_604) / 2.0).abs() < 1e-4, "{halfway}");
    }

    #[test]
    fn teachers_that_both_name_one_label_nearly_always_agree_by_chance() {
        // Nine of ten times label 0, each by itself: 0.82 of the samples. Of two labels, that is 0.9 at most.
        let said: Vec<CandidateSet> =
            (0..100).map(|i| sets(&[&[u16::from(i % 10 == 0)], &[u16::from(i / 10 == 0)]])).collect();
        let found = among(2, &[1.0, 1.0], &Pairs::new(2, 2, &said.iter().collect::<Vec<_>>())).unwrap();
        assert!((found.right - 0.9).abs() < 1e-9 && found.beyond_chance.abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn whoever_cannot_know_says_so() {
        let doubt = |sureness: Sureness| sureness.doubt().unwrap_or("none");
        assert!(doubt(sureness(0, 0.9, &[1.0])).contains("one teacher"));
        assert!(doubt(sureness(80, 0.9, &[1.0, 0.2])).contains("more than one of the teachers"));
        assert!(doubt(sureness(45, 0.3, &[1.0, 1.0])).contains("too seldom"));
        assert!(doubt(sureness(50, 0.9, &[1.0, 1.0])).contains("learned mistakes"));
        assert_eq!(doubt(sureness(80, 0.8, &[1.0, 0.9])), "none");
    }
}
