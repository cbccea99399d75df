//! The encoder on tiny random models, against what Python's transformers computes for them
//! (`scripts/make-encoder-fixtures.py`).

use std::path::PathBuf;

use serde::Deserialize;

use super::family::Body;
use super::post_norm::PostNorm;
use super::*;
use crate::config::{DeviceChoice, StudentKind};
use crate::student::{Loss, Predictor, argmax};

const FAMILIES: [&str; 6] = ["bert", "roberta", "distilbert", "deberta", "modernbert", "modernbert-mean"];

#[derive(Deserialize)]
struct Expected {
    texts: Vec<String>,
    ids: Vec<Vec<u32>>,
    logits: Vec<Vec<f32>>,
}

fn fixture(family: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/encoders", family].iter().collect()
}

fn config(folder: PathBuf, train_layers: u32) -> EncoderConfig {
    EncoderConfig {
        model: folder,
        vectors: None,
        train_layers,
        layer_decay: 1.0,
        max_length: 128,
        warmup_steps: 2,
        precision: Precision::Fp32,
        device: DeviceChoice::Cpu,
    }
}

fn student_of(encoder: &EncoderConfig, learning_rate: f64, seed: u64) -> Encoder {
    let config = StudentConfig { kind: StudentKind::Encoder(encoder.clone()), learning_rate, seed, threads: 1 };
    Encoder::new(Arc::new(Compute::of(&config).unwrap()), &config, encoder, 2, 2, None).unwrap()
}

/// A fixture with the file that says that a text's vector is the mean over its tokens.
fn sentence_encoder(family: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("1_Pooling")).unwrap();
    std::fs::write(dir.path().join("1_Pooling/config.json"), r#"{"pooling_mode_mean_tokens": true}"#).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(fixture(family).join(file), dir.path().join(file)).unwrap();
    }
    let path = dir.path().to_owned();
    (dir, path)
}

const TEXTS: [(&str, [f32; 2]); 6] = [
    ("where is my card", [1.0, 0.0]),
    ("my card is where?", [1.0, 0.0]),
    ("is my card here", [1.0, 0.0]),
    ("refund", [0.0, 1.0]),
    ("a refund, a refund", [0.0, 1.0]),
    ("refund, refund, refund; now, for the second time", [0.0, 1.0]),
];

/// The last text of each label is held out from one copy.
const HELD_OUT: [Fold; 6] = [2, 2, 0, 2, 2, 1];

fn fit(student: &mut Encoder, steps: usize) {
    let encoded: Vec<Encoded> = TEXTS.iter().map(|(text, _)| student.encode(text)).collect();
    let batch: Vec<Example<'_>> = encoded
        .iter()
        .zip(HELD_OUT)
        .zip(&TEXTS)
        .map(|((text, held_out), (_, target))| Example::new(text, held_out, target))
        .collect();
    for _ in 0..steps {
        assert_eq!(student.train(&batch, Loss::CrossEntropy.into(), 1.0).unwrap(), Step::Taken);
    }
}

fn all_logits(student: &Encoder) -> Vec<Rows> {
    let encoded: Vec<Encoded> = TEXTS.iter().map(|(text, _)| student.encode(text)).collect();
    (0..2).map(|fold| student.logits(fold, &encoded.iter().collect::<Vec<_>>())).collect()
}

