//! `posterior`, the default: candidates as evidence, not as a fence.
//!
//! ```text
//! ln posterior(c) = trust (ln p~(c) + sum over teachers of ln L_t(c)) + (1 - trust) ln L_0(c) + constant
//! ```
//! with p~ the calibrated out-of-sample student, L_t what is learned of each teacher ([`TeacherModel`]), and L_0 the
//! teachers' own rankings, taken at their word. `trust` is the share of a teacher's labels that can be explained without it
//! (see `trust.rs`), of the teacher of whom that is most: with a student that has learned nothing, and no other teacher, the
//! label is the teacher's first.
//!
//! Of several teachers, L_0 is the mean `sum_t v_t rank_t / sum_t v_t` over those that answered: two that say the same make it
//! twice as likely, no more, for they may well err together. Nothing of it is taken from the order in which they are
//! configured. v_t is a teacher's voice (see `voices.rs`): 1, or less, to 0, for those whom neither another teacher nor the student
//! bears out half as well as the best. It is divided by the mean of what rank_t gives to the first label: a teacher that names one label each time is
//! no surer than one that always names four.
//!
//! What a ranking gives at its word to the labels that are not in it is `1 - r`, and so is the prior of what L_t gives to
//! them. r is the accuracy that agreement speaks for (`accuracy_alone` of `sureness.rs`): the mean probability that the student, or
//! student and other teachers, give to what the teacher names is taken for `r (1 + r) / 2`. With one share for all teachers,
//! what is wrong four times in ten is believed like what is wrong once: then EM, which starts from shares that nobody
//! objects to, finds every teacher nearly perfect.
//!
//! L_t is learned by EM: shares by the posterior, then L_t by the shares. The student is regularised as by `candist`, towards
//! the posterior.
//!
//! The student is trained, and L_t learned, with `trust`. Where all answers name one label, the text's label is taken with
//! `min(1, 2 trust)^2`, if that is more: what is wrong in a target comes back from the student, and more trust makes more of it;
//! what is wrong in a label ends there. So a student that explains half of what a teacher says is heard fully, and one that
//! explains a fifth may well know the teacher's habits better than the labels (`a_weak_student_does_not_make_a_teacher_worse`).
//! Longer answers keep `trust`, for of their confusions nothing is learned.
//!
//! Students learn teachers' mistakes and teachers share theirs, so the product is surer than it is right. A label's
//! confidence is therefore that of posterior^sharpness, with the sharpness at which the mean confidence is what can be known
//! of the labels' accuracy (see `sureness.rs`).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::calibration::Calibration;
use super::ranks::RankLikelihood;
use super::refinery::{Evidence, Refinery, nothing, sharpened, usable};
use super::sureness::{Sureness, accuracy_alone, agreement};
use super::teacher_model::{TeacherCounts, TeacherModel};
use super::trust::{self, Explained};
use super::voices::voices;
use crate::domain::candidates::{CandidateSet, Opinion};

/// Shares hardly move after that many. A fixed number, and no bound on the change: so the work does not depend on
/// last bits.
const EM_ROUNDS: usize = 10;
/// Between these is the share of texts whose label a teacher does not name, whatever agreement says.
const LEAST_OUT: f64 = 0.02;
const MOST_OUT: f64 = 0.9;
/// Samples that are enough to choose the sharpness by: it needs all of the posterior for each of them, at every
/// bisection.
const SHARPNESS_SAMPLES: usize = 2048;
/// Finds the sharpness to 2^-12.
const BISECTIONS: usize = 12;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Posterior {
    /// From logits to p~.
    calibration: Calibration,
    /// 0 to 1; 0 before anything is learned.
    trust: f64,
    /// Above 0, at most 1: labels are made less sure by it, never surer. It leaves the order of labels as it is.
    sharpness: f64,
    /// By teacher, as the configuration counts them; empty before anything is learned. A teacher that is not here
    /// says nothing.
    teachers: Vec<TeacherModel>,
    /// rho of L_0, by teacher; empty before anything is learned: then it is that of [`RankLikelihood::prior`].
    at_its_word: Vec<RankLikelihood>,
    /// v_t as it weighs in L_0, by teacher; empty before anything is learned: then all are heard alike.
    weights: Vec<f64>,
    /// Why confidences are a ranking and no probabilities, where they are.
    doubt: Option<Cow<'static, str>>,
}

