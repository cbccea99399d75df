//! How far confidences are from the truth, by an audit, and where they must move. No I/O.
//!
//! A hundred audited labels say much of how sure a run is in the mean, something of how that changes with the confidence, and
//! little of any single confidence. The curve that moves confidences takes as much from each:
//!
//! 1. logit(p) → a logit(p) + b, the likeliest a > 0 and b for the audited labels with priors around 1 and 0 (Platt 1999);
//! 2. between that and the confidences as they are, by how much better it explains the audited labels than they do, less what
//!    two parameters explain by chance (Akaike's weights): confidences that are right already hardly move;
//! 3. isotonic regression of "is right" on confidence, over the audited labels and as many as [`PRIOR`] that lie on the curve of
//!    step 2, spread as the confidences of all final labels are. The more are audited, the more they say themselves.
//!
//! No step changes the order of labels.

use rand::Rng;

use crate::base::random::rng;

/// Audited labels that the curve of the first two steps counts for.
const PRIOR: f64 = 400.0;
/// Points of that curve, at equal shares of all final labels.
const POINTS: usize = 10;
/// Standard deviations of the priors of ln a and of b.
const SLOPE: f64 = 0.5;
/// See [`SLOPE`].
const SHIFT: f64 = 1.0;
/// Confidences are kept so far from 0 and 1, whose logits are infinite: their last digit.
const EDGE: f64 = 1e-4;

/// Bins of a calibration error, at most, and labels in each, at least.
const BINS: usize = 15;
/// See [`BINS`].
const IN_BIN: usize = 20;
/// Samples with repetition that an interval is made of.
const RESAMPLES: u64 = 1000;

/// An audited label: its confidence, and whether it is right.
pub(crate) type Judged = (f64, bool);

/// Where an audit moves confidences.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Curve {
    /// Confidences as they are and as they are to be, both rising.
    knots: Vec<(f64, f64)>,
}

impl Curve {
    /// By the `judged` labels of those that have these `confidences`.
    pub(super) fn new(mut confidences: Vec<f64>, judged: &[Judged]) -> Self {
        confidences.sort_by(f64::total_cmp);
        let expected = Line::fitted(judged).weighed(judged);
        let points = confidences.chunks(confidences.len().div_ceil(POINTS).max(1)).map(|group| {
            let mean = group.iter().sum::<f64>() / group.len() as f64;
            let weight = PRIOR * group.len() as f64 / confidences.len() as f64;
            Block { weight, at: weight * mean, value: weight * expected(mean) }
        });
        let audited = judged.iter().map(|&(at, is_right)| Block { weight: 1.0, at, value: share(is_right) });
        Self { knots: rising(points.chain(audited).collect()) }
    }

    /// What `confidence` is by the audit: between two knots on the line between them, beyond the last as high as that.
    pub(super) fn at(&self, confidence: f64) -> f64 {
        let above = self.knots.partition_point(|(at, _)| *at < confidence);
        match (above.checked_sub(1).and_then(|below| self.knots.get(below)), self.knots.get(above)) {
            (Some(&(x, low)), Some(&(z, high))) => low + (high - low) * ((confidence - x) / (z - x)),
            (Some(&(_, end)), None) | (None, Some(&(_, end))) => end,
            (None, None) => confidence,
        }
    }
}

fn share(is_right: bool) -> f64 {
    f64::from(u8::from(is_right))
}

/// Labels that get one confidence. Sums: means would have to be weighed again.
#[derive(Debug, Clone, Copy)]
struct Block {
    weight: f64,
    at: f64,
    value: f64,
}

impl Block {
    fn place(self) -> f64 {
        self.at / self.weight
    }

    fn mean(self) -> f64 {
        self.value / self.weight
    }
}

/// Isotonic regression: neighbours that do not rise are one block, until all do (pool adjacent violators; Ayer et al. 1955).
/// The blocks' places and means.
fn rising(mut blocks: Vec<Block>) -> Vec<(f64, f64)> {
    blocks.sort_by(|a, b| a.place().total_cmp(&b.place()));
    let mut pooled: Vec<Block> = Vec::new();
    for mut block in blocks {
        // One place has one value.
        while let Some(before) =
            pooled.pop_if(|before| before.mean() >= block.mean() || before.place() >= block.place())
        {
            block.weight += before.weight;
            block.at += before.at;
            block.value += before.value;
        }
        pooled.push(block);
    }
    pooled.into_iter().map(|block| (block.place(), block.mean())).collect()
}

