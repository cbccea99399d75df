//! What users get wrong, and what the program says to it.

use crate::server::Behaviour;
use crate::support::{Project, Server, openai, recorded};

#[test]
fn every_mistake_in_the_input_is_named_with_what_to_do() {
    let project = Project::new(32);
    let config = project.read("config.toml");
    let cases: [(&str, &str, &[&str]); 6] = [
        (
            "path = \"pool.jsonl\"",
            "path = \"nowhere.jsonl\"",
            &["cannot read the corpus", "nowhere.jsonl: check the path"],
        ),
        ("path = \"teacher_gpt-4.jsonl\"", "path = \"nowhere.jsonl\"", &["cannot read the recording"]),
        (
            "[corpus]",
            "[corpus]\ntext_feild = \"x\"",
            &["`corpus.text_feild` is not a key candist knows; did you mean `text_field`?"],
        ),
        ("kind = \"recorded\"", "kind = \"recoded\"", &["`teachers[0].kind` is \"recoded\""]),
        ("\"age_limit\",", "", &["the label \"age_limit\" is none of the task's", "add it to task.labels"]),
        ("block = 8", "block = \"eight\"", &["`distill.block` invalid type"]),
    ];
    for (from, to, said) in cases {
        project.write("config.toml", &config.replace(from, to));
        let mut run = project.candist(&["run", "config.toml"]).expect_exit(2);
        for sentence in said {
            run = run.expect_said(sentence);
        }
        assert!(!project.path("run/answers.jsonl").exists(), "nothing was asked");
    }
    project.candist(&["run", "missing.toml"]).expect_exit(2).expect_said("cannot read the configuration missing.toml");
    project.candist(&["run"]).expect_exit(2);
    project.candist(&["tail", "run2"]).expect_exit(2).expect_said("is no run directory");
    project.candist(&["eval", "run2", "--gold", "pool_gold.jsonl"]).expect_exit(2).expect_said("is no run directory");
}

#[test]
fn an_empty_label_list_is_refused() {
    let project = Project::new(32);
    let task = project.task();
    let (from, to) = (task.find("labels = [").unwrap(), task.rfind(']').unwrap());
    let config = project.read("config.toml").replace(&task[from..=to], "labels = []");
    project.write("config.toml", &config);
    project
        .candist(&["run", "config.toml"])
        .expect_exit(2)
        .expect_said("`task.labels` has 0 labels: name at least two");
}

#[test]
fn a_broken_row_costs_itself_and_is_taken_up_when_mended() {
    let project = Project::new(16);
    let pool = project.read("pool.jsonl");
    let (first, rest) = pool.split_once('\n').unwrap();
    project.write("pool.jsonl", &format!("{}\n{rest}", &first[..20]));
    project.candist(&["run", "config.toml"]).expect_exit(0).expect_said("1 row(s) of the corpus could not be used");
    let status = project.candist(&["status", "run"]).expect_exit(0);
    assert!(status.out.contains("failed pool.jsonl:1: is not a JSON object"), "{}", status.out);
    let labelled = crate::support::latest(&project.events()).len();
    assert_eq!(labelled, rest.lines().count());
    project.write("pool.jsonl", &pool);
    project.run();
    assert_eq!(crate::support::latest(&project.events()).len(), labelled + 1);
}

#[test]
fn an_id_used_for_two_texts_is_a_failure() {
    let project = Project::new(32);
    let pool = project.read("pool.jsonl");
    project.write("pool.jsonl", &format!("{pool}{{\"id\": \"pool-0000\", \"text\": \"something else\"}}\n"));
    project.candist(&["run", "config.toml"]).expect_exit(0).expect_said("1 row(s) of the corpus could not be used");
    let status = project.candist(&["status", "run"]).expect_exit(0);
    assert!(status.out.contains("the id \"pool-0000\" was used for another text before"), "{}", status.out);
}

#[test]
fn a_broken_line_in_a_recording_is_named() {
    let project = Project::new(32);
    let recording = project.read("teacher_gpt-4.jsonl");
    project.write("teacher_gpt-4.jsonl", &recording.replacen("\"labels\"", "labels", 1));
    project.candist(&["run", "config.toml"]).expect_exit(2).expect_said("teacher_gpt-4.jsonl:1: is no answer");
}

#[test]
fn a_run_directory_that_cannot_be_written_is_named() {
    let project = Project::new(32);
    // A file where the folder should be: refused for root too.
    project.write("run", "");
    let run = project.candist(&["run", "config.toml"]).expect_exit(1);
    run.expect_said("cannot create").expect_said("the disk has room and the folder is writable");
}

#[test]
fn a_port_that_nobody_listens_on_ends_the_run_resumably() {
    let project = Project::new(32);
    project.configure(&openai(&["all-merged"], "http://127.0.0.1:1/v1", "max_retries = 1"), "");
    let run = project.candist(&["run", "config.toml"]).expect_exit(3);
    run.expect_said("nobody answers at http://127.0.0.1:1/v1").expect_said("run the same command again");
    // With the server there, the same directory goes on.
    let server = Server::start(&project, Behaviour::default());
    project.configure(&openai(&["all-merged"], &server.url, ""), "");
    project.run();
}