fn difference(a: &Rows, b: &Rows) -> f32 {
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn it_computes_what_python_computes() {
    for family in FAMILIES {
        let text = std::fs::read_to_string(fixture(family).join("expected.json")).unwrap();
        let expected: Expected = serde_json::from_str(&text).unwrap();
        let predictor = Predictor::open(&fixture(family), DeviceChoice::Cpu, 1).unwrap();
        let texts: Vec<&str> = expected.texts.iter().map(String::as_str).collect();
        let student = student_of(&config(fixture(family), 0), 0.0, 0);
        for (text, ids) in texts.iter().zip(&expected.ids) {
            assert_eq!(&student.encode(text).ids, ids, "{family}: {text}");
        }
        // All at once, with padding, and one by one, without.
        let together = predictor.logits(&texts).unwrap();
        let logits = Rows::new(3, expected.logits.concat());
        assert!(difference(&together, &logits) < 1e-4, "{family}: {together:?} {logits:?}");
        let alone: Vec<f32> = texts
            .iter()
            .flat_map(|text| predictor.logits(&[text]).unwrap().iter().flatten().copied().collect::<Vec<_>>())
            .collect();
        assert!(difference(&Rows::new(3, alone), &logits) < 1e-4, "{family}");
    }
}

/// A run that was killed meets texts again in other company, and must come to the same labels.
#[test]
fn what_becomes_of_a_text_does_not_depend_on_the_texts_beside_it() {
    let large = std::env::var_os("CANDIST_ENCODER").map(PathBuf::from);
    let folders = FAMILIES.map(fixture).into_iter().chain(large);
    for (folder, layers) in folders.flat_map(|folder| [(folder.clone(), 0), (folder, 1)]) {
        let student = student_of(&config(folder, layers), 0.0, 0);
        let pool = include_str!("../../../examples/banking77/pool.jsonl");
        let texts: Vec<String> = pool.lines().take(100).map(str::to_owned).collect();
        let beside: Vec<Encoded> = texts.iter().map(|text| student.encode(text)).collect();
        student.inputs(&beside.iter().collect::<Vec<_>>());
        for (text, beside) in texts.iter().zip(&beside) {
            let alone = student.encode(text);
            student.inputs(&[&alone]);
            assert!(alone.frozen.get().is_some() && alone.frozen.get() == beside.frozen.get(), "{text}");
        }
    }
}

/// Room for what frozen layers make of texts decides how long it takes, and no bit of what is learned.
#[test]
fn without_room_for_tokens_the_same_is_learned() {
    let learned = |room: usize| {
        let mut student = student_of(&config(fixture("bert"), 1), 1e-2, 0);
        student.trunk.room = Room::new(room);
        let texts: Vec<Encoded> = TEXTS.iter().map(|(text, _)| student.encode(text)).collect();
        for _ in 0..3 {
            let batch: Vec<Example<'_>> = texts
                .iter()
                .zip(&TEXTS)
                .zip(HELD_OUT)
                .map(|((text, (_, target)), fold)| Example::new(text, fold, target))
                .collect();
            student.train(&batch, Loss::CrossEntropy.into(), 1.0).unwrap();
        }
        let kept = texts.iter().filter(|text| text.frozen.get().is_some()).count();
        let logits = student.logits(0, &texts.iter().collect::<Vec<_>>());
        (kept, logits)
    };
    let ((all, with), (none, without)) = (learned(1 << 20), learned(0));
    assert_eq!((all, none), (TEXTS.len(), 0));
    assert_eq!(with, without);
    // A part of them.
    let (some, between) = learned(600);
    assert!(some > 0 && some < TEXTS.len(), "{some}");
    assert_eq!(with, between);
}

#[test]
fn it_learns_with_a_new_head_alone_and_with_its_layers() {
    for (family, layers, layer_decay) in [
        ("bert", 0, 1.0),
        ("roberta", 1, 1.0),
        ("distilbert", 2, 0.5),
        ("deberta", 0, 1.0),
        ("deberta", 2, 1.0),
        ("modernbert", 0, 1.0),
        ("modernbert", 3, 0.5),
    ] {
        let (_dir, folder) = sentence_encoder(family);
        let mut student = student_of(&EncoderConfig { layer_decay, ..config(folder, layers) }, 2e-3, 0);
        assert!(all_logits(&student).iter().all(|rows| rows.iter().flatten().all(|&logit| logit == 0.0)), "untrained");
        fit(&mut student, 150);
        let logits = all_logits(&student);
        for (number, (text, target)) in TEXTS.iter().enumerate() {
            for (_, rows) in logits.iter().enumerate().filter(|(fold, _)| HELD_OUT[number] != *fold) {
                assert_eq!(argmax(rows.iter().nth(number).unwrap()), argmax(target), "{family} {text}");
            }
        }
        student.reset();
        assert!(all_logits(&student).iter().all(|rows| rows.iter().flatten().all(|&logit| logit == 0.0)), "forgot");
    }
}

#[test]
fn a_copy_learns_nothing_from_what_is_held_out() {
    let mut student = student_of(&config(fixture("bert"), 1), 1e-2, 0);
    let text = student.encode(TEXTS[0].0);
    for loss in [Loss::CrossEntropy, Loss::Candidates] {
        student.train(&[Example::new(&text, 1, &[1.0, 0.0])], loss.into(), 1.0).unwrap();
    }
    assert!(student.logits(1, &[&text]).iter().flatten().all(|&logit| logit == 0.0));
    assert!(student.logits(0, &[&text]).iter().flatten().any(|&logit| logit != 0.0));
}

#[test]
fn regularised_texts_need_no_target() {
    let objective = |regularisation| Objective { loss: Loss::CrossEntropy, regularisation, seed: 1 };
    let logits_after = |objective| {
        let mut student = student_of(&config(fixture("bert"), 1), 1e-2, 0);
        let texts = [student.encode(TEXTS[0].0), student.encode(TEXTS[3].0)];
        let steady = |text, steady| Example { text, held_out: 1, target: None, steady: Some(steady) };
        for _ in 0..30 {
            student.train(&[steady(&texts[0], &[1.0, 0.0]), steady(&texts[1], &[0.0, 1.0])], objective, 1.0).unwrap();
        }
        [0, 1].map(|fold| {
            student.logits(fold, &[&texts[0], &texts[1]]).iter().map(|row| row[0] - row[1]).collect::<Vec<_>>()
        })
    };
    let [seen, held_out] = logits_after(objective(1.0));
    assert!(seen[0] > 0.5 && seen[1] < -0.5, "{seen:?}");
    assert_eq!(held_out, [0.0, 0.0]);
    assert_eq!(logits_after(objective(0.0))[0], [0.0, 0.0]);
}

#[test]
fn same_seed_same_bits_no_rate_no_change() {
    let trained = |rate| {
        let mut student = student_of(&config(fixture("bert"), 1), rate, 3);
        fit(&mut student, 3);
        all_logits(&student)
    };
    assert_eq!(trained(1e-3), trained(1e-3));
    assert!(trained(0.0).iter().all(|rows| rows.iter().flatten().all(|&logit| logit == 0.0)));
}

#[test]
fn a_saved_student_goes_on_as_if_never_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("student.safetensors");
    let encoder = config(fixture("roberta"), 1);
    let mut kept = student_of(&encoder, 1e-3, 1);
    fit(&mut kept, 3);
    kept.save(&path, HashMap::new()).unwrap();
    let mut loaded = student_of(&encoder, 1e-3, 1);
    fit(&mut loaded, 1);
    loaded.load(&path).unwrap();
    fit(&mut kept, 3);
    fit(&mut loaded, 3);
    assert_eq!(all_logits(&kept), all_logits(&loaded));
    // Another model's checkpoint is refused.
    assert!(student_of(&config(fixture("bert"), 1), 1e-3, 1).load(&path).is_err());
}

