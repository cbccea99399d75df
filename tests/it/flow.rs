//! The flow under pressure: nothing hangs, nothing that is paid for is cut off, and what cannot go well ends early.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::server::Behaviour;
use crate::support::{Project, Server, openai, recorded};

/// Placing waited for the store while answers that it did not poll held every permit.
#[test]
fn a_wide_window_of_recordings_does_not_hang() {
    for window in [1, 8192] {
        let project = Project::new(4);
        let config = project.read("config.toml").replace("[run]", &format!("[run]\nwindow = {window}"));
        project.write("config.toml", &config);
        for _ in 0..3 {
            project.remove_run();
            let run = project.within_a_minute(project.command(&["run", "config.toml"]));
            run.expect_exit(0);
        }
    }
}

/// A sweep is due when the number of blocks is a power of two; each of its slices follows a block.
#[test]
fn new_texts_are_labelled_between_the_slices_of_a_sweep() {
    let project = Project::new(8);
    project.run();
    let revised = project.events().into_iter().filter(|event| event.revision > 0 && !event.is_final);
    let blocks: BTreeSet<u64> = revised.map(|event| event.student).collect();
    assert!(blocks.iter().filter(|blocks| !blocks.is_power_of_two()).count() > 1, "{blocks:?}");
}

#[test]
fn what_one_teacher_is_paid_for_survives_the_stop_of_another() {
    let project = Project::new(32);
    let server = Server::start(&project, Behaviour { latency: Duration::from_millis(300), ..Behaviour::default() });
    // Nobody listens there: the run stops while the other teacher's requests are on their way.
    let dead = "[[teachers]]\nkind = \"openai\"\nname = \"dead\"\nmodel = \"dead\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmax_retries = 0\n";
    project.configure(&format!("{}{dead}", openai(&["all-merged"], &server.url, "")), "");
    project.candist(&["run", "config.toml"]).expect_exit(3).expect_said("nobody answers at http://127.0.0.1:1/v1");
    let paid = server.replay.stats().requests;
    assert!(paid > 0);
    assert_eq!(
        project.read("run/answers.jsonl").lines().filter(|line| line.contains("\"all-merged\"")).count() as u64,
        paid
    );
}

/// Answers that never name a label of the task: the run ends before it has cost much, and makes no labels up.
#[test]
fn labels_that_do_not_fit_stop_the_run_early() {
    let project = Project::new(8);
    let server = Server::start(&project, Behaviour::default());
    project.configure(&openai(&["all-merged"], &server.url, "output = \"text\""), "");
    let config = project.read("config.toml");
    let (from, to) = (config.find("labels = [").unwrap(), config.find("[corpus]").unwrap());
    project.write("config.toml", &format!("{}labels = [\"blue\", \"green\"]\n{}", &config[..from], &config[to..]));
    let run = project.candist(&["run", "config.toml"]).expect_exit(3);
    run.expect_said("answers name no label of the task").expect_said("Likely causes").expect_said("Mend that first");
    let requests = server.replay.stats().requests;
    assert!((50..=50 + 64).contains(&requests), "{requests}");
    assert!(!project.path("run/labels.jsonl").exists() || project.labels().is_empty(), "no label was made up");
}

#[test]
fn a_student_that_has_nothing_to_learn_from_labels_nothing() {
    let project = Project::new(64);
    let empty: String =
        project.read("teacher_gpt-4.jsonl").lines().map(|_| "{\"id\": \"elsewhere\", \"labels\": []}\n").collect();
    project.write("teacher_gpt-4.jsonl", &empty);
    project.configure(&recorded(&["gpt-4"]), "");
    for _ in 0..2 {
        project.candist(&["run", "config.toml"]).expect_exit(1).expect_said("nothing was labelled");
        assert!(project.labels().is_empty());
    }
}

