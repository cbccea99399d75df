//! Files that are no corpus, said in one sentence each, before anything is asked.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{Finished, Project, latest};

/// A project whose corpus holds `content`.
fn with_corpus(content: &[u8]) -> Project {
    let project = Project::new(64);
    std::fs::write(project.path("pool.jsonl"), content).unwrap();
    project
}

/// What `run` and `check` say to it; both must refuse it, and with one message.
#[track_caller]
fn refused(project: &Project) -> String {
    let run = project.candist(&["run", "config.toml"]).expect_exit(2);
    assert_eq!(run.err.matches("candist: ").count(), 1, "{}", run.err);
    assert!(!project.path("run").exists(), "nothing was begun");
    let check = project.candist(&["check", "config.toml"]).expect_exit(2);
    assert!(check.err.contains("`corpus.path`"), "{}", check.err);
    run.err
}

/// What a compressor makes of the corpus.
fn piped(program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[test]
fn a_corpus_of_another_format_is_named_with_how_to_convert_it() {
    let rows = Project::new(64).read("pool.jsonl");
    let texts: Vec<serde_json::Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    let text = |row: &serde_json::Value| row["text"].as_str().unwrap().replace('"', "'");
    let csv: String = texts.iter().map(|row| format!("{},\"{}\"\n", row["id"].as_str().unwrap(), text(row))).collect();
    let utf16: Vec<u8> = rows.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let plain: String = texts.iter().map(|row| text(row) + "\n").collect();
    for (content, said) in [
        (piped("gzip", &["-c"], rows.as_bytes()), "is compressed with gzip"),
        (format!("id,text\n{csv}").into_bytes(), "is CSV with the columns id, text"),
        (format!("id\ttext\n{}", csv.replace(',', "\t")).into_bytes(), "is TSV with the columns id, text"),
        (serde_json::to_vec(&texts).unwrap(), "is a JSON array"),
        (serde_json::to_vec_pretty(&texts).unwrap(), "is a JSON array"),
        (serde_json::to_vec_pretty(&texts[0]).unwrap(), "holds JSON objects over several lines"),
        ([b"\xff\xfe".as_slice(), &utf16].concat(), "is UTF-16"),
        (utf16.clone(), "is UTF-16"),
        (b"PAR1\x15\x04\x15\x00".to_vec(), "is a Parquet file"),
        (b"PK\x03\x04\x14\x00".to_vec(), "is a ZIP archive"),
        (vec![7, 0, 1, 0, 0, 9, 3], "is a binary file"),
        (plain.into_bytes(), "is plain text"),
        (b"\"a text\"\n\"another\"\n".to_vec(), "holds JSON strings"),
    ] {
        let err = refused(&with_corpus(&content));
        assert!(err.contains(&format!("pool.jsonl {said}")), "{said:?} is not in\n{err}");
    }
}

/// The commands that the messages name are run as they stand; what they make is a corpus.
#[test]
fn the_commands_to_convert_a_corpus_work() {
    let rows = Project::new(64).read("pool.jsonl");
    let texts: Vec<serde_json::Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    let plain: String = texts.iter().map(|row| row["text"].as_str().unwrap().to_owned() + "\n").collect();
    let quoted = |row: &serde_json::Value| format!("\"{}\"", row["text"].as_str().unwrap().replace('"', "\"\""));
    let table = |delimiter: &str| -> Vec<u8> {
        let rows: String =
            texts.iter().map(|row| format!("{}{delimiter}{}\n", row["id"].as_str().unwrap(), quoted(row))).collect();
        format!("id{delimiter}text\n{rows}").into_bytes()
    };
    let strings: String = texts.iter().map(|row| row["text"].to_string() + "\n").collect();
    for content in [
        piped("gzip", &["-c"], rows.as_bytes()),
        piped("xz", &["-c"], rows.as_bytes()),
        piped("bzip2", &["-c"], rows.as_bytes()),
        piped("zstd", &["-c"], rows.as_bytes()),
        table(","),
        table("\t"),
        table(";"),
        serde_json::to_vec_pretty(&texts).unwrap(),
        texts.iter().map(|row| serde_json::to_string_pretty(row).unwrap()).collect::<Vec<_>>().join("\n").into_bytes(),
        rows.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        plain.into_bytes(),
        strings.into_bytes(),
    ] {
        let project = with_corpus(&content);
        let err = refused(&project);
        let command = err.lines().find_map(|line| line.strip_prefix("  $ ")).unwrap_or_else(|| panic!("{err}"));
        let made = Command::new("sh").args(["-c", command]).current_dir(project.path("")).output().unwrap();
        assert!(made.status.success(), "{command}\n{}", String::from_utf8_lossy(&made.stderr));
        project
            .write("config.toml", &project.read("config.toml").replace("\"pool.jsonl\"", "\"pool.converted.jsonl\""));
        // The recordings know the ids of the corpus as it was alone: that there are texts is what counts here.
        let run = project.candist(&["run", "config.toml"]);
        assert!(run.exit == Some(0) || run.err.contains("none of"), "{command}\n{}", run.err);
        let arrived = project.read("run/inputs.jsonl").lines().filter(|line| line.contains("\"arrive\"")).count();
        assert_eq!(arrived, texts.len(), "{command}");
    }
}

#[test]
fn a_wrong_text_field_names_the_fields_that_there_are() {
    let rows: String =
        (0..600).map(|i| json!({"id": i, "body": format!("text {i}"), "lang": "en"}).to_string() + "\n").collect();
    let err = refused(&with_corpus(rows.as_bytes()));
    assert!(err.contains("none of its first 20 rows") && err.contains("no field \"text\""), "{err}");
    assert!(err.contains("corpus.text_field") && err.contains("body, id, lang"), "{err}");
    assert!(err.lines().count() < 6, "{err}");
}

#[test]
fn a_corpus_that_is_empty_or_bad_from_end_to_end_is_an_error() {
    for empty in ["", "\n\n  \n", "\u{feff}"] {
        assert!(refused(&with_corpus(empty.as_bytes())).contains("pool.jsonl is empty"));
    }
    let err = refused(&with_corpus(b"{\"text\": 1}\n{\"text\": \"\"}\n{\"text\": \n{\"txt\": \"a\"}\n"));
    for said in ["none of its 4 rows", "line 1 the field \"text\" is no string", "line 2 the field \"text\" is empty"] {
        assert!(err.contains(said), "{said:?} is not in\n{err}");
    }
    assert!(!err.contains("line 4"), "three reasons are enough: {err}");
    // Nineteen bad rows are bad rows; the good one after them is annotated.
    let project = Project::new(64);
    let pool = "nonsense\n".repeat(19) + &project.read("pool.jsonl");
    project.write("pool.jsonl", &pool);
    project.candist(&["run", "config.toml"]).expect_exit(0).expect_said("19 row(s) of the corpus could not be read");
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let project = Project::new(64);
    let pool = project.path("pool.jsonl");
    std::fs::remove_file(&pool).unwrap();
    assert!(Command::new("mkfifo").arg(&pool).status().unwrap().success());
    let err = refused(&project);
    assert!(err.contains("pool.jsonl is a pipe") && err.contains("write it to a file"), "{err}");
    std::fs::remove_file(&pool).unwrap();
    std::fs::create_dir(&pool).unwrap();
    assert!(refused(&project).contains("pool.jsonl is a folder"));
    std::fs::remove_dir(&pool).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &pool).unwrap();
    assert!(refused(&project).contains("pool.jsonl is a device"));
    std::fs::remove_file(&pool).unwrap();
    assert!(refused(&project).contains("cannot read the corpus"));
}

