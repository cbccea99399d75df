//! Runs to measure with: of any size, made by a quick teacher and a tiny student; and the program, measured.

use std::fmt;
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

/// The folder in `base` with a complete run of `samples` texts in `run`, its configuration `config.toml`, and `first.toml`, that of
/// a corpus of its first text. Made where it is not there.
pub(crate) fn run(base: &Path, samples: u64) -> PathBuf {
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
    folder
}

/// What a program took.
pub(crate) struct Measured {
    wall: f64,
    cpu: f64,
    megabytes: f64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8.2} s wall{:>8.2} s CPU{:>8.0} MB at most", self.wall, self.cpu, self.megabytes)
    }
}

/// Runs the program in `folder`; it has to say `sentence`.
pub(crate) fn measure(folder: &Path, args: &[&str], sentence: &str) -> Measured {
    let said = Command::new("/usr/bin/time")
        .args(["-f", "measured %e %U %S %M", env!("CARGO_BIN_EXE_candist")])
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains(sentence), "{said}");
    let figures: Vec<f64> = said
        .lines()
        .find_map(|line| line.strip_prefix("measured "))
        .unwrap()
        .split(' ')
        .map(|figure| figure.parse().unwrap())
        .collect();
    let [wall, user, system, peak] = figures.try_into().unwrap();
    Measured { wall, cpu: user + system, megabytes: peak / 1024.0 }
}

/// Of the files in a folder.
pub(crate) fn megabytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(std::result::Result::unwrap);
    let bytes: u64 = entries.map(|entry| entry.metadata().unwrap().len()).sum();
    bytes >> 20
}
