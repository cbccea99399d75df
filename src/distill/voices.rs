//! How far each of several teachers is heard where rankings are taken at their word (L_0 of `posterior.rs`), and where their
//! agreement tells how sure labels are (`sureness.rs`).
//!
//! ```text
//! v_t = min(1, 2 max(k_t / max_u k_u, e_t / max_u e_u))
//! ```
//! k_t is how far teacher t agrees with another teacher beyond chance (the largest of its Cohen's kappas), e_t the share of its
//! first labels that can be explained without it (`trust.rs`). A teacher is silenced only where neither another teacher nor the
//! student bears it out: what is as good as noise to all who never saw it does not outvote the others.
//!
//! The student alone is no judge of teachers, for it learns from them. One that learned a teacher's habits explains that teacher and
//! no other, whoever is right (on a corpus of mails, where a student had learned noise, the teacher that knew more was silenced
//! and labels fell by 20 points). So of two teachers both are heard fully: what they agree on they agree on alike, and nothing but the
//! student tells them apart. Of three, two that agree are heard, whatever the student has learned.

use super::pairs::Pairs;

/// Kappas below count as none, and so do those of fewer texts: that much agreement is chance.
const SLIGHT: f64 = 0.1;
const FEW: u64 = 50;

/// By teacher, 0 to 1; at least one of them is 1. `explained` is e_t, by teacher.
pub(super) fn voices(explained: &[f64], pairs: &Pairs) -> Vec<f64> {
    if explained.len() <= 2 {
        return vec![1.0; explained.len()];
    }
    let (borne_out, explained) = (shares_of_most(&kappas(explained.len(), pairs)), shares_of_most(explained));
    let heard: Vec<f64> = borne_out.iter().zip(&explained).map(|(k, e)| (2.0 * k.max(*e)).min(1.0)).collect();
    // Nothing is known of anybody: all are heard alike.
    if heard.iter().all(|voice| *voice <= 0.0) { vec![1.0; heard.len()] } else { heard }
}

/// k_t, by teacher.
fn kappas(teachers: usize, pairs: &Pairs) -> Vec<f64> {
    let mut most = vec![0.0_f64; teachers];
    for pair in pairs.iter() {
        let kappa = if pair.count < FEW { 0.0 } else { pair.kappa() };
        for teacher in pair.of {
            most.get_mut(teacher).into_iter().for_each(|slot| *slot = slot.max(kappa));
        }
    }
    most.iter().map(|kappa| if *kappa < SLIGHT { 0.0 } else { *kappa }).collect()
}

/// Each as a share of the largest; all 0 where that is 0.
fn shares_of_most(values: &[f64]) -> Vec<f64> {
    let most = values.iter().copied().fold(0.0, f64::max);
    values.iter().map(|value| if most > 0.0 { value / most } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::refinery::tests::sets;
    use super::*;
    use crate::domain::candidates::CandidateSet;

    /// The voices of teachers that say `said` of 120 texts of four labels.
    fn of(explained: &[f64], said: impl Fn(u16) -> Vec<u16>) -> Vec<f64> {
        let set = |i| sets(&said(i).iter().map(std::slice::from_ref).collect::<Vec<_>>());
        let candidates: Vec<CandidateSet> = (0..120).map(set).collect();
        let samples: Vec<&CandidateSet> = candidates.iter().collect();
        voices(explained, &Pairs::new(explained.len(), 4, &samples))
    }

    #[test]
    fn a_student_silences_nobody_whom_another_teacher_bears_out() {
        // The student explains the third alone, which says nothing of the first two.
        assert_eq!(of(&[0.0, 0.0, 0.5], |i| vec![i % 4, i % 4, i / 4 % 4]), [1.0, 1.0, 1.0]);
        // Two of whom only one is explained.
        assert_eq!(of(&[0.0, 0.5], |i| vec![i % 4, i / 4 % 4]), [1.0, 1.0]);
    }

    #[test]
    fn whom_nobody_bears_out_is_not_heard() {
        assert_eq!(of(&[0.4, 0.1, 0.0], |i| vec![i % 4, i % 4, i / 4 % 4]), [1.0, 1.0, 0.0]);
        // Unlike each other all three: then it is the student's word, if it has one.
        let unlike = |i| vec![i % 4, i / 4 % 4, i / 16 % 4];
        assert_eq!(of(&[0.4, 0.1, 0.0], unlike), [1.0, 0.5, 0.0]);
        assert_eq!(of(&[0.0, 0.0, 0.0], unlike), [1.0, 1.0, 1.0]);
    }

    #[test]
    fn agreement_is_counted_beyond_chance() {
        let pair = |said: fn(u16) -> [u16; 2]| {
            let candidates: Vec<CandidateSet> =
                (0..100).map(|i| sets(&said(i).iter().map(std::slice::from_ref).collect::<Vec<_>>())).collect();
            let pairs = Pairs::new(2, 2, &candidates.iter().collect::<Vec<_>>());
            let pair = pairs.iter().next().unwrap();
            [pair.agreed(), pair.kappa()]
        };
        // Nine of ten times label 0, each by itself.
        let [agreed, kappa] = pair(|i| [u16::from(i % 10 == 0), u16::from(i / 10 == 0)]);
        assert!((agreed - 0.82).abs() < 1e-9 && kappa.abs() < 1e-9);
        let [_, same] = pair(|i| [u16::from(i % 10 == 0); 2]);
        assert!((same - 1.0).abs() < 1e-9);
        // The same label always: nothing to know.
        assert_eq!(pair(|_| [0, 0])[1], 0.0);
    }
}
