//! The refinery: turns a candidate set and the student's out-of-sample prediction into a training target and a label.

use std::borrow::Cow;

use serde_json::Value;

use super::candist::Candist;
use super::cc::Cc;
use super::posterior::Posterior;
use super::renormalise::Renormalise;
use super::single::Single;
use super::uniform::Uniform;
use crate::config::RefineryKind;
use crate::domain::candidates::CandidateSet;
use crate::domain::label::LabelId;
use crate::student::{Loss, Rows};

/// Candidates of samples, and the logits of a student that never saw them: one row each.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// Candidates, one set per row of `logits`.
    pub candidates: Vec<&'a CandidateSet>,
    /// Out-of-sample logits, C columns.
    pub logits: Rows,
}

impl Evidence<'_> {
    /// Each sample's candidates and logits, of those samples that have candidates and whose logits are finite: nothing is to be
    /// learned from the others.
    pub fn iter(&self) -> impl Iterator<Item = (&CandidateSet, &[f32])> {
        let rows = self.candidates.iter().copied().zip(self.logits.iter());
        rows.filter(|(candidates, logits)| !candidates.is_empty() && usable(logits).is_some())
    }
}

/// How candidates and student become one distribution over the C labels.
///
/// A refinery answers two questions of every sample: what shall the student learn from it ([`Refinery::target`]), and which
/// label has it ([`Refinery::posterior`])? It is given what the teachers said, ranked, and the logits of that copy of the
/// student which never trained on the sample, so that the student's opinion is no echo of the candidates.
///
/// **Shapes and units.** C is the task's number of labels, the same in all calls. Logits are C logarithms of probabilities up to
/// a constant, not calibrated. What is given back are C values: of a target what [`Refinery::loss`] reads (a distribution for
/// [`Loss::CrossEntropy`], ones and zeros for [`Loss::Candidates`]), else a distribution, which sums to 1.
///
/// **Broken students.** Logits that are infinite or no numbers say nothing. The refineries here give no target for them, and a
/// posterior of nothing but NaN, of which [`argmax`](crate::student::argmax) takes no label.
///
/// **Threads.** The one that labels is made and used on the student's thread; another is made beforehand, for its name
/// and identity. A panic in one of a program's own ends the run with an error that names the refinery.
///
/// **Determinism.** What is given back depends on the arguments and on what was learned in [`Refinery::refit`], and on nothing
/// else: a run that was killed is replayed, and must come to the same bytes. What is learned goes through
/// [`Refinery::save`] and [`Refinery::load`] without the loss of a bit.
///
/// The formulas of those here are in their files: `posterior` (ours), `candist` (Xia et al. 2025, arXiv 2506.03857),
/// `renormalise` (PRODEN, Lv et al. 2020, arXiv 2002.08053), `cc` (Feng et al. 2020, arXiv 2007.08929), `uniform`, `single`.
///
/// One of your own, which believes the teacher's first label as far as its setting says, and else the student:
///
/// ```
/// use candist::{CandidateSet, LabelId, Opinion, Refinery, argmax, softmax};
///
/// struct FirstOrStudent {
///     labels: usize,
///     share: f32,
/// }
///
/// impl Refinery for FirstOrStudent {
///     fn name(&self) -> &str {
///         "first-or-student"
///     }
///
///     fn identity(&self) -> String {
///         format!("first-or-student 1, share {}", self.share)
///     }
///
///     fn target(&self, candidates: &CandidateSet, logits: Option<&[f32]>) -> Option<Vec<f32>> {
///         // In the warm-up nothing is known of the student: all labels alike.
///         Some(self.posterior(candidates, logits.unwrap_or(&vec![0.0; self.labels])))
///     }
///
///     fn posterior(&self, candidates: &CandidateSet, logits: &[f32]) -> Vec<f32> {
///         let student = softmax(logits);
///         let Some(first) = candidates.labels().first() else { return student };
///         let teacher = |label: usize| if label == first.index() { self.share } else { 0.0 };
///         student.iter().enumerate().map(|(label, p)| teacher(label) + (1.0 - self.share) * p).collect()
///     }
/// }
///
/// let refinery = FirstOrStudent { labels: 3, share: 0.4 };
/// let candidates = CandidateSet::merge([Opinion::of(0, &[LabelId(2), LabelId(0)], &[])]);
/// // The student is sure that it is label 1, and 0.6 of its certainty is more than the teacher's 0.4.
/// assert_eq!(argmax(&refinery.posterior(&candidates, &[0.0, 9.0, 0.0])), Some(1));
/// assert_eq!(argmax(&refinery.posterior(&candidates, &[0.0, 0.0, 0.0])), Some(2));
/// ```
pub trait Refinery: Send {
    /// What it is called: the `by` of the labels that it makes. Short, lower case.
    fn name(&self) -> &str;

