//! `candist predict --input .. --output ..`: labels in parts, by processes that know nothing of each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use candist::internal::rng;
use rand::Rng;
use serde_json::Value;
use tempfile::TempDir;

use crate::schemas::validate;
use crate::support::{Finished, Project, copy_folder};

/// Places at which a process can die.
pub(crate) const PLACES: [&str; 7] =
    ["object-linked", "object-written", "part-put", "part-read", "part-spooled", "parts-complete", "parts-manifest"];

/// A classifier of a few weights.
pub(crate) const ENCODER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/encoders/bert");

/// A project with an exported student, and `big.jsonl`, which is cut into parts.
pub(crate) fn project() -> Project {
    static STUDENT: OnceLock<TempDir> = OnceLock::new();
    let student = STUDENT.get_or_init(|| {
        let project = Project::new(16);
        project.run();
        project.candist(&["export", "run", "--student", "student"]).expect_exit(0);
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&project.path("student"), folder.path());
        folder
    });
    let project = Project::new(1);
    copy_folder(student.path(), &project.path("student"));
    project.write("big.jsonl", &project.read("pool.jsonl"));
    project
}

const PREDICT: [&str; 6] = ["predict", "--student", "student", "--output", "out", "--input"];

fn predict(project: &Project, input: &str, more: &[&str]) -> Finished {
    project.candist(&[&PREDICT[..], &[input], more].concat())
}

/// What is said of `input` on standard output.
pub(crate) fn printed(project: &Project, input: &str) -> String {
    project.candist(&["predict", "--student", "student", input]).expect_exit(0).out
}

/// The folder of the job, of which there is one.
fn job(project: &Project) -> PathBuf {
    job_in(project, "out")
}

fn job_in(project: &Project, output: &str) -> PathBuf {
    let jobs: Vec<PathBuf> =
        std::fs::read_dir(project.path(output)).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [job] = jobs.try_into().unwrap();
    job
}

/// All files below a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            files.extend(self::files(&path).into_iter().map(|(below, content)| (format!("{name}/{below}"), content)));
        } else {
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
    files
}

/// The parts, one after the other.
pub(crate) fn joined(files: &BTreeMap<String, Vec<u8>>) -> String {
    let parts = files.iter().filter(|(name, _)| name.starts_with("part-")).map(|(_, content)| content.as_slice());
    String::from_utf8(parts.collect::<Vec<_>>().concat()).unwrap()
}

fn manifest(files: &BTreeMap<String, Vec<u8>>) -> Value {
    serde_json::from_slice(&files["_manifest.json"]).unwrap()
}

#[test]
fn eight_processes_write_what_one_writes_and_one_what_is_printed() {
    let project = project();
    let done = predict(&project, "big.jsonl", &[]).expect_exit(0);
    let whole = files(&job(&project));
    assert_eq!(joined(&whole), printed(&project, "big.jsonl"));
    assert_eq!(Path::new(done.out.trim()), job(&project).strip_prefix(project.path("")).unwrap());
    let told = manifest(&whole);
    let parts = told["parts"].as_array().unwrap();
    validate("parts-manifest", &told, "_manifest.json");
    assert!(parts.len() > 3 && told["rows"] == 3080 && told["unread"] == 0, "{told}");
    for part in parts {
        let content = &whole[part["name"].as_str().unwrap()];
        assert_eq!(part["bytes"], content.len());
        assert_eq!(part["rows"], content.iter().filter(|byte| **byte == b'\n').count());
    }
    std::fs::remove_dir_all(project.path("out")).unwrap();
    // In any order; the last one finds all to be there.
    for (index, is_last) in
        [(5, false), (0, false), (7, false), (1, false), (2, false), (3, false), (4, false), (6, true)]
    {
        let share = format!("{index}/8");
        let done = predict(&project, "big.jsonl", &["--part", &share, "--threads", "1"]).expect_exit(0);
        assert_eq!(done.err.contains("still to come"), !is_last, "{share}: {}", done.err);
        let is_there = files(&project.path("out")).keys().any(|name| name.ends_with("_manifest.json"));
        assert_eq!(is_there, is_last);
    }
    assert_eq!(files(&job(&project)), whole);
}

