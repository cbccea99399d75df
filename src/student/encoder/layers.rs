//! The layers of an encoder: embeddings, attention with a feed-forward part, and the head that classifies.
//!
//! Activations are tokens x hidden, packed. They follow Hugging Face's modelling code, so that its weights mean the
//! same.
//!
//! A layer is that of BERT (Devlin et al. 2019, arXiv 1810.04805), with dropout before each sum:
//! ```text
//! x1 = norm(attention(x) + x)        x2 = norm(down(activation(up(x1))) + x1)
//! ```
//! Padding and masks do not occur; see `packed`.

use tch::{Device, Kind, Tensor};

use super::architecture::{Activation, Architecture, Family, LayerPart};
use super::noise::Noise;
use super::packed::Packed;
use super::weights::{Named, Weights};
use crate::error::Result;

/// How much larger the mean is than the token beside it, in the layer that pools.
const MEAN_WEIGHT: f64 = 100.0;
/// The pooled vector of a mean is scaled so that tanh keeps its shape. Normalised values are about 1 in size; half of
/// them is where tanh is nearly straight.
const POOLED_SCALE: f64 = 0.5;
/// Standard deviation of a head's first weights, as in BERT.
const HEAD_DEVIATION: f64 = 0.02;

/// A weight and a bias: of a linear map (outputs x inputs, and outputs), or of a normalisation (hidden each).
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
}

impl Pair {
    /// x W^T + b, computed in `kind`, whatever its weights are kept in. Where they are kept in it, nothing is copied.
    fn linear(&self, x: &Tensor, kind: Kind) -> Tensor {
        let [x, weight, bias] = [x, &self.weight, &self.bias].map(|tensor| tensor.to_kind(kind));
        x.linear(&weight, Some(&bias))
    }

    /// Over the values of each token, in what `x` and the weights are kept in: in a trained layer f32, whatever its
    /// maps are computed in.
    fn normalise(&self, x: &Tensor, epsilon: f64) -> Tensor {
        x.layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), epsilon, false)
    }

    /// A copy of its own that can be trained.
    pub(super) fn trainable(&self) -> Self {
        let own = |tensor: &Tensor| tensor.detach().copy().set_requires_grad(true);
        Self { weight: own(&self.weight), bias: own(&self.bias) }
    }

    /// The same with changed tensors: of another kind, or on another device.
    fn map(&self, change: &dyn Fn(&Tensor) -> Tensor) -> Self {
        Self { weight: change(&self.weight), bias: change(&self.bias) }
    }
}

/// A transformer layer, post-norm. The tensors of a trained one are leaves that gradients are taken of.
#[derive(Debug)]
pub(super) struct Layer {
    /// In the order of [`LayerPart::ALL`].
    parts: Vec<Pair>,
    heads: i64,
    epsilon: f64,
    activation: Activation,
    dropout: f64,
    /// What its linear maps and its attention are computed in.
    kind: Kind,
    /// Made by [`Layer::mean`]: what it computes is known without its tensors.
    pub(super) is_mean: bool,
}

impl Layer {
    fn of(parts: Vec<Pair>, architecture: &Architecture) -> Self {
        Self {
            parts,
            heads: architecture.heads,
            epsilon: architecture.epsilon,
            activation: architecture.activation,
            dropout: architecture.dropout,
            kind: Kind::Float,
            is_mean: false,
        }
    }

