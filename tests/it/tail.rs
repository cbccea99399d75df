//! `candist tail` beside a run.

use std::io::Read;
use std::process::Child;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::server::Behaviour;
use crate::support::{Project, Server, events, latest, openai};

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

/// Ends of the corpus: what is final is told once, and again only where a later end changed it.
#[test]
fn a_final_label_is_printed_once() {
    let project = Project::new(8);
    let pool = project.read("pool.jsonl");
    let half: String = pool.lines().take(200).map(|row| format!("{row}\n")).collect();
    project.write("pool.jsonl", &half);
    project.run();
    project.write("pool.jsonl", &pool);
    project.run();
    let all = project.events();
    let finals = events(&project.candist(&["tail", "run", "--final"]).expect_exit(0).out);
    let mut printed = std::collections::HashMap::new();
    for event in &finals {
        assert!(event.is_final);
        assert_ne!(printed.insert(&event.id, &event.label), Some(&event.label), "{event:?}");
    }
    let expected = latest(&all);
    assert_eq!(printed.len(), expected.len());
    assert!(expected.iter().all(|(id, event)| printed[id] == &event.label));
    // Whoever goes on from an offset is told nothing twice either.
    let middle = finals[finals.len() / 2].offset;
    let rest = events(&project.candist(&["tail", "run", "--final", "--from", &middle.to_string()]).out);
    assert_eq!(rest, finals[finals.len() / 2..]);
}

#[test]
fn the_latest_labels_are_one_line_a_text() {
    let project = Project::new(8);
    let pool = project.read("pool.jsonl");
    project.write("pool.jsonl", &pool.lines().take(100).map(|row| format!("{row}\n")).collect::<String>());
    project.run();
    project.write("pool.jsonl", &pool);
    project.run();
    let tail =
        |more: &[&str]| events(&project.candist(&[&["tail", "run", "--latest"], more].concat()).expect_exit(0).out);
    let all = project.events();
    let expected = latest(&all);
    let found = tail(&[]);
    assert_eq!(latest(&found), expected);
    assert_eq!(found.len(), expected.len());
    assert!(found.is_sorted_by_key(|event| event.offset));
    // What else is asked for is asked of the events that hold now.
    let label = &found[0].label;
    let same: Vec<_> = found.iter().filter(|event| event.label == *label).cloned().collect();
    assert_eq!(tail(&["--label", label]), same);
    project.candist(&["tail", "run", "--latest", "-f"]).expect_exit(2);
}

#[test]
fn what_tail_cannot_do_is_said() {
    let project = Project::new(64);
    project.candist(&["tail", "pool.jsonl"]).expect_exit(2).expect_said("no run directory");
    project.candist(&["tail", "."]).expect_exit(2).expect_said("is no run directory");
    project.candist(&["tail", "-f", "pool.jsonl"]).expect_exit(2).expect_said("is a file");
    project.run();
    project
        .candist(&["tail", "run", "--label", "card_arival"])
        .expect_exit(2)
        .expect_said("did you mean \"card_arrival\"?");
    // As an answer may spell it.
    assert!(!project.candist(&["tail", "run", "--label", "Card arrival"]).expect_exit(0).out.is_empty());
    for wrong in ["80", "-0.1", "NaN", "x"] {
        project
            .candist(&["tail", "run", &format!("--min-confidence={wrong}")])
            .expect_exit(2)
            .expect_said("from 0 to 1");
        let predict = ["predict", "--student", "s", &format!("--min-confidence={wrong}")];
        project.candist(&predict).expect_exit(2).expect_said("from 0 to 1");
    }
    std::fs::remove_file(project.path("run/labels.jsonl")).unwrap();
    project.candist(&["tail", "run"]).expect_exit(2).expect_said("run has no labels yet");
}