impl Posterior {
    pub(super) fn new(labels: usize) -> Self {
        Self {
            calibration: Calibration::new(labels),
            trust: 0.0,
            sharpness: 1.0,
            teachers: Vec::new(),
            at_its_word: Vec::new(),
            weights: Vec::new(),
            doubt: None,
        }
    }

    /// rho of a teacher's rankings at their word.
    fn word_of(&self, teacher: u16) -> Cow<'_, RankLikelihood> {
        let word = self.at_its_word.get(usize::from(teacher));
        word.map_or_else(|| Cow::Owned(RankLikelihood::prior()), Cow::Borrowed)
    }

    /// ln L_0, by label.
    fn at_its_word(&self, candidates: &CandidateSet) -> Vec<f64> {
        let labels = self.calibration.labels();
        if candidates.is_empty() {
            return vec![0.0; labels];
        }
        let mut row = vec![0.0; labels];
        let weight = |opinion: &Opinion| self.weights.get(usize::from(opinion.teacher)).copied().unwrap_or(1.0);
        let all: f64 = candidates.opinions().iter().map(weight).sum();
        for opinion in candidates.opinions() {
            // Where nobody else answered, the weakest is heard.
            let voice = if all > 0.0 { weight(opinion) / all } else { 1.0 / candidates.opinions().len() as f64 };
            let rho = self.word_of(opinion.teacher).of(opinion.labels.len());
            // However seldom a teacher seems right, what it names first is likelier than what it does not name.
            let most = rho.listed.first().map_or(1.0, |first| first / 2.0);
            // Above 0, since its logarithm is taken. With all labels listed, nobody reads what the others have.
            let others = rho.each_of(labels.saturating_sub(opinion.labels.len())).min(most).max(1e-12);
            row.iter_mut().for_each(|slot| *slot += voice * others);
            for (label, rho) in opinion.labels.iter().zip(&rho.listed) {
                row.get_mut(label.index()).into_iter().for_each(|slot| *slot += voice * (rho - others));
            }
        }
        row.iter_mut().for_each(|slot| *slot = slot.max(1e-12).ln());
        row
    }

    /// The number of teachers, counted from 0, of which some may have said nothing.
    fn teachers(evidence: &Evidence<'_>) -> u16 {
        let said = evidence.candidates.iter().flat_map(|candidates| candidates.opinions());
        said.map(|opinion| opinion.teacher + 1).max().unwrap_or(0)
    }

    /// The trust by which a label is taken.
    fn of_label(&self, candidates: &CandidateSet) -> f64 {
        let is_one = candidates.opinions().iter().all(|opinion| opinion.labels.len() == 1);
        if is_one { (2.0 * self.trust).min(1.0).powi(2).max(self.trust) } else { self.trust }
    }

    /// ln of the student's part and L_0's, by label and up to a constant; what EM leaves alone. Without candidates,
    /// the student's alone.
    fn ground(&self, candidates: &CandidateSet, logits: &[f32], trust: f64) -> Vec<f64> {
        let student = self.calibration.probabilities(logits);
        if candidates.is_empty() {
            return student.iter().map(|p| p.ln()).collect();
        }
        // Before anything is learned of the teachers, their ranking is all there is.
        let word = if self.teachers.is_empty() { 1.0 } else { 1.0 - trust };
        let ranking = self.at_its_word(candidates);
        student.iter().zip(ranking).map(|(p, l)| trust * p.ln() + word * l).collect()
    }

    /// ln of the posterior from its ground, up to a constant: what each teacher's model says is added with the weight
    /// `trust`.
    fn weighed(&self, candidates: &CandidateSet, mut row: Vec<f64>, trust: f64) -> Vec<f64> {
        for opinion in candidates.opinions() {
            if let Some(model) = self.teachers.get(usize::from(opinion.teacher)) {
                model.weigh(opinion, trust, &mut row);
            }
        }
        row
    }

    /// ln of the posterior that a label is taken from, up to a constant.
    fn of(&self, candidates: &CandidateSet, logits: &[f32]) -> Vec<f64> {
        let trust = self.of_label(candidates);
        self.weighed(candidates, self.ground(candidates, logits, trust), trust)
    }

    /// The posterior that the student is trained towards and teachers are learned by: C probabilities.
    /// A label that a person gave is certain: teachers are learned by it.
    fn careful(&self, candidates: &CandidateSet, ground: Vec<f64>) -> Vec<f64> {
        if let Some(given) = candidates.given() {
            return (0..ground.len()).map(|label| f64::from(u8::from(label == given.index()))).collect();
        }
        sharpened(&self.weighed(candidates, ground, self.trust), 1.0)
    }

    /// L_t by EM, from the beginning: what was learned before does not count, so the same memory gives the same
    /// models, whenever they were fitted last.
    ///
    /// Costs rounds x samples x labels x teachers. The ground is computed once, but for the first round.
    fn learn_teachers(&mut self, evidence: &Evidence<'_>) {
        let labels = self.calibration.labels();
        let said = || evidence.candidates.iter().flat_map(|candidates| candidates.opinions());
        // The model of one that said nothing here knows only the prior.
        let teachers = Self::teachers(evidence);
        let of = |teacher: u16| move |opinion: &&Opinion| opinion.teacher == teacher;
        let new = |teacher| TeacherModel::new(said().filter(of(teacher)), &self.word_of(teacher), labels);
        let mut learned: Vec<TeacherModel> = (0..teachers).map(new).collect();
        // In the first round shares come of student and ranking alone; an old model would bring its old shares back
        // in.
        self.teachers.clear();
        let mut ground: Vec<Vec<f64>> =
            evidence.iter().map(|(candidates, logits)| self.ground(candidates, logits, self.trust)).collect();
        for round in 0..EM_ROUNDS {
            let mut counts: Vec<TeacherCounts> = learned.iter().map(|_| TeacherCounts::new(labels)).collect();
            for ((candidates, _), ground) in evidence.iter().zip(&ground) {
                // E-step: not sharpened, for the sharpness is of confidences alone.
                let shares = self.careful(candidates, ground.clone());
                for opinion in candidates.opinions() {
                    counts.get_mut(usize::from(opinion.teacher)).into_iter().for_each(|c| c.add(opinion, &shares));
                }
            }
            // M-step: each teacher by its own counts.
            for ((teacher, model), counts) in (0..).zip(&mut learned).zip(counts) {
                model.learn(counts, &self.word_of(teacher));
            }
            self.teachers.clone_from(&learned);
            if round == 0 {
                // From now on there is more than the teachers' ranking.
                ground =
                    evidence.iter().map(|(candidates, logits)| self.ground(candidates, logits, self.trust)).collect();
            }
        }
    }

    /// Trust, voices and teachers, by what is explained of each teacher. Gives the voices.
    fn learn(&mut self, explained: &[Explained], evidence: &Evidence<'_>) -> Vec<f64> {
        let shares: Vec<f64> = explained.iter().map(|explained| explained.share).collect();
        self.trust = shares.iter().copied().fold(0.0, f64::max);
        let out = |explained: &Explained| (1.0 - accuracy_alone(explained.named)).clamp(LEAST_OUT, MOST_OUT);
        self.at_its_word = explained.iter().map(|explained| RankLikelihood::with_out(out(explained))).collect();
        let voices = self.hear(&shares, evidence);
        self.learn_teachers(evidence);
        voices
    }

    /// Hears each teacher by its voice, of as sure a word. Gives the voices.
    fn hear(&mut self, explained: &[f64], evidence: &Evidence<'_>) -> Vec<f64> {
        let voices = voices(self.calibration.labels(), explained, evidence);
        self.weights =
            voices.iter().zip(0..).map(|(voice, teacher)| voice / self.first_at_its_word(teacher, evidence)).collect();
        voices
    }

    /// The mean of what a teacher's ranking, at its word, gives to the label that it names first. Above 0.
    fn first_at_its_word(&self, teacher: u16, evidence: &Evidence<'_>) -> f64 {
        let word = self.word_of(teacher);
        let said = evidence.iter().flat_map(|(candidates, _)| candidates.opinions());
        let firsts = said
            .filter(|opinion| opinion.teacher == teacher)
            .filter_map(|opinion| word.of(opinion.labels.len()).listed.first().copied());
        let (sum, count) = firsts.fold((0.0, 0_u64), |(sum, count), first| (sum + first, count + 1));
        if count > 0 { sum / count as f64 } else { 1.0 }
    }

    /// How sure labels may be: the sharpness, by bisection, for the mean largest probability rises with the power. 1 where
    /// even that is not sure enough, or nothing is known.
    fn be_as_sure_as_is_known(&mut self, voices: &[f64], evidence: &Evidence<'_>) {
        let stride = evidence.candidates.len().div_ceil(SHARPNESS_SAMPLES).max(1);
        let some = || evidence.iter().step_by(stride);
        // Of a text that no teacher named a label for, nothing is said that the student could agree with.
        let answered = some().filter(|(candidates, _)| !candidates.is_empty());
        let said = answered.map(|(candidates, logits)| (argmax_of(&self.at_its_word(candidates)), logits));
        let Some(agreed) = agreement(&self.calibration, said) else {
            (self.sharpness, self.doubt) = (1.0, None);
            return;
        };
        let sureness = Sureness::new(self.calibration.labels(), agreed, voices, evidence);
        let rows: Vec<Vec<f64>> = some().map(|(candidates, logits)| self.of(candidates, logits)).collect();
        let sure = |sharpness: f64| {
            let top = |row: &Vec<f64>| sharpened(row, sharpness).into_iter().fold(0.0, f64::max);
            rows.iter().map(top).sum::<f64>() / rows.len() as f64
        };
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..BISECTIONS {
            let middle = (low + high) / 2.0;
            if sure(middle) < sureness.accuracy() { low = middle } else { high = middle }
        }
        self.sharpness = high;
        self.doubt = sureness.doubt().map(Cow::Borrowed);
    }
}

