//! All copies of the `ngram` student side by side, and their optimizer: Adagrad, one accumulator a copy's row of the table.
//!
//! logits = (sum_f w_f E[f]) H + b, for each copy. The gradient is written out by hand: only the rows of the batch are touched,
//! so a step costs the same whatever the number of buckets. E starts at zero and H at random: an untrained row, and so an
//! unseen n-gram, says nothing, and a checkpoint needs only the rows that were trained.
//!
//! With p = softmax(logits), the target q, a text's share s for the copy, and X the sums of the batch, texts x dimension:
//! ```text
//! e = s (p - q)        dH = X^T e        db = sum of e over texts        dX = e H^T
//! dE[f] = sum over texts of w_f dX
//! ```
//!
//! Adagrad for a row of the table: its accumulator grows by the mean of the squares of the row's gradient, so one
//! number a row stands in for as many as the dimension has. The state is then hardly larger than the table. Always on
//! the processor.
//!
//! What a step costs most is waiting for rows of the table, which are anywhere in it. So the rows that an n-gram has in all
//! copies lie together, and are read and written at once. No copy's numbers take part in another's: a text that is held out
//! from a copy has share 0 there, so a gradient of 0, by which Adagrad changes neither weight nor accumulator.

use rand::Rng;
use tch::{Device, Kind, Tensor};

use super::bags::{Bags, Mixes, int};
use crate::base::random::rng;
use crate::config::NgramConfig;
use crate::student::finite::is_finite;
use crate::student::{Encoded, Fold, Loss};

/// Keeps Adagrad's division away from zero. Without it, a value that never had a gradient would become 0 / 0.
const EPSILON: f64 = 1e-10;

/// Tensors are f32 and contiguous. Table and its sums are changed in place; the others, which are small, are replaced after
/// each step.
pub(super) struct Model {
    pub(super) copies: i64,
    pub(super) dimension: i64,
    /// E, buckets x (copies x dimension).
    pub(super) table: Tensor,
    /// Sum over steps of each row's mean squared gradient, buckets x copies.
    pub(super) table_sums: Tensor,
    /// H, copies x dimension x labels.
    pub(super) head: Tensor,
    /// Sum over steps of each value's squared gradient, as large as H.
    pub(super) head_sums: Tensor,
    /// b, copies x 1 x labels.
    pub(super) bias: Tensor,
    /// The same for b.
    pub(super) bias_sums: Tensor,
}

/// A batch to train on.
pub(super) struct Batch {
    /// What the texts are made of.
    pub(super) bags: Bags,
    /// What of them is in which text. Without it each text is the bag of its number.
    pub(super) mixes: Option<Mixes>,
    /// Texts x labels.
    pub(super) targets: Tensor,
    /// What each text counts for each copy, copies x texts x 1.
    pub(super) shares: Tensor,
}

impl Model {
    /// Untrained copies. Each has a head of its own, drawn by seed and fold; tables and biases are zero.
    pub(super) fn new(config: &NgramConfig, seed: u64, labels: usize, copies: usize) -> Self {
        let zeros = |size: &[i64]| Tensor::zeros(size, (Kind::Float, Device::Cpu));
        let (buckets, dimension) = (i64::from(config.buckets), i64::from(config.dimension));
        let (copies, labels) = (int(copies), int(labels));
        let mut model = Self {
            copies,
            dimension,
            table: zeros(&[buckets, copies * dimension]),
            table_sums: zeros(&[buckets, copies]),
            head: zeros(&[copies, dimension, labels]),
            head_sums: zeros(&[copies, dimension, labels]),
            bias: zeros(&[copies, 1, labels]),
            bias_sums: zeros(&[copies, 1, labels]),
        };
        model.draw_heads(seed);
        model
    }

    /// As new. In place: a second table beside the first would take twice the memory.
    pub(super) fn reset(&mut self, seed: u64) {
        for tensor in [&mut self.table, &mut self.table_sums, &mut self.head_sums, &mut self.bias, &mut self.bias_sums]
        {
            let _ = tensor.zero_();
        }
        self.draw_heads(seed);
    }

    /// Uniform with variance 1 / dimension.
    fn draw_heads(&mut self, seed: u64) {
        let bound = (3.0 / self.dimension as f64).sqrt() as f32;
        let mut values: Vec<f32> = Vec::with_capacity(self.head.numel());
        for fold in 0..self.copies.unsigned_abs() {
            let mut rng = rng(seed, "head", &[fold]);
            let count = self.dimension * self.labels();
            values.extend((0..count).map(|_| rng.random_range(-bound..=bound)));
        }
        self.head = Tensor::from_slice(&values).view([self.copies, self.dimension, self.labels()]);
    }

    /// C.
    pub(super) fn labels(&self) -> i64 {
        self.bias.size().last().copied().unwrap_or(0)
    }

    /// The table with the rows of the copies one after the other, (buckets x copies) x dimension: the same memory.
    fn rows(&self) -> Tensor {
        self.table.view([-1, self.dimension])
    }

