//! One copy of the `ngram` student, and its optimizer: Adagrad, one accumulator a row of the table.
//!
//! logits = (sum_f w_f E[f]) H + b. The gradient is written out by hand: only the rows of the batch are touched, so a
//! step costs the same whatever the number of buckets. E starts at zero and H at random: an untrained row, and so an
//! unseen n-gram, says nothing, and a checkpoint needs only the rows that were trained.

use rand::Rng;
use tch::{Device, Kind, Tensor};

use crate::config::StudentConfig;
use crate::error::Result;
use crate::random::rng;
use crate::student::checkpoint::{Loaded, Saved};
use crate::student::{Encoded, Example};

/// Keeps Adagrad's division away from zero.
const EPSILON: f64 = 1e-10;

pub(super) struct Model {
    /// E, buckets x dimension.
    table: Tensor,
    /// Sum over steps of each row's mean squared gradient, buckets.
    table_sums: Tensor,
    /// H, dimension x labels.
    head: Tensor,
    head_sums: Tensor,
    /// b, labels.
    bias: Tensor,
    bias_sums: Tensor,
}

/// A batch as tensors: the n-grams of all texts one after the other.
struct Bags {
    ids: Vec<i64>,
    weights: Tensor,
    /// Where each text's n-grams begin.
    offsets: Tensor,
    /// Which text each n-gram belongs to.
    text: Tensor,
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
        Self {
            ids,
            weights: Tensor::from_slice(&weights),
            offsets: Tensor::from_slice(&offsets),
            text: Tensor::from_slice(&owner),
        }
    }

    /// Each text's weighted sum of the rows of `table` that `ids` names: texts x dimension.
    fn sums(&self, table: &Tensor, ids: &Tensor) -> Tensor {
        const SUM: i64 = 0;
        let (sums, _, _, _) =
            Tensor::embedding_bag(table, ids, &self.offsets, false, SUM, false, Some(&self.weights), false);
        sums
    }
}

/// A batch to train on.
pub(super) struct Batch {
    bags: Bags,
    /// The distinct n-grams.
    rows: Tensor,
    /// For every n-gram of `bags`, its place in `rows`.
    local: Tensor,
    /// Texts x labels.
    targets: Tensor,
}

