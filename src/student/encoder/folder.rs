//! A student as a Hugging Face folder: `config.json` with the labels, `model.safetensors`, the tokenizer's files.
//! Python's `AutoModelForSequenceClassification` reads it, and so does [`Exported`].
//!
//! One model is written, the mean of the copies, in f32. A layer that pools is written as a transformer layer like
//! any other, so that no other program need know of it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};

use super::architecture::{Architecture, CLASSIFIER_POOLING, Pooling, wrong};
use super::copy::Copy;
use super::embeddings::Embeddings;
use super::head::Head;
use super::layers::{self, Reads};
use super::noise::Noise;
use super::tokens::Tokens;
use super::trunk::{Trunk, together};
use super::weights::{Named, Weights};
use super::{Encoder, PROBE, size};
use crate::error::{Error, Result};
use crate::student::frozen::Room;
use crate::student::{CHUNK, Encoded, Rows};

/// What candist adds to `config.json`; Python reads over it.
const OURS: &str = "candist";
/// Files that belong to a tokenizer, where a folder has them. Here only the first is read; Python reads the others
/// too.
const TOKENIZER_FILES: [&str; 9] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spm.model",
    "added_tokens.json",
];
/// Tokens of a text, where the folder does not say: what BERT was made for.
const LONGEST: usize = 512;

/// Writes the encoder with `copy` on top. `labels` are names by number.
///
/// # Errors
///
/// [`Error::NotFinite`] for a weight that is not finite, and then nothing is written; [`Error::RunFile`] where a file
/// cannot be.
pub(super) fn write(encoder: &Encoder, copy: &Copy, folder: &Path, labels: &[String], temperature: f64) -> Result<()> {
    let architecture = &encoder.architecture;
    let mut named = Named::new();
    encoder.trunk.embeddings.name(architecture, &mut named);
    let layers = encoder.trunk.layers.iter().chain(&copy.layers);
    let mut count = 0;
    for layer in layers {
        layer.name(architecture, count, &mut named);
        count += usize::from(layer.is_counted());
    }
    copy.head.name(architecture, &mut named);
    let model = folder.join("model.safetensors");
    // Whatever device and precision it was trained with, the file is the same kind of file.
    let named: Vec<(String, Tensor)> = named
        .into_iter()
        .map(|(name, tensor)| (name, tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous()))
        .collect();
    let mut saved = crate::student::checkpoint::Saved::new();
    named.iter().for_each(|(name, tensor)| saved.add(name, tensor));
    // Python's loader refuses a safetensors file that does not say which framework's layout it has.
    saved.write(&model, [("format".to_owned(), "pt".to_owned())].into())?;

    let config = config(encoder, copy, count, labels, temperature);
    let path = folder.join("config.json");
    let text = serde_json::to_string_pretty(&config).unwrap_or_default();
    std::fs::write(&path, text + "\n").map_err(Error::run_file("write", &path))?;
    // Copied byte for byte: a tokenizer that was written anew might split otherwise.
    for file in TOKENIZER_FILES {
        let (from, to) = (encoder.encoder.model.join(file), folder.join(file));
        if from.is_file() {
            std::fs::copy(&from, &to).map_err(Error::run_file("write", &to))?;
        }
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::run_file("write", folder))
}

/// The model's own `config.json` with the classifier's class, layers and labels, and without the path it was loaded
/// from.
fn config(encoder: &Encoder, copy: &Copy, layers: usize, labels: &[String], temperature: f64) -> Map<String, Value> {
    let architecture = &encoder.architecture;
    let mut config = architecture.config.clone();
    let family = architecture.family;
    let by_number: Map<String, Value> =
        labels.iter().enumerate().map(|(id, name)| (id.to_string(), json!(name))).collect();
    let by_name: Map<String, Value> = labels.iter().enumerate().map(|(id, name)| (name.clone(), json!(id))).collect();
    config.insert("architectures".to_owned(), json!([family.class]));
    config.insert(family.layers_key.to_owned(), json!(layers));
    if let Some(key) = family.head.activation_key {
        config.insert(key.to_owned(), json!(copy.head.activation.name()));
    }
    if family.pools() {
        let pooling = if architecture.pooling == Pooling::Mean { "mean" } else { "cls" };
        config.insert(CLASSIFIER_POOLING.to_owned(), json!(pooling));
    }
    config.insert("id2label".to_owned(), Value::Object(by_number));
    config.insert("label2id".to_owned(), Value::Object(by_name));
    config.insert("problem_type".to_owned(), json!("single_label_classification"));
    // Under both of its names: what is written is in f32, whatever the folder was.
    for key in ["torch_dtype", "dtype"] {
        config.insert(key.to_owned(), json!("float32"));
    }
    config.remove("_name_or_path");
    let ours = json!({ "temperature": temperature, "max_length": encoder.encoder.max_length });
    config.insert(OURS.to_owned(), ours);
    config
}

/// A classifier from a folder, for use: one that was exported, or anyone's of a family that is known.
pub(in crate::student) struct Exported {
    tokens: Arc<Tokens>,
    trunk: Trunk,
    head: Head,
    /// By number.
    pub(in crate::student) labels: Vec<String>,
    /// For calibrated probabilities; 1 where the folder does not say.
    pub(in crate::student) temperature: f64,
}