#[test]
fn what_is_there_is_not_labelled_again_and_what_was_taken_away_is() {
    let project = project();
    predict(&project, "big.jsonl", &[]).expect_exit(0);
    let (folder, whole) = (job(&project), files(&job(&project)));
    predict(&project, "big.jsonl", &[]).expect_exit(0).expect_said("(5 of them before)");
    std::fs::remove_file(folder.join("_manifest.json")).unwrap();
    std::fs::remove_file(folder.join("_parts/00002.json")).unwrap();
    predict(&project, "big.jsonl", &[]).expect_exit(0).expect_said("(4 of them before)");
    assert_eq!(files(&folder), whole);
    // A manifest vouches for what is there.
    std::fs::remove_file(folder.join("_manifest.json")).unwrap();
    std::fs::write(folder.join("part-00001.jsonl"), &whole["part-00001.jsonl"][1..]).unwrap();
    let told = predict(&project, "big.jsonl", &[]).expect_exit(2).expect_said("part-00001.jsonl");
    assert!(told.err.contains("_parts/00001.json, and run again"), "{}", told.err);
    for name in ["part-00001.jsonl", "_parts/00001.json"] {
        std::fs::remove_file(folder.join(name)).unwrap();
    }
    predict(&project, "big.jsonl", &[]).expect_exit(0).expect_said("(4 of them before)");
    assert_eq!(files(&folder), whole);
    // Of another content under the same name nothing is believed.
    std::fs::remove_file(folder.join("_manifest.json")).unwrap();
    std::fs::remove_file(folder.join("_parts/00002.json")).unwrap();
    std::fs::write(folder.join("part-00002.jsonl"), "{}\n").unwrap();
    predict(&project, "big.jsonl", &[]).expect_exit(1).expect_said("part-00002.jsonl holds other bytes");
    assert!(!folder.join("_manifest.json").exists());
}

#[test]
fn another_input_student_or_option_has_another_name() {
    let project = project();
    let mut names = vec![predict(&project, "big.jsonl", &[]).expect_exit(0).out];
    for more in [["--min-confidence", "0.5"], ["--id-field", "none"], ["--output-format", "csv"]] {
        names.push(predict(&project, "big.jsonl", &more).expect_exit(0).out);
    }
    project.write("big.jsonl", &project.read("big.jsonl").replacen("card", "CARD", 1));
    names.push(predict(&project, "big.jsonl", &[]).expect_exit(0).out);
    let config = project.read("student/config.json");
    project.write("student/config.json", &config.replacen("\"temperature\": ", "\"temperature\": 1", 1));
    names.push(predict(&project, "big.jsonl", &[]).expect_exit(0).out);
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 6, "{names:?}");
    // What is the same has the same, however many do it.
    assert_eq!(
        predict(&project, "big.jsonl", &["--part", "0/2", "--threads", "1"]).expect_exit(0).out.lines().count(),
        1
    );
    assert_eq!(std::fs::read_dir(project.path("out")).unwrap().count(), 6);
    // An encoder in another precision says something else.
    let to = ["--input", "pool.jsonl", "--output", "out", "--precision"];
    let [wide, narrow] = ["fp32", "bf16"]
        .map(|precision| project.candist(&[&["predict", "--student", ENCODER], &to[..], &[precision]].concat()));
    assert_ne!(wide.expect_exit(0).out, narrow.expect_exit(0).out);
}

#[test]
fn an_encoder_says_the_same_on_any_number_of_threads() {
    let project = project();
    for precision in ["fp32", "bf16"] {
        let of = |threads: &str, more: &[&str]| {
            let predict = ["predict", "--student", ENCODER, "--precision", precision, "--threads", threads];
            project.candist(&[&predict[..], more].concat()).expect_exit(0).out
        };
        let printed = of("1", &["big.jsonl"]);
        assert_eq!((printed.lines().count(), of("3", &["big.jsonl"]) == printed), (3080, true), "{precision}");
        let [alone, beside] = ["1", "3"].map(|threads| {
            let output = format!("{precision}-{threads}");
            of(threads, &["--input", "big.jsonl", "--output", &output]);
            joined(&files(&job_in(&project, &output)))
        });
        assert!(alone == beside && alone.lines().count() == 3080, "{precision}");
    }
}

