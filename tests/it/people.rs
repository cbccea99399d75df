//! Teachers of the kind "human": labels in a person's file, which are corrections as soon as their texts are there.

use candist::By;

use crate::support::{Project, latest, recorded};

const LABEL: &str = "age_limit";

/// The example's first sixteen texts and two teachers, besides anna's file.
fn with_people(file: &str) -> Project {
    let project = Project::new(16);
    project.write("anna.csv", file);
    let anna = "\n[[teachers]]\nkind = \"human\"\npath = \"anna.csv\"\nlabel_field = \"right\"\n";
    project.configure(&(recorded(&["gpt-4", "gpt-3.5"]) + anna), "");
    project
}

impl Project {
    fn id(&self, row: usize) -> String {
        let pool = self.read("pool.jsonl");
        let row: serde_json::Value = serde_json::from_str(pool.lines().nth(row).unwrap()).unwrap();
        row["id"].as_str().unwrap().to_owned()
    }

    /// The label that readers have of a text, and whether it is a person's.
    fn held(&self, id: &str) -> (String, bool) {
        let out = self.candist(&["tail", "run", "--latest"]).expect_exit(0).out;
        let event = latest(&crate::support::events(&out)).remove(id).unwrap();
        (event.label, event.by == By::Person)
    }
}

#[test]
fn labels_of_a_person_are_final_and_learned_from_as_their_texts_arrive() {
    let blank = with_people("id,right\n");
    let (first, second) = (blank.id(3), blank.id(9));
    let project = with_people(&format!("id,right\n{first},Age limit\n{second},{LABEL}\nnowhere,{LABEL}\n"));
    project.candist(&["check", "config.toml"]).expect_exit(0);
    project
        .run()
        .expect_said("1 label(s) in people's files are of texts that have not arrived, \"nowhere\" is the first");
    for id in [&first, &second] {
        assert_eq!(project.held(id), (LABEL.to_owned(), true));
    }
    let kept = project.read("run/corrections.jsonl");
    assert_eq!(kept.lines().count(), 2, "{kept}");
    assert!(kept.lines().all(|line| line.contains("\"who\":\"anna\"")), "{kept}");
    // The label log has them too: they were there before the labels settled.
    assert_eq!(project.events().iter().filter(|event| event.by == By::Person).count(), 2);
    project.run().expect_said("already complete");
    project.candist(&["check", "--deep", "run"]).expect_exit(0);

    // What is said later counts, whatever the file goes on to say.
    for who in ["ben", "anna"] {
        let label = if who == "ben" { "card_arrival" } else { "card_linking" };
        project.candist(&["correct", "run", "--set", &first, label, "--who", who]).expect_exit(0);
        project.run();
        assert_eq!(project.held(&first), (label.to_owned(), true));
    }
    // What the file says anew is news, of texts that arrived long ago too.
    let third = project.id(5);
    project.write("anna.csv", &format!("id,right\n{second},card_arrival\n{third},{LABEL}\n"));
    project.run();
    assert_eq!(project.held(&second), ("card_arrival".to_owned(), true));
    assert_eq!(project.held(&third), (LABEL.to_owned(), true));
    // A line that is gone takes nothing back.
    project.write("anna.csv", &format!("id,right\n{third},{LABEL}\n"));
    project.run();
    assert_eq!(project.held(&second), ("card_arrival".to_owned(), true));
}

#[test]
fn a_file_that_cannot_be_used_stops_before_anything_is_asked() {
    let project = with_people("id,right\n1,no such label\n");
    for args in [&["check", "config.toml"][..], &["run", "config.toml"]] {
        project.candist(args).expect_exit(2).expect_said("the label \"no such label\" is none of the task's");
    }
    project.write("anna.csv", "id,wrong\n1,age_limit\n");
    project.candist(&["run", "config.toml"]).expect_exit(2).expect_said("name the one of the labels with label_field");
    assert!(!project.path("run").exists());
}
