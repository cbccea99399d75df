//! A finished student, from the folder it was exported to: labels new text, with no teacher and no run. Nothing is
//! trained or written here.

use std::path::{Path, PathBuf};

use serde::Deserialize;

#[cfg(feature = "encoder")]
use super::encoder::Exported;
use super::folder::{read, wrong};
use super::ngram::ExportedNgram;
use super::{Compute, Rows};
use crate::config::DeviceChoice;
use crate::error::{Error, Result};

/// A finished student: labels new text, without any run or teacher.
pub struct Predictor {
    folder: PathBuf,
    compute: Compute,
    /// That may compute at once: libtorch's, or twins of this one.
    threads: u32,
    kind: Kind,
    labels: Vec<String>,
    /// What logits are divided by; a normal number above 0, checked when the folder was read.
    temperature: f32,
}

/// An encoder is boxed, for it is much larger than the other.
enum Kind {
    Ngram(ExportedNgram),
    #[cfg(feature = "encoder")]
    Encoder(Box<Exported>),
}

/// libtorch's threads where nothing is said: with more of them the last bits of what an encoder says are others.
const THREADS: u32 = 2;

/// The part of `config.json` that tells the kinds apart.
#[derive(Deserialize)]
struct Which {
    model_type: String,
}

impl Predictor {
    /// Opens what `candist export` wrote, or a classifier from Hugging Face of a family that candist knows. Refused by name:
    /// what is no regular file, a weight that is not finite, a model that makes nothing finite of a text. `threads` are
    /// those of libtorch for an encoder, 2 where nothing is said, and how many texts an `ngram` student labels at once, as
    /// many as there are processors: its labels are the same bytes with any number.
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
        let processors = || std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
        let threads = threads.into().unwrap_or_else(|| if is_ngram { processors() } else { THREADS });
        let compute = Compute::new(on, threads, 0)?;
        let compute = if is_ngram { compute.alone() } else { compute };
        compute.begin();
        let (kind, labels, temperature) = if is_ngram {
            let (ngram, labels, temperature) = ExportedNgram::read(folder)?;
            (Kind::Ngram(ngram), labels, temperature)
        } else {
            Self::encoder(folder, &compute)?
        };
        Ok(Self { folder: folder.to_owned(), compute, threads, kind, labels, temperature: temperature as f32 })
    }

    /// Another that says the same, by the same weights, for a thread of its own. An encoder has none: it computes with
    /// libtorch's threads, and what it says of a text depends on the texts beside it.
    pub(super) fn twin(&self) -> Option<Self> {
        let kind = match &self.kind {
            Kind::Ngram(ngram) => Kind::Ngram(ngram.twin()),
            #[cfg(feature = "encoder")]
            Kind::Encoder(_) => return None,
        };
        let (folder, compute, labels) = (self.folder.clone(), self.compute.clone(), self.labels.clone());
        Some(Self { folder, compute, kind, labels, ..*self })
    }

    /// How many may compute at once.
    pub(super) fn threads(&self) -> u32 {
        self.threads
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
    /// the products of all of them.
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
