//! Labels that people give: kept at once, held by everything that reads, learned from, never overruled, never lost.

use std::time::Duration;

use candist::internal::rng;
use candist::{By, LabelEvent};
use rand::Rng;

use crate::server::Behaviour;
use crate::support::{Project, Server, copy_folder, count, latest, openai, recorded};

const LABEL: &str = "age_limit";

impl Project {
    fn correct(&self, args: &[&str]) -> String {
        self.candist(&[&["correct", "run"], args].concat()).expect_exit(0).err
    }

    /// The ids of the corpus.
    fn ids(&self) -> Vec<String> {
        let id =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
        self.read("pool.jsonl").lines().map(id).collect()
    }

    /// What `candist tail --latest` has of a text.
    fn label_of(&self, id: &str) -> LabelEvent {
        let out = self.candist(&["tail", "run", "--latest"]).expect_exit(0).out;
        latest(&crate::support::events(&out)).remove(id).unwrap()
    }

    #[track_caller]
    fn expect_corrected(&self, id: &str) {
        let event = self.label_of(id);
        let is = (event.label.as_str(), event.confidence, &event.by, event.is_final, event.margin);
        assert_eq!(is, (LABEL, 1.0, &By::Person, true, Some(1.0)), "{id}");
    }
}

#[test]
fn a_correction_holds_at_once_and_whatever_changes_later() {
    let project = Project::new(16);
    project.run();
    let ids = project.ids();
    let id = ids[7].as_str();
    let before = project.labels();
    let said = project.correct(&["--set", id, "Age limit", "--who", "anna"]);
    assert!(said.contains("1 corrected; exports have it at once"), "{said}");
    // The label log is the run's; all that reads labels has it all the same.
    assert_eq!(project.labels(), before);
    project.expect_corrected(id);
    project.candist(&["export", "run", "--labels", "labels.jsonl"]).expect_exit(0);
    let table = project.read("labels.jsonl");
    let row = table.lines().find(|line| line.contains(&format!("\"id\":\"{id}\""))).unwrap();
    assert!(row.contains("\"by\":\"person\"") && row.contains("\"corrected\":true"), "{row}");
    let status = project.candist(&["status", "run"]).expect_exit(0).out;
    assert!(status.contains("corrections that the next run learns from"), "{status}");
    // Said again, it is nothing new.
    assert!(project.correct(&["--set", id, LABEL]).contains("1 as it was said before"));
    assert_eq!(project.read("run/corrections.jsonl").lines().count(), 1);

    project.run();
    let events = project.events();
    assert_eq!(events.iter().filter(|event| event.by == By::Person).count(), 1);
    assert!(latest(&events).values().all(|event| event.is_final));
    project.expect_corrected(id);
    let status = project.candist(&["status", "run"]).expect_exit(0).out;
    assert!(status.contains("corrected") && !status.contains("learns from"), "{status}");
    project.run().expect_said("already complete");
    project.candist(&["check", "--deep", "run"]).expect_exit(0);

    // Another student, then another teacher, with whom all texts arrive anew.
    project.write("config.toml", &project.read("config.toml").replace("dimension = 8", "dimension = 9"));
    project.run();
    project.expect_corrected(id);
    project.configure(&recorded(&["gpt-4"]), "");
    project.run().expect_said("the texts arrive anew");
    project.expect_corrected(id);

    // Taken back, the label is the refinery's again.
    assert!(project.correct(&["--take-back", id]).contains("1 taken back"));
    project.run();
    assert_eq!(project.label_of(id).by, By::Posterior);
    assert!(project.label_of(id).is_final);
}

#[test]
fn labels_follow_from_the_logs_with_corrections_in_them() {
    let project = Project::new(16);
    project.run();
    let ids = project.ids();
    project.correct(&["--set", &ids[3], LABEL, "--set", &ids[90], LABEL]);
    project.run();
    project.correct(&["--take-back", &ids[3], "--set", &ids[91], LABEL]);
    project.run();
    let labels = project.labels();
    for lost in
        [&["labels.jsonl", "checkpoints", "store", "status.json"][..], &["store"], &["checkpoints", "labels.jsonl"]]
    {
        for name in lost {
            let path = project.path("run").join(name);
            let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        }
        project.run();
        assert_eq!(project.labels(), labels, "without {lost:?}");
    }
    // The input log begins anew: a correction comes with its text.
    std::fs::remove_file(project.path("run/inputs.jsonl")).unwrap();
    project.run();
    let inputs = project.read("run/inputs.jsonl");
    let told: Vec<&str> = inputs.lines().filter(|line| line.contains("\"event\":\"correct\"")).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    project.expect_corrected(&ids[90]);
    project.expect_corrected(&ids[91]);
}

