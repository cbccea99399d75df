//! A project (corpus, recordings, configuration) in a temporary folder, and the program run in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use candist::LabelEvent;
use tempfile::TempDir;

use crate::server::{Answers, Behaviour, Replay, serve};

pub(crate) const TEACHERS: [&str; 3] = ["gpt-4", "gpt-3.5", "gpt-4-other-shots"];

/// Settings with which a few hundred texts make blocks, sweeps, passes and checkpoints.
const SMALL: &str = r#"
[student]
dimension = 8
buckets = 4096
[distill]
folds = 3
block = 8
memory = 200
max_passes = 4
[run]
dir = "run"
checkpoint_every_s = 0.0
"#;

pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// How often something is tried: a short time in a test, longer where the environment's `name` says so.
pub(crate) fn count(name: &str, short: usize) -> usize {
    std::env::var(name).ok().and_then(|count| count.parse().ok()).unwrap_or(short)
}

pub(crate) struct Project {
    folder: TempDir,
}

impl Project {
    /// Every `stride`th text of the example corpus with its recordings.
    pub(crate) fn new(stride: usize) -> Self {
        let project = Self { folder: tempfile::tempdir().unwrap() };
        let data = repository().join("examples/banking77");
        let names = TEACHERS.map(|teacher| format!("teacher_{teacher}.jsonl"));
        for name in ["pool.jsonl", "pool_gold.jsonl"].into_iter().chain(names.iter().map(String::as_str)) {
            let all = std::fs::read_to_string(data.join(name)).unwrap();
            let kept: Vec<&str> = all.lines().step_by(stride).collect();
            project.write(name, &(kept.join("\n") + "\n"));
        }
        project.configure(&recorded(&TEACHERS), "");
        project
    }

    /// Writes the configuration with these teachers; `more` goes after it.
    pub(crate) fn configure(&self, teachers: &str, more: &str) {
        let task = self.task();
        let corpus = "[corpus]\npath = \"pool.jsonl\"\n";
        self.write("config.toml", &format!("{task}\n{corpus}\n{teachers}\n{SMALL}\n{more}"));
    }

    pub(crate) fn task(&self) -> String {
        let quickstart = std::fs::read_to_string(repository().join("configs/quickstart.toml")).unwrap();
        let (from, to) = (quickstart.find("[task]").unwrap(), quickstart.find("[corpus]").unwrap());
        quickstart[from..to].to_owned()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn remove_run(&self) {
        let _ = std::fs::remove_dir_all(self.path("run"));
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_candist"));
        command.current_dir(self.folder.path()).args(args).stdin(Stdio::null());
        // The program must find libtorch by itself.
        command.env_remove("LD_LIBRARY_PATH").env_remove("CANDIST_LOG");
        command
    }

    pub(crate) fn candist(&self, args: &[&str]) -> Finished {
        Finished::of(self.command(args).output().unwrap())
    }

    /// What another program says that runs ours.
    pub(crate) fn command_output(&self, mut command: Command) -> Output {
        command.stdin(Stdio::null()).env_remove("LD_LIBRARY_PATH").env_remove("CANDIST_LOG").output().unwrap()
    }

    /// `candist run`, which must succeed; what it said.
    pub(crate) fn run(&self) -> Finished {
        self.candist(&["run", "config.toml"]).expect_exit(0)
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// What a program said that must end by itself.
    pub(crate) fn within_a_minute(&self, mut command: Command) -> Finished {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        for _ in 0..600 {
            if child.try_wait().unwrap().is_some() {
                return Finished::of(child.wait_with_output().unwrap());
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        child.kill().unwrap();
        panic!("{command:?} waits for ever in {}", self.folder.path().display());
    }

    pub(crate) fn labels(&self) -> String {
        self.read("run/labels.jsonl")
    }

    pub(crate) fn events(&self) -> Vec<LabelEvent> {
        events(&self.labels())
    }
}

pub(crate) fn events(lines: &str) -> Vec<LabelEvent> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The last label of every id.
pub(crate) fn latest(events: &[LabelEvent]) -> BTreeMap<String, LabelEvent> {
    events.iter().map(|event| (event.id.clone(), event.clone())).collect()
}

pub(crate) fn recorded(teachers: &[&str]) -> String {
    let entry = |teacher: &&str| {
        format!("[[teachers]]\nkind = \"recorded\"\nname = \"{teacher}\"\npath = \"teacher_{teacher}.jsonl\"\n")
    };
    teachers.iter().map(entry).collect()
}

pub(crate) fn openai(models: &[&str], base_url: &str, more: &str) -> String {
    let entry = |model: &&str| {
        format!(
            "[[teachers]]\nkind = \"openai\"\nbase_url = \"{base_url}\"\nmodel = \"{model}\"\nmax_in_flight = 64\n{more}\n"
        )
    };
    models.iter().map(entry).collect()
}

/// How a program ended and what it said.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) exit: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Finished {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            exit: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn expect_exit(self, exit: i32) -> Self {
        assert_eq!(self.exit, Some(exit), "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn expect_said(self, sentence: &str) -> Self {
        assert!(self.err.contains(sentence), "{sentence:?} is not in:\n{}", self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self
    }
}

/// The loopback server at work, until dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) replay: Arc<Replay>,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Answers from the project's recordings.
    pub(crate) fn start(project: &Project, behaviour: Behaviour) -> Self {
        let recordings = TEACHERS.map(|teacher| project.path(&format!("teacher_{teacher}.jsonl")));
        Self::answering(Answers::read(&project.path("pool.jsonl"), &recordings).unwrap(), behaviour)
    }

    /// Answers with `answers`.
    pub(crate) fn answering(answers: Answers, behaviour: Behaviour) -> Self {
        let replay = Replay::new(answers, behaviour);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        runtime.spawn(serve(listener, Arc::clone(&replay)));
        Self { url, replay, runtime }
    }

    /// The reply to one request body.
    pub(crate) fn complete(&self, body: &serde_json::Value) -> serde_json::Value {
        let client = reqwest::Client::new();
        let url = format!("{}/chat/completions", self.url);
        self.runtime.block_on(async { client.post(url).json(body).send().await.unwrap().json().await.unwrap() })
    }
}

/// Copies a run directory.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
