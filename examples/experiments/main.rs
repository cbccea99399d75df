//! Runs every refinery on the recordings of BANKING77, several seeds each, and writes the table and the plot of
//! docs/src/explanation/experiments.md: `make experiments`. What was measured is kept in runs/experiments, so that it goes on where it stopped;
//! delete that folder to measure anew, after the program changed.
//!
//! With CANDIST_ENCODER set to a Hugging Face folder (for the published figures, that of all-MiniLM-L6-v2) the encoder
//! student is run too. CANDIST_SEEDS sets the number of seeds (5).

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a script: what fails says where")]

mod figure;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde::{Deserialize, Serialize};

const REFINERIES: [&str; 6] = ["single", "uniform", "cc", "renormalise", "candist", "posterior"];
/// Recordings, by the name of their set.
const SETS: [(&str, &[&str]); 5] = [
    ("three", &["gpt-4", "gpt-3.5", "gpt-4-other-shots"]),
    ("pair", &["gpt-3.5", "gpt-4-other-shots"]),
    ("gpt-4", &["gpt-4"]),
    ("gpt-3.5", &["gpt-3.5"]),
    ("gpt-4-other-shots", &["gpt-4-other-shots"]),
];

/// One run's figures; shares are 0 to 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Outcome {
    teacher: f64,
    distilled: f64,
    calibration_error: f64,
    held_out: f64,
    seconds: f64,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The configuration of one run: the quickstart's task with these teachers.
fn configuration(set: &[&str], student: &str, refinery: &str, seed: u64) -> String {
    let quickstart = std::fs::read_to_string(root().join("configs/quickstart.toml")).unwrap();
    let (from, to) = (quickstart.find("[task]").unwrap(), quickstart.find("[corpus]").unwrap());
    let data = root().join("examples/banking77");
    let mut text = quickstart.get(from..to).unwrap().to_owned();
    writeln!(text, "[corpus]\npath = {:?}", data.join("pool.jsonl")).unwrap();
    for name in set {
        let path = data.join(format!("teacher_{name}.jsonl"));
        writeln!(text, "[[teachers]]\nkind = \"recorded\"\nname = {name:?}\npath = {path:?}").unwrap();
    }
    let student = match student {
        "ngram" => "kind = \"ngram\"".to_owned(),
        _ => {
            let (model, vectors) = (std::env::var("CANDIST_ENCODER").unwrap(), root().join("runs/experiments/vectors"));
            format!("kind = \"encoder\"\nmodel = {model:?}\nvectors = {vectors:?}")
        }
    };
    writeln!(text, "[student]\nseed = {seed}\n{student}\n[distill]\nrefinery = {refinery:?}").unwrap();
    text
}

fn candist(args: &[&str]) -> std::process::Output {
    // The program that was built with this one.
    let program = std::env::current_exe().unwrap().parent().unwrap().join("../candist");
    Command::new(program).args(args).output().unwrap()
}

/// Runs one combination, or takes what an earlier call found.
fn outcome(folder: &Path, name: &str, set: &[&str], student: &str, refinery: &str, seed: u64) -> Outcome {
    let stem = format!("{student}-{name}-{refinery}-{seed}");
    let kept = folder.join(format!("{stem}.json"));
    let config = folder.join(format!("{stem}.toml"));
    let text = configuration(set, student, refinery, seed);
    let is_same = std::fs::read_to_string(&config).is_ok_and(|before| before == text);
    if let Some(found) = std::fs::read(&kept).ok().filter(|_| is_same) {
        return serde_json::from_slice(&found).unwrap();
    }
    std::fs::write(&config, text).unwrap();
    let run = folder.join(&stem);
    let _ = std::fs::remove_dir_all(&run);
    let (run_path, config_path) = (run.to_str().unwrap(), config.to_str().unwrap());
    let start = Instant::now();
    let done = candist(&["run", config_path, "--run-dir", run_path, "--quiet"]);
    let seconds = start.elapsed().as_secs_f64();
    // 3: texts that no recording answers are labelled by the student alone.
    let code = done.status.code();
    assert!(code == Some(0) || code == Some(3), "{stem}: {}", String::from_utf8_lossy(&done.stderr));
    let data = root().join("examples/banking77");
    let (gold, held_out) = (data.join("pool_gold.jsonl"), data.join("heldout_gold.jsonl"));
    let evaluated = candist(&[
        "eval",
        run_path,
        "--gold",
        gold.to_str().unwrap(),
        "--held-out",
        held_out.to_str().unwrap(),
        "--json",
    ]);
    let found: serde_json::Value = serde_json::from_slice(&evaluated.stdout).unwrap();
    let share = |path: &str| found.pointer(path).and_then(serde_json::Value::as_f64).unwrap();
    let outcome = Outcome {
        teacher: share("/teacher_first"),
        distilled: share("/distilled"),
        calibration_error: share("/calibration_error"),
        held_out: share("/held_out/accuracy"),
        seconds,
    };
    std::fs::write(&kept, serde_json::to_vec(&outcome).unwrap()).unwrap();
    let _ = std::fs::remove_dir_all(&run);
    println!(
        "{stem}: {:.2}% distilled, {:.2}% held out, {seconds:.0} s",
        100.0 * outcome.distilled,
        100.0 * outcome.held_out
    );
    outcome
}

