//! Corpora in every format, and files that are none, said in one sentence each before anything is asked.

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

/// The corpus' rows, and as CSV with this delimiter.
fn rows_and_table(delimiter: &str) -> (String, String) {
    let rows = Project::new(64).read("pool.jsonl");
    let quoted = |value: &serde_json::Value| format!("\"{}\"", value.as_str().unwrap().replace('"', "\"\""));
    let table = rows.lines().map(|row| {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        format!("{}{delimiter}{}\r\n", row["id"].as_str().unwrap(), quoted(&row["text"]))
    });
    let table = format!("id{delimiter}text\r\n{}", table.collect::<String>());
    (rows, table)
}

/// The same texts in another form are the same run: its labels are the same bytes.
#[test]
fn a_corpus_in_any_format_gives_the_same_labels() {
    let (rows, table) = rows_and_table(";");
    let tabs = rows_and_table("\t").1;
    let texts: Vec<serde_json::Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    let utf16: Vec<u8> = table.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (half, rest) = rows.split_at(rows[..rows.len() / 2].rfind('\n').unwrap() + 1);
    let expected = {
        let project = Project::new(64);
        project.run();
        project.read("run/labels.jsonl")
    };
    for (name, content, path) in [
        ("pool.csv", table.clone().into_bytes(), "\"pool.csv\""),
        ("pool.tsv", tabs.into_bytes(), "\"pool.tsv\""),
        ("pool.csv.gz", piped("gzip", &["-c"], table.as_bytes()), "\"pool.csv.gz\""),
        ("pool", piped("zstd", &["-c"], rows.as_bytes()), "\"pool\""),
        ("pool.json", serde_json::to_vec_pretty(&texts).unwrap(), "\"pool.json\""),
        ("excel.csv", [b"\xff\xfe".as_slice(), &utf16].concat(), "\"excel.csv\""),
        ("part-2.jsonl.gz", piped("gzip", &["-c"], rest.as_bytes()), "[\"part-1.jsonl\", \"part-*.gz\"]"),
    ] {
        let project = Project::new(64);
        std::fs::write(project.path(name), content).unwrap();
        project.write("part-1.jsonl", half);
        project.write("config.toml", &project.read("config.toml").replace("\"pool.jsonl\"", path));
        project.candist(&["check", "config.toml"]).expect_exit(0);
        project.run();
        assert!(project.read("run/labels.jsonl") == expected, "{name}");
    }
}