#[test]
fn a_process_that_dies_anywhere_leaves_nothing_that_is_not_whole() {
    let project = project();
    predict(&project, "big.jsonl", &[]).expect_exit(0);
    let whole = files(&job(&project));
    for place in PLACES {
        for passed in [0, 2] {
            std::fs::remove_dir_all(project.path("out")).unwrap();
            let mut command = project.command(&[&PREDICT[..], &["big.jsonl"]].concat());
            command.env("FAILPOINTS", format!("{place}={passed}*off->return(abort)"));
            let died = !command.output().unwrap().status.success();
            assert!(died || passed > 0, "{place} is never reached");
            for (name, content) in files(&project.path("out")) {
                let (_, name) = name.split_once('/').unwrap();
                assert!(name.contains("/.") || name.starts_with('.') || whole[name] == content, "{place}: {name}");
            }
            predict(&project, "big.jsonl", &[]).expect_exit(0);
            assert_eq!(files(&job(&project)), whole, "{place} {passed}");
        }
    }
}

#[test]
fn two_at_once_of_which_one_is_killed_write_the_same() {
    let project = project();
    let start = Instant::now();
    predict(&project, "big.jsonl", &[]).expect_exit(0);
    let (usual, whole) = (start.elapsed(), files(&job(&project)));
    for round in 0..4 {
        std::fs::remove_dir_all(project.path("out")).unwrap();
        let args = [&PREDICT[..], &["big.jsonl"]].concat();
        let (mut killed, other) = (project.start(&args), project.start(&args));
        std::thread::sleep(usual.mul_f64(rng(round, "parts", &[]).random_range(0.0..1.5)));
        killed.kill().unwrap();
        killed.wait().unwrap();
        Finished::of(other.wait_with_output().unwrap()).expect_exit(0);
        // What the other found unfinished is not in the way, and goes when somebody finds all to be there.
        let mut left = files(&job(&project));
        left.retain(|name, _| !name.ends_with(".unfinished"));
        assert_eq!(left, whole, "round {round}");
    }
}

#[test]
fn rows_that_cannot_be_read_are_counted_also_where_the_part_was_there() {
    let project = project();
    project.write("big.jsonl", &(project.read("big.jsonl") + "{\"text\": 7}\nno json\n"));
    for (more, exit) in [(&[][..], 0), (&["--strict"], 1)] {
        let done = predict(&project, "big.jsonl", more).expect_exit(exit);
        done.expect_said("2 row(s) could not be read: they have no label");
    }
    let whole = files(&job(&project));
    let told = manifest(&whole);
    assert_eq!((&told["rows"], &told["unread"]), (&Value::from(3080), &Value::from(2)));
    assert_eq!(joined(&whole), printed(&project, "big.jsonl"));
}

/// What is wrong with one file must not keep all others from being labelled, now and, since mending it makes another job, anew.
#[test]
fn a_file_of_which_no_row_can_be_used_is_counted_where_others_can_be() {
    let project = project();
    std::fs::create_dir_all(project.path("texts/.cache")).unwrap();
    project.write("texts/a.jsonl", "{\"text\": null}\n");
    project.write("texts/b.jsonl", "{\"text\": \"where is my card\"}\n");
    // By a path that steps back: not within the input.
    let args = ["predict", "--student", "../student", "--input", ".", "--output", "../labels"];
    let predict = || Finished::of(project.command(&args).current_dir(project.path("texts")).output().unwrap());
    predict().expect_exit(0).expect_said("1 row(s) could not be read");
    let jobs: Vec<_> = std::fs::read_dir(project.path("labels")).unwrap().map(|job| job.unwrap().path()).collect();
    let told = manifest(&files(&jobs[0]));
    assert_eq!((&told["rows"], &told["unread"]), (&Value::from(1), &Value::from(1)));
    std::fs::remove_file(project.path("texts/b.jsonl")).unwrap();
    predict().expect_exit(2).expect_said("holds no text");
}

