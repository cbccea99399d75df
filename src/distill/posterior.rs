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
use super::pairs::Pairs;
use super::rankings::Rankings;
use super::ranks::RankLikelihood;
use super::refinery::{Evidence, Refinery, nothing, sharpened, usable};
use super::seen::{Sample, Seen};
use super::sureness::{Sureness, accuracy_alone};
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
/// ln of what is next to nothing beside 1, 1e-10.
const FAINT: f64 = -23.0;

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
    fn rho_of(&self, teacher: u16) -> Cow<'_, RankLikelihood> {
        let rho = self.at_its_word.get(usize::from(teacher));
        rho.map_or_else(|| Cow::Owned(RankLikelihood::prior()), Cow::Borrowed)
    }

    /// L_0.
    fn rankings(&self, candidates: &CandidateSet) -> Rankings {
        let weight = |teacher: u16| self.weights.get(usize::from(teacher)).copied().unwrap_or(1.0);
        let rho = |opinion: &Opinion| self.rho_of(opinion.teacher).of(opinion.labels.len());
        Rankings::of(candidates, self.calibration.labels(), weight, rho)
    }

    /// The number of teachers, counted from 0, of which some may have said nothing.
    fn teachers(seen: &Seen<'_>) -> u16 {
        let said = seen.candidates().iter().flat_map(|candidates| candidates.opinions());
        said.map(|opinion| opinion.teacher + 1).max().unwrap_or(0)
    }

    /// The trust by which a label is taken.
    fn of_label(&self, candidates: &CandidateSet) -> f64 {
        let is_one = candidates.opinions().iter().all(|opinion| opinion.labels.len() == 1);
        if is_one { (2.0 * self.trust).min(1.0).powi(2).max(self.trust) } else { self.trust }
    }

    /// ln of the posterior into `row`, by label and up to a constant, from ln p~ and ln L_0. Without candidates, the student's
    /// alone.
    fn weigh(&self, sample: Sample<'_>, rankings: &Rankings, trust: f64, row: &mut Vec<f64>) {
        row.clear();
        if sample.candidates.is_empty() {
            row.extend_from_slice(sample.ln_student);
            return;
        }
        row.extend(sample.ln_student.iter().map(|ln| trust * ln));
        // Before anything is learned of the teachers, their ranking is all there is.
        rankings.weigh(if self.teachers.is_empty() { 1.0 } else { 1.0 - trust }, row);
        for opinion in sample.candidates.opinions() {
            if let Some(model) = self.teachers.get(usize::from(opinion.teacher)) {
                model.weigh(opinion, trust, row);
            }
        }
    }

    /// The same from logits, with the trust that is to be had in them.
    fn of(&self, candidates: &CandidateSet, logits: &[f32], trust: f64) -> Vec<f64> {
        let student: Vec<f64> = self.calibration.logarithms(logits).collect();
        let mut row = Vec::with_capacity(student.len());
        self.weigh(Sample { candidates, ln_student: &student }, &self.rankings(candidates), trust, &mut row);
        row
    }

    /// L_t by EM, from the beginning: what was learned before does not count, so the same memory gives the same
    /// models, whenever they were fitted last.
    ///
    /// Costs rounds x samples x labels x teachers.
    fn learn_teachers(&mut self, teachers: u16, seen: &Seen<'_>) {
        let labels = self.calibration.labels();
        let said = || seen.candidates().iter().flat_map(|candidates| candidates.opinions());
        // The model of one that said nothing here knows only the prior.
        let of = |teacher: u16| move |opinion: &&Opinion| opinion.teacher == teacher;
        let new = |teacher| TeacherModel::new(said().filter(of(teacher)), &self.rho_of(teacher), labels);
        let mut learned: Vec<TeacherModel> = (0..teachers).map(new).collect();
        // In the first round shares come of student and ranking alone; an old model would bring its old shares back
        // in.
        self.teachers.clear();
        let all: Vec<Rankings> = seen.candidates().iter().map(|candidates| self.rankings(candidates)).collect();
        let mut shares = Vec::with_capacity(labels);
        for _ in 0..EM_ROUNDS {
            let mut counts: Vec<TeacherCounts> = learned.iter().map(|_| TeacherCounts::new(labels)).collect();
            for (sample, rankings) in seen.iter().zip(&all) {
                // E-step: not sharpened, for the sharpness is of confidences alone.
                self.share(sample, rankings, &mut shares);
                for opinion in sample.candidates.opinions() {
                    counts.get_mut(usize::from(opinion.teacher)).into_iter().for_each(|c| c.add(opinion, &shares));
                }
            }
            // M-step: each teacher by its own counts.
            for ((teacher, model), counts) in (0..).zip(&mut learned).zip(counts) {
                model.learn(counts, &self.rho_of(teacher));
            }
            // From the second round on there is more than the teachers' ranking.
            self.teachers.clone_from(&learned);
        }
    }

    /// The posterior that teachers are learned by, into `shares`: C probabilities, those that are next to nothing 0. A label
    /// that a person gave is certain.
    fn share(&self, sample: Sample<'_>, rankings: &Rankings, shares: &mut Vec<f64>) {
        if let Some(given) = sample.candidates.given() {
            shares.clear();
            shares.extend((0..sample.ln_student.len()).map(|label| f64::from(u8::from(label == given.index()))));
            return;
        }
        self.weigh(sample, rankings, self.trust, shares);
        let top = shares.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        shares.iter_mut().for_each(|ln| *ln = exp_or_nothing(*ln - top));
        let sum: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|p| *p /= sum);
    }

    /// Trust, voices and teachers, by what is explained of each teacher. Gives the voices.
    fn learn(&mut self, explained: &[Explained], pairs: &Pairs, seen: &Seen<'_>) -> Vec<f64> {
        let shares: Vec<f64> = explained.iter().map(|explained| explained.share).collect();
        self.trust = shares.iter().copied().fold(0.0, f64::max);
        let out = |explained: &Explained| (1.0 - accuracy_alone(explained.named)).clamp(LEAST_OUT, MOST_OUT);
        self.at_its_word = explained.iter().map(|explained| RankLikelihood::with_out(out(explained))).collect();
        let voices = voices(&shares, pairs);
        self.hear(&voices, seen);
        self.learn_teachers(u16::try_from(explained.len()).unwrap_or(u16::MAX), seen);
        voices
    }

    /// Hears each teacher by its voice, of as sure a word.
    fn hear(&mut self, voices: &[f64], seen: &Seen<'_>) {
        self.weights =
            voices.iter().zip(0..).map(|(voice, teacher)| voice / self.first_at_its_word(teacher, seen)).collect();
    }

    /// The mean of what a teacher's ranking, at its word, gives to the label that it names first. Above 0.
    fn first_at_its_word(&self, teacher: u16, seen: &Seen<'_>) -> f64 {
        let rho = self.rho_of(teacher);
        let said = seen.candidates().iter().flat_map(|candidates| candidates.opinions());
        let firsts = said
            .filter(|opinion| opinion.teacher == teacher)
            .filter_map(|opinion| rho.of(opinion.labels.len()).listed.first().copied());
        let (sum, count) = firsts.fold((0.0, 0_u64), |(sum, count), first| (sum + first, count + 1));
        if count > 0 { sum / count as f64 } else { 1.0 }
    }

    /// How sure labels may be: the sharpness, by bisection, for the mean largest probability rises with the power. 1 where
    /// even that is not sure enough, or nothing is known.
    fn be_as_sure_as_is_known(&mut self, voices: &[f64], pairs: &Pairs, seen: &Seen<'_>) {
        let stride = seen.len().div_ceil(SHARPNESS_SAMPLES).max(1);
        let (mut rows, mut agreed) = (Vec::new(), 0.0);
        for sample in seen.iter().step_by(stride) {
            let rankings = self.rankings(sample.candidates);
            agreed += rankings.first().map_or(0.0, |label| sample.probability(label));
            let mut row = Vec::with_capacity(sample.ln_student.len());
            self.weigh(sample, &rankings, self.of_label(sample.candidates), &mut row);
            let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row.iter_mut().for_each(|ln| *ln -= top);
            rows.push(row);
        }
        if rows.is_empty() {
            (self.sharpness, self.doubt) = (1.0, None);
            return;
        }
        let sureness = Sureness::new(self.calibration.labels(), agreed / rows.len() as f64, voices, pairs);
        let sure = |sharpness: f64| {
            let largest = |row: &Vec<f64>| 1.0 / row.iter().map(|ln| exp_or_nothing(ln * sharpness)).sum::<f64>();
            rows.iter().map(largest).sum::<f64>() / rows.len() as f64
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

/// e^ln, or 0 where that is next to nothing beside 1: most labels are, and an exponential is what costs here.
fn exp_or_nothing(ln: f64) -> f64 {
    if ln < FAINT { 0.0 } else { ln.exp() }
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
        "posterior 5".to_owned()
    }

    fn target(&self, candidates: &CandidateSet, logits: Option<&[f32]>) -> Option<Vec<f32>> {
        let row = match logits {
            Some(logits) => self.of(candidates, usable(logits)?, self.trust),
            None => {
                let mut row = vec![0.0; self.calibration.labels()];
                self.rankings(candidates).weigh(1.0, &mut row);
                row
            }
        };
        Some(narrow(sharpened(&row, 1.0)))
    }

    fn steady(&self, candidates: &CandidateSet, logits: &[f32]) -> Option<Vec<f32>> {
        self.target(candidates, Some(logits))
    }

    fn posterior(&self, candidates: &CandidateSet, logits: &[f32]) -> Vec<f32> {
        let Some(logits) = usable(logits) else { return nothing(logits) };
        // Without candidates it is the student's, which has its own temperature.
        let sharpness = if candidates.is_empty() { 1.0 } else { self.sharpness };
        narrow(sharpened(&self.of(candidates, logits, self.of_label(candidates)), sharpness))
    }

    fn temperature(&self) -> f64 {
        self.calibration.temperature()
    }

    fn refit(&mut self, evidence: &Evidence<'_>) {
        self.calibration = Calibration::fit(evidence, &RankLikelihood::prior(), self.calibration.labels());
        let seen = Seen::new(&self.calibration, evidence);
        let teachers = Self::teachers(&seen);
        let pairs = Pairs::new(usize::from(teachers), self.calibration.labels(), seen.candidates());
        let explained: Vec<Explained> = (0..teachers).map(|teacher| trust::by_student(teacher, &seen)).collect();
        let mut voices = self.learn(&explained, &pairs, &seen);
        if teachers > 1 {
            let of = |teacher| trust::by_the_rest(&self.teachers, teacher, &seen);
            let explained: Vec<Explained> =
                explained.into_iter().zip((0..teachers).map(of)).map(|(own, rest)| own.or(rest)).collect();
            voices = self.learn(&explained, &pairs, &seen);
        }
        self.be_as_sure_as_is_known(&voices, &pairs, &seen);
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
    use crate::domain::label::LabelId;
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
        assert!((0..2_u16).zip(&candidates).all(|(i, said)| posterior.rankings(said).first() == Some(LabelId(i))));
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
            let mut row = vec![0.0; 6];
            posterior.rankings(&said(4)).weigh(1.0, &mut row);
            f64::exp(row[5] - row[0])
        };
        assert!(odds(&posterior) > 1.7, "at first the shorter answer counts for more: {}", odds(&posterior));
        posterior.hear(&[1.0, 1.0], &Seen::new(&Calibration::new(6), &evidence));
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
