//! Students: small models that learn from candidates. The only module that names tch.
//!
//! A student is trained in `folds` copies ([`Fold`]): copy k never sees a sample of fold k, so what it says about such a
//! sample is out of sample. What it computes on is a [`Compute`], which it borrows. Numbers that are not finite stop where
//! they arise ([`Step`]): none gets into a weight, a file or a label.

mod checkpoint;
mod compute;
mod crew;
mod device;
#[cfg(feature = "encoder")]
mod encoder;
mod finite;
mod folder;
mod frozen;
mod ngram;
mod prediction;
mod predictor;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rand::Rng;

pub(crate) use compute::Compute;
pub use crew::{CHUNK, CHUNK_BYTES, Crew};
pub use device::missing_cuda;
pub use finite::Step;
pub use frozen::Frozen;
pub use prediction::Prediction;
pub use predictor::Predictor;

use crate::config::{DistillConfig, StudentConfig, StudentKind};
use crate::error::Result;

/// Which copy of the student; a sample belongs to the fold whose copy never trains on it.
pub type Fold = usize;

/// A text as a student reads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Encoded {
    /// Feature ids, each once, or token ids in their order.
    pub ids: Vec<u32>,
    /// One weight per feature; none for tokens.
    pub weights: Vec<f32>,
    /// What the parts of a student that are never trained make of it, once that was computed. Filled by whoever needs
    /// it first.
    pub frozen: OnceLock<Frozen>,
}

/// Rows of numbers, all of one length: logits or probabilities, one row per text, one column per label.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Above 0.
    columns: usize,
    /// Row after row.
    values: Vec<f32>,
}

impl Rows {
    /// Rows of `columns` values each, one after the other.
    #[must_use]
    pub fn new(columns: usize, values: Vec<f32>) -> Self {
        debug_assert!(columns > 0 && values.len().is_multiple_of(columns));
        Self { columns, values }
    }

    /// Whether no value is infinite or no number at all. A label may be taken from such rows alone.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.values.iter().all(|value| value.is_finite())
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        self.values.chunks_exact_mut(self.columns)
    }

    /// The rows.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.columns)
    }
}

/// What a student is trained to do with an example's target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The target is a distribution; the loss is the cross-entropy with it.
    CrossEntropy,
    /// The target has a 1 for each candidate; the loss is -log of the sum of their probabilities. Its gradient is that of
    /// the cross-entropy with the student's own probabilities renormalised within the candidates.
    Candidates,
}

/// A text to train on.
#[derive(Debug, Clone, Copy)]
pub struct Example<'a> {
    /// The text.
    pub text: &'a Encoded,
    /// The copy that must not see it; none if there is no such copy.
    pub held_out: Fold,
    /// One value per label, as the loss reads them; without it, the text is only regularised.
    pub target: Option<&'a [f32]>,
    /// What should still be said of the text when it is perturbed: a distribution.
    pub steady: Option<&'a [f32]>,
}

impl<'a> Example<'a> {
    /// A text with its target, as it is.
    #[must_use]
    pub fn new(text: &'a Encoded, held_out: Fold, target: &'a [f32]) -> Self {
        Self { text, held_out, target: Some(target), steady: None }
    }
}

/// What a training step lowers: the mean loss over the examples with a target, and `regularisation` times the mean
/// cross-entropy over the examples with a steady distribution, once of texts perturbed by dropout and once of pairs of texts
/// mixed, embeddings and distributions alike (mixup, Zhang et al. 2018, arXiv 1710.09412).
#[derive(Debug, Clone, Copy)]
pub struct Objective {
    /// What is done with the targets.
    pub loss: Loss,
    /// Weight of the other two terms; 0 does without them.
    pub regularisation: f32,
    /// Of what is drawn for them.
    pub seed: u64,
}

impl From<Loss> for Objective {
    fn from(loss: Loss) -> Self {
        Self { loss, regularisation: 0.0, seed: 0 }
    }
}

/// Reads texts as [`Student::encode`] does, on any thread.
pub type Encoding = Arc<dyn Fn(&str) -> Encoded + Send + Sync>;

/// Weights and optimizer state as they were: writes them with its notes, as [`Student::save`] does.
pub type Snapshot = Box<dyn FnOnce(&Path, HashMap<String, String>) -> Result<()> + Send>;

/// A small model in several copies, with its optimizer.
///
/// A label comes from [`Student::logits`] of the one copy that never trained on the text (cross-fitting), so that it is no
/// memory of the candidates. With N texts and C labels:
///
/// | method | gives | unit |
/// |---|---|---|
/// | `encode` | one [`Encoded`] | ids of this student, valid for it alone |
/// | `logits`, `predict` | N rows of C columns | logits: logarithms of probabilities, up to a constant a row |
/// | `train` | one step of every copy | at `rate` times the configured learning rate |
///
/// Everything is a function of the settings, the seed and the calls so far: no clock, no thread, no shared generator. The
/// same calls give the same bits on one build and machine type, for one number of threads (`student.threads`).
///
/// Logits of a student that is broken may be infinite or no numbers: ask [`Rows::is_finite`] before a label is taken from
/// them. What is written to files is checked here.
pub trait Student: Send {
    /// Reads a text of any length and content; of a long one only as much as the student can use. Pure: the same text
    /// gives the same, at any time.
    fn encode(&self, text: &str) -> Encoded;

