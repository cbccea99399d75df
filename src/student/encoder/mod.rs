//! The `encoder` student: a pretrained transformer from a Hugging Face folder, with a classification head.
//!
//! The lower layers stay as they are and are shared (the `trunk`, with `vectors`, its results on disk); the head, and
//! as many top layers as configured, are trained in copies. `architecture` reads `config.json`, `family` knows the names
//! of tensors, `weights` reads them; `tokens` splits texts. `embeddings`, `layers` and `head` compute on `packed` texts:
//! a layer is a `post_norm` one (BERT and its kin; DeBERTa's with `relative` attention) or a `modern` one (ModernBERT).
//! `copy` is what is trained, `adamw` how; `folder` writes a student for use elsewhere and reads it again.

mod adamw;
mod architecture;
mod copy;
mod embeddings;
mod family;
mod folder;
mod head;
mod layers;
mod modern;
mod noise;
mod packed;
mod pair;
mod post_norm;
mod relative;
#[cfg(test)]
mod tests;
mod tokens;
mod trunk;
mod vectors;
mod weights;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rand::Rng;
use tch::{Device, Kind, Tensor};

use self::architecture::{Architecture, Pooling, wrong};
use self::copy::{Copy, Part};
use self::embeddings::Embeddings;
use self::head::Head;
use self::layers::{Layer, Reads};
use self::noise::Noise;
use self::packed::Packed;
use self::tokens::Tokens;
use self::trunk::{Trunk, together};
use self::vectors::Vectors;
use self::weights::Weights;
use super::checkpoint::{Loaded, Saved};
use super::finite::Skips;
use super::frozen::Room;
use super::{Compute, Encoded, Encoding, Example, Fold, Objective, Rows, Snapshot, Step, Student, mixing_weight};
use crate::base::random::rng;
use crate::config::{EncoderConfig, Precision, StudentConfig};
use crate::error::{Error, Result};

pub(super) use folder::Exported;

/// Goes into the identity: another number when the same settings come to learn otherwise. 2: dropout of our own
/// numbers. 3: frozen layers in tiles, also where others are trained.
const METHOD: u32 = 3;
/// A text of which every model makes finite numbers, or is of no use.
const PROBE: &str = "A probe: a few words, 12.5.";
/// In a checkpoint's notes: training steps done, and the hash of `model.safetensors`.
const STEPS: &str = "encoder_steps";
const TRUNK: &str = "encoder_trunk";