#[test]
fn an_exported_student_predicts_the_same() {
    let names = ["card".to_owned(), "refund".to_owned()];
    for (family, layers, is_mean) in [
        ("bert", 0, false),
        ("bert", 1, true),
        ("bert", 0, true),
        ("roberta", 1, false),
        ("distilbert", 0, true),
        ("deberta", 0, false),
        ("deberta", 2, false),
        ("deberta", 1, true),
        ("modernbert", 0, false),
        ("modernbert", 3, true),
        ("modernbert-mean", 0, true),
        ("modernbert-mean", 1, false),
    ] {
        let (_dir, folder) =
            if is_mean { sentence_encoder(family) } else { (tempfile::tempdir().unwrap(), fixture(family)) };
        let mut student = student_of(&config(folder, layers), 1e-2, 0);
        fit(&mut student, 20);
        let out = tempfile::tempdir().unwrap();
        student.export(out.path(), &names, 2.0).unwrap();
        let predictor = Predictor::open(out.path(), DeviceChoice::Cpu, 1).unwrap();
        assert_eq!(predictor.labels(), names);
        let texts: Vec<&str> = TEXTS.iter().map(|(text, _)| *text).collect();
        let encoded: Vec<Encoded> = texts.iter().map(|text| student.encode(text)).collect();
        let expected = student.predict(&encoded.iter().collect::<Vec<_>>());
        let logits = predictor.logits(&texts).unwrap();
        assert!(difference(&logits, &expected) < 1e-4, "{family} {layers} {is_mean}: {logits:?} {expected:?}");
        // The temperature is applied to probabilities alone.
        let (row, p) = (logits.iter().next().unwrap(), predictor.probabilities(&texts).unwrap());
        let odds = p.iter().next().unwrap();
        assert!(((odds[0] / odds[1]).ln() - (row[0] - row[1]) / 2.0).abs() < 1e-3);
    }
}

