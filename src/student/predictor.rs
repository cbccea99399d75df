//! A finished student, from the folder it was exported to: labels new text, with no teacher and no run. Nothing is
//! trained or written here.

use std::path::{Path, PathBuf};

use serde::Deserialize;

#[cfg(feature = "encoder")]
use super::encoder::Exported;
use super::folder::{read, wrong};
use super::ngram::ExportedNgram;
use super::{CHUNK, Compute, Rows};
use crate::base::threads::can_start;
use crate::config::{DeviceChoice, Precision};
use crate::error::{Error, Result};

/// A finished student: labels new text, without any run or teacher.
pub struct Predictor {
    folder: PathBuf,
    compute: Compute,
    /// How many of it may compute at once, itself and twins.
    threads: u32,
    kind: Kind,
    precision: Precision,
    labels: Vec<String>,
    /// What logits are divided by; a normal number above 0, checked when the folder was read.
    temperature: f32,
}

/// Fewer texts of an `ngram` student are not worth a thread.
const LEAST: usize = 32;

/// An encoder is boxed, for it is much larger than the other.
enum Kind {
    Ngram(ExportedNgram),
    #[cfg(feature = "encoder")]
    Encoder(Box<Exported>),
}

/// The part of `config.json` that tells the kinds apart.
#[derive(Deserialize)]
struct Which {
    model_type: String,
}

impl Predictor {
    /// Opens what `candist export` wrote, or a classifier from Hugging Face of a family that candist knows. Refused by name:
    /// what is no regular file, a weight that is not finite, a model that makes nothing finite of a text. `threads` is how many
    /// may label at once, beside each other; as many as there are processors where nothing is said. What is said is the same with any
    /// number.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] for a folder that is no student's or damaged, [`Error::Device`] where `on` is not there.
    pub fn open(folder: &Path, on: DeviceChoice, threads: impl Into<Option<u32>>) -> Result<Self> {
        let is_there = |file: &str| folder.join(file).exists();
        if !is_there("config.json") || !is_there("model.safetensors") {
            let advice = "`candist export RUN --student DIR` makes one";
            let message = format!("is no folder of a student (config.json and model.safetensors): {advice}");
            return Err(wrong(folder, message));
        }
        let (path, config) = read(folder, "config.json", "a student's folder")?;
        let which: Which = serde_json::from_slice(&config).map_err(|error| wrong(&path, error))?;
        let is_ngram = which.model_type == ExportedNgram::MODEL_TYPE;
        // Several that compute alone are faster than one by many threads, and say the same however many they are.
        let compute = Compute::new(on, 1, 0)?;
        let processors = || std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
        let threads = match threads.into().unwrap_or_else(processors) {
            threads if is_ngram || compute.is_on_processor() => threads,
            // A card is one.
            _ => 1,
        };
        can_start(threads.saturating_sub(1))?;
        compute.begin();
        let (kind, labels, temperature) = if is_ngram {
            let (ngram, labels, temperature) = ExportedNgram::read(folder)?;
            (Kind::Ngram(ngram), labels, temperature)
        } else {
            Self::encoder(folder, &compute)?
        };
        let (precision, temperature) = (Precision::Fp32, temperature as f32);
        Ok(Self { folder: folder.to_owned(), compute, threads, kind, precision, labels, temperature })
    }

    /// The same, but an encoder's layers are computed in bfloat16. Some processors and cards do that much faster;
    /// probabilities differ, by 0.0001 in the median and 0.04 at most where that was measured.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] for an `ngram` student, and for an encoder that makes nothing finite of a text in it.
    pub fn in_bf16(self) -> Result<Self> {
        self.compute.begin();
        match self.kind {
            Kind::Ngram(_) => {
                Err(wrong(&self.folder, "this is an ngram student, which computes in fp32 alone: leave bf16 out"))
            }
            #[cfg(feature = "encoder")]
            Kind::Encoder(encoder) => {
                let kind = Kind::Encoder(Box::new(encoder.in_bf16(&self.folder, self.labels.len())?));
                Ok(Self { kind, precision: Precision::Bf16, ..self })
            }
        }
    }

    /// What it computes in.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Another that says the same, by the same weights, for a thread of its own.
    pub(super) fn twin(&self) -> Self {
        let kind = match &self.kind {
            Kind::Ngram(ngram) => Kind::Ngram(ngram.twin()),
            #[cfg(feature = "encoder")]
            Kind::Encoder(encoder) => Kind::Encoder(Box::new(encoder.twin())),
        };
        let (folder, compute, labels) = (self.folder.clone(), self.compute.clone(), self.labels.clone());
        Self { folder, compute, kind, labels, ..*self }
    }

