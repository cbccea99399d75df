//! From TOML text to the raw configuration, with *all* wrong keys and types found in one go.
//!
//! Who writes a configuration by hand makes more than one mistake, and a program that tells one at a time is run as
//! often. serde gives up at the first wrong type, so each is noted and taken out, and what is left is read again: as
//! often as there are mistakes.

use schemars::Schema;
#[cfg(test)]
use serde::Deserialize;
use serde_json::Value as Json;

use super::raw::RawConfig;
use super::{Problem, Problems};
use crate::domain::label::nearest;

/// Reads `text`; what is wrong with it is added to `problems`, and what is right is returned.
pub(super) fn read(text: &str, problems: &mut Problems) -> RawConfig {
    let table: toml::Table = match toml::from_str(text) {
        Ok(table) => table,
        Err(error) => {
            problems.push(Problem::whole_file(format!("is not TOML: {}", error.to_string().trim())));
            return RawConfig::default();
        }
    };
    let mut value = toml::Value::Table(table);
    // serde stops at the first wrong type: note it, take it out, read again.
    loop {
        // Anew each time: only the reading that comes to the end has seen all keys.
        let mut unknown = Vec::new();
        let mut track = serde_path_to_error::Track::new();
        let typed = serde_path_to_error::Deserializer::new(value.clone(), &mut track);
        match serde_ignored::deserialize(typed, |path| unknown.push(path.to_string())) {
            Ok(raw) => {
                report_unknown(&unknown, problems);
                return raw;
            }
            Err(error) => {
                let path = steps(&track.path().to_string());
                let message: toml::de::Error = error;
                problems.add(&path, message.message());
                // Nothing was taken out, so the next reading would stop at the same place for ever.
                if !remove(&mut value, &path) {
                    return RawConfig::default();
                }
                // What stood behind it in an array has another index now, and other problems are to be told by the old
                // one.
                problems.take_out(&path);
            }
        }
    }
}

/// A path as serde_path_to_error prints it (`a.b[2].c`), with its indices as steps (`a.b.2.c`).
fn steps(path: &str) -> String {
    path.replace('[', ".").replace(']', "")
}

/// Takes the value at `path` out of the tree; false if there is none. Steps are keys of tables and indices of arrays.
fn remove(value: &mut toml::Value, path: &str) -> bool {
    let Some((parents, last)) = path.rsplit_once('.') else {
        return value.as_table_mut().is_some_and(|table| table.remove(path).is_some());
    };
    let mut at = value;
    for step in parents.split('.') {
        let next = match at {
            toml::Value::Table(table) => table.get_mut(step),
            toml::Value::Array(array) => step.parse().ok().and_then(|index: usize| array.get_mut(index)),
            _ => None,
        };
        match next {
            Some(next) => at = next,
            None => return false,
        }
    }
    match at {
        toml::Value::Table(table) => table.remove(last).is_some(),
        toml::Value::Array(array) => match last.parse::<usize>() {
            Ok(index) if index < array.len() => {
                array.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// Notes keys that nothing reads: mostly misspelt, and a setting that is silently without effect is worse than none.
/// With the key that was meant, by likeness to those that the schema has at that place.
fn report_unknown(unknown: &[String], problems: &mut Problems) {
    let schema = schemars::schema_for!(RawConfig);
    for path in unknown {
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
        let known = known_keys(&schema, parent);
        let hint = match nearest(key, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the keys here are: {}", known.join(", ")),
        };
        problems.push(Problem::at(path, format!("is not a key candist knows; {hint}")));
    }
}

/// The keys that the schema has at `path`, for arrays those of their items. The schema knows them since it is made from
/// the same types that serde reads into.
fn known_keys(schema: &Schema, path: &str) -> Vec<String> {
    let root = schema.as_value();
    let mut at = root;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        at = resolve(root, at);
        at = if step.parse::<usize>().is_ok() {
            at.get("items").unwrap_or(&Json::Null)
        } else {
            at.get("properties").and_then(|properties| properties.get(step)).unwrap_or(&Json::Null)
        };
    }
    resolve(root, at)
        .get("properties")
        .and_then(Json::as_object)
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

/// What `at` stands for: where it refers to a definition of the schema (`#/$defs/NAME`), that.
fn resolve<'a>(root: &'a Json, at: &'a Json) -> &'a Json {
    at.get("$ref")
        .and_then(Json::as_str)
        .and_then(|reference| root.pointer(reference.trim_start_matches('#')))
        .unwrap_or(at)
}

/// Whether `text` reads as the raw configuration at all; used by the property test of the reader.
#[cfg(test)]
pub(super) fn reads(text: &str) -> bool {
    toml::from_str::<toml::Table>(text).is_ok_and(|table| RawConfig::deserialize(toml::Value::Table(table)).is_ok())
}
