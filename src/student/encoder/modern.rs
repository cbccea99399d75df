//! The layer of ModernBERT (Warner et al. 2024, arXiv 2412.13663): each part's input is normalised, not the sum.
//!
//! ```text
//! x1 = x + attention(norm(x))        x2 = x1 + down(activation(a) * b)        a, b = up(norm(x1))
//! ```
//! Attention turns queries and keys by angles that grow with a token's place (Su et al. 2021, arXiv 2104.09864), and
//! in most layers sees a window of tokens alone.

use serde_json::{Map, Value};
use tch::{Kind, Tensor};

use super::architecture::{Activation, Architecture};
use super::layers::Reads;
use super::noise::Noise;
use super::packed::Packed;
use super::pair::Pair;
use super::size;
use super::weights::{Named, Weights};
use crate::error::Result;

/// What `config.json` says of it.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Of each layer, from the lowest on.
    layers: Vec<View>,
    attention_bias: bool,
    mlp_bias: bool,
    pub(super) norm_bias: bool,
    pub(super) head_bias: bool,
    attention_dropout: f64,
    mlp_dropout: f64,
    pub(super) head_dropout: f64,
}

/// How a layer sees the other tokens of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
struct View {
    /// The angle of a pair of values falls with its number, by a power of this.
    theta: f64,
    /// The farthest token that is seen, to either side; all are seen without it.
    window: Option<i64>,
}

/// As Hugging Face's defaults are, and as the types of layers are called there.
const EVERY: u64 = 3;
const WINDOW: u64 = 128;
/// The type of a layer, the key of its theta, and what that is where nothing is said.
const GLOBAL: (&str, &str, f64) = ("full_attention", "global_rope_theta", 160_000.0);
const LOCAL: (&str, &str, f64) = ("sliding_attention", "local_rope_theta", 10_000.0);

impl Settings {
    /// Takes files of both forms: with a list of `layer_types` and `rope_parameters`, and with the numbers that were
    /// there before them.
    pub(super) fn read(config: &Map<String, Value>, layers: usize) -> std::result::Result<Self, String> {
        let flag = |key: &str| config.get(key).and_then(Value::as_bool).unwrap_or(false);
        let dropout = |key: &str| config.get(key).and_then(Value::as_f64).unwrap_or(0.0).clamp(0.0, 0.9);
        let whole = |key: &str, usual: u64| config.get(key).map_or(Some(usual), Value::as_u64);
        let window = whole("local_attention", WINDOW).and_then(|window| i64::try_from(window / 2).ok());
        let window = window.ok_or("local_attention is no number of tokens")?;
        let global = View { theta: theta(config, GLOBAL)?, window: None };
        let local = View { theta: theta(config, LOCAL)?, window: Some(window) };
        let view = |of: &Value| match of.as_str() {
            Some(name) if name == GLOBAL.0 => Ok(global),
            Some(name) if name == LOCAL.0 => Ok(local),
            _ => Err(format!("layer_types: {of} is none of {}, {}", GLOBAL.0, LOCAL.0)),
        };
        let views: Vec<View> = match config.get("layer_types").and_then(Value::as_array) {
            Some(types) => types.iter().map(view).collect::<std::result::Result<_, _>>()?,
            None => {
                let every = whole("global_attn_every_n_layers", EVERY).and_then(|every| usize::try_from(every).ok());
                let every =
                    every.filter(|&every| every > 0).ok_or("global_attn_every_n_layers is no number above 0")?;
                (0..layers).map(|number| if number.is_multiple_of(every) { global } else { local }).collect()
            }
        };
        if views.len() != layers {
            return Err(format!("layer_types has {} layers, and num_hidden_layers is {layers}", views.len()));
        }
        Ok(Self {
            layers: views,
            attention_bias: flag("attention_bias"),
            mlp_bias: flag("mlp_bias"),
            norm_bias: flag("norm_bias"),
            head_bias: flag("classifier_bias"),
            attention_dropout: dropout("attention_dropout"),
            mlp_dropout: dropout("mlp_dropout"),
            head_dropout: dropout("classifier_dropout"),
        })
    }
}

/// The theta of a type of layers. Angles that are scaled otherwise are not known.
fn theta(config: &Map<String, Value>, (kind, key, usual): (&str, &str, f64)) -> std::result::Result<f64, String> {
    let is_there = |value: &&Value| !value.is_null();
    let parameters = config.get("rope_parameters").and_then(|all| all.get(kind)).filter(is_there);
    let of_type = parameters.and_then(|parameters| parameters.get("rope_type"));
    if config.get("rope_scaling").is_some_and(|scaling| !scaling.is_null())
        || of_type.is_some_and(|of_type| of_type != "default")
    {
        return Err("only rotary positions that are not scaled (rope_type \"default\") are known".to_owned());
    }
    let said = parameters.and_then(|parameters| parameters.get("rope_theta")).or_else(|| config.get(key));
    let theta = said.map_or(Some(usual), Value::as_f64);
    theta.filter(|theta| *theta > 0.0).ok_or_else(|| format!("{key} is no number above 0"))
}

