//! Pilots: the first texts alone, to the end, and then all of them; and what a plan says by a pilot's answers.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::server::{Behaviour, Fault, Faults};
use crate::support::{Finished, Project, Server, latest, openai};

fn limited(project: &Project, texts: &str) -> Finished {
    project.candist(&["run", "config.toml", "--limit", texts])
}

fn ids(project: &Project) -> BTreeSet<String> {
    latest(&project.events()).into_keys().collect()
}

/// The ids of the first texts of the corpus.
fn first(project: &Project, texts: usize) -> BTreeSet<String> {
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
    project.read("pool.jsonl").lines().take(texts).map(id).collect()
}

fn plan(project: &Project, more: &[&str]) -> Value {
    let args = [&["plan", "config.toml", "--json"], more].concat();
    serde_json::from_str(&project.candist(&args).expect_exit(0).out).unwrap()
}

#[test]
fn a_pilot_is_labelled_to_the_end_and_its_answers_count_later() {
    let project = Project::new(16);
    let texts = project.read("pool.jsonl").lines().count();
    let server = Server::start(&project, Behaviour::default());
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    let asked = || server.replay.stats().requests - server.replay.stats().repeated;
    limited(&project, "40").expect_exit(0).expect_said("no more than the first 40 texts were read");
    assert_eq!((asked(), ids(&project)), (40, first(&project, 40)));
    assert!(latest(&project.events()).values().all(|event| event.is_final));
    // Once more, and less: nothing is left to do, and it is told how that is meant.
    for known in ["40", "7"] {
        let run = limited(&project, known).expect_exit(0);
        run.expect_said("already complete").expect_said(&format!("the first {known} texts"));
    }
    // More, then all.
    limited(&project, "70").expect_exit(0);
    assert_eq!((asked(), ids(&project)), (70, first(&project, 70)));
    let run = project.run();
    assert!(!run.err.contains("pilot"), "{}", run.err);
    assert_eq!((asked(), ids(&project)), (texts as u64, first(&project, texts)));
    assert!(latest(&project.events()).values().all(|event| event.is_final));
    // A limit that the corpus does not reach is none.
    assert!(!limited(&project, "100000").expect_exit(0).err.contains("pilot"));
    // Where the pilots ended is in the input log, so the labels come again from it.
    let labels = project.labels();
    for lost in ["run/store", "run/checkpoints"] {
        std::fs::remove_dir_all(project.path(lost)).unwrap();
    }
    std::fs::remove_file(project.path("run/labels.jsonl")).unwrap();
    project.run();
    assert!(project.labels() == labels);
    assert_eq!(asked(), texts as u64);
}

#[test]
fn bad_rows_and_repeated_ids_do_not_count() {
    let project = Project::new(64);
    let pool = project.read("pool.jsonl");
    let mut lines: Vec<String> = pool.lines().map(str::to_owned).collect();
    let expected = first(&project, 10);
    lines.insert(0, "no row".to_owned());
    lines.insert(3, lines[1].clone());
    // The id of another text, which makes it a bad row.
    lines.insert(5, lines[1].replace("\"text\": \"", "\"text\": \"Not "));
    project.write("pool.jsonl", &(lines.join("\n") + "\n"));
    let planned = plan(&project, &["--limit", "10"]);
    assert_eq!((&planned["texts"], &planned["rows"], &planned["limited"]), (&10.into(), &13.into(), &true.into()));
    limited(&project, "10").expect_exit(0).expect_said("2 row(s) of the corpus could not be used");
    assert_eq!(ids(&project), expected);
}

#[test]
fn in_the_end_the_texts_of_a_pilot_are_as_sure_as_without_one() {
    let confidences = |has_pilot: bool| {
        let project = Project::new(8);
        if has_pilot {
            limited(&project, "40").expect_exit(0);
        }
        project.run();
        let events = latest(&project.events());
        let first = first(&project, 40);
        first.iter().map(|id| events[id].confidence).sum::<f64>() / 40.0
    };
    let (with, without) = (confidences(true), confidences(false));
    assert!((with - without).abs() < 0.05, "{with} {without}");
}