    /// Tells apart all that labels depend on in it: its name, its version (another one when it comes to label otherwise) and
    /// its settings; not what it learns. It goes into a run's fingerprint: where it differs, labels are written anew.
    fn identity(&self) -> String;

    /// What the student is trained towards: C values as [`Refinery::loss`] reads them, or nothing, and the sample is left
    /// out. `logits` are out of sample; `None` in the warm-up, when a student knows too little to be asked. There is at
    /// least one candidate.
    fn target(&self, candidates: &CandidateSet, logits: Option<&[f32]>) -> Option<Vec<f32>>;

    /// What the label is taken from: a distribution over C labels. Without candidates, the student's own.
    ///
    /// The label is its largest value, the first of equals, which is also the label's confidence. Another length than
    /// C ends the run with [`Error::Refinery`](crate::Error::Refinery).
    fn posterior(&self, candidates: &CandidateSet, logits: &[f32]) -> Vec<f32>;

    /// What the student is to say of the text even when it is perturbed: a distribution, for refineries that regularise,
    /// of every text. `logits` are out of sample.
    ///
    /// Asked in the passes at the corpus' end only. One that gives nothing for any text of a batch has that batch
    /// trained without it.
    fn steady(&self, _candidates: &CandidateSet, _logits: &[f32]) -> Option<Vec<f32>> {
        None
    }

    /// How the student is trained on the targets.
    fn loss(&self) -> Loss {
        Loss::CrossEntropy
    }

    /// What a student's logits are divided by for calibrated probabilities, as far as this knows. Above 0 and finite:
    /// it goes into checkpoints and exported folders, and decides no label.
    fn temperature(&self) -> f64 {
        1.0
    }

    /// Why the labels' confidences tell which are surer, and not how sure; as part of a sentence. None where they are
    /// probabilities, as far as can be known. It is shown with the labels, and decides nothing.
    fn calibration_doubt(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed("this refinery does not calibrate them"))
    }

    /// Learns what the refinery itself has to learn, from samples in memory. Called before every sweep and every
    /// pass, with some thousand samples at most.
    fn refit(&mut self, _evidence: &Evidence<'_>) {}

    /// What was learned, for a checkpoint. JSON has no number that is not finite.
    fn save(&self) -> Value {
        Value::Null
    }

    /// Takes up what [`Refinery::save`] gave; says why if it cannot, and is then to be made anew.
    ///
    /// # Errors
    ///
    /// Where that is none of this refinery's, or for another number of labels. The labels are then replayed from the
    /// first text on, and nothing is lost.
    fn load(&mut self, _saved: Value) -> Result<(), String> {
        Ok(())
    }
}

impl<R: Refinery + ?Sized> Refinery for Box<R> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn identity(&self) -> String {
        (**self).identity()
    }

    fn target(&self, candidates: &CandidateSet, logits: Option<&[f32]>) -> Option<Vec<f32>> {
        (**self).target(candidates, logits)
    }

    fn posterior(&self, candidates: &CandidateSet, logits: &[f32]) -> Vec<f32> {
        (**self).posterior(candidates, logits)
    }

    fn steady(&self, candidates: &CandidateSet, logits: &[f32]) -> Option<Vec<f32>> {
        (**self).steady(candidates, logits)
    }

    fn loss(&self) -> Loss {
        (**self).loss()
    }

    fn temperature(&self) -> f64 {
        (**self).temperature()
    }

    fn calibration_doubt(&self) -> Option<Cow<'_, str>> {
        (**self).calibration_doubt()
    }

    fn refit(&mut self, evidence: &Evidence<'_>) {
        (**self).refit(evidence);
    }

    fn save(&self) -> Value {
        (**self).save()
    }

    fn load(&mut self, saved: Value) -> Result<(), String> {
        (**self).load(saved)
    }
}

