//! Numbers that are not finite, and where they are stopped: before a weight takes one up, before a file does. One
//! weight that is no number spreads to all others within a few steps, and to every label.

use tch::{Kind, Tensor};

use crate::error::{Error, Result};

/// Steps in a row that may be left out before training ends: by then it is no accident of one batch.
const MOST_IN_A_ROW: u32 = 16;

/// What became of a training step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Every copy took it.
    Taken,
    /// The loss or a gradient of at least one copy was not finite. Such a copy, with its optimizer, is as it was before.
    Skipped,
}

/// Whether all values are finite. One pass in nearly all cases, a second where the sum overflows.
pub(super) fn is_finite(tensor: &Tensor) -> bool {
    let _guard = tch::no_grad_guard();
    // A sum of finite values can only overflow where they are huge, and one that is finite has finite terms alone.
    tensor.sum(Kind::Float).double_value(&[]).is_finite() || tensor.isfinite().all().int64_value(&[]) == 1
}

/// The steps that a student did not take.
#[derive(Debug, Default)]
pub(super) struct Skips {
    /// Since a step was taken; not kept in a checkpoint.
    in_a_row: u32,
    /// Since the student was made.
    total: u64,
}

impl Skips {
    /// Counts a step, which was taken if `taken`. An error after too many in a row that were not. Warns at the first
    /// of a row only.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`], with the learning rate, which is most often the reason.
    pub(super) fn count(&mut self, taken: bool, learning_rate: f64) -> Result<Step> {
        if taken {
            self.in_a_row = 0;
            return Ok(Step::Taken);
        }
        self.in_a_row += 1;
        self.total += 1;
        if self.in_a_row == 1 {
            tracing::warn!("a training step was left out: its loss or gradient was not finite ({} so far)", self.total);
        }
        if self.in_a_row < MOST_IN_A_ROW {
            return Ok(Step::Skipped);
        }
        let what = format!("loss or gradient of {MOST_IN_A_ROW} training steps in a row were not, at {learning_rate}");
        Err(Error::NotFinite { what })
    }

    /// How many there were.
    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_step_is_left_out_and_too_many_in_a_row_end_it() {
        let mut skips = Skips::default();
        for _ in 0..3 {
            for _ in 1..MOST_IN_A_ROW {
                assert_eq!(skips.count(false, 0.5).unwrap(), Step::Skipped);
            }
            assert_eq!(skips.count(true, 0.5).unwrap(), Step::Taken);
        }
        assert_eq!(skips.total(), 3 * u64::from(MOST_IN_A_ROW - 1));
        let ended = (0..MOST_IN_A_ROW).map(|_| skips.count(false, 0.5)).last().unwrap().unwrap_err().to_string();
        assert!(ended.contains("student.learning_rate") && ended.contains("0.5"), "{ended}");
    }

    #[test]
    fn huge_is_finite_and_infinite_is_not() {
        for (values, finite) in [
            (vec![1.0_f32, -2.0], true),
            (vec![f32::MAX; 4], true),
            (vec![0.0, f32::NAN], false),
            (vec![f32::INFINITY, f32::NEG_INFINITY], false),
            (vec![], true),
        ] {
            assert_eq!(is_finite(&Tensor::from_slice(&values)), finite, "{values:?}");
        }
    }
}
