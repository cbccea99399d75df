//! Any file of a run directory deleted, flipped, blanked or cut short: the same labels, or an error that says which line it is;
//! never a panic, and nothing is paid for again that is still there.
//!
//! `CANDIST_DAMAGES` says how many of each; `make soak` takes all deletions and hundreds of damages.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use candist::internal::rng;
use rand::Rng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

use crate::server::Behaviour;
use crate::support::{Finished, Project, Server, copy_folder, count, openai};

/// All that can be deleted: everything but the two logs.
const CACHES: [&str; 10] = [
    "labels.jsonl",
    "store",
    "store/index",
    "store/inputs",
    "store/events",
    "store/clean.json",
    "checkpoints",
    "manifest.json",
    "failures.jsonl",
    "status.json",
];

/// A run directory that is spoilt again and again.
struct Ruin {
    project: Project,
    server: Server,
    /// What an undisturbed run ends with.
    labels: String,
    /// Requests that a run makes which goes on from here.
    left: u64,
}

impl Ruin {
    /// A finished run.
    fn finished() -> Self {
        let project = Project::new(64);
        // So slow that a run that dies in the middle has questions left.
        let server = Server::start(&project, Behaviour { latency: Duration::from_millis(10), ..Behaviour::default() });
        project.configure(&openai(&["all-merged"], &server.url, ""), "");
        project.run();
        let labels = project.labels();
        copy_folder(&project.path("run"), &project.path("kept"));
        Self { project, server, labels, left: 0 }
    }

    /// A run that died in the middle.
    fn interrupted() -> Self {
        let Self { project, server, labels, .. } = Self::finished();
        for folder in ["run", "kept"] {
            std::fs::remove_dir_all(project.path(folder)).unwrap();
        }
        // A few at a time: some texts are labelled when others are not asked yet.
        project.configure(&openai(&["all-merged"], &server.url, "").replace("= 64", "= 4\nmin_in_flight = 4"), "");
        let mut command = project.command(&["run", "config.toml"]);
        command.env("FAILPOINTS", "before-inputs=6*off->return(abort)");
        assert_eq!(command.output().unwrap().status.code(), None);
        assert!(!project.labels().is_empty());
        copy_folder(&project.path("run"), &project.path("kept"));
        let left = project.read("pool.jsonl").lines().count() - project.read("run/answers.jsonl").lines().count();
        assert!(left > 0);
        Self { project, server, labels, left: left as u64 }
    }

    /// As it was, left by a clean close if it ever was.
    fn restore(&self) {
        self.project.remove_run();
        copy_folder(&self.project.path("kept"), &self.project.path("run"));
        self.leave_mark();
    }

    /// Makes the mark of a clean close fit the files as they are now.
    fn leave_mark(&self) {
        if !self.project.path("kept/store/clean.json").exists() {
            return;
        }
        let stamp = |name: &str| {
            let file = self.project.path("run").join(name).metadata().ok()?;
            Some(json!({
                "len": file.len(),
                "modified": [file.mtime(), file.mtime_nsec()],
                "changed": [file.ctime(), file.ctime_nsec()],
                "inode": file.ino(),
            }))
        };
        let mark = json!({
            "answers": stamp("answers.jsonl"),
            "inputs": stamp("inputs.jsonl"),
            "labels": stamp("labels.jsonl"),
        });
        let known: Value = serde_json::from_str(&self.project.read("kept/store/clean.json")).unwrap();
        let form = |mark: &Value| mark["inputs"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(form(&known), form(&mark), "the mark has another form than this test thinks");
        self.project.write("run/store/clean.json", &mark.to_string());
    }

    /// Runs; gives how it ended and the requests that it made.
    fn run(&self, what: &str) -> (Finished, u64) {
        let before = self.server.replay.stats().requests;
        let ended = self.project.candist(&["run", "config.toml"]);
        assert!(!ended.err.contains("panicked"), "{what}: {}", ended.err);
        (ended, self.server.replay.stats().requests - before)
    }

    fn expect_same_end(&self, what: &str) {
        let (ended, requests) = self.run(what);
        assert_eq!(ended.exit, Some(0), "{what}: {}", ended.err);
        assert_eq!(requests, self.left, "{what}: {}", ended.err);
        assert!(self.project.labels() == self.labels, "{what}: other labels\n{}", ended.err);
    }

    fn delete(&self, chosen: u64) -> Vec<&'static str> {
        self.restore();
        let bits = (0..).zip(CACHES).filter(|(bit, _)| chosen & (1 << bit) != 0);
        let chosen: Vec<&str> = bits.map(|(_, name)| name).collect();
        for name in &chosen {
            let path = self.project.path("run").join(name);
            // A folder may have gone with the one that it is in.
            let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        }
        chosen
    }

