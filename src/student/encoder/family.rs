//! The families that are known: what their tensors and classes are called, and what tells their heads apart.
//!
//! Names are those of Hugging Face's modelling code, so that a folder from there works as it is, and one that is
//! written here works there. What of a family is computed otherwise stands in `post_norm`, `relative` and `modern`.

use super::architecture::Activation;

/// See the module.
#[derive(Debug)]
pub(super) struct Family {
    /// `model_type` in `config.json`.
    pub(super) model_type: &'static str,
    /// Of Python's class for classifiers.
    pub(super) class: &'static str,
    /// The key of `config.json` with the number of layers.
    pub(super) layers_key: &'static str,
    /// The key of `config.json` with the function within a layer.
    pub(super) activation_key: &'static str,
    pub(super) body: Body,
    /// What precedes all names but the head's in a classifier.
    pub(super) prefix: &'static str,
    pub(super) embeddings: EmbeddingNames,
    /// Whether positions are counted from behind the padding's number.
    pub(super) counts_from_padding: bool,
    /// What precedes the number of a layer.
    pub(super) layers: &'static str,
    pub(super) head: HeadNames,
    /// Where `config.json` does not say it: added to the variance in a normalisation.
    pub(super) epsilon: f64,
    /// Where `config.json` does not say it: share of values that are dropped in training.
    pub(super) dropout: f64,
}

/// How a family's layers compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// Each part's result is added to its input, and the sum normalised. The names of the parts are in the order of
    /// [`super::post_norm::Part::ALL`].
    PostNorm([&'static str; 8]),
    /// The same, and attention knows how far tokens are from each other (DeBERTa).
    Relative([&'static str; 8]),
    /// Each part's input is normalised (ModernBERT).
    PreNorm,
}

/// Names of tensors; none of what a family does without.
#[derive(Debug)]
pub(super) struct EmbeddingNames {
    pub(super) words: &'static str,
    pub(super) positions: Option<&'static str>,
    pub(super) types: Option<&'static str>,
    pub(super) norm: &'static str,
}

/// Names of a head's maps, and how it computes.
#[derive(Debug)]
pub(super) struct HeadNames {
    /// To the pooled vector.
    pub(super) dense: &'static str,
    /// What normalises the pooled vector.
    pub(super) norm: Option<&'static str>,
    /// To the labels.
    pub(super) labels: &'static str,
    /// Behind the first map, where the family leaves no choice.
    pub(super) activation: Activation,
    /// The key of `config.json` that says another activation.
    pub(super) activation_key: Option<&'static str>,
    /// Whether the first token's values are dropped from in training.
    pub(super) drops_input: bool,
}

const BERT: Family = Family {
    model_type: "bert",
    class: "BertForSequenceClassification",
    layers_key: "num_hidden_layers",
    activation_key: "hidden_act",
    body: Body::PostNorm([
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "attention.output.LayerNorm",
        "intermediate.dense",
        "output.dense",
        "output.LayerNorm",
    ]),
    prefix: "bert.",
    embeddings: EmbeddingNames {
        words: "embeddings.word_embeddings.weight",
        positions: Some("embeddings.position_embeddings.weight"),
        types: Some("embeddings.token_type_embeddings.weight"),
        norm: "embeddings.LayerNorm",
    },
    counts_from_padding: false,
    layers: "encoder.layer",
    head: HeadNames {
        dense: "bert.pooler.dense",
        norm: None,
        labels: "classifier",
        activation: Activation::Tanh,
        activation_key: None,
        drops_input: false,
    },
    epsilon: 1e-12,
    dropout: 0.1,
};

const ROBERTA: Family = Family {
    model_type: "roberta",
    class: "RobertaForSequenceClassification",
    prefix: "roberta.",
    counts_from_padding: true,
    head: HeadNames { dense: "classifier.dense", labels: "classifier.out_proj", drops_input: true, ..BERT.head },
    ..BERT
};

const DISTILBERT: Family = Family {
    model_type: "distilbert",
    class: "DistilBertForSequenceClassification",
    layers_key: "n_layers",
    activation_key: "activation",
    body: Body::PostNorm([
        "attention.q_lin",
        "attention.k_lin",
        "attention.v_lin",
        "attention.out_lin",
        "sa_layer_norm",
        "ffn.lin1",
        "ffn.lin2",
        "output_layer_norm",
    ]),
    prefix: "distilbert.",
    embeddings: EmbeddingNames { types: None, ..BERT.embeddings },
    layers: "transformer.layer",
    head: HeadNames { dense: "pre_classifier", activation: Activation::Relu, ..BERT.head },
    ..BERT
};

const DEBERTA: Family = Family {
    model_type: "deberta-v2",
    class: "DebertaV2ForSequenceClassification",
    body: Body::Relative([
        "attention.self.query_proj",
        "attention.self.key_proj",
        "attention.self.value_proj",
        "attention.output.dense",
        "attention.output.LayerNorm",
        "intermediate.dense",
        "output.dense",
        "output.LayerNorm",
    ]),
    prefix: "deberta.",
    embeddings: EmbeddingNames { positions: None, types: None, ..BERT.embeddings },
    head: HeadNames {
        dense: "pooler.dense",
        activation: Activation::Gelu,
        activation_key: Some("pooler_hidden_act"),
        ..BERT.head
    },
    epsilon: 1e-7,
    ..BERT
};

const MODERN_BERT: Family = Family {
    model_type: "modernbert",
    class: "ModernBertForSequenceClassification",
    layers_key: "num_hidden_layers",
    activation_key: "hidden_activation",
    body: Body::PreNorm,
    prefix: "model.",
    embeddings: EmbeddingNames {
        words: "embeddings.tok_embeddings.weight",
        positions: None,
        types: None,
        norm: "embeddings.norm",
    },
    counts_from_padding: false,
    layers: "layers",
    head: HeadNames {
        dense: "head.dense",
        norm: Some("head.norm"),
        labels: "classifier",
        activation: Activation::Gelu,
        activation_key: Some("classifier_activation"),
        drops_input: false,
    },
    epsilon: 1e-5,
    dropout: 0.0,
};

/// All that are known. Two types of model share RoBERTa's tensors and have class names of their own.
static FAMILIES: [Family; 7] = [
    BERT,
    ROBERTA,
    Family { model_type: "xlm-roberta", class: "XLMRobertaForSequenceClassification", ..ROBERTA },
    Family { model_type: "camembert", class: "CamembertForSequenceClassification", ..ROBERTA },
    DISTILBERT,
    DEBERTA,
    MODERN_BERT,
];

impl Family {
    /// By what `config.json` says that it is; names of classes in it do not matter.
    pub(super) fn of(model_type: &str) -> Option<&'static Self> {
        FAMILIES.iter().find(|family| family.model_type == model_type)
    }

    /// The types that are known, for messages.
    pub(super) fn known() -> String {
        FAMILIES.iter().map(|family| family.model_type).collect::<Vec<_>>().join(", ")
    }

    /// Whether a classifier may read the mean over tokens by itself; for the others a layer is made that gives it.
    pub(super) fn pools(&self) -> bool {
        self.body == Body::PreNorm
    }
}
