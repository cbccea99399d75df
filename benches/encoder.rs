//! The encoder's speed, to compare with Python's: `scripts/bench-encoder.sh FOLDER [DEVICE]`. Not part of `cargo bench`'s
//! default run: it needs a model.
//!
//! Prints one JSON object: texts a second for predicting and for fine-tuning all layers, and peak memory in MB. On a GPU also
//! the largest difference of a logit from the CPU's, and with CANDIST_STEPS how much memory that many training steps took.

#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a benchmark")]

use std::time::Instant;

use candist::config::{DistillConfig, EncoderConfig, Precision, RefineryKind, StudentConfig, StudentKind};
use candist::internal::new_student;
use candist::{Encoded, Example, Loss, Student};

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

fn tenths(rate: f64) -> f64 {
    (10.0 * rate).round() / 10.0
}

/// What this process holds now: on the card, or in memory.
fn memory_mb(device: &str) -> i64 {
    if device != "cpu" {
        let query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits"];
        let said = std::process::Command::new("nvidia-smi").args(query).output().unwrap();
        return String::from_utf8_lossy(&said.stdout).lines().next().unwrap().trim().parse().unwrap();
    }
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<i64>().unwrap() * 4 / 1024
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
    let device = variable("CANDIST_DEVICE", "cpu");
    let encoder = |device: &str| EncoderConfig {
        model: model.clone().into(),
        vectors: None,
        train_layers: u32::try_from(layers).unwrap(),
        layer_decay: 1.0,
        max_length: 128,
        warmup_steps: 1,
        precision: if variable("CANDIST_PRECISION", "fp32") == "bf16" { Precision::Bf16 } else { Precision::Fp32 },
        device: device.parse().unwrap(),
    };
    let threads = variable("CANDIST_THREADS", "2").parse().unwrap();
    let config = |device| {
        let kind = StudentKind::Encoder(encoder(device));
        StudentConfig { kind, learning_rate: 1e-5, seed: 0, threads }
    };
    let distill = DistillConfig {
        refinery: RefineryKind::Single,
        folds: 1,
        block: BATCH,
        replay: 0,
        memory: 1,
        max_passes: Some(0),
    };
    let mut student = new_student(&config(&device), &distill, LABELS, None).unwrap();
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
    let step = |student: &mut Box<dyn Student>, batch: &[Encoded]| {
        let examples: Vec<Example<'_>> = batch.iter().map(|text| Example::new(text, 1, &target)).collect();
        student.train(&examples, Loss::CrossEntropy.into(), 1.0).unwrap();
    };
    let train = rate(&mut |batch| step(&mut student, batch));
    let mut found = serde_json::json!({ "predict": tenths(predict), "train": tenths(train), "peak_mb": peak_mb() });
    if device != "cpu" {
        // A step of each first, for a new head says nothing.
        let [here, there] = ["cpu", device.as_str()].map(|device| {
            let mut student = new_student(&config(device), &distill, LABELS, None).unwrap();
            step(&mut student, &texts[..BATCH]);
            student.logits(0, &texts[..BATCH].iter().collect::<Vec<_>>())
        });
        let differences = here.iter().flatten().zip(there.iter().flatten()).map(|(a, b)| (a - b).abs());
        found["difference"] = differences.fold(0.0, f32::max).into();
    }
    if let Ok(steps) = variable("CANDIST_STEPS", "").parse::<usize>() {
        let before = memory_mb(&device);
        texts.chunks(BATCH).cycle().take(steps).for_each(|batch| step(&mut student, batch));
        found["growth_mb"] = (memory_mb(&device) - before).into();
    }
    println!("{found}");
}
