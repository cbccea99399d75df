//! What it takes to export a run of a million labels, by the real program: wall and processor time, and memory.
//! `cargo bench --bench export`: 100,000 of them, or a million with CANDIST_LARGE=1 (minutes to make).
//!
//! The run is made by a quick teacher and a tiny student, as in `opening`. With CANDIST_OPENING=FOLDER it is made there, once,
//! and kept; both use the same.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

mod made;

use std::path::{Path, PathBuf};

/// The formats that are written, with what more is asked for.
const EXPORTS: [(&str, &[&str]); 6] = [
    ("out.parquet", &[]),
    ("out.csv", &[]),
    ("out.jsonl.zst", &[]),
    ("text.parquet", &["--text"]),
    ("join.parquet", &["--join"]),
    ("doubtful.csv", &["--doubtful", "1000"]),
];

fn export(folder: &Path, samples: u64, file: &str, more: &[&str]) {
    let args = [&["export", "config.toml", "--labels", file], more].concat();
    let measured = made::measure(folder, &args, "rows in");
    let size = std::fs::metadata(folder.join(file)).unwrap().len() as f64 / 1e6;
    let what = format!("{samples} labels to {file} {}", more.join(" "));
    println!("  {what:<50}{measured}{size:>8.1} MB written");
}

fn main() {
    let temporary = tempfile::tempdir().unwrap();
    let base = std::env::var_os("CANDIST_OPENING").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let large = std::env::var_os("CANDIST_LARGE").is_some();
    let samples = if large { 1_000_000 } else { 100_000 };
    let folder = made::run(&base, samples);
    println!("{samples} samples, {} MB of logs", made::megabytes(&folder.join("run")));
    for (file, more) in EXPORTS {
        export(&folder, samples, file, more);
    }
}
