//! The book's page of configuration keys is made from the schema: every key with type, range, default, description and an
//! example, and every example is one that `candist check` takes. `make reference` writes it.

use std::fmt::Write;
use std::path::Path;

use candist::Config;
use serde_json::Value;

use crate::schemas::expect_file;
use crate::support::repository;

/// Tables in the order in which one writes them.
const TABLES: [&str; 7] = ["task", "corpus", "teachers", "candidates", "student", "distill", "run"];

const HEAD: &str = "# Configuration keys

<!-- Made from schemas/config.json by `make reference`: edit the doc comments in src/config/raw.rs and raw_teacher.rs. -->

A configuration is one TOML file. Relative paths in it are relative to its folder. `candist check FILE` tells all that is
wrong with one at once, each mistake with its key; a key that candist does not know is a mistake.

Editors complete keys and show what is here where the first line of a file names the schema (with the Even Better TOML
extension of VS Code, or another editor with taplo):

```text
#:schema ./config.schema.json
```

`candist schema config > config.schema.json` writes that file; see [schemas](schemas.md).

";

/// A key: its full name, its own, and what the schema says of it.
struct Key<'a> {
    path: String,
    name: &'a str,
    schema: &'a Value,
    is_required: bool,
}

fn schema() -> Value {
    serde_json::from_str(&std::fs::read_to_string(repository().join("schemas/config.json")).unwrap()).unwrap()
}

/// What a `$ref` in `schema` leads to, if there is one: in it, in its items, or among the ways that these may be.
fn table<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let target = |schema: &'a Value| root.pointer(schema["$ref"].as_str()?.strip_prefix('#')?);
    let ways = |schema: &'a Value| schema["anyOf"].as_array().into_iter().flatten();
    let found = target(schema).or_else(|| target(&schema["items"]))?;
    if found["properties"].is_object() {
        return Some(found);
    }
    ways(found).find_map(|way| target(way).filter(|table| table["properties"].is_object()))
}

/// The keys of a table, those below them after each.
fn keys<'a>(root: &'a Value, table: &'a Value, path: &str, found: &mut Vec<Key<'a>>) {
    for (name, schema) in table["properties"].as_object().unwrap() {
        let path = format!("{path}.{name}");
        let is_required = table["required"].as_array().is_some_and(|keys| keys.iter().any(|key| key == name));
        let below = self::table(root, schema);
        found.push(Key { path: path.clone(), name, schema, is_required });
        if let Some(below) = below {
            keys(root, below, &path, found);
        }
    }
}

/// All keys, by their table.
fn all_keys(root: &Value) -> Vec<(&'static str, &Value, Vec<Key<'_>>)> {
    let there: Vec<&String> = root["properties"].as_object().unwrap().keys().collect();
    assert!(there.len() == TABLES.len() && there.iter().all(|name| TABLES.contains(&name.as_str())), "{there:?}");
    let of = |name: &'static str| {
        let schema = &root["properties"][name];
        let mut found = Vec::new();
        keys(root, table(root, schema).unwrap(), name, &mut found);
        (name, schema, found)
    };
    TABLES.map(of).into()
}

