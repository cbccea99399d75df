//! Tables of labels, and what tools import.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};

use candist::LabelEvent;
use serde_json::{Value, json};

use crate::support::{Finished, Project, latest};

fn rows(jsonl: &str) -> Vec<Value> {
    jsonl.lines().map(|row| serde_json::from_str(row).unwrap()).collect()
}

/// The ids and texts of a run, in the order in which they arrived.
fn arrived(project: &Project) -> Vec<(String, String)> {
    let inputs = rows(&project.read("run/inputs.jsonl"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let arrivals = inputs.iter().filter(|input| input["event"] == "arrive");
    arrivals.map(|input| (text(&input["id"]), text(&input["text"]))).collect()
}

/// A finished run of a corpus with columns of its own.
fn finished(stride: usize) -> Project {
    let project = Project::new(stride);
    let pool: String = rows(&project.read("pool.jsonl"))
        .into_iter()
        .zip(0..)
        .map(|(mut row, number)| {
            row["number"] = json!(number);
            row["formula"] = json!(format!("=1+{number}"));
            format!("{row}\n")
        })
        .collect();
    project.write("pool.jsonl", &pool);
    project.run();
    project
}

#[test]
fn a_table_has_a_row_a_text_with_the_label_that_holds() {
    let project = finished(16);
    let said = project.candist(&["export", "run", "--labels", "out.jsonl", "--text"]).expect_exit(0);
    assert!(said.out.is_empty() && said.err.contains("rows in out.jsonl"), "{}", said.err);
    let table = rows(&project.read("out.jsonl"));
    let found: Vec<_> = table.iter().map(|row| (row["id"].as_str().unwrap(), row["text"].as_str().unwrap())).collect();
    let expected = arrived(&project);
    assert_eq!(found, expected.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect::<Vec<_>>());
    let labels: BTreeMap<String, LabelEvent> = latest(&project.events());
    for row in &table {
        let event = &labels[row["id"].as_str().unwrap()];
        let from_log = json!([
            event.label,
            event.confidence,
            event.margin,
            event.others,
            event.candidates,
            event.is_final,
            event.by
        ]);
        assert_eq!(
            json!([
                row["label"],
                row["confidence"],
                row["margin"],
                row["others"],
                row["candidates"],
                row["final"],
                row["by"]
            ]),
            from_log
        );
        let weights: Vec<f64> = serde_json::from_value(row["candidate_weights"].clone()).unwrap();
        assert_eq!(weights.len(), event.candidates.len());
        assert!(weights.is_empty() || (weights.iter().sum::<f64>() - 1.0).abs() < 1e-3, "{weights:?}");
    }
}

/// The cells of CSV or TSV, by the names of their columns.
fn cells(text: &str, delimiter: u8) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

#[test]
fn all_formats_say_the_same() {
    let project = finished(64);
    let export =
        |file: &str| project.candist(&["export", "config.toml", "--labels", file, "--join"]).expect_exit(0).out;
    let bytes = |file: &str| std::fs::read(project.path(file)).unwrap();
    let jsonl = export("-");
    // Standard output is CSV where nothing else is said.
    let table = cells(&jsonl, b',');
    export("out.jsonl");
    let expected = rows(&project.read("out.jsonl"));
    assert_eq!(table.len(), expected.len());
    for (cells, row) in table.iter().zip(&expected) {
        assert_eq!(cells["id"], row["id"].as_str().unwrap());
        assert_eq!(cells["label"], row["label"].as_str().unwrap());
        assert_eq!(cells["confidence"], row["confidence"].to_string());
        assert_eq!(cells["candidates"], row["candidates"].to_string());
        // In the order of the columns' own; a map of JSON values has its keys in another.
        assert_eq!(serde_json::from_str::<Value>(&cells["others"]).unwrap(), row["others"]);
        assert_eq!(cells["text"], row["text"].as_str().unwrap());
        assert_eq!(cells["number"], row["number"].to_string());
        assert_eq!(cells["formula"], format!("'{}", row["formula"].as_str().unwrap()));
    }
    export("out.tsv");
    assert_eq!(cells(&project.read("out.tsv"), b'\t'), table);
    export("out.csv.gz");
    let mut plain = String::new();
    flate2::read::GzDecoder::new(&*bytes("out.csv.gz")).read_to_string(&mut plain).unwrap();
    assert_eq!(plain, jsonl);
    export("out.csv.zst");
    assert_eq!(zstd::decode_all(&*bytes("out.csv.zst")).unwrap(), jsonl.as_bytes());
    let bare = project.candist(&["export", "config.toml", "--labels", "-", "--join", "--no-guard"]).out;
    assert_eq!(bare, jsonl.replace("'=1+", "=1+"));
    let lines = project.candist(&["export", "config.toml", "--labels", "-", "--join", "--format", "jsonl"]).out;
    assert_eq!(rows(&lines), expected);
    export("out.parquet");
    let parquet = project.command(&["export", "config.toml", "--labels", "-", "--join", "--format", "parquet"]);
    let parquet = { parquet }.output().unwrap().stdout;
    assert!(parquet == bytes("out.parquet") && parquet.starts_with(b"PAR1"));
}

#[test]
fn a_table_is_replaced_whole_or_stays() {
    let project = finished(64);
    let export = ["export", "run", "--labels", "out.csv", "--text"];
    project.candist(&export).expect_exit(0);
    let whole = project.read("out.csv");
    let old = "id,label,confidence\nold,a,1\n";
    project.write("out.csv", old);
    // The system ends it in the middle of writing.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 1; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_candist")]).args(export);
    let ended = command.current_dir(project.path("")).stderr(Stdio::null()).status().unwrap();
    assert!(!ended.success());
    assert_eq!(project.read("out.csv"), old);
    project.candist(&export).expect_exit(0);
    assert_eq!(project.read("out.csv"), whole);
    let names = std::fs::read_dir(project.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().ends_with(".part")));
    // A disk without room.
    project
        .candist(&["export", "run", "--labels", "/dev/full", "--format", "csv"])
        .expect_exit(1)
        .expect_said("No space");
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let project = finished(16);
    for format in ["csv", "jsonl", "parquet"] {
        let mut child = project.start(&["export", "run", "--labels", "-", "--format", format]);
        drop(child.stdout.take());
        let ended = Finished::of(child.wait_with_output().unwrap()).expect_exit(0);
        assert!(!ended.err.contains("error"), "{}", ended.err);
    }
}

#[test]
fn what_no_export_wrote_is_not_written_over() {
    let project = finished(128);
    let export = |args: &[&str]| project.candist(&[&["export", "run"], args].concat());
    let refused = |args: &[&str], file: &str, content: &str| {
        project.write(file, content);
        export(args).expect_exit(2).expect_said("was not written by candist");
        assert_eq!(project.read(file), content);
    };
    // The run directory does not say where its corpus is.
    let pool = project.read("pool.jsonl");
    refused(&["--labels", "pool.jsonl"], "pool.jsonl", &pool);
    refused(&["--labels", "mine.csv"], "mine.csv", "id,label\n1,2\n");
    refused(&["--labels", "mine.parquet"], "mine.parquet", "no table at all");
    refused(&["--for", "label-studio", "--out", "tasks.json"], "tasks.xml", "<mine/>\n");
    export(&["--for", "label-studio", "--out", "tasks.xml"]).expect_exit(2).expect_said("tasks.json");
    std::fs::remove_file(project.path("tasks.xml")).unwrap();
    std::fs::create_dir_all(project.path("ds/data")).unwrap();
    refused(&["--for", "hf", "--out", "ds"], "ds/README.md", "# Mine\n");
    std::fs::remove_file(project.path("ds/README.md")).unwrap();
    refused(&["--for", "hf", "--out", "ds"], "ds/data/train-00000-of-00001.parquet", "mine");
    std::fs::remove_file(project.path("ds/data/train-00000-of-00001.parquet")).unwrap();
    std::fs::create_dir_all(project.path("rg/.argilla")).unwrap();
    refused(&["--for", "argilla", "--out", "rg"], "rg/records.json", "[{\"id\": 1}]");
    std::fs::remove_dir_all(project.path("rg")).unwrap();
    for inside in [
        &["export", "run", "--for", "argilla", "--out", "run/a/b"][..],
        &["export", "run", "--student", "run/a"],
        &["batch", "export", "config.toml", "--out", "run/a"],
    ] {
        project.candist(inside).expect_exit(2).expect_said("is in the run directory");
    }
    assert!(!project.path("run/a").exists());
    let init =
        ["init", "pool.jsonl", "--labels", "a,b", "--provider", "ollama", "--yes", "--force", "--out", "pool.jsonl"];
    project.candist(&init).expect_exit(2).expect_said("is the corpus");
    assert_eq!(project.read("pool.jsonl"), pool);
    // What an export wrote is, whatever its name says of its format.
    for _ in 0..2 {
        for table in ["a.csv", "a.tsv.gz", "a.jsonl.zst", "a.parquet"] {
            export(&["--labels", table, "--text"]).expect_exit(0);
        }
        export(&["--labels", "odd.csv", "--format", "jsonl"]).expect_exit(0);
        for (tool, out) in [("label-studio", "tasks.json"), ("hf", "ds"), ("argilla", "rg")] {
            export(&["--for", tool, "--out", out]).expect_exit(0);
        }
    }
}

#[test]
fn labels_are_of_the_texts_that_were_labelled() {
    let project = finished(64);
    // Every other id has another text by now.
    let changed: String = rows(&project.read("pool.jsonl"))
        .into_iter()
        .zip(0..)
        .map(|(mut row, number)| {
            if number % 2 == 0 {
                row["text"] = json!(format!("quite another text, number {number}"));
            }
            row["gold"] = json!("age_limit");
            format!("{row}\n")
        })
        .collect();
    let (count, others) = (changed.lines().count(), changed.lines().count().div_ceil(2));
    project.write("pool.jsonl", &changed);
    let plan: Value =
        serde_json::from_str(&project.candist(&["plan", "config.toml", "--json"]).expect_exit(0).out).unwrap();
    assert_eq!((&plan["bad_rows"], &plan["known"]), (&json!(others), &json!(count - others)));
    let export = ["export", "config.toml", "--labels", "-", "--format", "jsonl", "--join"];
    let exported = project.candist(&export).expect_exit(0).expect_said("or with another text");
    let table = rows(&exported.out);
    assert_eq!(table.iter().filter(|row| row["number"].is_null()).count(), others);
    assert!(!exported.out.contains("quite another"));
    let eval = project.candist(&["eval", "config.toml", "--gold-field", "gold", "--json"]).expect_exit(0);
    let eval: Value = serde_json::from_str(&eval.out).unwrap();
    assert_eq!((&eval["gold"], &eval["missing"]), (&json!(count), &json!(others)));
    project.candist(&["run", "config.toml"]).expect_exit(0).expect_said("could not be used");
}

#[test]
fn what_cannot_be_exported_is_said() {
    let project = finished(128);
    let refused = |args: &[&str], sentence: &str| {
        project.candist(&[&["export", "run"], args].concat()).expect_exit(2).expect_said(sentence);
    };
    refused(&[], "required");
    refused(&["--labels", "out"], "tells no format");
    refused(&["--labels", "out.parquet.gz"], "compressed twice");
    refused(&["--labels", "run/labels.jsonl"], "is in the run directory");
    refused(&["--labels", "out.csv", "--join"], "--config FILE");
    refused(&["--labels", "out.csv", "--label", "card_arival"], "did you mean \"card_arrival\"?");
    refused(&["--labels", "out.csv", "--min-confidence", "2"], "from 0 to 1");
    refused(&["--labels", "out.csv", "--doubtful", "0"], "doubtful");
    refused(&["--labels", "out.csv", "--student", "s"], "cannot be used with");
    refused(&["--student", "s", "--join"], "cannot be used with");
    refused(&["--for", "hf"], "--out");
    refused(&["--for", "hf", "--out", "."], "choose an empty or new folder");
    refused(&["--labels", "pool.jsonl", "--config", "config.toml"], "is a file of the corpus");
    assert!(!project.path("out.csv").exists());
    std::fs::write(project.path("run/labels.jsonl"), "").unwrap();
    refused(&["--labels", "out.csv"], "has no labels yet");
}

#[test]
fn tools_get_tasks_records_and_a_dataset() {
    let project = finished(64);
    let count = arrived(&project).len();
    let export =
        |tool: &str, out: &str| project.candist(&["export", "config.toml", "--for", tool, "--out", out, "--join"]);
    // Twice: what an earlier export wrote is replaced.
    for _ in 0..2 {
        export("label-studio", "tasks.json").expect_exit(0).expect_said("tasks.xml");
        export("argilla", "argilla").expect_exit(0).expect_said("from_disk");
        export("hf", "dataset").expect_exit(0).expect_said("load_dataset");
    }
    let tasks: Vec<Value> = serde_json::from_str(&project.read("tasks.json")).unwrap();
    assert_eq!((tasks.len(), tasks[3]["data"]["number"].as_u64()), (count, Some(3)));
    assert!(project.read("tasks.xml").contains("<Choice value=\"card_arrival\"/>"));
    let records: Vec<Value> = serde_json::from_str(&project.read("argilla/records.json")).unwrap();
    assert_eq!((records.len(), records[3]["metadata"]["number"].as_u64()), (count, Some(3)));
    assert!(project.path("argilla/.argilla/settings.json").exists());
    let card = project.read("dataset/README.md");
    assert!(card.contains("class_label") && card.contains("- name: \"number\"\n    dtype: int64\n"), "{card}");
    assert!(project.path("dataset/data/train-00000-of-00001.parquet").exists());
}

/// A sample of `count` texts, filled in by the gold labels.
fn audited(project: &Project, count: usize) -> Vec<Value> {
    let gold = gold(project);
    let drawn = project.candist(&["audit", "run", "--sample", &count.to_string()]).expect_exit(0).out;
    let mut drawn = rows(&drawn);
    drawn.iter_mut().for_each(|row| row["gold"] = json!(gold[row["id"].as_str().unwrap()]));
    drawn
}

fn gold(project: &Project) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rows(&project.read("pool_gold.jsonl")).iter().map(|row| (text(&row["id"]), text(&row["label"]))).collect()
}