    /// The same, computed in `kind`; what it adds up and normalises stays in what its tensors and its input are kept
    /// in.
    pub(super) fn computed_in(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Layer `number` of a folder, from 0, in f32 on the processor.
    pub(super) fn read(architecture: &Architecture, weights: &Weights, number: usize) -> Result<Self> {
        let mut parts = Vec::new();
        for part in LayerPart::ALL {
            let (name, shape) =
                (architecture.in_layer(number, part), part.shape(architecture.hidden, architecture.intermediate));
            parts.push(Pair {
                weight: weights.encoder(&format!("{name}.weight"), &shape)?,
                bias: weights.encoder(&format!("{name}.bias"), shape.get(..1).unwrap_or_default())?,
            });
        }
        Ok(Self::of(parts, architecture))
    }

    /// A layer that gives every token the mean over all of them, normalised: mean pooling, as a layer like any other,
    /// so that a classifier that reads the first token can have it. Queries and keys are zero, so attention is even;
    /// values pass unchanged, and so large that the token beside the mean hardly counts; the feed-forward part is
    /// zero.
    ///
    /// Its tensors are made for export alone. Here [`Layer::forward`] computes the same from the means, without its
    /// products.
    pub(super) fn mean(architecture: &Architecture) -> Self {
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let unit = || Tensor::eye(architecture.hidden, (Kind::Float, Device::Cpu));
        let part = |part: LayerPart| {
            let shape = part.shape(architecture.hidden, architecture.intermediate);
            let weight = match part {
                LayerPart::Value => unit(),
                LayerPart::Output => unit() * MEAN_WEIGHT,
                LayerPart::AttentionNorm | LayerPart::OutputNorm => Tensor::ones(&shape, (Kind::Float, Device::Cpu)),
                LayerPart::Query | LayerPart::Key | LayerPart::Up | LayerPart::Down => zeros(&shape),
            };
            Pair { weight, bias: zeros(shape.get(..1).unwrap_or_default()) }
        };
        Self { is_mean: true, ..Self::of(LayerPart::ALL.map(part).into(), architecture) }
    }

    /// The same with changed tensors.
    pub(super) fn map(&self, change: &dyn Fn(&Tensor) -> Tensor) -> Self {
        Self { parts: self.parts.iter().map(|pair| pair.map(change)).collect(), ..*self }
    }

    /// A copy of its own that can be trained.
    pub(super) fn trainable(&self) -> Self {
        Self { parts: self.parts.iter().map(Pair::trainable).collect(), ..*self }
    }

    /// Its tensors.
    pub(super) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.parts.iter().flat_map(|pair| [&pair.weight, &pair.bias])
    }

    /// Its tensors by name, as layer `number`.
    pub(super) fn name(&self, architecture: &Architecture, number: usize, named: &mut Named) {
        for (part, pair) in LayerPart::ALL.into_iter().zip(&self.parts) {
            let name = format!("{}{}", architecture.prefix(), architecture.in_layer(number, part));
            named.insert(format!("{name}.weight"), pair.weight.shallow_clone());
            named.insert(format!("{name}.bias"), pair.bias.shallow_clone());
        }
    }

    /// Of all tokens, or of the first of each text, which is all that is read of the topmost layer.
    ///
    /// Keys and values are always of all tokens; with first tokens alone, all that comes after them is done for one
    /// token a text.
    pub(super) fn forward(&self, below: &Packed, reads: Reads, noise: &Noise) -> Packed {
        let [query, key, value, output, attention_norm, up, down, output_norm] = self.parts.as_slice() else {
            return below.with(below.x.shallow_clone());
        };
        // What the result is of: rows of queries, of residuals, and of all that follows.
        let read = match reads {
            Reads::All => below.with(below.x.shallow_clone()),
            Reads::First => below.firsts(),
        };
        // Even attention is the mean, and values pass unchanged; the feed-forward part adds nothing. So this is what
        // the tensors say, at the cost of a sum.
        if self.is_mean {
            let means = below.means();
            let means = if reads == Reads::All { below.spread(&means) } else { means };
            let x = attention_norm.normalise(&(means * MEAN_WEIGHT + &read.x), self.epsilon);
            return read.with(output_norm.normalise(&x, self.epsilon));
        }
        let drop = |x: Tensor| noise.drop(x, self.dropout);
        let kind = self.kind;
        // Post-norm: each part's result is dropped from, added to its input, and normalised.
        let queries = read.with(query.linear(&read.x, kind));
        let attended = below.attend(
            &queries,
            &key.linear(&below.x, kind),
            &value.linear(&below.x, kind),
            self.heads,
            |q, k, v| noise.attend(q, k, v, self.dropout),
        );
        let x = attention_norm.normalise(&(drop(output.linear(&attended, kind)) + &read.x), self.epsilon);
        let inner = up.linear(&x, kind);
        let inner = match self.activation {
            Activation::Gelu => inner.gelu("none"),
            Activation::GeluTanh => inner.gelu("tanh"),
            Activation::Relu => inner.relu(),
        };
        read.with(output_norm.normalise(&(drop(down.linear(&inner, kind)) + &x), self.epsilon))
    }
}

