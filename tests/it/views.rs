//! Whoever looks at a run directory changes nothing in it and stands in nobody's way.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::server::Behaviour;
use crate::support::{Finished, Project, Server, openai};

/// All verbs that look, with what they are given.
const LOOKS: [&[&str]; 16] = [
    &["status", "run"],
    &["tail", "run"],
    &["tail", "run", "--latest"],
    &["tail", "run", "--final"],
    &["failures", "run"],
    &["failures", "run", "--json"],
    &["eval", "run", "--gold", "pool_gold.jsonl"],
    &["eval", "run", "--gold", "pool_gold.jsonl", "--json"],
    &["audit", "run", "--sample", "10"],
    &["export", "run", "--labels", "-"],
    &["export", "config.toml", "--labels", "-", "--format", "jsonl", "--join"],
    &["report", "run"],
    &["report", "config.toml", "--gold", "pool_gold.jsonl", "--check"],
    &["check", "--deep", "run"],
    &["check", "config.toml"],
    &["plan", "config.toml"],
];

/// Everything about a folder that writing to it would change.
pub(crate) fn listing(folder: &Path) -> BTreeMap<PathBuf, (u64, u32, [i64; 4], Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let about = path.metadata().unwrap();
        let content = if about.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            Vec::new()
        } else {
            std::fs::read(&path).unwrap()
        };
        let times = [about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec()];
        found.insert(path, (about.ino(), about.mode(), times, content));
    }
    found
}

/// Takes the right to write away, from all but root.
fn protect(folder: &Path, writable: bool) {
    for path in listing(folder).into_keys() {
        let mode = if path.is_dir() { 0o555 } else { 0o444 };
        let mode = if writable { mode | 0o200 } else { mode };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[track_caller]
fn look_in_all_ways(project: &Project, exits: &[i32]) {
    for args in LOOKS {
        let looked = project.candist(args);
        assert!(exits.contains(&looked.exit.unwrap()), "{args:?}: {}{}", looked.out, looked.err);
        assert!(!looked.err.contains("panicked"), "{args:?}: {}", looked.err);
    }
}

#[test]
fn looking_changes_nothing() {
    let project = Project::new(64);
    let pool = project.read("pool.jsonl");
    project.write("pool.jsonl", &(pool + "nonsense\n{\"id\": \"new\", \"text\": \"where is my card\"}\n"));
    project.run();
    let run = project.path("run");
    for state in ["finished", "interrupted", "beheaded"] {
        protect(&run, false);
        let before = listing(&run);
        // Without a finished run there may be nothing to judge or to show yet.
        look_in_all_ways(&project, if state == "finished" { &[0] } else { &[0, 1, 2] });
        let export = project.candist(&["export", "run", "--student", state]);
        assert!(state != "finished" || export.exit == Some(0), "{}", export.err);
        assert!(before == listing(&run), "{state}: something changed");
        protect(&run, true);
        // The next states: what a kill leaves, and logs alone with torn ends.
        if state == "finished" {
            project.remove_run();
            let mut command = project.command(&["run", "config.toml"]);
            // On a busy machine labels are written a few times only.
            command.env("FAILPOINTS", "labels-written=1*off->return(abort)");
            assert_eq!(command.output().unwrap().status.code(), None);
        } else if state == "interrupted" {
            std::fs::remove_dir_all(run.join("store")).unwrap();
            for name in ["answers.jsonl", "inputs.jsonl", "labels.jsonl"] {
                let content = std::fs::read(run.join(name)).unwrap();
                std::fs::write(run.join(name), &content[..content.len() - 7]).unwrap();
            }
        }
    }
}

#[test]
fn looking_at_a_live_run_does_not_disturb_it() {
    let project = Project::new(16);
    let server = Server::start(&project, Behaviour { latency: Duration::from_millis(40), ..Behaviour::default() });
    let slow = openai(&["all-merged"], &server.url, "").replace("= 64", "= 4\nmin_in_flight = 4");
    project.configure(&slow, "");
    project.run();
    let (expected, requests) = (project.labels(), server.replay.stats().requests);
    project.remove_run();
    let mut running = project.start(&["run", "config.toml"]);
    while !std::fs::read(project.path("run/labels.jsonl")).is_ok_and(|labels| !labels.is_empty()) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut looked = 0;
    while running.try_wait().unwrap().is_none() {
        // Nothing may be final or published yet.
        look_in_all_ways(&project, &[0, 2]);
        looked += 1;
    }
    let ended = Finished::of(running.wait_with_output().unwrap()).expect_exit(0);
    assert!(looked > 0, "{}", ended.err);
    assert_eq!((project.labels(), server.replay.stats().requests), (expected, 2 * requests));
}

#[test]
fn a_run_is_not_refused_because_someone_looks() {
    let project = Project::new(128);
    project.run();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for args in [&["status", "run"][..], &["tail", "run"], &["check", "--deep", "run"]] {
            let (project, over) = (&project, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    project.candist(args).expect_exit(0);
                }
            });
        }
        let runs: Vec<Finished> = (0..8).map(|_| project.candist(&["run", "config.toml"])).collect();
        over.store(true, Ordering::Relaxed);
        for run in runs {
            run.expect_exit(0).expect_said("already complete");
        }
    });
}

/// A disk that nobody can write to, where the machine lets us have one.
#[test]
#[expect(clippy::print_stderr, reason = "says what was not tested")]
fn a_run_directory_on_a_read_only_disk_can_be_looked_at() {
    let project = Project::new(64);
    project.run();
    let script = "mount --bind run run && mount -o remount,bind,ro run && ! touch run/probe 2>/dev/null && ";
    let looks: Vec<String> = LOOKS.iter().map(|args| format!("\"$0\" {} >/dev/null", args.join(" "))).collect();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &format!("{script}echo mounted && {}", looks.join(" && "))]);
    command.arg(env!("CARGO_BIN_EXE_candist")).current_dir(project.path(""));
    let Ok(output) = command.output() else { return };
    let ended = Finished::of(output);
    if !ended.out.contains("mounted") {
        eprintln!("no read-only mount here: {}", ended.err);
        return;
    }
    ended.expect_exit(0);
}

/// A run leaves its sums when it closes the logs. Who believes them must see what reading the logs would show.
#[test]
fn what_a_run_leaves_word_of_is_what_its_logs_hold() {
    let project = Project::new(32);
    let pool = project.read("pool.jsonl");
    let look = || {
        ["status run", "status run --json", "failures run"].map(|verb| {
            let looked = project.candist(&verb.split(' ').collect::<Vec<_>>());
            (looked.exit, looked.out, looked.err)
        })
    };
    let steps: [&dyn Fn(); 3] = [
        &|| {},
        &|| {
            project
                .write("pool.jsonl", &(pool.clone() + "nonsense\n{\"id\": \"new\", \"text\": \"where is my card\"}\n"))
        },
        &|| drop(project.candist(&["correct", "run", "--set", "pool-0000", "card_arrival"]).expect_exit(0)),
    ];
    let mut shown = Vec::new();
    for step in steps {
        step();
        project.candist(&["run", "config.toml"]).expect_exit(0);
        let mark = project.read("run/store/clean.json");
        assert!(mark.contains("\"tally\":{"), "{mark}");
        let believed = look();
        std::fs::remove_file(project.path("run/store/clean.json")).unwrap();
        assert_eq!(believed, look());
        shown.push(believed);
    }
    // Each step is to be seen in it, or nothing was compared.
    shown.dedup();
    assert_eq!(shown.len(), steps.len());
}
