//! The `ngram` student: hashed word and character n-grams, their weighted sum as the text's embedding, a linear head.
//!
//! `base::ngrams` turns a text into ids and weights; `rows` makes a step's texts from the examples; `model` is all copies side
//! by side with their optimizer, computed on `bags` of n-grams; `heads` are the copies' heads where a text is predicted by itself;
//! `kept` is what of them goes into files, `folder` the export, and `alone` the copies of one, in use.
//!
//! It reads whatever characters a text has and needs no model from elsewhere. Memory: for each copy the table
//! (buckets x dimension, 4 bytes a value) and its sums (4 bytes a bucket).

mod alone;
mod bags;
mod folder;
mod heads;
mod kept;
mod model;
mod rows;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

pub(super) use self::folder::ExportedNgram;
use self::heads::Heads;
use self::model::Model;
use super::checkpoint::{Loaded, Saved};
use super::finite::Skips;
use super::{Compute, Encoded, Encoding, Example, Fold, Objective, Rows, Snapshot, Step, Student};
use crate::base::ngrams::{Ngrams, ngrams};
use crate::config::{NgramConfig, StudentConfig};
use crate::error::Result;

/// The configuration's `ngram`, a seed and a learning rate; see the module.
pub(super) struct Ngram {
    compute: Arc<Compute>,
    config: StudentConfig,
    ngram: NgramConfig,
    /// C.
    labels: usize,
    copies: usize,
    model: Model,
    /// Those of the model, from when they were first asked for until they change.
    heads: OnceLock<Heads>,
    skips: Skips,
}

impl Ngram {
    /// Makes `folds` copies, untrained, for `labels` labels.
    pub(super) fn new(
        compute: Arc<Compute>,
        config: &StudentConfig,
        ngram: &NgramConfig,
        folds: usize,
        labels: usize,
    ) -> Self {
        compute.begin();
        let model = Model::new(ngram, config.seed, labels, folds);
        let (config, ngram) = (config.clone(), ngram.clone());
        Self { compute, config, ngram, labels, copies: folds, model, heads: OnceLock::new(), skips: Skips::default() }
    }

    fn saved(&self) -> Saved {
        self.compute.begin();
        let mut saved = Saved::new();
        for fold in 0..self.copies {
            self.model.save(fold, &format!("fold.{fold}"), &mut saved);
        }
        saved
    }
}

/// The text as the student reads it: buckets, ascending, each with its weight. Pure.
fn encode(text: &str, buckets: u32) -> Encoded {
    let Ngrams { ids, weights } = ngrams(text, buckets);
    Encoded { ids, weights, ..Encoded::default() }
}

impl Student for Ngram {
    fn encode(&self, text: &str) -> Encoded {
        encode(text, self.ngram.buckets)
    }

    fn encoding(&self) -> Option<Encoding> {
        let buckets = self.ngram.buckets;
        Some(Arc::new(move |text| encode(text, buckets)))
    }

    fn is_steady_in_company(&self) -> bool {
        true
    }

    fn logits(&self, fold: Fold, texts: &[&Encoded]) -> Rows {
        self.out_of_sample(&texts.iter().map(|text| (*text, fold)).collect::<Vec<_>>())
    }

    fn out_of_sample(&self, texts: &[(&Encoded, Fold)]) -> Rows {
        self.compute.begin();
        // A copy that there is none of says nothing of any text.
        if texts.is_empty() || texts.iter().any(|(_, fold)| *fold >= self.copies) {
            return Rows::new(self.labels, Vec::new());
        }
        let heads = self.heads.get_or_init(|| Heads::of(&self.model));
        let sums = self.model.sums(texts);
        let mut logits = Vec::with_capacity(texts.len() * self.labels);
        for ((_, fold), sum) in texts.iter().zip(heads.sums(&sums)) {
            heads.push_logits(*fold, sum, &mut logits);
        }
        Rows::new(self.labels, logits)
    }

    fn predict(&self, texts: &[&Encoded]) -> Rows {
        self.compute.begin();
        let values = if texts.is_empty() { Vec::new() } else { self.model.predict(texts) };
        Rows::new(self.labels, values)
    }

