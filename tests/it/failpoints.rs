//! The program dies, or a step of it fails, at every named place around every durable step; then it is run again.
//!
//! In the short form it aborts at a place and, taken up, fails there; `CANDIST_FAILPOINTS=1` (`make soak`) tries both alone, the
//! first time the place is reached and later ones.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use serde_json::Value;

use crate::server::Behaviour;
use crate::support::{Finished, Project, Server, copy_folder, openai, recorded, repository};
use crate::{predict_parts, shared};

/// Requests in flight, at most.
const IN_FLIGHT: u64 = 4;
/// Answers that may be asked for twice when the program dies: in flight, or back and not stored yet. With a disk that is slower
/// than the server that is the window of questions, by default four times as many.
const UNSTORED: u64 = 4 * IN_FLIGHT;

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
    /// What holds whenever it is to fail.
    always: String,
}

impl Scene {
    /// Keeps the run directory as it is now, if there is one, and lets it come to its end.
    fn of(project: Project, server: Option<Server>) -> Self {
        let _ = std::fs::remove_dir_all(project.path("kept"));
        if project.path("run").exists() {
            copy_folder(&project.path("run"), &project.path("kept"));
        }
        project.run();
        let (labels, answers) = (project.labels(), project.read("run/answers.jsonl").lines().count());
        Self { project, server, labels, answers, always: String::new() }
    }

    /// With parts of the index that are full with few entries.
    fn with_few(self) -> Self {
        Self { always: format!("{FEW}=return;"), ..self }
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
        command.env("FAILPOINTS", format!("{}{place}={passed}*off->{action}", self.always));
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
                self.survive_at(place, &[(0, Failure::Abort), (0, Failure::Error)]);
                continue;
            }
            for passed in [0, 1, 3, 9] {
                self.survive_at(place, &[(passed, Failure::Abort)]);
                self.survive_at(place, &[(passed, Failure::Error)]);
            }
        }
    }

    /// Fails one time after the other, then comes to its end.
    fn survive_at(&self, place: &str, failures: &[(u32, Failure)]) {
        self.restore();
        let mut before = self.requests();
        for (number, &(passed, failure)) in failures.iter().enumerate() {
            let must_fail = passed == 0 && number == 0;
            let mut failed = self.fail_at(place, passed, failure);
            // A checkpoint is left out while the one before is still being written: on a busy machine some places are not always met.
            for _ in 0..4 {
                if failed || !must_fail {
                    break;
                }
                self.restore();
                before = self.requests();
                failed = self.fail_at(place, passed, failure);
            }
            assert!(failed || !must_fail, "{place} is never reached");
        }
        self.expect_same_end(&format!("{place} {failures:?}"));
        let (asked, known) = (self.requests() - before, self.answers as u64);
        assert!(
            asked <= known + UNSTORED * failures.len() as u64,
            "{place} {failures:?}: {asked} requests for {known}"
        );
    }

    /// What the server answered so far.
    fn requests(&self) -> u64 {
        self.server.as_ref().map_or(0, |server| server.replay.stats().requests)
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

/// Places by what a run is at there.
const BEGINNING: [&str; 10] = [
    "before-header",
    "index-aside",
    "index-adopted",
    "replace-write",
    "replace-sync",
    "replace-rename",
    "replace-renamed",
    "before-manifest",
    "run-begun",
    "mark-taken",
];
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
const LABELLING: [&str; 11] = [
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
];
const ENDING: [&str; 6] = ["before-end", "after-end", "before-close", "close-flushed", "before-mark", "after-close"];
const SORTING: [&str; 8] = [
    "index-full",
    "index-begun",
    "index-write",
    "index-sync",
    "index-rename",
    "index-renamed",
    "index-sorted",
    "index-together",
];
/// Not a place to fail at: parts of the index are full with few entries then.
const FEW: &str = "index-few";
const LABELLING_ANEW: [&str; 3] = ["relabel-labels-moved", "relabel-checkpoints-removed", "relabel-records-removed"];
const BEGINNING_ANEW: [&str; 3] = ["anew-labels-moved", "anew-caches-removed", "anew-inputs-moved"];
const MENDING: [&str; 4] = ["set-aside-rename", "set-aside-renamed", "store-remove", "store-removed"];
const TAKING_UP: [&str; 4] = ["convert-write", "convert-written", "convert-checkpoints-removed", "converted"];

/// The names in the code: `reach("name")` and `pass("name")`.
fn places_in(folder: &Path) -> BTreeSet<String> {
    let mut places = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            places.extend(places_in(&path));
        } else {
            let code = std::fs::read_to_string(path).unwrap();
            for call in ["reach(\"", "pass(\"", "failpoint(\""] {
                places.extend(code.split(call).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
            }
        }
    }
    places
}

