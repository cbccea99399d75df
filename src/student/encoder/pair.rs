//! A weight with its bias: the piece that all layers are made of.

use tch::{Kind, Tensor};

use super::weights::Named;
use crate::error::Result;

/// Of a linear map (outputs x inputs, and outputs), or of a normalisation (hidden each).
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) weight: Tensor,
    /// ModernBERT does without.
    pub(super) bias: Option<Tensor>,
}

impl Pair {
    /// `NAME.weight` of this shape, and `NAME.bias` with the first of its dimensions, as `take` gives them.
    pub(super) fn read(
        take: impl Fn(&str, &[i64]) -> Result<Tensor>,
        name: &str,
        shape: &[i64],
        has_bias: bool,
    ) -> Result<Self> {
        let weight = take(&format!("{name}.weight"), shape)?;
        let bias = || take(&format!("{name}.bias"), shape.get(..1).unwrap_or_default());
        Ok(Self { weight, bias: has_bias.then(bias).transpose()? })
    }

    /// x W^T + b, computed in `kind`, whatever its weights are kept in. Where they are kept in it, nothing is copied.
    pub(super) fn linear(&self, x: &Tensor, kind: Kind) -> Tensor {
        let bias = self.bias.as_ref().map(|bias| bias.to_kind(kind));
        x.to_kind(kind).linear(&self.weight.to_kind(kind), bias.as_ref())
    }

    /// Over the values of each token, in what `x` and the weights are kept in: in a trained layer f32, whatever its
    /// maps are computed in.
    pub(super) fn normalise(&self, x: &Tensor, epsilon: f64) -> Tensor {
        x.layer_norm(self.weight.size(), Some(&self.weight), self.bias.as_ref(), epsilon, false)
    }

    /// The map to `count` of its outputs, from `start` on. Shares their memory.
    pub(super) fn outputs(&self, start: i64, count: i64) -> Self {
        self.map(&|tensor| tensor.narrow(0, start, count))
    }

    /// A copy of its own that can be trained.
    pub(super) fn trainable(&self) -> Self {
        self.map(&|tensor| tensor.detach().copy().set_requires_grad(true))
    }

    /// The same with changed tensors: of another kind, or on another device.
    pub(super) fn map(&self, change: &dyn Fn(&Tensor) -> Tensor) -> Self {
        Self { weight: change(&self.weight), bias: self.bias.as_ref().map(change) }
    }

    /// Its tensors, in the order in which a checkpoint counts them.
    pub(super) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        std::iter::once(&self.weight).chain(&self.bias)
    }

    /// Adds its tensors under `name`.
    pub(super) fn name(&self, name: &str, named: &mut Named) {
        named.insert(format!("{name}.weight"), self.weight.shallow_clone());
        self.bias.iter().for_each(|bias| drop(named.insert(format!("{name}.bias"), bias.shallow_clone())));
    }
}
