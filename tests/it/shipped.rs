//! What ships with the program is what the program says it is.

use candist::Config;

use crate::support::{Project, repository};

#[test]
fn every_configuration_is_well_formed() {
    let mut count = 0;
    for entry in std::fs::read_dir(repository().join("configs")).unwrap() {
        let path = entry.unwrap().path();
        let config = Config::load(&path, None).unwrap();
        assert!(config.corpus.paths.iter().all(|path| path.exists()), "{}", path.display());
        count += 1;
    }
    assert_eq!(count, 2);
}

/// The quickstart: the distilled labels must be better than the teacher's first.
#[test]
fn distilled_labels_beat_the_teachers_first() {
    let project = Project::new(1);
    let defaults = project.read("config.toml").split("[student]").next().unwrap().to_owned();
    project.write("config.toml", &format!("{defaults}\n[run]\ndir = \"run\"\n"));
    project.run();
    let eval = project.candist(&["eval", "run", "--gold", "pool_gold.jsonl", "--json"]).expect_exit(0).out;
    let eval: serde_json::Value = serde_json::from_str(&eval).unwrap();
    let figure = |name: &str| eval[name].as_f64().unwrap();
    assert!(figure("distilled") > figure("teacher_first"), "{eval}");
    assert!(figure("coverage") > 0.9 && (1.3..1.4).contains(&figure("mean_candidates")), "{eval}");
}