/// The configured refinery, knowing nothing yet, for `labels` labels.
#[must_use]
pub fn new_refinery(kind: RefineryKind, labels: usize) -> Box<dyn Refinery> {
    match kind {
        RefineryKind::Posterior => Box::new(Posterior::new(labels)),
        RefineryKind::Candist => Box::new(Candist::new(labels)),
        RefineryKind::Renormalise => Box::new(Renormalise::new(labels)),
        RefineryKind::Cc => Box::new(Cc::new(labels)),
        RefineryKind::Uniform => Box::new(Uniform::new(labels)),
        RefineryKind::Single => Box::new(Single::new(labels)),
    }
}

/// Logits that say something: none of them infinite or no number. The formulas assume it.
pub(super) fn usable(logits: &[f32]) -> Option<&[f32]> {
    logits.iter().all(|logit| logit.is_finite()).then_some(logits)
}

/// A posterior that no label can be taken from: where the student says nothing that could be used.
pub(super) fn nothing(logits: &[f32]) -> Vec<f32> {
    vec![f32::NAN; logits.len()]
}

/// `row` restricted to `candidates` and made to sum to 1; all of `row` if there are no candidates.
pub(super) fn restrict(candidates: &[LabelId], row: &[f32]) -> Vec<f32> {
    if candidates.is_empty() {
        return row.to_vec();
    }
    let mut restricted = vec![0.0; row.len()];
    let listed = || candidates.iter().filter_map(|label| row.get(label.index()).map(|&p| (label.index(), p)));
    let sum: f32 = listed().map(|(_, p)| p).sum();
    for (index, p) in listed() {
        if let Some(slot) = restricted.get_mut(index) {
            // A student that gives all candidates nothing says nothing about which it is.
            *slot = if sum > 0.0 { p / sum } else { 1.0 / candidates.len() as f32 };
        }
    }
    restricted
}

/// The distribution whose logarithms are `row`, up to a constant, to the power of `power`. Below 1 it is flatter, and
/// the order stays.
pub(super) fn sharpened(row: &[f64], power: f64) -> Vec<f64> {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut p: Vec<f64> = row.iter().map(|l| ((l - top) * power).exp()).collect();
    let sum: f64 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= sum);
    p
}

