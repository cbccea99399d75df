//! The openai teacher against the loopback server.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
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

/// The corpus with "Long: " before the text of these rows.
fn lengthen(project: &Project, rows: &[usize]) -> usize {
    let pool = project.read("pool.jsonl");
    let lengthened = (0..).zip(pool.lines()).map(|(row, line)| {
        let long = if rows.contains(&row) { "\"text\": \"Long: " } else { "\"text\": \"" };
        line.replacen("\"text\": \"", long, 1) + "\n"
    });
    project.write("pool.jsonl", &lengthened.collect::<String>());
    pool.lines().count()
}

#[test]
fn a_text_that_is_refused_is_answered_so_and_holds_up_no_other() {
    // Refused before anything was answered, and in the middle; asked one by one, and many at a time.
    for (in_flight, window) in [("1", ""), ("64", ""), ("1", "window = 1\n")] {
        let project = Project::new(16);
        let texts = lengthen(&project, &[0, 79]);
        let refusing = Behaviour { refuse_texts_with: Some("Long: ".into()), ..Behaviour::default() };
        let configure = |behaviour| {
            let server = Server::start(&project, behaviour);
            let teacher = openai(&["all-merged"], &server.url, "").replace("= 64", &format!("= {in_flight}"));
            project.configure(&teacher, "");
            let config = project.read("config.toml").replace("[run]\n", &format!("[run]\n{window}"));
            project.write("config.toml", &config);
            server
        };
        let server = configure(refusing);
        let mut run = project.candist(&["run", "config.toml"]);
        if !window.is_empty() && run.exit == Some(3) {
            // Nothing else was asked beside the first text: what its refusal means shows in the next run.
            run = project.candist(&["run", "config.toml"]);
        }
        run = run.expect_exit(0);
        run.expect_said("2 text(s) got no candidate from any teacher");
        let failures = project.candist(&["failures", "run", "--json"]).expect_exit(0).out;
        assert_eq!(failures.lines().count(), 2, "{failures}");
        for line in failures.lines() {
            let failure: serde_json::Value = serde_json::from_str(line).unwrap();
            let answer = &failure["answers"][0];
            assert_eq!(&answer["problem_kind"], "refused", "{failure}");
            assert!(answer["attempt"] == 1 || !window.is_empty(), "{failure}");
            assert!(answer["raw"].as_str().unwrap().contains("the text is too long"), "{failure}");
            assert!(failure["reason"].as_str().unwrap().contains("HTTP 413"), "{failure}");
        }
        assert_eq!(latest(&project.events()).len(), texts);
        // It is an answer: nothing is asked again, unless that is wanted.
        let received = server.replay.stats().received;
        project.candist(&["run", "config.toml"]).expect_exit(0);
        assert_eq!(server.replay.stats().received, received);
        let accepting = configure(Behaviour::default());
        project.candist(&["run", "config.toml", "--retry-failures"]).expect_exit(0);
        assert_eq!(accepting.replay.stats().requests, 2);
    }
}

#[test]
fn settings_with_which_every_text_is_refused_stop_the_run() {
    for stride in [16, 1500] {
        let project = Project::new(stride);
        let refuse_texts_with = Some(String::new());
        let server = Server::start(&project, Behaviour { refuse_texts_with, ..Behaviour::default() });
        project.configure(&openai(&["all-merged"], &server.url, "").replace("= 64", "= 4"), "");
        for _ in 0..2 {
            let run = project.candist(&["run", "config.toml"]).expect_exit(3);
            run.expect_said("HTTP 413").expect_said(&server.url).expect_said("all-merged").expect_said("too long");
        }
        assert!(server.replay.stats().received <= 2 * (8 + 4), "{:?}", server.replay.stats());
        assert_eq!(project.read("run/answers.jsonl"), "");
    }
}

#[test]
fn a_key_that_is_refused_is_not_tried_again_and_again() {
    let project = Project::new(4);
    // The answers before are slow, so that what the pipeline hears of in order it hears of late.
    let (latency, revoke_after) = (Duration::from_millis(400), Some(100));
    let server = Server::start(&project, Behaviour { latency, revoke_after, ..Behaviour::default() });
    project.configure(&openai(&["all-merged"], &server.url, "").replace("= 64", "= 16"), "");
    let run = project.candist(&["run", "config.toml"]).expect_exit(3);
    run.expect_said("HTTP 401").expect_said("was revoked");
    // What was on its way at that moment.
    let stats = server.replay.stats();
    assert!(stats.received > 100 && stats.received <= 100 + 16, "{stats:?}");
    assert_eq!(project.read("run/answers.jsonl").lines().count() as u64, stats.requests);
}

#[test]
fn a_proxy_of_the_environment_gets_nothing_that_is_for_this_machine() {
    let project = Project::new(64);
    let (proxy, heard) = listen();
    let server = Server::start(&project, Behaviour::default());
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    let mut command = project.command(&["run", "config.toml"]);
    for variable in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(variable, &proxy);
    }
    command.env_remove("NO_PROXY").env_remove("no_proxy");
    let run = Finished::of(command.output().unwrap()).expect_exit(0);
    assert!(!run.err.contains("proxy"), "{}", run.err);
    assert_eq!(heard.lock().unwrap().as_slice(), b"");
}

#[test]
fn a_proxy_gets_neither_key_nor_text_and_is_named_without_its_password() {
    const KEY: &str = "sk-canary-proxy-77";
    let project = Project::new(64);
    let (proxy, heard) = listen();
    let more = "api_key_env = \"CANDIST_PROXY_KEY\"\nmax_retries = 0\ngive_up_after_s = 1.0";
    project.configure(&openai(&["all-merged"], "https://192.0.2.1/v1", more), "");
    let mut command = project.command(&["run", "config.toml"]);
    command.env("CANDIST_PROXY_KEY", KEY).env("HTTPS_PROXY", proxy.replace("//", "//me:secret@"));
    command.env_remove("NO_PROXY").env_remove("no_proxy");
    let run = Finished::of(command.output().unwrap()).expect_exit(3);
    let heard = String::from_utf8_lossy(&heard.lock().unwrap()).into_owned();
    assert!(heard.starts_with("CONNECT 192.0.2.1:443 HTTP/1.1"), "{heard}");
    assert!(!heard.contains(KEY) && !heard.contains("chat/completions"), "{heard}");
    assert_eq!(run.err.matches("through the proxy").count(), 1, "{}", run.err);
    assert!(run.err.contains(&proxy) && !run.err.contains("secret"), "{}", run.err);
}

/// A port that takes everything and refuses it; what it heard.
fn listen() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hear = Arc::clone(&heard);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut bytes) = (stream.unwrap(), [0; 4096]);
            let count = stream.read(&mut bytes).unwrap_or(0);
            hear.lock().unwrap().extend_from_slice(&bytes[..count]);
            let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (address, heard)
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
