//! The copies' heads as plain numbers, and the product with them made here, number by number: the last bits of libtorch's depend on
//! shape and place in memory, and what is said of a text is to be the same in whatever company.

use super::model::{Model, values};
use crate::student::Fold;

/// See the module.
pub(super) struct Heads {
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

impl Heads {
    /// As they are now.
    pub(super) fn of(model: &Model) -> Self {
        let heads = (0..model.copies)
            .map(|copy| Head { weights: values(&model.head.get(copy)), bias: values(&model.bias.get(copy)) });
        Self { heads: heads.collect(), dimension: usize::try_from(model.dimension).unwrap_or(0).max(1) }
    }

    /// C.
    pub(super) fn labels(&self) -> usize {
        self.heads.first().map_or(0, |head| head.bias.len())
    }

    /// Copies.
    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }

    /// The sums of texts, each a copy's, from their values one after the other.
    pub(super) fn sums<'a>(&self, values: &'a [f32]) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        values.chunks_exact(self.dimension)
    }

    /// Adds the logits of a text of which `copy` has the sum `sum`: C values, or none where there is no such copy.
    pub(super) fn push_logits(&self, copy: Fold, sum: &[f32], logits: &mut Vec<f32>) {
        let Some(head) = self.heads.get(copy) else { return };
        let from = logits.len();
        logits.extend_from_slice(&head.bias);
        let row = logits.get_mut(from..).unwrap_or_default();
        for (value, weights) in sum.iter().zip(head.weights.chunks_exact(head.bias.len().max(1))) {
            row.iter_mut().zip(weights).for_each(|(logit, weight)| *logit += value * weight);
        }
    }
}
