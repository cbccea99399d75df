//! Exact bounds for shares, and calibration. No I/O.

/// The probability of at most `successes` in `trials` of probability `p`: the sum of `C(n, k) p^k (1-p)^(n-k)` over k,
/// by the ratio of neighbours, `(n-k+1)/k * p/(1-p)`.
fn at_most(successes: u64, trials: u64, p: f64) -> f64 {
    if p <= 0.0 || successes >= trials {
        return 1.0;
    }
    if p >= 1.0 {
        return 0.0;
    }
    // From one term to the next, in logarithms: no factorial gets large.
    let (ln_p, ln_q) = (p.ln(), (1.0 - p).ln());
    let mut ln_term = trials as f64 * ln_q;
    let mut sum = ln_term.exp();
    for k in 1..=successes {
        ln_term += ((trials - k + 1) as f64 / k as f64).ln() + ln_p - ln_q;
        sum += ln_term.exp();
    }
    sum.min(1.0)
}

/// Where `is_low` ends between `low` and `high`, to within 2^-60 of what lies between them.
fn bisect(mut low: f64, mut high: f64, is_low: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if is_low(middle) { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// The largest share that leaves `successes` or fewer of `trials` a chance of `alpha` (Clopper and Pearson 1934): the true
/// share is below it with probability 1 - alpha.
#[must_use]
pub(crate) fn upper_bound(successes: u64, trials: u64, alpha: f64) -> f64 {
    if successes >= trials {
        return 1.0;
    }
    bisect(0.0, 1.0, |p| at_most(successes, trials, p) > alpha)
}

/// The interval that holds the true share with probability `confidence` at least (Clopper and Pearson 1934).
#[must_use]
pub(crate) fn interval(successes: u64, trials: u64, confidence: f64) -> (f64, f64) {
    let alpha = (1.0 - confidence) / 2.0;
    (1.0 - upper_bound(trials - successes.min(trials), trials, alpha), upper_bound(successes, trials, alpha))
}

/// The expected calibration error of confidences and whether they were right, in 15 bins of equal width (Guo et al. 2017,
/// arXiv 1706.04599): the mean distance between confidence and accuracy.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Calibration {
    /// Count, sum of confidences, sum of right ones.
    bins: [(u64, f64, f64); BINS],
}

const BINS: usize = 15;

impl Calibration {
    /// Adds a label.
    pub(crate) fn add(&mut self, confidence: f64, is_right: bool) {
        // The last bin takes 1 too.
        let bin = ((confidence.clamp(0.0, 1.0) * BINS as f64) as usize).min(BINS - 1);
        if let Some((count, sum, right)) = self.bins.get_mut(bin) {
            *count += 1;
            *sum += confidence;
            *right += f64::from(u8::from(is_right));
        }
    }

    /// 0 to 1; 0 for nothing.
    #[must_use]
    pub(crate) fn error(&self) -> f64 {
        // The sum over bins of n_b/n |accuracy_b - confidence_b|; n_b cancels against the means' own.
        let count: u64 = self.bins.iter().map(|(count, ..)| count).sum();
        self.bins.iter().map(|(_, sum, right)| (sum - right).abs()).sum::<f64>() / count.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_by_hand() {
        // None of 59: 0.95^59 = 0.0485 < 0.05 < 0.95^58, so the error is below 5% with probability 95%, and needs 59.
        assert!(upper_bound(0, 59, 0.05) < 0.05 && upper_bound(0, 58, 0.05) > 0.05);
        // The textbook's 10 of 20 at 95%: 0.272 to 0.728.
        let (low, high) = interval(10, 20, 0.95);
        assert!((low - 0.2720).abs() < 1e-4 && (high - 0.7280).abs() < 1e-4, "{low} {high}");
        assert_eq!((interval(0, 5, 0.95).0, interval(5, 5, 0.95).1), (0.0, 1.0));
        let large = interval(90_000, 100_000, 0.95);
        assert!((large.1 - large.0 - 2.0 * 1.96 * (0.09_f64 / 1e5).sqrt()).abs() < 1e-4, "{large:?}");
    }

    #[test]
    fn calibration_by_hand() {
        let mut calibration = Calibration::default();
        assert_eq!(calibration.error(), 0.0);
        // Four sure ones of which three are right, and one unsure one that is wrong.
        for is_right in [true, true, true, false] {
            calibration.add(1.0, is_right);
        }
        calibration.add(0.5, false);
        assert!((calibration.error() - (1.0 + 0.5) / 5.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn intervals_hold_the_share_seen(trials in 1..500_u64, part in 0.0..=1.0_f64) {
            let successes = (trials as f64 * part) as u64;
            let (low, high) = interval(successes, trials, 0.9);
            let seen = successes as f64 / trials as f64;
            prop_assert!(low <= seen + 1e-9 && seen <= high + 1e-9, "{} {} {}", low, seen, high);
        }
    }
}
