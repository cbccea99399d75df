//! The schemas: schemas/ has those of the program, and what runs write, and what they read, is as they say.
//!
//! `CANDIST_BLESS=1` writes what is compared.

use std::path::Path;

use serde_json::{Value, json};

use crate::server::Behaviour;
use crate::support::{Project, Server, latest, openai, recorded, repository};

const SCHEMAS: [&str; 16] = [
    "config",
    "row",
    "recording",
    "answer",
    "input",
    "correction",
    "audit-log",
    "certificate",
    "label",
    "failure",
    "audit",
    "status",
    "table",
    "parts-manifest",
    "openapi",
    "openapi-predict",
];

/// Compares the file at `path` with what it must be, or writes it where that is asked for.
#[track_caller]
pub(crate) fn expect_file(path: &Path, now: &str) {
    if std::env::var_os("CANDIST_BLESS").is_some() {
        std::fs::write(path, now).unwrap();
    }
    let shipped = std::fs::read_to_string(path).unwrap_or_default();
    assert!(shipped == now, "{} is of another program: run `make reference`", path.display());
}

/// Fails where `value` is not as the schema says.
#[track_caller]
pub(crate) fn validate(schema: &str, value: &Value, place: &str) {
    let errors = errors(schema, value);
    assert!(errors.is_empty(), "{place}: not as schemas/{schema}.json says: {}\n{value}", errors.join("; "));
}

fn errors(schema: &str, value: &Value) -> Vec<String> {
    let text = std::fs::read_to_string(repository().join(format!("schemas/{schema}.json"))).unwrap();
    let (mut compiler, mut schemas) = (boon::Compiler::new(), boon::Schemas::new());
    // A name alone: nothing is looked up under it.
    compiler.add_resource("schema.json", serde_json::from_str(&text).unwrap()).unwrap();
    let compiled = compiler.compile("schema.json", &mut schemas).unwrap();
    schemas.validate(value, compiled).err().map(|error| error.to_string()).into_iter().collect()
}

/// Every line of `text`, of which there are some.
#[track_caller]
fn validate_lines(schema: &str, text: &str) {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    assert!(!lines.is_empty(), "nothing to hold against {schema}");
    // The schema is compiled for each: some lines of each kind do.
    for line in lines.iter().step_by(1 + lines.len() / 50).chain(lines.last()) {
        validate(schema, &serde_json::from_str(line).unwrap(), line);
    }
}

fn as_json(toml: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Value>(toml).unwrap()).unwrap()
}

#[test]
fn the_schemas_are_those_of_the_program() {
    let project = Project::new(512);
    for of in SCHEMAS {
        let now = project.candist(&["schema", of]).expect_exit(0).out;
        expect_file(&repository().join(format!("schemas/{of}.json")), &now);
    }
    // Last: a new one is written above, where that is asked for.
    let shipped = std::fs::read_dir(repository().join("schemas")).unwrap().count();
    assert_eq!(shipped, SCHEMAS.len());
}