fn size(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// A folder, opened: what of it is the same for every student.
struct Opened {
    architecture: Architecture,
    weights: Weights,
    tokens: Tokens,
    embeddings: Embeddings,
}

impl Opened {
    fn open(config: &EncoderConfig) -> Result<Self> {
        let architecture = Architecture::read(&config.model)?;
        if config.train_layers as usize > architecture.layers {
            let message =
                format!("student.train_layers is {}, and it has {} layers", config.train_layers, architecture.layers);
            return Err(wrong(&config.model, message));
        }
        let weights = Weights::read(&config.model, architecture.prefix())?;
        let embeddings = Embeddings::read(&architecture, &weights)?;
        let longest = architecture.longest().min(config.max_length as usize);
        let tokens = Tokens::read(&config.model, longest, embeddings.vocabulary())?;
        Ok(Self { architecture, weights, tokens, embeddings })
    }
}

fn not_finite(folder: &Path) -> Error {
    let message =
        "what it makes of a text is not finite: the file is damaged, or its numbers are too large; get it again";
    wrong(&folder.join("model.safetensors"), message)
}

/// Tells apart whatever the labels depend on in a folder; an error if it cannot be used. Reads all layers and tries
/// them on a text, on the processor: a model that is broken is told before anything is asked.
pub(super) fn identity(config: &EncoderConfig) -> Result<String> {
    let opened = Opened::open(config)?;
    let mut layers = layers::read(&opened.architecture, &opened.weights)?;
    layers.extend(layers::top(&opened.architecture, &opened.weights, Pooling::First)?);
    let (device, reads, room) = (Device::Cpu, Reads::First, Room::new(0));
    let trunk = Trunk { embeddings: opened.embeddings, layers, device, reads, room, vectors: None };
    let probe = Encoded { ids: opened.tokens.encode(PROBE), ..Encoded::default() };
    if !super::finite::is_finite(&trunk.forward(&[&probe], Reads::First).x) {
        return Err(not_finite(&config.model));
    }
    let (_, tokenizer) = architecture::read(&config.model, "tokenizer.json")?;
    let settings = format!("{:?}{:?}", opened.architecture.config, opened.architecture.pooling);
    let (weights, tokenizer, settings) =
        (opened.weights.hash(), blake3::hash(&tokenizer), blake3::hash(settings.as_bytes()));
    Ok(format!("{METHOD} {weights} {tokenizer} {settings}"))
}

pub(super) struct Encoder {
    compute: Arc<Compute>,
    config: StudentConfig,
    encoder: EncoderConfig,
    labels: usize,
    architecture: Architecture,
    /// Shared with whoever reads texts ahead.
    tokens: Arc<Tokens>,
    trunk: Trunk,
    /// Of `model.safetensors`; a checkpoint of another model is refused.
    trunk_hash: String,
    /// What copies begin with.
    origin: Copy,
    copies: Vec<Copy>,
    /// Training steps since the beginning, or since it forgot everything, those included that were left out: keys of
    /// dropout, and what the warm-up counts.
    steps: u64,
    skips: Skips,
}

impl Encoder {
    /// `dir` is where vectors are kept, unless the configuration says where.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] where the folder cannot be used, or makes nothing finite of a text on this device and at this
    /// precision.
    pub(super) fn new(
        compute: Arc<Compute>,
        config: &StudentConfig,
        encoder: &EncoderConfig,
        folds: usize,
        labels: usize,
        dir: Option<&Path>,
    ) -> Result<Self> {
        compute.begin();
        let Opened { architecture, weights, tokens, embeddings } = Opened::open(encoder)?;
        let device = compute.device();
        let kind = match encoder.precision {
            Precision::Fp32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        };
        let frozen = architecture.layers - encoder.train_layers as usize;
        let mut layers = layers::read(&architecture, &weights)?;
        // The top layers are trained; the others stay in the trunk.
        let mut trained = layers.split_off(frozen);
        let is_mean = architecture.pooling == Pooling::Mean;
        let mut rng = compute.rng("head", &[]);
        let mut random = || -> f32 { rng.sample(rand::distr::StandardUniform) };
        // The sum of twelve uniform numbers, less six: mean 0, variance 1, with no logarithm whose last bit a library
        // decides.
        let mut normal = || (0..12).map(|_| random()).sum::<f32>() - 6.0;
        let head = Head::new(&architecture, &weights, size(labels), is_mean, !trained.is_empty(), &mut normal)?;
        let there = |tensor: &Tensor| tensor.to_device(device);
        let is_trained = !trained.is_empty();
        // What lies on top belongs to the trunk if nothing is trained, so that its result is a vector to keep. A mean has
        // nothing that could be trained, and is above what has.
        let top = layers::top(&architecture, &weights, architecture.pooling)?;
        let norms = top.iter().filter(|layer| matches!(layer, Layer::Norm(..))).count();
        let trained_layers = if is_trained { trained.len() + norms } else { 0 };
        let below = if is_trained { &mut trained } else { &mut layers };
        below.extend(top);
        let origin = Copy::new(
            trained.iter().map(|layer| layer.map(&there).computed_in(kind)).collect(),
            trained_layers,
            encoder.layer_decay,
            head.map(&there),
        );
        let frozen = |tensor: &Tensor| tensor.to_kind(kind).to_device(device);
        let trunk_hash = weights.hash();
        // Whatever the bits of a vector may depend on.
        let vectors_of = format!(
            "{trunk_hash} {:?} {:?} {kind:?} {device:?} {:?}",
            architecture.config,
            architecture.pooling,
            trunk::TILES
        );
        // Of every token that would be too much to keep on disk.
        let folder = encoder.vectors.as_deref().or(dir).filter(|_| !is_trained);
        let hidden = usize::try_from(architecture.hidden).unwrap_or(0);
        let vectors = folder.and_then(|folder| Vectors::open(folder, &vectors_of, hidden));
        let new = Self {
            copies: (0..folds).map(|_| origin.trainable()).collect(),
            trunk: Trunk {
                embeddings: embeddings.map(&frozen),
                layers: layers.iter().map(|layer| layer.map(&frozen).computed_in(kind)).collect(),
                device,
                reads: if is_trained { Reads::All } else { Reads::First },
                room: Room::new(trunk::ROOM),
                vectors,
            },
            trunk_hash,
            config: config.clone(),
            encoder: encoder.clone(),
            labels,
            architecture,
            tokens: Arc::new(tokens),
            origin,
            steps: 0,
            skips: Skips::default(),
            compute,
        };
        if new.is_sound() { Ok(new) } else { Err(not_finite(&encoder.model)) }
    }

    /// Whether it makes finite numbers of a text, on its device and at its precision.
    fn is_sound(&self) -> bool {
        let _guard = tch::no_grad_guard();
        let below = self.trunk.forward(&[&self.encode(PROBE)], self.trunk.reads);
        super::finite::is_finite(&self.origin.forward(&below, &Noise::Off))
    }

    /// What the copies get of `texts`, each text in one of the inputs, with the places in `texts`. Computed once for
    /// all copies.
    fn inputs(&self, texts: &[&Encoded]) -> Vec<(Vec<usize>, Packed)> {
        if self.trunk.reads == Reads::First {
            return vec![((0..texts.len()).collect(), self.trunk.read(texts))];
        }
        let read = |places: Vec<usize>| {
            let texts: Vec<&Encoded> = places.iter().filter_map(|&place| texts.get(place).copied()).collect();
            let input = self.trunk.read(&texts);
            (places, input)
        };
        together(texts, self.trunk.device).into_iter().map(read).collect()
    }

    /// What a copy trains on of texts that go through the layers together. Partners are drawn among them, which the
    /// copy may all see.
    fn part<'a>(&self, input: Packed, examples: &[&Example<'a>], rng: &mut impl Rng) -> Part {
        let count = examples.len();
        let there = |tensor: Tensor| tensor.to_device(self.trunk.device);
        let rows = |of: fn(&Example<'a>) -> Option<&'a [f32]>| {
            let none = vec![0.0; self.labels];
            let values: Vec<f32> = examples.iter().flat_map(|example| of(example).unwrap_or(&none).to_vec()).collect();
            let has: Vec<f32> = examples.iter().map(|example| f32::from(u8::from(of(example).is_some()))).collect();
            (there(Tensor::from_slice(&values).view([size(count), size(self.labels)])), there(Tensor::from_slice(&has)))
        };
        let (targets, has_target) = rows(|example| example.target);
        let (steady, has_steady) = rows(|example| example.steady);
        let partners: Vec<i64> = examples.iter().map(|_| size(rng.random_range(0..count))).collect();
        let mixing: Vec<f32> = examples.iter().map(|_| mixing_weight(rng)).collect();
        Part {
            input,
            targets,
            has_target,
            steady,
            has_steady,
            partners: there(Tensor::from_slice(&partners)),
            mixing: there(Tensor::from_slice(&mixing).view([size(count), 1])),
        }
    }

    /// Rows in the order of `texts`, whatever order they were computed in.
    fn logits_of(&self, copy: &Copy, texts: &[&Encoded]) -> Rows {
        let _guard = tch::no_grad_guard();
        let mut values = vec![0.0; texts.len() * self.labels];
        if texts.is_empty() {
            return Rows::new(self.labels, values);
        }
        for (places, input) in self.inputs(texts) {
            let logits = copy.forward(&input, &Noise::Off).to_device(Device::Cpu).contiguous();
            let mut rows = vec![0.0; logits.numel()];
            logits.copy_data(&mut rows, logits.numel());
            for (place, row) in places.into_iter().zip(rows.chunks_exact(self.labels)) {
                values
                    .get_mut(place * self.labels..(place + 1) * self.labels)
                    .into_iter()
                    .for_each(|r| r.copy_from_slice(row));
            }
        }
        Rows::new(self.labels, values)
    }

    fn saved(&self) -> Saved {
        self.compute.begin();
        let mut saved = Saved::new();
        for (fold, copy) in self.copies.iter().enumerate() {
            copy.save(&format!("fold.{fold}"), &mut saved);
        }
        saved
    }

    /// What a file says of the student besides its tensors.
    fn notes(&self) -> HashMap<String, String> {
        [(STEPS.to_owned(), self.steps.to_string()), (TRUNK.to_owned(), self.trunk_hash.clone())].into()
    }
}

