//! What is asked of whom: modes, draws, cascades; and when it is asked again.

use std::time::Duration;

use candist::internal::{Ledger, open_teachers};
use candist::{Addresses, Sample, SampleId};
use tokio::time::timeout;

use crate::server::Behaviour;
use crate::support::{Project, Server, TEACHERS, latest, openai};

#[test]
fn a_cascade_asks_the_next_teacher_only_when_the_first_is_unsure() {
    let project = Project::new(16);
    let server = Server::start(&project, Behaviour::default());
    let teachers = ["all-merged", TEACHERS[0]];
    project.configure(&openai(&teachers, &server.url, ""), "[candidates]\nfrom = \"cascade\"");
    project.run();
    let texts = project.read("pool.jsonl").lines().count() as u64;
    let unsure = project
        .read("run/answers.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["teacher"] == teachers[0] && line["labels"].as_array().unwrap().len() != 1)
        .count() as u64;
    assert!(unsure > 0 && unsure < texts);
    assert_eq!(server.replay.stats().requests, texts + unsure);
    // One text more: the plan knows that the second teacher may not be needed.
    let plan = project.candist(&["plan", "config.toml"]).expect_exit(0);
    assert!(plan.out.contains("asked only where those before it are unsure"), "{}", plan.out);
    // A union asks the others, and nobody twice.
    project.configure(&openai(&teachers, &server.url, ""), "");
    project.run().expect_said("teachers, prompts or their parameters changed");
    assert_eq!(server.replay.stats().requests, 2 * texts);
    assert_eq!(server.replay.stats().repeated, 0);
}

#[test]
fn more_draws_ask_for_the_new_ones_alone() {
    let project = Project::new(32);
    let server = Server::start(&project, Behaviour::default());
    let texts = project.read("pool.jsonl").lines().count() as u64;
    for (draws, requests) in [(1, texts), (3, 3 * texts), (2, 3 * texts)] {
        project.configure(&openai(&["all-merged"], &server.url, &format!("draws = {draws}")), "");
        project.run();
        assert_eq!(server.replay.stats().requests, requests, "{draws}");
    }
    // All draws of this server are the same, so are the labels.
    let three = project.labels();
    project.remove_run();
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    project.run();
    assert_eq!(project.labels(), three);
}

#[test]
fn another_prompt_asks_again_and_the_first_answers_are_kept() {
    let project = Project::new(32);
    let server = Server::start(&project, Behaviour::default());
    let texts = project.read("pool.jsonl").lines().count();
    let first = openai(&["all-merged"], &server.url, "");
    project.configure(&first, "");
    project.run();
    let second = openai(&["all-merged"], &server.url, "mode = \"single\"\nprobabilities = true");
    project.configure(&second, "");
    project.run();
    assert_eq!(server.replay.stats().requests, 2 * texts as u64);
    assert_eq!(project.read("run/answers.jsonl").lines().count(), 2 * texts);
    // Back to the first: nothing is asked.
    project.configure(&first, "");
    project.run();
    assert_eq!(server.replay.stats().requests, 2 * texts as u64);
    // A new row is one request.
    project
        .write("pool.jsonl", &(project.read("pool.jsonl") + "{\"id\": \"new\", \"text\": \"how old must I be?\"}\n"));
    let unknown = project.candist(&["run", "config.toml"]);
    assert!(unknown.err.contains("HTTP 404"), "the server has no recording of it: {}", unknown.err);
}

#[test]
fn failures_are_listed_with_their_raw_answers_and_asked_again_on_demand() {
    let project = Project::new(32);
    let server = Server::start(&project, Behaviour::default());
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    // The server names a label that this task has under another name: every answer of it is off the list.
    let config = project.read("config.toml").replace("\"card_arrival\"", "\"something_else\"");
    project.write("config.toml", &config);
    let run = project.candist(&["run", "config.toml"]).expect_exit(0);
    run.expect_said("got no candidate from any teacher");
    let asked = server.replay.stats().requests;
    let list = project.candist(&["failures", "run", "--json"]).expect_exit(0);
    let failed: Vec<serde_json::Value> = list.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!failed.is_empty());
    for failure in &failed {
        let answer = &failure["answers"][0];
        assert_eq!((&failure["state"], &answer["problem_kind"]), (&"failed".into(), &"off-list".into()), "{failure}");
        assert!(answer["raw"].as_str().unwrap().contains("card_arrival") && answer["attempt"] == 2, "{failure}");
    }
    let people = project.candist(&["failures", "run"]).expect_exit(0).expect_said("--retry-failures");
    assert!(people.out.contains("named what is no label of the task: card_arrival"), "{}", people.out);
    let status = project.candist(&["status", "run"]).expect_exit(0);
    assert!(status.out.contains("off-list answers"), "{}", status.out);
    // Nothing is asked by itself; on demand, the failures alone and all their tries.
    project.candist(&["run", "config.toml"]).expect_exit(0);
    assert_eq!(server.replay.stats().requests, asked);
    project.candist(&["run", "config.toml", "--retry-failures"]).expect_exit(0);
    assert_eq!(server.replay.stats().requests, asked + 2 * failed.len() as u64);
    // With the name as an alias the same prompt, and so the same keys: the retry is answered.
    let alias = "{ name = \"something_else\", aliases = [\"card_arrival\"] }";
    project.write("config.toml", &config.replace("\"something_else\"", alias));
    project.candist(&["run", "config.toml", "--retry-failures"]).expect_exit(0);
    assert!(latest(&project.events()).values().all(|event| event.is_final && !event.candidates.is_empty()));
    assert_eq!(server.replay.stats().requests, asked + 3 * failed.len() as u64);
}