/// As TOML has it, on one line.
fn toml(value: &Value) -> String {
    match value {
        Value::Object(table) => {
            let entries: Vec<String> = table.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// An example: the first there is, or a value that it may have.
fn example(key: &Key) -> Option<String> {
    let given = key.schema["examples"].get(0).or_else(|| key.schema["enum"].get(1));
    let flipped = key.schema["default"].as_bool().map(|is_set| Value::Bool(!is_set));
    given.cloned().or(flipped).or_else(|| key.schema.get("default").cloned()).map(|value| toml(&value))
}

fn kind(root: &Value, schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    let target = schema["$ref"].as_str().and_then(|path| root.pointer(path.strip_prefix('#')?));
    match (schema["type"].as_str(), target) {
        (Some("array"), _) => format!("list of {}s", kind(root, &schema["items"]).replace(" or ", "s or ")),
        (Some("integer"), _) => "whole number".to_owned(),
        (Some(kind @ ("number" | "string")), _) => kind.to_owned(),
        (Some("boolean"), _) => "`true` or `false`".to_owned(),
        (_, Some(target)) if target["properties"].is_object() => "table".to_owned(),
        (_, Some(target)) => kind(root, target),
        _ => {
            let ways = schema["anyOf"].as_array().cloned().unwrap_or_default();
            ways.iter().map(|way| kind(root, way)).collect::<Vec<_>>().join(" or ")
        }
    }
}

/// What a number, or the length of a list, is between; bounds that no one meets are left out.
fn range(schema: &Value) -> String {
    let bound = |name: &str| schema[name].as_f64().filter(|bound| bound.abs() < f64::from(u32::MAX));
    match (bound("minimum").or(bound("minItems")), bound("maximum").or(bound("maxItems"))) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) if least > 0.0 => format!(", {least} or more"),
        _ => String::new(),
    }
}

/// What `kind` of its table a key belongs to, and what is said of it.
fn said(schema: &Value) -> (Option<String>, String) {
    // A page may have HTML in it; descriptions have none.
    let text = schema["description"].as_str().unwrap_or_default().replace('\n', " ").replace('<', "\\<");
    match text.split_once(": ") {
        Some((kind @ ("openai" | "recorded" | "human" | "encoder" | "ngram"), rest)) => {
            let mut letters = rest.chars();
            let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
            (Some(kind.to_owned()), first + letters.as_str())
        }
        _ => (None, text),
    }
}

fn entry(root: &Value, key: &Key) -> String {
    let (of, text) = said(key.schema);
    let mut facts = kind(root, key.schema) + &range(key.schema);
    match key.schema.get("default") {
        Some(default) => write!(facts, "; default `{}`", toml(default)).unwrap(),
        None if key.is_required => facts.push_str("; required"),
        None => {}
    }
    if let Some(of) = of {
        write!(facts, "; with `kind = \"{of}\"`").unwrap();
    }
    let example = example(key).unwrap_or_else(|| panic!("{} has no example", key.path));
    format!("### `{}`\n\n{facts}\n\n{text}\n\nExample: `{} = {example}`\n\n", key.path, key.name)
}

fn page(root: &Value) -> String {
    let mut page = HEAD.to_owned();
    for (name, schema, keys) in all_keys(root) {
        let heading = if name == "teachers" { format!("[[{name}]]") } else { format!("[{name}]") };
        let text = schema["description"].as_str().unwrap_or_default();
        write!(page, "## `{heading}`\n\n{text}\n\n").unwrap();
        keys.iter().for_each(|key| page.push_str(&entry(root, key)));
    }
    page.trim_end().to_owned() + "\n"
}

#[test]
fn the_reference_of_keys_is_that_of_the_schema() {
    expect_file(&repository().join("docs/src/reference/configuration.md"), &page(&schema()));
}

/// The key, set in a configuration that is otherwise right for it.
fn configuration(key: &Key, value: &str) -> String {
    let setting = format!("{} = {value}\n", key.name);
    let of = said(key.schema).0.unwrap_or_default();
    let in_table = |table: &str, others: &[&str]| -> String {
        let mine = key.path.rsplit_once('.').unwrap().0 == table;
        let others = others.iter().filter(|line| !mine || !line.starts_with(&format!("{} =", key.name)));
        others.map(|line| format!("{line}\n")).collect::<String>() + if mine { &setting } else { "" }
    };
    let label = if key.path.starts_with("task.labels.") {
        format!("{{ {}{} = {value} }}", if key.name == "name" { "" } else { "name = \"c\", " }, key.name)
    } else {
        "\"c\"".to_owned()
    };
    let labels = format!("labels = [\"a\", \"b\", {label}]");
    let price = if key.path.starts_with("teachers.price.") {
        let others =
            ["input = 1", "output = 1"].into_iter().filter(|other| !other.starts_with(&format!("{} ", key.name)));
        format!("price = {{ {}, {} = {value} }}", others.collect::<Vec<_>>().join(", "), key.name)
    } else {
        "price = { input = 1, output = 1 }".to_owned()
    };
    let recorded = ["kind = \"recorded\"", "path = \"answers.jsonl\""];
    let openai = ["kind = \"openai\"", "base_url = \"https://api.openai.com/v1\"", "model = \"m\"", &price];
    let examples = ["examples = \"examples.jsonl\""];
    let few_shot = if ["shots", "choose"].contains(&key.name) { examples.as_slice() } else { &[] };
    let human = ["kind = \"human\"", "path = \"labels.csv\""];
    let teacher = match of.as_str() {
        "recorded" => recorded.to_vec(),
        "human" => human.to_vec(),
        _ => [openai.as_slice(), few_shot].concat(),
    };
    // A person is nobody to ask.
    let asked = if of == "human" { "[[teachers]]\nkind = \"recorded\"\npath = \"answers.jsonl\"\n" } else { "" };
    let student = if of == "encoder" { ["kind = \"encoder\"", "model = \"folder\""].as_slice() } else { &[] };
    // An example of a kind stands without what the kind needs.
    let student = if key.path == "student.kind" { &["model = \"folder\""] } else { student };
    format!(
        "[task]\n{}[corpus]\n{}{asked}[[teachers]]\n{}[candidates]\n{}[student]\n{}[distill]\n{}[run]\n{}",
        in_table("task", &["name = \"t\"", &labels]),
        in_table("corpus", &["path = \"texts.jsonl\""]),
        in_table("teachers", &teacher),
        in_table("candidates", &[]),
        in_table("student", student),
        in_table("distill", &[]),
        in_table("run", if key.path == "run.shared_name" { &["shared = \"postgres://ann@db/team\""] } else { &[] }),
    )
}

#[test]
fn every_example_and_default_is_taken() {
    let root = schema();
    let mut tried = 0;
    for key in all_keys(&root).iter().flat_map(|(_, _, keys)| keys) {
        let values = key.schema["examples"].as_array().into_iter().flatten().map(toml);
        for value in values.chain(example(key)) {
            let text = configuration(key, &value);
            if let Err(problems) = Config::parse(&text, Path::new(""), None) {
                panic!("{}: {problems}\nin\n{text}", key.path);
            }
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried}");
}
