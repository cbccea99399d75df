//! `candist tail` beside a run.

use std::io::Read;
use std::process::Child;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::server::Behaviour;
use crate::support::{Project, Server, events, openai};

/// Reads what a child prints until it has `bytes` of it; then ends the child.
fn read_until(mut child: Child, bytes: mpsc::Receiver<usize>) -> std::thread::JoinHandle<String> {
    let mut out = child.stdout.take().unwrap();
    let (sender, chunks) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = out.read(&mut buffer) {
            if sender.send(buffer[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        let (mut seen, mut wanted) = (Vec::new(), None);
        let patience = Instant::now() + Duration::from_secs(60);
        while wanted.is_none_or(|wanted| seen.len() < wanted) && Instant::now() < patience {
            wanted = wanted.or_else(|| bytes.try_recv().ok());
            if let Ok(chunk) = chunks.recv_timeout(Duration::from_millis(50)) {
                seen.extend(chunk);
            }
        }
        // What is printed twice would come now.
        while let Ok(chunk) = chunks.recv_timeout(Duration::from_millis(300)) {
            seen.extend(chunk);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        String::from_utf8(seen).unwrap()
    })
}

#[test]
fn followers_started_before_during_and_after_see_every_event_once() {
    let project = Project::new(8);
    let server = Server::start(&project, Behaviour { latency: Duration::from_millis(20), ..Behaviour::default() });
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    let mut followers = Vec::new();
    let mut follow = || {
        let (sender, bytes) = mpsc::channel();
        followers.push((sender, read_until(project.start(&["tail", "-f", "run"]), bytes)));
    };
    follow();
    // Killed in the middle once: followers stay.
    let mut run = project.start(&["run", "config.toml"]);
    while !project.path("run/labels.jsonl").exists() || project.labels().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    follow();
    run.kill().unwrap();
    run.wait().unwrap();
    project.run();
    follow();
    let labels = project.labels();
    for (sender, follower) in followers {
        sender.send(labels.len()).unwrap();
        assert_eq!(follower.join().unwrap(), labels);
    }
}

#[test]
fn tail_prints_what_is_asked_for() {
    let project = Project::new(16);
    project.run();
    let all = project.labels();
    let tail = |more: &[&str]| events(&project.candist(&[&["tail", "run"], more].concat()).expect_exit(0).out);
    assert_eq!(tail(&[]), events(&all));
    let finals = tail(&["--final"]);
    assert!(finals.len() < events(&all).len() && finals.iter().all(|event| event.is_final));
    assert_eq!(tail(&["--from", "50"])[0].offset, 50);
    let label = finals[0].label.clone();
    let same = tail(&["--final", "--label", &label]);
    assert!(!same.is_empty() && same.len() < finals.len() && same.iter().all(|event| event.label == label));
    let sure = tail(&["--final", "--min-confidence", "0.9"]);
    assert!(sure.len() < finals.len() && sure.iter().all(|event| event.confidence >= 0.9));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let project = Project::new(16);
    project.run();
    let mut child = project.start(&["tail", "run"]);
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