impl Student for Encoder {
    fn encode(&self, text: &str) -> Encoded {
        Encoded { ids: self.tokens.encode(text), ..Encoded::default() }
    }

    fn encoding(&self) -> Option<Encoding> {
        let tokens = Arc::clone(&self.tokens);
        Some(Arc::new(move |text| Encoded { ids: tokens.encode(text), ..Encoded::default() }))
    }

    fn prepare(&self, texts: &[&Encoded]) {
        self.compute.begin();
        self.trunk.prepare(texts);
    }

    fn logits(&self, fold: Fold, texts: &[&Encoded]) -> Rows {
        self.compute.begin();
        self.copies.get(fold).map_or_else(|| Rows::new(self.labels, Vec::new()), |copy| self.logits_of(copy, texts))
    }

    /// One model in the place of all copies: the mean of their weights. They began alike and saw nearly the same.
    fn predict(&self, texts: &[&Encoded]) -> Rows {
        self.compute.begin();
        self.logits_of(&Copy::mean(&self.origin, &self.copies), texts)
    }

    fn train(&mut self, batch: &[Example<'_>], objective: Objective, rate: f64) -> Result<Step> {
        if batch.is_empty() {
            return Ok(Step::Taken);
        }
        self.compute.begin();
        self.steps += 1;
        let texts: Vec<&Encoded> = batch.iter().map(|example| example.text).collect();
        let inputs = self.inputs(&texts);
        let warm_up = (self.steps as f64 / f64::from(self.encoder.warmup_steps.max(1))).min(1.0);
        let rate = rate * warm_up * self.config.learning_rate;
        let mut taken = true;
        for fold in 0..self.copies.len() {
            let noise = Noise::new(self.compute.rng("dropout", &[self.steps, fold as u64]), self.trunk.device);
            let mut rng = rng(objective.seed, "mixup", &[fold as u64]);
            let parts: Vec<Part> = inputs
                .iter()
                .filter_map(|(places, input)| {
                    let (numbers, seen): (Vec<usize>, Vec<&Example<'_>>) = (0..)
                        .zip(places.iter().filter_map(|&place| batch.get(place)))
                        .filter(|(_, example)| example.held_out != fold)
                        .unzip();
                    (!numbers.is_empty()).then(|| self.part(input.texts(&numbers), &seen, &mut rng))
                })
                .collect();
            if let Some(copy) = self.copies.get_mut(fold) {
                taken &= copy.step(&parts, objective, rate, &noise);
            }
        }
        self.skips.count(taken, self.config.learning_rate)
    }

    fn skipped(&self) -> u64 {
        self.skips.total()
    }

    fn reset(&mut self) {
        self.compute.begin();
        self.steps = 0;
        for copy in &mut self.copies {
            *copy = self.origin.trainable();
        }
    }

    fn save(&self, path: &Path, mut notes: HashMap<String, String>) -> Result<()> {
        notes.extend(self.notes());
        self.saved().write(path, notes)
    }

    fn snapshot(&self) -> Option<Snapshot> {
        Some(self.saved().into_snapshot(self.notes()))
    }

    fn load(&mut self, path: &Path) -> Result<HashMap<String, String>> {
        self.compute.begin();
        let loaded = Loaded::read(path)?;
        if loaded.notes.get(TRUNK) != Some(&self.trunk_hash) {
            return Err(
                loaded.wrong(format!("it belongs to another model than that in {}", self.encoder.model.display()))
            );
        }
        let steps = loaded.notes.get(STEPS).and_then(|steps| steps.parse().ok());
        self.steps = steps.ok_or_else(|| loaded.wrong("it does not say how many steps were done"))?;
        for (fold, copy) in self.copies.iter_mut().enumerate() {
            copy.load(&format!("fold.{fold}"), &loaded, self.trunk.device)?;
        }
        Ok(loaded.notes)
    }

    fn export(&self, folder: &Path, label_names: &[String], temperature: f64) -> Result<()> {
        self.compute.begin();
        let copy = Copy::mean(&self.origin, &self.copies);
        folder::write(self, &copy, folder, label_names, temperature)
    }
}

/// Numbers as an index on the device of `beside`: tensors of one operation must be on one device.
fn index(rows: &[i64], beside: &Tensor) -> Tensor {
    Tensor::from_slice(rows).to_device(beside.device())
}
