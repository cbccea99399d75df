//! A finished student, from the folder it was exported to: labels new text, with no teacher and no run.

use std::path::Path;

use serde::Deserialize;
use tch::Device;

use super::Rows;
use super::device::device;
use super::encoder::{Exported, is_exported};
use super::ngram::ExportedNgram;
use crate::config::DeviceChoice;
use crate::error::{Error, Result};

/// See the module.
pub struct Predictor {
    kind: Kind,
    labels: Vec<String>,
    temperature: f32,
}

enum Kind {
    Ngram(ExportedNgram),
    Encoder(Box<Exported>),
}

/// The part of `config.json` that tells the kinds apart.
#[derive(Deserialize)]
struct Which {
    model_type: String,
}

impl Predictor {
    /// Opens what `candist export` wrote, or a classifier from Hugging Face of a family that candist knows.
    pub fn open(folder: &Path, on: DeviceChoice, threads: u32) -> Result<Self> {
        let wrong = |message: String| Error::Model { path: folder.to_owned(), message };
        if !is_exported(folder) {
            let advice = "`candist export RUN --student DIR` makes one";
            return Err(wrong(format!("is no folder of a student (config.json and model.safetensors): {advice}")));
        }
        tch::set_num_threads(i32::try_from(threads).unwrap_or(1));
        let path = folder.join("config.json");
        let config =
            std::fs::read(&path).map_err(|source| Error::Input { what: "student's settings", path, source })?;
        let which: Which = serde_json::from_slice(&config).map_err(|error| wrong(format!("config.json: {error}")))?;
        let device: Device = device(on)?;
        let (kind, labels, temperature) = if which.model_type == ExportedNgram::MODEL_TYPE {
            let (ngram, labels, temperature) = ExportedNgram::read(folder)?;
            (Kind::Ngram(ngram), labels, temperature)
        } else {
            let mut encoder = Exported::read(folder, device)?;
            let (labels, temperature) = (std::mem::take(&mut encoder.labels), encoder.temperature);
            (Kind::Encoder(Box::new(encoder)), labels, temperature)
        };
        Ok(Self { kind, labels, temperature: temperature as f32 })
    }

    /// The labels' names, C of them.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Logits, one row per text, C columns.
    #[must_use]
    pub fn logits(&self, texts: &[&str]) -> Rows {
        match &self.kind {
            Kind::Ngram(ngram) => ngram.logits(texts),
            Kind::Encoder(encoder) => encoder.logits(texts, self.labels.len()),
        }
    }

    /// Calibrated probabilities, one row per text, C columns.
    #[must_use]
    pub fn probabilities(&self, texts: &[&str]) -> Rows {
        let scaled =
            |row: &[f32]| super::softmax(&row.iter().map(|logit| logit / self.temperature).collect::<Vec<_>>());
        Rows::new(self.labels.len(), self.logits(texts).iter().flat_map(scaled).collect())
    }
}