#[test]
fn a_run_takes_in_what_is_said_beside_it() {
    let project = Project::new(8);
    let server = Server::start(&project, Behaviour { latency: Duration::from_millis(40), ..Behaviour::default() });
    project.configure(&openai(&["all-merged"], &server.url, "requests_per_minute = 3000"), "");
    let mut child = project.start(&["run", "config.toml"]);
    let ids = project.ids();
    while !std::fs::read_to_string(project.path("run/labels.jsonl")).is_ok_and(|log| log.lines().count() > 3) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before a label came");
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = project.correct(&["--set", &ids[0], LABEL]);
    assert!(said.contains("the run takes it in"), "{said}");
    let ended = crate::support::Finished::of(child.wait_with_output().unwrap()).expect_exit(0);
    let events = project.events();
    let at = events.iter().position(|event| event.by == By::Person).unwrap_or_else(|| panic!("{}", ended.err));
    assert!(events[at].is_final && at + 1 < events.len());
    assert!(events[at + 1..].iter().all(|event| event.id != ids[0]), "it stands");
    project.expect_corrected(&ids[0]);
}

#[test]
fn what_was_acknowledged_is_there_after_kills_of_whoever_wrote_it_and_of_the_run() {
    let project = Project::new(16);
    project.run();
    copy_folder(&project.path("run"), &project.path("kept"));
    let ids = project.ids();
    for round in 0..count("CANDIST_KILLS", 3) {
        project.remove_run();
        copy_folder(&project.path("kept"), &project.path("run"));
        let mut rng = rng(round as u64, "correct", &[]);
        let mut acknowledged = Vec::new();
        for id in &ids[..12] {
            let mut child = project.start(&["correct", "run", "--set", id, LABEL]);
            let mut run = project.start(&["run", "config.toml"]);
            std::thread::sleep(Duration::from_millis(rng.random_range(0..300)));
            let _ = child.kill();
            if child.wait().unwrap().success() {
                acknowledged.push(id);
            }
            run.kill().unwrap();
            run.wait().unwrap();
        }
        project.run();
        acknowledged.iter().for_each(|id| project.expect_corrected(id));
        let labels = project.labels();
        for name in ["labels.jsonl", "checkpoints", "store"] {
            let path = project.path("run").join(name);
            let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        }
        project.run();
        assert_eq!(project.labels(), labels, "round {round}");
        assert!(project.candist(&["check", "--deep", "run"]).exit == Some(0), "round {round}");
    }
}

#[test]
fn a_file_of_labels_is_taken_whole_or_not_at_all() {
    let project = Project::new(32);
    project.run();
    let ids = project.ids();
    project.write("some.csv", &format!("id,label\n{},{LABEL}\n{},{LABEL}\nnobody,{LABEL}\n", ids[0], ids[1]));
    let refused = project.candist(&["correct", "run", "some.csv"]).expect_exit(2);
    refused.expect_said("no text with the id \"nobody\": nothing was kept");
    project
        .candist(&["correct", "run", "--set", &ids[0], "age limitt"])
        .expect_exit(2)
        .expect_said("did you mean \"age_limit\"?");
    project.candist(&["correct", "run"]).expect_exit(2).expect_said("nothing to correct");
    assert!(!project.path("run/corrections.jsonl").exists());
    project.write("some.csv", &format!("nr,intent\n{},{LABEL}\n{},{LABEL}\n", ids[0], ids[1]));
    let said = project.correct(&["some.csv", "--id-field", "nr", "--label-field", "intent"]);
    assert!(said.contains("2 corrected"), "{said}");
    // A text that no teacher named a label for is labelled by a person all the same; and one of another text is not taken for it.
    project.expect_corrected(&ids[1]);
    let pool = project.read("pool.jsonl");
    let changed =
        pool.replacen("\"text\":\"", "\"text\":\"changed ", 2).replacen("\"text\": \"", "\"text\": \"changed ", 2);
    assert_ne!(changed, pool);
    project.write("pool.jsonl", &changed);
    project.configure(&recorded(&["gpt-4"]), "");
    let run = project.candist(&["run", "config.toml"]);
    assert!(run.err.contains("it was given to another text of this id"), "{}", run.err);
    assert_ne!(project.label_of(&ids[0]).by, By::Person);
}
