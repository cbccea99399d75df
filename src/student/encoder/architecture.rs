//! What a Hugging Face `config.json` says of a BERT-like encoder, and what its tensors are called.
//!
//! MiniLM and most sentence encoders are of type `bert`.
//!
//! Names and sizes are those of Hugging Face's modelling code, so that a folder from there works as it is, and one
//! that is written here works there. Whatever would make the weights mean something else (relative positions, another
//! activation) is refused.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::Result;
pub(super) use crate::student::folder::wrong;

/// Families that differ in names, positions and head. RoBERTa's has `xlm-roberta` and `camembert` too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Bert,
    Roberta,
    DistilBert,
}

/// The function between the two linear maps of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    /// x Phi(x), with the error function.
    Gelu,
    /// Its approximation with tanh.
    GeluTanh,
    Relu,
}

/// What becomes the text's vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pooling {
    /// The first token, as the family's classification head has it.
    First,
    /// The mean over tokens, as the folder of a sentence encoder says.
    Mean,
}

/// The sizes of an encoder, within bounds: 1 to 65,536 for a dimension, 256 layers, 2^20 positions. Tensors are held
/// against them one by one, so one that is wrong (but for `heads` and `pad`) is found before it is used.
#[derive(Debug, Clone)]
pub(super) struct Architecture {
    pub(super) family: Family,
    /// Values of a token's vector; a multiple of `heads`.
    pub(super) hidden: i64,
    /// In the folder, trained ones and others.
    pub(super) layers: usize,
    pub(super) heads: i64,
    /// Values between the two maps of a layer's feed-forward part.
    pub(super) intermediate: i64,
    /// Rows of the table of positions, of which RoBERTa's first ones stand for no token.
    pub(super) positions: i64,
    /// Added to the variance in a normalisation.
    pub(super) epsilon: f64,
    /// Share of values that are dropped in training, 0 to 0.9; used for attention too.
    pub(super) dropout: f64,
    pub(super) activation: Activation,
    /// The padding's token number; counts only for RoBERTa's positions, for nothing is padded here.
    pub(super) pad: i64,
    pub(super) pooling: Pooling,
    /// `config.json` as it is: what is written back on export.
    pub(super) config: Map<String, Value>,
}

/// DistilBERT has names of its own; a field that is missing has Hugging Face's default.
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
    #[serde(default = "default_epsilon")]
    layer_norm_eps: f64,
    #[serde(default = "default_dropout", alias = "dropout")]
    hidden_dropout_prob: f64,
    #[serde(default = "default_activation", alias = "activation")]
    hidden_act: String,
    #[serde(default)]
    pad_token_id: i64,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

fn default_epsilon() -> f64 {
    1e-12
}

fn default_dropout() -> f64 {
    0.1
}

