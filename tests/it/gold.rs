//! `candist eval` and `candist audit`: what they judge, what they leave out, and that they say so.

use serde_json::{Value, json};

use crate::support::{Project, latest};

fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn lines(objects: &[Value]) -> String {
    objects.iter().map(|object| object.to_string() + "\n").collect()
}

fn complete(stride: usize) -> Project {
    let project = Project::new(stride);
    project.run();
    project
}

#[test]
fn gold_for_more_texts_than_the_run_has_is_judged_where_the_run_has_labels() {
    let project = complete(32);
    let eval = |gold: &str| {
        project.write("gold.jsonl", gold);
        project.candist(&["eval", "run", "--gold", "gold.jsonl", "--json"])
    };
    let known = project.read("pool_gold.jsonl");
    let alone: Value = serde_json::from_str(&eval(&known).expect_exit(0).out).unwrap();
    let others: String =
        (0..10_000).map(|i| json!({"id": format!("other-{i}"), "label": "age_limit"}).to_string() + "\n").collect();
    let found = eval(&(others.clone() + &known)).expect_exit(0).expect_said("10,000 of 10,097");
    let found: Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!((&found["distilled"], &found["coverage"]), (&alone["distilled"], &alone["coverage"]));
    assert_eq!((&found["gold"], &found["missing"], &found["labelled"]), (&json!(10_097), &json!(10_000), &json!(97)));
    let table = project.candist(&["eval", "run", "--gold", "gold.jsonl"]).expect_exit(0).out;
    assert!(table.contains("10,000"), "{table}");
    eval(&others).expect_exit(2).expect_said("none of its 10000 texts has a label in run");
}

#[test]
fn a_text_has_one_gold_label() {
    let project = complete(64);
    let mut gold = objects(&project.read("pool_gold.jsonl"));
    let count = gold.len();
    let eval = |gold: &[Value]| {
        project.write("gold.jsonl", &lines(gold));
        project.candist(&["eval", "run", "--gold", "gold.jsonl", "--json"])
    };
    gold.push(gold[0].clone());
    let found: Value = serde_json::from_str(&eval(&gold).expect_exit(0).out).unwrap();
    assert_eq!(found["gold"], json!(count));
    gold[count]["label"] = json!("age_limit");
    gold[0]["label"] = json!("card_arrival");
    let refused = eval(&gold).expect_exit(2);
    refused.expect_said(&format!("gold.jsonl:{}: ", count + 1)).expect_said("line 1");
    gold[count]["label"] = json!("card_arival");
    eval(&gold).expect_exit(2).expect_said("did you mean \"card_arrival\"?");
}

#[test]
fn ids_of_gold_are_read_as_those_of_the_corpus() {
    let project = Project::new(64);
    let mut rows = objects(&project.read("pool.jsonl"));
    let mut gold = objects(&project.read("pool_gold.jsonl"));
    let mut recording = objects(&project.read("teacher_gpt-4.jsonl"));
    for (number, (row, gold)) in rows.iter_mut().zip(&mut gold).enumerate() {
        assert_eq!(row["id"], gold["id"]);
        let before = row["id"].clone();
        (row["id"], gold["id"]) = (json!(number), json!(number));
        recording
            .iter_mut()
            .filter(|answer| answer["id"] == before)
            .for_each(|answer| answer["id"] = json!(number.to_string()));
    }
    project.write("pool.jsonl", &lines(&rows));
    project.write("teacher_gpt-4.jsonl", &lines(&recording));
    project.configure(&crate::support::recorded(&["gpt-4"]), "");
    project.run();
    project.write("gold.jsonl", &lines(&gold));
    let eval = || {
        let found = project.candist(&["eval", "run", "--gold", "gold.jsonl", "--json"]).expect_exit(0);
        serde_json::from_str::<Value>(&found.out).unwrap()
    };
    assert_eq!((eval()["labelled"].as_u64().unwrap(), eval()["missing"].as_u64().unwrap()), (gold.len() as u64, 0));
    gold[0]["id"] = json!(1.5);
    project.write("gold.jsonl", &lines(&gold));
    let refused = project.candist(&["eval", "run", "--gold", "gold.jsonl"]).expect_exit(2);
    refused.expect_said("gold.jsonl:1: ").expect_said("whole number");
}

