//! How fast a corpus is read, on one core: bytes of a file to samples, each with its id and text. `make bench`, or
//! `cargo bench --bench reading`.
//!
//! Rows are those of messages: an id, a text of some 200 bytes and four columns that no run reads.

#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use candist::config::CorpusConfig;
use candist::internal::{count_rows, open_corpus};
use divan::Bencher;
use divan::counter::BytesCount;

const ROWS: usize = 200_000;

fn main() {
    divan::main();
}

/// Words that differ from row to row, with signs that have to be escaped now and then.
fn text(row: usize) -> String {
    let words =
        ["where", "is", "my", "card", "it said \"soon\",", "Überweisung", "payment", "since", "Monday", "thanks"];
    let mut text = String::new();
    for word in 0..32 {
        let pick = words.get((row * 7 + word * word * 3) % words.len()).unwrap();
        write!(text, "{pick} ").unwrap();
    }
    text
}

/// The corpus as a file of this format.
fn corpus(format: &str) -> (tempfile::TempDir, CorpusConfig, u64) {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join(format!("rows.{format}"));
    let mut rows = Vec::new();
    match format {
        "jsonl" | "jsonl.gz" => {
            for row in 0..ROWS {
                let line = serde_json::json!({
                    "id": format!("m-{row}"), "text": text(row), "lang": "en", "stars": row % 5,
                    "tags": ["a", "b"], "user": {"name": "someone", "since": 2019},
                });
                writeln!(rows, "{line}").unwrap();
            }
        }
        _ => {
            let mut writer = csv::Writer::from_writer(&mut rows);
            writer.write_record(["id", "lang", "stars", "user", "since", "text"]).unwrap();
            for row in 0..ROWS {
                let (id, stars) = (format!("m-{row}"), (row % 5).to_string());
                writer.write_record([&id, "en", &stars, "someone", "2019", &text(row)]).unwrap();
            }
            writer.flush().unwrap();
        }
    }
    let bytes = rows.len() as u64;
    if format.ends_with(".gz") {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(&rows).unwrap();
        rows = packed.finish().unwrap();
    }
    std::fs::write(&path, rows).unwrap();
    (folder, CorpusConfig::of(vec![path]), bytes)
}

/// Rows to samples. Of a compressed file, the bytes are those of what is inside.
#[divan::bench(args = ["jsonl", "csv", "jsonl.gz"], sample_count = 10)]
fn samples(bencher: Bencher<'_, '_>, format: &str) {
    let (_folder, config, bytes) = corpus(format);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let mut corpus = open_corpus(&config).unwrap();
        let mut read = 0;
        while let Some(row) = corpus.next_row().unwrap() {
            read += row.sample.unwrap().text.len();
        }
        read
    });
}

/// Rows counted.
#[divan::bench(args = ["jsonl", "csv"], sample_count = 10)]
fn count(bencher: Bencher<'_, '_>, format: &str) {
    let (_folder, config, bytes) = corpus(format);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| count_rows(&config, &|| false).unwrap());
}
