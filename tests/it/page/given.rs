//! Labels that people give on the page: there for good before it says so, and learned from.

use std::time::{Duration, Instant};

use candist::By;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::served::Served;
use super::{finished, text};
use crate::support::Project;

const LABEL: &str = "age_limit";

/// The rows that have a label of a person.
fn corrected(served: &Served) -> Vec<Value> {
    served.read();
    served.rows("corrected=1")
}

/// A correction is a label that is right, as long as it holds; what a person found has its interval.
fn estimates_move(served: &Served, asked: &Value) {
    let row = &asked["rows"][0];
    let expected = |estimates: &Value| estimates["expected"]["right"].as_f64().unwrap();
    let (before, labelled) = (expected(asked), asked["expected"]["labelled"].as_f64().unwrap());
    assert_eq!(served.correct(row, LABEL).0, StatusCode::OK);
    let found = served.get("/api/v1/estimates?looked=1&changed=1");
    let gained = (1.0 - row["confidence"].as_f64().unwrap()) / labelled;
    assert!((expected(&found) - before - gained).abs() < 1e-9, "{found} {before}");
    let share = &found["changed"];
    assert_eq!((&share["estimate"], &share["high"]), (&json!(1.0), &json!(1.0)));
    assert!((share["low"].as_f64().unwrap() - 0.025).abs() < 1e-9, "{share}");
    assert_eq!(served.take_back(row), StatusCode::OK);
    let found = served.get("/api/v1/estimates");
    assert_eq!((expected(&found), &found["changed"]), (before, &Value::Null));
    let (status, _, body) = served.send(served.ask(Method::GET, "/api/v1/estimates?looked=1&changed=2"));
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
}

#[test]
fn what_was_acknowledged_outlives_the_server() {
    let project = finished(32);
    let mut served = Served::start(&project);
    served.read();
    let asked = served.get("/api/v1/review?limit=20");
    let queue = asked["rows"].as_array().unwrap().clone();
    estimates_move(&served, &asked);
    for (number, row) in queue.iter().enumerate() {
        let (status, body) = served.correct(row, LABEL);
        assert_eq!(status, StatusCode::OK, "{body}");
        // At once, and not when the file is looked at next.
        assert_eq!(served.rows("corrected=1").len(), number + 1);
        if number % 7 == 6 {
            served.kill();
            served = Served::start(&project);
            assert_eq!(corrected(&served).len(), number + 1);
        }
    }
    let detail = served.get(&format!("/api/v1/labels/{}", queue[3]["position"]));
    assert_eq!(detail["correction"], json!({"label": LABEL, "who": "anna", "note": null}));
    assert_eq!(served.take_back(&queue[3]), StatusCode::OK);
    served.kill();
    let served = Served::start(&project);
    let rows = corrected(&served);
    assert_eq!(rows.len(), 19);
    assert!(rows.iter().all(|row| row["label"] == LABEL && row["by"] == "person" && row["id"] != queue[3]["id"]));
    let before = served.get(&format!("/api/v1/labels/{}", queue[3]["position"]));
    assert_eq!((&before["label"], &before["correction"]), (&queue[3]["label"], &Value::Null));
    // None of them is asked about again, and a run takes them in under the page.
    let queue = served.get("/api/v1/review?limit=500")["rows"].as_array().unwrap().clone();
    assert!(queue.iter().all(|row| row["corrected"] == json!(false)));
    project.run();
    let events = project.events();
    assert_eq!(events.iter().filter(|event| event.by == By::Person).count(), 19);
    served.wait(|overview| overview["events"] == json!(events.len()) && overview["corrected"] == json!(19));
}