fn write_rows(project: &Project, name: &str, rows: &[Value]) {
    project.write(name, &rows.iter().map(|row| format!("{row}\n")).collect::<String>());
}

/// The files of a run directory with their contents.
fn files(project: &Project) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![project.path("run")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.display().to_string(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn an_audit_recalibrates_confidences_and_gives_sets() {
    let project = finished(8);
    let (gold, before) = (gold(&project), files(&project));
    // A person who finds every third label wrong: confidences must be lower by that.
    let mut sample = audited(&project, 150);
    sample.iter_mut().step_by(3).for_each(|row| row["gold"] = json!("age_limit"));
    write_rows(&project, "hard.jsonl", &sample);
    write_rows(&project, "audited.jsonl", &audited(&project, 150));
    let export = |args: &[&str]| {
        let export = ["export", "run", "--labels", "-", "--format", "jsonl"];
        rows(&project.candist(&[&export, args].concat()).expect_exit(0).out)
    };
    let number = |row: &Value, name: &str| row[name].as_f64().unwrap();
    let plain = export(&[]);
    let mean = |rows: &[Value]| rows.iter().map(|row| number(row, "confidence")).sum::<f64>() / rows.len() as f64;
    let hard = export(&["--audited", "hard.jsonl"]);
    // Not asked for, not there; and nothing else is changed.
    let table = export(&["--audited", "audited.jsonl", "--coverage", "0.85"]);
    assert!(hard[0].get("label_set").is_none() && plain[0].get("confidence_raw").is_none());
    assert!(mean(&hard) < mean(&table) - 0.1, "{} {}", mean(&hard), mean(&table));
    for (row, plain) in table.iter().zip(&plain) {
        assert_eq!(row["confidence_raw"], plain["confidence"]);
        for column in plain.as_object().unwrap().keys().filter(|name| *name != "confidence") {
            assert_eq!(row[column], plain[column]);
        }
    }
    // The order of labels stays.
    for rows in [&hard, &table] {
        let mut pairs: Vec<_> =
            rows.iter().map(|row| (number(row, "confidence_raw"), number(row, "confidence"))).collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(pairs.windows(2).all(|two| two[0].1 <= two[1].1), "{pairs:?}");
    }
    // A set begins with the label; sets hold the right one about as often as was asked for, and no more than they must.
    let held = table.iter().filter(|row| {
        let set: Vec<&str> = row["label_set"].as_array().unwrap().iter().map(|label| label.as_str().unwrap()).collect();
        assert_eq!(set[0], row["label"].as_str().unwrap());
        set.contains(&gold[row["id"].as_str().unwrap()].as_str())
    });
    let held = held.count() as f64 / table.len() as f64;
    assert!(held > 0.8, "{held}");
    // What `audit` says of them is what the table has.
    let told = project.candist(&["audit", "run", "--gold", "audited.jsonl", "--coverage", "0.85", "--json"]);
    let told: Value = serde_json::from_str(&told.expect_exit(0).out).unwrap();
    let size = table.iter().map(|row| row["label_set"].as_array().unwrap().len()).sum::<usize>() as f64;
    let found = &told["audit"]["sets"]["found"];
    assert!((found["mean_size"].as_f64().unwrap() - size / table.len() as f64).abs() < 1e-9, "{told}");
    let calibration = &told["audit"]["calibration"];
    assert!((calibration["mean"].as_f64().unwrap() - mean(&plain)).abs() < 1e-9);
    assert!((calibration["recalibrated_mean"].as_f64().unwrap() - mean(&table)).abs() < 1e-3);
    // Filters go by what is written.
    let sure = export(&["--audited", "hard.jsonl", "--min-confidence", "0.6"]);
    assert_eq!(sure.len(), hard.iter().filter(|row| number(row, "confidence") >= 0.6).count());
    let doubtful = export(&["--audited", "hard.jsonl", "--doubtful", "5"]);
    let least = plain.iter().map(|row| number(row, "confidence")).fold(1.0, f64::min);
    assert_eq!(number(&doubtful[0], "confidence_raw"), least);
    // The other formats have the same.
    let csv = ["export", "run", "--labels", "-", "--audited", "audited.jsonl", "--coverage", "0.85"];
    for (cells, row) in cells(&project.candist(&csv).expect_exit(0).out, b',').iter().zip(&table) {
        assert_eq!(
            (&cells["confidence"], &cells["label_set"]),
            (&row["confidence"].to_string(), &row["label_set"].to_string())
        );
        assert_eq!(cells["confidence_raw"], row["confidence_raw"].to_string());
    }
    project
        .candist(&["export", "run", "--labels", "out.parquet", "--audited", "audited.jsonl", "--coverage", "0.85"])
        .expect_exit(0);
    for (tool, out) in [("hf", "hub"), ("label-studio", "tasks.json")] {
        let export = ["export", "run", "--for", tool, "--out", out, "--audited", "hard.jsonl", "--coverage", "0.5"];
        project.candist(&export).expect_exit(0);
    }
    assert!(project.read("hub/README.md").contains("  - name: \"label_set\"\n    sequence: string\n"));
    let tasks: Vec<Value> = serde_json::from_str(&project.read("tasks.json")).unwrap();
    assert_eq!(tasks[0]["predictions"][0]["score"], hard[0]["confidence"]);
    assert!(files(&project) == before, "an export wrote into the run directory");
}

#[test]
fn an_audit_that_says_nothing_of_the_run_is_no_base_of_an_export() {
    let project = finished(32);
    let mut sample = audited(&project, 20);
    write_rows(&project, "audited.jsonl", &sample);
    let export = |args: &[&str]| project.candist(&[&["export", "run", "--labels", "out.csv"], args].concat());
    export(&["--coverage", "0.9"]).expect_exit(2).expect_said("--audited");
    export(&["--audited", "audited.jsonl", "--coverage", "1"]).expect_exit(2).expect_said("between 0 and 1");
    let few = ["--audited", "audited.jsonl", "--coverage", "0.99"];
    export(&few).expect_exit(2).expect_said("takes 99 audited texts at least");
    // Labels that no text here has.
    sample.iter_mut().step_by(2).for_each(|row| row["gold"] = json!("visa_or_mastercard"));
    write_rows(&project, "other.jsonl", &sample);
    let beyond = ["--audited", "other.jsonl", "--coverage", "0.9"];
    let said = export(&beyond).expect_exit(2).expect_said("is not reached with the labels that the run records").err;
    let reached = said.split("records, ").nth(1).unwrap().split(' ').next().unwrap();
    export(&["--audited", "other.jsonl", "--coverage", reached]).expect_exit(0);
    let judged = project.candist(&["audit", "run", "--gold", "other.jsonl", "--coverage", "0.9"]).expect_exit(0).out;
    assert!(judged.contains(&format!("{reached} is: ask for that much")), "{judged}");
    // The checks of `audit`.
    std::fs::remove_file(project.path("out.csv")).unwrap();
    sample.iter_mut().skip(4).for_each(|row| row["id"] = json!(format!("other {}", row["id"])));
    write_rows(&project, "foreign.jsonl", &sample);
    export(&["--audited", "foreign.jsonl"]).expect_exit(2).expect_said("is another run's sample");
    sample[0]["gold"] = json!("nonsense");
    write_rows(&project, "wrong.jsonl", &sample);
    export(&["--audited", "wrong.jsonl"]).expect_exit(2).expect_said("\"nonsense\" is none");
    export(&["--audited", "missing.jsonl"]).expect_exit(2).expect_said("missing.jsonl");
    assert!(!project.path("out.csv").exists());
}
