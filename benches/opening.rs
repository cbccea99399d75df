//! What it takes to run a complete run once more, by the real program: opening its directory (with a corpus of one known text),
//! and passing over the whole corpus, which it knows. `make bench`, or `cargo bench --bench opening`; with CANDIST_LARGE=1 also a million samples (minutes to make).
//!
//! The directories are made by real runs of a quick teacher and a tiny student. "after a kill" is without the mark of a clean
//! close: every line of the logs is checked then. With CANDIST_OPENING=FOLDER they are made there, once, and kept.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

mod made;

use std::path::{Path, PathBuf};

/// Runs the program once more over what is complete.
fn measure(folder: &Path, config: &str, what: &str) {
    println!("  {what:<40}{}", made::measure(folder, &["run", config], "already complete"));
}

fn main() {
    let temporary = tempfile::tempdir().unwrap();
    let base = std::env::var_os("CANDIST_OPENING").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let large = std::env::var_os("CANDIST_LARGE").is_some();
    for samples in [10_000, 100_000, 1_000_000].into_iter().take(if large { 3 } else { 2 }) {
        let folder = made::run(&base, samples);
        println!("{samples} samples, {} MB of logs", made::megabytes(&folder.join("run")));
        measure(&folder, "first.toml", "opening after a clean close");
        std::fs::remove_file(folder.join("run/store/clean.json")).unwrap();
        measure(&folder, "first.toml", "opening after a kill");
        measure(&folder, "config.toml", "opening, and passing over the corpus");
    }
}
