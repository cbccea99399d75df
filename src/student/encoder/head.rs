//! From the first token to logits, as a family's `ForSequenceClassification` does it.

use tch::{Device, Kind, Tensor};

use super::architecture::{Activation, Architecture, Variant};
use super::noise::Noise;
use super::pair::Pair;
use super::weights::{Named, Weights};
use crate::error::Result;

/// The pooled vector of a mean is scaled so that tanh keeps its shape. Normalised values are about 1 in size; half of
/// them is where tanh is nearly straight.
const POOLED_SCALE: f64 = 0.5;
/// Standard deviation of a head's first weights, as in BERT.
const HEAD_DEVIATION: f64 = 0.02;

/// See the module. Always in f32.
#[derive(Debug)]
pub(super) struct Head {
    /// Hidden x hidden.
    dense: Pair,
    /// `ModernBERT`'s, of the pooled vector.
    norm: Option<Pair>,
    /// Labels x hidden.
    labels: Pair,
    /// Whether what is before the map to the labels is trained too.
    trains_dense: bool,
    /// Behind the first map.
    pub(super) activation: Activation,
    /// Whether the first token's values are dropped from.
    drops_input: bool,
    dropout: f64,
    epsilon: f64,
}

impl Head {
    /// A head for `labels` labels. The first map is the folder's where it has one, or made for a mean, or small and
    /// random from `random`; the second is zero: an untrained head says nothing.
    pub(super) fn new(
        architecture: &Architecture,
        weights: &Weights,
        labels: i64,
        is_mean: bool,
        trains_layers: bool,
        random: &mut dyn FnMut() -> f32,
    ) -> Result<Self> {
        let (hidden, names) = (architecture.hidden, &architecture.family.head);
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let take = |name: &str, shape: &[i64]| weights.encoder(name, shape);
        // A folder of a bare BERT has the pooler without the family's prefix; that of a classifier has it.
        let bare = names.dense.strip_prefix(architecture.prefix()).unwrap_or(names.dense);
        let has_dense = [bare, names.dense].into_iter().any(|name| weights.has(&format!("{name}.weight")));
        // One that read the mean before is right for it. The others were made for the first token.
        let is_made = is_mean && !(architecture.family.pools() && has_dense);
        let bias = || has_bias(architecture).then(|| zeros(&[hidden]));
        let dense = if is_made {
            let unit = Tensor::eye(hidden, (Kind::Float, Device::Cpu)) * POOLED_SCALE;
            Pair { weight: unit, bias: bias() }
        } else if has_dense {
            Pair::read(take, bare, &[hidden, hidden], has_bias(architecture))?
        } else {
            // The same for all copies, so that the mean of their weights is a model of its own.
            let values: Vec<f32> = (0..hidden * hidden).map(|_| random() * HEAD_DEVIATION as f32).collect();
            Pair { weight: Tensor::from_slice(&values).view([hidden, hidden]), bias: bias() }
        };
        let norm = names.norm.map(|name| {
            let (has_bias, shape) = (has_norm_bias(architecture), [hidden]);
            if has_dense && !is_made && weights.has(&format!("{name}.weight")) {
                return Pair::read(take, name, &shape, has_bias);
            }
            let weight = Tensor::ones(shape, (Kind::Float, Device::Cpu));
            Ok(Pair { weight, bias: has_bias.then(|| zeros(&shape)) })
        });
        let labels = Pair { weight: zeros(&[labels, hidden]), bias: Some(zeros(&[labels])) };
        // With no layer trained, the mean of a text's tokens is a fixed vector, and a linear map of it is all that is
        // learned. What is made for a mean is good as it is, as long as the layers below stay as they are.
        let trains_dense = !is_made || trains_layers;
        // Where the family leaves a choice, a mean goes through what keeps its shape.
        let straight = (is_made && names.activation_key.is_some()).then_some(Activation::Tanh);
        let activation = straight.unwrap_or(architecture.head_activation);
        Ok(Self { trains_dense, activation, ..Self::of(architecture, dense, norm.transpose()?, labels) })
    }

    /// The head of a folder that has one, for `labels` labels. For use only: nothing of it is trained.
    pub(super) fn read(architecture: &Architecture, weights: &Weights, labels: i64) -> Result<Self> {
        let (hidden, names) = (architecture.hidden, &architecture.family.head);
        // With their whole names, for a head is in classifiers only.
        let take = |name: &str, shape: &[i64]| weights.tensor(name, shape);
        let dense = Pair::read(take, names.dense, &[hidden, hidden], has_bias(architecture))?;
        let norm = names.norm.map(|name| Pair::read(take, name, &[hidden], has_norm_bias(architecture))).transpose()?;
        let labels = Pair::read(take, names.labels, &[labels, hidden], true)?;
        Ok(Self::of(architecture, dense, norm, labels))
    }

    fn of(architecture: &Architecture, dense: Pair, norm: Option<Pair>, labels: Pair) -> Self {
        Self {
            dense,
            norm,
            labels,
            trains_dense: false,
            activation: architecture.head_activation,
            drops_input: architecture.family.head.drops_input,
            dropout: architecture.dropout,
            epsilon: architecture.epsilon,
        }
    }

    fn map_before(&self, change: &dyn Fn(&Pair) -> Pair, labels: Pair) -> Self {
        Self { dense: change(&self.dense), norm: self.norm.as_ref().map(change), labels, ..*self }
    }

    pub(super) fn map(&self, change: &dyn Fn(&Tensor) -> Tensor) -> Self {
        self.map_before(&|pair| pair.map(change), self.labels.map(change))
    }

    pub(super) fn trainable(&self) -> Self {
        let shared = |pair: &Pair| pair.map(&Tensor::shallow_clone);
        self.map_before(if self.trains_dense { &Pair::trainable } else { &shared }, self.labels.trainable())
    }

    /// What is trained of it.
    pub(super) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let trains = self.trains_dense;
        let before = std::iter::once(&self.dense).chain(&self.norm).filter(move |_| trains);
        before.chain([&self.labels]).flat_map(Pair::tensors)
    }

    pub(super) fn name(&self, architecture: &Architecture, named: &mut Named) {
        let names = &architecture.family.head;
        self.dense.name(names.dense, named);
        self.labels.name(names.labels, named);
        names.norm.iter().zip(&self.norm).for_each(|(name, norm)| norm.name(name, named));
    }

    /// `first` has the first token of each text; logits are texts x labels.
    pub(super) fn forward(&self, first: &Tensor, noise: &Noise) -> Tensor {
        let drop = |x: Tensor| noise.drop(x, self.dropout);
        let first = first.shallow_clone();
        let first = if self.drops_input { drop(first) } else { first };
        let pooled = self.activation.of(&self.dense.linear(&first, Kind::Float));
        let pooled = self.norm.iter().fold(pooled, |pooled, norm| norm.normalise(&pooled, self.epsilon));
        self.labels.linear(&drop(pooled), Kind::Float)
    }
}

/// Whether the first map adds something.
fn has_bias(architecture: &Architecture) -> bool {
    if let Variant::Modern(settings) = &architecture.variant { settings.head_bias } else { true }
}

fn has_norm_bias(architecture: &Architecture) -> bool {
    if let Variant::Modern(settings) = &architecture.variant { settings.norm_bias } else { true }
}