#[test]
fn an_input_that_changes_while_it_is_read_is_refused() {
    let project = project();
    for change in ["replaced", "cut"] {
        let mut command = project.command(&[&PREDICT[..], &["big.jsonl"], &["--threads", "1"]].concat());
        command.env("FAILPOINTS", "part-read=1*off->1*sleep(3000)");
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let child = command.spawn().unwrap();
        // Until it reads the second part.
        let until = Instant::now() + Duration::from_secs(60);
        while files(&project.path("out")).keys().all(|name| !name.ends_with("_parts/00000.json")) {
            assert!(Instant::now() < until, "no part is labelled");
            std::thread::sleep(Duration::from_millis(10));
        }
        let content = project.read("big.jsonl");
        match change {
            "cut" => project.write("big.jsonl", &content[..content.len() / 2]),
            _ => project.write("big.jsonl", &content.replace("card", "CARD")),
        }
        let done = Finished::of(child.wait_with_output().unwrap()).expect_exit(2);
        done.expect_said("big.jsonl was changed while it was read");
        let left = files(&job(&project));
        assert!(left.contains_key("part-00000.jsonl") && !left.contains_key("part-00001.jsonl"), "{change}");
        std::fs::remove_dir_all(project.path("out")).unwrap();
    }
}

#[test]
fn a_mistake_is_told() {
    let project = project();
    for (args, says) in [
        (&["big.jsonl", "--part", "8/8"][..], "they are counted from 0, so the last is 7/8"),
        (&["big.jsonl", "--part", "x"], "write I/N"),
        (&["big.jsonl", "--output-format", "xml"], "it can be: jsonl, csv"),
        (&["ftp://a/b"], "ftp://a/b has a scheme that is not known"),
        (&["s3:///b"], "names no bucket"),
        (&["nowhere.jsonl"], "nowhere.jsonl"),
        (&["nowhere/*.jsonl"], "matches no file"),
        (&["big.jsonl", "--format", "arrow"], "--format arrow is not for --input and --output"),
        (&["big.jsonl", "--text-field", "body"], "likely \"text\""),
        (&["big.jsonl", "--precision", "bf16"], "computes in fp32 alone"),
        (&["big.jsonl", "--precision", "fp8"], "it can be: fp32, bf16"),
    ] {
        predict(&project, args[0], &args[1..]).expect_exit(2).expect_said(says);
    }
    let student = ["predict", "--student", "student"];
    let of = |more: &[&str]| project.candist(&[&student[..], more].concat()).expect_exit(2);
    of(&["--input", "big.jsonl"]).expect_said("--output <URI>");
    of(&["--output", "out"]).expect_said("--input <URI>");
    of(&["--output", "out", "big.jsonl"]).expect_said("--output is for labels in parts: give the texts as --input");
    of(&["--part", "0/2", "big.jsonl"]).expect_said("--input <URI>");
    of(&["--input", "big.jsonl", "--output", "out", "pool.jsonl"]).expect_said("cannot be used with");
    // An output that the next listing would take for input.
    std::fs::create_dir(project.path("texts")).unwrap();
    project.write("texts/a.jsonl", "{\"text\": \"where is my card\"}\n");
    of(&["--input", "texts", "--output", "texts"]).expect_said("write labels to another folder");
    of(&["--input", "**/*.jsonl", "--output", "texts/labels"]).expect_said("write labels to another folder");
    assert!(!project.path("out").join("_manifest.json").exists());
}