    /// The sum of each text in the copy named with it, which must be there. Row-major, texts x dimension.
    pub(super) fn sums(&self, texts: &[(&Encoded, Fold)]) -> Vec<f32> {
        let _guard = tch::no_grad_guard();
        let copies = usize::try_from(self.copies).unwrap_or(0);
        values(&Bags::of_copies(texts.iter().copied(), copies).sums(&self.rows()))
    }

    /// X, sums of texts, as copies x texts x dimension; `sums` are texts x (copies x dimension).
    fn by_copy(&self, sums: &Tensor) -> Tensor {
        sums.view([-1, self.copies, self.dimension]).transpose(0, 1)
    }

    /// Probabilities, copies x texts x labels; `texts` by copy.
    fn probabilities(&self, texts: &Tensor) -> Tensor {
        self.bias.baddbmm(texts, &self.head, 1, 1).softmax(-1, Kind::Float)
    }

    /// The logarithm of the mean of the copies' probabilities. (Their weights have no mean: each head began elsewhere.) No
    /// number where a copy's logits are none. Row-major, texts x labels; the smallest is that of the smallest normal f32, so
    /// a label that all copies find impossible is still finite.
    pub(super) fn predict(&self, texts: &[&Encoded]) -> Vec<f32> {
        let _guard = tch::no_grad_guard();
        let sums = Bags::new(texts.iter().copied()).sums(&self.table);
        let mean = self.probabilities(&self.by_copy(&sums)).mean_dim([0].as_slice(), false, Kind::Float);
        values(&mean.clamp_min(f64::from(f32::MIN_POSITIVE)).log())
    }

    /// One Adagrad step of every copy on the sum over texts of `shares` times the loss of softmax(logits) and the target.
    /// Whether it was taken: not if a gradient of any copy is not finite, and then nothing is changed.
    ///
    /// Everything is computed aside first and put in place at the end. Costs copies x texts x dimension x labels, and the
    /// rows of the batch.
    pub(super) fn train(&mut self, batch: &Batch, loss: Loss, learning_rate: f64) -> bool {
        let _guard = tch::no_grad_guard();
        let bags = batch.bags.sums(&self.table);
        let texts = match &batch.mixes {
            Some(mixes) => self.by_copy(&mixes.texts(&bags)),
            None => self.by_copy(&bags),
        };
        let predicted = self.probabilities(&texts);
        let error = match loss {
            Loss::CrossEntropy => predicted - &batch.targets,
            Loss::Candidates => &predicted - within(&predicted, &batch.targets),
        };
        // A text that has no share has no error, and so no part in any gradient.
        let error = error * &batch.shares;

        let head_gradient = texts.transpose(1, 2).bmm(&error);
        let bias_gradient = error.sum_dim_intlist([1].as_slice(), true, Kind::Float);
        let gradient =
            error.bmm(&self.head.transpose(1, 2)).transpose(0, 1).reshape([-1, self.copies * self.dimension]);
        let gradient = match &batch.mixes {
            Some(mixes) => mixes.bags(&gradient),
            None => gradient,
        };
        let (rows, turned) = batch.bags.turned();
        let rows = Tensor::from_slice(&rows);
        // Of the rows of the batch only. All others have no gradient, and Adagrad leaves them as they are.
        let table_gradient = turned.sums(&gradient);
        let mut by_copy = table_gradient.view([-1, self.copies, self.dimension]);
        // The root of the mean square of each row.
        let sizes = by_copy.norm_scalaropt_dim(2.0, [2].as_slice(), false) / (self.dimension as f64).sqrt();
        let sums = self.table_sums.index_select(0, &rows).addcmul(&sizes, &sizes);
        let (head, head_sums) = descend(&self.head, &self.head_sums, &head_gradient, learning_rate);
        let (bias, bias_sums) = descend(&self.bias, &self.bias_sums, &bias_gradient, learning_rate);
        // The sums hold the square of every gradient, and what is subtracted is bounded: by the learning rate, in the
        // table times the root of the dimension. They are a thirtieth of the weights: nobody notices that they are
        // asked.
        if ![&sums, &head_sums, &bias_sums].into_iter().all(is_finite) {
            return false;
        }
        // `rows` has each row once, so each is changed once.
        let mut steps = sums.sqrt();
        let _ = steps.g_add_scalar_(EPSILON).reciprocal_().g_mul_scalar_(-learning_rate);
        let _ = by_copy.g_mul_(&steps.unsqueeze(2));
        let _ = self.table.index_add_(0, &rows, &table_gradient);
        let _ = self.table_sums.index_copy_(0, &rows, &sums);
        (self.head, self.head_sums, self.bias, self.bias_sums) = (head, head_sums, bias, bias_sums);
        true
    }

    /// A copy as after a bit flipped in memory.
    #[cfg(test)]
    pub(super) fn spoil(&mut self, fold: Fold) {
        let _ = self.bias.get(int(fold)).fill_(f64::NAN);
    }
}

