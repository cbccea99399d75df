//! Batch files: out, answered by a real server, and in again.

use serde_json::{Value, json};

use crate::server::Behaviour;
use crate::support::{Project, Server, openai};

/// The exported requests, and each one's result as a provider gives it.
fn exported(project: &Project, server: &Server) -> Vec<(String, Value)> {
    let export = project.candist(&["batch", "export", "config.toml", "--out", "batch"]).expect_exit(0);
    let lines: Vec<String> =
        export.out.lines().flat_map(|file| project.read(file).lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    lines
        .iter()
        .map(|line| {
            let request: Value = serde_json::from_str(line).unwrap();
            assert_eq!((&request["method"], &request["url"]), (&json!("POST"), &json!("/v1/chat/completions")));
            let id = request["custom_id"].as_str().unwrap().to_owned();
            let body = server.complete(&request["body"]);
            (
                id.clone(),
                json!({"id": "b", "custom_id": id, "response": {"status_code": 200, "body": body}, "error": null}),
            )
        })
        .collect()
}

#[test]
fn results_come_back_in_any_order_partly_failed_and_twice() {
    let project = Project::new(32);
    let server = Server::start(&project, Behaviour::default());
    let price = "[teachers.price]\ninput = 1\noutput = 2\nbatch_share = 0.5";
    project.configure(&openai(&["all-merged"], &server.url, price), "");
    project.run();
    let (labels, texts) = (project.labels(), project.read("pool.jsonl").lines().count());
    project.remove_run();

    let mut results = exported(&project, &server);
    assert_eq!(results.len(), texts);
    results.reverse();
    let failed = json!({"custom_id": results[0].0, "response": null, "error": {"code": "batch_expired"}});
    let foreign =
        json!({"custom_id": "00000000000000000000000000000000", "response": {"status_code": 200, "body": {}}});
    let lines: Vec<String> = results[1..].iter().map(|(_, result)| result.to_string()).collect();
    project.write("results.jsonl", &format!("{failed}\n{foreign}\nno result\n{}\n", lines.join("\n")));
    let import = || project.candist(&["batch", "import", "config.toml", "results.jsonl"]).expect_exit(0).out;
    let counts =
        |out: &str| -> Vec<String> { out.lines().map(|line| line.trim().split(' ').next().unwrap().into()).collect() };
    let new = (texts - 1).to_string();
    assert_eq!(counts(&import()), [new.as_str(), "0", "1", "2"]);
    assert_eq!(counts(&import()), ["0", new.as_str(), "1", "2"]);
    let journal = project.read("run/answers.jsonl");
    assert_eq!(journal.lines().count(), texts - 1);

    // What is left to ask is asked, and the labels are those of an ordinary run.
    let before = server.replay.stats().requests;
    assert_eq!(exported(&project, &server).len(), 1);
    project.run();
    assert_eq!(server.replay.stats().requests, before + 2, "one exported, one asked");
    assert_eq!(project.labels(), labels);

    // Batch answers cost half.
    let cost = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let tokens = |name: &str| line["usage"][name].as_f64().unwrap();
        let full = (tokens("prompt_tokens") + 2.0 * tokens("completion_tokens")) / 1e6;
        line["cost"].as_str().unwrap().parse::<f64>().unwrap() / full
    };
    assert!((cost(journal.lines().next().unwrap()) - 0.5).abs() < 1e-9);
}

/// What is exported is what a run would ask next, and nothing that an earlier export left is paid for with it.
#[test]
fn a_cascade_is_exported_teacher_by_teacher() {
    let project = Project::new(64);
    let server = Server::start(&project, Behaviour::default());
    project.configure(&openai(&["all-merged", "gpt-4"], &server.url, ""), "[candidates]\nfrom = \"cascade\"");
    let texts = project.read("pool.jsonl").lines().count();
    std::fs::create_dir(project.path("batch")).unwrap();
    project.write("batch/all-merged-0002.jsonl", "of an earlier, larger export\n");
    project.write("batch/notes.txt", "a user's own\n");
    let first = exported(&project, &server);
    assert_eq!(first.len(), texts);
    assert!(!project.path("batch/all-merged-0002.jsonl").exists());
    assert!(project.path("batch/notes.txt").exists());
    let results: Vec<String> = first.iter().map(|(_, result)| result.to_string()).collect();
    project.write("results.jsonl", &results.join("\n"));
    project.candist(&["batch", "import", "config.toml", "results.jsonl"]).expect_exit(0);
    let several =
        project.read("run/answers.jsonl").lines().filter(|line| !is_sure(&serde_json::from_str(line).unwrap())).count();
    assert!((1..texts).contains(&several));
    assert_eq!(exported(&project, &server).len(), several);
}

fn is_sure(answer: &Value) -> bool {
    answer["labels"].as_array().is_some_and(|labels| labels.len() == 1)
}

#[test]
fn an_import_leaves_what_the_last_run_could_not_do_on_the_list() {
    let project = Project::new(64);
    let server = Server::start(&project, Behaviour::default());
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    let pool = project.read("pool.jsonl");
    project.write("pool.jsonl", &format!("{pool}no row\n"));
    project.run();
    let listed = project.read("run/failures.jsonl");
    assert_eq!(listed.lines().count(), 1);
    project.write("results.jsonl", "\n");
    project.candist(&["batch", "import", "config.toml", "results.jsonl"]);
    assert_eq!(project.read("run/failures.jsonl"), listed);
}
