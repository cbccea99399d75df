//! AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) with its state in plain sight, so that a checkpoint can hold
//! it.
//!
//! With the gradient g at step t, the rate r and the decay d:
//! ```text
//! m = b1 m + (1 - b1) g        v = b2 v + (1 - b2) g^2
//! w = (1 - r d) w - r (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + e)
//! ```
//! The divisors undo that m and v begin at zero.

use tch::Tensor;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// One tensor that is trained, with its moments. All three have its shape, and are changed in place.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) value: Tensor,
    /// m, the running mean of gradients.
    pub(super) mean: Tensor,
    /// v, the running mean of their squares.
    pub(super) square: Tensor,
    /// Its step size, as a multiple of the learning rate.
    pub(super) rate: f64,
    /// Biases and normalisations are not pulled to zero: only tensors of two dimensions are.
    decays: bool,
}

impl Parameter {
    /// Shares its memory with `value`, so the layer that has the tensor learns.
    pub(super) fn new(value: &Tensor, rate: f64) -> Self {
        Self {
            value: value.shallow_clone(),
            mean: value.zeros_like(),
            square: value.zeros_like(),
            rate,
            decays: value.dim() > 1,
        }
    }
}

/// Scales `gradients` so that their norm over all is at most `most`; what it was. Not finite if any gradient is not,
/// and they are of no use then.
pub(super) fn clip(gradients: &mut [Tensor], most: f64) -> f64 {
    let norms: Vec<Tensor> = gradients.iter().map(Tensor::norm).collect();
    let norm = Tensor::stack(&norms, 0).norm().double_value(&[]);
    if norm > most {
        for gradient in gradients {
            *gradient *= most / norm;
        }
    }
    norm
}

/// Step `step`, from 1, on all parameters, by their gradients, which are in the same order. To be called where no
/// gradients are recorded.
pub(super) fn descend(parameters: &mut [Parameter], gradients: &[Tensor], step: u64, learning_rate: f64, decay: f64) {
    let step = i32::try_from(step).unwrap_or(i32::MAX);
    let (correction_1, correction_2) = (1.0 - BETA_1.powi(step), 1.0 - BETA_2.powi(step));
    for (parameter, gradient) in parameters.iter_mut().zip(gradients) {
        let Parameter { value, mean, square, rate, decays } = parameter;
        let size = learning_rate * *rate;
        let _ = mean.lerp_(gradient, 1.0 - BETA_1);
        let _ = square.lerp_(&gradient.square(), 1.0 - BETA_2);
        let mut divisor = square.sqrt();
        divisor *= 1.0 / correction_2.sqrt();
        divisor += EPSILON;
        let change = &*mean / divisor * (size / correction_1);
        if *decays {
            *value *= 1.0 - size * decay;
        }
        *value -= change;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_step_by_hand() {
        let _guard = tch::no_grad_guard();
        let value = Tensor::from_slice(&[1.0_f32, -2.0]).view([1, 2]);
        let mut parameters = [Parameter::new(&value, 2.0)];
        descend(&mut parameters, &[Tensor::from_slice(&[0.5_f32, -4.0]).view([1, 2])], 1, 0.1, 0.01);
        // In the first step the change is the step size in the gradient's direction, after a decay of 0.2 * 0.01.
        let expected = [1.0 * (1.0 - 0.002) - 0.2, -2.0 * (1.0 - 0.002) + 0.2];
        for (column, expected) in (0..).zip(expected) {
            assert!((value.double_value(&[0, column]) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn gradients_are_clipped_together() {
        let mut gradients = [Tensor::from_slice(&[3.0_f32]), Tensor::from_slice(&[4.0_f32])];
        clip(&mut gradients, 1.0);
        assert!(
            (gradients[0].double_value(&[0]) - 0.6).abs() < 1e-6
                && (gradients[1].double_value(&[0]) - 0.8).abs() < 1e-6
        );
        clip(&mut gradients, 2.0);
        assert!((gradients[1].double_value(&[0]) - 0.8).abs() < 1e-6);
    }
}