fn default_activation() -> String {
    "gelu".to_owned()
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
        // By what the file says it is; names of classes in it do not matter.
        let family = match fields.model_type.as_str() {
            "bert" => Family::Bert,
            "roberta" | "xlm-roberta" | "camembert" => Family::Roberta,
            "distilbert" => Family::DistilBert,
            other => {
                let message =
                    format!("model_type {other:?} is none of bert, roberta, xlm-roberta, camembert, distilbert");
                return Err(wrong(&path, message));
            }
        };
        let activation = match fields.hidden_act.as_str() {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            other => return Err(wrong(&path, format!("the activation {other:?} is none of gelu, gelu_new, relu"))),
        };
        if fields.position_embedding_type.is_some_and(|kind| kind != "absolute") {
            return Err(wrong(&path, "only absolute position embeddings are known"));
        }
        // Before anything is computed with them: products of these must not overflow, nor ask for more memory than
        // there is reason to.
        let sizes = [fields.hidden_size, fields.num_attention_heads, fields.intermediate_size];
        if sizes.iter().any(|size| !(1..=1 << 16).contains(size))
            || fields.hidden_size % fields.num_attention_heads != 0
            || !(1..=1 << 20).contains(&fields.max_position_embeddings)
            || !(1..=256).contains(&fields.num_hidden_layers)
            // A text needs a position for its first and its last mark; RoBERTa's begin behind the padding's.
            || (family == Family::Roberta
                && !(0..=fields.max_position_embeddings - 3).contains(&fields.pad_token_id))
        {
            return Err(wrong(&path, "its sizes are no encoder's"));
        }
        Ok(Self {
            family,
            hidden: fields.hidden_size,
            layers: fields.num_hidden_layers,
            heads: fields.num_attention_heads,
            intermediate: fields.intermediate_size,
            positions: fields.max_position_embeddings,
            epsilon: fields.layer_norm_eps,
            dropout: fields.hidden_dropout_prob.clamp(0.0, 0.9),
            activation,
            pad: fields.pad_token_id,
            pooling: pooling(folder),
            config,
        })
    }

    /// The first position's number: RoBERTa counts from behind the padding's.
    pub(super) fn first_position(&self) -> i64 {
        if self.family == Family::Roberta { self.pad + 1 } else { 0 }
    }

    /// Tokens of a text that have a position, those included that stand around it; 0 where the numbers leave none.
    pub(super) fn longest(&self) -> usize {
        usize::try_from(self.positions - self.first_position()).unwrap_or(0)
    }

    /// What precedes all names but the head's in a classifier of this family.
    pub(super) fn prefix(&self) -> &'static str {
        match self.family {
            Family::Bert => "bert.",
            Family::Roberta => "roberta.",
            Family::DistilBert => "distilbert.",
        }
    }

    /// The name of a part of layer `number`.
    pub(super) fn in_layer(&self, number: usize, part: LayerPart) -> String {
        let (layers, name) = match self.family {
            Family::DistilBert => ("transformer.layer", part.distilbert()),
            Family::Bert | Family::Roberta => ("encoder.layer", part.bert()),
        };
        format!("{layers}.{number}.{name}")
    }

    /// The names of the head's linear maps: to the pooled vector, and to the labels.
    pub(super) fn head(&self) -> (&'static str, &'static str) {
        match self.family {
            Family::Bert => ("bert.pooler.dense", "classifier"),
            Family::Roberta => ("classifier.dense", "classifier.out_proj"),
            Family::DistilBert => ("pre_classifier", "classifier"),
        }
    }
}

/// Sentence encoders say in a file of their own how they pool. Without it, or where it says something else than the
/// mean, the first token is taken.
fn pooling(folder: &Path) -> Pooling {
    let said = crate::base::regular::read_regular(&folder.join("1_Pooling/config.json")).ok();
    let config: Option<Value> = said.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match config.and_then(|config| config.get("pooling_mode_mean_tokens").and_then(Value::as_bool)) {
        Some(true) => Pooling::Mean,
        _ => Pooling::First,
    }
}

/// The parts of a layer, each with weight and bias, in the order in which [`super::layers::Layer`] keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LayerPart {
    Query,
    Key,
    Value,
    Output,
    AttentionNorm,
    Up,
    Down,
    OutputNorm,
}

impl LayerPart {
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

    fn bert(self) -> &'static str {
        match self {
            Self::Query => "attention.self.query",
            Self::Key => "attention.self.key",
            Self::Value => "attention.self.value",
            Self::Output => "attention.output.dense",
            Self::AttentionNorm => "attention.output.LayerNorm",
            Self::Up => "intermediate.dense",
            Self::Down => "output.dense",
            Self::OutputNorm => "output.LayerNorm",
        }
    }

    fn distilbert(self) -> &'static str {
        match self {
            Self::Query => "attention.q_lin",
            Self::Key => "attention.k_lin",
            Self::Value => "attention.v_lin",
            Self::Output => "attention.out_lin",
            Self::AttentionNorm => "sa_layer_norm",
            Self::Up => "ffn.lin1",
            Self::Down => "ffn.lin2",
            Self::OutputNorm => "output_layer_norm",
        }
    }

    /// The shape of its weight, given hidden and intermediate size: outputs x inputs. The bias has the first of them.
    pub(super) fn shape(self, hidden: i64, intermediate: i64) -> Vec<i64> {
        match self {
            Self::AttentionNorm | Self::OutputNorm => vec![hidden],
            Self::Up => vec![intermediate, hidden],
            Self::Down => vec![hidden, intermediate],
            Self::Query | Self::Key | Self::Value | Self::Output => vec![hidden, hidden],
        }
    }
}