    fn train(&mut self, batch: &[Example<'_>], objective: Objective, rate: f64) -> Result<Step> {
        self.compute.begin();
        let rows = rows::Rows::new(batch, objective);
        let Some(batch) = rows.batch(self.copies, self.labels) else { return Ok(Step::Taken) };
        self.heads.take();
        let taken = self.model.train(&batch, objective.loss, rate * self.config.learning_rate);
        self.skips.count(taken, self.config.learning_rate)
    }

    fn skipped(&self) -> u64 {
        self.skips.total()
    }

    fn reset(&mut self) {
        self.compute.begin();
        self.heads.take();
        self.model.reset(self.config.seed);
    }

    fn save(&self, path: &Path, notes: HashMap<String, String>) -> Result<()> {
        self.saved().write(path, notes)
    }

    fn snapshot(&self) -> Option<Snapshot> {
        Some(self.saved().into_snapshot(HashMap::new()))
    }

    fn load(&mut self, path: &Path) -> Result<HashMap<String, String>> {
        self.compute.begin();
        // An error within leaves some copies loaded: the caller makes the student anew.
        self.heads.take();
        let loaded = Loaded::read(path)?;
        for fold in 0..self.copies {
            self.model.load(fold, &format!("fold.{fold}"), &loaded)?;
        }
        Ok(loaded.notes)
    }

    fn export(&self, folder: &Path, labels: &[String], temperature: f64) -> Result<()> {
        self.compute.begin();
        self.write(folder, labels, temperature)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Loss, argmax, softmax};
    use super::*;
    use crate::config::StudentKind;

    fn student(learning_rate: f64, seed: u64) -> Ngram {
        student_of(8, learning_rate, seed)
    }

    fn student_of(dimension: u32, learning_rate: f64, seed: u64) -> Ngram {
        let ngram = NgramConfig { dimension, buckets: 1 << 12 };
        let config = StudentConfig { kind: StudentKind::Ngram(ngram.clone()), learning_rate, seed, threads: 1 };
        Ngram::new(Arc::new(Compute::of(&config).unwrap()), &config, &ngram, 2, 2)
    }

    const TEXTS: [(&str, [f32; 2]); 4] = [
        ("my card has not arrived", [1.0, 0.0]),
        ("where is the card I ordered", [1.0, 0.0]),
        ("I want my money back", [0.0, 1.0]),
        ("please refund this payment", [0.0, 1.0]),
    ];

    fn fit(student: &mut Ngram, steps: usize) {
        let encoded: Vec<Encoded> = TEXTS.iter().map(|(text, _)| student.encode(text)).collect();
        // Held out from neither of the two copies.
        let batch: Vec<Example<'_>> =
            encoded.iter().zip(&TEXTS).map(|(text, (_, target))| Example::new(text, 2, target)).collect();
        for _ in 0..steps {
            assert_eq!(student.train(&batch, Loss::CrossEntropy.into(), 1.0).unwrap(), Step::Taken);
        }
    }

    fn all_logits(student: &Ngram, fold: Fold) -> Rows {
        let encoded: Vec<Encoded> = TEXTS.iter().map(|(text, _)| student.encode(text)).collect();
        student.logits(fold, &encoded.iter().collect::<Vec<_>>())
    }

    #[test]
    fn it_learns_and_generalises() {
        let mut student = student(0.1, 0);
        assert!(all_logits(&student, 0).iter().flatten().all(|&logit| logit == 0.0), "untrained, it knows nothing");
        fit(&mut student, 30);
        for (logits, (text, target)) in all_logits(&student, 0).iter().zip(&TEXTS) {
            assert_eq!(argmax(logits), argmax(target), "{text}");
        }
        let new = student.encode("the card never arrived");
        let p = student.predict(&[&new]);
        let p: Vec<f32> = p.iter().flatten().map(|logit| logit.exp()).collect();
        assert!(p[0] > 0.8 && (p[0] + p[1] - 1.0).abs() < 1e-6, "{p:?}");
    }

    #[test]
    fn same_seed_same_bits_other_seed_other_bits_no_rate_no_change() {
        let trained = |rate, seed| {
            let mut student = student(rate, seed);
            fit(&mut student, 5);
            all_logits(&student, 1)
        };
        assert_eq!(trained(0.1, 3), trained(0.1, 3));
        assert_ne!(trained(0.1, 3), trained(0.1, 4));
        assert!(trained(0.0, 3).iter().flatten().all(|&logit| logit == 0.0));
    }

    #[test]
    fn copies_learn_apart() {
        let mut student = student(0.1, 0);
        let text = student.encode(TEXTS[0].0);
        student.train(&[Example::new(&text, 1, &[1.0, 0.0])], Loss::CrossEntropy.into(), 1.0).unwrap();
        assert!(student.logits(1, &[&text]).iter().flatten().all(|&logit| logit == 0.0));
        assert!(student.logits(0, &[&text]).iter().flatten().any(|&logit| logit != 0.0));
    }

    #[test]
    fn copies_say_together_what_they_say_apart() {
        let mut student = student(0.1, 0);
        let encoded: Vec<Encoded> = TEXTS.iter().map(|(text, _)| student.encode(text)).collect();
        let held_out = [0, 1, 1, 0];
        let batch: Vec<Example<'_>> = (encoded.iter().zip(&TEXTS).zip(held_out))
            .map(|((text, (_, target)), fold)| Example::new(text, fold, target))
            .collect();
        for _ in 0..3 {
            student.train(&batch, Loss::CrossEntropy.into(), 1.0).unwrap();
        }
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        let pairs: Vec<(&Encoded, Fold)> = encoded.iter().zip(held_out).collect();
        for (row, (text, fold)) in student.out_of_sample(&pairs).iter().zip(&pairs) {
            assert!(close(row, student.logits(*fold, &[text]).iter().next().unwrap()), "{fold}");
            assert!(!close(row, student.logits(1 - *fold, &[text]).iter().next().unwrap()), "{fold}");
        }
        let apart = [0, 1].map(|fold| student.logits(fold, &encoded.iter().collect::<Vec<_>>()));
        for ((row, first), second) in
            student.predict(&encoded.iter().collect::<Vec<_>>()).iter().zip(apart[0].iter()).zip(apart[1].iter())
        {
            let mean =
                softmax(first).iter().zip(softmax(second)).map(|(a, b)| ((a + b) / 2.0).ln()).collect::<Vec<_>>();
            assert!(close(row, &mean));
        }
        assert_eq!(student.logits(2, &[&encoded[0]]).iter().len(), 0, "there is no such copy");
    }

    #[test]
    fn what_is_said_of_a_text_is_the_same_in_whatever_company() {
        let mut student = student(0.1, 0);
        fit(&mut student, 5);
        let encoded: Vec<Encoded> = TEXTS.iter().map(|(text, _)| student.encode(text)).collect();
        let pairs: Vec<(&Encoded, Fold)> = encoded.iter().cycle().take(50).zip([0, 1, 1].into_iter().cycle()).collect();
        let together = student.out_of_sample(&pairs);
        for (row, (text, fold)) in together.iter().zip(&pairs) {
            assert_eq!(row, student.logits(*fold, &[text]).iter().next().unwrap());
        }
        assert_eq!((together.iter().len(), student.is_steady_in_company()), (50, true));
    }

    #[test]
    fn a_saved_student_goes_on_as_if_never_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("student.safetensors");
        let mut kept = student(0.1, 1);
        fit(&mut kept, 4);
        kept.save(&path, HashMap::from([("step".to_owned(), "4".to_owned())])).unwrap();
        let mut loaded = student(0.1, 1);
        // What it had learned itself must be gone after loading.
        let other = loaded.encode("something else entirely");
        loaded.train(&[Example::new(&other, 1, &[0.0, 1.0])], Loss::CrossEntropy.into(), 1.0).unwrap();
        // Also what it was asked for before.
        assert_ne!(all_logits(&loaded, 0), all_logits(&kept, 0));
        assert_eq!(loaded.load(&path).unwrap().get("step").unwrap(), "4");
        assert_eq!(all_logits(&loaded, 0), all_logits(&kept, 0));
        fit(&mut kept, 4);
        fit(&mut loaded, 4);
        assert_eq!((all_logits(&kept, 0), all_logits(&kept, 1)), (all_logits(&loaded, 0), all_logits(&loaded, 1)));
        assert_eq!(kept.logits(0, &[&other]), loaded.logits(0, &[&other]));
        loaded.reset();
        assert_eq!(all_logits(&loaded, 1), all_logits(&student(0.1, 1), 1));
    }

