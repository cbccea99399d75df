//! What a training step is computed on: the examples, and texts made from them to regularise.
//!
//! The step minimises loss + regularisation x (perturbed + mixed), each a mean over its own rows that the copy may
//! see. All three go through the same softmax, so they are one batch, and a row's share says how much it counts.

use std::borrow::Cow;

use rand::Rng;

use super::model::Batch;
use crate::base::random::rng;
use crate::student::{Encoded, Example, Fold, Objective, mixing_weight};

/// Share of a text's n-grams that are left out of a perturbed text. As dropout of the encoder's usual rate.
const DROPPED: f32 = 0.1;

/// One text of a step.
struct Row<'a> {
    /// Borrowed from the example, or made for the step.
    text: Cow<'a, Encoded>,
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
    rows: Vec<Row<'a>>,
    /// The weight of each of the last two terms.
    regularisation: f32,
}

impl<'a> Rows<'a> {
    /// Draws come from the objective's seed, in the order of the batch, and are the same for all copies.
    pub(super) fn new(batch: &[Example<'a>], objective: Objective) -> Self {
        let rng = &mut rng(objective.seed, "regularise", &[]);
        let row = |example: &Example<'a>| {
            let target = Cow::Borrowed(example.target?);
            Some(Row { text: Cow::Borrowed(example.text), target, held_out: example.held_out, term: Term::Loss })
        };
        let mut rows: Vec<Row<'a>> = batch.iter().filter_map(row).collect();
        if objective.regularisation > 0.0 {
            let steady: Vec<(&Example<'a>, &'a [f32])> =
                batch.iter().filter_map(|example| Some((example, example.steady?))).collect();
            for (place, (example, target)) in steady.iter().enumerate() {
                let held_out = example.held_out;
                let text = Cow::Owned(perturbed(example.text, rng));
                rows.push(Row { text, target: Cow::Borrowed(*target), held_out, term: Term::Perturbed });
                // The search goes round once. A text that is alone in its fold is not mixed. With the next text of the
                // same fold, so that what is held out from a copy stays so.
                let others = steady.iter().cycle().skip(place + 1).take(steady.len() - 1);
                if let Some((other, also)) = others.into_iter().find(|(other, _)| other.held_out == held_out) {
                    let weight = mixing_weight(rng);
                    let mixed = target.iter().zip(*also).map(|(a, b)| weight * a + (1.0 - weight) * b).collect();
                    let text = Cow::Owned(mix(example.text, other.text, weight));
                    rows.push(Row { text, target: Cow::Owned(mixed), held_out, term: Term::Mixed });
                }
            }
        }
        Self { rows, regularisation: objective.regularisation }
    }

    /// As tensors, what all copies have in common.
    pub(super) fn batch(&self, labels: usize) -> Batch {
        let rows: Vec<(&Encoded, &[f32])> =
            self.rows.iter().map(|row| (row.text.as_ref(), row.target.as_ref())).collect();
        Batch::new(&rows, labels)
    }

    /// What each row counts for the copy `fold`: nothing if it is held out, and else its part in the mean of its
    /// term. In the order of the rows; a term's shares sum to its weight, or to 0 where the copy sees none of it.
    pub(super) fn shares(&self, fold: Fold) -> Vec<f32> {
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

/// Some n-grams left out, and the others larger by as much, so that the mean over draws is the text itself.
fn perturbed(text: &Encoded, rng: &mut impl Rng) -> Encoded {
    let kept = text.ids.iter().zip(&text.weights).filter(|_| rng.random::<f32>() >= DROPPED);
    let (ids, weights) = kept.map(|(&id, &weight)| (id, weight / (1.0 - DROPPED))).unzip();
    Encoded { ids, weights, ..Encoded::default() }
}

/// The text whose embedding is `weight` times that of `a` and the rest that of `b`. An n-gram of both is there twice,
/// which sums do not mind.
fn mix(a: &Encoded, b: &Encoded, weight: f32) -> Encoded {
    let scaled = |text: &Encoded, by: f32| text.weights.iter().map(move |weight| by * weight).collect::<Vec<_>>();
    Encoded {
        ids: a.ids.iter().chain(&b.ids).copied().collect(),
        weights: [scaled(a, weight), scaled(b, 1.0 - weight)].concat(),
        ..Encoded::default()
    }
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

    #[test]
    fn a_mixed_text_by_hand() {
        let mixed = mix(&text(0), &text(10), 0.75);
        assert_eq!((mixed.ids, mixed.weights), (vec![0, 1, 10, 11], vec![0.375, 0.1875, 0.125, 0.0625]));
        let mut rng = rng(0, "perturbed", &[]);
        let long = Encoded { ids: (0..1000).collect(), weights: vec![1.0; 1000], ..Encoded::default() };
        let left = perturbed(&long, &mut rng);
        assert!((850..950).contains(&left.ids.len()) && left.weights.iter().all(|&weight| weight == 1.0 / 0.9));
    }
}