/// All candidates alike.
pub(super) fn alike(candidates: &[LabelId], labels: usize) -> Vec<f32> {
    restrict(candidates, &vec![1.0 / labels as f32; labels])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::candidates::Opinion;
    use proptest::prelude::*;

    /// What one teacher said.
    pub(crate) fn set(ids: &[u16]) -> CandidateSet {
        let labels: Vec<LabelId> = ids.iter().map(|&id| LabelId(id)).collect();
        CandidateSet::merge([Opinion::of(0, &labels, &[])])
    }

    /// What several teachers said.
    pub(crate) fn sets(opinions: &[&[u16]]) -> CandidateSet {
        CandidateSet::merge(opinions.iter().zip(0..).map(|(ids, teacher)| {
            let labels: Vec<LabelId> = ids.iter().map(|&id| LabelId(id)).collect();
            Opinion::of(teacher, &labels, &[])
        }))
    }

    const KINDS: [RefineryKind; 6] = [
        RefineryKind::Posterior,
        RefineryKind::Candist,
        RefineryKind::Renormalise,
        RefineryKind::Cc,
        RefineryKind::Uniform,
        RefineryKind::Single,
    ];

    fn is_distribution(row: &[f32]) -> bool {
        row.len() == 5 && row.iter().all(|p| (0.0..=1.0001).contains(p)) && (row.iter().sum::<f32>() - 1.0).abs() < 1e-4
    }

    /// What a refinery gives is a distribution, before and after it learned, and in its fence if it has one.
    fn check(
        kind: RefineryKind,
        refinery: &dyn Refinery,
        candidates: &CandidateSet,
        logits: &[f32],
    ) -> Result<(), TestCaseError> {
        let posterior = refinery.posterior(candidates, logits);
        prop_assert!(is_distribution(&posterior), "{:?} {:?}", kind, posterior);
        let outside = |row: &[f32]| -> f32 {
            (0..5).filter(|&l| !candidates.labels().contains(&LabelId(l))).map(|l| row[usize::from(l)]).sum()
        };
        let fenced = !matches!(kind, RefineryKind::Posterior | RefineryKind::Single | RefineryKind::Candist);
        prop_assert!(candidates.is_empty() || !fenced || outside(&posterior) == 0.0, "{:?}", kind);
        let steady = refinery.steady(candidates, logits);
        prop_assert!(steady.as_ref().is_none_or(|steady| is_distribution(steady)), "{:?} {:?}", kind, steady);
        for logits in [None, Some(logits)] {
            let Some(target) = (!candidates.is_empty()).then(|| refinery.target(candidates, logits)).flatten() else {
                continue;
            };
            prop_assert!(is_distribution(&target) || refinery.loss() == Loss::Candidates, "{:?} {:?}", kind, target);
            let relabels = matches!(kind, RefineryKind::Posterior | RefineryKind::Candist);
            prop_assert!(relabels || outside(&target) == 0.0, "{:?}", kind);
        }
        Ok(())
    }

    #[test]
    fn every_refinery_says_who_it_is() {
        let all = KINDS.map(|kind| new_refinery(kind, 3));
        let names: Vec<&str> = all.iter().map(|refinery| refinery.name()).collect();
        assert_eq!(names, ["posterior", "candist", "renormalise", "cc", "uniform", "single"]);
        for (refinery, name) in all.iter().zip(names) {
            let version = if name == "posterior" { 5 } else { 1 };
            assert_eq!(refinery.identity(), format!("{name} {version}"), "a version goes with the name");
        }
    }

    #[test]
    fn logits_that_are_no_numbers_make_no_label_no_target_and_teach_nothing() {
        let sets = [set(&[0, 1]), set(&[2]), CandidateSet::default()];
        for kind in KINDS {
            let (mut refinery, fresh) = (new_refinery(kind, 3), new_refinery(kind, 3));
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for row in [[bad, 0.0, 1.0], [0.0, 2.0, bad], [bad; 3]] {
                    for candidates in &sets {
                        assert_eq!(crate::student::argmax(&refinery.posterior(candidates, &row)), None, "{kind:?}");
                        assert_eq!(refinery.steady(candidates, &row), None, "{kind:?}");
                        let target =
                            (!candidates.is_empty()).then(|| refinery.target(candidates, Some(&row))).flatten();
                        // What does not ask the student may be learned all the same.
                        assert!(target.is_none() || target == refinery.target(candidates, None), "{kind:?} {target:?}");
                    }
                    let candidates: Vec<&CandidateSet> = sets.iter().collect();
                    refinery.refit(&Evidence { candidates, logits: Rows::new(3, row.repeat(3)) });
                    let row = refinery.posterior(&sets[0], &[0.0, 1.0, 2.0]);
                    assert!(row.iter().all(|p| p.is_finite()), "{kind:?} {row:?}");
                }
            }
            // One bad row among good ones is as if it were not there.
            let good = [4.0, 0.0, 0.0];
            let learn = |refinery: &mut Box<dyn Refinery>, rows: &[[f32; 3]]| {
                let candidates = vec![&sets[0]; rows.len()];
                refinery.refit(&Evidence { candidates, logits: Rows::new(3, rows.concat()) });
                refinery.save()
            };
            let (mut mixed, mut clean) = (fresh, new_refinery(kind, 3));
            assert_eq!(learn(&mut mixed, &[good, good]), learn(&mut clean, &[good, good]));
            let with_bad = learn(&mut mixed, &[good, good, [f32::NAN; 3]]);
            assert!(!with_bad.to_string().contains("null") || with_bad.is_null(), "{kind:?} {with_bad}");
        }
    }

    proptest! {
        #[test]
        fn every_refinery_gives_distributions(
            sets in prop::collection::vec(
                (prop::sample::subsequence(vec![0_u16, 1, 2, 3, 4], 0..=5),
                 prop::sample::subsequence(vec![4_u16, 3, 2, 1, 0], 0..=2),
                 prop::collection::vec(-40.0_f32..40.0, 5)), 1..12),
        ) {
            let samples: Vec<(CandidateSet, Vec<f32>)> =
                sets.iter().map(|(a, b, logits)| (self::sets(&[a, b]), logits.clone())).collect();
            let evidence = Evidence {
                candidates: samples.iter().map(|(set, _)| set).collect(),
                logits: Rows::new(5, samples.iter().flat_map(|(_, logits)| logits.clone()).collect()),
            };
            for kind in KINDS {
                let mut refinery = new_refinery(kind, 5);
                for _ in 0..2 {
                    for (candidates, logits) in &samples {
                        check(kind, refinery.as_ref(), candidates, logits)?;
                    }
                    refinery.refit(&evidence);
                }
            }
        }
    }
}
