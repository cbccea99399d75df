//! Tables of run directories that are written by hand.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::base::sealed::seal;
use crate::domain::label::{Label, LabelSet};
use crate::store::RunDir;

/// A run directory of the labels a, b and c with these events.
fn run(inputs: &[Value], labels: &[Value]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let begin =
        r#"{"event":"begin","format":1,"run":"0","task":"t","labels":["a","b","c"],"teachers":["x","y"],"asking":"0"}"#;
    // By hand, for a map of JSON values has its keys in another order, and the log's is fixed.
    let line = |event: &Value| {
        let kind = event["event"].as_str().unwrap();
        let rest = event.to_string().replacen(&format!("\"event\":\"{kind}\","), "", 1).replacen(
            &format!(",\"event\":\"{kind}\""),
            "",
            1,
        );
        seal(&format!("{{\"event\":\"{kind}\",{}", &rest[1..]))
    };
    let log: String = std::iter::once(seal(begin)).chain(inputs.iter().map(line)).collect();
    std::fs::write(dir.path().join("inputs.jsonl"), log).unwrap();
    let log: String = labels.iter().map(|event| format!("{event}\n")).collect();
    std::fs::write(dir.path().join("labels.jsonl"), log).unwrap();
    dir
}

fn arrive(position: u64, id: &str, asked: Value) -> Value {
    json!({"event": "arrive", "position": position, "id": id, "text": format!("text of {id}"), "asked": asked})
}

fn label(offset: u64, id: &str, label: &str, confidence: f64, is_final: bool) -> Value {
    json!({
        "offset": offset, "id": id, "label": label, "confidence": confidence, "candidates": [label], "by": "posterior",
        "revision": 0, "student": 0, "final": is_final,
    })
}

fn said(labels: &[&str]) -> Value {
    json!([{"teacher": "x", "labels": labels}])
}

fn write(dir: &Path, options: &TableOptions) -> (Vec<Value>, TableSummary) {
    let view = RunDir::view(dir).unwrap();
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("out.jsonl");
    let summary = write_table(&view, options, TableFormat::JsonLines, Compression::None, Some(&path)).unwrap();
    let rows = std::fs::read_to_string(path).unwrap();
    (rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect(), summary)
}

fn column<'a>(rows: &'a [Value], name: &str) -> Vec<&'a Value> {
    rows.iter().map(|row| &row[name]).collect()
}

fn three() -> tempfile::TempDir {
    let inputs = [
        arrive(0, "one", said(&["a", "b"])),
        arrive(1, "two", said(&[])),
        arrive(2, "three", said(&["b"])),
        json!({"event": "answers", "position": 0, "asked": said(&["c"])}),
        json!({"event": "answers", "position": 0, "asked": [{"teacher": "x", "labels": ["c", "a"], "weights": [0.6, 0.2]}]}),
        json!({"event": "end", "samples": 3}),
    ];
    let mut last = label(2, "one", "c", 0.75, true);
    last["margin"] = json!(0.5);
    last["others"] = json!([{"label": "a", "confidence": 0.25}]);
    run(&inputs, &[label(0, "one", "a", 0.5, false), label(1, "three", "b", 0.9, false), last])
}

#[test]
fn a_row_has_the_label_and_the_answers_that_hold() {
    let dir = three();
    let (rows, summary) = write(dir.path(), &TableOptions { text: true, ..TableOptions::default() });
    assert_eq!(
        rows[0],
        json!({
            "id": "one", "label": "c", "confidence": 0.75, "margin": 0.5, "others": [{"label": "a", "confidence": 0.25}],
            "candidates": ["c", "a"],
            "candidate_weights": [0.75, 0.25], "by": "posterior", "corrected": false, "final": true, "text": "text of one",
        })
    );
    assert_eq!(
        rows[1],
        json!({
            "id": "two", "label": null, "confidence": null, "margin": null, "others": null,
            "candidates": [], "candidate_weights": [],
            "by": null, "corrected": false, "final": false, "text": "text of two",
        })
    );
    assert_eq!(column(&rows, "id"), ["one", "two", "three"]);
    assert_eq!((&rows[2]["margin"], &rows[2]["others"]), (&Value::Null, &Value::Null));
    assert_eq!(summary, TableSummary { rows: 3, without_label: 1, ..TableSummary::default() });
}