    /// [`Student::encode`] for another thread, which reads texts ahead while the student learns: it must say the same of every text,
    /// and is then asked in its place. Without one (the default) texts are read in between.
    fn encoding(&self) -> Option<Encoding> {
        None
    }

    /// Computes what is the same for all copies and never changes, for many texts at once: cheaper than one by one
    /// later. What is said of a text must not depend on whether, or with which others, it was prepared.
    fn prepare(&self, _texts: &[&Encoded]) {}

    /// Whether `logits` and `out_of_sample` say the same of a text, to the last bit, whichever texts are asked of with it. Texts that arrive one
    /// after the other are then asked of together, which is cheaper; else a resumed run, which meets them in other company,
    /// could come to other labels.
    fn is_steady_in_company(&self) -> bool {
        false
    }

    /// Logits of `texts` from the copy `fold`: one row per text, C columns.
    fn logits(&self, fold: Fold, texts: &[&Encoded]) -> Rows;

    /// Logits of each text from the copy named with it: one row per text, C columns. As [`Student::logits`] of each copy, which
    /// is what it does unless a student can do it at once.
    fn out_of_sample(&self, texts: &[(&Encoded, Fold)]) -> Rows {
        let folds: BTreeSet<Fold> = texts.iter().map(|(_, fold)| *fold).collect();
        let mut rows = vec![Vec::new(); texts.len()];
        let mut columns = 1;
        for fold in folds {
            let (places, own): (Vec<usize>, Vec<&Encoded>) =
                texts.iter().enumerate().filter(|(_, (_, of))| *of == fold).map(|(at, (text, _))| (at, *text)).unzip();
            let logits = self.logits(fold, &own);
            columns = logits.columns;
            for (place, row) in places.into_iter().zip(logits.iter()) {
                if let Some(own) = rows.get_mut(place) {
                    *own = row.to_vec();
                }
            }
        }
        // Whoever says nothing of a text has no preference.
        rows.iter_mut().for_each(|row| row.resize(columns, 0.0));
        Rows::new(columns, rows.concat())
    }

    /// Logits of new texts, which no copy has seen, from all copies together: one row per text, C columns.
    fn predict(&self, texts: &[&Encoded]) -> Rows;

    /// One training step of every copy, at `rate` times the learning rate, each on those examples in `batch` that are not held
    /// out from it. A copy whose loss or gradient is not finite does not take it, and the others need not: [`Step::Skipped`].
    /// After too many of those in a row, [`Error::NotFinite`](crate::Error::NotFinite).
    ///
    /// An empty batch is no step. How long it takes may depend on the batch, what it does only on batch, objective,
    /// rate, and the steps before.
    fn train(&mut self, batch: &[Example<'_>], objective: Objective, rate: f64) -> Result<Step>;

    /// Steps that were skipped since this student was made.
    fn skipped(&self) -> u64;

    /// Forgets everything: as new.
    fn reset(&mut self);

    /// Writes weights, optimizer state and `notes` to a safetensors file at `path`, on disk when this returns. Refused,
    /// and nothing written, if a value is not finite. Notes come back as they were from [`Student::load`]; a student
    /// may add its own.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`](crate::Error::NotFinite), and those of writing.
    fn save(&self, path: &Path, notes: HashMap<String, String>) -> Result<()>;

    /// What [`Student::save`] would write now, taken in a moment, so that the student goes on while another thread writes it.
    /// Without one (the default) the student waits until it is written.
    fn snapshot(&self) -> Option<Snapshot> {
        None
    }

    /// Reads what [`Student::save`] wrote, for the same settings; returns the notes. After an error the student is to be made
    /// anew: part of it may have been read.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`](crate::Error::Checkpoint) for a file that is damaged or of other settings,
    /// [`Error::RunFile`](crate::Error::RunFile) where it cannot be read.
    fn load(&mut self, path: &Path) -> Result<HashMap<String, String>>;

    /// Writes what [`Predictor`] reads into `folder`, which is there and empty: the student as [`Student::predict`] has it,
    /// with the labels' names, and the temperature that its logits are divided by for calibrated probabilities.
    ///
    /// # Errors
    ///
    /// Those of [`Student::save`].
    fn export(&self, folder: &Path, labels: &[String], temperature: f64) -> Result<()>;
}

/// A draw from Beta(4, 4), the weight of one of two mixed texts: the median of seven uniform ones. (The k-th smallest
/// of n is Beta(k, n + 1 - k).) Near a half, so both texts count.
fn mixing_weight(rng: &mut impl Rng) -> f32 {
    let mut draws: [f32; 7] = rng.random();
    draws.sort_by(f32::total_cmp);
    let [_, _, _, median, ..] = draws;
    median
}

/// softmax of one row, with the largest logit taken off first, so that nothing overflows. No numbers where a logit is
/// none, or the largest is infinite.
#[must_use]
pub fn softmax(logits: &[f32]) -> Vec<f32> {
    let mut row = logits.to_vec();
    softmax_in_place(&mut row);
    row
}

/// As [`softmax`], where the logits are.
fn softmax_in_place(row: &mut [f32]) {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|logit| *logit = (*logit - top).exp());
    let sum: f32 = row.iter().sum();
    row.iter_mut().for_each(|p| *p /= sum);
}

/// The column with the largest value, the first of equals. What is no number is passed over; `None` if nothing is left.
#[must_use]
pub fn argmax(row: &[f32]) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (column, &value) in row.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
        if best.is_none_or(|(_, top)| value > top) {
            best = Some((column, value));
        }
    }
    best.map(|(column, _)| column)
}

