//! The page of a run, as `candist serve` serves it: what it says is what the files hold, and only to whom it should.

mod audited;
mod given;
mod served;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use candist::LabelEvent;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use served::Served;

use crate::server::Behaviour;
use crate::support::{Finished, Project, Server, events, latest, openai};
use crate::views::listing;

/// Texts of which some are of use to nobody who puts them into a page, and one that no teacher knows.
const NASTY: &str = "<img src=x onerror=alert(1)>";

fn finished(stride: usize) -> Project {
    let project = Project::new(stride);
    let nasty = json!({"id": "nasty \"id\"", "text": NASTY});
    project.write("pool.jsonl", &format!("{}{nasty}\n", project.read("pool.jsonl")));
    project.run();
    project
}

fn text(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_it_shows_is_what_the_files_hold_and_it_changes_nothing() {
    let project = finished(16);
    let before = listing(&project.path("run"));
    let served = Served::start(&project);
    let overview = served.read();
    let held: BTreeMap<String, LabelEvent> = latest(&project.events());
    let rows = served.rows("");
    assert_eq!(overview["texts"], json!(rows.len()));
    assert_eq!(overview["labelled"], json!(held.len()));
    assert_eq!(overview["events"], json!(project.events().len()));
    for row in &rows {
        let event = &held[&text(row, "id")];
        let shown =
            json!([row["label"], row["confidence"], row["margin"], row["candidates"], row["final"], row["revision"]]);
        let expected =
            json!([event.label, event.confidence, event.margin, event.candidates, event.is_final, event.revision]);
        assert_eq!(shown, expected, "{row}");
        assert_eq!(row["others"], json!(event.others.clone().unwrap_or_default()));
    }
    // As a table has them.
    let export = project.candist(&["export", "run", "--labels", "-", "--format", "jsonl"]).expect_exit(0).out;
    let table: BTreeMap<String, Value> = export
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|row| (text(&row, "id"), row["label"].clone()))
        .collect();
    assert!(rows.iter().all(|row| table[&text(row, "id")] == row["label"]));
    counts_are_right(&overview, &held, &rows);
    details_are_right(&project, &served, &rows);
    assert_eq!(served.get("/api/v1/run")["teachers"], json!(["gpt-4", "gpt-3.5", "gpt-4-other-shots"]));
    assert_eq!(served.get("/api/v1/status")["status"]["phase"], json!("complete"));
    assert_eq!(served.get("/api/v1/status")["problems"], json!([]));
    let (code, took) = served.interrupt();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(before == listing(&project.path("run")), "something changed");
}

fn counts_are_right(overview: &Value, held: &BTreeMap<String, LabelEvent>, rows: &[Value]) {
    let mut labels: BTreeMap<&str, u64> = BTreeMap::new();
    let mut bins = vec![0_u64; 20];
    for event in held.values() {
        *labels.entry(&event.label).or_default() += 1;
        bins[((event.confidence * 20.0 + 1e-9) as usize).min(19)] += 1;
    }
    let shown = overview["distribution"].as_array().unwrap();
    assert_eq!(shown.len(), 77);
    assert!(shown.iter().all(|row| labels.get(row["label"].as_str().unwrap()).copied().unwrap_or(0) == row["count"]));
    assert!(shown.is_sorted_by_key(|row| std::cmp::Reverse(row["count"].as_u64())));
    assert_eq!(overview["confidence"], json!(bins));
    let failed = rows.iter().filter(|row| row["candidates"] == json!([])).count();
    assert_eq!((&overview["failed"], failed), (&json!(1), 1));
    let finals = held.values().filter(|event| event.is_final).count();
    assert_eq!(overview["final"], json!(finals));
    let sum = |name: &str, count: &str| -> u64 {
        overview[name].as_array().unwrap().iter().map(|row| row[count].as_u64().unwrap()).sum()
    };
    assert_eq!((sum("by", "count"), sum("set_sizes", "count")), (held.len() as u64, held.len() as u64 - 1));
    assert!(sum("agreement", "agrees") > 0 && sum("changes", "changed") > 0);
}

