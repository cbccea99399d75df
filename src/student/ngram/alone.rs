//! Copies that only predict, and say of each text the same, to the last bit, in whatever company: each bag's sum is made by itself
//! anyhow, and so are the products with the [`Heads`].

use std::sync::Arc;

use tch::Tensor;

use super::bags::Bags;
use super::heads::Heads;
use super::model::{Model, values};
use crate::student::{Encoded, softmax_in_place};

/// See the module.
pub(super) struct Alone {
    /// Those of the copies, side by side. Only read: several threads may, each by a handle of its own.
    table: Tensor,
    heads: Arc<Heads>,
}

impl Alone {
    /// Of copies with their weights.
    pub(super) fn new(model: Model) -> Self {
        Self { heads: Arc::new(Heads::of(&model)), table: model.table }
    }

    /// The same copies, for another thread: they take no memory of their own.
    pub(super) fn twin(&self) -> Self {
        Self { table: self.table.shallow_clone(), heads: Arc::clone(&self.heads) }
    }

    /// As [`Model::predict`].
    pub(super) fn predict(&self, texts: &[&Encoded]) -> Vec<f32> {
        let _guard = tch::no_grad_guard();
        let sums = values(&Bags::new(texts.iter().copied()).sums(&self.table));
        let (mut all, mut row) = (Vec::with_capacity(texts.len() * self.heads.labels()), Vec::new());
        let mut sums = self.heads.sums(&sums);
        let mut mean = vec![0.0; self.heads.labels()];
        for _ in texts {
            // The mean of the copies' probabilities.
            mean.fill(0.0);
            for (copy, sum) in sums.by_ref().take(self.heads.len()).enumerate() {
                row.clear();
                self.heads.push_logits(copy, sum, &mut row);
                softmax_in_place(&mut row);
                mean.iter_mut().zip(&row).for_each(|(mean, p)| *mean += p / self.heads.len() as f32);
            }
            all.extend(mean.iter().map(|p| if p.is_nan() { *p } else { p.max(f32::MIN_POSITIVE).ln() }));
        }
        all
    }
}
