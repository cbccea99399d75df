//! What comes of a run: a student that labels new text, and an audit of the labels.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use candist::internal::rng;
use rand::Rng;
use serde_json::Value;

use crate::support::{Finished, Project, TEACHERS, copy_folder, latest, recorded, repository};

/// A tiny encoder with random weights.
fn encoder(family: &str, train_layers: u32) -> String {
    encoder_in(&repository().join("tests/fixtures/encoders").join(family), train_layers)
}

fn encoder_in(folder: &Path, train_layers: u32) -> String {
    format!(
        "kind = \"encoder\"\nmodel = \"{}\"\ntrain_layers = {train_layers}\nlearning_rate = 0.001\nthreads = 1\n",
        folder.display()
    )
}

/// The project with an encoder as its student.
fn with_encoder(stride: usize, student: &str) -> Project {
    let project = Project::new(stride);
    let config = project.read("config.toml").replace("dimension = 8\nbuckets = 4096\n", student);
    project.write("config.toml", &config);
    project
}

fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn with_input(project: &Project, args: &[&str], input: &str) -> Finished {
    let mut command = project.command(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Finished::of(child.wait_with_output().unwrap())
}

#[test]
fn a_student_is_exported_and_labels_new_text() {
    let project = Project::new(8);
    project.run();
    project.candist(&["export", "run", "--student", "student"]).expect_exit(0).expect_said("candist predict --student");
    // It is not written over.
    project.candist(&["export", "run", "--student", "student"]).expect_exit(2).expect_said("is there already");

    let predicted = project.candist(&["predict", "--student", "student", "pool.jsonl"]).expect_exit(0);
    let (predictions, events) = (objects(&predicted.out), project.events());
    let labels = latest(&events);
    assert_eq!(predictions.len(), labels.len());
    // Even a small student agrees with far more of the labels than by chance, 1 in 77.
    let agree = predictions.iter().filter(|p| p["label"] == labels[p["id"].as_str().unwrap()].label.as_str()).count();
    assert!(4 * agree > predictions.len(), "{agree} of {}", predictions.len());
    assert!(predictions.iter().all(|p| (0.0..=1.0).contains(&p["confidence"].as_f64().unwrap())));

    // The same by lines from standard input; what it is not sure of has candidates.
    let lines = "where is my new card?\n\nzzzz\n";
    let found =
        with_input(&project, &["predict", "--student", "student", "--lines", "--min-confidence", "0.99"], lines);
    let found = objects(&found.expect_exit(0).out);
    assert_eq!(found.iter().map(|p| p["id"].as_str().unwrap()).collect::<Vec<_>>(), ["1", "3"]);
    assert!(found[1]["label"].is_null() && found[1]["candidates"].as_array().unwrap().len() > 1, "{found:?}");

    // What cannot be read has no label, and the others do.
    let rows = "{\"text\": \"where is my card\"}\n{\"txt\": 1}\n";
    let found = with_input(&project, &["predict", "--student", "student"], rows).expect_exit(0);
    assert_eq!(objects(&found.out).len(), 1);
    assert!(found.err.contains("line 2"), "{}", found.err);
    with_input(&project, &["predict", "--student", "student", "--strict"], rows).expect_exit(1);
}

#[test]
fn folders_that_are_no_student_are_named() {
    let project = Project::new(64);
    project.candist(&["predict", "--student", "nowhere", "pool.jsonl"]).expect_exit(2).expect_said("candist export");
    project.candist(&["export", "nowhere", "--student", "student"]).expect_exit(2).expect_said("is no run directory");
    project.run();
    for file in std::fs::read_dir(project.path("run/checkpoints")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let none = project.candist(&["export", "run", "--student", "student"]).expect_exit(2);
    none.expect_said("there is no student in run yet").expect_said("candist run");
    project.remove_run();
    let config = project.read("config.toml");
    project.write(
        "config.toml",
        &config.replace("dimension = 8\nbuckets = 4096\n", "kind = \"encoder\"\nmodel = \"none\"\n"),
    );
    project.candist(&["run", "config.toml"]).expect_exit(2).expect_said("Hugging Face folder");
    assert!(!project.path("run/labels.jsonl").exists());
    project.write("config.toml", &config.replace("dimension = 8\n", "device = \"cpu\"\n"));
    project.candist(&["run", "config.toml"]).expect_exit(2).expect_said("is for student.kind = \"encoder\" alone");
}

/// A folder's weights with the last value of `tensor` made infinite, as one flipped bit can leave it.
fn spoil(folder: &Path, tensor: &str) {
    let path = folder.join("model.safetensors");
    let mut file = std::fs::read(&path).unwrap();
    let length = usize::try_from(u64::from_le_bytes(file[..8].try_into().unwrap())).unwrap();
    let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let end = 8 + length + usize::try_from(header[tensor]["data_offsets"][1].as_u64().unwrap()).unwrap();
    file[end - 4..end].copy_from_slice(&f32::INFINITY.to_le_bytes());
    std::fs::write(path, file).unwrap();
}

#[test]
fn a_model_with_a_flipped_bit_is_refused_by_every_verb_and_labels_nothing() {
    let project = Project::new(64);
    let model = project.path("bert");
    copy_folder(&repository().join("tests/fixtures/encoders/bert"), &model);
    let config = project.read("config.toml").replace("dimension = 8\nbuckets = 4096\n", &encoder_in(&model, 0));
    project.write("config.toml", &config);
    project.run();
    spoil(&model, "bert.encoder.layer.1.output.dense.weight");
    let said = "encoder.layer.1.output.dense.weight has values that are not finite";
    let verbs: [&[&str]; 4] = [
        &["run", "config.toml", "--run-dir", "other"],
        &["check", "config.toml"],
        &["predict", "--student", "bert", "pool.jsonl"],
        &["export", "run", "--student", "student"],
    ];
    for verb in verbs {
        let refused = project.candist(verb).expect_exit(2).expect_said("model.safetensors").expect_said(said);
        assert_eq!(refused.out, "", "{verb:?}");
    }
    assert!(!project.path("other/labels.jsonl").exists() && !project.path("student").exists());
    // An exported n-gram student as well.
    let project = Project::new(64);
    project.run();
    project.candist(&["export", "run", "--student", "student"]).expect_exit(0);
    spoil(&project.path("student"), "copy.1.head.weight");
    let refused = project.candist(&["predict", "--student", "student", "pool.jsonl"]).expect_exit(2);
    assert!(refused.expect_said("copy.1.head.weight has values that are not finite").out.is_empty());
}

#[test]
fn a_pipe_in_a_model_s_folder_is_not_waited_for() {
    let project = Project::new(64);
    let model = project.path("bert");
    copy_folder(&repository().join("tests/fixtures/encoders/bert"), &model);
    let config = project.read("config.toml").replace("dimension = 8\nbuckets = 4096\n", &encoder_in(&model, 0));
    project.write("config.toml", &config);
    for file in ["tokenizer.json", "model.safetensors", "config.json"] {
        std::fs::remove_file(model.join(file)).unwrap();
        assert!(Command::new("mkfifo").arg(model.join(file)).status().unwrap().success());
        let verbs: [&[&str]; 3] =
            [&["run", "config.toml"], &["check", "config.toml"], &["predict", "--student", "bert", "pool.jsonl"]];
        for verb in verbs {
            let refused = project.within_a_minute(project.command(verb)).expect_exit(2);
            refused.expect_said(file).expect_said("put a regular file there");
        }
    }
}

/// Where cores are shared, threads that spin while they wait for each other make a run many times slower.
#[test]
fn threads_of_libtorch_do_not_spin_unless_the_user_says_so() {
    let project = Project::new(16);
    let policy = |threads: u32, set: Option<&str>| {
        let config =
            project.read("config.toml").replace("dimension = 8\n", &format!("dimension = 8\nthreads = {threads}\n"));
        project.write("threads.toml", &config);
        project.remove_run();
        let mut command = project.command(&["run", "threads.toml"]);
        command.env_remove("OMP_WAIT_POLICY");
        set.map(|policy| command.env("OMP_WAIT_POLICY", policy));
        let mut child = command.spawn().unwrap();
        // By the time there is a label, it computes.
        while std::fs::metadata(project.path("run/labels.jsonl")).is_ok_and(|file| file.len() == 0)
            || !project.path("run/labels.jsonl").exists()
        {
            assert!(child.try_wait().unwrap().is_none_or(|exit| exit.success()));
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let environment = std::fs::read(format!("/proc/{}/environ", child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let environment = String::from_utf8(environment).unwrap();
        environment.split('\0').find_map(|entry| entry.strip_prefix("OMP_WAIT_POLICY=")).map(str::to_owned)
    };
    assert_eq!(policy(2, None).as_deref(), Some("PASSIVE"));
    assert_eq!(policy(2, Some("ACTIVE")).as_deref(), Some("ACTIVE"));
    assert_eq!(policy(1, None), None);
}

#[test]
fn a_gpu_that_is_not_there_is_named() {
    let project = Project::new(64);
    let fixture = repository().join("tests/fixtures/encoders/bert");
    let args = ["predict", "--student", fixture.to_str().unwrap(), "--device", "cuda:63", "pool.jsonl"];
    project.candist(&args).expect_exit(2).expect_said("CUDA device 63 is not there");
    // A library that is loaded and finds no GPU: the program starts again once, not for ever.
    let folder = project.path("cuda/lib");
    std::fs::create_dir_all(&folder).unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let libraries = maps.lines().filter_map(|line| line.get(line.find('/')?..));
    let harmless = libraries.into_iter().find(|path| path.contains("libm.so")).unwrap();
    std::fs::copy(harmless, folder.join("libtorch_cuda.so")).unwrap();
    let mut command = project.command(&args);
    command.env("LIBTORCH", project.path("cuda"));
    Finished::of(command.output().unwrap()).expect_exit(2).expect_said("CUDA device 63 is not there");
}

#[test]
fn a_killed_run_with_an_encoder_ends_with_the_same_bytes() {
    let project = with_encoder(16, &encoder("bert", 1));
    let start = std::time::Instant::now();
    project.run();
    let (usual, expected) = (start.elapsed(), project.labels());
    for round in 0..3 {
        project.remove_run();
        let mut rng = rng(round, "kill", &[]);
        for _ in 0..3 {
            let mut child = project.start(&["run", "config.toml"]);
            std::thread::sleep(usual.mul_f64(rng.random_range(0.0..1.0)));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        project.run();
        assert!(project.labels() == expected, "round {round}");
    }
    // Another model under the same name is another student: labelled anew, nothing asked.
    let other = project.read("config.toml").replace("encoders/bert", "encoders/distilbert");
    project.write("config.toml", &other);
    project.run().expect_said("labels are written anew").expect_said("nothing was left to ask");
}

#[expect(clippy::print_stderr, reason = "says what was not tested")]
/// Logits by Python's transformers of an exported folder; none where it is not installed.
fn python_logits(folder: &Path, texts: &[&str]) -> Option<Vec<Vec<f64>>> {
    const SCRIPT: &str = "
import sys, json, torch
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1]).eval()
split = PreTrainedTokenizerFast(tokenizer_file=sys.argv[1] + '/tokenizer.json')
rows = []
for text in json.loads(sys.argv[2]):
    with torch.no_grad():
        rows.append(model(torch.tensor([split(text)['input_ids']])).logits[0].tolist())
print(json.dumps({'logits': rows, 'labels': [model.config.id2label[i] for i in range(model.config.num_labels)]}))";
    let python = std::env::var("CANDIST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let installed = Command::new(&python).args(["-c", "import torch, transformers"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        eprintln!("{python} has no torch and transformers: not compared with Python");
        return None;
    }
    let texts = serde_json::to_string(texts).unwrap();
    let output = Command::new(&python).args(["-c", SCRIPT]).arg(folder).arg(texts).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["labels"][0], "Refund_not_showing_up");
    Some(serde_json::from_value(found["logits"].clone()).unwrap())
}

#[test]
fn python_reads_an_exported_encoder() {
    let tiny =
        [("bert", 1), ("roberta", 0), ("distilbert", 1), ("deberta", 1), ("modernbert", 1), ("modernbert-mean", 0)];
    let mut students: Vec<String> = tiny.iter().map(|(family, layers)| encoder(family, *layers)).collect();
    // A real one, where there is one.
    students.extend(std::env::var("CANDIST_ENCODER").ok().map(|folder| encoder_in(folder.as_ref(), 0)));
    for student in students {
        let project = with_encoder(32, &student);
        project.run();
        project.candist(&["export", "run", "--student", "student"]).expect_exit(0);
        let texts = ["where is my card?", "refund"];
        let device = candist::config::DeviceChoice::Cpu;
        let predictor = candist::Predictor::open(&project.path("student"), device, 1).unwrap();
        let Some(expected) = python_logits(&project.path("student"), &texts) else { return };
        for (row, expected) in predictor.logits(&texts).unwrap().iter().zip(&expected) {
            for (logit, expected) in row.iter().zip(expected) {
                assert!((f64::from(*logit) - expected).abs() < 1e-4, "{student}: {logit} {expected}");
            }
        }
    }
}

#[test]
fn an_audit_is_drawn_and_judged() {
    let project = Project::new(4);
    project.run();
    let drawn = project.candist(&["audit", "run", "--sample", "200", "--seed", "7"]).expect_exit(0).out;
    assert_eq!(drawn, project.candist(&["audit", "run", "--sample", "200", "--seed", "7"]).out);
    assert_ne!(drawn, project.candist(&["audit", "run", "--sample", "200"]).out);
    let mut rows = objects(&drawn);
    assert_eq!(rows.len(), 200);
    assert!(rows.iter().all(|row| row["gold"].is_null() && row["text"].is_string()));

    // The gold labels play the person.
    let gold: std::collections::HashMap<String, String> = objects(&project.read("pool_gold.jsonl"))
        .iter()
        .map(|row| (row["id"].as_str().unwrap().to_owned(), row["label"].as_str().unwrap().to_owned()))
        .collect();
    for row in &mut rows {
        row["gold"] = gold[row["id"].as_str().unwrap()].clone().into();
    }
    let filled: Vec<String> = rows.iter().map(Value::to_string).collect();
    project.write("audited.jsonl", &filled.join("\n"));
    let found = objects(&project.candist(&["audit", "run", "--gold", "audited.jsonl", "--json"]).expect_exit(0).out);
    let (audit, events) = (&found[0]["audit"], project.events());
    let labels = latest(&events);
    let truth = gold.iter().filter(|(id, label)| labels[*id].label == **label).count() as f64 / gold.len() as f64;
    let part = |name: &str, part: &str| audit[name][part].as_f64().unwrap();
    assert_eq!(audit["audited"], 200);
    // All of the corpus is not far from what was drawn of it.
    assert!(part("accuracy", "low") < truth && truth < part("accuracy", "high"), "{truth} {audit}");
    assert!(part("teacher_first", "low") < part("teacher_first", "estimate"));
    let calibration = |name: &str, part: &str| audit["calibration"][name][part].as_f64().unwrap();
    for name in ["above_accuracy", "error"] {
        let [low, estimate, high] = ["low", "estimate", "high"].map(|part| calibration(name, part));
        assert!(low <= estimate && estimate <= high && low < high, "{audit}");
    }
    let mean = labels.values().map(|event| event.confidence).sum::<f64>() / labels.len() as f64;
    assert!((audit["calibration"]["mean"].as_f64().unwrap() - mean).abs() < 1e-9);
    assert!((calibration("above_accuracy", "low") - (mean - part("accuracy", "high"))).abs() < 1e-9);
    assert_eq!(audit["calibration"]["recalibrated"].as_array().unwrap().len(), 5);
    assert!(audit["sets"].is_null());
    let judge = ["audit", "run", "--gold", "audited.jsonl", "--coverage", "0.9"];
    let told = project.candist(&judge).expect_exit(0).out;
    for line in ["mean confidence", "calibration error", "recalibrated", "label sets"] {
        assert!(told.contains(line), "{line}: {told}");
    }

    // Two runs are compared; a label that is none is named.
    project.configure(&recorded(&TEACHERS[2..]), "");
    project.candist(&["run", "config.toml", "--run-dir", "weaker"]);
    let compared = project.candist(&["audit", "run", "weaker", "--gold", "audited.jsonl"]).expect_exit(0);
    assert!(compared.out.contains("best on this sample: run"), "{}", compared.out);
    project.write("audited.jsonl", "{\"id\": \"pool-0000\", \"text\": \"\", \"gold\": \"nonsense\"}\n");
    project.candist(&["audit", "run", "--gold", "audited.jsonl"]).expect_exit(2).expect_said("\"nonsense\" is none");
}
