//! Run directories of every format that there was: tests/fixtures/runs has one of each, with two ends of the corpus and one text
//! that nobody answered. Opening one asks nobody.

use candist::internal::rng;
use rand::Rng;

use crate::support::{Finished, Project, copy_folder, count, latest, repository};

/// The answers in each of them.
const ANSWERS: usize = 78;

/// A project with the run directory as the program of that time left it, and its labels.
fn fixture(format: &str) -> (Project, String) {
    let project = Project::new(512);
    copy_folder(&repository().join("tests/fixtures/runs").join(format), &project.path(""));
    let labels = project.labels();
    (project, labels)
}

/// Runs to the end without asking.
#[track_caller]
fn run_without_asking(project: &Project) -> Finished {
    let ended = project.run();
    assert!(!ended.err.contains("answers asked for"), "{}", ended.err);
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
    assert_eq!(project.read("run/answers.jsonl").lines().count(), ANSWERS, "{}", ended.err);
    project.candist(&["check", "--deep", "run"]).expect_exit(0);
    ended
}

#[track_caller]
fn expect_all_labelled(project: &Project) {
    let latest = latest(&project.events());
    assert_eq!(latest.len(), project.read("pool.jsonl").lines().count());
    assert!(latest.values().all(|event| event.is_final));
}

#[test]
fn the_first_format_is_taken_up_and_labelled_anew() {
    let (project, labels) = fixture("format-1");
    run_without_asking(&project)
        .expect_said("is of an older candist: its 39 texts are taken up")
        .expect_said("the old ones are in labels.old.jsonl");
    assert_eq!(project.read("run/labels.old.jsonl"), labels);
    expect_all_labelled(&project);
    let labels = project.labels();
    assert_eq!(project.read("run/inputs.jsonl").matches("\"event\":\"end\"").count(), 2);
    assert!(!project.path("run/store/db").exists(), "the old store is gone");
    run_without_asking(&project).expect_said("already complete");
    assert_eq!(project.labels(), labels);
}

#[test]
fn the_first_format_is_taken_up_by_a_corpus_that_grew() {
    let (project, labels) = fixture("format-1");
    let grow = |name: &str, line: &str| project.write(name, &format!("{}{line}\n", project.read(name)));
    grow("pool.jsonl", "{\"id\": \"new\", \"text\": \"where is my new card\"}");
    for teacher in ["gpt-4", "gpt-3.5"] {
        grow(&format!("teacher_{teacher}.jsonl"), "{\"id\": \"new\", \"labels\": [\"card_arrival\"]}");
    }
    project.run().expect_said("39 texts are taken up").expect_said("2 answers asked for");
    assert_eq!(project.read("run/labels.old.jsonl"), labels);
    expect_all_labelled(&project);
    assert_eq!(project.read("run/answers.jsonl").lines().count(), ANSWERS + 2);
}

#[test]
fn the_first_format_without_its_store_arrives_anew() {
    let (project, labels) = fixture("format-1");
    std::fs::remove_dir_all(project.path("run/store")).unwrap();
    project.write("run/labels.old.jsonl", "older labels\n");
    run_without_asking(&project).expect_said("is of an older candist").expect_said("the texts arrive anew");
    expect_all_labelled(&project);
    assert_eq!(project.read("run/labels.old.2.jsonl"), labels);
    assert_eq!(project.read("run/labels.old.jsonl"), "older labels\n", "what stood there before stays");
}

#[test]
fn the_first_format_with_a_damaged_store_is_taken_up_or_arrives_anew() {
    for seed in 0..count("CANDIST_DAMAGES", 8) as u64 {
        let (project, labels) = fixture("format-1");
        let mut files: Vec<_> = std::fs::read_dir(project.path("run/store"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.metadata().is_ok_and(|file| file.is_file() && file.len() > 0))
            .collect();
        files.sort();
        let mut rng = rng(seed, "old store", &[]);
        let path = &files[rng.random_range(0..files.len())];
        let mut content = std::fs::read(path).unwrap();
        match seed % 4 {
            0 => content.truncate(rng.random_range(0..content.len())),
            1 => content.fill(0),
            _ => {
                let from = rng.random_range(0..content.len());
                let to = content.len().min(from + 100);
                rng.fill(&mut content[from..to]);
            }
        }
        std::fs::write(path, content).unwrap();
        run_without_asking(&project).expect_said("is of an older candist");
        assert_eq!(project.read("run/labels.old.jsonl"), labels, "{seed} {path:?}");
        expect_all_labelled(&project);
    }
}

#[test]
fn what_a_killed_program_of_the_first_format_left_does_not_keep_it_from_being_taken_up() {
    let (project, labels) = fixture("format-1");
    project.write("run/store/snap.00000000000000FF.generating", "half a snapshot");
    run_without_asking(&project).expect_said("39 texts are taken up");
    assert_eq!(project.read("run/labels.old.jsonl"), labels);
}

#[test]
fn the_first_format_with_other_settings_arrives_anew() {
    let (project, labels) = fixture("format-1");
    project.write("config.toml", &project.read("config.toml").replace("dimension = 8", "dimension = 9"));
    run_without_asking(&project).expect_said("changed since: the texts arrive anew");
    assert_eq!(project.read("run/labels.old.jsonl"), labels);
    expect_all_labelled(&project);
}

#[test]
fn readers_say_what_to_do_with_the_first_format_and_change_nothing() {
    let (project, labels) = fixture("format-1");
    for args in [&["status", "run"][..], &["failures", "run"], &["check", "--deep", "run"]] {
        project
            .candist(args)
            .expect_exit(1)
            .expect_said("was written by an older candist: `candist run CONFIG` takes it up");
    }
    assert_eq!(project.candist(&["tail", "run"]).expect_exit(0).out, labels);
    assert!(!project.path("run/inputs.jsonl").exists());
}

#[test]
fn todays_format_is_opened_without_a_word() {
    let (project, labels) = fixture("format-2");
    project.candist(&["check", "--deep", "run"]).expect_exit(0);
    let said = run_without_asking(&project).expect_said("already complete, nothing was left to do").err;
    // One text was answered by nobody; nothing else is told.
    assert_eq!(said.lines().filter(|line| line.starts_with("candist: ")).count(), 2, "{said}");
    assert!(said.contains("1 text(s) got no candidate"), "{said}");
    assert_eq!(project.labels(), labels);
    // What grows goes on from there.
    let pool = project.read("pool.jsonl");
    project.write("pool.jsonl", &format!("{pool}{{\"id\": \"new\", \"text\": \"where is my new card\"}}\n"));
    project.run();
    assert!(project.labels().starts_with(&labels));
    expect_all_labelled(&project);
}