#[test]
fn the_layer_that_pools_gives_the_mean() {
    let (_dir, folder) = sentence_encoder("bert");
    let architecture = Architecture::read(&folder).unwrap();
    let values: Vec<f32> = (0..80_u8).map(|i| f32::from(i.wrapping_mul(37) % 89) / 40.0 - 1.0).collect();
    // Two texts: three tokens, and two.
    let x = Packed::new(Tensor::from_slice(&values).view([5, 16]), [3, 2]);
    let Body::PostNorm(names) = architecture.family.body else { panic!("{architecture:?}") };
    // As it computes it, and as whoever reads the exported folder will.
    let (layer, by_tensors) = (PostNorm::mean(&architecture, names), PostNorm::mean(&architecture, names).by_tensors());
    for (layer, reads) in
        [(&layer, Reads::First), (&layer, Reads::All), (&by_tensors, Reads::First), (&by_tensors, Reads::All)]
    {
        let pooled = layer.forward(&x, reads, &Noise::Off).firsts().x;
        for (text, (start, tokens)) in (0..).zip([(0, 3), (3, 2)]) {
            let mean = x.x.narrow(0, start, tokens).mean_dim([0].as_slice(), false, Kind::Float);
            let expected = (&mean - mean.mean(Kind::Float)) / mean.std(false);
            let difference = (pooled.get(text) - expected).abs().max().double_value(&[]);
            // The token itself is there with a hundredth of the mean's weight.
            assert!(difference < 0.2, "{difference}");
        }
        let others = by_tensors.forward(&x, Reads::First, &Noise::Off).x;
        assert!((pooled - others).abs().max().double_value(&[]) < 1e-5);
    }
}

/// A folder with a `config.json` that was changed.
fn changed(family: &str, key: &str, value: &serde_json::Value) -> (tempfile::TempDir, PathBuf) {
    let (dir, folder) = sentence_encoder(family);
    std::fs::remove_dir_all(folder.join("1_Pooling")).unwrap();
    let path = folder.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config[key] = value.clone();
    std::fs::write(&path, config.to_string()).unwrap();
    (dir, folder)
}

