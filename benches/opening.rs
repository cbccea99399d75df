//! What it takes to run a complete run once more, by the real program: opening its directory (with a corpus of one known text),
//! and passing over the whole corpus, which it knows. `make bench`, or `cargo bench --bench opening`; with CANDIST_LARGE=1 also a million samples (minutes to make).
//!
//! The directories are made by real runs of a quick teacher and a tiny student. "after a kill" is without the mark of a clean
//! close: every line of the logs is checked then. With CANDIST_OPENING=FOLDER they are made there, once, and kept.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use candist::internal::{Ledger, open_teachers};
use candist::{
    Addresses, Answer, AnswerKey, AskError, Asked, BoxFuture, Config, LabelId, Result, Run, Sample, Teacher, TextHash,
};

const LABELS: u16 = 20;

/// Answers for another teacher at once, as if that had been asked.
struct Quick(Arc<dyn Teacher>);

impl Teacher for Quick {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn identity(&self) -> String {
        self.0.identity()
    }

    fn key(&self, sample: &Sample, draw: u32) -> AnswerKey {
        self.0.key(sample, draw)
    }

    fn ask<'a>(&'a self, sample: &'a Sample, _draw: u32) -> BoxFuture<'a, Result<Asked, AskError>> {
        let [first, second, ..] = TextHash::of(&sample.text).0;
        let labels = [first, second].map(|byte| LabelId(u16::from(byte) % LABELS));
        let answer = Answer { raw: Some("[\"one\", \"other\"]".to_owned()), ..Answer::naming(labels) };
        Box::pin(std::future::ready(Ok(Asked::free(answer))))
    }
}

/// A configuration whose teacher nobody could reach: a complete run asks nothing.
fn configuration(corpus: &str) -> String {
    let labels: Vec<String> = (0..LABELS).map(|label| format!("\"label {label}\"")).collect();
    format!(
        "[task]\nname = \"opening\"\nlabels = [{}]\n[corpus]\npath = \"{corpus}\"\n\
         [[teachers]]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\nmodel = \"nobody\"\nmax_in_flight = 512\n\
         [student]\ndimension = 4\nbuckets = 1024\n[distill]\nfolds = 2\nblock = 4096\nreplay = 0\nmax_passes = 0\n\
         [run]\ndir = \"run\"\n",
        labels.join(", ")
    )
}

fn write_corpus(path: &Path, samples: u64) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    for number in 0..samples {
        let text =
            format!("message {number}: where is parcel {} that I sent to house {}?", number * 7919, number % 977);
        writeln!(file, "{{\"id\": \"m-{number}\", \"text\": \"{text}\"}}").unwrap();
    }
    file.flush().unwrap();
}

fn make(config: Config) {
    let mut teachers = open_teachers(&config, &Ledger::new(None), &Addresses::default()).unwrap();
    let teacher = Quick(teachers.pop().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { Run::builder(config).teacher(teacher).start().join().await }).unwrap();
}

/// Runs the program; seconds of wall and processor, and megabytes.
fn measure(folder: &Path, config: &str, what: &str) {
    let said = Command::new("/usr/bin/time")
        .args(["-f", "measured %e %U %S %M", env!("CARGO_BIN_EXE_candist"), "run", config])
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("already complete"), "{said}");
    let figures: Vec<f64> = said
        .lines()
        .find_map(|line| line.strip_prefix("measured "))
        .unwrap()
        .split(' ')
        .map(|figure| figure.parse().unwrap())
        .collect();
    let [wall, user, system, peak] = figures.try_into().unwrap();
    println!("  {what:<40}{wall:>8.2} s wall{:>8.2} s CPU{:>8.0} MB at most", user + system, peak / 1024.0);
}

fn megabytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let bytes: u64 = entries.map(|entry| entry.metadata().unwrap().len()).sum();
    bytes >> 20
}

fn main() {
    let made = tempfile::tempdir().unwrap();
    let base = std::env::var_os("CANDIST_OPENING").map_or_else(|| made.path().to_owned(), PathBuf::from);
    let large = std::env::var_os("CANDIST_LARGE").is_some();
    for samples in [10_000, 100_000, 1_000_000].into_iter().take(if large { 3 } else { 2 }) {
        let folder = base.join(samples.to_string());
        let path = |name: &str| folder.join(name);
        if !path("run/store/clean.json").exists() {
            std::fs::create_dir_all(&folder).unwrap();
            write_corpus(&path("corpus.jsonl"), samples);
            write_corpus(&path("first.jsonl"), 1);
            std::fs::write(path("config.toml"), configuration("corpus.jsonl")).unwrap();
            std::fs::write(path("first.toml"), configuration("first.jsonl")).unwrap();
            let begin = Instant::now();
            make(Config::load(&path("config.toml"), None).unwrap());
            println!("{samples} samples, made in {:.0} s", begin.elapsed().as_secs_f64());
        }
        println!("{samples} samples, {} MB of logs", megabytes(&path("run")));
        measure(&folder, "first.toml", "opening after a clean close");
        std::fs::remove_file(path("run/store/clean.json")).unwrap();
        measure(&folder, "first.toml", "opening after a kill");
        measure(&folder, "config.toml", "opening, and passing over the corpus");
    }
}