/// See the module. The tensors of a trained one are leaves that gradients are taken of.
#[derive(Debug)]
pub(super) struct PreNorm {
    pairs: Pairs,
    heads: i64,
    view: View,
    epsilon: f64,
    activation: Activation,
    attention_dropout: f64,
    mlp_dropout: f64,
    /// What its linear maps and its attention are computed in.
    kind: Kind,
}

#[derive(Debug)]
struct Pairs {
    /// The lowest layer has none, for the embeddings are normalised.
    attention_norm: Option<Pair>,
    /// To queries, keys and values, one after the other.
    qkv: Pair,
    output: Pair,
    mlp_norm: Pair,
    /// To what goes through the activation, and what that is multiplied by.
    up: Pair,
    down: Pair,
}

impl Pairs {
    fn named(&self) -> impl Iterator<Item = (&'static str, &Pair)> {
        let rest = [
            ("attn.Wqkv", &self.qkv),
            ("attn.Wo", &self.output),
            ("mlp_norm", &self.mlp_norm),
            ("mlp.Wi", &self.up),
            ("mlp.Wo", &self.down),
        ];
        self.attention_norm.iter().map(|norm| ("attn_norm", norm)).chain(rest)
    }

    fn map(&self, change: &dyn Fn(&Pair) -> Pair) -> Self {
        Self {
            attention_norm: self.attention_norm.as_ref().map(change),
            qkv: change(&self.qkv),
            output: change(&self.output),
            mlp_norm: change(&self.mlp_norm),
            up: change(&self.up),
            down: change(&self.down),
        }
    }
}

impl PreNorm {
    /// Layer `number` of a folder, from 0, in f32 on the processor.
    pub(super) fn read(
        architecture: &Architecture,
        settings: &Settings,
        weights: &Weights,
        number: usize,
    ) -> Result<Self> {
        let (hidden, inner) = (architecture.hidden, architecture.intermediate);
        let take = |name: &str, shape: &[i64]| weights.encoder(name, shape);
        let pair = |name: &str, shape: &[i64], has_bias: bool| {
            Pair::read(take, &architecture.in_layer(number, name), shape, has_bias)
        };
        let norm = |name: &str| pair(name, &[hidden], settings.norm_bias);
        let pairs = Pairs {
            attention_norm: (number > 0).then(|| norm("attn_norm")).transpose()?,
            qkv: pair("attn.Wqkv", &[3 * hidden, hidden], settings.attention_bias)?,
            output: pair("attn.Wo", &[hidden, hidden], settings.attention_bias)?,
            mlp_norm: norm("mlp_norm")?,
            up: pair("mlp.Wi", &[2 * inner, hidden], settings.mlp_bias)?,
            down: pair("mlp.Wo", &[hidden, inner], settings.mlp_bias)?,
        };
        let all = View { theta: GLOBAL.2, window: None };
        Ok(Self {
            pairs,
            heads: architecture.heads,
            view: settings.layers.get(number).copied().unwrap_or(all),
            epsilon: architecture.epsilon,
            activation: architecture.activation,
            attention_dropout: settings.attention_dropout,
            mlp_dropout: settings.mlp_dropout,
            kind: Kind::Float,
        })
    }

    /// The same, computed in `kind`.
    pub(super) fn computed_in(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    pub(super) fn map(&self, change: &dyn Fn(&Tensor) -> Tensor) -> Self {
        Self { pairs: self.pairs.map(&|pair: &Pair| pair.map(change)), ..*self }
    }

    /// A copy of its own that can be trained.
    pub(super) fn trainable(&self) -> Self {
        Self { pairs: self.pairs.map(&Pair::trainable), ..*self }
    }

    pub(super) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.pairs.named().flat_map(|(_, pair)| pair.tensors())
    }

    /// Its tensors by name, as layer `number`.
    pub(super) fn name(&self, architecture: &Architecture, number: usize, named: &mut Named) {
        for (part, pair) in self.pairs.named() {
            pair.name(&format!("{}{}", architecture.prefix(), architecture.in_layer(number, part)), named);
        }
    }

    /// As [`super::layers::Layer::forward`].
    pub(super) fn forward(&self, below: &Packed, reads: Reads, noise: &Noise) -> Packed {
        let Pairs { attention_norm, qkv, output, mlp_norm, up, down } = &self.pairs;
        let kind = self.kind;
        let hidden = size(mlp_norm.weight.numel());
        let normed = attention_norm
            .as_ref()
            .map_or_else(|| below.x.shallow_clone(), |norm| norm.normalise(&below.x, self.epsilon));
        let (read, normed) = (below.read(reads), below.with(normed));
        let asking = normed.read(reads);
        let queries = asking.with(qkv.outputs(0, hidden).linear(&asking.x, kind));
        let key = qkv.outputs(hidden, hidden).linear(&normed.x, kind);
        let value = qkv.outputs(2 * hidden, hidden).linear(&normed.x, kind);
        let attended =
            below.attend(&queries, &key, &value, self.heads, |query, key, value| self.attend(query, key, value, noise));
        let x = &read.x + noise.drop(output.linear(&attended, kind), self.attention_dropout);
        let both = up.linear(&mlp_norm.normalise(&x, self.epsilon), kind);
        let half = both.size().last().copied().unwrap_or(0) / 2;
        let inner = self.activation.of(&both.narrow(-1, 0, half)) * both.narrow(-1, half, half);
        let inner = noise.drop(inner, self.mlp_dropout);
        read.with(&x + down.linear(&inner, kind))
    }