fn details_are_right(project: &Project, served: &Served, rows: &[Value]) {
    let all = project.events();
    for row in rows.iter().step_by(40).chain(rows.last()) {
        let detail = served.get(&format!("/api/v1/labels/{}", row["position"]));
        let id = text(row, "id");
        let history: Vec<Value> = all
            .iter()
            .filter(|event| event.id == id)
            .map(|event| json!([event.offset, event.label, event.confidence, event.revision]))
            .collect();
        let shown = detail["history"].as_array().unwrap().iter();
        let shown: Vec<Value> =
            shown.map(|past| json!([past["offset"], past["label"], past["confidence"], past["revision"]])).collect();
        assert_eq!((shown, &detail["partial"]), (history, &json!(false)));
        let teachers = detail["teachers"].as_array().unwrap();
        assert_eq!(teachers.len(), 3);
        assert!(teachers.iter().all(|said| said["answers"].as_array().unwrap().len() == 1), "{detail}");
        let named = |said: &Value| said["labels"].as_array().unwrap().clone();
        nearest_are_right(row, &detail, rows);
        let candidates = row["candidates"].as_array().unwrap();
        assert!(teachers.iter().flat_map(named).all(|label| candidates.contains(&label)));
    }
    assert_eq!(served.send(served.ask(Method::GET, "/api/v1/labels/100000")).0, StatusCode::NOT_FOUND);
    assert_eq!(served.send(served.ask(Method::GET, "/api/v1/labels/x")).0, StatusCode::NOT_FOUND);
}

/// Labelled texts, as the list has them, the nearest first.
fn nearest_are_right(row: &Value, detail: &Value, rows: &[Value]) {
    let nearest = detail["nearest"].as_array().unwrap();
    assert!(nearest.len() == 5 || text(row, "text") == NASTY, "{detail}");
    assert!(nearest.is_sorted_by(|a, b| a["similarity"].as_f64() >= b["similarity"].as_f64()), "{detail}");
    for near in nearest {
        let listed = rows.iter().find(|row| row["position"] == near["position"]).unwrap();
        let [near_to, of_list] = [near, listed].map(|row| ["id", "text", "label"].map(|field| row[field].clone()));
        assert_eq!(near_to, of_list);
        assert!(near["position"] != row["position"] && near["label"].is_string(), "{near}");
        assert!(near["similarity"].as_f64().is_some_and(|share| share > 0.0 && share <= 1.0), "{near}");
    }
}

#[test]
fn lists_are_sorted_filtered_and_cut_into_pages_as_asked() {
    let project = finished(16);
    let served = Served::start(&project);
    served.read();
    let all = served.rows("");
    let place = |row: &Value| row["position"].as_u64().unwrap();
    let sorted =
        |query: &str, compare: &dyn Fn(&Value, &Value) -> std::cmp::Ordering, keep: &dyn Fn(&Value) -> bool| {
            let mut expected: Vec<Value> = all.iter().filter(|row| keep(row)).cloned().collect();
            expected.sort_by(|a, b| compare(a, b).then(place(a).cmp(&place(b))));
            let found = served.rows(query);
            assert_eq!(
                found.iter().map(place).collect::<Vec<_>>(),
                expected.iter().map(place).collect::<Vec<_>>(),
                "{query}"
            );
        };
    let number = |row: &Value, field: &str| row[field].as_f64().unwrap();
    let by = |field: &'static str| move |a: &Value, b: &Value| number(a, field).total_cmp(&number(b, field));
    let words = |field: &'static str| move |a: &Value, b: &Value| text(a, field).cmp(&text(b, field));
    sorted("sort=confidence", &by("confidence"), &|_| true);
    sorted("sort=confidence&desc=1", &|a, b| by("confidence")(b, a), &|_| true);
    sorted("sort=id", &words("id"), &|_| true);
    sorted("sort=label&desc=1", &|a, b| words("label")(b, a), &|_| true);
    let label = text(&all[0], "label");
    sorted(&format!("label={label}"), &by("position"), &|row| text(row, "label") == label);
    sorted("min=0.5&max=0.9", &by("position"), &|row| (0.5..0.9).contains(&number(row, "confidence")));
    sorted("failed=1", &by("position"), &|row| row["candidates"] == json!([]));
    sorted("by=student", &by("position"), &|row| text(row, "by") == "student");
    sorted("final=0", &by("position"), &|row| row["final"] == json!(false));
    sorted("contains=CARD", &by("position"), &|row| {
        (text(row, "text") + &text(row, "id")).to_lowercase().contains("card")
    });
    let disagree = served.rows("disagree=1");
    assert!(!disagree.is_empty() && disagree.len() < all.len());
    for wrong in ["sort=colour", "min=2", "limit=-1", "desc=yes", "colour=red", "offset=x"] {
        let (status, _, body) = served.send(served.ask(Method::GET, &format!("/api/v1/labels?{wrong}")));
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}: {body}");
        assert!(serde_json::from_str::<Value>(&body).unwrap()["error"].is_string(), "{body}");
    }
    let queue = served.get("/api/v1/review?order=doubtful&limit=5&offset=2");
    assert_eq!(queue["remaining"], json!(all.len()));
    let share = |row: &Value| row["confidence"].as_f64().unwrap();
    let mean = all.iter().map(share).sum::<f64>() / all.len() as f64;
    let right = queue["expected"]["right"].as_f64().unwrap();
    assert!((right - mean).abs() < 1e-9, "{right} {mean}");
    let doubtful = served.rows("sort=confidence");
    let positions = |rows: &Value| rows.as_array().unwrap().iter().map(place).collect::<Vec<_>>();
    assert_eq!(positions(&queue["rows"]), doubtful[2..7].iter().map(place).collect::<Vec<_>>());
}