    /// Damages one of the files that are `damageable` in a random way.
    fn damage(&self, seed: u64, damageable: impl Fn(&str) -> bool) -> Damage {
        self.restore();
        let mut rng = rng(seed, "damage", &[]);
        let run = self.project.path("run");
        let name_of = |path: &Path| path.strip_prefix(&run).unwrap().to_string_lossy().into_owned();
        let mut files = files_in(&run);
        files.retain(|path| path.metadata().unwrap().len() > 0 && damageable(&name_of(path)));
        let path = &files[rng.random_range(0..files.len())];
        let mut content = std::fs::read(path).unwrap();
        let at = rng.random_range(0..content.len());
        let how = match rng.random_range(0..3) {
            0 => {
                content[at] ^= 1 << rng.random_range(0..8);
                "flipped"
            }
            1 => {
                let page = at / 4096 * 4096;
                let end = content.len().min(page + 4096);
                content[page..end].fill(0);
                "blanked"
            }
            _ => {
                content.truncate(at);
                "cut"
            }
        };
        let name = name_of(path);
        // In place, as rot would.
        std::fs::write(path, content).unwrap();
        Damage { what: format!("seed {seed}: {name} {how} at {at}"), name, is_cut: how == "cut" }
    }

    /// Answers that are no longer there as they were written.
    fn lost_answers(&self) -> u64 {
        let now = std::fs::read(self.project.path("run/answers.jsonl")).unwrap();
        let now: Vec<&[u8]> = now.split(|&byte| byte == b'\n').collect();
        let kept = self.project.read("kept/answers.jsonl");
        kept.lines().filter(|line| !now.contains(&line.as_bytes())).count() as u64
    }
}

struct Damage {
    what: String,
    name: String,
    is_cut: bool,
}

/// All files in `folder` and the folders in it, sorted.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_in(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// Deletes so many combinations of caches.
fn survive_deletions(ruin: &Ruin, seed: u64) {
    let mut all: Vec<u64> = (0..1 << CACHES.len()).collect();
    all.shuffle(&mut rng(seed, "deletions", &[]));
    for chosen in all.into_iter().take(count("CANDIST_DELETIONS", 20)) {
        let chosen = ruin.delete(chosen);
        ruin.expect_same_end(&format!("without {chosen:?}"));
    }
}

#[test]
fn a_finished_run_is_its_two_logs() {
    survive_deletions(&Ruin::finished(), 1);
}

#[test]
fn an_interrupted_run_is_its_two_logs() {
    survive_deletions(&Ruin::interrupted(), 2);
}

/// Damages a file, and runs until all is as it should be, following what is advised.
fn survive_damages(ruin: &Ruin, first: u64) {
    for seed in first..first + count("CANDIST_DAMAGES", 20) as u64 {
        let Damage { what, name, .. } = ruin.damage(seed, |_| true);
        let lost = ruin.lost_answers();
        let (ended, mut requests) = ruin.run(&what);
        if ended.exit != Some(0) {
            assert_eq!(ended.exit, Some(1), "{what}: {}", ended.err);
            assert_eq!((name.as_str(), requests), ("inputs.jsonl", 0), "{what}: {}", ended.err);
            assert!(ended.err.contains("run/inputs.jsonl:"), "{what}: {}", ended.err);
            assert!(ended.err.contains("move it away"), "{what}: {}", ended.err);
            std::fs::rename(ruin.project.path("run/inputs.jsonl"), ruin.project.path("away.jsonl")).unwrap();
            let (ended, asked) = ruin.run(&what);
            assert_eq!(ended.exit, Some(0), "{what}: {}", ended.err);
            requests = asked;
        }
        assert!(requests >= ruin.left && requests <= ruin.left + lost, "{what}: {requests} requests");
        assert!(ruin.project.labels() == ruin.labels, "{what}: other labels\n{}", ended.err);
        ruin.project.candist(&["check", "--deep", "run"]).expect_exit(0);
    }
}

#[test]
fn a_damaged_file_of_a_finished_run_is_mended_or_named() {
    survive_damages(&Ruin::finished(), 0);
}

#[test]
fn a_damaged_file_of_an_interrupted_run_is_mended_or_named() {
    survive_damages(&Ruin::interrupted(), 10_000);
}

/// Rot that leaves times as they were: an ordinary run trusts the mark, the deep check does not.
#[test]
fn silent_rot_is_found_by_the_deep_check_and_costs_nothing() {
    let ruin = Ruin::finished();
    let undamaged = ruin.project.candist(&["check", "--deep", "run"]).expect_exit(0);
    assert_eq!(undamaged.out.matches(", whole: ").count(), 3, "{}", undamaged.out);
    for seed in 20_000..20_000 + count("CANDIST_DAMAGES", 20) as u64 {
        let logs = ["answers.jsonl", "inputs.jsonl", "labels.jsonl"];
        let Damage { what, name, is_cut } = ruin.damage(seed, |name| logs.contains(&name));
        ruin.leave_mark();
        let checked = ruin.project.candist(&["check", "--deep", "run"]);
        assert!(!checked.err.contains("panicked"), "{what}: {}", checked.err);
        let said = format!("{}{}", checked.out, checked.err);
        // Whole answers that are missing at the end leave no trace.
        if checked.exit == Some(0) {
            let answers = ruin.project.read("run/answers.jsonl");
            assert!(
                is_cut && name == "answers.jsonl" && (answers.is_empty() || answers.ends_with('\n')),
                "{what}: {said}"
            );
        } else {
            assert_eq!(checked.exit, Some(1), "{what}: {said}");
            assert!(said.contains(&format!("run/{name}:")), "{what}: {said}");
        }
        let (_, requests) = ruin.run(&what);
        assert_eq!(requests, 0, "{what}");
    }
}
