//! Probabilities as the label log has them.

/// A probability in ten-thousandths: all its digits, in two bytes, and equal where the log's are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Probability(u16);

impl Probability {
    pub(super) const ZERO: Self = Self(0);

    /// The nearest to `share`; what is no probability is the nearest that is one.
    pub(crate) fn of(share: f64) -> Self {
        // Between 0 and 10,000, whatever it was: a cast keeps that.
        Self((share.clamp(0.0, 1.0) * 1e4).round() as u16)
    }

    pub(crate) fn get(self) -> f64 {
        f64::from(self.0) / 1e4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_the_log_comes_back() {
        for number in 0..=10_000_u32 {
            let written: f64 = format!("{}", f64::from(number) / 1e4).parse().unwrap();
            assert_eq!(Probability::of(written).get(), written);
        }
        assert_eq!([-1.0, 1.5, f64::NAN].map(|share| Probability::of(share).get()), [0.0, 1.0, 0.0]);
    }
}