    /// Attention of texts of one length, or of their first tokens, to all of their tokens.
    fn attend(&self, query: &Tensor, key: &Tensor, value: &Tensor, noise: &Noise) -> Tensor {
        let tokens = |x: &Tensor| x.size().get(2).copied().unwrap_or(0);
        let (asked, length) = (tokens(query), tokens(key));
        let seen = self.view.window.filter(|&window| window + 1 < length).map(|window| {
            let far = |i: i64| (0..length).map(move |j| (i - j).abs() > window);
            let far: Vec<f32> = (0..asked).flat_map(far).map(|far| if far { f32::NEG_INFINITY } else { 0.0 }).collect();
            Tensor::from_slice(&far).view([asked, length]).to_kind(query.kind()).to_device(query.device())
        });
        let [query, key] = [query, key].map(|x| turned(x, self.view.theta));
        noise.attend(&query, &key, value, seen.as_ref(), self.attention_dropout)
    }
}

/// Values of tokens, texts x heads x tokens x size, each pair of values (number n and n + size / 2) turned by the
/// token's place times theta^(-2 n / size). In f32, as Python does it.
fn turned(x: &Tensor, theta: f64) -> Tensor {
    let Ok((_, _, tokens, width)) = x.size4() else { return x.shallow_clone() };
    let options = (Kind::Float, x.device());
    let powers = Tensor::arange_start_step(0, width, 2, options) / width;
    let frequencies = 1.0 / Tensor::pow_scalar(theta, &powers);
    let angles = Tensor::arange(tokens, options).outer(&frequencies);
    let (cos, sin) = (angles.cos(), angles.sin());
    let float = x.to_kind(Kind::Float);
    let (low, high) = (float.narrow(-1, 0, width / 2), float.narrow(-1, width / 2, width / 2));
    Tensor::cat(&[&low * &cos - &high * &sin, &high * &cos + &low * &sin], -1).to_kind(x.kind())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(config: &Value) -> std::result::Result<Settings, String> {
        Settings::read(config.as_object().unwrap(), 3)
    }

    #[test]
    fn both_forms_of_a_configuration_say_the_same() {
        let before = settings(&json!({ "global_attn_every_n_layers": 2, "local_attention": 16,
            "global_rope_theta": 80000.0, "local_rope_theta": 5000.0 }));
        let after = settings(&json!({
            "layer_types": ["full_attention", "sliding_attention", "full_attention"], "local_attention": 16,
            "rope_parameters": { "full_attention": { "rope_type": "default", "rope_theta": 80000.0 },
                "sliding_attention": { "rope_type": "default", "rope_theta": 5000.0 } } }));
        let (global, local) = (View { theta: 8e4, window: None }, View { theta: 5e3, window: Some(8) });
        assert_eq!(before.unwrap().layers, [global, local, global]);
        assert_eq!(after.unwrap().layers, [global, local, global]);
        let usual = settings(&json!({})).unwrap().layers;
        assert_eq!(usual[1..], [View { theta: 1e4, window: Some(64) }; 2]);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (config, said) in [
            (json!({ "layer_types": ["full_attention"] }), "num_hidden_layers is 3"),
            (json!({ "layer_types": ["full_attention", "chunked_attention", "full_attention"] }), "chunked_attention"),
            (json!({ "rope_scaling": { "rope_type": "yarn", "factor": 4.0 } }), "not scaled"),
            (json!({ "rope_parameters": { "full_attention": { "rope_type": "yarn" } } }), "not scaled"),
            (json!({ "local_rope_theta": null }), "local_rope_theta"),
            (json!({ "global_attn_every_n_layers": 0 }), "global_attn_every_n_layers"),
            (json!({ "local_attention": -1 }), "local_attention"),
        ] {
            assert!(settings(&config).unwrap_err().contains(said), "{config}");
        }
    }

    #[test]
    fn a_turned_pair_keeps_its_length_and_the_first_token_its_values() {
        let x = Tensor::from_slice(&[3.0_f32, 1.0, 4.0, 2.0, 3.0, 1.0, 4.0, 2.0]).view([1, 1, 2, 4]);
        let turned = Vec::<f32>::try_from(turned(&x, 100.0).view([-1])).unwrap();
        assert_eq!(turned[..4], [3.0, 1.0, 4.0, 2.0]);
        // The first pair by 1, the second by 100^(-2 / 4) = 0.1.
        let by = |low: f32, high: f32, angle: f32| {
            (low * angle.cos() - high * angle.sin(), high * angle.cos() + low * angle.sin())
        };
        let ((a, c), (b, d)) = (by(3.0, 4.0, 1.0), by(1.0, 2.0, 0.1));
        assert!(turned[4..].iter().zip([a, b, c, d]).all(|(found, expected)| (found - expected).abs() < 1e-5));
    }
}
