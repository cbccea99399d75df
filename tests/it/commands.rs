//! The command line is consistent: what one verb takes and says, the others do.

use std::io::Read;
use std::process::{Child, Command};

use serde_json::Value;

use crate::support::{Finished, Project};

/// Verbs that look at a run, with RUN for where it is.
const VERBS: [&[&str]; 10] = [
    &["status", "RUN"],
    &["status", "RUN", "--json"],
    &["status", "--watch", "RUN"],
    &["tail", "RUN", "--final"],
    &["failures", "RUN"],
    &["failures", "RUN", "--json"],
    &["eval", "RUN", "--gold", "pool_gold.jsonl"],
    &["audit", "RUN", "--sample", "5"],
    &["report", "RUN"],
    &["check", "--deep", "RUN"],
];

fn complete() -> Project {
    let project = Project::new(64);
    project.write("pool.jsonl", &(project.read("pool.jsonl") + "nonsense\n"));
    project.run();
    project
}

#[test]
fn a_run_is_named_by_its_directory_or_its_configuration() {
    let project = complete();
    for verb in VERBS {
        let told = |run: &str| {
            let args: Vec<&str> = verb.iter().map(|&word| if word == "RUN" { run } else { word }).collect();
            project.candist(&args).expect_exit(0).out
        };
        let by_directory = told("run");
        assert!(!by_directory.is_empty(), "{verb:?}");
        assert_eq!(told("config.toml").replace("/./", "/"), by_directory.replace("/./", "/"), "{verb:?}");
    }
}

#[test]
fn what_prints_prints_json() {
    let project = complete();
    let verbs: [&[&str]; 8] = [
        &["check", "config.toml", "--json"],
        &["check", "--deep", "run", "--json"],
        &["status", "run", "--json"],
        &["status", "run", "--json", "--watch"],
        &["failures", "run", "--json"],
        &["eval", "run", "--gold", "pool_gold.jsonl", "--json"],
        &["tail", "run"],
        &["batch", "export", "config.toml", "--out", "batches", "--json"],
    ];
    for verb in verbs {
        let told = project.candist(verb).expect_exit(0);
        assert!(!told.out.is_empty(), "{verb:?}");
        for line in told.out.lines() {
            let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{verb:?}: {line}: {error}"));
            assert!(object.is_object(), "{verb:?}: {line}");
        }
    }
    let status: Value = serde_json::from_str(&project.candist(&["status", "run", "--json"]).out).unwrap();
    assert_eq!((status["state"].as_str(), status["bad_rows"].as_u64()), (Some("complete"), Some(1)));
    let labelled: u64 = status["labels"].as_array().unwrap().iter().filter_map(|label| label["texts"].as_u64()).sum();
    assert_eq!(Some(labelled), status["texts"].as_u64());
}

/// Loading libtorch takes longer than all else that `candist --help` does. Linked by rust-lld, as on Linux on x86-64.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
fn what_needs_no_student_loads_no_libtorch() {
    let needed = |program: &str| {
        let listed = Command::new("ldd").arg(program).output().unwrap();
        String::from_utf8(listed.stdout).unwrap().contains("libtorch_cpu.so")
    };
    assert!(!needed(env!("CARGO_BIN_EXE_candist")));
    assert!(needed(env!("CARGO_BIN_EXE_candist-engine")));
}

#[test]
fn without_its_engine_candist_says_what_is_missing_and_does_the_rest() {
    let project = complete();
    // A folder of its own: what candist is copied to, and not linked. By another process, for what this one has open for writing is open in
    // children that other tests start meanwhile, too, and the system starts no such program.
    let alone = project.path("candist");
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_candist")).arg(&alone).status().unwrap();
    assert!(copied.success());
    let candist =
        |args: &[&str]| Finished::of(Command::new(&alone).args(args).current_dir(project.path("")).output().unwrap());
    for verb in [&["run", "config.toml"][..], &["check", "config.toml"], &["predict", "--student", "x"]] {
        let told = candist(verb).expect_exit(1).expect_said("candist-engine");
        assert!(told.err.contains("belongs beside it") && !told.err.contains("panicked"), "{}", told.err);
    }
    candist(&["status", "run"]).expect_exit(0);
    // Nor is another version's engine believed.
    let mut engine = Command::new(env!("CARGO_BIN_EXE_candist-engine"));
    engine.args(["check", "config.toml"]).current_dir(project.path("")).env("CANDIST_STARTED_BY", "0.0.1");
    Finished::of(engine.output().unwrap()).expect_exit(1).expect_said("install both together");
    // The engine goes by the name of candist.
    let help = project.candist(&["predict"]).expect_exit(2).err;
    assert!(help.contains("Usage: candist predict"), "{help}");
}

