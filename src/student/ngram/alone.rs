//! Copies that only predict, and say of each text the same, to the last bit, in whatever company. The last bits of a product of
//! matrices depend on their shape and place in memory, so the products with the heads are made here, number by number.
//! Each bag's sum is made by itself anyhow.

use super::bags::Bags;
use super::model::{Model, values};
use crate::student::{Encoded, softmax};

/// See the module.
pub(super) struct Alone {
    model: Model,
    /// By copy.
    heads: Vec<Head>,
    dimension: usize,
}

/// Of one copy.
struct Head {
    /// H, row after row.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Alone {
    /// Of copies with their weights.
    pub(super) fn new(model: Model) -> Self {
        let heads = (0..model.copies)
            .map(|copy| Head { weights: values(&model.head.get(copy)), bias: values(&model.bias.get(copy)) });
        let (heads, dimension) = (heads.collect(), usize::try_from(model.dimension).unwrap_or(0).max(1));
        Self { model, heads, dimension }
    }

    /// As [`Model::predict`].
    pub(super) fn predict(&self, texts: &[&Encoded]) -> Vec<f32> {
        let _guard = tch::no_grad_guard();
        let sums = values(&Bags::new(texts.iter().copied()).sums(&self.model.table));
        let mut logits = Vec::with_capacity(texts.len() * self.heads.first().map_or(0, |head| head.bias.len()));
        for text in sums.chunks_exact(self.dimension * self.heads.len().max(1)) {
            logits.extend(
                self.mean(text).into_iter().map(|p| if p.is_nan() { p } else { p.max(f32::MIN_POSITIVE).ln() }),
            );
        }
        logits
    }

    /// The mean of the copies' probabilities of a text, whose sums for all copies these are.
    fn mean(&self, sums: &[f32]) -> Vec<f32> {
        let mut mean = vec![0.0; self.heads.first().map_or(0, |head| head.bias.len())];
        for (sum, head) in sums.chunks_exact(self.dimension).zip(&self.heads) {
            let p = softmax(&head.logits(sum));
            mean.iter_mut().zip(p).for_each(|(mean, p)| *mean += p / self.heads.len() as f32);
        }
        mean
    }
}

impl Head {
    fn logits(&self, sum: &[f32]) -> Vec<f32> {
        let mut logits = self.bias.clone();
        for (value, weights) in sum.iter().zip(self.weights.chunks_exact(self.bias.len().max(1))) {
            logits.iter_mut().zip(weights).for_each(|(logit, weight)| *logit += value * weight);
        }
        logits
    }
}
