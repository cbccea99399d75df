//! How long after a label is in the log `candist tail --follow` has printed it, by the real program. `make bench`, or
//! `cargo bench --bench tail`.
//!
//! The log is written here, a line every few milliseconds, as a run writes it.

#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a benchmark")]

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::json;

const LINES: u64 = 1000;
const EVERY: Duration = Duration::from_millis(7);

fn line(offset: u64) -> String {
    let event = json!({"offset": offset, "id": format!("m-{offset}"), "label": "card", "confidence": 0.9, "candidates": ["card"],
        "by": "posterior", "revision": 0, "student": 1, "final": false});
    format!("{event}\n")
}

/// When each line came out of `out`.
fn arrivals(out: ChildStdout) -> Receiver<Instant> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines() {
            let _ = (line.unwrap(), tell.send(Instant::now()));
        }
    });
    told
}

struct Followed(Child);

impl Drop for Followed {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

fn main() {
    // `cargo test --benches` only builds it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let begin =
        json!({"event": "begin", "format": 1, "run": "0".repeat(32), "task": "tail", "labels": ["card", "cash"],
        "teachers": ["one"], "asking": "made"})
        .to_string();
    let content = begin.strip_suffix('}').unwrap();
    let sealed = format!("{content},\"crc\":\"{:08x}\"}}\n", crc32fast::hash(content.as_bytes()));
    std::fs::write(folder.path().join("inputs.jsonl"), sealed).unwrap();
    let mut log = File::create(folder.path().join("labels.jsonl")).unwrap();
    log.write_all(line(0).as_bytes()).unwrap();

    let mut candist = Command::new(env!("CARGO_BIN_EXE_candist"));
    let started = Instant::now();
    let mut child =
        candist.args(["tail", "--follow", "--forever"]).arg(folder.path()).stdout(Stdio::piped()).spawn().unwrap();
    let told = arrivals(child.stdout.take().unwrap());
    let _followed = Followed(child);
    println!("the first line: {:.0} ms", (told.recv().unwrap() - started).as_secs_f64() * 1e3);
    let mut late = Vec::new();
    for offset in 1..=LINES {
        std::thread::sleep(EVERY);
        log.write_all(line(offset).as_bytes()).unwrap();
        let written = Instant::now();
        late.push(told.recv().unwrap().saturating_duration_since(written).as_secs_f64() * 1e3);
    }
    late.sort_by(f64::total_cmp);
    let at = |share: usize| late[(late.len() * share / 100).min(late.len() - 1)];
    println!(
        "{LINES} lines, one every {EVERY:?}: median {:.2} ms, p99 {:.2} ms, most {:.2} ms",
        at(50),
        at(99),
        at(100)
    );
}