/// Text of a corpus is data: it is never a part of a page, whatever is in it.
#[test]
fn text_is_json_and_every_answer_has_the_policy() {
    let project = finished(64);
    let served = Served::start(&project);
    served.read();
    let (_, headers, body) = served.send(served.ask(Method::GET, "/api/v1/labels?contains=onerror"));
    assert_eq!(headers["content-type"], "application/json");
    let page: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((page["rows"][0]["text"].as_str(), page["total"].as_u64()), (Some(NASTY), Some(1)));
    for path in [
        "/",
        "/assets/index.html",
        "/assets/none.js",
        "/assets/..%2f..%2fCargo.toml",
        "/none",
        "/healthz",
        "/metrics",
        "/api/v1/openapi.json",
        "/api/v1/run",
        "/api/v1/labels?contains=onerror",
        "/api/v1/labels/0",
        "/api/v1/labels?min=9",
    ] {
        let (status, headers, body) = served.send(served.ask(Method::GET, path));
        assert!(status != StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{path}: {policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        let kind = headers["content-type"].to_str().unwrap();
        assert!(!kind.contains("html") || !body.contains("onerror"), "{path}");
        assert!(status.is_success() || serde_json::from_str::<Value>(&body).unwrap()["error"].is_string(), "{path}");
    }
    let (status, headers, _) = served.send(served.ask(Method::POST, "/api/v1/run").header("x-candist", "1"));
    assert_eq!((status, headers.contains_key("content-security-policy")), (StatusCode::METHOD_NOT_ALLOWED, true));
    // The browser is told that it has the newest.
    let (_, headers, _) = served.send(served.ask(Method::GET, "/"));
    let again = served.ask(Method::GET, "/").header("if-none-match", &headers["etag"]);
    assert_eq!(served.send(again).0, StatusCode::NOT_MODIFIED);
    let metrics = served.send(served.ask(Method::GET, "/metrics")).2;
    assert!(metrics.contains("\ncandist_texts "), "{metrics}");
}

#[test]
fn the_report_is_that_of_the_verb_with_a_policy_of_its_own() {
    let project = finished(64);
    let served = Served::start(&project);
    let (status, headers, body) = served.send(served.ask(Method::GET, "/report"));
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (StatusCode::OK, "text/html; charset=utf-8"));
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'unsafe-inline'") && !policy.contains("script"),
        "{policy}"
    );
    assert_eq!(headers["x-frame-options"], "DENY");
    assert_eq!(headers["cache-control"], "no-store");
    assert!(body == project.candist(&["report", "run"]).expect_exit(0).out);
    assert!(!body.contains("<img") && body.contains("&lt;img src=x onerror"));
    // To nobody who is not let in.
    let foreign = served.ask(Method::GET, "/report").header("host", "evil.example");
    assert!(served.send(foreign).0.is_client_error());
}

