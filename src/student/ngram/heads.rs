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

/// Logits that are computed together: their sums stay in registers.
const LANES: usize = 16;

/// Of one copy.
struct Head {
    /// H, by so many columns at a time: row after row of the first of them, then of the next. What the last ones lack is 0.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Heads {
    /// As they are now.
    pub(super) fn of(model: &Model) -> Self {
        let heads = (0..model.copies).map(|copy| {
            let (weights, bias) = (values(&model.head.get(copy)), values(&model.bias.get(copy)));
            Head { weights: in_lanes(&weights, bias.len()), bias }
        });
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
        for (logits, weights) in row.chunks_mut(LANES).zip(head.weights.chunks_exact(LANES * self.dimension)) {
            let mut sums = [0.0; LANES];
            sums.iter_mut().zip(&*logits).for_each(|(sum, logit)| *sum = *logit);
            for (value, weights) in sum.iter().zip(weights.as_chunks::<LANES>().0) {
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += value * weight);
            }
            logits.iter_mut().zip(sums).for_each(|(logit, sum)| *logit = sum);
        }
    }
}

/// See [`Head::weights`].
fn in_lanes(weights: &[f32], labels: usize) -> Vec<f32> {
    let rows = || weights.chunks_exact(labels.max(1));
    let lanes = (0..labels).step_by(LANES).flat_map(|from| {
        let lane = move |row: &[f32]| {
            (from..from + LANES).map(|column| row.get(column).copied().unwrap_or(0.0)).collect::<Vec<_>>()
        };
        rows().flat_map(lane).collect::<Vec<_>>()
    });
    lanes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_are_sums_in_the_order_of_the_dimension() {
        for (labels, dimension) in [(1, 1), (5, 3), (16, 2), (17, 4), (40, 7)] {
            let number = |at: usize| ((at * 7919) % 613) as f32 / 97.0 - 3.0;
            let weights: Vec<f32> = (0..labels * dimension).map(number).collect();
            let (bias, sum): (Vec<f32>, Vec<f32>) =
                ((0..labels).map(|at| number(at + 5)).collect(), (0..dimension).map(|at| number(3 * at)).collect());
            let mut expected = bias.clone();
            for (value, row) in sum.iter().zip(weights.chunks(labels)) {
                expected.iter_mut().zip(row).for_each(|(logit, weight)| *logit += value * weight);
            }
            let heads = Heads { heads: vec![Head { weights: in_lanes(&weights, labels), bias }], dimension };
            let mut logits = vec![1.0];
            heads.push_logits(0, &sum, &mut logits);
            assert_eq!(logits[1..], expected, "{labels} {dimension}");
        }
    }
}
