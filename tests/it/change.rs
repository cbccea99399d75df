//! What changes between two runs in one directory.

use crate::server::Behaviour;
use crate::support::{Project, Server, latest, openai, recorded};

#[test]
fn a_complete_run_does_nothing_again() {
    let project = Project::new(16);
    project.run();
    let labels = project.labels();
    project.run().expect_said("already complete");
    assert_eq!(project.labels(), labels);
}

#[test]
fn a_log_that_was_begun_without_others_goes_on_without() {
    let project = Project::new(32);
    project.run();
    let labels = project.labels();
    let older: String = labels
        .lines()
        .map(|line| {
            let (from, to) = (line.find("\"others\":").unwrap(), line.find("\"candidates\":").unwrap());
            format!("{}{}\n", &line[..from], &line[to..])
        })
        .collect();
    // As far as an older candist came; what knows of the lines is lost with the store.
    let half: String = older.split_inclusive('\n').take(older.lines().count() / 2).collect();
    project.write("run/labels.jsonl", &half);
    std::fs::remove_dir_all(project.path("run/store")).unwrap();
    std::fs::remove_dir_all(project.path("run/checkpoints")).unwrap();
    project.run();
    assert_eq!(project.labels(), older);
    // Without the file, it is written with them.
    std::fs::remove_file(project.path("run/labels.jsonl")).unwrap();
    project.run();
    assert_eq!(project.labels(), labels);
}

#[test]
fn every_text_is_labelled_and_final_in_the_end() {
    let project = Project::new(8);
    project.run();
    let events = project.events();
    assert!(events.iter().enumerate().all(|(offset, event)| event.offset == offset as u64));
    let latest = latest(&events);
    assert_eq!(latest.len(), project.read("pool.jsonl").lines().count());
    assert!(latest.values().all(|event| event.is_final && event.revision > 0));
    assert!(
        events.iter().any(|event| event.revision == 0 && !event.is_final && event.candidates.contains(&event.label))
    );
    assert!(latest.values().all(|event| (0.0..=1.0).contains(&event.confidence)));
    // What is left for the next label is what the label does not have: the margin is between both.
    let is_margin = |margin: f64, confidence: f64| margin <= confidence && margin >= 2.0 * confidence - 1.0 - 2e-4;
    assert!(events.iter().all(|event| is_margin(event.margin.unwrap(), event.confidence)));
    assert!(events.iter().any(|event| event.margin < Some(event.confidence)));
    for event in &events {
        let others = event.others.as_ref().unwrap();
        let named = |label: &String| others.iter().filter(|other| other.label == *label).count();
        assert!(named(&event.label) == 0 && others.iter().all(|other| named(&other.label) == 1), "{event:?}");
        assert!(others.len() <= 4 && others.iter().all(|other| other.confidence >= 0.01), "{event:?}");
        assert!(others.windows(2).all(|two| two[0].confidence >= two[1].confidence), "{event:?}");
        // The margin is that to the first of them, where that is likely enough to be named.
        let next = event.confidence - event.margin.unwrap();
        let first = others.first().map_or(0.0, |other| other.confidence);
        assert!((next - first).abs() < 3e-4 || (others.is_empty() && next < 0.0103), "{event:?}");
    }
}

#[test]
fn one_added_row_costs_one_request_and_a_repeated_one_none() {
    let project = Project::new(16);
    let server = Server::start(&project, Behaviour::default());
    let pool = project.read("pool.jsonl");
    let (last, rest) = (pool.lines().last().unwrap(), pool.lines().count() - 1);
    let shorter: Vec<&str> = pool.lines().take(rest).collect();
    // A repeated row, and the same text under another id.
    let copy = shorter[0].replacen("pool-", "copy-", 1);
    project.write("pool.jsonl", &format!("{}\n{}\n{copy}\n", shorter.join("\n"), shorter[0]));
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    project.run();
    assert_eq!(server.replay.stats().requests, rest as u64, "equal texts are asked once");
    let before = latest(&project.events());
    assert_eq!(before.len(), rest + 1);
    project.write("pool.jsonl", &format!("{}\n{copy}\n{last}\n", shorter.join("\n")));
    project.run();
    assert_eq!(server.replay.stats().requests, rest as u64 + 1);
    assert_eq!(latest(&project.events()).len(), rest + 2);
    // The whole history can be replayed: both ends of the corpus are remembered.
    let labels = project.labels();
    std::fs::remove_dir_all(project.path("run/store")).unwrap();
    project.run();
    assert_eq!((project.labels(), server.replay.stats().requests), (labels, rest as u64 + 1));
}