#[test]
fn a_text_that_could_not_be_answered_has_a_row_until_it_arrives() {
    let dir = three();
    let note = |id: &str| json!({"kind": "unanswered", "id": id, "reason": "no"}).to_string() + "\n";
    std::fs::write(dir.path().join("failures.jsonl"), note("four") + &note("three")).unwrap();
    let (rows, summary) = write(dir.path(), &TableOptions::default());
    assert_eq!(column(&rows, "id"), ["one", "two", "three", "four"]);
    assert_eq!((rows[3]["label"].clone(), summary.without_label), (Value::Null, 2));
}

#[test]
fn rows_are_chosen_by_confidence_label_and_doubt() {
    let dir = three();
    let ids = |options: TableOptions| {
        let (rows, summary) = write(dir.path(), &options);
        assert_eq!((summary.rows, summary.without_label), (rows.len() as u64, 0));
        column(&rows, "id").into_iter().map(|id| id.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(TableOptions { min_confidence: Some(0.0), ..TableOptions::default() }), ["one", "three"]);
    assert_eq!(ids(TableOptions { max_confidence: Some(0.75), ..TableOptions::default() }), ["one"]);
    assert_eq!(ids(TableOptions { doubtful: Some(9), ..TableOptions::default() }), ["one", "three"]);
    assert_eq!(
        ids(TableOptions { doubtful: Some(1), min_confidence: Some(0.8), ..TableOptions::default() }),
        ["three"]
    );
    assert_eq!(ids(TableOptions { labels: vec!["B".into()], ..TableOptions::default() }), ["three"]);
    let unknown = TableOptions { labels: vec!["bee".into()], ..TableOptions::default() };
    let view = RunDir::view(dir.path()).unwrap();
    let refused = write_table(&view, &unknown, TableFormat::Csv, Compression::None, Some("/nowhere".as_ref()));
    assert!(refused.unwrap_err().to_string().contains("has no label \"bee\""));
}

/// The configuration of the run, with aliases and a corpus.
fn config(dir: &Path, corpus: &str) -> Config {
    let path = dir.with_extension("corpus.jsonl");
    std::fs::write(&path, corpus).unwrap();
    let mut config = Config::new("t", ["a", "b", "c"], dir).unwrap();
    let label = |name: &str| Label { name: name.into(), description: None, aliases: vec![format!("{name}-alias")] };
    config.task.labels = LabelSet::new(["a", "b", "c"].map(label).to_vec()).unwrap();
    config.corpus.paths = vec![path];
    config
}

#[test]
fn the_corpus_columns_are_joined_by_id_in_any_order() {
    let dir = three();
    let row = |id: &str, n: u32| {
        json!({"id": id, "text": format!("text of {id}"), "n": n, "label": "own", "mixed": if n == 1 { json!(1) } else { json!("s") }})
            .to_string()
            + "\n"
    };
    let orders: [&[&str]; 3] = [&["one", "two", "three"], &["new", "three", "one", "two", "one"], &["three", "new"]];
    for order in orders {
        let corpus: String = order.iter().zip(1..).map(|(id, n)| row(id, n)).collect::<String>() + "nonsense\n";
        let options = TableOptions { config: Some(config(dir.path(), &corpus)), join: true, ..TableOptions::default() };
        let (rows, summary) = write(dir.path(), &options);
        assert_eq!(column(&rows, "id"), ["one", "two", "three"]);
        let place = |id: &str| order.iter().position(|other| *other == id).map(|place| place as u64 + 1);
        let expected: Vec<Value> = ["one", "two", "three"].iter().map(|id| json!(place(id))).collect();
        assert_eq!(column(&rows, "n"), expected.iter().collect::<Vec<_>>());
        assert_eq!(summary.not_in_corpus, expected.iter().filter(|place| place.is_null()).count() as u64);
        assert_eq!(rows[2]["corpus_label"], json!("own"));
        assert_eq!((&rows[2]["label"], &rows[2]["text"]), (&json!("b"), &json!("text of three")));
        let doubtful = TableOptions { doubtful: Some(1), labels: vec!["b-alias".into()], ..options };
        let (rows, _) = write(dir.path(), &doubtful);
        assert_eq!((rows.len(), rows[0]["n"].as_u64()), (1, place("three")));
    }
}

#[test]
fn what_is_new_in_the_corpus_is_counted() {
    let dir = three();
    let corpus = ["one", "new", "two", "newer"].map(|id| json!({"id": id, "text": "x"}).to_string() + "\n").concat();
    let options = TableOptions { config: Some(config(dir.path(), &corpus)), join: true, ..TableOptions::default() };
    assert_eq!(write(dir.path(), &options).1.not_in_run, 2);
}

#[test]
fn logs_and_corpus_are_not_written_over() {
    let dir = three();
    let view = RunDir::view(dir.path()).unwrap();
    let options = TableOptions { config: Some(config(dir.path(), "{}\n")), ..TableOptions::default() };
    let corpus = options.config.as_ref().unwrap().corpus.paths[0].clone();
    for path in [dir.path().join("labels.jsonl"), dir.path().join("new.csv"), corpus] {
        let refused = write_table(&view, &options, TableFormat::Csv, Compression::None, Some(&path)).unwrap_err();
        assert!(refused.to_string().contains("choose another"), "{refused}");
    }
    assert_eq!(view.label_events().unwrap().0, 3);
}

#[test]
fn a_damaged_line_or_a_missing_log_gives_no_table() {
    let dir = three();
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("out.csv");
    let old = "id,label,confidence\nold,a,1\n";
    std::fs::write(&path, old).unwrap();
    let error = || {
        let view = RunDir::view(dir.path()).unwrap();
        let error = write_table(&view, &TableOptions::default(), TableFormat::Csv, Compression::None, Some(&path));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), old);
        assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 1);
        error.unwrap_err().to_string()
    };
    let inputs = std::fs::read_to_string(dir.path().join("inputs.jsonl")).unwrap();
    std::fs::write(dir.path().join("inputs.jsonl"), inputs.replace("text of three", "text of eerth")).unwrap();
    assert!(error().contains("inputs.jsonl:4: this line of the input log does not match its checksum"), "{}", error());
    std::fs::write(dir.path().join("labels.jsonl"), "{}\n").unwrap();
    assert!(error().contains("is no label event"), "{}", error());
    std::fs::remove_file(dir.path().join("labels.jsonl")).unwrap();
    assert!(error().contains("has no labels yet"), "{}", error());
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_has_the_types_of_its_columns() {
    use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type};

    let dir = three();
    let corpus = json!({"id": "three", "text": "text of three", "n": 7, "d": 1.5, "yes": true, "s": "é", "any": [1]})
        .to_string();
    let options = TableOptions { config: Some(config(dir.path(), &corpus)), join: true, ..TableOptions::default() };
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("out.parquet");
    let view = RunDir::view(dir.path()).unwrap();
    write_table(&view, &options, TableFormat::Parquet, Compression::None, Some(&path)).unwrap();
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path).unwrap()).unwrap().build().unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    let [batch] = batches.as_slice() else { panic!("{batches:?}") };
    let types: Vec<String> =
        batch.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
    assert_eq!(types[..4], ["id Utf8", "label Utf8", "confidence Float64", "margin Float64"]);
    assert!(types[4].starts_with("others List(") && types[5].starts_with("candidates List("), "{types:?}");
    assert_eq!(
        types[7..],
        [
            "by Utf8",
            "corrected Boolean",
            "final Boolean",
            "text Utf8",
            "any Utf8",
            "d Float64",
            "n Int64",
            "s Utf8",
            "yes Boolean"
        ]
    );
    assert_eq!(batch["label"].as_string::<i32>().iter().collect::<Vec<_>>(), [Some("c"), None, Some("b")]);
    assert_eq!(batch["n"].as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [None, None, Some(7)]);
    assert_eq!(batch["any"].as_string::<i32>().value(2), "[1]");
    let weights = batch["candidate_weights"].as_list::<i32>().value(0);
    assert_eq!(weights.as_primitive::<Float64Type>().values(), &[0.75, 0.25]);
    assert_eq!(batch["candidates"].as_list::<i32>().value(1).len(), 0);
    let others = batch["others"].as_list::<i32>();
    assert_eq!((others.value(0).len(), others.is_null(1), others.is_null(2)), (1, true, true));
    let other = others.value(0);
    assert_eq!(other.as_struct()["label"].as_string::<i32>().value(0), "a");
    assert_eq!(other.as_struct()["confidence"].as_primitive::<Float64Type>().value(0), 0.25);
}