/// What is read of a layer: decides how many rows it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// Every token.
    All,
    /// The first token of each text.
    First,
}

/// `layers` one on the other; only the first tokens where that is all that is `read` of the topmost, and all tokens
/// where there is no layer. `noise` in the first `trained`.
pub(super) fn forward(layers: &[Layer], below: Packed, read: Reads, trained: usize, noise: &Noise) -> Packed {
    (0..).zip(layers).fold(below, |x, (number, layer)| {
        let reads = if number + 1 == layers.len() { read } else { Reads::All };
        layer.forward(&x, reads, if number < trained { noise } else { &Noise::Off })
    })
}

/// Word, position and type embeddings.
#[derive(Debug)]
pub(super) struct Embeddings {
    /// Vocabulary x hidden.
    words: Tensor,
    /// Positions x hidden.
    positions: Tensor,
    /// Types x hidden, of which the first is added to every token, for a text is one sentence; DistilBERT has none.
    types: Option<Tensor>,
    norm: Pair,
    first_position: i64,
    epsilon: f64,
}

impl Embeddings {
    pub(super) fn read(architecture: &Architecture, weights: &Weights) -> Result<Self> {
        let hidden = architecture.hidden;
        let types = match architecture.family {
            Family::DistilBert => None,
            Family::Bert | Family::Roberta => {
                Some(weights.encoder("embeddings.token_type_embeddings.weight", &[-1, hidden])?)
            }
        };
        Ok(Self {
            words: weights.encoder("embeddings.word_embeddings.weight", &[-1, hidden])?,
            positions: weights.encoder("embeddings.position_embeddings.weight", &[architecture.positions, hidden])?,
            types,
            norm: Pair {
                weight: weights.encoder("embeddings.LayerNorm.weight", &[hidden])?,
                bias: weights.encoder("embeddings.LayerNorm.bias", &[hidden])?,
            },
            first_position: architecture.first_position(),
            epsilon: architecture.epsilon,
        })
    }

    /// Words known: token numbers are below it.
    pub(super) fn vocabulary(&self) -> i64 {
        self.words.size().first().copied().unwrap_or(0)
    }

    pub(super) fn map(&self, change: &dyn Fn(&Tensor) -> Tensor) -> Self {
        Self {
            words: change(&self.words),
            positions: change(&self.positions),
            types: self.types.as_ref().map(change),
            norm: self.norm.map(change),
            ..*self
        }
    }

    pub(super) fn name(&self, architecture: &Architecture, named: &mut Named) {
        let mut add = |name: &str, tensor: &Tensor| {
            named.insert(format!("{}embeddings.{name}", architecture.prefix()), tensor.shallow_clone());
        };
        add("word_embeddings.weight", &self.words);
        add("position_embeddings.weight", &self.positions);
        self.types.iter().for_each(|types| add("token_type_embeddings.weight", types));
        add("LayerNorm.weight", &self.norm.weight);
        add("LayerNorm.bias", &self.norm.bias);
    }

    /// Token ids and their places in their texts, from 0: tokens x hidden. Ids below the vocabulary, places below
    /// `longest`; libtorch's binding panics for others.
    pub(super) fn forward(&self, ids: &Tensor, places: &Tensor) -> Tensor {
        let embed = |table: &Tensor, ids: &Tensor| Tensor::embedding(table, ids, -1, false, false);
        let mut x = embed(&self.words, ids) + embed(&self.positions, &(places + self.first_position));
        if let Some(types) = &self.types {
            x += types.narrow(0, 0, 1);
        }
        self.norm.normalise(&x, self.epsilon)
    }
}