/// A text that can never be answered is a failure in the end, so that a loop of runs ends.
#[test]
fn a_text_that_is_never_answered_does_not_keep_a_run_from_ending() {
    let project = Project::new(64);
    let poison = "{\"id\": \"poison\", \"text\": \"POISON\"}\n";
    project.write("pool.jsonl", &(project.read("pool.jsonl") + poison));
    let behaviour = Behaviour { fail_texts_with: Some("POISON".into()), ..Behaviour::default() };
    let server = Server::start(&project, behaviour);
    project.configure(&openai(&["all-merged"], &server.url, "max_retries = 1"), "");
    let mut exits = vec![];
    for _ in 0..5 {
        let run = project.candist(&["run", "config.toml"]);
        exits.push(run.exit);
        if run.exit == Some(0) {
            break;
        }
    }
    // Asked in two runs, let be in the third.
    assert_eq!(exits, [Some(3), Some(3), Some(0)]);
    let failures = project.candist(&["failures", "run"]).expect_exit(0).out;
    assert!(failures.contains("poison  failed: all-merged: HTTP 500"), "{failures}");
}

#[test]
fn asking_again_is_announced_with_its_price() {
    let project = Project::new(64);
    let server = Server::start(&project, Behaviour::default());
    let prices = "price = { input = 1, output = 1 }";
    project.configure(&openai(&["all-merged"], &server.url, prices), "");
    project.run();
    let config = project.read("config.toml").replace("Identify the intent", "Find the intent");
    project.write("config.toml", &config);
    let texts = project.read("pool.jsonl").lines().count();
    project.run().expect_said(&format!("{texts} requests will be sent again, for 0.0"));
}

#[test]
fn by_names_the_refinery() {
    let project = Project::new(64);
    project.configure(&recorded(&["gpt-4"]), "");
    let config = project.read("config.toml").replace("[distill]", "[distill]\nrefinery = \"renormalise\"");
    project.write("config.toml", &config);
    project.run();
    assert!(project.events().iter().all(|event| serde_json::to_value(&event.by).unwrap() == "renormalise"));
}

/// A folder that is somebody's is not taken for a run directory.
#[test]
fn somebodys_folder_is_left_alone() {
    let project = Project::new(64);
    std::fs::create_dir(project.path("run")).unwrap();
    project.write("run/thesis.tex", "years of work");
    project.candist(&["run", "config.toml"]).expect_exit(2).expect_said("is no run directory: choose an empty");
    assert_eq!(std::fs::read_dir(project.path("run")).unwrap().count(), 1);
}

/// What is on its way is paid for, also when labels or texts can be written no more.
#[test]
fn answers_in_flight_survive_the_end_of_a_log() {
    for log in ["labels.jsonl", "inputs.jsonl"] {
        let project = Project::new(4);
        let server = Server::start(&project, Behaviour { latency: Duration::from_millis(300), ..Behaviour::default() });
        project.configure(&openai(&["all-merged"], &server.url, ""), "");
        let running = project.start(&["run", "config.toml"]);
        while !project.path("run/labels.jsonl").exists() || project.labels().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::fs::rename(project.path("run").join(log), project.path("away.jsonl")).unwrap();
        let ended = crate::support::Finished::of(running.wait_with_output().unwrap()).expect_exit(1);
        ended.expect_said(&format!("{log} was removed or replaced"));
        assert_eq!(project.read("run/answers.jsonl").lines().count() as u64, server.replay.stats().requests, "{log}");
    }
}

/// A cascade goes on while all that was said so far is more than one label.
#[test]
fn a_plan_counts_what_a_cascade_of_three_asks() {
    let project = Project::new(64);
    let server = Server::start(&project, Behaviour::default());
    let teachers = ["all-merged", "gpt-3.5", "gpt-4"];
    let cascade = "[candidates]\nfrom = \"cascade\"";
    project.configure(&openai(&teachers, &server.url, ""), cascade);
    project.run();
    let asked = server.replay.stats().requests;
    // Another order of asking: everything arrives anew, and nothing is left to ask.
    project.configure(&openai(&teachers, &server.url, "draws = 1"), cascade);
    let pool = project.read("pool.jsonl");
    project.write("pool.jsonl", &pool.replace("\"pool-", "\"new-"));
    let plan = project.candist(&["plan", "config.toml"]).expect_exit(0).out;
    assert!(plan.contains("In all: 0 requests"), "{plan}");
    project.run();
    assert_eq!(server.replay.stats().requests, asked);
}
