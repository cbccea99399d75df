//! The `ngram` student as a folder: `config.json` and `model.safetensors`, laid out as the README says.
//!
//! All copies are exported, for a new text is predicted by the mean of their probabilities. A folder may come from
//! anyone: every number in it is checked before it is used.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::alone::Alone;
use super::model::Model;
use super::{Ngram, encode};
use crate::config::{MOST_WEIGHTS, NgramConfig};
use crate::error::{Error, Result};
use crate::student::checkpoint::{Loaded, Saved};
use crate::student::folder::read;
use crate::student::{Encoded, Rows};

/// `config.json`. Other fields are passed over.
#[derive(Serialize, Deserialize)]
struct Config {
    model_type: String,
    /// Names by number, from "0" on, as Hugging Face has them.
    id2label: HashMap<String, String>,
    dimension: u32,
    /// Decides what an n-gram's row is: another number makes the weights mean nothing.
    buckets: u32,
    copies: usize,
    temperature: f64,
}

/// Texts predicted together: bounds memory for a long list of them.
const CHUNK: usize = 256;
/// What every student makes something finite of.
const PROBE: &str = "A probe: a few words, 12.5.";
/// Copies that a folder may have. A bound on what a damaged number may ask for; configurations have few.
const MOST_COPIES: usize = 64;

/// An `ngram` student from a folder, for use.
pub(in crate::student) struct ExportedNgram {
    buckets: u32,
    /// C, the number of names in `id2label`.
    labels: usize,
    copies: Alone,
}

impl Ngram {
    /// Writes both files, on disk when it returns, but for the content of `config.json`, which is not synced by
    /// itself.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] for weights that are not finite, and then no file is written; [`Error::RunFile`] where
    /// one cannot be.
    pub(super) fn write(&self, folder: &Path, labels: &[String], temperature: f64) -> Result<()> {
        let config = Config {
            model_type: ExportedNgram::MODEL_TYPE.to_owned(),
            id2label: labels.iter().enumerate().map(|(id, name)| (id.to_string(), name.clone())).collect(),
            dimension: self.ngram.dimension,
            buckets: self.ngram.buckets,
            copies: self.copies,
            temperature,
        };
        let mut saved = Saved::new();
        for number in 0..self.copies {
            self.model.save_weights(number, &format!("copy.{number}"), &mut saved);
        }
        saved.write(&folder.join("model.safetensors"), HashMap::new())?;
        let path = folder.join("config.json");
        // By way of a sorted map: the same student makes the same file.
        let sorted = serde_json::to_value(&config).unwrap_or_default();
        let text = serde_json::to_string_pretty(&sorted).unwrap_or_default();
        std::fs::write(&path, text + "\n").map_err(Error::run_file("write", &path))?;
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::run_file("write", folder))
    }
}

impl ExportedNgram {
    pub(in crate::student) const MODEL_TYPE: &'static str = "candist-ngram";

    /// The student, its labels and its temperature.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] for whatever is wrong with the folder: a file that is missing or no regular one, numbers out
    /// of bounds, tensors of other shapes or not finite, a model that makes nothing finite of a text.
    pub(in crate::student) fn read(folder: &Path) -> Result<(Self, Vec<String>, f64)> {
        let (path, bytes) = read(folder, "config.json", "a student's folder")?;
        let wrong = |message: String| Error::Model { path: path.clone(), message };
        let config: Config = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        let count = config.id2label.len();
        let labels: Option<Vec<String>> = (0..count).map(|id| config.id2label.get(&id.to_string()).cloned()).collect();
        let labels = labels
            .filter(|labels| !labels.is_empty())
            .ok_or_else(|| wrong("id2label does not name 0, 1, 2, ..".to_owned()))?;
        // The bounds that the configuration has: a damaged number must not ask for all memory.
        let fits = (1..=4096).contains(&config.dimension)
            && (16..=1 << 24).contains(&config.buckets)
            && u64::from(config.dimension) * u64::from(config.buckets) <= MOST_WEIGHTS
            && (1..=MOST_COPIES).contains(&config.copies)
            && config.temperature > 0.0
            && (config.temperature as f32).is_normal();
        if !fits {
            return Err(wrong("its numbers are no ngram student's".to_owned()));
        }
        let model = folder.join("model.safetensors");
        // The same reader serves checkpoints, whose errors speak of a run. Wrong in a folder that was handed over is
        // wrong input, and no damage to a run.
        let of_the_model = |error| match error {
            Error::Checkpoint { path, message } => Error::Model { path, message },
            Error::RunFile { path, source, .. } => Error::Model { path, message: source.to_string() },
            other => other,
        };
        let loaded = Loaded::read(&model).map_err(of_the_model)?;
        let ngram = NgramConfig { dimension: config.dimension, buckets: config.buckets };
        let mut copies = Model::new(&ngram, 0, count, config.copies);
        for number in 0..config.copies {
            copies.load_weights(number, &format!("copy.{number}"), &loaded).map_err(of_the_model)?;
        }
        let exported = Self { buckets: config.buckets, labels: count, copies: Alone::new(copies) };
        // Finite weights may still be so large that what is made of them is not.
        if !exported.logits(&[PROBE]).is_finite() {
            let message = "what it makes of a text is not finite: the file is damaged; export it again".to_owned();
            return Err(Error::Model { path: model, message });
        }
        Ok((exported, labels, config.temperature))
    }

