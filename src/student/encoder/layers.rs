//! The layers of an encoder, one on the other. What each computes stands in `post_norm` and `modern`.
//!
//! Activations are tokens x hidden, packed. They follow Hugging Face's modelling code, so that its weights mean the
//! same. Padding and masks of it do not occur; see `packed`.

use tch::{Kind, Tensor};

use super::architecture::{Architecture, Pooling, Variant};
use super::modern::PreNorm;
use super::noise::Noise;
use super::packed::Packed;
use super::pair::Pair;
use super::post_norm::PostNorm;
use super::relative::{Relative, Table};
use super::weights::{Named, Weights};
use crate::error::Result;

/// One of them.
#[derive(Debug)]
pub(super) enum Layer {
    PostNorm(PostNorm),
    PreNorm(PreNorm),
    /// What `ModernBERT` normalises the topmost layer's result with. The number is added to the variance.
    Norm(Pair, f64),
    /// Gives every token the mean over all of them.
    Mean,
}

/// What is read of a layer: decides how many rows it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// Every token.
    All,
    /// The first token of each text.
    First,
}

/// The layers of a folder, from the lowest on, in f32 on the processor.
pub(super) fn read(architecture: &Architecture, weights: &Weights) -> Result<Vec<Layer>> {
    let numbers = 0..architecture.layers;
    match &architecture.variant {
        Variant::PostNorm(names, distances) => {
            let table = |settings| Table::read(settings, weights, architecture.hidden, architecture.epsilon);
            let relative = |settings| Ok(Relative::new(settings, &table(settings)?));
            let relative = distances.map(relative).transpose()?;
            let layer = |number| PostNorm::read(architecture, *names, weights, number, relative.as_ref());
            numbers.map(|number| layer(number).map(Layer::PostNorm)).collect()
        }
        Variant::Modern(settings) => {
            let layer = |number| PreNorm::read(architecture, settings, weights, number);
            numbers.map(|number| layer(number).map(Layer::PreNorm)).collect()
        }
    }
}

/// What lies above the layers of a folder, so that a text's vector is that of the first token whatever `pooling` is.
pub(super) fn top(architecture: &Architecture, weights: &Weights, pooling: Pooling) -> Result<Vec<Layer>> {
    let is_mean = pooling == Pooling::Mean;
    match &architecture.variant {
        Variant::PostNorm(names, _) => {
            Ok(is_mean.then(|| Layer::PostNorm(PostNorm::mean(architecture, *names))).into_iter().collect())
        }
        Variant::Modern(settings) => {
            let take = |name: &str, shape: &[i64]| weights.encoder(name, shape);
            let norm = Pair::read(take, FINAL_NORM, &[architecture.hidden], settings.norm_bias)?;
            let norm = Layer::Norm(norm, architecture.epsilon);
            Ok(std::iter::once(norm).chain(is_mean.then_some(Layer::Mean)).collect())
        }
    }
}

const FINAL_NORM: &str = "final_norm";

impl Layer {
    /// The same, computed in `kind`; what it adds up and normalises stays in what its tensors and its input are kept
    /// in.
    pub(super) fn computed_in(self, kind: Kind) -> Self {
        match self {
            Self::PostNorm(layer) => Self::PostNorm(layer.computed_in(kind)),
            Self::PreNorm(layer) => Self::PreNorm(layer.computed_in(kind)),
            Self::Norm(..) | Self::Mean => self,
        }
    }

    /// The same with changed tensors.
    pub(super) fn map(&self, change: &dyn Fn(&Tensor) -> Tensor) -> Self {
        match self {
            Self::PostNorm(layer) => Self::PostNorm(layer.map(change)),
            Self::PreNorm(layer) => Self::PreNorm(layer.map(change)),
            Self::Norm(pair, epsilon) => Self::Norm(pair.map(change), *epsilon),
            Self::Mean => Self::Mean,
        }
    }

    /// A copy of its own that can be trained.
    pub(super) fn trainable(&self) -> Self {
        match self {
            Self::PostNorm(layer) => Self::PostNorm(layer.trainable()),
            Self::PreNorm(layer) => Self::PreNorm(layer.trainable()),
            Self::Norm(pair, epsilon) => Self::Norm(pair.trainable(), *epsilon),
            Self::Mean => Self::Mean,
        }
    }

    /// Its tensors.
    pub(super) fn tensors(&self) -> Box<dyn Iterator<Item = &Tensor> + '_> {
        match self {
            Self::PostNorm(layer) => Box::new(layer.tensors()),
            Self::PreNorm(layer) => Box::new(layer.tensors()),
            Self::Norm(pair, _) => Box::new(pair.tensors()),
            Self::Mean => Box::new(std::iter::empty()),
        }
    }

    /// Whether it is one of those that a folder counts.
    pub(super) fn is_counted(&self) -> bool {
        matches!(self, Self::PostNorm(_) | Self::PreNorm(_))
    }

    /// Its tensors by name, as layer `number`.
    pub(super) fn name(&self, architecture: &Architecture, number: usize, named: &mut Named) {
        match self {
            Self::PostNorm(layer) => layer.name(architecture, number, named),
            Self::PreNorm(layer) => layer.name(architecture, number, named),
            Self::Norm(pair, _) => pair.name(&format!("{}{FINAL_NORM}", architecture.prefix()), named),
            Self::Mean => {}
        }
    }

    /// Of all tokens, or of the first of each text, which is all that is read of the topmost layer.
    ///
    /// Keys and values are always of all tokens; with first tokens alone, all that comes after them is done for one
    /// token a text.
    pub(super) fn forward(&self, below: &Packed, reads: Reads, noise: &Noise) -> Packed {
        match self {
            Self::PostNorm(layer) => layer.forward(below, reads, noise),
            Self::PreNorm(layer) => layer.forward(below, reads, noise),
            Self::Norm(pair, epsilon) => {
                let read = below.read(reads);
                read.with(pair.normalise(&read.x, *epsilon))
            }
            Self::Mean => {
                let means = below.means();
                below.read(reads).with(if reads == Reads::All { below.spread(&means) } else { means })
            }
        }
    }
}

/// `layers` one on the other; only the first tokens where that is all that is `read` of the topmost, and all tokens
/// where there is no layer. `noise` in the first `trained`.
pub(super) fn forward(layers: &[Layer], below: Packed, read: Reads, trained: usize, noise: &Noise) -> Packed {
    (0..).zip(layers).fold(below, |x, (number, layer)| {
        let reads = if number + 1 == layers.len() { read } else { Reads::All };
        layer.forward(&x, reads, if number < trained { noise } else { &Noise::Off })
    })
}