/// From the first token to logits, as the family's `ForSequenceClassification` does it. Always in f32.
#[derive(Debug)]
pub(super) struct Head {
    /// Hidden x hidden.
    dense: Pair,
    /// Labels x hidden.
    labels: Pair,
    /// Whether the first map is trained too, not only the one to the labels.
    trains_dense: bool,
    family: Family,
    dropout: f64,
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
        let hidden = architecture.hidden;
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let (pooled, _) = architecture.head();
        let dense = if is_mean {
            let unit = Tensor::eye(hidden, (Kind::Float, Device::Cpu)) * POOLED_SCALE;
            Pair { weight: unit, bias: zeros(&[hidden]) }
        // A folder of a bare BERT has the pooler without the family's prefix; that of a classifier has it.
        } else if architecture.family == Family::Bert && weights.has("pooler.dense.weight")
            || weights.has(&format!("{pooled}.weight"))
        {
            let name = pooled.strip_prefix("bert.").unwrap_or(pooled);
            Pair {
                weight: weights.encoder(&format!("{name}.weight"), &[hidden, hidden])?,
                bias: weights.encoder(&format!("{name}.bias"), &[hidden])?,
            }
        } else {
            // The same for all copies, so that the mean of their weights is a model of its own.
            let values: Vec<f32> = (0..hidden * hidden).map(|_| random() * HEAD_DEVIATION as f32).collect();
            Pair { weight: Tensor::from_slice(&values).view([hidden, hidden]), bias: zeros(&[hidden]) }
        };
        let labels = Pair { weight: zeros(&[labels, hidden]), bias: zeros(&[labels]) };
        // With no layer trained, the mean of a text's tokens is a fixed vector, and a linear map of it is all that is
        // learned. What is made for a mean is good as it is, as long as the layers below stay as they are.
        let trains_dense = !is_mean || trains_layers;
        Ok(Self { dense, labels, trains_dense, family: architecture.family, dropout: architecture.dropout })
    }

    /// The head of a folder that has one, for `labels` labels. For use only: nothing of it is trained.
    pub(super) fn read(architecture: &Architecture, weights: &Weights, labels: i64) -> Result<Self> {
        let hidden = architecture.hidden;
        // With their whole names, for a head is in classifiers only.
        let pair = |name: &str, rows: i64| -> Result<Pair> {
            Ok(Pair {
                weight: weights.tensor(&format!("{name}.weight"), &[rows, hidden])?,
                bias: weights.tensor(&format!("{name}.bias"), &[rows])?,
            })
        };
        let (dense, out) = architecture.head();
        Ok(Self {
            dense: pair(dense, hidden)?,
            labels: pair(out, labels)?,
            trains_dense: false,
            family: architecture.family,
            dropout: architecture.dropout,
        })
    }

    pub(super) fn map(&self, change: &dyn Fn(&Tensor) -> Tensor) -> Self {
        Self { dense: self.dense.map(change), labels: self.labels.map(change), ..*self }
    }

    pub(super) fn trainable(&self) -> Self {
        let dense = if self.trains_dense { self.dense.trainable() } else { self.dense.map(&Tensor::shallow_clone) };
        Self { dense, labels: self.labels.trainable(), ..*self }
    }

    /// What is trained of it.
    pub(super) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let dense = self.trains_dense.then_some(&self.dense);
        dense.into_iter().chain([&self.labels]).flat_map(|pair| [&pair.weight, &pair.bias])
    }

    pub(super) fn name(&self, architecture: &Architecture, named: &mut Named) {
        let (dense, labels) = architecture.head();
        for (name, pair) in [(dense, &self.dense), (labels, &self.labels)] {
            named.insert(format!("{name}.weight"), pair.weight.shallow_clone());
            named.insert(format!("{name}.bias"), pair.bias.shallow_clone());
        }
    }

    /// `first` has the first token of each text; logits are texts x labels.
    pub(super) fn forward(&self, first: &Tensor, noise: &Noise) -> Tensor {
        let drop = |x: Tensor| noise.drop(x, self.dropout);
        let pooled = match self.family {
            Family::Bert => self.dense.linear(first, Kind::Float).tanh(),
            Family::Roberta => self.dense.linear(&drop(first.shallow_clone()), Kind::Float).tanh(),
            Family::DistilBert => self.dense.linear(first, Kind::Float).relu(),
        };
        self.labels.linear(&drop(pooled), Kind::Float)
    }
}
