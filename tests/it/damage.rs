//! Damage to the run directory: repaired from what is left, said, and never paid for again.

use std::path::Path;
use std::time::Duration;

use candist::internal::rng;
use rand::Rng;

use crate::server::Behaviour;
use crate::support::{Finished, Project, Server, copy_folder, openai};

/// A finished run against a server that must not be asked again, and its labels.
fn finished() -> (Project, Server, String, u64) {
    let project = Project::new(16);
    let server = Server::start(&project, Behaviour::default());
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    project.run();
    let (labels, requests) = (project.labels(), server.replay.stats().requests);
    copy_folder(&project.path("run"), &project.path("kept"));
    (project, server, labels, requests)
}

fn restore(project: &Project) {
    project.remove_run();
    copy_folder(&project.path("kept"), &project.path("run"));
}

/// Overwrites 100 bytes at a random place.
fn scribble(path: &Path, seed: u64) {
    let mut rng = rng(seed, "scribble", &[]);
    let mut content = std::fs::read(path).unwrap();
    if content.is_empty() {
        return;
    }
    let at = rng.random_range(0..content.len());
    let end = content.len().min(at + 100);
    rng.fill(&mut content[at..end]);
    std::fs::write(path, content).unwrap();
}

#[test]
fn a_deleted_store_is_rebuilt_without_asking() {
    let (project, server, labels, requests) = finished();
    std::fs::remove_dir_all(project.path("run/store")).unwrap();
    project.run().expect_said("store/ was missing: made anew from the logs");
    assert_eq!((project.labels(), server.replay.stats().requests), (labels.clone(), requests));
    // With the label log gone as well, it is written again.
    restore(&project);
    std::fs::remove_dir_all(project.path("run/store")).unwrap();
    std::fs::remove_file(project.path("run/labels.jsonl")).unwrap();
    std::fs::remove_dir_all(project.path("run/checkpoints")).unwrap();
    project.run();
    assert_eq!((project.labels(), server.replay.stats().requests), (labels, requests));
}

#[test]
fn random_bytes_in_any_file_of_the_store_are_repaired_without_asking() {
    let (project, server, labels, requests) = finished();
    for seed in 0..6 {
        let mut files: Vec<_> = std::fs::read_dir(project.path("kept/store"))
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().unwrap().is_file())
            .map(|entry| entry.file_name())
            .collect();
        files.sort();
        for file in files {
            restore(&project);
            scribble(&project.path("run/store").join(&file), seed);
            let run = project.candist(&["run", "config.toml"]);
            assert_eq!(run.exit, Some(0), "{file:?} {seed}: {}", run.err);
            assert!(!run.err.contains("panicked"), "{file:?} {seed}: {}", run.err);
            assert_eq!(project.labels(), labels, "{file:?} {seed}: {}", run.err);
            assert_eq!(server.replay.stats().requests, requests, "{file:?} {seed}: {}", run.err);
        }
    }
}

#[test]
fn a_damaged_or_lost_checkpoint_costs_time_alone() {
    let (project, server, labels, requests) = finished();
    // Interrupted before the end: the checkpoint is needed.
    let pool = project.read("pool.jsonl");
    project.remove_run();
    let half: Vec<&str> = pool.lines().take(100).collect();
    project.write("pool.jsonl", &(half.join("\n") + "\n"));
    project.run();
    project.write("pool.jsonl", &pool);
    let checkpoint = std::fs::read_dir(project.path("run/checkpoints")).unwrap().next().unwrap().unwrap().path();
    scribble(&checkpoint, 1);
    project.run().expect_said("was changed or damaged: it is not used");
    let grown = project.labels();
    // The same history without damage: the same labels.
    project.remove_run();
    project.write("pool.jsonl", &(half.join("\n") + "\n"));
    project.run();
    project.write("pool.jsonl", &pool);
    project.run();
    assert_eq!(project.labels(), grown);
    assert_ne!(grown, labels, "a corpus that ended twice has final labels twice");
    assert!(server.replay.stats().requests > requests);
}

