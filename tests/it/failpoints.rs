//! The program dies, or a step of it fails, at every named place around every durable step; then it is run again.
//!
//! In the short form it aborts at a place and, taken up, fails there; `CANDIST_FAILPOINTS=1` (`make soak`) tries both alone, the
//! first time the place is reached and later ones.

use std::collections::HashSet;

use serde_json::Value;

use crate::server::Behaviour;
use crate::support::{Finished, Project, Server, copy_folder, openai, recorded, repository};

/// What is in flight at most: as many answers may be asked for twice when the program dies.
const IN_FLIGHT: u64 = 64;

fn in_full() -> bool {
    std::env::var_os("CANDIST_FAILPOINTS").is_some()
}

/// How a place makes the program fail.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Failure {
    Abort,
    Error,
}

/// A project, a run directory that it starts from, and what comes of it undisturbed.
struct Scene {
    project: Project,
    server: Option<Server>,
    labels: String,
    answers: usize,
}

impl Scene {
    /// Keeps the run directory as it is now, if there is one, and lets it come to its end.
    fn of(project: Project, server: Option<Server>) -> Self {
        if project.path("run").exists() {
            copy_folder(&project.path("run"), &project.path("kept"));
        }
        project.run();
        let (labels, answers) = (project.labels(), project.read("run/answers.jsonl").lines().count());
        Self { project, server, labels, answers }
    }

    fn restore(&self) {
        self.project.remove_run();
        if self.project.path("kept").exists() {
            copy_folder(&self.project.path("kept"), &self.project.path("run"));
        }
    }

    /// Runs until the place fails, after it was passed so many times. Whether it failed.
    fn fail_at(&self, place: &str, passed: u32, failure: Failure) -> bool {
        let mut command = self.project.command(&["run", "config.toml"]);
        let action = if failure == Failure::Abort { "return(abort)" } else { "return" };
        command.env("FAILPOINTS", format!("{place}={passed}*off->{action}"));
        let ended = Finished::of(command.output().unwrap());
        if ended.exit == Some(0) {
            return false;
        }
        match failure {
            Failure::Abort => assert_eq!(ended.exit, None, "{place}: {}", ended.err),
            Failure::Error => {
                assert_eq!(ended.exit, Some(1), "{place}: {}", ended.err);
                assert!(ended.err.contains(&format!("failpoint {place}")), "{place}: {}", ended.err);
                expect_harmless_advice(&ended.err);
            }
        }
        true
    }

    /// Runs to the end: all is as if nothing had happened.
    fn expect_same_end(&self, what: &str) {
        let ended = self.project.candist(&["run", "config.toml"]);
        assert_eq!(ended.exit, Some(0), "{what}: {}", ended.err);
        assert!(!ended.err.contains("panicked"), "{what}: {}", ended.err);
        assert!(self.project.labels() == self.labels, "{what}: other labels\n{}", ended.err);
        let answers = self.project.read("run/answers.jsonl");
        assert_eq!(answers.lines().count(), self.answers, "{what}: other answers\n{}", ended.err);
        expect_no_try_twice(&answers);
        let checked = self.project.candist(&["check", "--deep", "run"]);
        assert_eq!(checked.exit, Some(0), "{what}: {}{}", checked.out, checked.err);
    }

    /// Every place in both ways; each must be reached.
    fn survive(&self, places: &[&str]) {
        for &place in places {
            if !in_full() {
                self.restore();
                assert!(self.fail_at(place, 0, Failure::Abort), "{place} is never reached");
                self.fail_at(place, 0, Failure::Error);
                self.expect_same_end(place);
                continue;
            }
            for (passed, failure) in [0, 1, 3, 9].into_iter().flat_map(|n| [(n, Failure::Abort), (n, Failure::Error)]) {
                self.restore();
                let asked = self.asked_twice();
                let failed = self.fail_at(place, passed, failure);
                assert!(failed || passed > 0, "{place} is never reached");
                self.expect_same_end(&format!("{place} {passed} {failure:?}"));
                assert!(self.asked_twice() - asked <= IN_FLIGHT, "{place} {passed} {failure:?}");
            }
        }
    }

    fn asked_twice(&self) -> u64 {
        self.server.as_ref().map_or(0, |server| server.replay.stats().repeated)
    }
}

/// No message may talk a user into losing what was paid for.
fn expect_harmless_advice(message: &str) {
    for advice in ["panicked", "elete ", "emove it", "ove it away", "Move ", "Put "] {
        assert!(!message.contains(advice), "{advice:?} in:\n{message}");
    }
}

/// Each answer has a key and a number of its own.
fn expect_no_try_twice(answers: &str) {
    let mut tries = HashSet::new();
    for line in answers.lines() {
        let answer: Value = serde_json::from_str(line).unwrap();
        assert!(tries.insert((answer["key"].to_string(), answer["attempt"].to_string())), "stored twice: {line}");
    }
}