    /// All that a checkpoint would hold.
    fn state(student: &Ngram) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        student.save(file.path(), HashMap::new()).unwrap();
        std::fs::read(file.path()).unwrap()
    }

    #[test]
    fn a_step_whose_gradient_is_not_finite_is_not_taken() {
        for (weight, target) in [(f32::INFINITY, 1.0), (f32::NAN, 1.0), (1.0, f32::NAN), (1.0, f32::MAX)] {
            let mut student = student(0.1, 0);
            fit(&mut student, 3);
            let before = state(&student);
            let mut text = student.encode(TEXTS[0].0);
            text.weights[0] = weight;
            let bad = [target, 0.0];
            let step = student.train(&[Example::new(&text, 2, &bad)], Loss::CrossEntropy.into(), 1.0).unwrap();
            assert_eq!((step, student.skipped()), (Step::Skipped, 1), "{weight} {target}");
            assert!(state(&student) == before, "{weight} {target}");
            // It goes on as if nothing had been.
            fit(&mut student, 1);
            assert!(state(&student) != before);
        }
    }

    #[test]
    fn training_that_only_makes_what_is_not_finite_ends() {
        let mut student = student(0.1, 0);
        let text = Encoded { ids: vec![1], weights: vec![f32::NAN], ..Encoded::default() };
        let mut train = || student.train(&[Example::new(&text, 2, &[1.0, 0.0])], Loss::CrossEntropy.into(), 1.0);
        let ended = (0..100).find_map(|_| train().err()).unwrap().to_string();
        assert!(ended.contains("not finite") && ended.contains("Lower student.learning_rate"), "{ended}");
    }

    #[test]
    fn what_is_not_finite_is_neither_written_nor_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("student.safetensors");
        let mut student = student(0.1, 0);
        fit(&mut student, 3);
        student.save(&path, HashMap::new()).unwrap();
        let good = std::fs::read(&path).unwrap();
        // One value of a good file, as a flipped bit may leave it: the last is one of the last tensor's.
        for bits in [f32::NAN.to_le_bytes(), f32::NEG_INFINITY.to_le_bytes()] {
            let mut bad = good.clone();
            let end = bad.len();
            bad[end - 4..].copy_from_slice(&bits);
            std::fs::write(&path, &bad).unwrap();
            let error = self::student(0.1, 0).load(&path).unwrap_err().to_string();
            assert!(error.contains("student.safetensors: fold.") && error.contains("not finite"), "{error}");
        }
        std::fs::write(&path, &good).unwrap();
        student.model.spoil(1);
        for refused in [student.save(&path, HashMap::new()), student.export(dir.path(), &["a".into(), "b".into()], 1.0)]
        {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains(".1.bias.weight"), "{error}");
        }
        assert!(std::fs::read(&path).unwrap() == good, "the good one is still there");
        assert!(!dir.path().join("model.safetensors").exists());
        let text = student.encode("my card");
        assert!(!student.logits(1, &[&text]).is_finite() && !student.predict(&[&text]).is_finite());
        assert!(student.logits(0, &[&text]).is_finite());
    }

    #[test]
    fn a_file_of_another_shape_or_of_junk_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("student.safetensors");
        student(0.1, 1).save(&path, HashMap::new()).unwrap();
        assert!(student_of(9, 0.1, 1).load(&path).is_err());
        std::fs::write(&path, b"junk").unwrap();
        assert!(student(0.1, 1).load(&path).is_err());
    }
}