#[test]
fn an_id_may_be_odd_but_not_without_end() {
    let project = Project::new(64);
    let (long, longest) = ("x".repeat(15 << 20), "y".repeat(64 << 10));
    let rows = [
        json!({"id": long, "text": "where is my card"}),
        json!({"id": longest, "text": "where is my card, please"}),
        json!({"id": "a\u{0}b\nc\u{1b}[2J", "text": "where is my new card"}),
    ];
    let rows: String = rows.iter().map(|row| row.to_string() + "\n").collect();
    project.write("pool.jsonl", &(project.read("pool.jsonl") + &rows));
    let config = project.read("config.toml").replace("[corpus]\n", "[corpus]\nmax_line_bytes = 16_777_216\n");
    project.write("config.toml", &config);
    let mut run = project.candist(&["run", "config.toml"]).expect_exit(0);
    for _ in 0..2 {
        assert!(!run.err.contains("damage") && !run.err.contains("mended"), "{}", run.err);
        run = project.candist(&["run", "config.toml"]).expect_exit(0);
    }
    let labels = latest(&project.events());
    assert!(labels.contains_key(&longest) && labels.contains_key("a\u{0}b\nc\u{1b}[2J"));
    assert_eq!(labels.len(), 49 + 2);
    for verb in ["status", "failures"] {
        let shown = project.candist(&[verb, "run"]).expect_exit(0);
        assert!(!shown.out.contains('\u{1b}') && !shown.out.contains('\u{0}'), "{verb}");
        assert!(shown.out.contains("a\\u{0}b\\nc\\u{1b}[2J"), "{verb}: {}", shown.out);
    }
}

#[test]
fn predict_names_what_it_was_given_by_its_own_flags() {
    let project = Project::new(64);
    project.run();
    project.candist(&["export", "run", "--student", "student"]).expect_exit(0);
    let predict = |content: &[u8], more: &[&str]| {
        std::fs::write(project.path("new.jsonl"), content).unwrap();
        project.candist(&[&["predict", "--student", "student", "new.jsonl"], more].concat())
    };
    let rows = "{\"id\": 1, \"body\": \"where is my card\"}\n".repeat(300);
    let found = predict(rows.as_bytes(), &[]).expect_exit(2).expect_said("--text-field").expect_said("body, id");
    assert!(!found.err.contains("corpus."), "{}", found.err);
    assert_eq!(predict(rows.as_bytes(), &["--text-field", "body"]).expect_exit(0).out.lines().count(), 300);
    let gzip = piped("gzip", &["-c"], rows.as_bytes());
    predict(&gzip, &[]).expect_exit(2).expect_said("is compressed with gzip");
    predict(&gzip, &["--lines"]).expect_exit(2).expect_said("is compressed with gzip");
    // Bad rows among good ones: warned of together, and an error where that is asked for.
    let mixed = "{\"text\": \"where is my card\"}\n".to_owned() + &"{\"txt\": 1}\n".repeat(50);
    let found = predict(mixed.as_bytes(), &[]).expect_exit(0);
    assert!(found.err.lines().count() <= 3 && found.err.contains("50 line(s)"), "{}", found.err);
    predict(mixed.as_bytes(), &["--strict"]).expect_exit(1);
    // An empty input is no mistake of a pipeline's.
    assert_eq!(predict(b"", &[]).expect_exit(0).out, "");
    let missing: Finished = project.candist(&["predict", "--student", "student", "nowhere.jsonl"]).expect_exit(2);
    missing.expect_said("cannot read the texts nowhere.jsonl");
}