/// Mean and standard deviation over seeds.
fn mean(outcomes: &[Outcome], of: impl Fn(&Outcome) -> f64) -> (f64, f64) {
    let values: Vec<f64> = outcomes.iter().map(of).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, (squares / (values.len() as f64 - 1.0).max(1.0)).sqrt())
}

fn main() {
    let seeds: u64 = std::env::var("CANDIST_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(5);
    let folder = root().join("runs/experiments");
    std::fs::create_dir_all(&folder).unwrap();
    let students: &[&str] = if std::env::var("CANDIST_ENCODER").is_ok() { &["ngram", "encoder"] } else { &["ngram"] };
    let mut bars: BTreeMap<(usize, String), Vec<figure::Bar>> = BTreeMap::new();
    let mut table = String::new();
    for &student in students {
        writeln!(
            table,
            "\n### Student `{student}`, {seeds} seeds\n\n| recordings | teacher | refinery | distilled | held-out, student alone | ECE | seconds |\n\
             |---|---|---|---|---|---|---|"
        )
        .unwrap();
        for (place, (name, set)) in SETS.into_iter().enumerate() {
            for refinery in REFINERIES {
                let outcomes: Vec<Outcome> =
                    (0..seeds).map(|seed| outcome(&folder, name, set, student, refinery, seed)).collect();
                let cell = |(mean, deviation): (f64, f64)| format!("{:.2} ± {:.2}", 100.0 * mean, 100.0 * deviation);
                let teacher = mean(&outcomes, |outcome| outcome.teacher).0;
                let distilled = mean(&outcomes, |outcome| outcome.distilled);
                writeln!(
                    table,
                    "| {name} | {:.2} | {refinery} | {} | {} | {} | {:.0} |",
                    100.0 * teacher,
                    cell(distilled),
                    cell(mean(&outcomes, |outcome| outcome.held_out)),
                    cell(mean(&outcomes, |outcome| outcome.calibration_error)),
                    mean(&outcomes, |outcome| outcome.seconds).0
                )
                .unwrap();
                let bar = figure::Bar { refinery, teacher, mean: distilled.0, deviation: distilled.1 };
                bars.entry((place, student.to_owned())).or_default().push(bar);
            }
        }
    }
    let panels = bars
        .into_iter()
        .filter_map(|((place, student), bars)| Some((format!("{}, {student}", SETS.get(place)?.0), bars)))
        .collect::<Vec<_>>();
    let docs = root().join("docs/src/explanation");
    std::fs::write(docs.join("experiments.svg"), figure::draw(&panels)).unwrap();
    let path = docs.join("experiments.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let mark = "<!-- results -->";
    let head = text.split(mark).next().unwrap();
    let seeds = "Mean and standard deviation over the seeds, in percent.\n";
    std::fs::write(
        &path,
        format!("{head}{mark}\n\n{seeds}{table}\n![Accuracy of distilled labels](experiments.svg)\n"),
    )
    .unwrap();
    println!("written: {} and experiments.svg", path.display());
}