#[test]
fn mistakes_of_a_teacher_are_told_together_and_before_anything_is_sent() {
    let project = Project::new(64);
    let check = |more: &str| {
        project.configure(&openai(&["m"], "http://127.0.0.1:9/v1", more), "");
        project.candist(&["check", "config.toml"])
    };
    let both = check("output = \"xml\"\nmode = \"singel\"\ndraws = 0\nmax_tokens = 0").expect_exit(2);
    for key in ["teachers[0].output", "teachers[0].mode", "teachers[0].draws", "teachers[0].max_tokens"] {
        assert!(both.err.contains(key), "{key}: {}", both.err);
    }
    let forgotten = check("user = \"Which label?\"").expect_exit(2);
    forgotten.expect_said("`user`").expect_said("{{ text }}");
    for key in ["sk-proj-abcDEF123", "hf_abcdefghijklmnopQRSTUV12345678", "Bearer abc"] {
        let pasted = check(&format!("api_key_env = \"{key}\"")).expect_exit(2);
        assert!(!pasted.err.contains(key) && !pasted.out.contains(key), "{}", pasted.err);
        pasted.expect_said("`teachers[0].api_key_env`").expect_said("export");
    }
    let unset = "api_key_env = \"CANDIST_UNSET_KEY\"";
    check(unset).expect_exit(0).expect_said("CANDIST_UNSET_KEY");
    project.candist(&["plan", "config.toml"]).expect_exit(0).expect_said("CANDIST_UNSET_KEY");
}

#[test]
fn a_request_is_in_flight_until_its_answer_is_stored() {
    let project = Project::new(64);
    let server = Server::start(&project, Behaviour::default());
    project.configure(&openai(&["all-merged"], &server.url, "").replace("= 64", "= 2"), "");
    let config = candist::Config::load(&project.path("config.toml"), None).unwrap();
    let teachers = open_teachers(&config, &Ledger::new(None), &Addresses::default()).unwrap();
    let pool = project.read("pool.jsonl");
    let samples: Vec<Sample> = pool
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| Sample { id: SampleId(line["id"].to_string()), text: line["text"].as_str().unwrap().to_owned() })
        .collect();
    let ask = |number: usize| teachers[0].ask(&samples[number], 0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (first, _second) = (ask(0).await.unwrap(), ask(1).await.unwrap());
        assert!(timeout(Duration::from_millis(300), ask(2)).await.is_err(), "two are without a stored answer");
        assert_eq!(server.replay.stats().received, 2);
        drop(first.permit);
        ask(2).await.unwrap();
    });
}