/// The notes in the header of a file that [`Student::save`] wrote. Reads all of the file.
pub(crate) fn notes(path: &Path) -> Result<HashMap<String, String>> {
    Ok(checkpoint::Loaded::read(path)?.notes)
}

/// A new student as configured, for `labels` labels, of the run in `dir`, where it may keep what it would compute
/// again.
///
/// # Errors
///
/// [`Error::Device`](crate::Error::Device), [`Error::Threads`](crate::Error::Threads), and for an encoder's folder
/// [`Error::Model`](crate::Error::Model).
pub fn new(
    config: &StudentConfig,
    distill: &DistillConfig,
    labels: usize,
    dir: Option<&Path>,
) -> Result<Box<dyn Student>> {
    new_on(Arc::new(Compute::of(config)?), config, distill, labels, dir)
}

/// The same, computed on `compute` instead of what the configuration says.
pub(crate) fn new_on(
    compute: Arc<Compute>,
    config: &StudentConfig,
    distill: &DistillConfig,
    labels: usize,
    dir: Option<&Path>,
) -> Result<Box<dyn Student>> {
    let folds = distill.folds as usize;
    Ok(match &config.kind {
        StudentKind::Ngram(ngram) => Box::new(ngram::Ngram::new(compute, config, ngram, folds, labels)),
        #[cfg(feature = "encoder")]
        StudentKind::Encoder(encoder) => {
            let vectors = dir.map(|dir| dir.join("vectors"));
            Box::new(encoder::Encoder::new(compute, config, encoder, folds, labels, vectors.as_deref())?)
        }
        #[cfg(not(feature = "encoder"))]
        StudentKind::Encoder(encoder) => {
            let _ = dir;
            return Err(folder::without_encoder(&encoder.model));
        }
    })
}

/// Whether what a configured student computes on is there.
pub(crate) fn available(config: &StudentConfig) -> Result<()> {
    Compute::of(config).map(drop)
}

/// Tells apart all that labels depend on in a configured student; an error if it cannot be had. Opens an encoder's folder and
/// tries it on a text.
///
/// Goes into the run's fingerprint: where it differs from before, labels are written anew. So it must not depend on
/// where files are, nor on what does not change a label.
pub(crate) fn identity(config: &StudentConfig) -> Result<String> {
    let mut config = config.clone();
    let StudentKind::Encoder(encoder) = &mut config.kind else {
        return Ok(serde_json::to_string(&config).unwrap_or_default());
    };
    #[cfg(feature = "encoder")]
    let content = encoder::identity(encoder)?;
    #[cfg(not(feature = "encoder"))]
    let content: String = Err(folder::without_encoder(&encoder.model))?;
    // What is in the folder counts, not where it is.
    encoder.model = std::path::PathBuf::new();
    encoder.vectors = None;
    Ok(format!("{} {content}", serde_json::to_string(&config).unwrap_or_default()))
}

/// The version of a configured student that says the same otherwise than before, in the last bits or beyond: labels of a run
/// are then written anew. None for the first, which went without saying.
pub(crate) fn version(config: &StudentConfig) -> Option<&'static str> {
    match &config.kind {
        // Since copies are computed side by side.
        StudentKind::Ngram(_) => Some("ngram 3"),
        StudentKind::Encoder(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_no_label() {
        let (nan, infinite) = (f32::NAN, f32::INFINITY);
        assert_eq!(argmax(&[nan, 1.0, 2.0, nan]), Some(2));
        assert_eq!((argmax(&[nan, nan]), argmax(&[])), (None, None));
        assert_eq!(argmax(&[1.0, infinite, infinite]), Some(1));
        for bad in [nan, infinite, -infinite] {
            assert!(!Rows::new(2, vec![0.0, 1.0, bad, 0.0]).is_finite());
        }
        assert!(Rows::new(2, vec![0.0, f32::MIN]).is_finite() && Rows::new(2, Vec::new()).is_finite());
    }
}
