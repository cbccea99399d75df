//! From token ids to what the lowest layer gets.

use tch::Tensor;

use super::architecture::{Architecture, Variant};
use super::pair::Pair;
use super::relative::Table;
use super::weights::{Named, Weights};
use crate::error::Result;

/// Word, position and type embeddings. Never trained.
#[derive(Debug)]
pub(super) struct Embeddings {
    /// Vocabulary x hidden.
    words: Tensor,
    /// Positions x hidden, where layers do not see positions by themselves.
    positions: Option<Tensor>,
    /// Types x hidden, of which the first is added to every token, for a text is one sentence.
    types: Option<Tensor>,
    norm: Pair,
    /// Of distances, which layers read.
    distances: Option<Table>,
    first_position: i64,
    epsilon: f64,
}

impl Embeddings {
    pub(super) fn read(architecture: &Architecture, weights: &Weights) -> Result<Self> {
        let (hidden, epsilon, names) = (architecture.hidden, architecture.epsilon, &architecture.family.embeddings);
        let take = |name: &str, shape: &[i64]| weights.encoder(name, shape);
        let (settings, has_bias) = match &architecture.variant {
            Variant::PostNorm(_, settings) => (*settings, true),
            Variant::Modern(settings) => (None, settings.norm_bias),
        };
        let distances = settings.map(|settings| Table::read(settings, weights, hidden, epsilon)).transpose()?;
        Ok(Self {
            types: names.types.map(|name| take(name, &[-1, hidden])).transpose()?,
            words: take(names.words, &[-1, hidden])?,
            positions: names.positions.map(|name| take(name, &[architecture.positions, hidden])).transpose()?,
            norm: Pair::read(take, names.norm, &[hidden], has_bias)?,
            distances,
            first_position: architecture.first_position(),
            epsilon,
        })
    }

    /// Words known: token numbers are below it.
    pub(super) fn vocabulary(&self) -> i64 {
        self.words.size().first().copied().unwrap_or(0)
    }

    pub(super) fn map(&self, change: &dyn Fn(&Tensor) -> Tensor) -> Self {
        Self {
            words: change(&self.words),
            positions: self.positions.as_ref().map(change),
            types: self.types.as_ref().map(change),
            norm: self.norm.map(change),
            distances: self.distances.as_ref().map(|table| table.map(change)),
            ..*self
        }
    }

    pub(super) fn name(&self, architecture: &Architecture, named: &mut Named) {
        let (prefix, names) = (architecture.prefix(), &architecture.family.embeddings);
        let tables = [(Some(names.words), Some(&self.words)), (names.positions, self.positions.as_ref())];
        for (name, tensor) in tables.into_iter().chain([(names.types, self.types.as_ref())]) {
            if let (Some(name), Some(tensor)) = (name, tensor) {
                named.insert(format!("{prefix}{name}"), tensor.shallow_clone());
            }
        }
        self.norm.name(&format!("{prefix}{}", names.norm), named);
        self.distances.iter().for_each(|table| table.name(prefix, named));
    }

    /// Token ids and their places in their texts, from 0: tokens x hidden. Ids below the vocabulary, places below
    /// `longest`; libtorch's binding panics for others.
    pub(super) fn forward(&self, ids: &Tensor, places: &Tensor) -> Tensor {
        let embed = |table: &Tensor, ids: &Tensor| Tensor::embedding(table, ids, -1, false, false);
        let mut x = embed(&self.words, ids);
        if let Some(positions) = &self.positions {
            x += embed(positions, &(places + self.first_position));
        }
        if let Some(types) = &self.types {
            x += types.narrow(0, 0, 1);
        }
        self.norm.normalise(&x, self.epsilon)
    }
}