#[test]
fn a_recording_of_several_teachers_needs_a_choice() {
    let project = Project::new(32);
    let both = project.read("teacher_gpt-4.jsonl") + &project.read("teacher_gpt-3.5.jsonl");
    project.write("teacher_both.jsonl", &both);
    project.configure(&recorded(&["both"]), "");
    project
        .candist(&["run", "config.toml"])
        .expect_exit(2)
        .expect_said("several teachers (gpt-3.5, gpt-4): set `name`");
}

#[test]
fn failures_are_an_error_only_where_that_is_asked_for() {
    let project = Project::new(32);
    let pool = project.read("pool.jsonl");
    project.write("pool.jsonl", &(pool.clone() + "nonsense\n"));
    for _ in 0..2 {
        project.candist(&["run", "config.toml"]).expect_exit(0).expect_said("could not be used");
    }
    project.candist(&["run", "config.toml", "--strict"]).expect_exit(1).expect_said("could not be used");
    project.write("pool.jsonl", &(pool + "{\"id\": \"new\", \"text\": \"where is my card\"}\n"));
    project.candist(&["run", "config.toml"]).expect_exit(0).expect_said("1 text(s) got no candidate");
    project.candist(&["run", "config.toml", "--strict"]).expect_exit(1).expect_said("1 text(s) got no candidate");
}

/// What `run` would refuse, `check` refuses: all of it at once.
#[test]
fn check_finds_what_would_stop_a_run() {
    let project = Project::new(64);
    let config = project.read("config.toml");
    let bad = config
        .replace("\"pool.jsonl\"", "\"nowhere.jsonl\"")
        .replace("\"teacher_gpt-4.jsonl\"", "\"nowhere.jsonl\"")
        .replace("dir = \"run\"", "dir = \"pool.jsonl/run\"")
        .replace("dimension = 8\nbuckets = 4096\n", "kind = \"encoder\"\nmodel = \"none\"\ndevice = \"cuda:63\"\n");
    project.write("config.toml", &bad);
    let check = project.candist(&["check", "config.toml"]).expect_exit(2);
    for key in ["`corpus.path` ", "`teachers` ", "`run.dir` ", "`student.model` ", "`student.device` "] {
        assert!(check.err.contains(key), "{key} is not in\n{}", check.err);
    }
    project.write("config.toml", &config);
    project.candist(&["check", "config.toml"]).expect_exit(0);
    project.run();
    project.write("config.toml", &config.replacen("name = \"", "name = \"other-", 1));
    project.candist(&["check", "config.toml"]).expect_exit(2).expect_said("`run.dir` ").expect_said("another task");
    for (from, to, said) in [
        ("[corpus]\n", "[corpus]\nmax_line_bytes = 0\n", "`corpus.max_line_bytes` must be 1 to"),
        ("[corpus]\n", "[corpus]\nmax_line_bytes = 100_000_000_000\n", "`corpus.max_line_bytes` must be 1 to"),
        ("[corpus]\n", "[corpus]\ntext_field = \"\"\n", "`corpus.text_field` is empty"),
        ("[corpus]\n", "[corpus]\nid_field = \"text\"\n", "`corpus.id_field` is the field of the text"),
        ("[corpus]\n", "[corpus]\ntext_field = \"question\"\n", "`corpus.path` "),
        ("labels = [", "labels = [3, true, \"\", \"age_limit\", ", "`task.labels[1]` "),
        ("labels = [", "labels = [3, true, \"\", \"age_limit\", ", "`task.labels[2]` is empty"),
        ("labels = [", "labels = [3, true, \"\", \"age_limit\", ", "is there already, as task.labels[3]"),
    ] {
        assert!(config.contains(from));
        project.write("config.toml", &config.replacen(from, to, 1));
        project.candist(&["check", "config.toml"]).expect_exit(2).expect_said(said);
    }
    let long =
        config.replacen("name = \"", &format!("name = \"{}", "long ".repeat(60)), 1).replace("dir = \"run\"\n", "");
    project.write("config.toml", &long);
    project.candist(&["check", "config.toml"]).expect_exit(2).expect_said("`task.name` ").expect_said("run.dir");
}

/// As under a small `ulimit -u`: a thread with a stack that no machine has is refused like one too many.
#[test]
fn threads_that_cannot_be_had_end_the_program_at_once() {
    let project = Project::new(32);
    for verb in
        [vec!["run", "config.toml"], vec!["predict", "--student", "nowhere", "pool.jsonl"], vec!["status", "run"]]
    {
        let mut command = project.command(&verb);
        command.env("RUST_MIN_STACK", (1_u64 << 46).to_string());
        let ended = project.within_a_minute(command).expect_exit(1);
        ended.expect_said("more thread(s) cannot be started: raise the limit of processes");
    }
    assert!(!project.path("run/labels.jsonl").exists());
    project.run();
}
