//! The openai teacher against the loopback server.

use std::time::Duration;

use crate::server::Behaviour;
use crate::support::{Finished, Project, Server, TEACHERS, latest, openai, recorded};

#[test]
fn a_server_gives_the_same_labels_as_the_recordings_it_answers_from() {
    let project = Project::new(8);
    let texts = project.read("pool.jsonl").lines().count() as u64;
    // Three models, as there are three recordings; then one that merges them itself, whose journal is a recording too.
    for (models, requests) in [(TEACHERS.as_slice(), 3 * texts), (&["all-merged"], texts)] {
        let server = Server::start(&project, Behaviour { latency: Duration::from_millis(5), ..Behaviour::default() });
        project.remove_run();
        project.configure(&openai(models, &server.url, ""), "");
        project.run();
        let (stats, labels) = (server.replay.stats(), project.labels());
        // A text without any label is asked twice.
        assert!(stats.most_in_flight <= 64 * models.len() as u64, "{stats:?}");
        assert!(stats.requests >= requests && stats.requests - requests == stats.repeated, "{stats:?}");
        project.write("teacher_journal.jsonl", &project.read("run/answers.jsonl"));
        project.remove_run();
        project.configure(&recorded(if models.len() > 1 { models } else { &["journal"] }), "");
        project.run();
        assert!(labels == project.labels(), "{models:?}");
    }
}

#[test]
fn refused_requests_wait_and_are_sent_again() {
    let project = Project::new(32);
    let server = Server::start(&project, Behaviour { refuse_first: 20, ..Behaviour::default() });
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    project.run().expect_said("HTTP 429 Too Many Requests; trying again after 1.0 s");
    assert_eq!(server.replay.stats().requests, project.read("pool.jsonl").lines().count() as u64);
}

#[test]
fn replies_that_are_no_answers_spoil_nothing() {
    let project = Project::new(32);
    let texts = project.read("pool.jsonl").lines().count() as u64;
    let broken = Server::start(&project, Behaviour { garble_first: u64::MAX, ..Behaviour::default() });
    project.configure(&openai(&["all-merged"], &broken.url, "max_retries = 0\ngive_up_after_s = 1.0"), "");
    for _ in 0..3 {
        project.candist(&["run", "config.toml"]).expect_exit(3).expect_said("the reply is no chat completion");
    }
    let good = Server::start(&project, Behaviour::default());
    project.configure(&openai(&["all-merged"], &good.url, ""), "");
    project.run();
    assert_eq!(good.replay.stats().requests, texts);
    assert!(latest(&project.events()).values().all(|event| event.is_final && !event.candidates.is_empty()));
}

#[test]
fn a_text_that_is_refused_holds_up_no_other() {
    let project = Project::new(16);
    let pool = project.read("pool.jsonl");
    project.write("pool.jsonl", &pool.replacen("\"text\": \"", "\"text\": \"Long: ", 80).replacen("Long: ", "", 79));
    let server = |refuse: Option<&str>| {
        let refuse_texts_with = refuse.map(str::to_owned);
        let server = Server::start(&project, Behaviour { refuse_texts_with, ..Behaviour::default() });
        project.configure(&openai(&["all-merged"], &server.url, ""), "");
        server
    };
    let _refusing = server(Some("Long: "));
    let run = project.candist(&["run", "config.toml"]).expect_exit(3);
    run.expect_said("1 text(s) could not be answered (run again to ask again)").expect_said("HTTP 413");
    let status = project.candist(&["status", "run"]).expect_exit(0);
    assert!(status.out.contains("all-merged: HTTP 413"), "{}", status.out);
    let events = latest(&project.events());
    assert_eq!(events.len(), pool.lines().count() - 1);
    assert!(events.values().all(|event| event.is_final));
    // Asked again, and nothing else is.
    let accepting = server(None);
    project.run();
    assert_eq!(accepting.replay.stats().requests, 1);
    assert_eq!(latest(&project.events()).len(), pool.lines().count());
}

#[test]
fn a_key_comes_from_the_environment_and_appears_nowhere() {
    const KEY: &str = "sk-canary-0123456789";
    let project = Project::new(32);
    let server = Server::start(&project, Behaviour { key: Some(KEY.to_owned()), ..Behaviour::default() });
    project.configure(&openai(&["all-merged"], &server.url, "api_key_env = \"CANDIST_TEST_KEY\""), "");
    let run = |key: Option<&str>| {
        let mut command = project.command(&["run", "config.toml"]);
        command.env("CANDIST_LOG", "trace").env_remove("CANDIST_TEST_KEY");
        if let Some(key) = key {
            command.env("CANDIST_TEST_KEY", key);
        }
        Finished::of(command.output().unwrap())
    };
    run(None).expect_exit(2).expect_said("the environment variable CANDIST_TEST_KEY holds no API key");
    run(Some("sk-wrong")).expect_exit(3).expect_said("HTTP 401").expect_said("Check the API key in CANDIST_TEST_KEY");
    let run = run(Some(KEY)).expect_exit(0);
    assert!(!run.err.contains(KEY) && !run.out.contains(KEY));
    assert!(!contains_below(&project.path("run"), KEY.as_bytes()));
}

fn contains_below(folder: &std::path::Path, needle: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            contains_below(&path, needle)
        } else {
            std::fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle)
        }
    })
}