#[test]
fn scribbles_in_the_label_log_are_written_over() {
    let (project, server, labels, requests) = finished();
    for (from, to) in [("\"revision\":0", "\"revision\":7"), ("\"label\":", "\"\u{0}abel\":")] {
        restore(&project);
        project.write("run/labels.jsonl", &labels.replacen(from, to, 1));
        project.run().expect_said("labels.jsonl: ").expect_said("not as written: written anew");
        assert_eq!((project.labels(), server.replay.stats().requests), (labels.clone(), requests));
    }
    restore(&project);
    let foreign = labels.lines().last().unwrap().replacen("\"offset\":", "\"offset\":1", 1);
    project.write("run/labels.jsonl", &format!("{labels}{foreign}\n"));
    project.run().expect_said("labels.jsonl: 1 line(s)");
    assert_eq!(project.labels(), labels);
}

#[test]
fn an_edited_label_log_of_a_lost_store_is_an_error_whose_advice_works() {
    let (project, server, labels, requests) = finished();
    std::fs::remove_dir_all(project.path("run/store")).unwrap();
    project.write("run/labels.jsonl", &labels.replacen("\"revision\":0", "\"revision\":7", 1));
    // The error stays until the advice is followed.
    for _ in 0..3 {
        let run = project.candist(&["run", "config.toml"]);
        run.expect_exit(1).expect_said("came out differently").expect_said("Move labels.jsonl away");
    }
    std::fs::rename(project.path("run/labels.jsonl"), project.path("away.jsonl")).unwrap();
    project.run();
    assert_eq!((project.labels(), server.replay.stats().requests), (labels, requests));
}

#[test]
fn a_damaged_or_lost_manifest_is_made_anew() {
    let (project, server, labels, requests) = finished();
    let manifest = project.read("run/manifest.json");
    for damaged in [manifest.replace("banking77", "banking78"), manifest.replace('{', "["), String::new()] {
        project.write("run/manifest.json", &damaged);
        project.run().expect_said("manifest.json was damaged");
        assert_eq!(project.labels(), labels);
    }
    std::fs::remove_file(project.path("run/manifest.json")).unwrap();
    project.run();
    assert_eq!((project.labels(), server.replay.stats().requests), (labels, requests));
}

#[test]
fn a_run_directory_that_is_taken_away_fails_the_run() {
    for taken in ["run", "run/answers.jsonl", "run/labels.jsonl"] {
        let project = Project::new(16);
        let slow = Behaviour { latency: Duration::from_millis(20), ..Behaviour::default() };
        let server = Server::start(&project, slow);
        project.configure(&openai(&["all-merged"], &server.url, ""), "");
        let undisturbed = project.run();
        assert_eq!(undisturbed.exit, Some(0));
        let labels = project.labels();
        project.remove_run();
        let running = project.start(&["run", "config.toml"]);
        while !std::fs::read(project.path("run/labels.jsonl")).is_ok_and(|labels| !labels.is_empty()) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::fs::rename(project.path(taken), project.path("taken")).unwrap();
        let run = Finished::of(running.wait_with_output().unwrap());
        run.expect_exit(1).expect_said("was removed or replaced while the run was writing it");
        project.run();
        assert_eq!(project.labels(), labels, "{taken}");
    }
}

/// Only what one write can have torn is taken for that: many whole lines behind a zero byte say that it is damage.
#[test]
fn a_zero_byte_in_the_input_log_cuts_nothing_off() {
    let project = Project::new(8);
    project.run();
    let mut inputs = std::fs::read(project.path("run/inputs.jsonl")).unwrap();
    let second = inputs.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    inputs[second + 20] = 0;
    std::fs::write(project.path("run/inputs.jsonl"), &inputs).unwrap();
    std::fs::remove_dir_all(project.path("run/store")).unwrap();
    project.candist(&["run", "config.toml"]).expect_exit(1).expect_said("inputs.jsonl:2: ");
    assert!(std::fs::read(project.path("run/inputs.jsonl")).unwrap() == inputs, "nothing is cut off");
}