#[test]
fn a_pilot_that_was_killed_goes_on_and_asks_nobody_twice() {
    let project = Project::new(16);
    let server = Server::start(&project, Behaviour { latency: Duration::from_millis(30), ..Behaviour::default() });
    project.configure(&openai(&["all-merged"], &server.url, "").replace("= 64", "= 4"), "");
    let mut child = project.start(&["run", "config.toml", "--limit", "60"]);
    while server.replay.stats().requests < 20 {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    limited(&project, "60").expect_exit(0);
    assert_eq!(ids(&project), first(&project, 60));
    let labels = project.labels();
    let stats = server.replay.stats();
    assert!(stats.requests - stats.repeated == 60 && stats.repeated <= 4 + 1, "{stats:?}");
    // As if it had not been killed.
    std::fs::rename(project.path("run"), project.path("killed")).unwrap();
    limited(&project, "60").expect_exit(0);
    assert!(project.labels() == labels);
}

#[test]
fn a_plan_after_a_pilot_predicts_by_what_was_measured() {
    let project = Project::new(16);
    let texts = project.read("pool.jsonl").lines().count() as u64;
    let behaviour =
        Behaviour { latency: Duration::from_millis(50), tokens: Some((40, 40)), cached: true, ..Behaviour::default() };
    let server = Server::start(&project, behaviour);
    let price = "[teachers.price]\ninput = 1\ncached_input = 0.5\noutput = 4";
    project.configure(&openai(&["all-merged"], &server.url, price), "");
    let before = plan(&project, &[]);
    assert!(before["teachers"][0]["measured"].is_null(), "{before}");
    limited(&project, "50").expect_exit(0);
    let after = plan(&project, &[]);
    let (teacher, measured) = (&after["teachers"][0], &after["teachers"][0]["measured"]);
    let left = texts - 50;
    assert_eq!((&teacher["requests"], &measured["answers"]), (&left.into(), &50.into()));
    // 40 tokens each, where 24 had been assumed; half of the prompt from the cache; the server's latency at least.
    assert_eq!(teacher["tokens"]["completion"], left * 40);
    assert!((measured["cached"].as_f64().unwrap() - 0.5).abs() < 0.05, "{measured}");
    assert!(measured["seconds"].as_f64().unwrap() >= 0.05, "{measured}");
    // The server counts the text alone, so prompts are predicted much shorter than they were estimated.
    let prompt = |plan: &Value| plan["teachers"][0]["tokens"]["prompt"].as_u64().unwrap();
    assert!(prompt(&after) * 4 < prompt(&before), "{after}");
    let cost = |of: &Value| of.as_str().unwrap().parse::<f64>().unwrap();
    let tries = 1.0 + measured["second_tries"].as_f64().unwrap();
    let expected = (prompt(&after) as f64 * 0.75 + (left * 40 * 4) as f64) / 1e6 * tries;
    let (predicted, most) = (cost(&teacher["cost"][0]), cost(&teacher["cost"][1]));
    assert!((predicted - expected).abs() < 0.05 * expected && most > predicted, "{teacher} {expected}");
    let said = project.candist(&["plan", "config.toml"]).expect_exit(0).out;
    assert!(said.contains("measured on 50 answers") && said.contains("a request took 0."), "{said}");
    // What it then was.
    project.run();
    let status: Value = serde_json::from_str(&project.read("run/status.json")).unwrap();
    let spent = cost(&status["cost"]) - cost(&after["spent"]);
    assert!((spent - predicted).abs() < 0.1 * spent, "{spent} {predicted}");
    let all = project.candist(&["plan", "config.toml"]).expect_exit(0).out;
    assert!(all.contains("In all: 0 requests") && all.contains("answers: a request took"), "{all}");
}

#[test]
fn the_share_of_second_tries_is_measured() {
    let project = Project::new(16);
    let faults = Faults { seed: 3, rate: 0.3, kinds: vec![Fault::WrongLabels] };
    let server = Server::start(&project, Behaviour { faults, ..Behaviour::default() });
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    limited(&project, "60").expect_exit(0);
    let repeated = server.replay.stats().received - 60;
    assert!(repeated > 5, "{repeated}");
    let teacher = plan(&project, &[])["teachers"][0].clone();
    let share = repeated as f64 / 60.0;
    assert!((teacher["measured"]["second_tries"].as_f64().unwrap() - share).abs() < 1e-9, "{teacher}");
    let expected = (teacher["requests"].as_f64().unwrap() * share).round();
    assert_eq!(teacher["second_tries"].as_f64().unwrap(), expected, "{teacher}");
}

#[test]
fn gold_labels_say_how_good_a_pilots_answers_are() {
    let project = Project::new(16);
    let server = Server::start(&project, Behaviour::default());
    project.configure(&openai(&["gpt-4", "gpt-3.5"], &server.url, ""), "");
    let gold = ["--gold", "pool_gold.jsonl"];
    let none = project.candist(&["plan", "config.toml", "--gold", "pool_gold.jsonl"]).expect_exit(0).out;
    assert!(none.contains("no text with gold is answered") && none.contains("--limit 50"), "{none}");
    limited(&project, "100").expect_exit(0);
    let on_gold = plan(&project, &gold)["on_gold"].clone();
    let judged = on_gold["judged"].as_array().unwrap();
    assert_eq!(
        judged.iter().map(|one| one["teacher"].as_str()).collect::<Vec<_>>(),
        [Some("gpt-4"), Some("gpt-3.5"), None]
    );
    // By the same counts as `eval` has them, where the teachers are taken together.
    let eval = project.candist(&["eval", "run", "--gold", "pool_gold.jsonl", "--json"]).expect_exit(0).out;
    let eval: Value = serde_json::from_str(&eval).unwrap();
    let together = &judged[2];
    assert_eq!(together["texts"], 100);
    assert_eq!(together["first"]["estimate"], eval["teacher_first"]);
    assert_eq!(together["coverage"]["estimate"], eval["coverage"]);
    for one in judged {
        let share = |name: &str| one["first"][name].as_f64().unwrap();
        assert!(share("low") < share("estimate") && share("estimate") < share("high"), "{one}");
        assert!(share("high") - share("low") < 0.25, "{one}");
    }
    let said = project.candist(&["plan", "config.toml", "--gold", "pool_gold.jsonl"]).expect_exit(0).out;
    assert!(said.contains("gpt-4, on 100 texts") && said.contains("first label right"), "{said}");
    project.write("other.jsonl", "{\"id\": \"pool-0000\", \"label\": \"no label\"}\n");
    project.candist(&["plan", "config.toml", "--gold", "other.jsonl"]).expect_exit(2).expect_said("other.jsonl:1:");
    project.write("other.jsonl", "");
    project.candist(&["plan", "config.toml", "--gold", "other.jsonl"]).expect_exit(2).expect_said("has no gold labels");
}

#[test]
fn requests_are_shown_as_they_would_be_sent_and_nothing_is_written() {
    let project = Project::new(64);
    let server = Server::start(&project, Behaviour::default());
    let more = "api_key_env = \"CANDIST_NO_SUCH_KEY\"\ndraws = 2\n[teachers.price]\ninput = 1\noutput = 4";
    let url = format!("{}?api-version=7&token=secret", server.url);
    let teachers = openai(&["all-merged", "gpt-4"], &url, more) + &crate::support::recorded(&["gpt-3.5"]);
    project.configure(&teachers, "");
    let plan = project.candist(&["plan", "config.toml", "--show", "2"]).expect_exit(0);
    for id in ["pool-0000", "pool-0064"] {
        for model in ["all-merged", "gpt-4"] {
            assert!(plan.out.contains(&format!("==== {id}, as {model} would be asked")), "{}", plan.out);
        }
    }
    let text = serde_json::from_str::<Value>(project.read("pool.jsonl").lines().next().unwrap()).unwrap();
    for said in [
        "[system]\n",
        &format!("[user]\n{}", text["text"].as_str().unwrap()),
        "chat/completions?api-version=7&token=..",
        ", 2 times",
        "response_format json_schema",
        "max_tokens 256",
        "cost 0.0",
    ] {
        assert!(plan.out.contains(said), "{said:?}: {}", plan.out);
    }
    assert!(!plan.out.contains("secret") && !plan.out.contains("pool-0128"), "{}", plan.out);
    plan.expect_said("CANDIST_NO_SUCH_KEY");
    assert_eq!(server.replay.stats().received, 0);
    assert!(!project.path("run").exists());
    project.configure(&crate::support::recorded(&["gpt-4"]), "");
    let recorded = project.candist(&["plan", "config.toml", "--show", "1"]).expect_exit(0).out;
    assert!(recorded.contains("looked up in a recording"), "{recorded}");
}

#[test]
fn of_a_small_corpus_it_is_said_that_confidences_are_not_calibrated() {
    for (stride, said) in [(64, true), (4, false)] {
        let project = Project::new(stride);
        for verb in ["plan", "check"] {
            let told = project.candist(&[verb, "config.toml"]).expect_exit(0).err;
            assert_eq!(told.contains("confidences to be calibrated"), said, "{verb}: {told}");
        }
    }
}