fn logit(share: f64) -> f64 {
    let share = share.clamp(EDGE, 1.0 - EDGE);
    (share / (1.0 - share)).ln()
}

fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// The logarithm of the chance of what was judged, by the confidences that `of` gives.
fn likelihood(judged: &[Judged], of: impl Fn(f64) -> f64) -> f64 {
    let chance = |&(confidence, is_right): &Judged| {
        let p = of(confidence).clamp(1e-12, 1.0 - 1e-12);
        if is_right { p.ln() } else { (1.0 - p).ln() }
    };
    judged.iter().map(chance).sum()
}

/// A line from logits to logits.
#[derive(Debug, Clone, Copy)]
struct Line {
    slope: f64,
    shift: f64,
}

impl Line {
    fn at(self, confidence: f64) -> f64 {
        logistic(self.slope * logit(confidence) + self.shift)
    }

    /// The likeliest one, with the priors: the best of 91 slopes, each with its best shift.
    fn fitted(judged: &[Judged]) -> Self {
        let score = |line: &Self| {
            let prior = (line.slope.ln() / SLOPE).powi(2) + (line.shift / SHIFT).powi(2);
            likelihood(judged, |confidence| line.at(confidence)) - prior / 2.0
        };
        let lines = (-60..=30).map(|step| Self::of_slope((f64::from(step) / 20.0).exp(), judged));
        let best = lines.map(|line| (score(&line), line)).max_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or(Self { slope: 1.0, shift: 0.0 }, |(_, line)| line)
    }

    /// The best of this slope: where more shift neither raises nor lowers the likelihood, which has one such place.
    fn of_slope(slope: f64, judged: &[Judged]) -> Self {
        let (mut low, mut high) = (-12.0, 12.0);
        for _ in 0..40 {
            let line = Self { slope, shift: (low + high) / 2.0 };
            let rest: f64 = judged.iter().map(|&(confidence, is_right)| share(is_right) - line.at(confidence)).sum();
            if rest - line.shift / SHIFT.powi(2) > 0.0 { low = line.shift } else { high = line.shift }
        }
        Self { slope, shift: (low + high) / 2.0 }
    }

    /// Between the line and the confidences as they are, as step 2 of the module says.
    fn weighed(self, judged: &[Judged]) -> impl Fn(f64) -> f64 {
        let gain = likelihood(judged, |confidence| self.at(confidence))
            - likelihood(judged, |confidence| confidence.clamp(EDGE, 1.0 - EDGE));
        let weight = logistic(gain - 2.0);
        move |confidence| weight * self.at(confidence) + (1.0 - weight) * confidence
    }
}

/// The calibration error of audited labels, in bins of equal count: few labels fill no bins of equal width.
pub(super) fn calibration_error(mut judged: Vec<Judged>) -> f64 {
    judged.sort_by(|a, b| a.0.total_cmp(&b.0));
    let bins = (judged.len() / IN_BIN).clamp(1, BINS);
    let distance = |bin: usize| {
        let (from, to) = (bin * judged.len() / bins, (bin + 1) * judged.len() / bins);
        let rest =
            judged.get(from..to).unwrap_or_default().iter().map(|&(confidence, is_right)| confidence - share(is_right));
        rest.sum::<f64>().abs()
    };
    (0..bins).map(distance).sum::<f64>() / judged.len().max(1) as f64
}

/// The interval that holds the error of all labels with probability 95%, about, by samples with repetition. Their error is too high
/// by as much as the audit's own is, so what it may be less is laid off below the audit's own (the basic bootstrap, Davison and
/// Hinkley 1997), and what it may be more, with no such correction, above. It begins at 0 where confidences that are right would
/// show as much in one of 20 samples (Bröcker and Smith 2007): no error is at the end of what there is, where resampling fails.
pub(super) fn error_interval(judged: &[Judged]) -> (f64, f64) {
    let found = calibration_error(judged.to_vec());
    let mut rng = rng(0, "calibration error", &[]);
    let again =
        errors(|| (0..judged.len()).filter_map(|_| judged.get(rng.random_range(0..judged.len())).copied()).collect());
    let mean = again.iter().sum::<f64>() / again.len() as f64;
    let if_right =
        errors(|| judged.iter().map(|&(confidence, _)| (confidence, rng.random::<f64>() < confidence)).collect());
    let high = quantile(&again, 0.975);
    let low = if found <= quantile(&if_right, 0.95) { 0.0 } else { 2.0 * found - high };
    (low.clamp(0.0, found), (found + high - mean).clamp(found, 1.0))
}