/// The place of the largest value, the first of equals.
fn argmax_of(row: &[f64]) -> Option<usize> {
    let best = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter().position(|value| *value >= best)
}

/// The student trains in f32.
fn narrow(row: Vec<f64>) -> Vec<f32> {
    row.into_iter().map(|p| p as f32).collect()
}

impl Refinery for Posterior {
    fn name(&self) -> &'static str {
        "posterior"
    }

    fn identity(&self) -> String {
        "posterior 4".to_owned()
    }

    fn target(&self, candidates: &CandidateSet, logits: Option<&[f32]>) -> Option<Vec<f32>> {
        Some(match logits {
            Some(logits) => narrow(self.careful(candidates, self.ground(candidates, usable(logits)?, self.trust))),
            None => narrow(sharpened(&self.at_its_word(candidates), 1.0)),
        })
    }

    fn steady(&self, candidates: &CandidateSet, logits: &[f32]) -> Option<Vec<f32>> {
        self.target(candidates, Some(logits))
    }

    fn posterior(&self, candidates: &CandidateSet, logits: &[f32]) -> Vec<f32> {
        let Some(logits) = usable(logits) else { return nothing(logits) };
        // Without candidates it is the student's, which has its own temperature.
        let sharpness = if candidates.is_empty() { 1.0 } else { self.sharpness };
        narrow(sharpened(&self.of(candidates, logits), sharpness))
    }

    fn temperature(&self) -> f64 {
        self.calibration.temperature()
    }

    fn refit(&mut self, evidence: &Evidence<'_>) {
        self.calibration = Calibration::fit(evidence, &RankLikelihood::prior(), self.calibration.labels());
        let teachers = Self::teachers(evidence);
        let explained: Vec<Explained> =
            (0..teachers).map(|teacher| trust::by_student(&self.calibration, teacher, evidence)).collect();
        let mut voices = self.learn(&explained, evidence);
        if teachers > 1 {
            let of = |teacher| trust::by_the_rest(&self.calibration, &self.teachers, teacher, evidence);
            let explained: Vec<Explained> =
                explained.into_iter().zip((0..teachers).map(of)).map(|(own, rest)| own.or(rest)).collect();
            voices = self.learn(&explained, evidence);
        }
        self.be_as_sure_as_is_known(&voices, evidence);
    }

    fn calibration_doubt(&self) -> Option<Cow<'_, str>> {
        self.doubt.as_deref().map(Cow::Borrowed)
    }

    fn save(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn load(&mut self, saved: Value) -> Result<(), String> {
        let loaded: Self = serde_json::from_value(saved).map_err(|error| error.to_string())?;
        let labels = self.calibration.labels();
        if !loaded.calibration.fits(labels) || !loaded.teachers.iter().all(|model| model.fits(labels)) {
            return Err("it is for another number of labels".to_owned());
        }
        *self = loaded;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::super::refinery::tests::{set, sets};
    use super::*;
    use crate::base::random::rng;
    use crate::student::{Rows, argmax};

    /// `count` samples of each of two labels, on which the student says the label with logits of `sure`, and two teachers
    /// what `said` makes of the label.
    fn fitted(count: usize, sure: f32, said: impl Fn(usize, usize) -> CandidateSet) -> Posterior {
        let candidates: Vec<CandidateSet> = (0..2 * count).map(|i| said(i % 2, i / 2)).collect();
        let logits = (0..2 * count).flat_map(|i| if i % 2 == 0 { [sure, 0.0, 0.0] } else { [0.0, sure, 0.0] });
        let evidence = Evidence { candidates: candidates.iter().collect(), logits: Rows::new(3, logits.collect()) };
        let mut posterior = Posterior::new(3);
        posterior.refit(&evidence);
        posterior
    }

    #[test]
    fn by_hand() {
        // Nothing learned: the ranking alone. L_0 = (0.6, 0.3) for the candidates, 0.1 / 2 for the others.
        let refinery = Posterior::new(4);
        for row in
            [refinery.posterior(&set(&[2, 0]), &[0.0, 9.0, 0.0, 0.0]), refinery.target(&set(&[2, 0]), None).unwrap()]
        {
            let expected = [0.3, 0.05, 0.6, 0.05];
            assert!(row.iter().zip(expected).all(|(p, e)| (p - e).abs() < 1e-6), "{row:?}");
        }
        assert_eq!(argmax(&refinery.posterior(&CandidateSet::default(), &[0.0, 1.0, 0.0, 0.0])), Some(1));
        // Two teachers, (0.9, 0.1 / 3 ..) each: the mean, whoever is named first.
        for said in [sets(&[&[1], &[3]]), sets(&[&[3], &[1]])] {
            let row = refinery.target(&said, None).unwrap();
            let (named, other) = ((0.9 + 0.1 / 3.0) / 2.0, 0.1 / 3.0);
            assert!(row.iter().zip([other, named, other, named]).all(|(p, e)| (p - e as f32).abs() < 1e-6), "{row:?}");
        }
    }

    #[test]
    fn a_student_that_explains_the_teacher_may_overrule_it_and_one_that_does_not_may_not() {
        let honest = |label: usize, _| set(&[u16::try_from(label).unwrap()]);
        let (good, useless) = (fitted(50, 6.0, honest), fitted(50, 0.0, honest));
        assert!(good.trust > 0.8 && useless.trust < 0.01, "{} {}", good.trust, useless.trust);
        assert_eq!(argmax(&good.posterior(&set(&[0, 1]), &[0.0, 6.0, 0.0])), Some(1));
        assert_eq!(argmax(&useless.posterior(&set(&[0, 1]), &[0.0, 6.0, 0.0])), Some(0));
    }

    #[test]
    fn a_better_teacher_outweighs_a_worse_one() {
        // The first teacher is wrong on every tenth sample, the second never.
        let mut posterior = fitted(100, 6.0, |label, i| {
            let wrong = if i % 10 == 0 { 1 - label } else { label };
            sets(&[&[u16::try_from(wrong).unwrap()], &[u16::try_from(label).unwrap()]])
        });
        posterior.trust = 1.0;
        assert_eq!(argmax(&posterior.posterior(&sets(&[&[0], &[1]]), &[0.0; 3])), Some(1));
        assert_eq!(argmax(&posterior.posterior(&sets(&[&[1], &[0]]), &[0.0; 3])), Some(0));
    }

    /// A teacher with habits, and a weak student that learned the habits better than the labels: what it is sure of, the
    /// teacher said, right or wrong. Accuracies of the teacher's first label, of the posterior, and of one with full trust.
    fn with_habits(seed: u64, names_two: bool) -> [f64; 3] {
        const SAMPLES: usize = 1200;
        let mut rng = rng(seed, "habits", &[]);
        let (mut truth, mut candidates, mut logits) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..SAMPLES {
            let (label, habit): (u16, u16) = (rng.random_range(0..3), rng.random_range(0..3));
            let first = if rng.random_bool(0.55) { label } else { habit };
            let second = if rng.random_bool(0.3) { rng.random_range(0..3) } else { first };
            candidates.push(if names_two { set(&[first, second]) } else { set(&[first]) });
            for column in 0..3 {
                let known = 0.5 * f32::from(u8::from(column == label)) + 1.2 * f32::from(u8::from(column == habit));
                logits.push(known + rng.random_range(-1.0..1.0));
            }
            truth.push(usize::from(label));
        }
        let evidence = Evidence { candidates: candidates.iter().collect(), logits: Rows::new(3, logits) };
        let mut guarded = Posterior::new(3);
        guarded.refit(&evidence);
        let trusting = Posterior { trust: 1.0, ..guarded.clone() };
        let accuracy = |label: &dyn Fn(&CandidateSet, &[f32]) -> Option<usize>| {
            let right =
                evidence.iter().zip(&truth).filter(|((set, row), truth)| label(set, row) == Some(**truth)).count();
            right as f64 / SAMPLES as f64
        };
        [
            accuracy(&|set, _| set.labels().first().map(|label| label.index())),
            accuracy(&|set, row| argmax(&guarded.posterior(set, row))),
            accuracy(&|set, row| argmax(&trusting.posterior(set, row))),
        ]
    }

    #[test]
    fn a_weak_student_does_not_make_a_teacher_worse() {
        let runs = |names_two| -> Vec<[f64; 3]> { (0..5).map(|seed| with_habits(seed, names_two)).collect() };
        for [teacher, guarded, _] in runs(true).iter().chain(&runs(false)) {
            assert!(*guarded > teacher - 0.005, "{teacher} {guarded}");
        }
        // Without the guard it would.
        let runs = runs(true);
        let mean = |of: usize| runs.iter().map(|run| run[of]).sum::<f64>() / runs.len() as f64;
        assert!(mean(2) < mean(0) - 0.02, "{runs:?}");
    }

    #[test]
    fn a_teacher_is_taken_for_as_right_as_it_seems() {
        // Of ten labels, wrong on four texts of ten; the student says the label.
        let (mut candidates, mut logits) = (Vec::new(), Vec::new());
        for i in 0..500_u16 {
            let label = i % 10;
            candidates.push(set(&[if i / 10 % 5 < 3 { label } else { (label + 1 + i / 50 % 9) % 10 }]));
            logits.extend((0..10).map(|column| if column == label { 5.0 } else { 0.0 }));
        }
        let evidence = Evidence { candidates: candidates.iter().collect(), logits: Rows::new(10, logits) };
        let mut posterior = Posterior::new(10);
        assert_eq!(RankLikelihood::prior().of(1).out, 0.1, "at first");
        posterior.refit(&evidence);
        let out = posterior.at_its_word[0].of(1).out;
        assert!((0.3..0.5).contains(&out), "{out}");
        // What it names stays the likeliest by its word alone, however seldom it seems right.
        posterior.at_its_word = vec![RankLikelihood::with_out(MOST_OUT)];
        assert!((0..2).all(|i| argmax_of(&posterior.at_its_word(&candidates[i])) == Some(i)));
    }

    /// 600 samples of 3 labels, on which the student says the label with some noise and each teacher is right with its own
    /// probability: what they say, the logits, and the truth.
    fn said_by(right: &[f64], seed: u64) -> (Vec<Vec<u16>>, Vec<f32>, Vec<usize>) {
        let mut rng = rng(seed, "teachers", &[]);
        let (mut said, mut logits, mut truth) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..600 {
            let label: u16 = rng.random_range(0..3);
            let wrong = |rng: &mut rand_chacha::ChaCha8Rng| (label + rng.random_range(1..3)) % 3;
            said.push(
                right.iter().map(|&right| if rng.random_bool(right) { label } else { wrong(&mut rng) }).collect(),
            );
            logits.extend((0..3).map(|column| f32::from(u8::from(column == label)) + rng.random_range(-1.0..1.0)));
            truth.push(usize::from(label));
        }
        (said, logits, truth)
    }

    /// The labels where the teachers are configured in `order`.
    fn labels_in(order: &[usize], said: &[Vec<u16>], logits: &[f32]) -> Vec<usize> {
        let set = |said: &Vec<u16>| {
            let opinions: Vec<[u16; 1]> = order.iter().map(|&teacher| [said[teacher]]).collect();
            sets(&opinions.iter().map(<[u16; 1]>::as_slice).collect::<Vec<_>>())
        };
        let candidates: Vec<CandidateSet> = said.iter().map(set).collect();
        let evidence = Evidence { candidates: candidates.iter().collect(), logits: Rows::new(3, logits.to_vec()) };
        let mut posterior = Posterior::new(3);
        posterior.refit(&evidence);
        evidence.iter().map(|(set, row)| argmax(&posterior.posterior(set, row)).unwrap()).collect()
    }

    #[test]
    fn the_order_of_the_teachers_does_not_matter() {
        for right in [[0.9, 0.6, 0.4], [0.5, 0.5, 0.8], [0.35, 0.6, 0.34]] {
            let (said, logits, _) = said_by(&right, 1);
            let expected = labels_in(&[0, 1, 2], &said, &logits);
            for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
                let other = labels_in(&order, &said, &logits);
                let same = expected.iter().zip(&other).filter(|(a, b)| a == b).count();
                // Sums in another order have other last bits.
                assert!(same >= 598, "{right:?} {order:?}: {same} of 600");
            }
        }
    }

    #[test]
    fn two_teachers_that_say_nothing_do_not_outvote_one_that_does() {
        let (said, logits, truth) = said_by(&[0.34, 0.8, 0.34], 2);
        let found = labels_in(&[0, 1, 2], &said, &logits);
        let right = |labels: &mut dyn Iterator<Item = usize>| labels.zip(&truth).filter(|(a, b)| a == *b).count();
        let alone = right(&mut said.iter().map(|said| usize::from(said[1])));
        let together = right(&mut found.into_iter());
        assert!(together + 3 >= alone, "{together} {alone}");
    }

    #[test]
    fn naming_one_label_is_not_being_surer_than_naming_four() {
        // The first teacher names one label, the second four others.
        let said = |i: u16| sets(&[&[5], &[i % 4, (i + 1) % 4, (i + 2) % 4, (i + 3) % 4]]);
        let candidates: Vec<CandidateSet> = (0..160).map(said).collect();
        let evidence = Evidence { candidates: candidates.iter().collect(), logits: Rows::new(6, vec![0.0; 960]) };
        let mut posterior = Posterior::new(6);
        let odds = |posterior: &Posterior| {
            let row = posterior.at_its_word(&said(4));
            (row[5] - row[0]).exp()
        };
        assert!(odds(&posterior) > 1.7, "at first the shorter answer counts for more: {}", odds(&posterior));
        assert_eq!(posterior.hear(&[0.5, 0.6], &evidence), [1.0, 1.0]);
        // Heard alike, but for the crumbs that go to labels not named.
        assert!((odds(&posterior) - 1.0).abs() < 0.1, "{}", odds(&posterior));
    }

    #[test]
    fn what_was_learned_is_saved_and_for_other_labels_refused() {
        let fitted = fitted(20, 3.0, |label, _| set(&[u16::try_from(label).unwrap()]));
        assert_ne!(fitted, Posterior::new(3));
        let mut loaded = Posterior::new(3);
        // By way of text, as in a checkpoint: not a bit may be lost.
        loaded.load(serde_json::from_str(&fitted.save().to_string()).unwrap()).unwrap();
        assert_eq!(loaded, fitted);
        assert!(Posterior::new(4).load(fitted.save()).is_err());
    }
}
