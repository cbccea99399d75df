use std::path::Path;

use candist::config::TextFrom;
use candist::{Config, Schema, json_schema};
use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn server(provider: Provider) -> Teacher {
    let Some(preset) = provider.preset() else { return Teacher::Recorded("answers.jsonl".into()) };
    Teacher::Server {
        provider,
        preset,
        base_url: preset.base_url.unwrap_or(preset.example).to_owned(),
        model: preset.model.unwrap_or("my-deployment").to_owned(),
        allow_http: false,
    }
}

fn settled(names: &[&str], provider: Provider) -> Settled {
    let label = |name: &&str| NewLabel { name: (*name).to_owned(), description: None };
    Settled {
        schema: "candist.schema.json",
        name: "support".into(),
        instruction: "Identify what the customer wants".into(),
        labels: names.iter().map(label).collect(),
        corpus: "messages.csv".into(),
        corpus_keys: Vec::new(),
        text_field: "body".into(),
        id_field: Some("id".into()),
        gold: Some("gold\nlabel".into()),
        teacher: server(provider),
    }
}

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new(""), None).map_err(|problems| problems.to_string())
}

#[test]
fn every_provider_makes_a_configuration_without_a_problem() {
    for provider in Provider::all() {
        for id_field in [Some("number".to_owned()), None] {
            let settled = Settled { id_field, ..settled(&["refund", "other"], *provider) };
            let text = text(&settled);
            let config = parse(&text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
            assert_eq!((config.task.labels.len(), config.corpus.text), (2, TextFrom::Field("body".into())));
            assert!(text.lines().all(|line| line.chars().count() <= 130), "{text}");
        }
    }
}

/// Lines that are a key and its default behind a `# `, with their places.
fn defaults(text: &str) -> Vec<(usize, &str)> {
    let is_key = |line: &str| {
        let key = line.split(" = ").next().unwrap_or_default();
        line.contains(" = ") && !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    let lines = text.lines().enumerate();
    lines.filter_map(|(place, line)| Some((place, line.strip_prefix("# ").filter(|line| is_key(line))?))).collect()
}

#[test]
fn every_default_can_be_uncommented() {
    // Some are refused by themselves, with the reason that their comments give.
    let alone = [
        ("shots", "names no file"),
        ("choose", "names no file"),
        ("max_cost", "where prices are known"),
        ("price", "must be a decimal"),
        ("shared_name", "names no database"),
        ("model", "is for student.kind"),
        ("vectors", "is for student.kind"),
        ("train_layers", "is for student.kind"),
        ("layer_decay", "is for student.kind"),
        ("max_length", "is for student.kind"),
        ("warmup_steps", "is for student.kind"),
        ("precision", "is for student.kind"),
        ("device", "is for student.kind"),
    ];
    for provider in [Provider::OpenAi, Provider::Recorded] {
        let text = text(&Settled { id_field: None, ..settled(&["a", "b"], provider) });
        let defaults = defaults(&text);
        assert!(defaults.len() > if provider == Provider::OpenAi { 45 } else { 20 }, "{defaults:?}");
        for (place, line) in defaults {
            let uncommented: Vec<&str> =
                text.lines().enumerate().map(|(at, other)| if at == place { line } else { other }).collect();
            let key = line.split(" = ").next().unwrap();
            match (parse(&uncommented.join("\n")), alone.iter().find(|(name, _)| *name == key)) {
                (Ok(_), None) => {}
                // A recording costs nothing, so a cap on it is kept.
                (Ok(_), Some(("max_cost", _))) if provider == Provider::Recorded => {}
                (Err(problems), Some((_, reason))) => assert!(problems.contains(reason), "{line}: {problems}"),
                (parsed, _) => panic!("{line}: {parsed:?}"),
            }
        }
    }
}

#[test]
fn no_key_that_there_is_is_left_out() {
    let schema = serde_json::to_value(json_schema(Schema::Config)).unwrap();
    let text: String =
        [Provider::OpenAi, Provider::Recorded].map(|provider| text(&settled(&["a", "b"], provider))).concat();
    let has = |key: &str| text.contains(&format!("{key} = "));
    let tables = schema["$defs"].as_object().unwrap();
    for table in ["RawTask", "RawCorpus", "RawTeacher", "RawCandidates", "RawStudent", "RawDistill", "RawRun"] {
        for key in tables[table]["properties"].as_object().map(|keys| keys.keys()).unwrap() {
            // Of labels that people gave before: init has none to ask for.
            let is_of_people = key == "label_field";
            assert!(has(key) || is_of_people, "{table}: {key} is not in the template");
        }
    }
    assert!(matches!(schema["properties"]["task"], Value::Object(_)));
}

#[test]
fn many_labels_go_one_a_line_with_what_they_mean() {
    let mut settled = settled(&["refund", "delivery"], Provider::OpenAi);
    settled.labels[1].description = Some("where a \"parcel\" is".into());
    let short = text(&settled);
    assert!(
        short.contains("labels = [\"refund\", { name = \"delivery\", description = \"where a \\\"parcel"),
        "{short}"
    );
    settled.labels.extend((0..30).map(|number| NewLabel { name: format!("label {number}"), description: None }));
    let long = text(&settled);
    assert!(long.contains("labels = [\n  \"refund\",\n"), "{long}");
    assert_eq!(parse(&long).unwrap().task.labels.iter().nth(1).unwrap().description, settled.labels[1].description);
}

proptest! {
    #[test]
    fn any_name_comes_through(names in prop::collection::hash_set("[\\PC\\p{Cc}]{1,12}", 2..6), field in "[\\PC\\p{Cc}]{1,12}") {
        let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.trim().is_empty()).collect();
        prop_assume!(names.len() >= 2 && field != "id");
        let mut settled = settled(&names, Provider::Ollama);
        settled.gold = Some(field.clone());
        settled.text_field = field.clone();
        settled.instruction.clone_from(&field);
        let config = parse(&text(&settled)).unwrap();
        prop_assert_eq!(config.task.labels.iter().map(|label| label.name.as_str()).collect::<Vec<_>>(), names);
        let text = if field.contains("{{") { TextFrom::Template(field) } else { TextFrom::Field(field) };
        prop_assert_eq!(config.corpus.text, text);
    }
}
