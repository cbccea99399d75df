//! A student behind an address: what it answers is what `candist predict` prints, to many at a time, and it stays well whoever asks.

mod client;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Project, repository};
use client::{Client, Service};

const PREDICT: &str = "POST /v1/predict";
const JSON: &str = "Content-Type: application/json";
const LINES: &str = "Content-Type: application/x-ndjson";

/// A project with the student of a run.
fn project(stride: usize) -> Project {
    let project = Project::new(stride);
    project.run();
    project.candist(&["export", "run", "--student", "student"]).expect_exit(0);
    project
}

/// A request that keeps the student busy for some tenths of a second, or more: accents are read slowly.
fn heavy(texts: usize) -> String {
    let long = "sömé wörds öf à véry löng téxt ".repeat(2000);
    json!({"texts": (0..texts).map(|number| format!("{number} {long}")).collect::<Vec<_>>()}).to_string()
}

/// The predictions of an answer, each as it stands there.
fn cut(body: &str) -> Vec<String> {
    let inner = body.strip_prefix("{\"predictions\":[").unwrap().strip_suffix("]}\n").unwrap();
    let objects = serde_json::from_str::<Vec<Value>>(&format!("[{inner}]")).unwrap().len();
    let cut: Vec<String> = inner.split_inclusive('}').map(|one| one.trim_start_matches(',').to_owned()).collect();
    assert_eq!(cut.len(), objects);
    cut
}