#[test]
fn what_a_run_reads_and_writes_is_as_the_schemas_say() {
    let project = Project::new(32);
    validate_lines("row", &project.read("pool.jsonl"));
    validate_lines("recording", &project.read("teacher_gpt-4.jsonl"));
    let server = Server::start(&project, Behaviour { report_cost: true, cached: true, ..Behaviour::default() });
    // A bad row, a text that nobody knows, and prices: all fields are there somewhere.
    let pool = project.read("pool.jsonl") + "{\"id\": \"other\", \"text\": \"zzz\"}\n{\"id\": 7}\n";
    project.write("pool.jsonl", &pool);
    project.configure(&openai(&["all-merged"], &server.url, "price = { input = 1, output = 2 }\nmax_retries = 0"), "");
    let _ = project.candist(&["run", "config.toml"]);
    validate("config", &as_json(&project.read("config.toml")), "config.toml");
    for (schema, file) in [("answer", "answers"), ("input", "inputs"), ("label", "labels"), ("failure", "failures")] {
        validate_lines(schema, &project.read(&format!("run/{file}.jsonl")));
    }
    // Each is a recording too.
    validate_lines("recording", &project.read("run/answers.jsonl"));
    validate_lines("status", &project.read("run/status.json"));
    project.remove_run();
    project.configure(&recorded(&["gpt-4"]), "");
    project.run();
    validate_lines("audit", &project.candist(&["audit", "run", "--sample", "5"]).expect_exit(0).out);
    validate_lines("label", &project.labels());
    let sample = project.candist(&["audit", "run", "--sample", "20"]).expect_exit(0).out;
    let labels = latest(&project.events());
    let audited = sample.lines().map(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        let label = &labels[row["id"].as_str().unwrap()].label;
        format!("{}\n", json!({"id": row["id"], "gold": label}))
    });
    project.write("audited.jsonl", &audited.collect::<String>());
    for more in [
        &[][..],
        &["--join", "--config", "config.toml"],
        &["--audited", "audited.jsonl"],
        &["--audited", "audited.jsonl", "--coverage", "0.9"],
    ] {
        let export = ["export", "run", "--labels", "-", "--format", "jsonl"];
        validate_lines("table", &project.candist(&[&export, more].concat()).expect_exit(0).out);
    }
}

#[test]
fn every_configuration_is_as_the_schema_says_and_names_it() {
    for folder in ["configs", "examples/reviews"] {
        for entry in std::fs::read_dir(repository().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|end| end != "toml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            validate("config", &as_json(&text), &path.display().to_string());
            // Editors look there: the path is relative to the file.
            let named = text.lines().next().and_then(|line| line.strip_prefix("#:schema ")).unwrap();
            assert!(path.parent().unwrap().join(named).is_file(), "{}: {named}", path.display());
        }
    }
}

/// What the program refuses for its form, the schema refuses too: an editor shows it while it is typed.
#[test]
fn the_schema_of_configurations_refuses_what_the_program_refuses() {
    let project = Project::new(512);
    let good = as_json(&project.read("config.toml"));
    let wrong = [
        ("/student/dimension", json!(-1)),
        ("/student/dimension", json!(1_000_000)),
        ("/distill/folds", json!(1)),
        ("/distill/refinery", json!("posteriour")),
        ("/corpus/path", json!(3)),
        ("/corpus/text_feild", json!("body")),
        ("/teachers/0/kind", json!("openal")),
        ("/teachers/0/temperature", json!(9)),
        ("/task/labels", json!(["one"])),
        ("/run/checkpoint_every_s", json!("often")),
    ];
    for (at, value) in wrong {
        let mut config = good.clone();
        let (table, key) = at.rsplit_once('/').unwrap();
        config.pointer_mut(table).unwrap()[key] = value;
        assert!(!errors("config", &config).is_empty(), "{at}: {config}");
    }
}

/// The same for rows of a corpus: what a reader makes of them, and what the schema says.
#[test]
fn rows_are_what_their_schema_says() {
    let good = [json!({"text": "a"}), json!({"id": "7", "text": " a "}), json!({"id": 7, "text": "a", "more": null})];
    let bad =
        [json!({"id": "7"}), json!({"text": ""}), json!({"text": " "}), json!({"id": true, "text": "a"}), json!([])];
    for (rows, is_good) in [(good.as_slice(), true), (&bad, false)] {
        for row in rows {
            assert_eq!(errors("row", row).is_empty(), is_good, "{row}");
        }
    }
    let project = Project::new(512);
    let first = project.read("pool.jsonl").lines().next().unwrap().to_owned();
    for row in bad {
        project.write("pool.jsonl", &format!("{first}\n{row}\n"));
        project.remove_run();
        project.candist(&["run", "config.toml", "--strict"]).expect_exit(1);
    }
}
