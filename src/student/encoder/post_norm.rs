//! The layer of BERT (Devlin et al. 2019, arXiv 1810.04805) and most of its kin, with dropout before each sum:
//!
//! ```text
//! x1 = norm(attention(x) + x)        x2 = norm(down(activation(up(x1))) + x1)
//! ```
//! Also as DeBERTa has it, whose attention is in `relative`, and one that pools.

use tch::{Device, Kind, Tensor};

use super::architecture::{Activation, Architecture};
use super::layers::Reads;
use super::noise::Noise;
use super::packed::Packed;
use super::pair::Pair;
use super::relative::Relative;
use super::weights::{Named, Weights};
use crate::error::Result;

/// How much larger the mean is than the token beside it, in the layer that pools.
const MEAN_WEIGHT: f64 = 100.0;

/// The parts of a layer, each with weight and bias, in the order in which [`PostNorm`] keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Query,
    Key,
    Value,
    Output,
    AttentionNorm,
    Up,
    Down,
    OutputNorm,
}

impl Part {
    pub(super) const ALL: [Self; 8] = [
        Self::Query,
        Self::Key,
        Self::Value,
        Self::Output,
        Self::AttentionNorm,
        Self::Up,
        Self::Down,
        Self::OutputNorm,
    ];

    /// The shape of its weight: outputs x inputs. The bias has the first of them.
    fn shape(self, Architecture { hidden, intermediate, .. }: &Architecture) -> Vec<i64> {
        match self {
            Self::AttentionNorm | Self::OutputNorm => vec![*hidden],
            Self::Up => vec![*intermediate, *hidden],
            Self::Down => vec![*hidden, *intermediate],
            Self::Query | Self::Key | Self::Value | Self::Output => vec![*hidden, *hidden],
        }
    }
}

/// See the module. The tensors of a trained one are leaves that gradients are taken of.
#[derive(Debug)]
pub(super) struct PostNorm {
    /// In the order of [`Part::ALL`].
    parts: Vec<Pair>,
    /// Of what its family calls them.
    names: [&'static str; 8],
    heads: i64,
    epsilon: f64,
    activation: Activation,
    dropout: f64,
    /// What its linear maps and its attention are computed in.
    kind: Kind,
    relative: Option<Relative>,
    /// Made by [`PostNorm::mean`]: what it computes is known without its tensors.
    is_mean: bool,
}

impl PostNorm {
    fn of(parts: Vec<Pair>, names: [&'static str; 8], architecture: &Architecture) -> Self {
        Self {
            parts,
            names,
            heads: architecture.heads,
            epsilon: architecture.epsilon,
            activation: architecture.activation,
            dropout: architecture.dropout,
            kind: Kind::Float,
            relative: None,
            is_mean: false,
        }
    }

    /// The same, computed in `kind`; what it adds up and normalises stays in what its tensors and its input are kept
    /// in.
    pub(super) fn computed_in(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Layer `number` of a folder, from 0, in f32 on the processor. `relative` is what it knows of distances.
    pub(super) fn read(
        architecture: &Architecture,
        names: [&'static str; 8],
        weights: &Weights,
        number: usize,
        relative: Option<&Relative>,
    ) -> Result<Self> {
        let take = |name: &str, shape: &[i64]| weights.encoder(name, shape);
        let part = |(part, name): (Part, &str)| {
            Pair::read(take, &architecture.in_layer(number, name), &part.shape(architecture), true)
        };
        let parts = Part::ALL.into_iter().zip(names).map(part).collect::<Result<Vec<_>>>()?;
        let mut new = Self::of(parts, names, architecture);
        if let (Some(relative), [query, key, ..]) = (relative, new.parts.as_slice()) {
            new.relative = Some(relative.of(query, key, new.heads));
        }
        Ok(new)
    }

    /// A layer that gives every token the mean over all of them, normalised: mean pooling, as a layer like any other,
    /// so that a classifier that reads the first token can have it. Queries and keys are zero, so attention is even,
    /// whatever the distance; values pass unchanged, and so large that the token beside the mean hardly counts; the
    /// feed-forward part is zero.
    ///
    /// Its tensors are made for export alone. Here [`PostNorm::forward`] computes the same from the means, without its
    /// products.
    pub(super) fn mean(architecture: &Architecture, names: [&'static str; 8]) -> Self {
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let unit = || Tensor::eye(architecture.hidden, (Kind::Float, Device::Cpu));
        let part = |part: Part| {
            let shape = part.shape(architecture);
            let weight = match part {
                Part::Value => unit(),
                Part::Output => unit() * MEAN_WEIGHT,
                Part::AttentionNorm | Part::OutputNorm => Tensor::ones(&shape, (Kind::Float, Device::Cpu)),
                Part::Query | Part::Key | Part::Up | Part::Down => zeros(&shape),
            };
            Pair { weight, bias: Some(zeros(shape.get(..1).unwrap_or_default())) }
        };
        Self { is_mean: true, ..Self::of(Part::ALL.map(part).into(), names, architecture) }
    }

    /// The same layer that pools, computed as whoever reads the exported folder will.
    #[cfg(test)]
    pub(super) fn by_tensors(self) -> Self {
        Self { is_mean: false, ..self }
    }

    pub(super) fn map(&self, change: &dyn Fn(&Tensor) -> Tensor) -> Self {
        let relative = self.relative.as_ref().map(|relative| relative.map(change));
        Self { parts: self.parts.iter().map(|pair| pair.map(change)).collect(), relative, ..*self }
    }

    /// A copy of its own that can be trained.
    pub(super) fn trainable(&self) -> Self {
        let relative = self.relative.as_ref().map(Relative::trainable);
        Self { parts: self.parts.iter().map(Pair::trainable).collect(), relative, ..*self }
    }

    pub(super) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.parts.iter().flat_map(Pair::tensors)
    }

    /// Its tensors by name, as layer `number`.
    pub(super) fn name(&self, architecture: &Architecture, number: usize, named: &mut Named) {
        for (part, pair) in self.names.into_iter().zip(&self.parts) {
            pair.name(&format!("{}{}", architecture.prefix(), architecture.in_layer(number, part)), named);
        }
    }

    /// As [`super::layers::Layer::forward`].
    pub(super) fn forward(&self, below: &Packed, reads: Reads, noise: &Noise) -> Packed {
        let [query, key, value, output, attention_norm, up, down, output_norm] = self.parts.as_slice() else {
            return below.with(below.x.shallow_clone());
        };
        // What the result is of: rows of queries, of residuals, and of all that follows.
        let read = below.read(reads);
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
        let keys = key.linear(&below.x, kind);
        let values = value.linear(&below.x, kind);
        let positions =
            self.relative.as_ref().map(|relative| (relative, relative.positions(query, key, self.heads, kind, &drop)));
        let attended = below.attend(&queries, &keys, &values, self.heads, |q, k, v| match &positions {
            None => noise.attend(q, k, v, None, self.dropout),
            Some((relative, positions)) => relative.attend(positions, [q, k, v], noise, self.dropout),
        });
        let x = attention_norm.normalise(&(drop(output.linear(&attended, kind)) + &read.x), self.epsilon);
        let inner = self.activation.of(&up.linear(&x, kind));
        read.with(output_norm.normalise(&(drop(down.linear(&inner, kind)) + &x), self.epsilon))
    }
}