#[test]
fn what_is_answered_is_what_the_verb_prints_whoever_else_asks() {
    let project = project(8);
    let rows: Vec<String> = project.read("pool.jsonl").lines().map(str::to_owned).collect();
    let printed = project.candist(&["predict", "--student", "student", "--min-confidence", "0.3", "pool.jsonl"]);
    let printed = printed.expect_exit(0).out;
    let expected: Vec<&str> = printed.lines().collect();
    assert!(
        expected.iter().any(|line| line.contains("candidates")) && expected.iter().any(|line| !line.contains("null"))
    );
    let service = Service::start(&project, &["--min-confidence", "0.3"]);
    // All at once, as lines.
    let all = service.ask(PREDICT, &[LINES], project.read("pool.jsonl").as_bytes());
    assert_eq!((all.status, all.header("content-type")), (200, Some("application/x-ndjson")));
    assert!(all.text() == printed);
    // Sixteen clients, with requests of every size, in an order of their own.
    std::thread::scope(|scope| {
        for number in 0..16 {
            let (rows, expected, service) = (&rows, &expected, &service);
            scope.spawn(move || {
                let (mut client, mut from) = (service.client(), number * 20);
                for size in (0..30).map(|request| 1 + (number * 7 + request * 5) % 23) {
                    let part: Vec<usize> = (from..from + size).map(|place| place % rows.len()).collect();
                    from += size;
                    let texts: Vec<&str> = part.iter().map(|&place| rows[place].as_str()).collect();
                    let said = if number % 2 == 0 {
                        let answer =
                            client.ask(PREDICT, &[JSON], format!("{{\"texts\":[{}]}}", texts.join(",")).as_bytes());
                        cut(&answer.text())
                    } else {
                        let answer = client.ask(PREDICT, &[LINES], texts.join("\n").as_bytes());
                        answer.text().lines().map(str::to_owned).collect()
                    };
                    let expected: Vec<&str> = part.iter().map(|&place| expected[place]).collect();
                    assert_eq!(said, expected, "{number} {size}");
                }
            });
        }
    });
    // Some were labelled together.
    let asked = 16 * 30 + 1;
    assert!(service.metric("candist_service_batch_texts_count") < f64::from(asked), "each request was a batch");
    assert_eq!(service.metric("candist_service_queue_texts"), 0.0);
    // A request may be surer, or less sure.
    let unsure = service.predict(r#"{"texts": ["zzzz"], "min_confidence": 1}"#).json();
    assert!(unsure["predictions"][0]["label"].is_null());
    let sure = service.ask("POST /v1/predict?min_confidence=0", &[LINES], b"\"zzzz\"").text();
    assert!(!sure.contains("null"), "{sure}");
}

#[test]
fn an_encoder_says_the_same_but_for_the_last_digit() {
    let project = Project::new(64);
    let model = repository().join("tests/fixtures/encoders/bert");
    let student = format!("kind = \"encoder\"\nmodel = \"{}\"\nlearning_rate = 0.01\nthreads = 1\n", model.display());
    let config = project.read("config.toml").replace("dimension = 8\nbuckets = 4096\n", &student);
    project.write("config.toml", &config);
    project.run();
    project.candist(&["export", "run", "--student", "student"]).expect_exit(0);
    let printed = project.candist(&["predict", "--student", "student", "pool.jsonl"]).expect_exit(0).out;
    let service = Service::start(&project, &[]);
    for (row, printed) in project.read("pool.jsonl").lines().zip(printed.lines()) {
        let said: Value = service.ask(PREDICT, &[LINES], row.as_bytes()).json();
        let printed: Value = serde_json::from_str(printed).unwrap();
        let confidence = |row: &Value| row["confidence"].as_f64().unwrap();
        assert_eq!((&said["id"], &said["label"]), (&printed["id"], &printed["label"]));
        assert!((confidence(&said) - confidence(&printed)).abs() < 1.5e-4, "{said} {printed}");
    }
}

#[test]
fn what_is_wrong_is_told_and_nothing_stops_the_service() {
    let project = project(64);
    let service = Service::start(&project, &["--queue", "50"]);
    let wrong = |body: &str| service.predict(body).error(400);
    assert!(wrong("{\"texts\": [\"a\", 5]}").contains("texts[1]: invalid type: integer `5`"));
    assert!(wrong("{\"texts\": [\"a\"").contains("EOF while parsing a list at line 1 column 14"));
    assert!(wrong("{\"texts\": [NaN]}").contains("texts[0]: expected value"));
    assert!(wrong("{\"texts\": [], \"top\": 3}").contains("unknown field `top`"));
    assert!(wrong("{\"texts\": [], \"min_confidence\": 2}").contains("must be from 0 to 1"));
    let lines = service.ask(PREDICT, &[LINES], b"\"a\"\n{\"txt\": 1}\n").error(400);
    assert!(lines.contains("line 2: missing field `text`"), "{lines}");
    assert!(service.ask("POST /v1/predict?top=1", &[JSON], b"{}").error(400).contains("unknown field `top`"));
    assert!(service.ask(PREDICT, &[], b"{}").error(415).contains("application/json"));
    assert!(service.ask(PREDICT, &[JSON, "Content-Encoding: gzip"], b"{}").error(415).contains("gzip"));
    service.ask("GET /v1/predict", &[], b"").error(405);
    assert!(service.ask("GET /", &[], b"").error(404).contains("/v1/predict"));
    // More than there may be.
    let long = service.ask(PREDICT, &[JSON], &vec![b'a'; (16 << 20) + 1]).error(413);
    assert!(long.contains("16 MiB"), "{long}");
    let many = service.predict(&json!({"texts": vec!["a"; 51]}).to_string()).error(413);
    assert!(many.contains("more than 50 texts"), "{many}");
    // Other sites and other names.
    let foreign = ["Origin: http://evil.example", JSON];
    service.ask(PREDICT, &foreign, b"{\"texts\": []}").error(403);
    service.ask(PREDICT, &["Host: evil.example", JSON], b"{\"texts\": []}").error(403);
    // A text of a megabyte is labelled as the verb does it; one that is empty is not, and takes no other with it.
    let long = "a long text about my card ".repeat(40_000);
    let row = json!({"id": "long", "text": long}).to_string();
    project.write("long.jsonl", &row);
    let printed = project.candist(&["predict", "--student", "student", "long.jsonl"]).expect_exit(0).out;
    assert_eq!(service.ask(PREDICT, &[LINES], row.as_bytes()).text(), printed);
    let said = service.predict(r#"{"texts": ["", {"id": 7, "text": null}, "card"]}"#).json();
    let none = |id: Value, why: &str| json!({"id": id, "label": null, "confidence": null, "error": why});
    assert_eq!(said["predictions"][0], none(Value::Null, "the text is empty"));
    assert_eq!(said["predictions"][1], none(json!("7"), "the text is null"));
    assert!(said["predictions"][2]["label"].is_string(), "{said}");
    assert_eq!(service.predict("{\"texts\": []}").text(), "{\"predictions\":[]}\n");
    // What it says of itself.
    assert_eq!(service.ask("GET /healthz", &[], b"").json(), json!({"ok": true}));
    let document = service.ask("GET /v1/openapi.json", &[], b"").json();
    let schema = project.candist(&["schema", "openapi-predict"]).expect_exit(0).out;
    assert_eq!(document, serde_json::from_str::<Value>(&schema).unwrap());
    let counted = service.metric("candist_service_requests_total{route=\"/v1/predict\",status=\"413\"}");
    assert_eq!(counted, 2.0);
}

#[test]
fn who_brings_more_than_may_wait_is_told_when_to_come_again() {
    let project = project(64);
    let service = Service::start(&project, &["--queue", "20"]);
    let busy = heavy(20);
    let mut first = service.client();
    first.send(PREDICT, &[JSON], busy.as_bytes(), busy.len());
    service.wait_for("candist_service_queue_texts", 20.0);
    let refused = service.predict("{\"texts\": [\"a\"]}");
    assert!(refused.error(429).contains("come again"));
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    // Who was there is answered, and then there is room again.
    let answer = first.read();
    assert_eq!((answer.status, answer.json()["predictions"].as_array().unwrap().len()), (200, 20));
    assert_eq!(service.predict("{\"texts\": [\"a\"]}").status, 200);
}

#[test]
fn who_is_slow_or_breaks_off_is_in_nobody_s_way() {
    let project = project(64);
    let service = Service::start(&project, &[]);
    let texts = json!({"texts": vec!["a card"; 30]}).to_string();
    // A slow one, half of whose body is there.
    let mut slow = service.client();
    slow.send(PREDICT, &[JSON], texts.as_bytes(), texts.len() / 2);
    let begin = Instant::now();
    for _ in 0..20 {
        assert_eq!(service.predict("{\"texts\": [\"a\"]}").status, 200);
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    // While the student is busy, some ask and go.
    let busy = heavy(40);
    let mut patient = service.client();
    patient.send(PREDICT, &[JSON], busy.as_bytes(), busy.len());
    service.wait_for("candist_service_queue_texts", 40.0);
    // It begins some milliseconds later, with all that has come by then.
    std::thread::sleep(Duration::from_millis(100));
    let gone: Vec<Client> = (0..8)
        .map(|_| {
            let mut client = service.client();
            client.send(PREDICT, &[JSON], texts.as_bytes(), texts.len());
            client
        })
        .collect();
    service.wait_for("candist_service_queue_texts", 40.0 + 8.0 * 30.0);
    drop(gone);
    service.wait_for("candist_service_requests_abandoned_total", 8.0);
    assert_eq!(patient.read().status, 200);
    service.wait_for("candist_service_texts_dropped_total", 8.0 * 30.0);
    assert_eq!(service.metric("candist_service_texts_total"), 20.0 + 40.0);
    // One that breaks off amid its body leaves nothing behind either; the slow one is answered.
    let mut broken = service.client();
    broken.send(PREDICT, &[JSON], texts.as_bytes(), 10);
    drop(broken);
    slow.more(&texts.as_bytes()[texts.len() / 2..]);
    assert_eq!(slow.read().json()["predictions"].as_array().unwrap().len(), 30);
    assert_eq!(service.metric("candist_service_queue_texts"), 0.0);
}

#[test]
fn it_ends_when_it_has_answered_or_at_once_where_it_is_told_twice() {
    let project = project(64);
    for (signal, is_patient) in [("-INT", true), ("-TERM", true), ("-INT", false)] {
        let service = Service::start(&project, &[]);
        let busy = heavy(100);
        let mut client = service.client();
        client.send(PREDICT, &[JSON], busy.as_bytes(), busy.len());
        service.wait_for("candist_service_queue_texts", 100.0);
        service.signal(signal);
        if !is_patient {
            // Two at the same moment are one.
            std::thread::sleep(Duration::from_millis(150));
            service.signal("-INT");
            let (code, took) = service.end();
            assert_eq!(code, Some(130));
            assert!(took < Duration::from_secs(1), "{took:?}");
            continue;
        }
        let answer = client.read();
        assert_eq!((answer.status, answer.json()["predictions"].as_array().unwrap().len()), (200, 100));
        let address = service.address.clone();
        let (code, took) = service.end();
        assert_eq!(code, Some(0));
        assert!(took < Duration::from_secs(3), "{took:?}");
        assert!(std::net::TcpStream::connect(address).is_err());
    }
    // With nothing to do, and a connection that is open.
    let service = Service::start(&project, &[]);
    let mut idle = service.client();
    assert_eq!(idle.ask("GET /healthz", &[], b"").status, 200);
    service.signal("-INT");
    let (code, took) = service.end();
    assert_eq!((code, took < Duration::from_secs(3)), (Some(0), true), "{took:?}");
}

#[test]
fn beyond_this_machine_a_token_is_needed() {
    let project = project(64);
    let service = Service::with(&project, "student", &["--serve", "0.0.0.0:0"], 2);
    let token = service.said.split("Bearer ").nth(1).unwrap().trim().to_owned();
    assert!(service.predict("{\"texts\": []}").error(401).contains("Bearer"));
    assert_eq!(service.ask("GET /healthz", &[], b"").status, 200);
    service.ask("GET /metrics", &[], b"").error(401);
    let with =
        |token: &str| service.ask(PREDICT, &[JSON, &format!("Authorization: Bearer {token}")], b"{\"texts\": []}");
    assert_eq!((with(&token).status, with("wrong").status), (200, 401));
    // Of one's own, also here.
    project.write("token", "0123456789abcdef\n");
    let service = Service::start(&project, &["--token-file", "token"]);
    assert!(!service.said.contains("0123"), "{}", service.said);
    service.predict("{\"texts\": []}").error(401);
    let own = ["Authorization: Bearer 0123456789abcdef", JSON];
    assert_eq!(service.ask(PREDICT, &own, b"{\"texts\": []}").status, 200);
}

#[test]
fn options_that_do_not_go_together_are_named() {
    let project = project(64);
    let refused = |more: &[&str], said: &str| {
        project.candist(&[&["predict", "--student", "student"], more].concat()).expect_exit(2).expect_said(said);
    };
    refused(&["--serve", "127.0.0.1:0", "--lines"], "--lines");
    refused(&["--serve", "127.0.0.1:0", "pool.jsonl"], "cannot be used with");
    refused(&["--queue", "5", "pool.jsonl"], "is for --serve alone");
    refused(&["--no-token", "pool.jsonl"], "is for --serve alone");
    refused(&["--serve", "127.0.0.1:0", "--token-file", "none"], "none");
    refused(&["--serve", "127.0.0.1:0", "--queue", "0"], "--queue");
    let service = Service::start(&project, &[]);
    refused(&["--serve", &service.address], "--serve ADDR");
}
