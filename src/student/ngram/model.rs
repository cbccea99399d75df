//! One copy of the `ngram` student, and its optimizer: Adagrad, one accumulator a row of the table.
//!
//! logits = (sum_f w_f E[f]) H + b. The gradient is written out by hand: only the rows of the batch are touched, so a
//! step costs the same whatever the number of buckets. E starts at zero and H at random: an untrained row, and so an
//! unseen n-gram, says nothing, and a checkpoint needs only the rows that were trained.
//!
//! With p = softmax(logits), the target q, a text's share s, and X the sums of the batch, texts x dimension:
//! ```text
//! e = s (p - q)        dH = X^T e        db = sum of e over texts        dX = e H^T
//! dE[f] = sum over texts of w_f dX
//! ```
//!
//! Adagrad for a row of the table: its accumulator grows by the mean of the squares of the row's gradient, so one
//! number a row stands in for as many as the dimension has. The state is then hardly larger than the table. Always on
//! the processor.

use rand::Rng;
use tch::{Device, Kind, Tensor};

use crate::base::random::rng;
use crate::config::NgramConfig;
use crate::error::Result;
use crate::student::checkpoint::{Loaded, Saved};
use crate::student::finite::is_finite;
use crate::student::{Encoded, Loss};

/// Keeps Adagrad's division away from zero. Without it, a value that never had a gradient would become 0 / 0.
const EPSILON: f64 = 1e-10;

/// Tensors are f32. The table is changed in place; head and bias, which are small, are replaced after each step.
pub(super) struct Model {
    /// E, buckets x dimension.
    table: Tensor,
    /// Sum over steps of each row's mean squared gradient, buckets.
    table_sums: Tensor,
    /// H, dimension x labels.
    head: Tensor,
    /// Sum over steps of each value's squared gradient, as large as H.
    head_sums: Tensor,
    /// b, labels.
    bias: Tensor,
    /// The same for b.
    bias_sums: Tensor,
}

/// A batch of texts as tensors: the n-grams of all texts one after the other. As libtorch's `embedding_bag` wants it; a
/// text without n-grams is an empty bag, whose sum is zero.
struct Bags {
    /// Rows of the table.
    ids: Vec<i64>,
    weights: Vec<f32>,
    /// Which text each n-gram belongs to.
    text: Vec<i64>,
    /// Where each text's n-grams begin.
    offsets: Vec<i64>,
}

impl Bags {
    fn new<'a>(texts: impl Iterator<Item = &'a Encoded>) -> Self {
        let (mut ids, mut weights, mut offsets, mut owner) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (number, text) in (0_i64..).zip(texts) {
            offsets.push(i64::try_from(ids.len()).unwrap_or(i64::MAX));
            owner.extend(std::iter::repeat_n(number, text.ids.len()));
            ids.extend(text.ids.iter().map(|&id| i64::from(id)));
            weights.extend_from_slice(&text.weights);
        }
        Self { ids, weights, text: owner, offsets }
    }
}

/// Weighted sums of rows of a table, one for each bag: a product with a sparse matrix, which is never made.
struct Sums {
    /// Rows, bag after bag.
    rows: Tensor,
    weights: Tensor,
    /// Where each bag begins.
    offsets: Tensor,
}

impl Sums {
    fn new(rows: &[i64], weights: &[f32], offsets: &[i64]) -> Self {
        Self {
            rows: Tensor::from_slice(rows),
            weights: Tensor::from_slice(weights),
            offsets: Tensor::from_slice(offsets),
        }
    }

    /// Bags x columns of `table`.
    fn of(&self, table: &Tensor) -> Tensor {
        const SUM: i64 = 0;
        let (sums, _, _, _) =
            Tensor::embedding_bag(table, &self.rows, &self.offsets, false, SUM, false, Some(&self.weights), false);
        sums
    }
}

/// A copy that only predicts, and says of each text the same, to the last bit, in whatever company. The last bits of a product of
/// matrices depend on their shape and place in memory, so the product with the head is made here, number by number. Each
/// bag's sum is made by itself anyhow.
pub(super) struct Alone {
    model: Model,
    /// H, row after row.
    head: Vec<f32>,
    bias: Vec<f32>,
}

impl Alone {
    /// Of a copy with its weights.
    pub(super) fn new(model: Model) -> Self {
        let (head, bias) = (values(&model.head), values(&model.bias));
        Self { model, head, bias }
    }

