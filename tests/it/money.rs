//! Plans, costs, and the cap.

use serde_json::Value;

use crate::server::Behaviour;
use crate::support::{Project, Server, openai};

const PRICE: &str = "[teachers.price]\ninput = \"1.00\"\noutput = \"4.00\"";

/// What the journal says the answers cost, and their number.
fn recorded(project: &Project) -> (f64, usize) {
    let journal = project.read("run/answers.jsonl");
    let cost = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["cost"].as_str().unwrap().parse::<f64>().unwrap()
    };
    (journal.lines().map(cost).sum(), journal.lines().count())
}

#[test]
fn a_plan_says_what_a_run_then_asks() {
    let project = Project::new(32);
    let server = Server::start(&project, Behaviour::default());
    project.configure(&openai(&["all-merged"], &server.url, &format!("requests_per_minute = 60000\n{PRICE}")), "");
    let texts = project.read("pool.jsonl").lines().count();
    let plan = || project.candist(&["plan", "config.toml"]).expect_exit(0).out;
    let before = plan();
    assert!(before.contains(&format!("In all: {texts} requests")) && before.contains("cost"), "{before}");
    assert_eq!(server.replay.stats().requests, 0);
    assert!(!project.path("run").exists(), "a plan leaves nothing behind");
    project.run();
    assert_eq!(server.replay.stats().requests, texts as u64);
    let after = plan();
    assert!(after.contains("In all: 0 requests"), "{after}");
}

#[test]
fn the_cap_is_not_passed_and_raising_it_goes_on() {
    let project = Project::new(8);
    let server = Server::start(&project, Behaviour::default());
    let configure = |cap: &str| {
        project.configure(&openai(&["all-merged"], &server.url, PRICE), "");
        let config = project.read("config.toml").replace("[run]\n", &format!("[run]\nmax_cost = {cap}\n"));
        project.write("config.toml", &config);
    };
    configure("\"0.01\"");
    for _ in 0..2 {
        let run = project.candist(&["run", "config.toml"]).expect_exit(3);
        run.expect_said("run.max_cost is reached").expect_said("Raise max_cost to go on");
        let (cost, answers) = recorded(&project);
        assert!(cost <= 0.01 && answers > 0, "{cost}");
    }
    let status = project.candist(&["status", "run"]).expect_exit(0);
    assert!(status.out.contains("spent"), "{}", status.out);
    configure("1.5");
    project.run();
    assert_eq!(server.replay.stats().repeated, 0);
}

#[test]
fn a_cap_needs_prices() {
    let project = Project::new(32);
    project.configure(&openai(&["m"], "http://127.0.0.1:9/v1", ""), "");
    let config = project.read("config.toml").replace("[run]\n", "[run]\nmax_cost = -1\n");
    project.write("config.toml", &config);
    let run = project.candist(&["run", "config.toml"]).expect_exit(2);
    run.expect_said("`run.max_cost` must be a decimal").expect_said("`teachers[0].price` is missing");
}