    /// The same student with the same weights, for another thread.
    pub(in crate::student) fn twin(&self) -> Self {
        Self { buckets: self.buckets, labels: self.labels, copies: self.copies.twin() }
    }

    /// One row per text, C columns: log-probabilities of the copies' mean. A text's row is the same, to the last bit, whatever
    /// other texts are predicted with it.
    pub(in crate::student) fn logits(&self, texts: &[&str]) -> Rows {
        let mut values = Vec::with_capacity(texts.len() * self.labels);
        for chunk in texts.chunks(CHUNK) {
            let encoded: Vec<Encoded> = chunk.iter().map(|text| encode(text, self.buckets)).collect();
            let encoded: Vec<&Encoded> = encoded.iter().collect();
            values.extend(self.copies.predict(&encoded));
        }
        Rows::new(self.labels, values)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{StudentConfig, StudentKind};
    use crate::student::{Compute, Example, Loss, Student};

    #[test]
    fn what_is_said_of_a_text_does_not_depend_on_its_company() {
        let ngram = NgramConfig { dimension: 77, buckets: 1 << 10 };
        let config = StudentConfig { kind: StudentKind::Ngram(ngram.clone()), learning_rate: 0.1, seed: 1, threads: 2 };
        let mut student = Ngram::new(Arc::new(Compute::of(&config).unwrap()), &config, &ngram, 3, 5);
        let texts: Vec<String> =
            (0..300).map(|n: u32| format!("text {n} {}", "of words ".repeat(n as usize % 9))).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let encoded: Vec<Encoded> = texts.iter().map(|text| student.encode(text)).collect();
        let target = |n: usize| -> Vec<f32> { (0..5).map(|label| if label == n % 5 { 1.0 } else { 0.0 }).collect() };
        let targets: Vec<Vec<f32>> = (0..texts.len()).map(target).collect();
        let batch: Vec<Example<'_>> = encoded
            .iter()
            .zip(&targets)
            .enumerate()
            .map(|(n, (text, target))| Example::new(text, n % 3, target))
            .collect();
        for _ in 0..5 {
            student.train(&batch, Loss::CrossEntropy.into(), 1.0).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let labels = ["a", "b", "c", "d", "e"].map(str::to_owned);
        student.export(folder.path(), &labels, 1.5).unwrap();
        let (exported, ..) = ExportedNgram::read(folder.path()).unwrap();
        let together: Vec<Vec<f32>> = exported.logits(&texts).iter().map(<[f32]>::to_vec).collect();
        assert!(together.iter().flatten().any(|logit| *logit < -0.5));
        for size in [1, 2, 3, 15, 16, 17, 100, 257] {
            let apart: Vec<Vec<f32>> = texts
                .chunks(size)
                .flat_map(|chunk| exported.logits(chunk).iter().map(<[f32]>::to_vec).collect::<Vec<_>>())
                .collect();
            assert!(apart == together, "{size} at a time");
        }
        let turned: Vec<&str> = texts.iter().rev().copied().collect();
        let mut turned: Vec<Vec<f32>> = exported.logits(&turned).iter().map(<[f32]>::to_vec).collect();
        turned.reverse();
        assert!(turned == together, "the other way round");
    }
}