    /// As [`Model::logits`].
    pub(super) fn logits(&self, texts: &[&Encoded]) -> Vec<f32> {
        let _guard = tch::no_grad_guard();
        let bags = Bags::new(texts.iter().copied());
        let sums = values(&Sums::new(&bags.ids, &bags.weights, &bags.offsets).of(&self.model.table));
        let (columns, dimension) = (self.bias.len().max(1), (sums.len() / texts.len().max(1)).max(1));
        let mut logits = self.bias.repeat(texts.len());
        for (row, sum) in logits.chunks_exact_mut(columns).zip(sums.chunks_exact(dimension)) {
            for (value, weights) in sum.iter().zip(self.head.chunks_exact(columns)) {
                row.iter_mut().zip(weights).for_each(|(logit, weight)| *logit += value * weight);
            }
        }
        logits
    }
}

/// A batch to train on, the same for all copies.
///
/// An n-gram that is in several texts has one row here, so its gradient is complete when its step is taken.
pub(super) struct Batch {
    /// The distinct n-grams. Ascending.
    rows: Tensor,
    /// From the rows of the distinct n-grams to each text's sum.
    forward: Sums,
    /// From the gradients of the texts to those of the distinct n-grams: the same sums the other way round.
    backward: Sums,
    /// Texts x labels.
    targets: Tensor,
}

impl Batch {
    /// Texts with their targets, `labels` values each. Sorting the n-grams is what it costs.
    pub(super) fn new(batch: &[(&Encoded, &[f32])], labels: usize) -> Self {
        let Bags { ids, weights, text, offsets } = Bags::new(batch.iter().map(|(text, _)| *text));
        // The n-grams in the order of their ids; where a new id comes, a new row begins.
        let mut order: Vec<(i64, usize)> = ids.into_iter().zip(0..).collect();
        order.sort_unstable();
        // `local` leads from each n-gram, in the order of the texts, to its row in `rows`; `starts` says where in the
        // sorted order each row's occurrences begin.
        let (mut rows, mut starts, mut local) = (Vec::new(), Vec::new(), vec![0; order.len()]);
        let (mut text_by_row, mut weight_by_row) = (Vec::new(), Vec::new());
        for (place, &(id, at)) in (0_i64..).zip(&order) {
            if rows.last() != Some(&id) {
                rows.push(id);
                starts.push(place);
            }
            if let (Some(local), Some(&text), Some(&weight)) = (local.get_mut(at), text.get(at), weights.get(at)) {
                *local = i64::try_from(rows.len() - 1).unwrap_or(i64::MAX);
                text_by_row.push(text);
                weight_by_row.push(weight);
            }
        }
        let targets: Vec<f32> = batch.iter().flat_map(|(_, target)| target.iter().copied()).collect();
        Self {
            rows: Tensor::from_slice(&rows),
            forward: Sums::new(&local, &weights, &offsets),
            backward: Sums::new(&text_by_row, &weight_by_row, &starts),
            targets: Tensor::from_slice(&targets).view([-1, i64::try_from(labels).unwrap_or(i64::MAX)]),
        }
    }
}

impl Model {
    /// Untrained. Each copy has a head of its own, drawn by seed and fold; tables and biases are zero.
    pub(super) fn new(config: &NgramConfig, seed: u64, labels: usize, fold: usize) -> Self {
        let (buckets, dimension) = (i64::from(config.buckets), i64::from(config.dimension));
        let columns = i64::try_from(labels).unwrap_or(i64::MAX);
        let zeros = |size: &[i64]| Tensor::zeros(size, (Kind::Float, Device::Cpu));
        // Uniform with variance 1 / dimension.
        let bound = (3.0 / f64::from(config.dimension)).sqrt() as f32;
        let mut rng = rng(seed, "head", &[fold as u64]);
        let head: Vec<f32> =
            (0..labels * config.dimension as usize).map(|_| rng.random_range(-bound..=bound)).collect();
        Self {
            table: zeros(&[buckets, dimension]),
            table_sums: zeros(&[buckets]),
            head: Tensor::from_slice(&head).view([dimension, columns]),
            head_sums: zeros(&[dimension, columns]),
            bias: zeros(&[columns]),
            bias_sums: zeros(&[columns]),
        }
    }

    /// Row-major, texts x labels. Not checked for being finite.
    pub(super) fn logits(&self, texts: &[&Encoded]) -> Vec<f32> {
        let _guard = tch::no_grad_guard();
        let bags = Bags::new(texts.iter().copied());
        let sums = Sums::new(&bags.ids, &bags.weights, &bags.offsets).of(&self.table);
        values(&(sums.matmul(&self.head) + &self.bias))
    }

