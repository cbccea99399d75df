//! A server that misbehaves: every text ends labelled or failed with a reason, and nothing hangs.

use std::time::{Duration, Instant};

use crate::server::{Behaviour, Fault, Faults, HeaderStyle, Storm};
use crate::support::{Finished, Project, Server, latest, openai};

/// Longer than any of these runs should take by far.
const WATCHDOG: Duration = Duration::from_secs(120);

/// Runs the program, which must end by itself before the watchdog ends it.
#[track_caller]
fn watched(project: &Project) -> Finished {
    let mut running = project.start(&["run", "config.toml", "--quiet"]);
    let started = Instant::now();
    while running.try_wait().unwrap().is_none() {
        if started.elapsed() > WATCHDOG {
            running.kill().unwrap();
            panic!("it hangs: {:?}", Finished::of(running.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Finished::of(running.wait_with_output().unwrap())
}

/// Labelled, failed and unanswered texts make up the corpus.
#[track_caller]
fn expect_all_accounted_for(project: &Project, run: &Finished) {
    let texts = project.read("pool.jsonl").lines().count();
    let events = latest(&project.events());
    let by_teacher = events.values().filter(|event| !event.candidates.is_empty()).count();
    let failures = project.candist(&["failures", "run", "--json"]).expect_exit(0).out;
    for line in failures.lines() {
        let failure: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(!failure["reason"].as_str().unwrap().is_empty(), "{line}");
    }
    assert_eq!(by_teacher + failures.lines().count(), texts, "{}\n{failures}", run.err);
    assert!(events.values().all(|event| event.is_final));
    let unanswered = failures.contains("\"state\":\"unanswered\"");
    assert_eq!(run.exit, Some(if unanswered { 3 } else { 0 }), "{}", run.err);
}

#[test]
fn a_fifth_of_the_requests_going_wrong_in_every_way_loses_no_text() {
    let project = Project::new(8);
    let faults = Faults { seed: 7, rate: 0.2, kinds: Fault::ALL.to_vec() };
    let behaviour = Behaviour { faults, latency: Duration::from_millis(5), ..Behaviour::default() };
    let server = Server::start(&project, behaviour);
    project.configure(&openai(&["all-merged"], &server.url, "timeout_s = 2.0"), "");
    let run = watched(&project);
    expect_all_accounted_for(&project, &run);
    assert!(server.replay.stats().faults > 20, "{:?}", server.replay.stats());
}

#[test]
fn each_way_of_going_wrong_is_got_over() {
    let get_over = |kind: Fault| {
        let project = Project::new(64);
        let faults = Faults { seed: 3, rate: 0.3, kinds: vec![kind] };
        let server = Server::start(&project, Behaviour { faults, ..Behaviour::default() });
        project.configure(&openai(&["all-merged"], &server.url, "timeout_s = 1.0"), "");
        let run = watched(&project);
        expect_all_accounted_for(&project, &run);
        assert!(server.replay.stats().faults > 0, "{kind:?}");
    };
    // Most of the time is waiting: several at once.
    for kinds in Fault::ALL.chunks(6) {
        std::thread::scope(|scope| {
            for &kind in kinds {
                scope.spawn(move || get_over(kind));
            }
        });
    }
}

#[test]
fn a_storm_of_refusals_is_waited_out_by_one_request_at_a_time() {
    let project = Project::new(4);
    let texts = project.read("pool.jsonl").lines().count() as u64;
    let storm = Storm { after: 300, length: Duration::from_secs(3), retry_after: Some("3".into()) };
    let behaviour = Behaviour { storm: Some(storm), latency: Duration::from_millis(20), ..Behaviour::default() };
    let server = Server::start(&project, behaviour);
    project.configure(&openai(&["all-merged"], &server.url, "").replace("= 64", "= 100"), "");
    watched(&project).expect_exit(0);
    let stats = server.replay.stats();
    // All that were on their way, and a few that asked too early.
    assert!(stats.refused > 0 && stats.refused <= 110, "{stats:?}");
    assert!(stats.requests >= texts, "{stats:?}");
}

#[test]
fn an_outage_costs_no_text_its_tries() {
    let project = Project::new(16);
    // Longer than one text's tries would last.
    let storm = Storm { after: 40, length: Duration::from_secs(4), retry_after: None };
    let server = Server::start(&project, Behaviour { storm: Some(storm), ..Behaviour::default() });
    project.configure(&openai(&["all-merged"], &server.url, "max_retries = 1"), "");
    watched(&project).expect_exit(0);
    assert!(latest(&project.events()).values().all(|event| !event.candidates.is_empty()));
}

#[test]
fn quotas_that_a_server_tells_in_its_headers_are_kept() {
    for style in [HeaderStyle::OpenAi, HeaderStyle::Azure, HeaderStyle::Anthropic] {
        let project = Project::new(32);
        let texts = project.read("pool.jsonl").lines().count() as u64;
        let quota_per_minute = Some((u32::try_from(texts).unwrap() + 5, 1_000_000));
        let behaviour = Behaviour { headers: Some(style), quota_per_minute, ..Behaviour::default() };
        let server = Server::start(&project, behaviour);
        project.configure(&openai(&["all-merged"], &server.url, ""), "");
        watched(&project).expect_exit(0);
        assert_eq!(server.replay.stats().refused, 0);
    }
}

#[test]
fn what_a_server_does_not_take_is_left_out_and_asked_otherwise() {
    let expected = {
        let project = Project::new(32);
        project.run();
        project.labels()
    };
    let takes = |no_schema, no_json_object, unsupported: &[&str]| Behaviour {
        no_schema,
        no_json_object,
        unsupported: unsupported.iter().map(|&name| name.to_owned()).collect(),
        ..Behaviour::default()
    };
    for (behaviour, wasted) in [
        (takes(Some(400), None, &[]), 16),
        (takes(Some(500), None, &[]), 24),
        (takes(Some(400), Some(400), &[]), 24),
        (takes(None, None, &["max_tokens", "temperature"]), 24),
        (takes(Some(500), Some(500), &["logprobs", "max_tokens"]), 48),
    ] {
        let what = format!("{behaviour:?}");
        let project = Project::new(32);
        let server = Server::start(&project, behaviour);
        project.configure(&openai(&["all-merged"], &server.url, "logprobs = true"), "");
        watched(&project).expect_exit(0);
        let stats = server.replay.stats();
        // It is found out by the first few, not by everyone.
        assert!(stats.received - stats.requests <= wasted, "{what}: {stats:?}");
        let labels = latest(&project.events()).into_iter().map(|(id, event)| (id, event.candidates));
        let of_recordings: Vec<_> =
            latest(&crate::support::events(&expected)).into_iter().map(|(id, event)| (id, event.candidates)).collect();
        assert_eq!(labels.collect::<Vec<_>>(), of_recordings, "{what}");
    }
}

#[test]
fn a_key_that_is_echoed_or_redirected_goes_nowhere() {
    const KEY: &str = "sk-canary-echo-42";
    let project = Project::new(64);
    let elsewhere = Server::start(&project, Behaviour::default());
    let redirect_to = Some(format!("{}/chat/completions", elsewhere.url));
    for behaviour in [
        Behaviour { key: Some("another".into()), echo_key: true, ..Behaviour::default() },
        Behaviour { redirect_to, ..Behaviour::default() },
    ] {
        let server = Server::start(&project, behaviour);
        project.remove_run();
        project.configure(&openai(&["all-merged"], &server.url, "api_key_env = \"CANDIST_ECHO_KEY\""), "");
        let mut command = project.command(&["run", "config.toml"]);
        command.env("CANDIST_ECHO_KEY", KEY).env("CANDIST_LOG", "trace");
        let run = Finished::of(command.output().unwrap()).expect_exit(3);
        assert!(!run.err.contains(KEY) && !run.out.contains(KEY), "{}", run.err);
    }
    assert_eq!(elsewhere.replay.stats().received, 0);
}

#[test]
fn texts_go_over_plain_http_to_this_machine_alone() {
    let project = Project::new(64);
    project.configure(&openai(&["m"], "http://192.0.2.1/v1", ""), "");
    project.candist(&["run", "config.toml"]).expect_exit(2).expect_said("unencrypted").expect_said("allow_http = true");
    for allowed in ["http://127.0.0.1:9/v1", "http://localhost:9/v1", "http://[::1]:9/v1", "https://192.0.2.1/v1"] {
        project.configure(&openai(&["m"], allowed, ""), "");
        project.candist(&["check", "config.toml"]).expect_exit(0);
    }
}

#[test]
fn an_address_where_nobody_listens_is_given_up_soon_and_told_once() {
    let project = Project::new(8);
    // Taken and let go: nobody listens there.
    let url = format!("http://{}/v1", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    project.configure(&openai(&["m"], &url, "give_up_after_s = 2.0\nmax_retries = 1000"), "");
    let started = Instant::now();
    let run = watched(&project).expect_exit(3).expect_said("nobody answers at").expect_said(&url);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(run.err.lines().count() <= 6, "{}", run.err);
    assert!(run.err.contains("times"), "{}", run.err);
}

#[test]
fn too_few_open_files_slow_a_run_down_and_say_what_to_do() {
    let project = Project::new(8);
    let server = Server::start(&project, Behaviour { latency: Duration::from_millis(100), ..Behaviour::default() });
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    let program = project.command(&["run", "config.toml"]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" run config.toml"]).arg(program.get_program());
    command.current_dir(project.path(".")).stdin(std::process::Stdio::null());
    let run = Finished::of(command.output().unwrap());
    assert!(!run.err.contains("nobody answers"), "{}", run.err);
    run.expect_exit(0).expect_said("max_in_flight is lowered from 64 to 16").expect_said("ulimit -n");
}

#[test]
fn a_server_that_is_known_is_not_asked_in_the_wrong_form_again() {
    let project = Project::new(32);
    let behaviour =
        || Behaviour { no_schema: Some(400), unsupported: vec!["temperature".to_owned()], ..Behaviour::default() };
    let server = Server::start(&project, behaviour());
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    watched(&project).expect_exit(0);
    assert!(server.replay.stats().received > server.replay.stats().requests);
    // The answers go, what was found out about the server stays.
    for file in ["answers.jsonl", "inputs.jsonl", "labels.jsonl"] {
        std::fs::remove_file(project.path("run").join(file)).unwrap();
    }
    std::fs::remove_dir_all(project.path("run/store")).unwrap();
    std::fs::remove_dir_all(project.path("run/checkpoints")).unwrap();
    std::fs::remove_file(project.path("run/manifest.json")).unwrap();
    let before = server.replay.stats();
    watched(&project).expect_exit(0);
    let after = server.replay.stats();
    assert_eq!(after.received - before.received, after.requests - before.requests);
    // A damaged memory is no memory.
    project.remove_run();
    std::fs::create_dir(project.path("run")).unwrap();
    project.write("run/dialects.json", "{\"");
    watched(&project).expect_exit(0);
}
