//! What a training step is computed on: the examples, and texts made from them to regularise.
//!
//! The step minimises loss + regularisation x (perturbed + mixed), each a mean over its own rows that the copy may
//! see. All three go through the same softmax, so they are one batch, and a row's share says how much it counts.
//!
//! A text that is perturbed or mixed is a sum of texts that are there. So each example is cut in two bags, the n-grams that
//! its perturbed text keeps and those that it drops, and all rows are made of these: every n-gram is looked up once.

use std::borrow::Cow;

use rand::Rng;
use tch::Tensor;

use super::bags::{Bags, Mixes, int};
use super::model::Batch;
use crate::base::random::rng;
use crate::student::{Encoded, Example, Fold, Objective, mixing_weight};

/// Share of a text's n-grams that are left out of a perturbed text. As dropout of the encoder's usual rate.
const DROPPED: f32 = 0.1;

/// One text of a step.
struct Row<'a> {
    /// The bags that it is the sum of, each so much.
    parts: Vec<(u32, f32)>,
    /// Borrowed from the example, or made for the step.
    target: Cow<'a, [f32]>,
    /// The copy that must not see it, as the example's; of two mixed texts it is the same.
    held_out: Fold,
    term: Term,
}

/// The terms of an [`Objective`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Term {
    /// The example as it is, with its target.
    Loss,
    /// With n-grams left out, towards its steady distribution.
    Perturbed,
    /// Of two texts, towards the mix of their steady distributions.
    Mixed,
}

/// See the module.
pub(super) struct Rows<'a> {
    bags: Bags,
    rows: Vec<Row<'a>>,
    /// Whether each row is the bag of its number.
    plain: bool,
    /// The weight of each of the last two terms.
    regularisation: f32,
}