/// The errors of samples that `draw` makes, rising.
fn errors(mut draw: impl FnMut() -> Vec<Judged>) -> Vec<f64> {
    let mut errors: Vec<f64> = (0..RESAMPLES).map(|_| calibration_error(draw())).collect();
    errors.sort_by(f64::total_cmp);
    errors
}

fn quantile(rising: &[f64], share: f64) -> f64 {
    rising.get((share * rising.len() as f64) as usize).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, any, prop, prop_assert, proptest};

    #[test]
    fn neighbours_are_pooled_until_they_rise() {
        let block = |weight: f64, at: f64, value: f64| Block { weight, at: weight * at, value: weight * value };
        let of = |blocks: &[Block]| rising(blocks.to_vec());
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[block(1.0, 0.5, 1.0), block(1.0, 0.25, 0.0)]), [(0.25, 0.0), (0.5, 1.0)]);
        assert_eq!(of(&[block(1.0, 0.0, 0.25), block(1.0, 0.25, 1.0), block(3.0, 0.5, 0.0)]), [(0.35, 0.25)]);
        // One place has one value, whether it rises there or falls.
        assert_eq!(of(&[block(1.0, 0.5, 0.0), block(3.0, 0.5, 1.0)]), [(0.5, 0.75)]);
    }

    #[test]
    fn nothing_audited_moves_nothing() {
        let confidences: Vec<f64> = (0..100).map(|i| f64::from(i) / 100.0).collect();
        let curve = Curve::new(confidences, &[]);
        for confidence in [0.1, 0.33, 0.5, 0.9] {
            assert!((curve.at(confidence) - confidence).abs() < 1e-9, "{}", curve.at(confidence));
        }
        assert_eq!(Curve::new(vec![], &[]).at(0.3), 0.3);
    }

    #[test]
    fn calibration_errors_by_hand() {
        assert_eq!(calibration_error(vec![]), 0.0);
        // One bin: 39 labels of 0.75, of which 13 are right.
        let few: Vec<Judged> = (0..39).map(|i| (0.75, i % 3 == 0)).collect();
        assert!((calibration_error(few) - (0.75 - 1.0 / 3.0)).abs() < 1e-12);
        // Two: the errors of 20 labels of 0.25 that are all right and 20 of 0.75 that are all wrong do not cancel.
        let crossed: Vec<Judged> = (0..40).map(|i| if i % 2 == 0 { (0.25, true) } else { (0.75, false) }).collect();
        assert!((calibration_error(crossed.clone()) - 0.75).abs() < 1e-12);
        assert_eq!(error_interval(&crossed), error_interval(&crossed));
    }

    /// The chance to be right of a confidence.
    type Truth = Box<dyn Fn(f64) -> f64>;
    /// Confidences of a run, and the chance of each to be right.
    type Corpus = Vec<(f64, f64)>;

    /// `count` labels, whose chance to be right is `truth` of their confidence: most are sure, some are not.
    fn corpus(count: u32, truth: impl Fn(f64) -> f64) -> Corpus {
        let mut rng = rng(0, "corpus", &[]);
        (0..count)
            .map(|_| {
                let confidence = 1.0 - rng.random::<f64>().powf(1.5) * 0.8;
                (confidence, truth(confidence))
            })
            .collect()
    }

    fn confidences(corpus: &Corpus) -> Vec<f64> {
        corpus.iter().map(|(confidence, _)| *confidence).collect()
    }

    fn audit(corpus: &Corpus, count: usize, seed: u64) -> Vec<Judged> {
        let mut rng = rng(seed, "audits", &[]);
        let drawn = rand::seq::index::sample(&mut rng, corpus.len(), count);
        drawn.into_iter().map(|index| (corpus[index].0, rng.random::<f64>() < corpus[index].1)).collect()
    }

    /// The distance of `of` the confidences from the chance to be right, in 15 bins of equal count.
    fn distance(corpus: &Corpus, of: impl Fn(f64) -> f64) -> f64 {
        let mut sorted = corpus.clone();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let bins = sorted.chunks(corpus.len().div_ceil(BINS));
        let rest = bins.map(|bin| bin.iter().map(|(confidence, truth)| of(*confidence) - truth).sum::<f64>().abs());
        rest.sum::<f64>() / corpus.len() as f64
    }

    /// What the choice of the rule rests on: runs that are too sure, too unsure, too far from a half, or whose confidences say
    /// nothing, get better by nearly every audit, and one that is right is not far off after any.
    #[test]
    fn audits_of_wrong_confidences_help_and_of_right_ones_do_no_harm() {
        let moved = |slope: f64, shift: f64| move |confidence: f64| logistic(slope * logit(confidence) + shift);
        let runs: [(&str, Truth); 6] = [
            ("right", Box::new(|confidence| confidence)),
            ("too sure", Box::new(moved(1.0, -1.2))),
            ("too unsure", Box::new(moved(1.0, 1.0))),
            ("too far from a half", Box::new(moved(0.4, 0.0))),
            ("squared", Box::new(|confidence: f64| confidence * confidence)),
            ("the same for all", Box::new(|_| 0.6)),
        ];
        for (name, truth) in runs {
            let corpus = corpus(2000, truth);
            let before = distance(&corpus, |confidence| confidence);
            for (count, most) in [(50, 0.045), (100, 0.04), (200, 0.035)] {
                let after: Vec<f64> = (0..40)
                    .map(|seed| {
                        let curve = Curve::new(confidences(&corpus), &audit(&corpus, count, seed));
                        distance(&corpus, |confidence| curve.at(confidence))
                    })
                    .collect();
                let mean = after.iter().sum::<f64>() / after.len() as f64;
                let better = after.iter().filter(|after| **after < before).count();
                if name == "right" {
                    assert!(mean < most, "{count}: {mean}");
                } else {
                    // Fifty of them say little of how errors change with the confidence.
                    let least = if count == 50 { 0.8 } else { 0.9 };
                    assert!(better as f64 >= least * after.len() as f64, "{name}: {count}: {better}");
                    assert!(mean < 0.75 * before, "{name}: {count}: {mean} of {before}");
                }
            }
        }
    }

    /// Of a run whose error is known.
    #[test]
    fn the_interval_of_an_error_holds_it_about_as_often_as_it_says() {
        for (truth, name) in [(0.0, "right"), (0.5, "too unsure"), (-1.2, "too sure")] {
            let corpus = corpus(2000, |confidence| logistic(logit(confidence) + truth));
            for count in [100, 200] {
                // In the bins that the audit has: what lies within one cannot be seen.
                let known = distance(&corpus, |confidence| confidence);
                let held = (0..60).filter(|seed| {
                    let (low, high) = error_interval(&audit(&corpus, count, *seed));
                    (low - 1e-9..=high).contains(&known)
                });
                let held = held.count();
                assert!(held >= 54, "{name}: {count}: {held}");
            }
        }
    }

    fn labels() -> impl Strategy<Value = Vec<Judged>> {
        prop::collection::vec(
            (0..=10_000_u32, any::<bool>()).prop_map(|(c, is_right)| (f64::from(c) / 1e4, is_right)),
            0..120,
        )
    }

    proptest! {
        #[test]
        fn a_curve_rises_and_gives_probabilities(judged in labels(), all in labels(), places in prop::collection::vec(0.0..=1.0_f64, 2..40)) {
            let curve = Curve::new(all.iter().map(|(confidence, _)| *confidence).collect(), &judged);
            let mut places = places;
            places.sort_by(f64::total_cmp);
            let moved: Vec<f64> = places.iter().map(|&place| curve.at(place)).collect();
            prop_assert!(moved.iter().all(|share| (0.0..=1.0).contains(share)), "{moved:?}");
            prop_assert!(moved.windows(2).all(|two| two[0] <= two[1] + 1e-12), "{moved:?}");
        }

        #[test]
        fn an_interval_holds_the_error_of_the_audit(judged in labels()) {
            let (low, high) = error_interval(&judged);
            let found = calibration_error(judged);
            prop_assert!(0.0 <= low && low <= found && found <= high && high <= 1.0, "{low} {found} {high}");
        }
    }
}