#[test]
fn what_would_make_weights_mean_something_else_is_refused_by_its_key() {
    use serde_json::json;
    for (family, key, value) in [
        ("deberta", "conv_kernel_size", json!(3)),
        ("deberta", "position_biased_input", json!(true)),
        ("deberta", "share_att_key", json!(false)),
        ("deberta", "norm_rel_ebd", json!("none")),
        ("deberta", "pos_att_type", json!(["c2p"])),
        ("deberta", "relative_attention", json!(false)),
        ("deberta", "type_vocab_size", json!(2)),
        ("deberta", "position_buckets", json!(7)),
        ("deberta", "position_buckets", json!(-1)),
        ("deberta", "max_relative_positions", json!(12)),
        ("deberta", "pooler_hidden_act", json!("mish")),
        ("modernbert", "layer_types", json!(["full_attention", "full_attention"])),
        ("modernbert", "hidden_activation", json!("mish")),
        ("modernbert", "classifier_activation", json!("mish")),
    ] {
        let (_dir, folder) = changed(family, key, &value);
        let error = identity(&config(folder, 0)).unwrap_err().to_string();
        assert!(error.contains("config.json") && error.contains(key), "{key}: {error}");
    }
    // As Hugging Face's own folders say it, and as older ones did.
    for (family, key, value) in [
        ("deberta", "pos_att_type", json!("p2c|c2p")),
        ("modernbert", "layer_types", json!(null)),
        ("modernbert", "layer_norm_eps", json!(1e-5)),
    ] {
        let (_dir, folder) = changed(family, key, &value);
        assert!(identity(&config(folder, 0)).is_ok(), "{key}");
    }
}

#[test]
fn a_modernbert_pools_as_its_folder_says() {
    use serde_json::json;
    let pooling = |folder: &Path| {
        let architecture = Architecture::read(folder).unwrap();
        (architecture.pooling, architecture.classifier_pooling())
    };
    assert_eq!(pooling(&fixture("modernbert")), (Pooling::First, Pooling::First));
    assert_eq!(pooling(&fixture("modernbert-mean")), (Pooling::Mean, Pooling::Mean));
    // A sentence encoder's own file comes first, but for a classifier that is only used.
    let (_dir, folder) = sentence_encoder("modernbert");
    assert_eq!(pooling(&folder), (Pooling::Mean, Pooling::First));
    // It means nothing elsewhere.
    let (_dir, folder) = changed("bert", "classifier_pooling", &json!("mean"));
    assert_eq!(pooling(&folder), (Pooling::First, Pooling::First));
}

#[test]
fn lower_layers_learn_slower_where_that_is_said() {
    for (family, layers) in [("bert", 2), ("deberta", 2), ("modernbert", 3)] {
        let moved = |layer_decay: f64| -> Vec<f64> {
            let encoder = EncoderConfig { layer_decay, warmup_steps: 1, ..config(fixture(family), layers) };
            let mut student = student_of(&encoder, 1e-3, 0);
            // The first step moves the head alone, which is zero, and so tells the layers nothing.
            fit(&mut student, 2);
            let (before, after) = (&student.origin.layers, &student.copies[0].layers);
            let moved = |(before, after): (&Layer, &Layer)| {
                let of = |(a, b): (&Tensor, &Tensor)| (a - b).abs().max().double_value(&[]);
                before.tensors().zip(after.tensors()).map(of).fold(0.0, f64::max)
            };
            before.iter().zip(after).filter(|(layer, _)| layer.is_counted()).map(moved).collect()
        };
        // The first steps of AdamW have the size of the rate, whatever the gradient.
        let (all, decayed) = (moved(1.0), moved(0.1));
        let above = |number: usize| i32::try_from(decayed.len() - 1 - number).unwrap();
        for (number, (all, decayed)) in all.iter().zip(&decayed).enumerate() {
            let expected = all * 0.1_f64.powi(above(number));
            assert!(*all > 5e-4 && (decayed / expected - 1.0).abs() < 0.1, "{family} {number}: {decayed} {expected}");
        }
    }
}