    /// One Adagrad step on the sum over texts of `share` times the loss of softmax(logits) and the target. Whether it
    /// was taken: not if a gradient is not finite, and then nothing is changed.
    ///
    /// Everything is computed aside first and put in place at the end. Costs texts x dimension x labels, and the rows
    /// of the batch.
    pub(super) fn train(&mut self, batch: &Batch, share: &[f32], loss: Loss, learning_rate: f64) -> bool {
        let _guard = tch::no_grad_guard();
        let Batch { rows, forward, backward, targets } = batch;

        // From here on the rows of the batch stand in for the table.
        let table = self.table.index_select(0, rows);
        let texts = forward.of(&table);
        let predicted = (texts.matmul(&self.head) + &self.bias).softmax(-1, Kind::Float);

        let targets = match loss {
            Loss::CrossEntropy => targets.shallow_clone(),
            Loss::Candidates => within(&predicted, targets),
        };
        // A text that has no share has no error, and so no part in any gradient.
        let error = (predicted - targets) * Tensor::from_slice(share).unsqueeze(1);
        let head_gradient = texts.tr().matmul(&error);
        let bias_gradient = error.sum_dim_intlist([0].as_slice(), false, Kind::Float);
        let text_gradient = error.matmul(&self.head.tr());
        let table_gradient = backward.of(&text_gradient);

        // Of the rows of the batch only. All others have no gradient, and Adagrad leaves them as they are.
        let squares = table_gradient.square().mean_dim([1].as_slice(), false, Kind::Float);
        let sums = self.table_sums.index_select(0, rows) + squares;
        let table = table - table_gradient / (sums.sqrt() + EPSILON).unsqueeze(1) * learning_rate;
        let (head, head_sums) = descend(&self.head, &self.head_sums, &head_gradient, learning_rate);
        let (bias, bias_sums) = descend(&self.bias, &self.bias_sums, &bias_gradient, learning_rate);
        // The sums hold the square of every gradient, and what is subtracted is bounded: by the learning rate, in the
        // table times the root of the dimension. They are a thirtieth of the weights: nobody notices that they are
        // asked.
        if ![&sums, &head_sums, &bias_sums].into_iter().all(is_finite) {
            return false;
        }
        // `rows` has each row once, so no copy is written over another.
        let _ = self.table.index_copy_(0, rows, &table);
        let _ = self.table_sums.index_copy_(0, rows, &sums);
        (self.head, self.head_sums, self.bias, self.bias_sums) = (head, head_sums, bias, bias_sums);
        true
    }

    /// As after a bit flipped in memory.
    #[cfg(test)]
    pub(super) fn spoil(&mut self) {
        let _ = self.bias.fill_(f64::NAN);
    }

    /// Adds what predicts to a folder, under `name`: the trained rows and their numbers, head, and bias. No
    /// optimizer.
    pub(super) fn save_weights(&self, name: &str, saved: &mut Saved) {
        // A row whose sum is zero had no gradient yet, and is zero itself. (But for gradients below 4e-23, whose
        // squares underflow.)
        let rows = self.table_sums.nonzero().view([-1]);
        saved.add(&format!("{name}.table.rows"), &rows);
        saved.add(&format!("{name}.table.weight"), &self.table.index_select(0, &rows));
        saved.add(&format!("{name}.head.weight"), &self.head);
        saved.add(&format!("{name}.bias.weight"), &self.bias);
    }

    /// Takes what [`Model::save_weights`] wrote. Sums stay as they are: such a model predicts only.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`](crate::error::Error::Checkpoint) for a tensor that is missing, of another shape, or not
    /// finite.
    pub(super) fn load_weights(&mut self, name: &str, loaded: &Loaded) -> Result<()> {
        let (buckets, dimension) = self.table.size2().unwrap_or((0, 0));
        let rows = loaded.rows(&format!("{name}.table.rows"), buckets)?;
        let count = i64::try_from(rows.numel()).unwrap_or(i64::MAX);
        let weight = loaded.floats(&format!("{name}.table.weight"), &[count, dimension])?;
        self.head = loaded.floats(&format!("{name}.head.weight"), &self.head.size())?;
        self.bias = loaded.floats(&format!("{name}.bias.weight"), &self.bias.size())?;
        let _ = self.table.zero_().index_copy_(0, &rows, &weight);
        Ok(())
    }

    /// Adds this copy's tensors to a checkpoint, under `name`.
    pub(super) fn save(&self, name: &str, saved: &mut Saved) {
        let rows = self.table_sums.nonzero().view([-1]);
        saved.add(&format!("{name}.table.rows"), &rows);
        saved.add(&format!("{name}.table.weight"), &self.table.index_select(0, &rows));
        saved.add(&format!("{name}.table.sums"), &self.table_sums.index_select(0, &rows));
        for (part, tensor) in self.dense() {
            saved.add(&format!("{name}.{part}"), tensor);
        }
    }

