//! The encoder's speed, to compare with Python's: `scripts/bench-encoder.sh FOLDER [DEVICE]`. Not part of `cargo bench`'s
//! default run: it needs a model.
//!
//! Prints one JSON object: texts a second for predicting and for fine-tuning all layers, peak memory in MB.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::time::Instant;

use candist::config::{DistillConfig, EncoderConfig, Precision, RefineryKind, StudentConfig, StudentKind};
use candist::student::{Encoded, Example, Loss, new};

const LABELS: usize = 77;
const BATCH: usize = 32;
const TEXTS: usize = 512;

/// The settings of the comparison, from the environment.
fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn main() {
    let Ok(model) = std::env::var("CANDIST_ENCODER") else {
        println!("not measured: set CANDIST_ENCODER to a Hugging Face folder (scripts/bench-encoder.sh does)");
        return;
    };
    let length: usize = variable("CANDIST_LENGTH", "0").parse().unwrap();
    let layers = serde_json::from_slice::<serde_json::Value>(&std::fs::read(format!("{model}/config.json")).unwrap())
        .ok()
        .and_then(|config| config.get("num_hidden_layers").or_else(|| config.get("n_layers"))?.as_u64())
        .unwrap();
    let encoder = EncoderConfig {
        model: model.into(),
        vectors: None,
        train_layers: u32::try_from(layers).unwrap(),
        max_length: 128,
        warmup_steps: 1,
        precision: Precision::Fp32,
        device: variable("CANDIST_DEVICE", "cpu").parse().unwrap(),
    };
    let threads = variable("CANDIST_THREADS", "2").parse().unwrap();
    let config = StudentConfig { kind: StudentKind::Encoder(encoder), learning_rate: 1e-5, seed: 0, threads };
    let distill =
        DistillConfig { refinery: RefineryKind::Single, folds: 1, block: BATCH, replay: 0, memory: 1, max_passes: 0 };
    let mut student = new(&config, &distill, LABELS, None).unwrap();
    let pool = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/banking77/pool.jsonl")).unwrap();
    let texts: Vec<Encoded> = pool
        .lines()
        .take(TEXTS)
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let mut encoded = student.encode(row.get("text").unwrap().as_str().unwrap());
            if length > 0 {
                // Of one length, as padded batches of it would be.
                encoded.ids.resize(length, 1000);
            }
            encoded
        })
        .collect();
    let mut target = vec![0.0; LABELS];
    target.iter_mut().take(1).for_each(|slot| *slot = 1.0);
    let passes: usize = variable("CANDIST_PASSES", "2").parse().unwrap();
    let rate = |work: &mut dyn FnMut(&[Encoded])| {
        texts.chunks(BATCH).take(2).for_each(&mut *work);
        let start = Instant::now();
        for _ in 0..passes {
            texts.chunks(BATCH).for_each(&mut *work);
        }
        (passes * texts.len()) as f64 / start.elapsed().as_secs_f64()
    };
    let predict = rate(&mut |batch| drop(student.logits(0, &batch.iter().collect::<Vec<_>>())));
    let train = rate(&mut |batch| {
        let examples: Vec<Example<'_>> = batch.iter().map(|text| Example::new(text, 1, &target)).collect();
        student.train(&examples, Loss::CrossEntropy.into(), 1.0);
    });
    println!("{{\"predict\": {predict:.1}, \"train\": {train:.1}, \"peak_mb\": {}}}", peak_mb());
}
