//! The page of a big run, by the real program: how long it reads, what memory it takes, how long it answers. `make bench`, or
//! `cargo bench --bench page`; with CANDIST_LARGE=1 a million texts.
//!
//! The logs are made here, not by a run: a text of some 200 bytes, three teachers, and two events for every fifth text.

#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a benchmark")]

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const LABELS: u64 = 77;
const TEACHERS: [&str; 3] = ["one", "two", "three"];

/// As `base/sealed` has it.
fn seal(object: &Value) -> String {
    let text = object.to_string();
    let content = text.strip_suffix('}').unwrap();
    format!("{content},\"crc\":\"{:08x}\"}}\n", crc32fast::hash(content.as_bytes()))
}

fn label(number: u64) -> String {
    format!("label {}", number % LABELS)
}

/// Different for every number, the same each time.
fn drawn(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20
}

fn text(number: u64) -> String {
    let words =
        ["where", "is", "my", "card", "it said \"soon\",", "Überweisung", "payment", "since", "Monday", "thanks"];
    let words: Vec<&str> = (0..28).map(|word| words[(drawn(number * 31 + word) % 10) as usize]).collect();
    format!("{} {number}", words.join(" "))
}

fn write_inputs(dir: &Path, texts: u64) {
    let mut file = BufWriter::new(File::create(dir.join("inputs.jsonl")).unwrap());
    let labels: Vec<String> = (0..LABELS).map(label).collect();
    let begin = json!({"event": "begin", "format": 1, "run": "0".repeat(32), "task": "page", "labels": labels,
        "teachers": TEACHERS, "asking": "made"});
    file.write_all(seal(&begin).as_bytes()).unwrap();
    for number in 0..texts {
        let asked: Vec<Value> = (0..)
            .zip(TEACHERS)
            .map(|(place, teacher)| json!({"teacher": teacher, "labels": [label(drawn(number)), label(drawn(number + place))]}))
            .collect();
        let arrive = json!({"event": "arrive", "position": number, "id": format!("ticket-{number:07}"), "text": text(number),
            "asked": asked});
        file.write_all(seal(&arrive).as_bytes()).unwrap();
    }
    file.write_all(seal(&json!({"event": "end", "samples": texts})).as_bytes()).unwrap();
}

fn write_labels(dir: &Path, texts: u64) {
    let mut file = BufWriter::new(File::create(dir.join("labels.jsonl")).unwrap());
    let (mut offset, again) = (0_u64, (0..texts).step_by(5));
    for (number, revision) in (0..texts).map(|number| (number, 0)).chain(again.map(|number| (number, 1))) {
        let confidence = (drawn(number + revision) % 10_001) as f64 / 10_000.0;
        let name = label(drawn(number) + revision);
        writeln!(
            file,
            "{{\"offset\":{offset},\"id\":\"ticket-{number:07}\",\"label\":\"{name}\",\"confidence\":{confidence},\
             \"margin\":{confidence},\"others\":[{{\"label\":\"label 1\",\"confidence\":0.05}}],\"candidates\":[\"{name}\"],\
             \"by\":\"posterior\",\"revision\":{revision},\"student\":{number},\"final\":false}}"
        )
        .unwrap();
        offset += 1;
    }
}

fn write_answers(dir: &Path, texts: u64) {
    let mut file = BufWriter::new(File::create(dir.join("answers.jsonl")).unwrap());
    for number in 0..texts {
        let hash = candist::TextHash::of(&text(number)).to_hex();
        for (place, teacher) in (0..).zip(TEACHERS) {
            let name = label(drawn(number + place));
            let answer = json!({"id": format!("ticket-{number:07}"), "teacher": teacher, "labels": [name],
                "key": format!("{:032x}", drawn(number * 3 + place)), "text_hash": hash, "attempt": 1, "model": "model",
                "raw": format!("{{\"labels\": [\"{name}\"]}}")});
            file.write_all(seal(&answer).as_bytes()).unwrap();
        }
    }
}

/// The program as it serves.
struct Served {
    child: Child,
    base: String,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    fn start(dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_candist"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .arg(dir)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
        let base = line.split(' ').find(|word| word.starts_with("http://")).unwrap().trim_end_matches('/').to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { child, base, client: reqwest::Client::new(), runtime }
    }

    fn get(&self, path: &str) -> Value {
        self.runtime.block_on(async {
            let response = self.client.get(format!("{}{path}", self.base)).send().await.unwrap();
            serde_json::from_str(&response.text().await.unwrap()).unwrap()
        })
    }

    fn read(&self) {
        while self.get("/api/v1/status")["reading"] != json!(false) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Megabytes that are in memory now, and at most.
    fn memory(&self) -> [f64; 2] {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        ["VmRSS:", "VmHWM:"].map(|name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().split(' ').next().unwrap().parse::<f64>().unwrap() / 1024.0
        })
    }

    fn time(&self, what: &str, path: &str) {
        let begin = Instant::now();
        let answer = self.get(path);
        let took = begin.elapsed().as_secs_f64() * 1000.0;
        let total = answer["total"].as_u64().map(|total| format!("  {total} rows")).unwrap_or_default();
        let partial = if answer["partial"] == json!(true) { ", partial" } else { "" };
        println!("  {what:<44}{took:>9.1} ms{total}{partial}");
    }
}

fn measure(texts: u64) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    write_inputs(dir, texts);
    write_labels(dir, texts);
    write_answers(dir, texts);
    let megabytes = |name: &str| std::fs::metadata(dir.join(name)).unwrap().len() >> 20;
    let [inputs, labels, answers] = ["inputs.jsonl", "labels.jsonl", "answers.jsonl"].map(megabytes);
    println!("{texts} texts: inputs {inputs} MB, labels {labels} MB, answers {answers} MB");
    let begin = Instant::now();
    let served = Served::start(dir);
    served.read();
    let [now, most] = served.memory();
    println!("  {:<44}{:>9.1} s", "read", begin.elapsed().as_secs_f64());
    println!("  {:<44}{now:>9.1} MB, {most:.1} MB at most", "memory");
    for (what, path) in [
        ("overview", "/api/v1/overview"),
        ("first page", "/api/v1/labels"),
        ("by confidence", "/api/v1/labels?sort=confidence"),
        ("the same, page 1000", "/api/v1/labels?sort=confidence&offset=100000"),
        ("by id", "/api/v1/labels?sort=id&desc=1"),
        ("by label", "/api/v1/labels?sort=label"),
        ("below 0.5, disputed", "/api/v1/labels?max=0.5&disagree=1&sort=margin"),
        ("contains, one text", "/api/v1/labels?contains=monday+7"),
        ("contains, many texts", "/api/v1/labels?contains=%C3%BCberweisung"),
        ("the same again", "/api/v1/labels?contains=%C3%BCberweisung&offset=100"),
        ("detail of a text", "/api/v1/labels/77"),
        ("review, random", "/api/v1/review?order=random"),
    ] {
        served.time(what, path);
    }
    let [now, most] = served.memory();
    println!("  {:<44}{now:>9.1} MB, {most:.1} MB at most", "memory after that");
}

fn main() {
    measure(1000);
    measure(if std::env::var_os("CANDIST_LARGE").is_some() { 1_000_000 } else { 100_000 });
}