/// Few texts in many blocks: every kind of step comes soon.
fn small() -> Project {
    let project = Project::new(128);
    project.configure(&recorded(&["gpt-4"]), "");
    reblock(&project);
    project
}

fn reblock(project: &Project) {
    let config = project.read("config.toml");
    project.write("config.toml", &config.replace("block = 8", "block = 2").replace("max_passes = 4", "max_passes = 2"));
}

/// Places that a run passes whoever its teachers are.
const ASKING: [&str; 14] = [
    "before-asking",
    "answer-received",
    "before-answers",
    "log-write",
    "log-sync",
    "log-synced",
    "answers-index",
    "after-answers",
    "before-applied",
    "before-acknowledge",
    "answer-kept",
    "before-inputs",
    "inputs-index",
    "after-inputs",
];

#[test]
fn a_run_that_fails_where_it_begins_or_ends() {
    Scene::of(small(), None).survive(&[
        "before-header",
        "replace-write",
        "replace-sync",
        "replace-rename",
        "replace-renamed",
        "before-manifest",
        "run-begun",
        "mark-taken",
        "before-end",
        "after-end",
        "before-close",
        "close-flushed",
        "before-mark",
        "after-close",
    ]);
}

#[test]
fn a_run_that_fails_while_it_asks() {
    Scene::of(small(), None).survive(&ASKING);
}

#[test]
fn a_run_that_fails_while_it_labels() {
    Scene::of(small(), None).survive(&[
        "inputs-recorded",
        "flat-append",
        "labels-write",
        "labels-written",
        "labels-recorded",
        "before-seal",
        "checkpoint-write",
        "checkpoint-written",
        "checkpoint-rename",
        "checkpoint-renamed",
        "checkpoint-prune",
    ]);
}

#[test]
fn a_run_that_fails_while_a_server_is_asked() {
    let project = Project::new(64);
    let server = Server::start(&project, Behaviour::default());
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    let scene = Scene::of(project, Some(server));
    for place in ASKING {
        scene.restore();
        // The server has answered everything once already.
        let asked = scene.server.as_ref().unwrap().replay.stats().requests;
        assert!(scene.fail_at(place, 2, Failure::Error), "{place} is never reached");
        scene.fail_at(place, 2, Failure::Abort);
        scene.expect_same_end(place);
        let asked = scene.server.as_ref().unwrap().replay.stats().requests - asked;
        assert!(asked <= scene.answers as u64 + 2 * IN_FLIGHT, "{place}: {asked} requests");
    }
}

#[test]
fn a_run_that_fails_while_it_labels_anew_for_other_settings() {
    let project = small();
    project.run();
    project.write("config.toml", &project.read("config.toml").replace("dimension = 8", "dimension = 9"));
    Scene::of(project, None).survive(&[
        "relabel-labels-moved",
        "relabel-checkpoints-removed",
        "relabel-records-removed",
        "replace-write",
        "replace-renamed",
    ]);
}

#[test]
fn a_run_that_fails_while_it_begins_anew_for_other_teachers() {
    let project = small();
    project.run();
    project.configure(&recorded(&["gpt-3.5", "gpt-4"]), "");
    reblock(&project);
    Scene::of(project, None).survive(&[
        "anew-labels-moved",
        "anew-caches-removed",
        "anew-inputs-moved",
        "before-header",
        "before-manifest",
        "run-begun",
    ]);
}

#[test]
fn a_run_that_fails_while_it_mends_its_answers() {
    let project = small();
    project.run();
    let answers = project.read("run/answers.jsonl");
    project.write("run/answers.jsonl", &answers.replacen("\"labels\"", "\"LABELS\"", 1));
    let scene = Scene::of(project, None);
    // The input log has what the damaged line said: nothing is asked again.
    assert_eq!(scene.answers + 1, answers.lines().count());
    scene.survive(&["set-aside-rename", "set-aside-renamed", "store-remove", "store-removed"]);
}

#[test]
fn a_run_that_fails_while_it_takes_up_an_older_run_directory() {
    let project = Project::new(512);
    let fixture = repository().join("tests/fixtures/runs/format-1");
    copy_folder(&fixture, &project.path(""));
    let scene = Scene::of(project, None);
    assert_eq!(scene.labels, std::fs::read_to_string(fixture.join("run/labels.jsonl")).unwrap());
    scene.survive(&["convert-write", "convert-written", "convert-checkpoints-removed", "converted", "before-manifest"]);
    // With other settings, it arrives anew.
    let Scene { project, .. } = scene;
    project.remove_run();
    copy_folder(&fixture, &project.path(""));
    project.write("config.toml", &project.read("config.toml").replace("dimension = 8", "dimension = 9"));
    Scene::of(project, None).survive(&["convert-written", "convert-checkpoints-removed", "before-header"]);
}