    /// What is kept whole, by name, in the order in which it is taken up again.
    fn dense(&self) -> [(&'static str, &Tensor); 4] {
        [
            ("head.weight", &self.head),
            ("head.sums", &self.head_sums),
            ("bias.weight", &self.bias),
            ("bias.sums", &self.bias_sums),
        ]
    }

    /// Takes this copy's tensors from a checkpoint. All of them are checked before the first is put in place.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`](crate::error::Error::Checkpoint) for a tensor that is missing, of another shape, or not
    /// finite.
    pub(super) fn load(&mut self, name: &str, loaded: &Loaded) -> Result<()> {
        let (buckets, dimension) = self.table.size2().unwrap_or((0, 0));
        let rows = loaded.rows(&format!("{name}.table.rows"), buckets)?;
        let count = i64::try_from(rows.numel()).unwrap_or(i64::MAX);
        let weight = loaded.floats(&format!("{name}.table.weight"), &[count, dimension])?;
        let sums = loaded.floats(&format!("{name}.table.sums"), &[count])?;
        let mut dense = Vec::new();
        for (part, tensor) in self.dense() {
            dense.push(loaded.floats(&format!("{name}.{part}"), &tensor.size())?);
        }
        let _ = self.table.zero_().index_copy_(0, &rows, &weight);
        let _ = self.table_sums.zero_().index_copy_(0, &rows, &sums);
        for (own, loaded) in
            [&mut self.head, &mut self.head_sums, &mut self.bias, &mut self.bias_sums].into_iter().zip(dense)
        {
            *own = loaded;
        }
        Ok(())
    }
}

/// The values of a tensor, row after row.
fn values(tensor: &Tensor) -> Vec<f32> {
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
    let sums = sums + gradient.square();
    (weight - gradient / (sums.sqrt() + EPSILON) * learning_rate, sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hand-written step against libtorch's own gradient of the same loss.
    #[test]
    fn the_gradient_is_the_gradient() {
        let mut model = Model::new(&NgramConfig { dimension: 3, buckets: 16 }, 7, 2, 0);
        let texts = [
            Encoded { ids: vec![1, 4, 9], weights: vec![0.5, 0.7, 0.5], ..Encoded::default() },
            Encoded { ids: vec![4], weights: vec![1.0], ..Encoded::default() },
            Encoded::default(),
        ];
        let targets = [[0.9_f32, 0.1], [0.2, 0.8], [0.5, 0.5]];
        let batch: Vec<(&Encoded, &[f32])> =
            texts.iter().zip(&targets).map(|(text, target)| (text, target.as_slice())).collect();
        // Away from zero, so that every gradient is there.
        assert!(model.train(&Batch::new(&batch, 2), &[1.0 / 3.0; 3], Loss::CrossEntropy, 0.1));

        for loss in [Loss::CrossEntropy, Loss::Candidates] {
            let targets = match loss {
                Loss::CrossEntropy => targets,
                Loss::Candidates => [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]],
            };
            check_step(&mut model, &texts, &targets, loss);
        }
    }

    fn check_step(model: &mut Model, texts: &[Encoded], targets: &[[f32; 2]; 3], loss: Loss) {
        let bags = Bags::new(texts.iter());
        let (table, head, bias) = (model.table.copy(), model.head.copy(), model.bias.copy());
        let [table, head, bias] = [table, head, bias].map(|tensor| tensor.set_requires_grad(true));
        let logits = Sums::new(&bags.ids, &bags.weights, &bags.offsets).of(&table).matmul(&head) + &bias;
        let target = Tensor::from_slice(&targets.concat()).view([3, 2]);
        let log_p = logits.log_softmax(-1, Kind::Float);
        let mean: Tensor = match loss {
            Loss::CrossEntropy => -(log_p * &target).sum(Kind::Float) / 3.0,
            Loss::Candidates => {
                -(log_p.exp() * &target).sum_dim_intlist([-1].as_slice(), false, Kind::Float).log().sum(Kind::Float)
                    / 3.0
            }
        };
        mean.backward();

        let expected = |own: &Tensor, sums: &Tensor, gradient: Tensor, by_row: bool| {
            let squares =
                if by_row { gradient.square().mean_dim([1].as_slice(), true, Kind::Float) } else { gradient.square() };
            let sums = if by_row { sums.unsqueeze(1) } else { sums.shallow_clone() } + squares;
            own - gradient / (sums.sqrt() + EPSILON) * 0.05
        };
        let expected = [
            expected(&model.table, &model.table_sums, table.grad(), true),
            expected(&model.head, &model.head_sums, head.grad(), false),
            expected(&model.bias, &model.bias_sums, bias.grad(), false),
        ];
        let batch: Vec<(&Encoded, &[f32])> =
            texts.iter().zip(targets).map(|(text, target)| (text, target.as_slice())).collect();
        assert!(model.train(&Batch::new(&batch, 2), &[1.0 / 3.0; 3], loss, 0.05));
        for (own, expected) in [&model.table, &model.head, &model.bias].into_iter().zip(&expected) {
            let difference = (own - expected).abs().max().double_value(&[]);
            assert!(difference < 1e-6, "{loss:?}: {difference}");
        }
    }
}