#[test]
fn what_is_no_corpus_is_named() {
    let rows = Project::new(64).read("pool.jsonl");
    for (content, said) in [
        (b"PK\x03\x04\x14\x00".to_vec(), "is a ZIP archive"),
        (vec![7, 0, 1, 0, 0, 9, 3], "is a binary file"),
        (b"PAR1\x15\x04\x15\x00".to_vec(), "is no Parquet file that can be read"),
        (b"\"a text\"\n\"another\"\n".to_vec(), "holds JSON strings"),
        (b"a text\nanother\n".to_vec(), "is plain text: set corpus.format to \"lines\""),
        (b"id,text\n1,a\n".to_vec(), "is CSV with the columns id, text: set corpus.format to \"csv\""),
        (piped("bzip2", &["-c"], rows.as_bytes()), "is compressed with bzip2"),
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
    let strings: String = texts.iter().map(|row| row["text"].to_string() + "\n").collect();
    for content in
        [piped("xz", &["-c"], rows.as_bytes()), piped("bzip2", &["-c"], rows.as_bytes()), strings.into_bytes()]
    {
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
fn a_pattern_that_matches_nothing_and_a_template_of_no_column_are_mistakes() {
    let project = Project::new(64);
    let config = project.read("config.toml");
    project.write("config.toml", &config.replace("\"pool.jsonl\"", "\"parts/*.csv\""));
    assert!(refused(&project).contains("parts/*.csv matches no file"));
    project.write("pool.csv", &rows_and_table(",").1);
    project.write("config.toml", &config.replace("\"pool.jsonl\"", "\"pool.csv\"\ntext = \"{{ titel }} {{ text }}\""));
    assert!(refused(&project).contains("no field \"titel\", which corpus.text names; it has id, text"));
}

#[test]
fn a_pattern_does_not_take_in_what_candist_writes() {
    let project = Project::new(64);
    std::fs::create_dir(project.path("texts")).unwrap();
    std::fs::rename(project.path("pool.jsonl"), project.path("texts/pool.jsonl")).unwrap();
    let config = project.read("config.toml").replace("\"pool.jsonl\"", "\"texts/**/*.jsonl\"");
    project.write("config.toml", &config);
    let run = ["run", "config.toml", "--run-dir", "texts/run"];
    project.candist(&run).expect_exit(0);
    project.candist(&run).expect_exit(0).expect_said("already complete");
    let export = ["export", "texts/run", "--config", "config.toml", "--labels"];
    project
        .candist(&[&export[..], &["texts/labels.jsonl"]].concat())
        .expect_exit(2)
        .expect_said("whose pattern it matches");
    project.candist(&[&export[..], &["labels.jsonl"]].concat()).expect_exit(0);
}

#[test]
fn two_columns_of_one_name_are_not_guessed_between() {
    let project = Project::new(64);
    project.write("twice.csv", "id,text,text\n1,a,b\n");
    project.write("config.toml", &project.read("config.toml").replace("pool.jsonl", "twice.csv"));
    project.candist(&["check", "config.toml"]).expect_exit(2).expect_said("two columns called \"text\"");
}

#[test]
fn gold_and_audited_samples_may_be_tables() {
    let project = Project::new(64);
    project.run();
    let gold: Vec<serde_json::Value> =
        project.read("pool_gold.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let cell = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap().to_owned();
    let table: String = gold.iter().map(|row| format!("{};{}\n", cell(row, "id"), cell(row, "label"))).collect();
    let table = format!("id;label\n{table}");
    let eval = |name: &str| project.candist(&["eval", "run", "--gold", name, "--json"]).expect_exit(0).out;
    std::fs::write(project.path("gold.csv.gz"), piped("gzip", &["-c"], table.as_bytes())).unwrap();
    assert_eq!(eval("gold.csv.gz"), eval("pool_gold.jsonl"));
    project.write("wrong.csv", &table.replacen(&cell(&gold[1], "label"), "card_arival", 1));
    let refused = project.candist(&["eval", "run", "--gold", "wrong.csv"]).expect_exit(2);
    refused.expect_said("wrong.csv:").expect_said("the label \"card_arival\" is none of the task's");
    let sample = project.candist(&["audit", "run", "--sample", "20"]).expect_exit(0).out;
    let filled = sample.lines().map(|line| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let right = gold.iter().find(|gold| gold["id"] == row["id"]).unwrap();
        format!("{},,{}\n", cell(&row, "id"), cell(right, "label"))
    });
    // As a spreadsheet leaves it: without the text, and with a row that is not filled in.
    project.write("sample.csv", &format!("id,text,gold\n{}x,,\n", filled.collect::<String>()));
    let audit = project.candist(&["audit", "run", "--gold", "sample.csv", "--json"]).expect_exit(0).out;
    let audit: serde_json::Value = serde_json::from_str(&audit).unwrap();
    assert!(audit.to_string().contains("\"audited\":20") && audit.to_string().contains("\"unfilled\":1"), "{audit}");
}

/// `candist run` with this as standard input.
fn piped_run(project: &Project, input: &[u8]) -> Finished {
    let mut command = project.command(&["run", "config.toml"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let finished = Finished::of(child.wait_with_output().unwrap());
    writer.join().unwrap();
    finished
}

#[test]
fn texts_from_standard_input_are_kept() {
    let expected = {
        let project = Project::new(64);
        project.run();
        project.read("run/labels.jsonl")
    };
    let project = Project::new(64);
    project.write("config.toml", &project.read("config.toml").replace("\"pool.jsonl\"", "\"-\""));
    // Whoever only looks takes nothing.
    let checked = project.candist(&["check", "config.toml"]).expect_exit(0).out;
    assert!(checked.contains("standard input (not looked at"), "{checked}");
    project
        .candist(&["plan", "config.toml"])
        .expect_exit(2)
        .expect_said("standard input is read by `candist run` alone");
    project.candist(&["run", "config.toml"]).expect_exit(2).expect_said("standard input is empty");
    let rows = project.read("pool.jsonl");
    piped_run(&project, &piped("gzip", &["-c"], rows.as_bytes())).expect_exit(0);
    assert!(project.read("run/labels.jsonl") == expected);
    assert_eq!(project.read("run/stdin/0001"), rows);
    // Without its pipe, with the same again, and with more.
    project.candist(&["run", "config.toml"]).expect_exit(0).expect_said("already complete");
    project.candist(&["plan", "config.toml"]).expect_exit(0);
    piped_run(&project, rows.as_bytes()).expect_exit(0).expect_said("already complete");
    let more = format!("{rows}{}\n", json!({"id": "new", "text": "where is my card"}));
    piped_run(&project, more.as_bytes()).expect_exit(0);
    piped_run(&project, b"id;text\nnewer;when does my card come\n").expect_exit(0);
    assert_eq!(project.read("run/stdin/0001"), more);
    assert_eq!(std::fs::read_dir(project.path("run/stdin")).unwrap().count(), 2);
    let labels = latest(&project.events());
    assert!(labels.contains_key("new") && labels.contains_key("newer"));
}

#[test]
fn a_piece_of_standard_input_that_is_none_of_the_corpus_is_not_in_the_way_of_others() {
    let project = Project::new(64);
    let rows = project.read("pool.jsonl");
    project.write("config.toml", &project.read("config.toml").replace("\"pool.jsonl\"", "\"-\""));
    piped_run(&project, b"{\"body\": \"x\"}\n").expect_exit(2).expect_said("no field \"text\"");
    // Alone it is still what is wrong.
    project.candist(&["run", "config.toml"]).expect_exit(2).expect_said("no field \"text\"");
    piped_run(&project, rows.as_bytes()).expect_exit(0).expect_said("is passed over");
    project.candist(&["run", "config.toml"]).expect_exit(0).expect_said("already complete");
    project.candist(&["plan", "config.toml"]).expect_exit(0);
    assert_eq!(latest(&project.events()).len(), rows.lines().count());
}

#[test]
fn a_header_that_comes_alone_is_one_where_it_names_the_column_of_the_text() {
    let project = Project::new(64);
    let rows: Vec<serde_json::Value> =
        project.read("pool.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let config = project.read("config.toml").replace("\"pool.jsonl\"", "\"-\"\ntext_field = \"utterance\"");
    project.write("config.toml", &config);
    // Any text would do as lines, and each would be paid for.
    piped_run(&project, b"one text\nanother\n").expect_exit(2).expect_said("corpus.format to \"lines\"");
    let mut command = project.command(&["run", "config.toml"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"id,utterance\n").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    for row in &rows {
        let (id, text) = (row["id"].as_str().unwrap(), row["text"].as_str().unwrap());
        stdin.write_all(format!("{id},\"{}\"\n", text.replace('"', "\"\"")).as_bytes()).unwrap();
    }
    drop(stdin);
    Finished::of(child.wait_with_output().unwrap()).expect_exit(0);
    let labels = latest(&project.events());
    assert_eq!(labels.len(), rows.len());
    assert!(rows.iter().all(|row| labels.contains_key(row["id"].as_str().unwrap())));
}

/// A writer that waits: its rows are labelled as they come, a stop does not wait for it, and a kill loses nothing of what came.
#[test]
fn a_slow_writer_is_not_waited_for() {
    let project = Project::new(64);
    project.write("config.toml", &project.read("config.toml").replace("\"pool.jsonl\"", "\"-\""));
    let rows = project.read("pool.jsonl");
    let start = || {
        let mut command = project.command(&["run", "config.toml"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        (child, stdin)
    };
    let (mut child, mut stdin) = start();
    let [half, more] = [24, 25].map(|count| rows.lines().take(count).map(|row| format!("{row}\n")).collect::<String>());
    // Half a row after whole ones.
    stdin.write_all(half.as_bytes()).unwrap();
    stdin.write_all(b"{\"id\": \"ha").unwrap();
    let labelled = || {
        let labels = std::fs::read_to_string(project.path("run/labels.jsonl")).unwrap_or_default();
        let whole = labels.rsplit_once('\n').map(|(whole, _)| whole.to_owned()).unwrap_or_default();
        latest(&crate::support::events(&whole))
    };
    while labelled().len() < 8 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before its input did");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(project.read("run/stdin/0001.part"), format!("{half}{{\"id\": \"ha"));
    // Without its pipe it goes on with what came, and half a row is none.
    project.candist(&["run", "config.toml"]).expect_exit(0);
    assert_eq!(latest(&project.events()).len(), 24);
    // Its pipe again, which goes on a little further; then a stop, while nothing comes.
    let (child, mut stdin) = start();
    stdin.write_all(more.as_bytes()).unwrap();
    while labelled().len() < 25 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let stopped = Finished::of(child.wait_with_output().unwrap());
    stopped.expect_exit(130);
    drop(stdin);
    assert_eq!(project.read("run/stdin/0001.part"), more);
    // With its pipe again, from its start.
    piped_run(&project, rows.as_bytes()).expect_exit(0);
    assert_eq!(project.read("run/stdin/0001"), rows);
    assert_eq!(latest(&project.events()).len(), rows.lines().count());
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
    project.candist(&["run", "config.toml"]).expect_exit(0).expect_said("19 row(s) of the corpus could not be used");
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
    let found = predict(rows.as_bytes(), &[]).expect_exit(2).expect_said("--text-field").expect_said("id, body");
    assert!(!found.err.contains("corpus."), "{}", found.err);
    assert_eq!(predict(rows.as_bytes(), &["--text-field", "body"]).expect_exit(0).out.lines().count(), 300);
    let gzip = piped("gzip", &["-c"], rows.as_bytes());
    assert_eq!(predict(&gzip, &["--text-field", "body"]).expect_exit(0).out.lines().count(), 300);
    let xz = piped("xz", &["-c"], rows.as_bytes());
    predict(&xz, &[]).expect_exit(2).expect_said("is compressed with xz");
    predict(&xz, &["--lines"]).expect_exit(2).expect_said("is compressed with xz");
    let table = b"id|title|body\na|where is|my card\n";
    predict(table, &[]).expect_exit(2).expect_said("is CSV with the columns id, title, body: set --format to \"csv\"");
    let found = predict(table, &["--format", "csv", "--text", "{{ title }} {{ body }}"]).expect_exit(0).out;
    assert!(found.starts_with("{\"id\":\"a\""), "{found}");
    let found = predict(b"7 where is my card\n", &["--pattern", "^(?<id>\\d+) (?<text>.*)$"]).expect_exit(0).out;
    assert!(found.starts_with("{\"id\":\"7\""), "{found}");
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