impl Batch {
    pub(super) fn new(batch: &[Example<'_>], labels: usize) -> Self {
        let bags = Bags::new(batch.iter().map(|(text, _)| *text));
        let (rows, local) = distinct(&bags.ids);
        let targets: Vec<f32> = batch.iter().flat_map(|(_, target)| target.iter().copied()).collect();
        let columns = i64::try_from(labels).unwrap_or(i64::MAX);
        Self {
            bags,
            rows: Tensor::from_slice(&rows),
            local: Tensor::from_slice(&local),
            targets: Tensor::from_slice(&targets).view([-1, columns]),
        }
    }
}

impl Model {
    pub(super) fn new(config: &StudentConfig, labels: usize, fold: usize) -> Self {
        let (buckets, dimension) = (i64::from(config.buckets), i64::from(config.dimension));
        let columns = i64::try_from(labels).unwrap_or(i64::MAX);
        let zeros = |size: &[i64]| Tensor::zeros(size, (Kind::Float, Device::Cpu));
        // Uniform with variance 1 / dimension.
        let bound = (3.0 / f64::from(config.dimension)).sqrt() as f32;
        let mut rng = rng(config.seed, "head", &[fold as u64]);
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

    /// Row-major, texts x labels.
    pub(super) fn logits(&self, texts: &[&Encoded]) -> Vec<f32> {
        let _guard = tch::no_grad_guard();
        let bags = Bags::new(texts.iter().copied());
        let sums = bags.sums(&self.table, &Tensor::from_slice(&bags.ids));
        let logits = sums.matmul(&self.head) + &self.bias;
        let mut values = vec![0.0; logits.numel()];
        logits.copy_data(&mut values, logits.numel());
        values
    }

    /// One Adagrad step on the mean cross-entropy between softmax(logits) and the targets of those texts that are `seen`.
    pub(super) fn train(&mut self, batch: &Batch, seen: &[bool], learning_rate: f64) {
        let _guard = tch::no_grad_guard();
        let Batch { bags, rows, local, targets } = batch;
        let count = seen.iter().filter(|&&seen| seen).count();
        let share: Vec<f32> = seen.iter().map(|&seen| if seen { 1.0 / count as f32 } else { 0.0 }).collect();

        let table = self.table.index_select(0, rows);
        let texts = bags.sums(&table, local);
        let predicted = (texts.matmul(&self.head) + &self.bias).softmax(-1, Kind::Float);

        // A text that is not seen has no error, and so no part in any gradient.
        let error = (predicted - targets) * Tensor::from_slice(&share).unsqueeze(1);
        let head_gradient = texts.tr().matmul(&error);
        let bias_gradient = error.sum_dim_intlist([0].as_slice(), false, Kind::Float);
        let text_gradient = error.matmul(&self.head.tr());
        let parts = text_gradient.index_select(0, &bags.text) * bags.weights.unsqueeze(1);
        let table_gradient = table.zeros_like().index_add_(0, local, &parts);

        let squares = table_gradient.square().mean_dim([1].as_slice(), false, Kind::Float);
        let sums = self.table_sums.index_select(0, rows) + squares;
        let table = table - table_gradient / (sums.sqrt() + EPSILON).unsqueeze(1) * learning_rate;
        let _ = self.table.index_copy_(0, rows, &table);
        let _ = self.table_sums.index_copy_(0, rows, &sums);
        descend(&mut self.head, &mut self.head_sums, &head_gradient, learning_rate);
        descend(&mut self.bias, &mut self.bias_sums, &bias_gradient, learning_rate);
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

    fn dense(&self) -> [(&'static str, &Tensor); 4] {
        [
            ("head.weight", &self.head),
            ("head.sums", &self.head_sums),
            ("bias.weight", &self.bias),
            ("bias.sums", &self.bias_sums),
        ]
    }

    /// Takes this copy's tensors from a checkpoint.
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

/// Adagrad (Duchi et al. 2011) on a dense tensor.
fn descend(weight: &mut Tensor, sums: &mut Tensor, gradient: &Tensor, learning_rate: f64) {
    *sums += gradient.square();
    *weight -= gradient / (sums.sqrt() + EPSILON) * learning_rate;
}

/// The distinct ids in order, and for every id its place among them.
fn distinct(ids: &[i64]) -> (Vec<i64>, Vec<i64>) {
    let mut rows = ids.to_vec();
    rows.sort_unstable();
    rows.dedup();
    let local = ids
        .iter()
        .map(|id| rows.binary_search(id).ok().and_then(|place| i64::try_from(place).ok()).unwrap_or(0))
        .collect();
    (rows, local)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hand-written step against libtorch's own gradient of the same loss.
    #[test]
    fn the_gradient_is_the_gradient() {
        let config = StudentConfig { dimension: 3, buckets: 16, learning_rate: 0.1, seed: 7, threads: 1 };
        let mut model = Model::new(&config, 2, 0);
        let texts = [
            Encoded { ids: vec![1, 4, 9], weights: vec![0.5, 0.7, 0.5] },
            Encoded { ids: vec![4], weights: vec![1.0] },
            Encoded::default(),
        ];
        let targets = [[0.9_f32, 0.1], [0.2, 0.8], [0.5, 0.5]];
        let batch: Vec<Example<'_>> =
            texts.iter().zip(&targets).map(|(text, target)| (text, target.as_slice())).collect();
        // Away from zero, so that every gradient is there.
        model.train(&Batch::new(&batch, 2), &vec![true; batch.len()], 0.1);

        let bags = Bags::new(texts.iter());
        let (table, head, bias) = (model.table.copy(), model.head.copy(), model.bias.copy());
        let [table, head, bias] = [table, head, bias].map(|tensor| tensor.set_requires_grad(true));
        let logits = bags.sums(&table, &Tensor::from_slice(&bags.ids)).matmul(&head) + &bias;
        let target = Tensor::from_slice(&targets.concat()).view([3, 2]);
        let loss = -(logits.log_softmax(-1, Kind::Float) * target).sum(Kind::Float) / 3.0;
        loss.backward();

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
        model.train(&Batch::new(&batch, 2), &vec![true; batch.len()], 0.05);
        for (own, expected) in [&model.table, &model.head, &model.bias].into_iter().zip(&expected) {
            let difference = (own - expected).abs().max().double_value(&[]);
            assert!(difference < 1e-6, "{difference}");
        }
    }
}