/// The values of a tensor, row after row.
pub(super) fn values(tensor: &Tensor) -> Vec<f32> {
    let mut values = vec![0.0; tensor.numel()];
    tensor.copy_data(&mut values, tensor.numel());
    values
}

/// Rows of probabilities, each renormalised within its candidates: the distribution with which the cross-entropy has
/// the gradient of -ln of the candidates' sum.
fn within(predicted: &Tensor, candidates: &Tensor) -> Tensor {
    // A little for each candidate, so that a row is a distribution even where the student finds all of them impossible.
    let listed = (predicted + 1e-12) * candidates;
    let sums = listed.sum_dim_intlist([-1].as_slice(), true, Kind::Float).clamp_min(1e-30);
    listed / sums
}

/// Adagrad (Duchi et al. 2011) on a dense tensor: weight and sums after the step.
fn descend(weight: &Tensor, sums: &Tensor, gradient: &Tensor, learning_rate: f64) -> (Tensor, Tensor) {
    let sums = sums.addcmul(gradient, gradient);
    let mut roots = sums.sqrt();
    let weight = weight.addcdiv(&(gradient * -learning_rate), &roots.g_add_scalar_(EPSILON));
    (weight, sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COPIES: usize = 3;

    /// The hand-written step of every copy against libtorch's own gradient of the same loss.
    #[test]
    fn the_gradient_is_the_gradient() {
        let mut model = Model::new(&NgramConfig { dimension: 3, buckets: 16 }, 7, 2, COPIES);
        let bags = Bags::new(&[
            Encoded { ids: vec![1, 4, 9], weights: vec![0.5, 0.7, 0.5], ..Encoded::default() },
            Encoded { ids: vec![4], weights: vec![1.0], ..Encoded::default() },
            Encoded::default(),
        ]);
        let batch = |targets: [[f32; 2]; 3], mixes: Option<Mixes>| Batch {
            bags: bags.clone(),
            mixes,
            targets: Tensor::from_slice(&targets.concat()).view([3, 2]),
            shares: Tensor::from_slice(&[0.5_f32, 0.3, 0.2, 0.0, 0.4, 0.6, 0.7, 0.2, 0.0]).view([3, 3, 1]),
        };
        let distributions = [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]];
        // Away from zero, so that every gradient is there.
        assert!(model.train(&batch(distributions, None), Loss::CrossEntropy, 0.1));
        let mix = || Some(Mixes::new([[(0, 1.0)].as_slice(), &[(0, 0.3), (1, 0.7)], &[(1, 1.1), (2, 1.0)]], 3));
        for (loss, targets) in
            [(Loss::CrossEntropy, distributions), (Loss::Candidates, [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])]
        {
            check_step(&mut model, &batch(targets, None), loss);
            check_step(&mut model, &batch(targets, mix()), loss);
        }
    }

    fn check_step(model: &mut Model, batch: &Batch, loss: Loss) {
        let parts = |model: &Model, fold: usize| {
            let (copy, dimension) = (int(fold), model.dimension);
            let table = model.table.narrow(1, copy * dimension, dimension).copy();
            let sums = model.table_sums.narrow(1, copy, 1).copy();
            let (head, bias) = (model.head.get(copy).copy(), model.bias.get(copy).copy());
            [(table, sums), (head, model.head_sums.get(copy).copy()), (bias, model.bias_sums.get(copy).copy())]
        };
        let before: Vec<_> = (0..COPIES).map(|fold| parts(model, fold)).collect();
        assert!(model.train(batch, loss, 0.05));
        for (fold, before) in before.into_iter().enumerate() {
            let own = before.each_ref().map(|(weight, _)| weight.copy().set_requires_grad(true));
            let [table, head, bias] = &own;
            let sums = batch.bags.sums(table);
            let texts = batch.mixes.as_ref().map_or_else(|| sums.shallow_clone(), |mixes| mixes.texts(&sums));
            let log_p = (texts.matmul(head) + bias).log_softmax(-1, Kind::Float);
            let each = match loss {
                Loss::CrossEntropy => -(log_p * &batch.targets).sum_dim_intlist([-1].as_slice(), false, Kind::Float),
                Loss::Candidates => {
                    -(log_p.exp() * &batch.targets).sum_dim_intlist([-1].as_slice(), false, Kind::Float).log()
                }
            };
            (each * batch.shares.get(int(fold)).squeeze()).sum(Kind::Float).backward();
            for ((own, (weight, sums)), (after, sums_after)) in own.iter().zip(&before).zip(parts(model, fold)) {
                let squares = own.grad().square();
                // The table has one sum a row.
                let of_row = sums.size() != weight.size();
                let squares = if of_row { squares.mean_dim([1].as_slice(), true, Kind::Float) } else { squares };
                let sums = sums + squares;
                let expected = weight - own.grad() / (sums.sqrt() + EPSILON) * 0.05;
                for (after, expected) in [(after, expected), (sums_after, sums)] {
                    let difference = (after - expected).abs().max().double_value(&[]);
                    assert!(difference < 1e-6, "{loss:?}, copy {fold}: {difference}");
                }
            }
        }
    }
}
