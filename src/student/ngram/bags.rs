//! Texts as libtorch's `embedding_bag` wants them: bags of n-grams one after the other, each n-gram with its weight. And a
//! batch's bags the other way round, for the gradient: for each n-gram the bags that it is in.
//!
//! The texts of a step may be mixtures of bags, which is the same once more: bags of bags ([`Mixes`]).
//!
//! Indices are checked by nobody but libtorch, and are all made here: an n-gram's id is a row of the table.

use tch::Tensor;

use crate::student::{Encoded, Fold};

/// A size or an index as libtorch has it.
pub(super) fn int(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Weighted sums of rows of a table, one for each bag: a product with a sparse matrix, which is never made. A bag without
/// n-grams has the sum zero.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Bags {
    /// Rows, bag after bag.
    rows: Vec<i64>,
    weights: Vec<f32>,
    /// Where each bag begins.
    offsets: Vec<i64>,
}

impl Bags {
    /// Texts, for a table with the rows of all copies side by side.
    pub(super) fn new<'a>(texts: impl IntoIterator<Item = &'a Encoded>) -> Self {
        Self::of_copies(texts.into_iter().map(|text| (text, 0)), 1)
    }

    /// Texts, each for the copy named with it, for a table with the rows of `copies` copies one after the other: those of an
    /// n-gram together, as they lie in memory when they are side by side.
    pub(super) fn of_copies<'a>(texts: impl IntoIterator<Item = (&'a Encoded, Fold)>, copies: usize) -> Self {
        let mut bags = Self::default();
        for (text, copy) in texts {
            bags.offsets.push(int(bags.rows.len()));
            bags.rows.extend(text.ids.iter().map(|&id| i64::from(id) * int(copies) + int(copy)));
            bags.weights.extend_from_slice(&text.weights);
        }
        bags
    }

    /// Adds a bag.
    pub(super) fn push(&mut self, ngrams: impl IntoIterator<Item = (u32, f32)>) {
        self.offsets.push(int(self.rows.len()));
        for (id, weight) in ngrams {
            self.rows.push(i64::from(id));
            self.weights.push(weight);
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Bags x columns of `table`, which must be contiguous: libtorch would copy all of another one.
    pub(super) fn sums(&self, table: &Tensor) -> Tensor {
        const SUM: i64 = 0;
        let [rows, offsets] = [&self.rows, &self.offsets].map(|indices| Tensor::from_slice(indices));
        let weights = Some(Tensor::from_slice(&self.weights));
        let (sums, _, _, _) = Tensor::embedding_bag(table, &rows, &offsets, false, SUM, false, weights, false);
        sums
    }

    /// The same sums the other way round, from something of each bag to each n-gram: the distinct n-grams, ascending, and for
    /// each of them the bags that it is in. Sorting is what it costs.
    pub(super) fn turned(&self) -> (Vec<i64>, Self) {
        let ends = self.offsets.iter().skip(1).copied().chain([int(self.rows.len())]);
        let mut bags: Vec<i64> = Vec::with_capacity(self.rows.len());
        for ((bag, &begin), end) in (0..).zip(&self.offsets).zip(ends) {
            bags.extend(std::iter::repeat_n(bag, usize::try_from(end - begin).unwrap_or(0)));
        }
        // By n-gram, and those of one in the order of their places. Rows are small numbers (below 2^24), of which a digit after the
        // other is sorted several times as fast as they are compared.
        let row = |&row: &i64| u32::try_from(row).unwrap_or(u32::MAX);
        let mut order: Vec<(u32, u32)> = self.rows.iter().map(row).zip(0..).collect();
        radsort::sort_by_key(&mut order, |&(row, _)| row);
        let mut distinct = Vec::new();
        let mut turned = Self::default();
        turned.rows.reserve_exact(self.rows.len());
        turned.weights.reserve_exact(self.rows.len());
        for (row, at) in order {
            let (row, at) = (i64::from(row), at as usize);
            if distinct.last() != Some(&row) {
                distinct.push(row);
                turned.offsets.push(int(turned.rows.len()));
            }
            if let (Some(&bag), Some(&weight)) = (bags.get(at), self.weights.get(at)) {
                turned.rows.push(bag);
                turned.weights.push(weight);
            }
        }
        (distinct, turned)
    }
}

/// Texts that are made of bags: their sums are sums of the bags' sums, and no n-gram is looked at again.
pub(super) struct Mixes {
    /// From the bags' sums to those of the texts.
    forward: Bags,
    /// From the texts' gradients to those of the bags.
    backward: Bags,
}

impl Mixes {
    /// Of `bags` bags; each text has so much of the bags with these numbers.
    pub(super) fn new<'a>(texts: impl IntoIterator<Item = &'a [(u32, f32)]>, bags: usize) -> Self {
        let (mut forward, mut texts_of) = (Bags::default(), vec![Vec::new(); bags]);
        for (text, parts) in (0..).zip(texts) {
            for &(bag, share) in parts {
                if let Some(texts) = usize::try_from(bag).ok().and_then(|bag| texts_of.get_mut(bag)) {
                    texts.push((text, share));
                }
            }
            forward.push(parts.iter().copied());
        }
        let mut backward = Bags::default();
        texts_of.into_iter().for_each(|texts| backward.push(texts));
        Self { forward, backward }
    }

    /// Texts x columns, from bags x columns.
    pub(super) fn texts(&self, bags: &Tensor) -> Tensor {
        self.forward.sums(bags)
    }

    /// The gradients of the bags, bags x columns, from those of the texts.
    pub(super) fn bags(&self, texts: &Tensor) -> Tensor {
        self.backward.sums(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bags_the_other_way_round() {
        let mut bags = Bags::default();
        bags.push([(3, 0.5), (7, 0.25)]);
        bags.push([]);
        bags.push([(7, 2.0), (1, 1.0), (7, 4.0)]);
        let (ngrams, turned) = bags.turned();
        assert_eq!(ngrams, [1, 3, 7]);
        let expected =
            Bags { rows: vec![2, 0, 0, 2, 2], weights: vec![1.0, 0.5, 0.25, 2.0, 4.0], offsets: vec![0, 1, 2] };
        assert_eq!(turned, expected);
        assert_eq!(Bags::default().turned(), (vec![], Bags::default()));
    }

    #[test]
    fn a_mixed_text_by_hand() {
        let mixes = Mixes::new([[(0, 1.0)].as_slice(), &[(2, 0.5), (0, 0.25)]], 3);
        let bags = Tensor::from_slice(&[1.0_f32, 2.0, 10.0, 20.0, 100.0, 200.0]).view([3, 2]);
        let texts = mixes.texts(&bags);
        assert_eq!(Vec::<f32>::try_from(texts.view([-1])).unwrap(), [1.0, 2.0, 50.25, 100.5]);
        let gradients = mixes.bags(&Tensor::from_slice(&[1.0_f32, 2.0, 4.0, 8.0]).view([2, 2]));
        assert_eq!(Vec::<f32>::try_from(gradients.view([-1])).unwrap(), [2.0, 4.0, 0.0, 0.0, 2.0, 4.0]);
    }
}