#[test]
fn a_slip_is_told_what_was_meant() {
    let project = Project::new(64);
    project.candist(&["exprot", "run"]).expect_exit(2).expect_said("'export'");
    project.candist(&["statsu", "run"]).expect_exit(2).expect_said("'status'");
    project.candist(&["run", "config.toml", "--run-dri", "x"]).expect_exit(2).expect_said("'--run-dir'");
    let help = project.candist(&["--help"]).expect_exit(0).out;
    let at = |verb: &str| help.find(&format!("\n  {verb} ")).unwrap_or_else(|| panic!("{verb} is not in {help}"));
    let order = ["check", "plan", "run", "status", "tail", "export", "eval", "audit", "failures", "predict", "batch"];
    assert!(order.map(at).is_sorted(), "{help}");
    assert!(!help.contains("\n  man "), "{help}");
}

#[test]
fn shells_and_man_know_every_verb() {
    let project = Project::new(64);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = project.candist(&["completions", shell]).expect_exit(0).out;
        assert!(
            ["tail", "--forever", "--run-dir"].iter().all(|word| script.contains(word)) || shell == "fish",
            "{shell}"
        );
        assert!(script.contains("retry-failures"), "{shell}");
        if shell == "bash" {
            project.write("candist.bash", &script);
            let checked = Command::new("bash").args(["-n", "candist.bash"]).current_dir(project.path("")).status();
            assert!(checked.unwrap().success());
        }
    }
    project.candist(&["man", "pages"]).expect_exit(0);
    for page in ["candist.1", "candist-run.1", "candist-batch-export.1", "candist-completions.1"] {
        assert!(project.read(&format!("pages/{page}")).contains("Examples"), "{page}");
    }
}

/// What `child` printed, once it has ended by itself.
fn all_of(mut child: Child) -> Finished {
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    let exit = child.wait().unwrap().code();
    Finished { exit, out, err: String::new() }
}

#[test]
fn followers_end_when_the_run_is_complete_and_not_when_it_is_stopped() {
    let project = Project::new(16);
    let follow = || {
        let tails = project.start(&["tail", "-f", "run"]);
        (
            tails,
            project.start(&["status", "--watch", "run"]),
            project.start(&["status", "--watch", "--json", "config.toml"]),
        )
    };
    let before = follow();
    let mut killed = project.command(&["run", "config.toml"]);
    killed.env("FAILPOINTS", "labels-written=2*off->return(abort)");
    assert_eq!(killed.output().unwrap().status.code(), None);
    // Beside a run that was stopped.
    let between = follow();
    project.run();
    let after = follow();
    let labels = project.labels();
    for (tail, status, json) in [before, between, after] {
        let tailed = all_of(tail).expect_exit(0);
        assert!(tailed.out == labels, "{} of {} bytes", tailed.out.len(), labels.len());
        let watched = all_of(status).expect_exit(0).out;
        assert!(watched.contains("banking77: complete"), "{watched}");
        let told = all_of(json).expect_exit(0).out;
        let last: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        assert_eq!(last["state"], "complete", "{told}");
    }
}

#[test]
fn forever_is_longer_than_one_run() {
    let project = Project::new(16);
    let pool = project.read("pool.jsonl");
    project.write("pool.jsonl", &pool.lines().take(100).map(|row| format!("{row}\n")).collect::<String>());
    project.run();
    let mut tail = project.start(&["tail", "--forever", "run"]);
    let mut out = tail.stdout.take().unwrap();
    let first = project.labels();
    let mut read = vec![0; first.len()];
    out.read_exact(&mut read).unwrap();
    assert_eq!(String::from_utf8(read).unwrap(), first);
    project.write("pool.jsonl", &pool);
    project.run();
    let all = project.labels();
    let mut rest = vec![0; all.len() - first.len()];
    out.read_exact(&mut rest).unwrap();
    assert_eq!(first + &String::from_utf8(rest).unwrap(), all);
    assert!(tail.try_wait().unwrap().is_none());
    tail.kill().unwrap();
    tail.wait().unwrap();
    project.candist(&["tail", "--forever", "--latest", "run"]).expect_exit(2);
}

#[test]
fn an_alias_names_a_label() {
    let project = Project::new(16);
    let config = project.read("config.toml");
    let named = "{ name = \"card_arrival\", aliases = [\"my card is missing\"] },";
    project.write("config.toml", &config.replacen("\"card_arrival\",", named, 1));
    project.run();
    let by_name = project.candist(&["tail", "run", "--label", "card_arrival"]).expect_exit(0).out;
    assert!(!by_name.is_empty());
    let by_alias = project.candist(&["tail", "config.toml", "--label", "My card is missing!"]).expect_exit(0).out;
    assert_eq!(by_alias, by_name);
}
