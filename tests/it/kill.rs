//! kill -9 at random moments. The counts are short here; `make soak` sets CANDIST_KILLS.

use std::time::{Duration, Instant};

use candist::internal::rng;
use rand::Rng;

use crate::server::Behaviour;
use crate::support::{Project, Server, openai};

fn rounds() -> u64 {
    std::env::var("CANDIST_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(4)
}

/// All of the corpus where there is time for it.
fn project() -> Project {
    Project::new(if rounds() > 10 { 1 } else { 8 })
}

/// Kills the run a few times at moments within `usual`, then lets it end. How often it was killed.
fn run_with_kills(project: &Project, round: u64, usual: Duration) -> u64 {
    let mut rng = rng(round, "kill", &[]);
    let mut killed = 0;
    for _ in 0..rng.random_range(1..=4) {
        let mut child = project.start(&["run", "config.toml"]);
        std::thread::sleep(usual.mul_f64(rng.random_range(0.0..1.0)));
        child.kill().unwrap();
        killed += u64::from(!child.wait().unwrap().success());
    }
    project.run();
    killed
}

#[test]
fn a_killed_run_ends_with_the_same_bytes() {
    let project = project();
    let start = Instant::now();
    project.run();
    let (usual, expected) = (start.elapsed(), project.labels());
    for round in 0..rounds() {
        project.remove_run();
        run_with_kills(&project, round, usual);
        assert_eq!(project.labels(), expected, "round {round}");
        let answers = project.read("run/answers.jsonl");
        assert_eq!(answers.lines().count(), 3 * project.read("pool.jsonl").lines().count(), "round {round}");
    }
}

#[test]
fn a_killed_run_repeats_at_most_what_was_in_flight() {
    let project = project();
    let behaviour = || Behaviour { latency: Duration::from_millis(20), ..Behaviour::default() };
    let server = Server::start(&project, behaviour());
    // One teacher: 64 in flight is then 64 requests.
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    let start = Instant::now();
    project.run();
    let (usual, expected) = (start.elapsed(), project.labels());
    for round in 0..rounds() {
        project.remove_run();
        let server = Server::start(&project, behaviour());
        project.configure(&openai(&["all-merged"], &server.url, ""), "");
        let kills = run_with_kills(&project, round, usual);
        assert_eq!(project.labels(), expected, "round {round}");
        let stats = server.replay.stats();
        assert!(stats.repeated <= 64 * kills, "round {round}: {kills} kills, {stats:?}");
    }
}

#[test]
fn ctrl_c_ends_with_130_and_the_next_run_goes_on() {
    let project = Project::new(4);
    let server = Server::start(&project, Behaviour { latency: Duration::from_millis(30), ..Behaviour::default() });
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    project.run();
    let expected = project.labels();
    project.remove_run();
    let server = Server::start(&project, Behaviour { latency: Duration::from_millis(30), ..Behaviour::default() });
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    let child = project.start(&["run", "config.toml"]);
    // Once labels come, it is in the middle.
    while !project.path("run/labels.jsonl").exists() || project.labels().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ended = crate::support::Finished::of(child.wait_with_output().unwrap()).expect_exit(130);
    ended.expect_said("run the same command again");
    project.run();
    assert_eq!(project.labels(), expected);
    assert_eq!(server.replay.stats().repeated, 0, "what was in flight was waited for");
}
