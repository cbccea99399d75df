//! What a Hugging Face `config.json` says of an encoder. What its tensors are called says its `family`.
//!
//! MiniLM and most sentence encoders are of type `bert`. Whatever would make the weights mean something else (another
//! kind of position, an activation that is not known) is refused.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use tch::Tensor;

use super::family::{Body, Family};
use super::{modern, relative};
use crate::error::Result;
pub(super) use crate::student::folder::wrong;

/// The function between two linear maps, of a layer or of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    /// x Phi(x), with the error function.
    Gelu,
    /// Its approximation with tanh.
    GeluTanh,
    Relu,
    Tanh,
}

impl Activation {
    /// By the name that `config.json` has for it under `key`.
    fn read(config: &Map<String, Value>, key: &str, usual: Self) -> std::result::Result<Self, String> {
        match config.get(key).map_or(Some(usual.name()), Value::as_str) {
            Some("gelu") => Ok(Self::Gelu),
            Some("gelu_new" | "gelu_pytorch_tanh") => Ok(Self::GeluTanh),
            Some("relu") => Ok(Self::Relu),
            Some("tanh") => Ok(Self::Tanh),
            other => {
                Err(format!("{key}: the activation {:?} is none of gelu, gelu_new, relu, tanh", other.unwrap_or("")))
            }
        }
    }

    /// As `config.json` has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_new",
            Self::Relu => "relu",
            Self::Tanh => "tanh",
        }
    }

    pub(super) fn of(self, x: &Tensor) -> Tensor {
        match self {
            Self::Gelu => x.gelu("none"),
            Self::GeluTanh => x.gelu("tanh"),
            Self::Relu => x.relu(),
            Self::Tanh => x.tanh(),
        }
    }
}

/// What becomes the text's vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pooling {
    /// The first token, as most families' classification heads have it.
    First,
    /// The mean over tokens, as the folder of a sentence encoder or a `ModernBERT` says.
    Mean,
}

/// The sizes of an encoder, within bounds: 1 to 65,536 for a dimension, 256 layers, 2^20 positions. Tensors are held
/// against them one by one, so one that is wrong (but for `heads` and `pad`) is found before it is used.
#[derive(Debug, Clone)]
pub(super) struct Architecture {
    pub(super) family: &'static Family,
    /// Values of a token's vector; a multiple of `heads`.
    pub(super) hidden: i64,
    /// In the folder, trained ones and others.
    pub(super) layers: usize,
    pub(super) heads: i64,
    /// Values between the two maps of a layer's feed-forward part.
    pub(super) intermediate: i64,
    /// Rows of the table of positions, of which `RoBERTa`'s first ones stand for no token; tokens of a text where there is
    /// no such table.
    pub(super) positions: i64,
    /// Added to the variance in a normalisation.
    pub(super) epsilon: f64,
    /// Share of values that are dropped in training, 0 to 0.9; used for attention too, but for `ModernBERT`, where it is
    /// the head's.
    pub(super) dropout: f64,
    pub(super) activation: Activation,
    /// Behind the first map of the head.
    pub(super) head_activation: Activation,
    /// The padding's token number; counts only for `RoBERTa`'s positions, for nothing is padded here.
    pub(super) pad: i64,
    pub(super) pooling: Pooling,
    pub(super) variant: Variant,
    /// `config.json` as it is: what is written back on export.
    pub(super) config: Map<String, Value>,
}

