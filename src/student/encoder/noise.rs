//! Dropout (Srivastava et al. 2014) in training, with random numbers that belong to one step of one copy.
//!
//! On a processor they are ours: libtorch has one generator for the process, and whoever else draws from it would
//! change what is learned here. On a card they are the card's generator's, for attention draws them inside its own
//! kernel; it is seeded for every step of every copy, and held until the step is done.
//!
//! Either way a step draws the same whatever was computed before it, so nothing of a generator is in a checkpoint.

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::{Rng, RngCore};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

/// Held while a card's generator is used. Two runs of one process would otherwise take numbers from each other, and
/// neither could be repeated.
static CARD: Mutex<()> = Mutex::new(());

/// See the module.
pub(super) enum Noise {
    /// None: every value counts.
    Off,
    /// Of our own numbers. Drawn in the order of use, which the network's structure and the batch decide.
    Own(Box<RefCell<ChaCha8Rng>>),
    /// Of the card's numbers, which nobody else of this program draws meanwhile.
    Card { _mine: MutexGuard<'static, ()> },
}

impl Noise {
    /// For a step on `device`. On a card it waits until no other step of the process uses the card's generator.
    pub(super) fn new(mut rng: ChaCha8Rng, device: Device) -> Self {
        if device == Device::Cpu {
            return Self::Own(Box::new(RefCell::new(rng)));
        }
        let mine = CARD.lock().unwrap_or_else(PoisonError::into_inner);
        tch::manual_seed(rng.random::<i64>());
        Self::Card { _mine: mine }
    }

    /// `x` with a share of its values, `rate`, set to zero, and the others larger by as much, so that the mean stays.
    /// `rate` is below 1, and counts in steps of 2^-16.
    pub(super) fn drop(&self, x: Tensor, rate: f64) -> Tensor {
        match self {
            _ if rate <= 0.0 => x,
            Self::Off => x,
            Self::Card { .. } => x.dropout(rate, true),
            Self::Own(rng) => {
                // Two random bytes a value, as a number from -32768 to 32767.
                let mut bytes = vec![0; 2 * x.numel()];
                rng.borrow_mut().fill_bytes(&mut bytes);
                let drawn = Tensor::from_data_size(&bytes, &x.size(), Kind::Int16);
                let dropped = (rate * 65536.0).round();
                let scale = 65536.0 / (65536.0 - dropped);
                let kept = drawn.ge((dropped - 32768.0) as i64).to_kind(x.kind());
                x * (kept * scale)
            }
        }
    }

    /// softmax(query keys^T / sqrt(size of a head) + bias) values, with dropout on what it attends to. Texts x heads x
    /// tokens x size; the bias broadcasts to texts x heads x tokens asked x tokens.
    ///
    /// Without dropout, and on a card, in libtorch's own kernel, which need not hold all scores at once. Our own
    /// numbers need them, for what is dropped is a score; so does the gradient of a bias, which that kernel does not
    /// tell on a processor.
    pub(super) fn attend(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        bias: Option<&Tensor>,
        rate: f64,
    ) -> Tensor {
        let fused = |rate| Tensor::scaled_dot_product_attention(query, key, value, bias, rate, false, None, false);
        match self {
            Self::Own(_) if rate > 0.0 || bias.is_some_and(Tensor::requires_grad) => {
                let size = query.size().last().copied().unwrap_or(1);
                let mut scores = query.matmul(&key.transpose(-2, -1)) * (1.0 / (size as f64).sqrt());
                if let Some(bias) = bias {
                    scores += bias;
                }
                self.drop(scores.softmax(-1, scores.kind()), rate).matmul(value)
            }
            Self::Card { .. } => fused(rate),
            Self::Own(_) | Self::Off => fused(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::rng;

    fn noise(seed: u64) -> Noise {
        Noise::new(rng(seed, "noise", &[]), Device::Cpu)
    }

    #[test]
    fn a_share_is_dropped_and_the_mean_stays() {
        let ones = || Tensor::ones([400, 500], (Kind::Float, Device::Cpu));
        for rate in [0.1, 0.5, 0.9] {
            let dropped = noise(1).drop(ones(), rate);
            let share = dropped.eq(0.0).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
            let mean = dropped.mean(Kind::Float).double_value(&[]);
            assert!((share - rate).abs() < 0.01 && (mean - 1.0).abs() < 0.02, "{rate}: {share} {mean}");
        }
        assert!(Noise::Off.drop(ones(), 0.5).equal(&ones()) && noise(1).drop(ones(), 0.0).equal(&ones()));
        let twice = noise(2);
        assert!(!twice.drop(ones(), 0.1).equal(&twice.drop(ones(), 0.1)), "new numbers for every use");
        assert!(noise(2).drop(ones(), 0.1).equal(&noise(2).drop(ones(), 0.1)), "the same for the same key");
    }

    #[test]
    fn attention_is_that_of_libtorch_but_for_what_is_dropped() {
        let mut rng = rng(3, "attention", &[]);
        let [query, key, value] = [(); 3].map(|()| {
            let values: Vec<f32> = (0..2 * 3 * 5 * 4).map(|_| rng.random_range(-1.0..1.0)).collect();
            Tensor::from_slice(&values).view([2, 3, 5, 4])
        });
        let exact = Noise::Off.attend(&query, &key, &value, None, 0.5);
        let nearly = noise(4).attend(&query, &key, &value, None, 1e-9);
        assert!((&exact - nearly).abs().max().double_value(&[]) < 1e-6);
        // The mean over many draws is what it is without.
        let draws: Vec<Tensor> = (0..3000).map(|seed| noise(seed).attend(&query, &key, &value, None, 0.3)).collect();
        let mean = Tensor::stack(&draws, 0).mean_dim([0].as_slice(), false, Kind::Float);
        assert!((exact - mean).abs().max().double_value(&[]) < 0.1);
    }
}