#[test]
fn gold_may_be_a_column_of_the_corpus_or_have_other_names() {
    let project = Project::new(16);
    let (rows, gold) = (objects(&project.read("pool.jsonl")), objects(&project.read("pool_gold.jsonl")));
    // The corpus has the labels of every other text, and ids of its own.
    let with_gold: Vec<Value> = rows
        .iter()
        .zip(&gold)
        .enumerate()
        .map(|(number, (row, gold))| {
            let label = if number % 2 == 0 { gold["label"].clone() } else { Value::Null };
            json!({"id": row["id"], "text": row["text"], "intent": label})
        })
        .collect();
    project.write("pool.jsonl", &lines(&with_gold));
    project.run();
    let figures = |more: &[&str]| {
        let found = project.candist(&[&["eval"], more, &["--json"]].concat()).expect_exit(0);
        serde_json::from_str::<Value>(&found.out).unwrap()
    };
    let half: Vec<Value> = gold.iter().step_by(2).cloned().collect();
    project.write("half.jsonl", &lines(&half));
    let by_file = figures(&["run", "--gold", "half.jsonl"]);
    assert_eq!(by_file["labelled"], json!(half.len()));
    assert_eq!(figures(&["config.toml", "--gold-field", "intent"]), by_file);
    let renamed: Vec<Value> = half.iter().map(|row| json!({"nr": row["id"], "intent": row["label"]})).collect();
    project.write("renamed.jsonl", &lines(&renamed));
    let named = ["run", "--gold", "renamed.jsonl", "--gold-field", "intent", "--id-field", "nr"];
    assert_eq!(figures(&named), by_file);
    let plan = project.candist(&["plan", "config.toml", "--gold-field", "intent", "--json"]).expect_exit(0).out;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["on_gold"]["gold"], json!(half.len()));

    let refused = |more: &[&str]| project.candist(&[&["eval"], more].concat()).expect_exit(2);
    refused(&["run", "--gold", "renamed.jsonl"]).expect_said("renamed.jsonl:1: ").expect_said("--gold-field");
    refused(&["run", "--gold", "renamed.jsonl", "--gold-field", "intent"]).expect_said("--id-field");
    refused(&["config.toml", "--gold-field", "label"]).expect_said("its columns are id, intent, text");
    refused(&["run", "--gold-field", "intent"]).expect_said("give the configuration");
    refused(&["run"]).expect_said("--gold FILE");
    let heldout = ["run", "--gold", "half.jsonl", "--held-out", "half.jsonl"];
    refused(&heldout).expect_said("half.jsonl:1: ").expect_said("--text-field");
}

#[test]
fn a_run_without_labels_is_said_to_have_none() {
    let project = complete(64);
    let labels = project.labels();
    let eval = |what: &str| project.candist(&[what, "run", "--gold", "pool_gold.jsonl"]).expect_exit(2);
    for content in [Some(""), None] {
        match content {
            Some(content) => project.write("run/labels.jsonl", content),
            None => std::fs::remove_file(project.path("run/labels.jsonl")).unwrap(),
        }
        for verb in ["eval", "audit"] {
            eval(verb).expect_said("run has no labels yet").expect_said("candist run");
        }
        let tail = project.candist(&["tail", "run", "--latest"]);
        assert_eq!((tail.exit, tail.out.as_str()), (Some(if content.is_none() { 2 } else { 0 }), ""));
    }
    project.write("run/labels.jsonl", &labels);
    project.candist(&["eval", "run", "--gold", "pool_gold.jsonl"]).expect_exit(0);
    std::fs::create_dir(project.path("empty")).unwrap();
    project.candist(&["eval", "empty", "--gold", "pool_gold.jsonl"]).expect_exit(2).expect_said("is no run directory");
    project.write("none.jsonl", "\n");
    project.candist(&["eval", "run", "--gold", "none.jsonl"]).expect_exit(2).expect_said("has no gold labels");
}

#[test]
fn without_passes_the_student_keeps_what_the_stream_taught_it() {
    let project = Project::new(2);
    project.write("config.toml", &project.read("config.toml").replace("max_passes = 4", "max_passes = 0"));
    project.run();
    let texts = objects(&project.read("pool.jsonl")).into_iter().zip(objects(&project.read("pool_gold.jsonl")));
    let known: Vec<Value> = texts.map(|(row, gold)| json!({"text": row["text"], "label": gold["label"]})).collect();
    project.write("known.jsonl", &lines(&known));
    let found = ["eval", "run", "--gold", "pool_gold.jsonl", "--held-out", "known.jsonl", "--json"];
    let found: Value = serde_json::from_str(&project.candist(&found).expect_exit(0).out).unwrap();
    // By chance one in 77 is right.
    let accuracy = found["held_out"]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.2, "{found}");
}

