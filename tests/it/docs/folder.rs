//! The folder in which a page's blocks run: what a reader has beside the page, and a server that stands for the provider.
//!
//! The corpus is real: every twelfth question of BANKING77, with the answers that real LLMs gave, told in six subjects
//! instead of 77 intents, so that a page can name all labels.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Answers, Behaviour};
use crate::support::{Finished, Server, TEACHERS, copy_folder, repository};

/// Of the corpus' rows, every so many are there.
const STRIDE: usize = 12;
/// The address that pages name, in whose place the server is.
const PROVIDER: &str = "https://api.openai.com/v1";

/// The subject of a message whose intent is `intent`.
fn subject(intent: &str) -> &'static str {
    let subjects: [(&str, &[&str]); 5] = [
        ("top-up", &["top_up", "topping_up"]),
        ("transfer", &["transfer", "receiving_money", "direct_debit", "balance_not_updated", "beneficiary"]),
        ("cash", &["cash", "atm"]),
        ("exchange", &["exchange", "currenc", "country_support"]),
        ("card", &["card", "pin", "contactless", "apple_pay", "refund", "Refund", "charge"]),
    ];
    let of = |(_, words): &&(&str, &[&str])| words.iter().any(|word| intent.contains(word));
    subjects.iter().find(of).map_or("account", |(subject, _)| subject)
}

pub(super) struct Folder {
    folder: TempDir,
    server: Server,
}

impl Folder {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        write_messages(at);
        write_repository(at);
        std::fs::create_dir_all(at.join("models")).unwrap();
        copy_folder(&repository().join("tests/fixtures/encoders/bert"), &at.join("models/all-MiniLM-L6-v2"));
        let recordings = TEACHERS.map(|teacher| at.join(format!(".provider/{teacher}.jsonl")));
        let answers = Answers::read(&at.join("messages.jsonl"), &recordings).unwrap();
        let server = Server::answering(answers, Behaviour::default());
        write_program(at, &server.url);
        let folder = Self { folder, server };
        // What the tutorial ends with, for the pages that begin there.
        folder.write("support.toml", &format!("{}dir = \"runs/support\"\n", super::BASE));
        folder
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a block to its file, the server in the provider's place.
    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text.replace(PROVIDER, &self.server.url)).unwrap();
    }

    /// `program` in the folder, as a reader would start it.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut path = std::ffi::OsString::from(self.path(".bin"));
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).env("PATH", path);
        command
            .env_remove("LD_LIBRARY_PATH")
            .env_remove("CANDIST_LOG")
            .env("OPENAI_API_KEY", "no-key")
            .env("CANDIST_PROGRAM", self.path(".bin/candist"))
            .env("HOME", self.folder.path());
        command
    }

    /// What shell commands print, and how they end.
    pub(super) fn shell(&self, commands: &str) -> Finished {
        let script = format!("set -euo pipefail\n{commands}");
        Finished::of(self.command("bash").args(["-c", &script]).output().unwrap())
    }
}

/// The program, as `candist` on the path. Configurations that were written meanwhile get the server in the provider's place
/// first.
fn write_program(at: &Path, server: &str) {
    let program = env!("CARGO_BIN_EXE_candist");
    let script = format!(
        "#!/bin/bash\nfor file in $(grep -rls --include='*.toml' '{PROVIDER}' .); do sed -i 's|{PROVIDER}|{server}|' \"$file\"; done\nexec {program} \"$@\"\n"
    );
    let path = at.join(".bin/candist");
    std::fs::create_dir(at.join(".bin")).unwrap();
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// The messages as JSONL and CSV, their gold labels, and what the provider answers.
fn write_messages(at: &Path) {
    let data = repository().join("examples/banking77");
    let rows = |name: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(data.join(name)).unwrap();
        text.lines().step_by(STRIDE).map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let lines = |rows: &[Value]| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    let pool = rows("pool.jsonl");
    std::fs::write(at.join("messages.jsonl"), lines(&pool)).unwrap();
    let gzip = std::fs::File::create(at.join("messages.jsonl.gz")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(gzip, flate2::Compression::fast());
    gzip.write_all(lines(&pool).as_bytes()).unwrap();
    gzip.finish().unwrap();
    let mut csv = csv::Writer::from_path(at.join("messages.csv")).unwrap();
    csv.write_record(["id", "body", "channel"]).unwrap();
    for (row, channel) in pool.iter().zip(["mail", "chat", "form"].iter().cycle()) {
        csv.write_record([row["id"].as_str().unwrap(), row["text"].as_str().unwrap(), channel]).unwrap();
    }
    csv.flush().unwrap();
    let gold: Vec<Value> = rows("pool_gold.jsonl")
        .iter()
        .map(|row| json!({"id": row["id"], "label": subject(row["label"].as_str().unwrap())}))
        .collect();
    std::fs::write(at.join("gold.jsonl"), lines(&gold)).unwrap();
    std::fs::create_dir(at.join(".provider")).unwrap();
    for teacher in TEACHERS {
        let answers: Vec<Value> = rows(&format!("teacher_{teacher}.jsonl")).iter().map(in_subjects).collect();
        std::fs::write(at.join(format!(".provider/{teacher}.jsonl")), lines(&answers)).unwrap();
    }
}

/// An answer, its labels told as subjects, each once.
fn in_subjects(answer: &Value) -> Value {
    let mut labels: Vec<&str> = Vec::new();
    for label in answer["labels"].as_array().unwrap() {
        let subject = subject(label.as_str().unwrap());
        if !labels.contains(&subject) {
            labels.push(subject);
        }
    }
    json!({"id": answer["id"], "labels": labels, "teacher": answer["teacher"]})
}

/// What of the repository pages name: configurations, the example data (thinned alike), the built program.
fn write_repository(at: &Path) {
    std::fs::create_dir_all(at.join("target/release")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_candist"), at.join("target/release/candist")).unwrap();
    copy_folder(&repository().join("configs"), &at.join("configs"));
    copy_folder(&repository().join("schemas"), &at.join("schemas"));
    copy_folder(&repository().join("examples/reviews"), &at.join("examples/reviews"));
    std::fs::create_dir_all(at.join("examples/banking77")).unwrap();
    for entry in std::fs::read_dir(repository().join("examples/banking77")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let kept: BTreeMap<usize, &str> = text.lines().enumerate().step_by(STRIDE).collect();
        let kept: String = kept.values().map(|line| format!("{line}\n")).collect();
        std::fs::write(at.join("examples/banking77").join(path.file_name().unwrap()), kept).unwrap();
    }
}
