//! Where messages and data cannot go: messages may be lost, answers and labels never.

use std::fs::File;
use std::process::{Command, Stdio};

use crate::support::{Finished, Project};

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A pipe that nobody reads any more.
fn gone() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_run_whose_messages_cannot_be_written_loses_nothing() {
    let project = Project::new(32);
    // Warnings and a message at the end.
    project.write("pool.jsonl", &(project.read("pool.jsonl") + "nonsense\n"));
    project.run();
    let expected = project.labels();
    for stderr in [full as fn() -> Stdio, gone] {
        project.remove_run();
        let mut command = project.command(&["run", "config.toml"]);
        let run = Finished::of(command.env("CANDIST_LOG", "trace").stderr(stderr()).output().unwrap());
        assert_eq!(run.exit, Some(0));
        assert_eq!(project.labels(), expected);
    }
    project.remove_run();
    let program = env!("CARGO_BIN_EXE_candist");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("CANDIST_LOG=trace '{program}' run config.toml 2>&-")]).current_dir(project.path(""));
    assert_eq!(shell.status().unwrap().code(), Some(0));
    assert_eq!(project.labels(), expected);
}

#[test]
fn errors_keep_their_exit_code_where_they_cannot_be_said() {
    let project = Project::new(64);
    for stderr in [full as fn() -> Stdio, gone] {
        for args in [&["run", "nowhere.toml"][..], &["tail", "nowhere"], &["no-such-verb"]] {
            let ended = Finished::of(project.command(args).stderr(stderr()).output().unwrap());
            assert_eq!(ended.exit, Some(2), "{args:?}");
        }
    }
}

#[test]
fn whoever_has_read_enough_is_no_error_for_any_verb() {
    let project = Project::new(32);
    project.write("pool.jsonl", &(project.read("pool.jsonl") + "nonsense\n"));
    project.run();
    project.candist(&["export", "run", "--student", "student"]).expect_exit(0);
    for args in [
        &["tail", "run"][..],
        &["tail", "run", "--latest"],
        &["status", "run"],
        &["failures", "run"],
        &["failures", "run", "--json"],
        &["eval", "run", "--gold", "pool_gold.jsonl"],
        &["eval", "run", "--gold", "pool_gold.jsonl", "--details"],
        &["eval", "run", "--gold", "pool_gold.jsonl", "--json"],
        &["audit", "run", "--sample", "20"],
        &["predict", "--student", "student", "pool.jsonl"],
        &["plan", "config.toml"],
        &["check", "config.toml"],
        &["schema", "config"],
        &["--help"],
    ] {
        let ended = Finished::of(project.command(args).stdout(gone()).stderr(Stdio::piped()).output().unwrap());
        assert_eq!(ended.exit, Some(0), "{args:?}: {}", ended.err);
        assert!(!ended.err.contains("roken pipe") && !ended.err.contains("error"), "{args:?}: {}", ended.err);
    }
}