/// How layers compute.
#[derive(Debug, Clone)]
pub(super) enum Variant {
    /// The sum of each part's result and its input is normalised. With what the family calls the parts of a layer, in
    /// the order of [`super::post_norm::Part::ALL`], and what attention knows of distances.
    PostNorm([&'static str; 8], Option<relative::Settings>),
    /// The input of each part is normalised.
    Modern(modern::Settings),
}

/// `DistilBERT` and `ModernBERT` have names of their own; a field that is missing has Hugging Face's default.
#[derive(Deserialize)]
struct Fields {
    model_type: String,
    #[serde(alias = "dim")]
    hidden_size: i64,
    #[serde(alias = "n_layers")]
    num_hidden_layers: usize,
    #[serde(alias = "n_heads")]
    num_attention_heads: i64,
    #[serde(alias = "hidden_dim")]
    intermediate_size: i64,
    max_position_embeddings: i64,
    layer_norm_eps: Option<f64>,
    /// `ModernBERT`'s, beside which the other may stand.
    norm_eps: Option<f64>,
    #[serde(alias = "dropout")]
    hidden_dropout_prob: Option<f64>,
    pad_token_id: Option<i64>,
    position_embedding_type: Option<String>,
}

impl Fields {
    /// Products of these must not overflow, nor ask for more memory than there is reason to.
    fn are_sizes(&self, family: &Family) -> bool {
        let sizes = [self.hidden_size, self.num_attention_heads, self.intermediate_size];
        sizes.iter().all(|size| (1..=1 << 16).contains(size))
            && self.hidden_size % self.num_attention_heads == 0
            && (1..=1 << 20).contains(&self.max_position_embeddings)
            && (1..=256).contains(&self.num_hidden_layers)
            // A text needs a position for its first and its last mark; RoBERTa's begin behind the padding's.
            && (!family.counts_from_padding
                || (0..=self.max_position_embeddings - 3).contains(&self.pad_token_id.unwrap_or(0)))
    }
}

/// `file` in `folder`, read. Gives its path too, for messages.
pub(super) fn read(folder: &Path, file: &str) -> Result<(PathBuf, Vec<u8>)> {
    let expected = "a Hugging Face folder with config.json, model.safetensors and tokenizer.json";
    crate::student::folder::read(folder, file, expected)
}

impl Architecture {
    /// Reads `config.json`, and how the folder pools.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::error::Error::Model) for a file that cannot be read, a type of model, activation or
    /// kind of position that is not known, or sizes out of bounds.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let (path, bytes) = read(folder, "config.json")?;
        let config: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|error| wrong(&path, error))?;
        let fields: Fields =
            serde_json::from_value(Value::Object(config.clone())).map_err(|error| wrong(&path, error))?;
        let refused = |message: String| wrong(&path, message);
        let family = Family::of(&fields.model_type)
            .ok_or_else(|| refused(format!("model_type {:?} is none of {}", fields.model_type, Family::known())))?;
        if fields.position_embedding_type.as_ref().is_some_and(|kind| kind != "absolute") {
            return Err(refused("only absolute position embeddings are known".to_owned()));
        }
        // Before anything is computed with them.
        if !fields.are_sizes(family) {
            return Err(refused("its sizes are no encoder's".to_owned()));
        }
        let activation = |key: &str, usual: Activation| {
            Activation::read(&config, key, usual).map_err(|message| wrong(&path, message))
        };
        let usual = family.head.activation;
        let head_activation = family.head.activation_key.map_or(Ok(usual), |key| activation(key, usual))?;
        let activation = activation(family.activation_key, Activation::Gelu)?;
        let mut dropout = fields.hidden_dropout_prob.unwrap_or(family.dropout);
        let variant = match family.body {
            Body::PostNorm(names) => Variant::PostNorm(names, None),
            Body::Relative(names) => {
                Variant::PostNorm(names, Some(relative::Settings::read(&config).map_err(refused)?))
            }
            Body::PreNorm => {
                let settings = modern::Settings::read(&config, fields.num_hidden_layers).map_err(refused)?;
                dropout = settings.head_dropout;
                Variant::Modern(settings)
            }
        };
        let mut new = Self {
            family,
            hidden: fields.hidden_size,
            layers: fields.num_hidden_layers,
            heads: fields.num_attention_heads,
            intermediate: fields.intermediate_size,
            positions: fields.max_position_embeddings,
            epsilon: fields.norm_eps.or(fields.layer_norm_eps).unwrap_or(family.epsilon),
            dropout: dropout.clamp(0.0, 0.9),
            activation,
            head_activation,
            pad: fields.pad_token_id.unwrap_or(0),
            pooling: Pooling::First,
            variant,
            config,
        };
        new.pooling = pooling(folder).unwrap_or_else(|| new.classifier_pooling());
        Ok(new)
    }

    /// How a classifier of this folder pools, whatever else stands in it.
    pub(super) fn classifier_pooling(&self) -> Pooling {
        match self.config.get(CLASSIFIER_POOLING).and_then(Value::as_str) {
            Some("mean") if self.family.pools() => Pooling::Mean,
            _ => Pooling::First,
        }
    }

    /// The first position's number: `RoBERTa` counts from behind the padding's.
    pub(super) fn first_position(&self) -> i64 {
        if self.family.counts_from_padding { self.pad + 1 } else { 0 }
    }

    /// Tokens of a text that have a position, those included that stand around it; 0 where the numbers leave none.
    pub(super) fn longest(&self) -> usize {
        usize::try_from(self.positions - self.first_position()).unwrap_or(0)
    }

    /// What precedes all names but the head's in a classifier of this family.
    pub(super) fn prefix(&self) -> &'static str {
        self.family.prefix
    }

    /// The name of a part of layer `number`, without the prefix.
    pub(super) fn in_layer(&self, number: usize, part: &str) -> String {
        format!("{}.{number}.{part}", self.family.layers)
    }
}

/// The key of `config.json` that says how a `ModernBERT` pools.
pub(super) const CLASSIFIER_POOLING: &str = "classifier_pooling";

/// Sentence encoders say in a file of their own how they pool; what says something else than the mean, or nothing that
/// can be read, stands for the first token.
fn pooling(folder: &Path) -> Option<Pooling> {
    let bytes = crate::base::regular::read_regular(&folder.join("1_Pooling/config.json")).ok()?;
    let config: Option<Value> = serde_json::from_slice(&bytes).ok();
    match config.and_then(|config| config.get("pooling_mode_mean_tokens").and_then(Value::as_bool)) {
        Some(true) => Some(Pooling::Mean),
        _ => Some(Pooling::First),
    }
}