#[test]
fn files_of_any_format_are_parts_in_order_of_name() {
    let project = project();
    std::fs::create_dir_all(project.path("texts/in")).unwrap();
    let pool = project.read("pool.jsonl");
    let rows: Vec<Value> = pool.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let cells = |rows: &[Value]| -> String {
        let row = |row: &Value| {
            format!(
                "{},{}\n",
                row["id"].as_str().unwrap(),
                row["text"].as_str().unwrap().replace([',', '"', '\n'], " ")
            )
        };
        "id,text\n".to_owned() + &rows.iter().map(row).collect::<String>()
    };
    project.write("texts/b.csv", &cells(&rows));
    project.write("texts/a.txt", "where is my card\nis there a fee\n");
    std::fs::write(project.path("texts/c.jsonl.zst"), zstd::encode_all(pool.as_bytes(), 3).unwrap()).unwrap();
    project.write("texts/in/d.json", "[{\"text\": \"where is my card\"}]");
    project.write("texts/_hidden.jsonl", "{\"text\": \"where is my card\"}\n");
    let done = predict(&project, "texts", &[]).expect_exit(0);
    let whole = files(&project.path(done.out.trim()));
    let expected =
        ["texts/a.txt", "texts/b.csv", "texts/c.jsonl.zst", "texts/in/d.json"].map(|file| printed(&project, file));
    assert_eq!(joined(&whole), expected.concat());
    let parts = manifest(&whole)["parts"].as_array().unwrap().len();
    assert!(parts > 6, "the table is cut: {parts}");
    // CSV as output: each part has the header.
    let done = predict(&project, "texts/*.csv", &["--output-format", "csv"]).expect_exit(0);
    let tables = files(&project.path(done.out.trim()));
    let mut lines = 0;
    for (_, table) in tables.iter().filter(|(name, _)| name.starts_with("part-")) {
        let table = std::str::from_utf8(table).unwrap();
        assert!(table.starts_with("id,label,confidence,candidates\n"));
        lines += table.lines().count() - 1;
    }
    assert_eq!(lines, rows.len());
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_is_cut_by_row_groups_and_written() {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::file::properties::WriterProperties;

    let project = project();
    let rows: Vec<Value> = project.read("pool.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let column = |name: &str| {
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row[name].as_str().unwrap()))) as ArrayRef
    };
    let batch = RecordBatch::try_from_iter([("id", column("id")), ("text", column("text"))]).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(500)).build();
    let file = std::fs::File::create(project.path("big.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let done = predict(&project, "big.parquet", &[]).expect_exit(0);
    let lines = files(&project.path(done.out.trim()));
    assert!(manifest(&lines)["parts"].as_array().unwrap().len() > 1);
    assert_eq!(joined(&lines), printed(&project, "big.jsonl"));
    let out = ["--output-format", "parquet", "--min-confidence", "0.3"];
    let done = predict(&project, "big.parquet", &out).expect_exit(0);
    let folder = project.path(done.out.trim());
    let labels = |number: usize| {
        let file = std::fs::File::open(folder.join(format!("part-{number:05}.parquet"))).unwrap();
        let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        let of = |batch: RecordBatch| {
            let (ids, labels) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
            ids.iter()
                .zip(labels.iter())
                .map(|(id, label)| (id.unwrap().to_owned(), label.map(str::to_owned)))
                .collect::<Vec<_>>()
        };
        batches.flat_map(|batch| of(batch.unwrap())).collect::<Vec<_>>()
    };
    let parts = manifest(&files(&folder))["parts"].as_array().unwrap().len();
    let read: Vec<(String, Option<String>)> = (0..parts).flat_map(labels).collect();
    let printed = project.candist(&["predict", "--student", "student", "--min-confidence", "0.3", "big.jsonl"]).out;
    let expected = printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let expected: Vec<(String, Option<String>)> = expected
        .map(|said| (said["id"].as_str().unwrap().to_owned(), said["label"].as_str().map(str::to_owned)))
        .collect();
    assert!(read == expected && expected.iter().any(|(_, label)| label.is_none()));
}

#[test]
fn a_share_without_parts_has_nothing_to_do() {
    let project = project();
    project.write("big.jsonl", "{\"text\": \"where is my card\"}\n");
    predict(&project, "big.jsonl", &["--part", "0/3"]).expect_exit(0).expect_said("0 of 1 part(s)");
    predict(&project, "big.jsonl", &["--part", "2/3"]).expect_exit(0).expect_said("1 of 1 part(s)");
    assert_eq!(manifest(&files(&job(&project)))["rows"], 1);
}