impl Exported {
    pub(in crate::student) fn read(folder: &Path, device: Device) -> Result<Self> {
        let architecture = Architecture::read(folder)?;
        let labels = labels(folder, &architecture.config)?;
        let ours = architecture.config.get(OURS);
        let number = |key: &str| ours.and_then(|ours| ours.get(key)).and_then(Value::as_f64);
        // Anyone's number: one that is not above 0 would turn labels around, and one that is no f32 would make them
        // no numbers.
        let temperature = number("temperature")
            .filter(|&temperature| (temperature as f32).is_normal() && temperature > 0.0)
            .unwrap_or(1.0);
        let longest = number("max_length").map_or(LONGEST, |length| length as usize).clamp(1, architecture.longest());
        let weights = Weights::read(folder, architecture.prefix())?;
        let embeddings = Embeddings::read(&architecture, &weights)?;
        let tokens = Tokens::read(folder, longest, embeddings.vocabulary())?;
        let there = |tensor: &Tensor| tensor.to_device(device);
        // All layers: here nothing is trained, so no layer needs to be apart.
        let mut layers = layers::read(&architecture, &weights)?;
        layers.extend(layers::top(&architecture, &weights, architecture.classifier_pooling())?);
        let layers = layers.iter().map(|layer| layer.map(&there)).collect();
        let head = Head::read(&architecture, &weights, size(labels.len()))?.map(&there);
        // Nothing is kept of a text.
        let (reads, room) = (Reads::First, Room::new(0));
        let trunk = Trunk { embeddings: embeddings.map(&there), layers, device, reads, room, vectors: None };
        let columns = labels.len();
        Self { tokens: Arc::new(tokens), trunk, head, labels, temperature }.sound(folder, columns)
    }

    /// The same with `columns` labels, its layers computed in bfloat16. An error where nothing finite comes of that.
    pub(in crate::student) fn in_bf16(self, folder: &Path, columns: usize) -> Result<Self> {
        let kind = Kind::BFloat16;
        let narrow = |tensor: &Tensor| tensor.to_kind(kind);
        let layers = self.trunk.layers.iter().map(|layer| layer.map(&narrow).computed_in(kind)).collect();
        let trunk = Trunk { embeddings: self.trunk.embeddings.map(&narrow), layers, ..self.trunk };
        Self { trunk, ..self }.sound(folder, columns)
    }

    /// Itself, where it makes finite numbers of a text.
    fn sound(self, folder: &Path, columns: usize) -> Result<Self> {
        let is_sound = self.logits(&[PROBE], columns).is_finite();
        if is_sound { Ok(self) } else { Err(super::not_finite(folder)) }
    }

    /// Another on the same weights.
    pub(in crate::student) fn twin(&self) -> Self {
        let same = |tensor: &Tensor| tensor.shallow_clone();
        let Trunk { embeddings, layers, device, reads, .. } = &self.trunk;
        let (embeddings, layers) = (embeddings.map(&same), layers.iter().map(|layer| layer.map(&same)).collect());
        let trunk = Trunk { embeddings, layers, device: *device, reads: *reads, room: Room::new(0), vectors: None };
        let (tokens, labels) = (Arc::clone(&self.tokens), self.labels.clone());
        Self { tokens, trunk, head: self.head.map(&same), labels, ..*self }
    }

    fn encode(&self, texts: &[&str]) -> Vec<Encoded> {
        texts.iter().map(|text| Encoded { ids: self.tokens.encode(text), ..Encoded::default() }).collect()
    }

    /// The places of texts that are computed together: what is said of a text depends on no others. By themselves those of a group
    /// are one again.
    pub(in crate::student) fn groups(&self, texts: &[&str]) -> Vec<Vec<usize>> {
        let mut groups = Vec::new();
        for (chunk, from) in texts.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
            let encoded = self.encode(chunk);
            let of_chunk = together(&encoded.iter().collect::<Vec<_>>(), self.trunk.device);
            groups.extend(of_chunk.into_iter().map(|group| group.into_iter().map(|place| from + place).collect()));
        }
        groups
    }

    /// Logits: one row per text, in their order, `columns` labels. Nothing is kept of a text.
    pub(in crate::student) fn logits(&self, texts: &[&str], columns: usize) -> Rows {
        let _guard = tch::no_grad_guard();
        let mut values = vec![0.0; texts.len() * columns];
        for (chunk, values) in texts.chunks(CHUNK).zip(values.chunks_mut(CHUNK * columns.max(1))) {
            let encoded = self.encode(chunk);
            let encoded: Vec<&Encoded> = encoded.iter().collect();
            // Sorted by length for speed; rows go back to the places of their texts.
            for places in together(&encoded, self.trunk.device) {
                let group: Vec<&Encoded> = places.iter().filter_map(|&place| encoded.get(place).copied()).collect();
                let logits = self.head.forward(&self.trunk.forward(&group, Reads::First).x, &Noise::Off);
                let logits = logits.to_device(Device::Cpu).contiguous();
                let mut rows = vec![0.0; logits.numel()];
                logits.copy_data(&mut rows, logits.numel());
                for (place, row) in places.into_iter().zip(rows.chunks_exact(columns)) {
                    let own = values.get_mut(place * columns..(place + 1) * columns);
                    own.into_iter().for_each(|own| own.copy_from_slice(row));
                }
            }
        }
        Rows::new(columns, values)
    }
}

/// The names in `id2label`, which must count from 0 without a gap.
fn labels(folder: &Path, config: &Map<String, Value>) -> Result<Vec<String>> {
    let path = folder.join("config.json");
    let by_number = config
        .get("id2label")
        .and_then(Value::as_object)
        .filter(|by_number| !by_number.is_empty())
        .ok_or_else(|| wrong(&path, "it has no id2label: it is no classifier"))?;
    (0..by_number.len())
        .map(|id| {
            let name = by_number.get(&id.to_string()).and_then(Value::as_str);
            name.map(str::to_owned).ok_or_else(|| wrong(&path, format!("id2label has no name for {id}")))
        })
        .collect()
}