#[test]
fn details_are_told_by_label() {
    let project = complete(4);
    let details = ["eval", "run", "--gold", "pool_gold.jsonl", "--details"];
    let shown = project.candist(&details).expect_exit(0).out;
    assert!(shown.contains("precision") && shown.contains("recall") && shown.contains("card_arrival"), "{shown}");
    let longest = shown.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest <= 80, "{longest}\n{shown}");
    let found = project.candist(&[&details[..], &["--json"]].concat()).expect_exit(0).out;
    let found: Value = serde_json::from_str(&found).unwrap();
    let gold = objects(&project.read("pool_gold.jsonl"));
    let events = project.events();
    let labels = latest(&events);
    let (mut right, mut confused) = (0, 0);
    for label in found["details"]["labels"].as_array().unwrap() {
        let is_gold = |row: &&Value| row["label"] == label["label"];
        let support = gold.iter().filter(is_gold).count() as u64;
        let hits = gold
            .iter()
            .filter(is_gold)
            .filter(|row| labels[row["id"].as_str().unwrap()].label == row["label"].as_str().unwrap())
            .count();
        assert_eq!(label["support"], support);
        if support > 0 {
            assert!((label["recall"].as_f64().unwrap() - hits as f64 / support as f64).abs() < 1e-9, "{label}");
        }
        right += hits as u64;
    }
    for confusion in found["details"]["confusions"].as_array().unwrap() {
        assert_ne!(confusion["gold"], confusion["label"]);
        confused += confusion["texts"].as_u64().unwrap();
    }
    assert_eq!(right + confused, gold.len() as u64);
    // Not asked for, not told.
    let short = project.candist(&["eval", "run", "--gold", "pool_gold.jsonl", "--json"]).expect_exit(0).out;
    assert!(serde_json::from_str::<Value>(&short).unwrap()["details"].is_null());
}

#[test]
fn a_sample_of_another_run_is_not_judged_by_the_lines_that_happen_to_match() {
    let project = complete(32);
    let mut rows = objects(&project.candist(&["audit", "run", "--sample", "40"]).expect_exit(0).out);
    for row in &mut rows[..30] {
        row["gold"] = json!("card_arrival");
    }
    let audit = |rows: &[Value]| {
        project.write("sample.jsonl", &lines(rows));
        project.candist(&["audit", "run", "--gold", "sample.jsonl", "--json"])
    };
    let found = audit(&rows).expect_exit(0).expect_said("10 line(s) are not filled in");
    let found: Value = serde_json::from_str(&found.out).unwrap();
    let counts = |found: &Value| ["audited", "unfilled", "foreign"].map(|name| found["audit"][name].as_u64().unwrap());
    assert_eq!(counts(&found), [30, 10, 0]);
    // A few texts of another run: said, and left out.
    for row in &mut rows[..5] {
        row["id"] = json!(format!("other {}", row["id"]));
    }
    for row in &mut rows[5..10] {
        row["text"] = json!("another text under this id");
    }
    let found = audit(&rows).expect_exit(0).expect_said("10 of 30 filled-in line(s)");
    assert_eq!(counts(&serde_json::from_str(&found.out).unwrap()), [20, 10, 10]);
    for row in &mut rows[10..28] {
        row["id"] = json!(format!("other {}", row["id"]));
    }
    audit(&rows).expect_exit(2).expect_said("another run's sample");
    // The same id twice: once, or not at all.
    let mut rows = rows[28..30].to_vec();
    rows.push(rows[0].clone());
    assert_eq!(counts(&serde_json::from_str(&audit(&rows).expect_exit(0).out).unwrap())[0], 2);
    rows[2]["gold"] = json!("age_limit");
    audit(&rows).expect_exit(2).expect_said("sample.jsonl:3: ").expect_said("line 1");
    rows.iter_mut().for_each(|row| row["gold"] = Value::Null);
    audit(&rows).expect_exit(2).expect_said("no line is filled in");
}