    /// How many may compute at once.
    pub(super) fn threads(&self) -> u32 {
        self.threads
    }

    /// The places of `texts` in groups that may be labelled apart, for `members` who do it beside each other. What is said of a text
    /// is the same as of all texts at once.
    pub(super) fn groups(&self, texts: &[&str], members: usize) -> Vec<Vec<usize>> {
        let chunk = match &self.kind {
            _ if members < 2 => texts.len().max(1),
            Kind::Ngram(_) => texts.len().div_ceil(members).clamp(LEAST, CHUNK),
            // To know them texts are split into tokens, once more than they have to be.
            #[cfg(feature = "encoder")]
            Kind::Encoder(encoder) if texts.len() < members * CHUNK => return encoder.groups(texts),
            #[cfg(feature = "encoder")]
            Kind::Encoder(_) => CHUNK,
        };
        let places: Vec<usize> = (0..texts.len()).collect();
        places.chunks(chunk).map(<[usize]>::to_vec).collect()
    }

    #[cfg(feature = "encoder")]
    fn encoder(folder: &Path, compute: &Compute) -> Result<(Kind, Vec<String>, f64)> {
        let mut encoder = Exported::read(folder, compute.device())?;
        let (labels, temperature) = (std::mem::take(&mut encoder.labels), encoder.temperature);
        Ok((Kind::Encoder(Box::new(encoder)), labels, temperature))
    }

    #[cfg(not(feature = "encoder"))]
    fn encoder(folder: &Path, _compute: &Compute) -> Result<(Kind, Vec<String>, f64)> {
        Err(super::folder::without_encoder(folder))
    }

    /// The labels' names, C of them.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Logits, one row per text, C columns: logarithms of probabilities up to a constant a row, not calibrated. What an `ngram`
    /// student says of a text is the same to the last bit whatever texts are given with it; of an encoder the last bits are of
    /// the products of texts together, 256 at most.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] where one is not finite.
    pub fn logits(&self, texts: &[&str]) -> Result<Rows> {
        self.compute.begin();
        let rows = match &self.kind {
            Kind::Ngram(ngram) => ngram.logits(texts),
            #[cfg(feature = "encoder")]
            Kind::Encoder(encoder) => encoder.logits(texts, self.labels.len()),
        };
        let broken = rows.iter().position(|row| row.iter().any(|logit| !logit.is_finite()));
        match broken {
            None => Ok(rows),
            Some(place) => {
                let text: String = texts.get(place).into_iter().flat_map(|text| text.chars().take(60)).collect();
                let what = format!("what {} makes of the text {text:?}", self.folder.display());
                Err(Error::NotFinite { what })
            }
        }
    }

    /// Calibrated probabilities, one row per text, C columns: softmax(logits / temperature). The largest logit keeps
    /// its place.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] where a logit is not finite.
    pub fn probabilities(&self, texts: &[&str]) -> Result<Rows> {
        let mut rows = self.logits(texts)?;
        for row in rows.iter_mut() {
            row.iter_mut().for_each(|logit| *logit /= self.temperature);
            super::softmax_in_place(row);
        }
        Ok(rows)
    }
}

#[cfg(all(test, feature = "encoder"))]
mod tests {
    use super::*;

    #[test]
    fn in_bf16_an_encoder_says_nearly_the_same() {
        let encoders = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/encoders");
        let texts = ["my card has not arrived", "a refund, please", "12.5"];
        for folder in std::fs::read_dir(encoders).unwrap() {
            let folder = folder.unwrap().path();
            let wide = Predictor::open(&folder, DeviceChoice::Cpu, 1).unwrap();
            let said = wide.probabilities(&texts).unwrap();
            let narrow = wide.in_bf16().unwrap();
            assert_eq!((narrow.precision(), narrow.twin().precision()), (Precision::Bf16, Precision::Bf16));
            let (less, twin) = (narrow.probabilities(&texts).unwrap(), narrow.twin().probabilities(&texts).unwrap());
            assert_eq!(less, twin);
            let differences = || said.iter().flatten().zip(less.iter().flatten()).map(|(a, b)| (a - b).abs());
            assert!(differences().all(|far| far < 0.02), "{folder:?}: {said:?} {less:?}");
            assert!(differences().any(|far| far > 0.0), "{folder:?}: in fp32, too");
        }
    }
}