impl<'a> Rows<'a> {
    /// Draws come from the objective's seed, in the order of the batch, and are the same for all copies.
    pub(super) fn new(batch: &[Example<'a>], objective: Objective) -> Self {
        let plain = objective.regularisation <= 0.0;
        let mut made =
            Self { bags: Bags::default(), rows: Vec::new(), plain, regularisation: objective.regularisation };
        if plain {
            made.plain(batch);
        } else {
            made.regularised(batch, &mut rng(objective.seed, "regularise", &[]));
        }
        made
    }

    /// A bag and a row for each example with a target.
    fn plain(&mut self, batch: &[Example<'a>]) {
        for (bag, (example, target)) in (0..).zip(batch.iter().filter_map(|example| Some((example, example.target?)))) {
            self.bags.push(ngrams(example.text));
            self.push(Term::Loss, example, vec![(bag, 1.0)], Cow::Borrowed(target));
        }
    }

    /// Two bags for each example, and the rows of all terms.
    fn regularised(&mut self, batch: &[Example<'a>], rng: &mut impl Rng) {
        let bags = |place: usize| [2 * place, 2 * place + 1].map(|bag| u32::try_from(bag).unwrap_or(u32::MAX));
        for (place, example) in batch.iter().enumerate() {
            let parts = bags(place).map(|bag| (bag, 1.0)).to_vec();
            if let Some(target) = example.target {
                self.push(Term::Loss, example, parts, Cow::Borrowed(target));
            }
        }
        for (place, example) in batch.iter().enumerate() {
            let [kept, dropped] = bags(place);
            let Some(target) = example.steady else {
                self.bags.push(ngrams(example.text));
                self.bags.push([]);
                continue;
            };
            let (keeps, drops): (Vec<_>, Vec<_>) = ngrams(example.text).partition(|_| rng.random::<f32>() >= DROPPED);
            self.bags.push(keeps);
            self.bags.push(drops);
            // The others are larger by as much, so that the mean over draws is the text itself.
            self.push(Term::Perturbed, example, vec![(kept, 1.0 / (1.0 - DROPPED))], Cow::Borrowed(target));
            // The search goes round once. A text that is alone in its fold is not mixed. With the next text of the
            // same fold, so that what is held out from a copy stays so.
            let others = (0..batch.len()).cycle().skip(place + 1).take(batch.len() - 1);
            let mut others = others.filter_map(|at| batch.get(at).map(|other| (at, other)));
            if let Some((at, also)) = others
                .find(|(_, other)| other.held_out == example.held_out && other.steady.is_some())
                .and_then(|(at, other)| Some((at, other.steady?)))
            {
                let weight = mixing_weight(rng);
                let mixed = target.iter().zip(also).map(|(a, b)| weight * a + (1.0 - weight) * b).collect();
                let parts = [kept, dropped].map(|bag| (bag, weight)).into_iter();
                let parts = parts.chain(bags(at).map(|bag| (bag, 1.0 - weight))).collect();
                self.push(Term::Mixed, example, parts, Cow::Owned(mixed));
            }
        }
    }

    fn push(&mut self, term: Term, example: &Example<'a>, parts: Vec<(u32, f32)>, target: Cow<'a, [f32]>) {
        self.rows.push(Row { parts, target, held_out: example.held_out, term });
    }

    /// As tensors, for `copies` copies and `labels` labels. None where no copy would learn from it: no step then.
    pub(super) fn batch(self, copies: usize, labels: usize) -> Option<Batch> {
        let shares: Vec<f32> = (0..copies).flat_map(|fold| self.shares(fold)).collect();
        if shares.iter().all(|&share| share == 0.0) {
            return None;
        }
        let parts = self.rows.iter().map(|row| row.parts.as_slice());
        let mixes = (!self.plain).then(|| Mixes::new(parts, self.bags.len()));
        let targets: Vec<f32> = self.rows.iter().flat_map(|row| row.target.iter().copied()).collect();
        Some(Batch {
            bags: self.bags,
            mixes,
            targets: Tensor::from_slice(&targets).view([-1, int(labels)]),
            shares: Tensor::from_slice(&shares).view([int(copies), -1, 1]),
        })
    }

    /// What each row counts for the copy `fold`: nothing if it is held out, and else its part in the mean of its
    /// term. In the order of the rows; a term's shares sum to its weight, or to 0 where the copy sees none of it.
    fn shares(&self, fold: Fold) -> Vec<f32> {
        let seen = |row: &&Row<'_>| row.held_out != fold;
        let share = |term: Term| {
            let count = self.rows.iter().filter(seen).filter(|row| row.term == term).count();
            let weight = if term == Term::Loss { 1.0 } else { self.regularisation };
            weight / count.max(1) as f32
        };
        let [loss, perturbed, mixed] = [Term::Loss, Term::Perturbed, Term::Mixed].map(share);
        let of = |row: &Row<'_>| match row.term {
            _ if row.held_out == fold => 0.0,
            Term::Loss => loss,
            Term::Perturbed => perturbed,
            Term::Mixed => mixed,
        };
        self.rows.iter().map(of).collect()
    }
}

/// A text's n-grams, each with its weight.
fn ngrams(text: &Encoded) -> impl Iterator<Item = (u32, f32)> {
    text.ids.iter().copied().zip(text.weights.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::student::Loss;

    fn text(id: u32) -> Encoded {
        Encoded { ids: vec![id, id + 1], weights: vec![0.5, 0.25], ..Encoded::default() }
    }

    #[test]
    fn terms_are_means_of_their_own_and_nothing_held_out_is_in_any() {
        let texts = [text(0), text(10), text(20)];
        let distribution = [0.5, 0.5];
        let example = |text, held_out, target| Example { text, held_out, target, steady: Some(&distribution[..]) };
        let batch = [
            example(&texts[0], 0, Some(&distribution[..])),
            example(&texts[1], 1, Some(&distribution[..])),
            example(&texts[2], 1, None),
        ];
        let plain = Rows::new(&batch, Loss::CrossEntropy.into());
        assert_eq!(
            (plain.shares(0), plain.shares(1), plain.shares(2)),
            (vec![0.0, 1.0], vec![1.0, 0.0], vec![0.5, 0.5])
        );

        let objective = Objective { loss: Loss::CrossEntropy, regularisation: 0.5, seed: 0 };
        let rows = Rows::new(&batch, objective);
        // Two with targets, three perturbed, and the two of one fold mixed with each other.
        let terms: Vec<Term> = rows.rows.iter().map(|row| row.term).collect();
        let count = |term| terms.iter().filter(|&&t| t == term).count();
        assert_eq!([Term::Loss, Term::Perturbed, Term::Mixed].map(count), [2, 3, 2]);
        for fold in 0..3 {
            let shares = rows.shares(fold);
            let sum = |term| shares.iter().zip(&terms).filter(|(_, t)| **t == term).map(|(s, _)| s).sum::<f32>();
            assert_eq!(sum(Term::Perturbed), 0.5);
            assert_eq!(sum(Term::Mixed), if fold == 1 { 0.0 } else { 0.5 });
            assert!(rows.rows.iter().zip(&shares).all(|(row, &share)| (share == 0.0) == (row.held_out == fold)));
        }
    }

    /// Each row as the n-grams that it is the sum of, by id and weight.
    fn texts(rows: &Rows<'_>, ids: u32) -> Vec<Vec<f32>> {
        let columns = Tensor::eye(i64::from(ids), (tch::Kind::Float, tch::Device::Cpu));
        let bags = rows.bags.sums(&columns);
        let texts = Mixes::new(rows.rows.iter().map(|row| row.parts.as_slice()), rows.bags.len()).texts(&bags);
        let values: Vec<f32> = texts.view([-1]).try_into().unwrap();
        values.chunks(ids as usize).map(<[f32]>::to_vec).collect()
    }

    #[test]
    fn perturbed_and_mixed_texts_are_made_of_the_texts_themselves() {
        let long =
            |from: u32| Encoded { ids: (from..from + 1000).collect(), weights: vec![0.5; 1000], ..Encoded::default() };
        let (a, b) = (long(0), long(500));
        let [first, second] = [[1.0, 0.0], [0.0, 1.0]];
        let batch = [(&a, &first), (&b, &second)]
            .map(|(text, steady)| Example { steady: Some(&steady[..]), ..Example::new(text, 3, &steady[..]) });
        let rows = Rows::new(&batch, Objective { loss: Loss::CrossEntropy, regularisation: 1.0, seed: 4 });
        let texts = texts(&rows, 1500);
        let of = |term: Term| rows.rows.iter().zip(&texts).filter(move |(row, _)| row.term == term);
        for ((_, text), (from, to)) in of(Term::Loss).zip([(0, 1000), (500, 1500)]) {
            assert!((0..).zip(text).all(|(id, &weight)| weight == if (from..to).contains(&id) { 0.5 } else { 0.0 }));
        }
        for (_, text) in of(Term::Perturbed) {
            let kept: Vec<f32> = text.iter().copied().filter(|&weight| weight != 0.0).collect();
            assert!((850..950).contains(&kept.len()) && kept.iter().all(|&weight| weight == 0.5 / 0.9));
        }
        for (row, text) in of(Term::Mixed) {
            let [of_a, of_b] = [row.target[0], row.target[1]];
            assert!(of_a > 0.0 && of_b > 0.0 && (of_a + of_b - 1.0).abs() < 1e-6);
            assert_eq!(
                [text[0], text[750], text[1499]].map(|weight| (weight * 1e5).round()),
                [(of_a * 0.5e5).round(), 0.5e5, (of_b * 0.5e5).round()]
            );
        }
        assert_eq!([Term::Loss, Term::Perturbed, Term::Mixed].map(|term| of(term).count()), [2, 2, 2]);
    }
}