#[test]
fn only_who_should_is_answered() {
    let project = Project::new(256);
    project.run();
    let served = Served::start(&project);
    let with = |method: Method, path: &str, name: &'static str, value: &str| {
        let value = HeaderValue::from_str(value).unwrap();
        served.send(served.ask(method, path).header(HeaderName::from_static(name), value)).0.as_u16()
    };
    let run = "/api/v1/run";
    assert_eq!(with(Method::GET, run, "host", "localhost:1"), 200);
    assert_eq!(with(Method::GET, run, "host", "evil.example"), 403);
    assert_eq!(with(Method::GET, run, "origin", "http://evil.example"), 403);
    assert_eq!(with(Method::GET, run, "origin", served.base()), 200);
    assert_eq!(with(Method::GET, "/labels", "origin", "null"), 403);
    assert_eq!(with(Method::GET, "/healthz", "host", "evil.example"), 403);
    let correction = json!({"position": 0, "id": "pool-0000", "label": "card_arrival"});
    let post = || served.ask(Method::POST, "/api/v1/corrections").json(&correction);
    assert_eq!(served.send(post()).0, StatusCode::FORBIDDEN);
    assert!(!project.path("run/corrections.jsonl").exists());
    let looked_at = Served::with(&project, &["--listen", "127.0.0.1:0", "--read-only"]);
    let (status, body) = looked_at.correct(&looked_at.rows("")[0], "card_arrival");
    assert_eq!((status, body.contains("only shows")), (StatusCode::NOT_IMPLEMENTED, true), "{body}");
    assert_eq!(looked_at.take_back(&json!({"position": 0, "id": "pool-0000"})), StatusCode::NOT_IMPLEMENTED);
    assert_eq!([&served, &looked_at].map(|page| page.get(run)["correctable"] == json!(true)), [true, false]);
    // Beyond this machine a token is needed.
    let served = Served::with(&project, &["--listen", "0.0.0.0:0", "--host", "box.example"]);
    let token = served.printed.split("?token=").nth(1).unwrap().trim().to_owned();
    let port = served.base().rsplit(':').next().unwrap().to_owned();
    let base = format!("http://127.0.0.1:{port}");
    let get = |path: &str| served.client.get(format!("{base}{path}"));
    assert_eq!(served.send(get(run)).0, StatusCode::UNAUTHORIZED);
    assert_eq!(served.send(get("/healthz")).0, StatusCode::OK);
    assert_eq!(served.send(get("/?token=wrong")).0, StatusCode::UNAUTHORIZED);
    let (status, headers, _) = served.send(get(&format!("/?token={token}")));
    assert_eq!((status, &headers["location"]), (StatusCode::SEE_OTHER, &HeaderValue::from_static("/")));
    let cookie = headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    assert_eq!(served.send(get(run).header("cookie", cookie)).0, StatusCode::OK);
    assert_eq!(served.send(get(run).bearer_auth(&token)).0, StatusCode::OK);
    assert_eq!(served.send(get(run).bearer_auth("wrong")).0, StatusCode::UNAUTHORIZED);
}

#[test]
fn who_comes_again_misses_no_label_and_gets_none_twice() {
    let project = Project::new(8);
    let server = Server::start(&project, Behaviour { latency: Duration::from_millis(20), ..Behaviour::default() });
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    let mut run = project.start(&["run", "config.toml"]);
    while !project.path("run/labels.jsonl").exists() || project.labels().lines().count() < 20 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let served = Served::start(&project);
    let mut seen = served.events("/labels", None, 20);
    // Both the server and the run are killed, and begin once more.
    drop(served);
    run.kill().unwrap();
    run.wait().unwrap();
    let last = |seen: &[(String, String, String)]| seen.last().unwrap().1.parse::<u64>().unwrap();
    let run = project.start(&["run", "config.toml"]);
    let served = Served::start(&project);
    let live = served.events("/api/v1/stream", None, 2);
    assert_eq!(live.iter().map(|event| event.0.as_str()).collect::<Vec<_>>(), ["status", "labels"]);
    Finished::of(run.wait_with_output().unwrap()).expect_exit(0);
    let labels = project.labels();
    let left = labels.lines().count() - last(&seen) as usize;
    seen.extend(served.events("/labels", Some(last(&seen)), left));
    let lines: Vec<&str> = seen.iter().map(|(_, _, data)| data.as_str()).collect();
    assert_eq!(lines, labels.lines().collect::<Vec<_>>());
    assert!(seen.iter().zip(1..).all(|((_, id, _), number)| *id == number.to_string()));
    // The table is level with the log too, and nothing is wrong.
    let all = events(&labels);
    let overview = served.wait(|overview| overview["events"] == json!(all.len()));
    assert_eq!(overview["labelled"], json!(latest(&all).len()));
    assert_eq!(served.get("/api/v1/status")["problems"], json!([]));
    let finals = project.candist(&["tail", "run", "--final"]).expect_exit(0).out;
    let wanted = finals.lines().count();
    let streamed = served.events("/labels?final", None, wanted);
    assert_eq!(
        streamed.iter().map(|(_, _, data)| data.as_str()).collect::<Vec<_>>(),
        finals.lines().collect::<Vec<_>>()
    );
    assert_eq!(served.send(served.ask(Method::GET, "/labels").header("last-event-id", "x")).0, StatusCode::BAD_REQUEST);
}

