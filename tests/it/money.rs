//! Plans, costs, and the cap.

use std::time::Duration;

use serde_json::Value;

use crate::server::{Behaviour, Fault, Faults, Stats};
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

/// Answers of random length, 200 in flight, a cap that only some of them fit: with faults, so that some outcomes stay unknown.
#[test]
fn the_cap_holds_by_the_servers_own_bill() {
    let runs: u64 = std::env::var("CANDIST_CAPS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(3);
    for seed in 0..runs {
        let project = Project::new(4);
        let faults = Faults { seed, rate: 0.05, kinds: vec![Fault::Reset, Fault::TruncatedBody, Fault::Unavailable] };
        let behaviour = Behaviour {
            latency: Duration::from_millis(5),
            latency_spread: Duration::from_millis(20),
            tokens: Some((1, 256)),
            report_cost: seed % 2 == 0,
            faults,
            ..Behaviour::default()
        };
        let server = Server::start(&project, behaviour);
        // A server that tells a cost charges a millionth for a token of either kind; the worst case of these prices covers it.
        let price = "[teachers.price]\ninput = 0.01\noutput = 1";
        let charged = |stats: &Stats| {
            let prompt = if seed % 2 == 0 { 1.0 } else { 0.01 } * stats.prompt_tokens as f64;
            (prompt + stats.completion_tokens as f64) / 1e6
        };
        project
            .configure(&openai(&["all-merged"], &server.url, price).replace("= 64", "= 200\nmin_in_flight = 200"), "");
        let cap = 0.06;
        let config = project.read("config.toml").replace("[run]\n", &format!("[run]\nmax_cost = {cap}\n"));
        project.write("config.toml", &config);
        project.candist(&["run", "config.toml"]).expect_exit(3).expect_said("run.max_cost is reached");
        let (stats, (cost, _)) = (server.replay.stats(), recorded(&project));
        let billed = charged(&stats);
        assert!(stats.most_in_flight > 50, "{stats:?}");
        assert!(billed <= cap && cost <= cap, "{seed}: {billed} {cost}");
        assert!(cost > 0.0, "{seed}");
        // A restart spends what is left at most, and never forgets what was unknown.
        project.candist(&["run", "config.toml"]).expect_exit(3);
        let billed = charged(&server.replay.stats());
        assert!(billed <= cap, "{seed}: {billed}");
    }
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

#[test]
fn a_killed_run_counts_what_was_on_its_way_and_no_more() {
    let project = Project::new(4);
    let behaviour = Behaviour { latency: Duration::from_millis(150), ..Behaviour::default() };
    let server = Server::start(&project, behaviour);
    let teacher = openai(&["all-merged"], &server.url, PRICE).replace("= 64", "= 16\nmax_tokens = 100");
    project.configure(&teacher, "");
    for _ in 0..3 {
        let answers = || std::fs::read_to_string(project.path("run/answers.jsonl")).unwrap_or_default().lines().count();
        let before = answers();
        let mut child = project.start(&["run", "config.toml"]);
        while answers() < before + 20 {
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let status = project.candist(&["status", "run"]).expect_exit(0).out;
    let spent = status.lines().find(|line| line.trim_start().starts_with("spent")).unwrap();
    let spent: f64 = spent.split_whitespace().nth(1).unwrap().parse().unwrap();
    let (cost, _) = recorded(&project);
    // Three times sixteen requests of 100 tokens of answer and less than 4,000 bytes of prompt.
    let unknown = 3.0 * 16.0 * (100.0 * 4.0 + 4_000.0) / 1e6;
    assert!(spent > cost && spent <= cost + unknown, "{spent} of {cost}: {status}");
}

#[test]
fn limits_per_minute_hold_over_restarts() {
    let project = Project::new(8);
    let server = Server::start(&project, Behaviour::default());
    project.configure(&openai(&["all-merged"], &server.url, "requests_per_minute = 5"), "");
    for _ in 0..8 {
        let mut child = project.start(&["run", "config.toml"]);
        let sent = server.replay.stats().received;
        let started = std::time::Instant::now();
        while server.replay.stats().received == sent && started.elapsed() < Duration::from_secs(3) {
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let stats = server.replay.stats();
    assert!(stats.fullest_minute_requests <= 5 && stats.received >= 3, "{stats:?}");
    assert!(project.path("run/requests.jsonl").exists());
}