#[test]
fn every_place_in_the_code_is_tried() {
    let tried: [&[&str]; 12] = [
        &BEGINNING,
        &ASKING,
        &LABELLING,
        &SORTING,
        &[FEW],
        &ENDING,
        &LABELLING_ANEW,
        &BEGINNING_ANEW,
        &MENDING,
        &TAKING_UP,
        &predict_parts::PLACES,
        &shared::PLACES,
    ];
    let tried: BTreeSet<String> = tried.concat().into_iter().map(str::to_owned).collect();
    assert_eq!(places_in(&repository().join("src")), tried);
}

#[test]
fn a_run_that_fails_where_it_begins_or_ends() {
    let scene = Scene::of(small(), None);
    scene.survive(&BEGINNING);
    scene.survive(&ENDING);
}

#[test]
fn a_run_that_fails_while_it_asks() {
    Scene::of(small(), None).survive(&ASKING);
}

#[test]
fn a_run_that_fails_while_it_sorts_its_index() {
    // So many texts that there are parts to be put together.
    let project = Project::new(32);
    project.configure(&recorded(&["gpt-4"]), "");
    Scene::of(project, None).with_few().survive(&SORTING);
    let project = Project::new(32);
    let server = Server::start(&project, Behaviour::default());
    let few = format!("= {IN_FLIGHT}\nmin_in_flight = {IN_FLIGHT}");
    project.configure(&openai(&["all-merged"], &server.url, "").replace("= 64", &few), "");
    Scene::of(project, Some(server)).with_few().survive(&SORTING);
}

/// What is in flight then comes back and is kept: the index is no truth.
#[test]
fn an_index_that_cannot_be_written_costs_no_answer() {
    let project = Project::new(32);
    let server = Server::start(&project, Behaviour::default());
    let few = format!("= {IN_FLIGHT}\nmin_in_flight = {IN_FLIGHT}");
    project.configure(&openai(&["all-merged"], &server.url, "").replace("= 64", &few), "");
    let scene = Scene::of(project, Some(server)).with_few();
    for place in ["index-full", "index-sync"] {
        scene.restore();
        let before = scene.requests();
        assert!(scene.fail_at(place, 1, Failure::Error));
        scene.expect_same_end(place);
        assert_eq!(scene.requests() - before, scene.answers as u64, "{place}");
    }
}

/// All of the index is one of sled's, as it was before it had parts.
#[test]
fn a_run_that_fails_while_it_takes_up_an_older_index() {
    let project = small();
    project.run();
    let index = project.path("run/store/index");
    let only = project.path("run/store/only");
    std::fs::rename(index.join("young-0"), &only).unwrap();
    std::fs::remove_dir(&index).unwrap();
    std::fs::rename(&only, &index).unwrap();
    let scene = Scene::of(project, None);
    scene.survive(&["index-aside", "index-adopted"]);
    scene.restore();
    let ended = scene.project.candist(&["run", "config.toml"]);
    assert!(ended.exit == Some(0) && !ended.err.contains("made anew"), "{}", ended.err);
    assert!(scene.project.path("run/store/index/young-0").exists());
}

#[test]
fn a_run_that_fails_while_it_labels() {
    Scene::of(small(), None).survive(&LABELLING);
}

#[test]
fn a_run_that_fails_while_a_server_is_asked() {
    let project = Project::new(64);
    let server = Server::start(&project, Behaviour::default());
    let few = format!("= {IN_FLIGHT}\nmin_in_flight = {IN_FLIGHT}");
    project.configure(&openai(&["all-merged"], &server.url, "").replace("= 64", &few), "");
    Scene::of(project, Some(server)).survive(&ASKING);
}

#[test]
fn a_run_that_fails_while_it_labels_anew_for_other_settings() {
    let project = small();
    project.run();
    project.write("config.toml", &project.read("config.toml").replace("dimension = 8", "dimension = 9"));
    let scene = Scene::of(project, None);
    scene.survive(&LABELLING_ANEW);
    scene.survive(&["replace-write", "replace-renamed"]);
}

#[test]
fn a_run_that_fails_while_it_begins_anew_for_other_teachers() {
    let project = small();
    project.run();
    project.configure(&recorded(&["gpt-3.5", "gpt-4"]), "");
    reblock(&project);
    let scene = Scene::of(project, None);
    scene.survive(&BEGINNING_ANEW);
    scene.survive(&["before-header", "before-manifest", "run-begun"]);
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
    scene.survive(&MENDING);
}

#[test]
fn a_run_that_fails_while_it_takes_up_an_older_run_directory() {
    let project = Project::new(512);
    let fixture = repository().join("tests/fixtures/runs/format-1");
    copy_folder(&fixture, &project.path(""));
    let scene = Scene::of(project, None);
    scene.survive(&TAKING_UP);
    scene.survive(&["before-manifest"]);
    // With other settings, it arrives anew.
    let Scene { project, .. } = scene;
    project.remove_run();
    copy_folder(&fixture, &project.path(""));
    project.write("config.toml", &project.read("config.toml").replace("dimension = 8", "dimension = 9"));
    Scene::of(project, None).survive(&["convert-written", "convert-checkpoints-removed", "before-header"]);
}
