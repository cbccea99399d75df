//! An audit on the page: drawn, labelled blind, there for good before it says so, kept apart from corrections, certified.

use std::collections::BTreeMap;

use candist::By;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::served::Served;
use super::{finished, text};
use crate::schemas::validate;
use crate::support::{Project, latest};

/// No right label of the texts that it is said of.
const WRONG: &str = "age_limit";

impl Served {
    /// With figures, also of a part.
    fn audit(&self) -> Value {
        self.get("/api/v1/audit?figures=1")
    }

    fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.ask(Method::POST, &format!("/api/v1/audit/{path}")).header("x-candist", "1").json(body);
        let (status, _, body) = self.send(request);
        (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
    }

    #[track_caller]
    fn posted(&self, path: &str, body: &Value) -> Value {
        let (status, body) = self.post(path, body);
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    /// All texts that are to be labelled.
    fn to_audit(&self) -> Vec<Value> {
        self.get("/api/v1/audit/next?limit=200")["rows"].as_array().unwrap().clone()
    }

    #[track_caller]
    fn label(&self, row: &Value, label: &str) {
        self.posted("labels", &json!({"position": row["position"], "id": row["id"], "label": label, "who": "anna"}));
    }

    fn certificate(&self, query: &str) -> Value {
        self.get(&format!("/audit/certificate?{query}"))
    }
}

/// The labels that hold, by id.
fn held(project: &Project) -> BTreeMap<String, String> {
    latest(&project.events()).into_iter().map(|(id, event)| (id, event.label)).collect()
}

fn error(body: &Value) -> String {
    text(body, "error")
}

#[test]
fn what_was_acknowledged_of_an_audit_outlives_the_server_and_reaches_nothing_that_labels() {
    let project = finished(16);
    let (labels, held) = (project.labels(), held(&project));
    let mut served = Served::start(&project);
    served.read();
    assert_eq!((&served.audit()["audit"], &served.audit()["population"]), (&Value::Null, &json!(held.len())));
    let drawn = served.posted("draw", &json!({"n": 50, "seed": 7, "who": "anna"}));
    assert_eq!(
        (&drawn["audit"]["drawn"], &drawn["audit"]["filled"], &drawn["figures"]),
        (&json!(50), &json!(0), &Value::Null)
    );
    let rows = served.to_audit();
    assert_eq!(rows.len(), 50);
    // Nothing of a row tells the label: no field that has it, and choices in an order that does not depend on it.
    let mut places = [0; 9];
    for row in &rows {
        let mut fields: Vec<&String> = row.as_object().unwrap().keys().collect();
        fields.sort();
        assert_eq!(fields, ["choices", "cut", "id", "position", "text", "text_hash"]);
        let choices = row["choices"].as_array().unwrap();
        assert_eq!(choices.len(), 9, "{row}");
        places[choices.iter().position(|choice| *choice == held[&text(row, "id")]).unwrap()] += 1;
    }
    assert!(places.iter().all(|count| (0..30).contains(count)), "{places:?}");
    // Killed in between, all that was acknowledged is there, and it goes on with the next text, as before.
    for (number, row) in rows.iter().enumerate() {
        let label = if number % 10 == 3 { WRONG } else { &held[&text(row, "id")] };
        served.label(row, label);
        if number % 17 == 8 {
            served.kill();
            served = Served::start(&project);
            served.read();
            assert_eq!(served.audit()["audit"]["filled"], json!(number + 1));
            assert_eq!(served.to_audit(), rows[number + 1..]);
        }
    }
    let path = format!("/api/v1/audit/labels/{}", rows[20]["position"]);
    // Another text's place now, for somebody whose page is of the run before.
    assert_eq!(served.deleted(&path, &rows[21]), StatusCode::CONFLICT);
    assert_eq!(served.deleted(&path, &rows[20]), StatusCode::OK);
    let gap = served.audit();
    assert_eq!((&gap["audit"]["filled"], &gap["audit"]["counted"]), (&json!(49), &json!(20)));
    assert!(
        gap["doubts"].to_string().contains("29 texts labelled after a text that was skipped are not counted"),
        "{gap}"
    );
    // Figures that move with each label would tell what the run says of it.
    let unasked = served.get("/api/v1/audit");
    assert_eq!((&unasked["figures"], &unasked["differences"]), (&Value::Null, &json!([])));
    assert!(gap["figures"].is_object());
    let listed = served.get(&format!("/api/v1/labels/{}", rows[0]["position"]));
    assert_eq!(
        (&listed["label"], &listed["confidence"], &listed["teachers"]),
        (&Value::Null, &Value::Null, &json!([]))
    );
    assert!(served.rows("audited=1").iter().all(|row| row["label"] == Value::Null && row["candidates"] == json!([])));
    served.label(&rows[20], &held[&text(&rows[20], "id")]);
    let now = served.wait_for_audit(|now| now["audit"]["counted"] == json!(50));
    assert_eq!((&now["figures"]["accuracy"]["estimate"], &now["doubts"]), (&json!(0.9), &json!([])));
    let differences = now["differences"].as_array().unwrap();
    assert_eq!((differences.len(), &differences[0]["said"]), (5, &json!(WRONG)));
    assert_eq!(differences[0]["label"], json!(held[&text(&rows[3], "id")]));

    // What the page says from its table is what the logs say.
    let certificate = served.certificate("epsilon=0.6&delta=0.1");
    validate("certificate", &certificate, "the certificate");
    let asked = served.get("/api/v1/audit?epsilon=0.6&delta=0.1");
    for field in ["accuracy", "calibration", "threshold", "epsilon", "delta", "says", "audited"] {
        assert_eq!(asked["figures"][field], certificate[field], "{field}");
    }
    assert!(certificate["threshold"].is_object(), "{certificate}");
    assert_eq!((&certificate["sample"]["seed"], &certificate["ended"]), (&json!(7), &json!(false)));
    let bytes = project.labels().len();
    assert_eq!(
        (&certificate["logs"][0]["name"], &certificate["logs"][0]["bytes"]),
        (&json!("labels.jsonl"), &json!(bytes))
    );
    let names: Vec<&Value> = certificate["logs"].as_array().unwrap().iter().map(|log| &log["name"]).collect();
    assert_eq!(names, ["labels.jsonl", "corrections.jsonl", "inputs.jsonl", "audit.jsonl"]);
    for log in [&certificate["logs"][2], &certificate["logs"][3]] {
        let file = std::fs::read(project.path("run").join(text(log, "name"))).unwrap();
        assert_eq!(log["bytes"], json!(file.len()));
    }
    // So does the verb, by a file of the same labels as well.
    let own: Value = serde_json::from_str(&project.candist(&["audit", "run", "--json"]).expect_exit(0).out).unwrap();
    assert_eq!((&own["accuracy"], &own["calibration"]), (&certificate["accuracy"], &certificate["calibration"]));
    let sample: Vec<String> = rows
        .iter()
        .enumerate()
        .map(|(number, row)| {
            let label = if number % 10 == 3 { WRONG } else { &held[&text(row, "id")] };
            json!({"id": row["id"], "text": row["text"], "gold": label}).to_string()
        })
        .collect();
    let filled = project.candist(&["audit", "run", "--filled"]).expect_exit(0).out;
    let parsed = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    assert!(filled.lines().map(parsed).eq(sample.iter().map(|line| parsed(line))), "{filled}");
    project.write("sample.jsonl", &sample.join("\n"));
    let by_file = project.candist(&["audit", "run", "--gold", "sample.jsonl", "--json"]).expect_exit(0).out;
    let by_file: Value = serde_json::from_str(&by_file).unwrap();
    for field in ["accuracy", "teacher_first", "calibration", "threshold"] {
        assert_eq!(by_file["audit"][field], own[field], "{field}");
    }
    drop(served);

    // A run goes on as if nothing had been said, from its logs as well as from the beginning.
    assert!(!project.path("run/corrections.jsonl").exists());
    project.run();
    assert!(project.labels() == labels);
    for name in ["labels.jsonl", "checkpoints", "store"] {
        let path = project.path("run").join(name);
        let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    }
    project.run();
    assert!(project.labels() == labels);
    let report = project.candist(&["report", "run"]).expect_exit(0).out;
    assert!(report.contains("The audit goes on.") && report.contains("90.0% of them are right"), "{report}");
    assert!(report == project.candist(&["report", "run"]).expect_exit(0).out);
    let deep = project.candist(&["check", "--deep", "run"]).expect_exit(0).out;
    assert!(deep.contains("1 audit(s), 50 label(s) of the latest"), "{deep}");
}

#[test]
fn a_sample_is_not_corrected_until_its_audit_has_ended() {
    let project = finished(32);
    let served = Served::start(&project);
    served.read();
    project.candist(&["audit", "run"]).expect_exit(2).expect_said("has no audit of its own: draw a sample on its page");
    served.posted("draw", &json!({"n": 20}));
    project.candist(&["audit", "run"]).expect_exit(2).expect_said("of which the first text is not labelled yet");
    let rows = served.to_audit();
    let first = &rows[0];
    let (status, said) = served.correct(first, WRONG);
    assert_eq!((status, said.contains("right by definition")), (StatusCode::CONFLICT, true), "{said}");
    assert_eq!(served.take_back(first), StatusCode::CONFLICT);
    let id = text(first, "id");
    let correct = ["correct", "run", "--set", &id, WRONG];
    project.candist(&correct).expect_exit(2).expect_said("right by definition").expect_said("audit RUN --end");
    project
        .write("some.csv", &format!("id,label\n{},{WRONG}\n{id},{WRONG}\n", text(&served.rows("audited=0")[0], "id")));
    project.candist(&["correct", "run", "some.csv"]).expect_exit(2).expect_said("Nothing was kept");
    assert!(!project.path("run/corrections.jsonl").exists());
    // The review leaves it out, lists mark it.
    let queue = served.get("/api/v1/review?limit=500");
    let queued = queue["rows"].as_array().unwrap();
    assert!(queued.iter().all(|row| row["audited"] == json!(false)));
    assert_eq!(queued.len() + 20, served.rows("").len());
    let marked = served.rows("audited=1");
    assert_eq!((marked.len(), served.rows("audited=0").len()), (20, queued.len()));
    assert_eq!(served.get(&format!("/api/v1/labels/{}", first["position"]))["audited"], json!(true));

    rows.iter().for_each(|row| served.label(row, WRONG));
    project.candist(&["audit", "run", "--drop"]).expect_exit(2).expect_said("20 label(s) count: end it");
    let status = project.candist(&["status", "run"]).expect_exit(0).out;
    assert!(status.contains("audit open") && status.contains("of 20 drawn texts are labelled"), "{status}");
    let ended = served.posted("end", &json!({"epsilon": 0.4, "delta": 0.2, "who": "anna"}));
    assert_eq!((&ended["audit"]["open"], &ended["figures"]["epsilon"]), (&json!(false), &json!(0.4)));
    assert!(!project.candist(&["status", "run"]).expect_exit(0).out.contains("audit open"));
    let certificate = served.certificate("epsilon=0.4&delta=0.2");
    // It is what it was at the end, where nothing else is asked for; and what was asked for afterwards is called so.
    assert_eq!(served.certificate(""), certificate);
    let other = served.certificate("epsilon=0.3");
    assert!(other["doubts"].to_string().contains("The audit ended with a threshold for at most 40%"), "{other}");
    assert_eq!(certificate["ended"], json!(true));
    let (status, said) = served.post("labels", &json!({"position": first["position"], "id": id, "label": WRONG}));
    assert_eq!((status, error(&said).contains("has ended")), (StatusCode::CONFLICT, true), "{said}");
    assert_eq!(served.post("more", &json!({"n": 30})).0, StatusCode::CONFLICT);
    assert_eq!(served.post("end", &json!({})).0, StatusCode::CONFLICT);

    // Its labels become corrections, which changes no certificate.
    assert_eq!(served.posted("corrections", &json!({"who": "bert"})), json!({"labels": 20}));
    served.wait(|overview| overview["corrected"] == json!(20));
    assert_eq!(served.audit()["audit"]["corrected"], json!(20));
    let corrections = project.read("run/corrections.jsonl");
    assert!(corrections.lines().count() == 20 && corrections.contains("\"who\":\"anna\""), "{corrections}");
    project.run();
    assert_eq!(latest(&project.events()).values().filter(|event| event.by == By::Person).count(), 20);
    assert_eq!(served.certificate("epsilon=0.4&delta=0.2"), certificate);
    let report = project.candist(&["report", "run"]).expect_exit(0).out;
    assert!(report.contains("The audit ended at"), "{report}");
    // Of a new one they are a part, as they are; the same sample is not drawn again.
    let seed = &certificate["sample"]["seed"];
    let (status, said) = served.post("draw", &json!({"n": 20, "seed": seed}));
    assert_eq!((status, error(&said).contains("its texts are known")), (StatusCode::CONFLICT, true), "{said}");
    served.posted("draw", &json!({"n": 20}));
    let row = &served.to_audit()[0];
    served.label(row, WRONG);
    let doubts = served.audit()["doubts"].to_string();
    assert!(doubts.contains("1 audit of this run was labelled before"), "{doubts}");
}

#[test]
fn a_sample_of_which_nothing_counts_is_given_up_and_in_nobodys_way() {
    let project = finished(32);
    let served = Served::start(&project);
    served.read();
    served.posted("draw", &json!({"n": 20}));
    let rows = served.to_audit();
    served.label(&rows[3], WRONG);
    let id = text(&rows[0], "id");
    let correct = ["correct", "run", "--set", &id, WRONG];
    project.candist(&correct).expect_exit(2).expect_said("right by definition").expect_said("--drop where nothing");
    project.candist(&["audit", "run", "--end"]).expect_exit(2).expect_said("`candist audit RUN --drop`");
    let dropped = project.candist(&["audit", "run", "--drop", "--who", "anna"]).expect_exit(0).err;
    assert!(dropped.contains("is given up; 1 label(s) stay in audit.jsonl"), "{dropped}");
    project.candist(&["audit", "run", "--drop"]).expect_exit(2).expect_said("has no audit of its own");
    project.candist(&correct).expect_exit(0);
    served.wait(|overview| overview["corrected"] == json!(1));
    assert_eq!((&served.audit()["audit"], served.rows("audited=1").len()), (&Value::Null, 0));
    // A text of it was labelled, so it counts as one that was looked at before.
    served.posted("draw", &json!({"n": 10}));
    let rows = served.to_audit();
    rows.iter().for_each(|row| served.label(row, WRONG));
    assert!(served.audit()["doubts"].to_string().contains("1 audit of this run was labelled before"));
    let deep = project.candist(&["check", "--deep", "run"]).expect_exit(0).out;
    assert!(deep.contains("2 audit(s), 10 label(s) of the latest"), "{deep}");
    // What ended is there again where the sample after it is given up; one that nobody looked at counts for nothing.
    project.candist(&["audit", "run", "--end"]).expect_exit(0);
    let ended = project.candist(&["audit", "run"]).expect_exit(0).out;
    served.posted("draw", &json!({"n": 5}));
    project.candist(&["audit", "run"]).expect_exit(2).expect_said("not labelled yet");
    let (status, said) = served.post("draw", &json!({"n": 6}));
    assert_eq!((status, error(&said).contains("goes on")), (StatusCode::CONFLICT, true), "{said}");
    served.posted("draw", &json!({"n": 6, "anew": true}));
    project.candist(&["audit", "run", "--drop"]).expect_exit(0).expect_said("is given up");
    assert_eq!(project.candist(&["audit", "run"]).expect_exit(0).out, ended);
    assert_eq!(served.audit()["audit"]["open"], json!(false));
    // The text that was corrected is drawn with the same chance as the others, and has that label already.
    let news = rows.iter().filter(|row| text(row, "id") != id).count();
    project
        .candist(&["audit", "run", "--correct"])
        .expect_exit(0)
        .expect_said(&format!("{news} label(s) of the audit"));
    served.posted("draw", &json!({"n": 5}));
    served.label(&served.to_audit()[0], WRONG);
    let (status, said) = served.post("draw", &json!({"n": 6, "anew": true}));
    assert_eq!((status, error(&said).contains("1 label(s) are given")), (StatusCode::CONFLICT, true), "{said}");
}

#[test]
fn an_audit_is_ended_and_its_labels_are_taken_by_the_verb_too() {
    let project = finished(32);
    let served = Served::start(&project);
    served.read();
    served.posted("draw", &json!({"n": 12, "seed": 1}));
    let rows = served.to_audit();
    rows.iter().take(10).for_each(|row| served.label(row, WRONG));
    project.candist(&["audit", "run", "--correct"]).expect_exit(2).expect_said("that goes on");
    let open = project.candist(&["audit", "run", "--epsilon", "0.2"]).expect_exit(0).out;
    assert!(open.contains("10 labels audited") && open.contains("10 of 12 drawn texts count"), "{open}");
    let ended = project.candist(&["audit", "run", "--end", "--correct", "--who", "anna"]).expect_exit(0);
    assert!(ended.err.contains("10 label(s) of the audit are corrections now"), "{}", ended.err);
    // The accuracy stays that of the audit, though all of its texts are right by now.
    let again = project.candist(&["audit", "run"]).expect_exit(0).out;
    assert!(again.contains("distilled label        0.0%") && again.contains("ended 2"), "{again}");
    project.candist(&["audit", "run", "--filled"]).expect_exit(2).expect_said("corrections by now");
    project.candist(&["audit", "run", "--coverage", "0.8"]).expect_exit(2).expect_said("has no sets of labels");
    project.candist(&["audit", "run", "--end"]).expect_exit(2).expect_said("has ended");
    served.wait(|overview| overview["corrected"] == json!(10));
    // Once: what people say after that stands.
    project.candist(&["correct", "run", "--set", &text(&rows[0], "id"), "card_arrival"]).expect_exit(0);
    let corrections = project.read("run/corrections.jsonl");
    project.candist(&["audit", "run", "--correct"]).expect_exit(2).expect_said("corrections already");
    assert_eq!(project.read("run/corrections.jsonl"), corrections);
}

#[test]
fn what_people_say_after_the_end_of_an_audit_stands_over_its_labels() {
    let project = finished(32);
    let served = Served::start(&project);
    served.read();
    let before = &served.rows("")[0];
    assert_eq!(served.correct(before, "card_arrival").0, StatusCode::OK);
    served.posted("draw", &json!({"n": 97, "seed": 1}));
    let rows = served.to_audit();
    rows.iter().take(10).for_each(|row| served.label(row, WRONG));
    let earlier = rows.iter().find(|row| row["id"] == before["id"]).unwrap();
    served.label(earlier, WRONG);
    project.candist(&["audit", "run", "--end"]).expect_exit(0);
    let set =
        |row: &Value| project.candist(&["correct", "run", "--set", &text(row, "id"), "card_arrival"]).expect_exit(0);
    set(&rows[3]);
    let labelled = rows.iter().take(10).filter(|row| row["id"] != before["id"]).count();
    assert_eq!(served.posted("corrections", &json!({})), json!({"labels": labelled}));
    let corrections: BTreeMap<String, String> = project
        .read("run/corrections.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|line: Value| (text(&line, "id"), text(&line, "label")))
        .collect();
    let of = |row: &Value| corrections[&text(row, "id")].clone();
    // But for what was said of the text that had been corrected before, which the audit heard later.
    assert_eq!([of(&rows[3]), of(earlier), of(&rows[4])], ["card_arrival", WRONG, WRONG]);
}

/// As a run does that is about to change the label of `row`.
fn change_label(project: &Project, row: &Value, label: &str) {
    let labels = project.labels();
    let of_row = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let mut event = labels.lines().map(of_row).rfind(|event| event["id"] == row["id"]).unwrap();
    event["offset"] = json!(labels.lines().count());
    event["label"] = json!(label);
    event["final"] = json!(false);
    event["by"] = json!("posterior");
    project.write("run/labels.jsonl", &format!("{labels}{event}\n"));
}

#[test]
fn a_label_that_is_not_final_just_now_is_judged_and_its_text_stays_in_the_sample() {
    let project = finished(32);
    let held = held(&project);
    let served = Served::start(&project);
    served.read();
    served.posted("draw", &json!({"n": 20, "seed": 3}));
    let rows = served.to_audit();
    rows.iter().for_each(|row| served.label(row, &held[&text(row, "id")]));
    change_label(&project, &rows[4], WRONG);
    let own: Value = serde_json::from_str(&project.candist(&["audit", "run", "--json"]).expect_exit(0).out).unwrap();
    assert_eq!(
        (&own["audited"], &own["accuracy"]["estimate"], &own["sample"]["foreign"]),
        (&json!(20), &json!(0.95), &json!(0))
    );
    let doubt = format!("1 of the {} labels are not final", held.len());
    assert!(own["doubts"].to_string().contains(&doubt), "{own}");
    let now = served.wait_for_audit(|now| now["doubts"].to_string().contains(&doubt));
    for field in ["accuracy", "calibration", "audited"] {
        assert_eq!(now["figures"][field], own[field], "{field}");
    }
    let more = served.posted("more", &json!({"n": 30}));
    let audit = &more["audit"];
    assert_eq!((&audit["drawn"], &audit["filled"], &audit["counted"]), (&json!(30), &json!(20), &json!(20)));
    assert_eq!(served.to_audit().len(), 10);
    assert_eq!(more["population"], json!(held.len()));
    // A sample that is drawn now is of all labels too.
    served.posted("end", &json!({}));
    let all = served.posted("draw", &json!({"n": 10_000}));
    assert_eq!(all["audit"]["drawn"], json!(held.len()));
}

#[test]
fn what_people_correct_beside_an_audit_moves_none_of_its_figures() {
    let project = finished(16);
    let held = held(&project);
    let served = Served::start(&project);
    served.read();
    let figures = ["accuracy", "calibration", "threshold", "steps", "labels", "audited"];
    served.posted("draw", &json!({"n": 40, "seed": 5}));
    served.to_audit().iter().for_each(|row| served.label(row, &held[&text(row, "id")]));
    let before = served.certificate("epsilon=0.3&delta=0.2");
    let others: Vec<Value> = served.rows("audited=0").into_iter().take(60).collect();
    others.iter().for_each(|row| assert_eq!(served.correct(row, WRONG).0, StatusCode::OK));
    // What is said twice is one text.
    assert_eq!(served.correct(&others[0], "card_arrival").0, StatusCode::OK);
    assert_eq!(served.correct(&others[1], "card_arrival").0, StatusCode::OK);
    assert_eq!(served.take_back(&others[1]), StatusCode::OK);
    let after = served.certificate("epsilon=0.3&delta=0.2");
    for field in figures {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(after["logs"][1]["bytes"], json!(project.read("run/corrections.jsonl").len()));
    let now = served.get("/api/v1/audit?epsilon=0.3&delta=0.2");
    for field in ["accuracy", "calibration", "threshold"] {
        assert_eq!(now["figures"][field], before[field], "{field}");
    }
    let doubts = now["doubts"].to_string();
    assert!(doubts.contains("59 texts were corrected since the draw") && !doubts.contains("draw more"), "{doubts}");
    assert_eq!(now["doubts"], after["doubts"]);
    // When a run has taken them in, page and logs still say the same, and corrected labels are not counted.
    project.run();
    let events = project.events().len();
    served.wait(|overview| overview["events"] == json!(events));
    let (now, after) = (served.get("/api/v1/audit?epsilon=0.3&delta=0.2"), served.certificate("epsilon=0.3&delta=0.2"));
    for field in ["accuracy", "calibration", "threshold"] {
        assert_eq!(now["figures"][field], after[field], "{field}");
    }
    assert_eq!((&now["doubts"], &after["labels"]), (&after["doubts"], &before["labels"]));
}

#[test]
fn a_sample_does_not_grow_with_its_corpus_without_bound() {
    let (project, larger) = (finished(64), Project::new(4));
    let served = Served::start(&project);
    served.read();
    served.posted("draw", &json!({"n": 40, "seed": 3}));
    drop(served);
    let pool = project.read("pool.jsonl");
    let come: Vec<String> =
        larger.read("pool.jsonl").lines().filter(|line| !pool.contains(line)).map(str::to_owned).collect();
    project.write("pool.jsonl", &format!("{pool}{}\n", come.join("\n")));
    project.run();
    let served = Served::start(&project);
    served.read();
    let before = project.read("run/audit.jsonl");
    let (status, said) = served.post("more", &json!({"n": 45}));
    let why = error(&said);
    assert!(status == StatusCode::CONFLICT && why.contains("far more than 45"), "{why}");
    assert_eq!(project.read("run/audit.jsonl"), before);
    let doubts = served.audit()["doubts"].to_string();
    assert!(doubts.contains("draw more to take in what has come since"), "{doubts}");
    let texts: u64 = why.split("ask for ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert_eq!(served.posted("more", &json!({"n": texts}))["audit"]["drawn"], json!(texts));
}

#[test]
fn a_log_of_an_audit_that_cannot_be_read_is_called_so() {
    let project = finished(64);
    project.write("run/audit.jsonl", "");
    project.candist(&["audit", "run"]).expect_exit(2).expect_said("has no audit of its own");
    let served = Served::start(&project);
    served.read();
    served.posted("draw", &json!({"n": 5}));
    let position = served.to_audit()[0]["position"].clone();
    let log = project.read("run/audit.jsonl").replace("\"seed\"", "\"sead\"");
    project.write("run/audit.jsonl", &log);
    project.candist(&["audit", "run"]).expect_exit(2).expect_said("1 of its 1 line(s) are damaged");
    project.candist(&["audit", "run", "--end"]).expect_exit(2).expect_said("are damaged");
    drop(served);
    std::fs::remove_file(project.path("run/audit.jsonl")).unwrap();
    std::fs::create_dir(project.path("run/audit.jsonl")).unwrap();
    let served = Served::start(&project);
    let (status, _, body) = served.send(served.ask(Method::GET, &format!("/api/v1/audit/texts/{position}")));
    assert!(status == StatusCode::INTERNAL_SERVER_ERROR && body.contains("audit.jsonl"), "{status} {body}");
}

#[test]
fn a_larger_sample_begins_with_the_smaller_one_and_a_draw_that_was_cut_is_none() {
    let project = finished(16);
    let served = Served::start(&project);
    served.read();
    served.posted("draw", &json!({"n": 20, "seed": 3}));
    let small = served.to_audit();
    small.iter().take(5).for_each(|row| served.label(row, WRONG));
    let whole = std::fs::read(project.path("run/audit.jsonl")).unwrap();
    let more = served.posted("more", &json!({"n": 45}));
    assert_eq!(
        (&more["audit"]["drawn"], &more["audit"]["filled"], &more["audit"]["draws"]),
        (&json!(45), &json!(5), &json!([20, 45]))
    );
    let large = served.to_audit();
    assert_eq!(large[..15], small[5..]);
    assert_eq!(large.len(), 40);
    assert!(served.audit()["doubts"].to_string().contains("there were 2 looks at it"));
    drop(served);
    let longer = std::fs::read(project.path("run/audit.jsonl")).unwrap();
    std::fs::write(project.path("run/audit.jsonl"), &longer[..longer.len() - 10]).unwrap();
    let served = Served::start(&project);
    served.read();
    assert_eq!(served.audit()["audit"]["drawn"], json!(20));
    let deep = project.candist(&["check", "--deep", "run"]).expect_exit(1).out;
    assert!(deep.contains("audit.jsonl") && deep.contains("is not complete"), "{deep}");
    // The next writer cuts it off: what was acknowledged before is whole.
    served.label(&small[5], WRONG);
    assert!(std::fs::read(project.path("run/audit.jsonl")).unwrap().starts_with(&whole));
    assert_eq!(served.audit()["audit"]["filled"], json!(6));
    project.candist(&["check", "--deep", "run"]).expect_exit(0);
    let all = served.posted("more", &json!({"n": 10_000}));
    assert_eq!(all["audit"]["drawn"], all["population"]);
}

#[test]
fn what_cannot_be_audited_is_refused_and_who_only_looks_changes_nothing() {
    let project = finished(64);
    let served = Served::start(&project);
    served.read();
    let refused = |path: &str, body: Value, status: StatusCode, why: &str| {
        let (is, body) = served.post(path, &body);
        assert!(is == status && error(&body).contains(why), "{path}: {is} {body}");
    };
    refused("draw", json!({"n": 0}), StatusCode::BAD_REQUEST, "draw 1 to 10000");
    refused("draw", json!({"n": 20_000}), StatusCode::BAD_REQUEST, "draw 1 to 10000");
    refused("draw", json!({"n": 5, "colour": 1}), StatusCode::UNPROCESSABLE_ENTITY, "colour");
    refused("more", json!({"n": 5}), StatusCode::CONFLICT, "no audit of its own");
    refused("end", json!({}), StatusCode::CONFLICT, "no audit of its own");
    refused("corrections", json!({}), StatusCode::CONFLICT, "no audit of its own");
    assert!(!project.path("run/audit.jsonl").exists());
    assert_eq!(served.send(served.ask(Method::GET, "/audit/certificate")).0, StatusCode::CONFLICT);
    served.posted("draw", &json!({"n": 5}));
    refused("draw", json!({"n": 5}), StatusCode::CONFLICT, "goes on");
    refused("more", json!({"n": 5}), StatusCode::CONFLICT, "ask for more");
    refused("end", json!({}), StatusCode::CONFLICT, "first text is not labelled yet");
    let row = served.to_audit()[0].clone();
    let label = |position: &Value, id: &Value, label: &str| json!({"position": position, "id": id, "label": label});
    refused(
        "labels",
        label(&row["position"], &row["id"], "no such label"),
        StatusCode::BAD_REQUEST,
        "no label of the task",
    );
    refused("labels", label(&json!(99_999), &row["id"], WRONG), StatusCode::CONFLICT, "another text by now");
    let outside = &served.rows("audited=0")[0];
    refused("labels", label(&outside["position"], &outside["id"], WRONG), StatusCode::CONFLICT, "another sample");
    for wrong in ["epsilon=0", "delta=1", "epsilon=x", "colour=red"] {
        let (status, _, body) = served.send(served.ask(Method::GET, &format!("/api/v1/audit?{wrong}")));
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}: {body}");
    }
    let bare = served.ask(Method::POST, "/api/v1/audit/labels").json(&label(&row["position"], &row["id"], WRONG));
    assert_eq!(served.send(bare).0, StatusCode::FORBIDDEN);
    let looked_at = Served::with(&project, &["--listen", "127.0.0.1:0", "--read-only"]);
    looked_at.read();
    for (path, body) in [
        ("draw", json!({"n": 5, "anew": true})),
        ("more", json!({"n": 9})),
        ("labels", label(&row["position"], &row["id"], WRONG)),
        ("end", json!({})),
        ("corrections", json!({})),
    ] {
        assert_eq!(looked_at.post(path, &body).0, StatusCode::NOT_IMPLEMENTED, "{path}");
    }
    assert_eq!((looked_at.audit()["audit"]["drawn"].as_u64(), looked_at.to_audit().len()), (Some(5), 5));
    assert_eq!(project.read("run/audit.jsonl").lines().count(), 1);
    // Dropped for another, where that is meant and nothing is lost by it.
    let anew = served.posted("draw", &json!({"n": 6, "anew": true}));
    assert_eq!((&anew["audit"]["drawn"], &anew["audit"]["filled"]), (&json!(6), &json!(0)));
    served.label(&served.to_audit()[2], WRONG);
    refused("draw", json!({"n": 7, "anew": true}), StatusCode::CONFLICT, "1 label(s) are given");
    validate_all(&project);
}

fn validate_all(project: &Project) {
    for line in project.read("run/audit.jsonl").lines() {
        validate("audit-log", &serde_json::from_str(line).unwrap(), line);
    }
}