#[test]
fn another_log_torn_lines_damage_and_a_folder_that_is_gone_are_followed() {
    let project = finished(32);
    let labels = project.labels();
    let lines: Vec<&str> = labels.lines().collect();
    // The last line torn, one in the middle damaged.
    let middle = lines.len() / 2;
    let damaged: Vec<String> = lines
        .iter()
        .enumerate()
        .map(|(number, line)| if number == middle { "damaged\n".to_owned() } else { format!("{line}\n") })
        .collect();
    let damaged = damaged.concat();
    project.write("run/labels.jsonl", &damaged[..damaged.len() - 5]);
    let served = Served::start(&project);
    let all = lines.len() as u64;
    served.wait(|overview| overview["events"] == json!(all - 2));
    let problems = served.get("/api/v1/status")["problems"].to_string();
    assert!(problems.contains("1 line(s) of labels.jsonl are damaged"), "{problems}");
    // What a writer does: the rest of the line comes later.
    let mut file = std::fs::OpenOptions::new().append(true).open(project.path("run/labels.jsonl")).unwrap();
    std::io::Write::write_all(&mut file, &damaged.as_bytes()[damaged.len() - 5..]).unwrap();
    served.wait(|overview| overview["events"] == json!(all - 1));
    // Other settings begin another log.
    let config = project.read("config.toml").replace("block = 8", "block = 16");
    project.write("config.toml", &config);
    project.run();
    let now = events(&project.labels());
    let overview = served.wait(|overview| overview["events"] == json!(now.len()) && overview["final"] != json!(0));
    assert_eq!(overview["labelled"], json!(latest(&now).len()));
    assert_eq!(served.get("/api/v1/status")["problems"], json!([]));
    std::fs::rename(project.path("run"), project.path("elsewhere")).unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    while !served.get("/api/v1/status")["problems"].to_string().contains("has no inputs.jsonl any more") {
        assert!(Instant::now() < patience);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(served.rows("").len() as u64, overview["texts"].as_u64().unwrap());
    // A new run in its place.
    project.run();
    let now = events(&project.labels());
    served.wait(|overview| overview["events"] == json!(now.len()));
    assert_eq!(served.get("/api/v1/status")["problems"], json!([]));
}

#[test]
fn it_ends_at_once_whoever_listens_and_says_what_it_cannot_do() {
    let project = Project::new(256);
    project.candist(&["serve", "run"]).expect_exit(2).expect_said("is no run directory");
    project.run();
    let served = Served::start(&project);
    let address = served.base().trim_start_matches("http://").to_owned();
    project
        .candist(&["serve", "run", "--listen", &address])
        .expect_exit(2)
        .expect_said("another program may listen there");
    project.write("short", "abc\n");
    project
        .candist(&["serve", "run", "--token-file", "short"])
        .expect_exit(2)
        .expect_said("has no token in its first line");
    // Two streams, and a client that says nothing.
    let streams: Vec<_> = ["/labels", "/api/v1/stream"]
        .map(|path| served.runtime.block_on(served.ask(Method::GET, path).send()).unwrap())
        .into();
    let silent = std::net::TcpStream::connect(&address).unwrap();
    let (code, took) = served.interrupt();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(3), "{took:?}");
    drop((streams, silent));
}
