//! Programs that were started by one that is gone.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::server::Behaviour;
use crate::support::{Finished, Project, Server, openai};

fn start(mut command: Command) -> Child {
    command.env("CANDIST_STOP_AT_EOF", "1").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn a_run_stops_where_nothing_is_lost_when_its_caller_ends() {
    let project = Project::new(8);
    let server = Server::start(&project, Behaviour { latency: Duration::from_millis(50), ..Behaviour::default() });
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    let mut run = start(project.command(&["run", "config.toml"]));
    while !project.path("run/answers.jsonl").exists() || project.read("run/answers.jsonl").is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    // What a caller holds is closed however it ends.
    drop(run.stdin.take());
    let ended = Finished::of(run.wait_with_output().unwrap()).expect_exit(130);
    ended.expect_said("stopping: waiting for answers on their way");
    project.run();
}

#[test]
fn a_reader_ends_with_its_caller_and_waits_as_long_as_that_lives() {
    let project = Project::new(64);
    let mut tail = start(project.command(&["tail", "-f", "run"]));
    std::thread::sleep(Duration::from_millis(300));
    assert!(tail.try_wait().unwrap().is_none());
    drop(tail.stdin.take());
    let patience = Instant::now() + Duration::from_secs(60);
    let status = loop {
        assert!(Instant::now() < patience, "it waits for labels that nobody would read");
        if let Some(status) = tail.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.signal(), Some(15));
    // Nobody asked for it: standard input is nobody's business then.
    let mut command = project.command(&["tail", "-f", "run"]);
    let mut tail = command.stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(tail.try_wait().unwrap().is_none());
    tail.kill().unwrap();
    tail.wait().unwrap();
}