#[test]
fn folders_that_are_none_are_refused_with_what_is_wrong() {
    let (_dir, folder) = sentence_encoder("bert");
    let refused = |file: &str, content: &[u8]| {
        let path = folder.join(file);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, content).unwrap();
        let error = identity(&config(folder.clone(), 0)).unwrap_err().to_string();
        std::fs::write(&path, whole).unwrap();
        assert!(error.contains(file), "{error}");
        error
    };
    let json = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let changed = |from: &str, to: &str| json.replace(from, to).into_bytes();
    assert!(refused("config.json", b"{}").contains("model_type"));
    assert!(refused("config.json", &changed("\"bert\"", "\"gpt2\"")).contains("\"gpt2\" is none of bert"));
    assert!(refused("config.json", &changed("\"hidden_size\": 16", "\"hidden_size\": 15")).contains("sizes"));
    refused("model.safetensors", b"junk");
    let other = std::fs::read(fixture("distilbert").join("model.safetensors")).unwrap();
    assert!(refused("model.safetensors", &other).contains("embeddings.token_type_embeddings.weight"));
    refused("tokenizer.json", b"{}");
    assert!(refused("tokenizer.json", &tokens_up_to(4000)).contains("do not belong together"));
    let deep = EncoderConfig { train_layers: 3, ..config(folder.clone(), 0) };
    assert!(identity(&deep).unwrap_err().to_string().contains("it has 2 layers"));
    let nowhere = identity(&config(folder.join("nowhere"), 0)).unwrap_err().to_string();
    assert!(nowhere.contains("Hugging Face folder"), "{nowhere}");
    assert!(identity(&config(folder, 0)).is_ok());
}