#[test]
fn other_student_settings_label_anew_without_asking() {
    let project = Project::new(16);
    let server = Server::start(&project, Behaviour::default());
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    project.run();
    let (labels, requests) = (project.labels(), server.replay.stats().requests);
    // What was said is in the input log too: a lost line of the answers changes no label.
    let journal = project.read("run/answers.jsonl");
    project.write("run/answers.jsonl", journal.split_once('\n').unwrap().1);
    let config = project.read("config.toml").replace("dimension = 8", "dimension = 9");
    project.write("config.toml", &config);
    project.run().expect_said("labels are written anew from the input log, nothing is asked again");
    assert_eq!(server.replay.stats().requests, requests);
    assert_eq!(project.read("run/labels.old.jsonl"), labels);
    assert_ne!(project.labels(), labels);
}

#[test]
fn another_prompt_asks_again_and_the_first_one_is_still_known() {
    let project = Project::new(32);
    let server = Server::start(&project, Behaviour::default());
    let texts = project.read("pool.jsonl").lines().count() as u64;
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    project.run();
    let first = project.read("config.toml");
    project.write("config.toml", &first.replace("Identify the intent", "Find the intent"));
    project.run();
    assert_eq!(server.replay.stats().requests, 2 * texts);
    project.write("config.toml", &first);
    project.run().expect_said("nothing was left to ask");
    assert_eq!(server.replay.stats().requests, 2 * texts);
}

#[test]
fn a_run_directory_belongs_to_one_task_and_one_process() {
    let project = Project::new(32);
    project.run();
    let config = project.read("config.toml");
    project.write("config.toml", &config.replace("\"banking77\"", "\"other\""));
    project.candist(&["run", "config.toml"]).expect_exit(2).expect_said("its name is \"banking77\", not \"other\"");
    project.write("config.toml", &config);
    let _held = candist::internal::RunLock::take(&project.path("run")).unwrap();
    project.candist(&["run", "config.toml"]).expect_exit(1).expect_said("another candist runs in");
}

#[test]
fn labels_that_are_added_are_asked_about_in_the_same_directory() {
    let project = Project::new(32);
    let server = Server::start(&project, Behaviour::default());
    let texts = project.read("pool.jsonl").lines().count() as u64;
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    project.run();
    let (first, labels) = (project.read("config.toml"), project.labels());
    // Put first: every number of a label is another one then.
    let more = first.replace("labels = [", "labels = [\"new_label\", ");
    project.write("config.toml", &more);
    project.candist(&["check", "config.toml"]).expect_exit(0);
    let plan = project.candist(&["plan", "config.toml"]).expect_exit(0);
    assert!(plan.out.contains(&format!("{texts}  to be annotated")), "{}", plan.out);
    project.run().expect_said("the labels changed (\"new_label\" is new): the texts arrive anew");
    assert_eq!(server.replay.stats().requests, 2 * texts);
    assert_eq!(project.read("run/labels.old.jsonl"), labels);
    assert_eq!(latest(&project.events()).len() as u64, texts);
    project.run().expect_said("already complete");
    // Stored answers of both prompts can be read, and none is taken for damaged.
    project.candist(&["check", "--deep", "run"]).expect_exit(0);
    let status = project.candist(&["status", "run"]).expect_exit(0);
    assert!(!status.out.contains("damaged"), "{}", status.out);
    project.write("config.toml", &first);
    project.candist(&["run", "config.toml"]).expect_exit(2).expect_said("it has the label \"new_label\"");
}

#[test]
fn a_recording_answers_for_added_labels_without_asking() {
    let project = Project::new(32);
    project.run();
    let config = project.read("config.toml");
    // Put last: the others keep their numbers, by which a recording's answers are told apart.
    project.write("config.toml", &config.replacen("\n]", "\n  \"new_label\",\n]", 1));
    project.run().expect_said("the labels changed").expect_said("nothing was left to ask");
}

#[test]
fn one_runs_answers_are_another_runs_teacher() {
    let project = Project::new(16);
    project.run();
    let labels = project.labels();
    project.write("answers.jsonl", &project.read("run/answers.jsonl"));
    project.remove_run();
    let teachers = recorded(&["gpt-4", "gpt-3.5", "gpt-4-other-shots"]);
    let from_journal =
        teachers.lines().map(|line| if line.starts_with("path") { "path = \"answers.jsonl\"" } else { line });
    project.configure(&from_journal.collect::<Vec<_>>().join("\n"), "");
    project.run();
    assert_eq!(project.labels(), labels);
}

#[test]
fn a_text_without_candidates_fails_and_is_labelled_by_the_student() {
    let project = Project::new(16);
    let pool = project.read("pool.jsonl");
    project.write("pool.jsonl", &format!("{pool}{{\"id\": \"new\", \"text\": \"where is my card\"}}\n"));
    project.candist(&["run", "config.toml"]).expect_exit(0).expect_said("1 text(s) got no candidate");
    let latest = latest(&project.events());
    assert_eq!(serde_json::to_value(latest["new"].by.clone()).unwrap(), "student");
    let status = project.candist(&["status", "run"]).expect_exit(0);
    assert!(
        status.out.contains("failed new: gpt-4:") && status.out.contains("has no answer for this id"),
        "{}",
        status.out
    );
}
