//! How a run is shown: on a terminal, without one, to a program, and not at all.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::server::{Behaviour, Storm};
use crate::support::{Finished, Project, Server, openai};

/// Runs the program on a terminal of this size; gives all that was written to it.
fn on_terminal(project: &Project, size: (usize, usize), args: &str) -> String {
    let program = env!("CARGO_BIN_EXE_candist");
    let (columns, rows) = size;
    let script = format!("stty cols {columns} rows {rows} && exec '{program}' {args}");
    let mut command = Command::new("script");
    command.args(["-qec", &script, "/dev/null"]).current_dir(project.path("")).env("TERM", "xterm");
    let ended = Finished::of(project.command_output(command));
    assert_eq!(ended.exit, Some(0), "{}{}", ended.out, ended.err);
    ended.out
}

/// What was written between the commands to the terminal; each piece stands in one row.
fn pieces(written: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut rest = written.chars();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => {
                rest.by_ref().find(char::is_ascii_alphabetic);
                pieces.push(String::new());
            }
            '\r' | '\n' => pieces.push(String::new()),
            character => pieces.last_mut().unwrap().push(character),
        }
    }
    pieces
}

fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

/// A server that takes its time, so that there is something to see.
fn slow(project: &Project) -> Server {
    let server = Server::start(project, Behaviour { latency: Duration::from_millis(40), ..Behaviour::default() });
    project.configure(&openai(&["all-merged"], &server.url, "").replace("= 64", "= 4\nmin_in_flight = 4"), "");
    server
}

#[test]
fn a_terminal_shows_the_run_in_lines_that_fit() {
    let project = Project::new(16);
    let _server = slow(&project);
    // A student whose passes take longer than from one look at them to the next, on any machine.
    project.write("config.toml", &project.read("config.toml").replace("dimension = 8", "dimension = 1024"));
    for (columns, rows) in [(80, 24), (40, 12)] {
        project.remove_run();
        let written = on_terminal(&project, (columns, rows), "run config.toml");
        let (shown, summary) = written.split_once("candist: complete").unwrap();
        let pieces = pieces(shown);
        assert!(pieces.iter().any(|piece| piece.contains(" of 193  ")), "{shown:?}");
        assert!(pieces.iter().any(|piece| piece.contains(" in flight")), "{shown:?}");
        assert!(pieces.iter().any(|piece| piece.contains("settling: pass ")), "{shown:?}");
        // Without the last column.
        let widest = pieces.iter().map(|piece| piece.chars().count()).max().unwrap();
        assert!(widest < columns, "{widest} of {columns}");
        assert_eq!(pieces.iter().any(|piece| piece.contains('█')), columns == 80);
        assert!(summary.contains("candist export config.toml --labels labels.csv"), "{summary}");
        // A line that is the same is not written again: the bar alone changes more often than the cap on it would.
        let times = |part: &str| pieces.iter().filter(|piece| piece.contains(part)).count();
        assert!(times("in flight") <= times(" of 193  "), "{shown:?}");
    }
}

#[test]
fn nothing_of_a_corpus_steers_the_terminal() {
    let project = Project::new(64);
    let evil = r#"{"id": "\u001b[2J\u001b]0;x\u0007", "text": "\u001b[31m\u202e\r\n\u009b2Jwhere is my card?"}"#;
    project.write("pool.jsonl", &(project.read("pool.jsonl") + evil + "\n"));
    let written = on_terminal(&project, (80, 24), "run config.toml");
    for steering in ["\u{1b}[2J", "\u{1b}[31m", "\u{9b}", "\u{1b}]", "\u{7}", "\u{202e}"] {
        assert!(!written.contains(steering), "{written:?}");
    }
}

#[test]
fn without_a_terminal_there_are_messages_alone() {
    let project = Project::new(64);
    let ended = project.run().expect_said("took ").expect_said("candist audit config.toml --sample 200");
    assert!(!ended.err.contains('\u{1b}') && !ended.err.contains('\r') && ended.out.is_empty(), "{}", ended.err);
    // So few texts.
    ended.expect_said("a ranking here");
}

#[test]
fn quiet_says_what_is_wrong_and_nothing_else() {
    let project = Project::new(64);
    let ended = project.candist(&["run", "config.toml", "--quiet"]).expect_exit(0);
    assert_eq!((ended.out.as_str(), ended.err.as_str()), ("", ""));
    assert_eq!(on_terminal(&project, (80, 24), "-q run config.toml"), "");
    project.write("pool.jsonl", &(project.read("pool.jsonl") + "nonsense\n"));
    let ended = project.candist(&["run", "-q", "config.toml"]).expect_exit(0);
    ended.expect_said("warning: 1 row(s) of the corpus could not be used");
}

#[test]
fn a_program_is_told_in_objects() {
    let project = Project::new(16);
    let server = slow(&project);
    let price = "price = { input = 1000, output = 1000 }";
    let teachers = openai(&["all-merged"], &server.url, price).replace("= 64", "= 4\nmin_in_flight = 4");
    project.configure(&teachers, "max_cost = 1000");
    let ended = project.candist(&["run", "config.toml", "--json"]).expect_exit(0);
    let told = objects(&ended.err);
    let of = |kind: &str| told.iter().filter(|object| object["type"] == kind).collect::<Vec<_>>();
    let progress = of("progress");
    let last = progress.last().unwrap();
    assert_eq!(
        (last["done"].as_u64(), last["total"].as_u64(), last["behind"].as_u64()),
        (Some(193), Some(193), Some(0))
    );
    assert_eq!((last["in_flight"].as_u64(), last["max_cost"].as_str()), (Some(0), Some("1000")));
    assert!(progress.iter().any(|object| object["in_flight"].as_u64() > Some(0)), "{progress:?}");
    assert!(progress.iter().any(|object| !object["projected_cost"].is_null()), "{progress:?}");
    assert_eq!(last["newest"].as_array().unwrap().len(), 3);
    let summary = told.last().unwrap();
    assert_eq!((summary["type"].as_str(), summary["complete"].as_bool()), (Some("summary"), Some(true)));
    let labelled: u64 = summary["labels"].as_array().unwrap().iter().filter_map(|label| label["texts"].as_u64()).sum();
    assert_eq!((labelled, summary["texts"].as_u64()), (193, Some(193)));
    assert_eq!(summary["spent"], last["spent"]);
    // What goes wrong is an object too, and the summary still the last.
    let wrong = project.candist(&["run", "nowhere.toml", "--json"]).expect_exit(2);
    let told = objects(&wrong.err);
    assert_eq!((told[0]["type"].as_str(), told[0]["level"].as_str()), (Some("message"), Some("error")));
    assert_eq!((told[1]["complete"].as_bool(), told[1]["exit"].as_u64()), (Some(false), Some(2)));
}

#[test]
fn a_pause_says_for_whom() {
    let project = Project::new(32);
    let storm = Storm { after: 20, length: Duration::from_secs(2), retry_after: Some("2".to_owned()) };
    let server = Server::start(&project, Behaviour { storm: Some(storm), ..Behaviour::default() });
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    let ended = project.candist(&["run", "config.toml", "--json"]).expect_exit(0);
    let told = objects(&ended.err);
    let host = server.url.trim_start_matches("http://").trim_end_matches("/v1");
    let pauses: Vec<&str> = told.iter().filter_map(|object| object["pause"]["why"].as_str()).collect();
    assert!(!pauses.is_empty() && pauses.iter().all(|why| *why == format!("429 from {host}")), "{told:?}");
    assert!(told.iter().any(|object| object["retries"].as_u64() > Some(0)), "{told:?}");
}