/// A tokenizer with one word of this number.
fn tokens_up_to(id: u32) -> Vec<u8> {
    let model = serde_json::json!({ "type": "WordLevel", "vocab": { "word": id }, "unk_token": "word" });
    serde_json::to_vec(&serde_json::json!({ "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null, "model": model }))
    .unwrap()
}

#[test]
fn lower_precision_changes_little() {
    let lower = |layers, rate| {
        student_of(&EncoderConfig { precision: Precision::Bf16, ..config(fixture("bert"), layers) }, rate, 0)
    };
    // Of layers that are trained: dropout alone makes the logits of two seeds differ by more.
    let (mut student, mut near) = (student_of(&config(fixture("bert"), 2), 1e-3, 0), lower(2, 1e-3));
    fit(&mut student, 20);
    fit(&mut near, 20);
    let (exact, near) = (all_logits(&student), all_logits(&near));
    let largest = exact.iter().flat_map(Rows::iter).flatten().fold(0.0_f32, |most, logit| most.max(logit.abs()));
    let distance = exact.iter().zip(&near).map(|(a, b)| difference(a, b)).fold(0.0, f32::max);
    assert!(distance > 0.0 && distance < 0.1 * largest, "{distance} {largest}");
    // Of layers that are not.
    let (student, lower) = (student_of(&config(fixture("bert"), 0), 0.0, 0), lower(0, 0.0));
    let text = student.encode(TEXTS[0].0);
    let (exact, near) = (student.trunk.read(&[&text]).x, lower.trunk.read(&[&student.encode(TEXTS[0].0)]).x);
    let distance = (&exact - near).norm().double_value(&[]) / exact.norm().double_value(&[]);
    assert!(distance > 0.0 && distance < 0.05, "{distance}");
}

/// `tensor` of a safetensors file, with its last value's bits replaced.
fn spoiled(file: &[u8], tensor: &str, bits: [u8; 4]) -> Vec<u8> {
    let (length, header) = file.split_at(8);
    let length = usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header[..length]).unwrap();
    assert_eq!(header[tensor]["dtype"], "F32", "{tensor}");
    let end = 8 + length + usize::try_from(header[tensor]["data_offsets"][1].as_u64().unwrap()).unwrap();
    let mut spoiled = file.to_vec();
    spoiled[end - 4..end].copy_from_slice(&bits);
    spoiled
}

const SPOILED: [&str; 3] = [
    "bert.embeddings.word_embeddings.weight",
    "bert.encoder.layer.1.attention.self.query.weight",
    "bert.encoder.layer.0.output.LayerNorm.bias",
];

#[test]
fn a_weight_that_is_not_finite_is_refused_by_name() {
    let (_dir, folder) = sentence_encoder("bert");
    let path = folder.join("model.safetensors");
    let good = std::fs::read(&path).unwrap();
    for tensor in SPOILED {
        for bits in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(f32::to_le_bytes) {
            std::fs::write(&path, spoiled(&good, tensor, bits)).unwrap();
            let encoder = config(folder.clone(), 1);
            let of =
                StudentConfig { kind: StudentKind::Encoder(encoder.clone()), learning_rate: 0.0, seed: 0, threads: 1 };
            let compute = Arc::new(Compute::of(&of).unwrap());
            let errors = [
                identity(&encoder).unwrap_err(),
                Encoder::new(compute, &of, &encoder, 2, 2, None).err().unwrap(),
                Predictor::open(&folder, DeviceChoice::Cpu, 1).err().unwrap(),
            ];
            for error in errors.map(|error| error.to_string()) {
                let name = tensor.strip_prefix("bert.").unwrap();
                assert!(error.contains("model.safetensors") && error.contains(name), "{error}");
                assert!(error.contains("not finite"), "{error}");
            }
        }
    }
}

/// Each weight is finite, and what becomes of a text is not.
#[test]
fn a_model_that_makes_nothing_finite_of_a_text_is_refused() {
    let (_dir, folder) = sentence_encoder("bert");
    let path = folder.join("model.safetensors");
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, spoiled(&good, SPOILED[2], f32::MAX.to_le_bytes())).unwrap();
    for error in [
        identity(&config(folder.clone(), 0)).unwrap_err(),
        Predictor::open(&folder, DeviceChoice::Cpu, 1).err().unwrap(),
    ] {
        let error = error.to_string();
        assert!(error.contains("model.safetensors: what it makes of a text is not finite"), "{error}");
    }
}

#[test]
fn a_step_whose_loss_is_not_finite_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let state = |student: &Encoder| {
        let path = dir.path().join("state");
        student.save(&path, HashMap::new()).unwrap();
        let loaded = Loaded::read(&path).unwrap();
        let steps = (0..2).map(|fold| loaded.rows(&format!("fold.{fold}.steps"), i64::MAX).unwrap().int64_value(&[0]));
        (steps.collect::<Vec<_>>(), all_logits(student))
    };
    for layers in [0, 1] {
        let mut student = student_of(&config(fixture("bert"), layers), 1e-2, 0);
        fit(&mut student, 2);
        let before = state(&student);
        let text = student.encode(TEXTS[0].0);
        for bad in [[f32::NAN, 0.0], [f32::INFINITY, 1.0]] {
            let step = student.train(&[Example::new(&text, 1, &bad)], Loss::CrossEntropy.into(), 1.0).unwrap();
            assert_eq!(step, Step::Skipped);
        }
        assert_eq!((student.skipped(), state(&student)), (2, before));
        let mut train = || student.train(&[Example::new(&text, 1, &[f32::NAN; 2])], Loss::CrossEntropy.into(), 1.0);
        let ended = (0..100).find_map(|_| train().err()).unwrap().to_string();
        assert!(ended.contains("Lower student.learning_rate"), "{ended}");
        fit(&mut student, 1);
    }
}

/// A pipe in the place of a file must not be waited for, whichever file it is.
#[test]
fn a_file_of_a_folder_that_is_no_file_is_named() {
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        let (_dir, folder) = sentence_encoder("bert");
        let path = folder.join(file);
        std::fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        for error in [
            identity(&config(folder.clone(), 0)).unwrap_err(),
            Predictor::open(&folder, DeviceChoice::Cpu, 1).err().unwrap(),
        ] {
            let error = error.to_string();
            assert!(error.contains(file) && error.contains("put a regular file there"), "{error}");
        }
    }
}