#[test]
fn what_is_given_elsewhere_is_shown_and_what_does_not_fit_is_refused() {
    let project = finished(64);
    let served = Served::start(&project);
    served.read();
    let rows = served.rows("");
    project.candist(&["correct", "run", "--set", &text(&rows[2], "id"), LABEL]).expect_exit(0);
    served.wait(|overview| overview["corrected"] == json!(1));
    assert_eq!(served.get("/api/v1/labels/2")["label"], json!(LABEL));
    assert_eq!(served.correct(&rows[0], "no such label").0, StatusCode::BAD_REQUEST);
    let other = json!({"position": 0, "id": "another"});
    assert_eq!(served.correct(&other, LABEL).0, StatusCode::CONFLICT);
    let nowhere = json!({"position": 99_999, "id": "another"});
    assert_eq!(served.correct(&nowhere, LABEL).0, StatusCode::NOT_FOUND);
    assert_eq!(project.read("run/corrections.jsonl").lines().count(), 1);
    // A text that nobody has read, under an id that somebody has; and what is taken back is what was given.
    let unread = json!({"position": 0, "id": rows[0]["id"], "text_hash": "0".repeat(32)});
    assert_eq!(served.correct(&unread, LABEL).0, StatusCode::CONFLICT);
    assert_eq!(served.take_back(&unread), StatusCode::CONFLICT);
    let undo = format!("/api/v1/corrections/2?label={}", "card_arrival");
    assert_eq!(served.deleted(&undo, &rows[2]), StatusCode::CONFLICT);
    assert_eq!(served.get("/api/v1/labels/2")["label"], json!(LABEL));
    assert_eq!(served.deleted("/api/v1/corrections/2", &rows[3]), StatusCode::CONFLICT);
    // What cannot be kept is neither acknowledged nor shown.
    std::fs::remove_file(project.path("run/corrections.jsonl")).unwrap();
    std::fs::create_dir(project.path("run/corrections.jsonl")).unwrap();
    let (status, body) = served.correct(&rows[0], LABEL);
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(body.contains("corrections.jsonl"), "{body}");
    assert_eq!(served.get("/api/v1/labels/0")["corrected"], json!(false));
}

/// The lines of a log that were edited, each with a checksum that fits.
fn sealed_anew(log: &str) -> String {
    let seal = |line: &str| {
        let content = &line[..line.len() - ",\"crc\":\"01234567\"}".len()];
        format!("{content},\"crc\":\"{:08x}\"}}\n", crc32fast::hash(content.as_bytes()))
    };
    log.lines().map(seal).collect()
}

/// Another run in the directory's place is not corrected by somebody who reads this one.
#[test]
fn a_label_is_never_kept_for_a_run_that_took_the_place_of_the_one_that_was_read() {
    let project = finished(32);
    let served = Served::start(&project);
    served.read();
    let rows = served.rows("");
    for number in 0..20 {
        let (here, away, other) = (project.path("run"), project.path("away"), project.path("other"));
        if number == 0 {
            // The same ids, other texts.
            std::fs::create_dir(&other).unwrap();
            let inputs = project.read("run/inputs.jsonl").replace("\"text\":\"", "\"text\":\"Really: ");
            project.write("other/inputs.jsonl", &sealed_anew(&inputs));
        }
        std::fs::rename(&here, &away).unwrap();
        std::fs::rename(&other, &here).unwrap();
        if number % 2 == 1 {
            std::thread::sleep(Duration::from_millis(400));
        }
        let (status, said) = served.correct(&rows[number], LABEL);
        assert_eq!(status, StatusCode::CONFLICT, "{said}");
        assert!(!here.join("corrections.jsonl").exists());
        std::fs::rename(&here, &other).unwrap();
        std::fs::rename(&away, &here).unwrap();
        served.wait(|overview| overview["labelled"] == json!(rows.len()));
    }
    assert_eq!(served.correct(&rows[0], LABEL).0, StatusCode::OK);
}

#[test]
fn a_run_learns_from_what_is_corrected_on_its_page() {
    let project = Project::new(32);
    let served = Served::by(project.start(&["run", "config.toml", "--listen", "127.0.0.1:0"]));
    served.wait(|overview| overview["texts"] != json!(0) && overview["texts"] == overview["final"]);
    let row = served.rows("sort=confidence")[0].clone();
    assert_eq!(served.correct(&row, LABEL).0, StatusCode::OK);
    let patience = Instant::now() + Duration::from_secs(60);
    while !project.events().iter().any(|event| event.by == By::Person) {
        assert!(Instant::now() < patience, "it does not learn");
        std::thread::sleep(Duration::from_millis(100));
    }
    let (exit, _) = served.interrupt();
    assert!(matches!(exit, Some(0 | 130)), "{exit:?}");
    let refused = project.candist(&["run", "config.toml", "--listen", "256.0.0.1:1"]).expect_exit(2);
    assert!(refused.err.contains("--listen"), "{}", refused.err);
}
