//! From the text of a reply to ranked labels of the task.
//!
//! Models wrap the JSON they were asked for in prose, code fences or other objects, or break it off; all of that is read.
//! What is not in the label set is returned beside it, never dropped silently. The work is linear in the reply.

use std::collections::HashSet;

use serde_json::{Deserializer, Map, Value};

use crate::domain::label::{LabelId, LabelSet};

/// Starts of JSON that are tried before the reply is read as plain text: bounds the work on hostile replies.
const MAX_STARTS: usize = 8;
/// Names that are read from one reply.
const MAX_NAMES: usize = 4096;

/// Ranked labels found in a reply, each once, and what was named but is no label.
#[derive(Debug, Default, PartialEq)]
pub struct Labels {
    /// Likeliest first.
    pub ranked: Vec<LabelId>,
    /// The probability that the reply gives each of them; empty unless it gives every one.
    pub weights: Vec<f32>,
    /// Names outside the label set, as written.
    pub off_list: Vec<String>,
}

/// A name in a reply.
#[derive(Debug, PartialEq)]
struct Named {
    name: String,
    weight: Option<f32>,
}

/// Reads the labels out of `reply`.
#[must_use]
pub fn labels_in(reply: &str, labels: &LabelSet) -> Labels {
    // The whole reply may be a label that looks like JSON or a list.
    if let Some(label) = labels.resolve(reply) {
        return Labels { ranked: vec![label], ..Labels::default() };
    }
    let names = json_names(reply).or_else(|| broken_json_names(reply)).unwrap_or_else(|| plain_names(reply));
    let mut seen = HashSet::new();
    let mut found: Vec<(LabelId, Option<f32>)> = Vec::new();
    let mut off_list = Vec::new();
    for Named { name, weight } in names.into_iter().take(MAX_NAMES).filter(|named| !named.name.trim().is_empty()) {
        match labels.resolve(&name) {
            Some(label) if seen.insert(label) => found.push((label, weight)),
            Some(_) => {}
            None => off_list.push(name),
        }
    }
    let weights: Option<Vec<f32>> = found.iter().map(|(_, weight)| *weight).collect();
    match weights {
        Some(_) => found.sort_by(|a, b| b.1.unwrap_or_default().total_cmp(&a.1.unwrap_or_default())),
        None => found.iter_mut().for_each(|(_, weight)| *weight = None),
    }
    Labels {
        ranked: found.iter().map(|&(label, _)| label).collect(),
        weights: found.iter().filter_map(|&(_, weight)| weight).collect(),
        off_list,
    }
}

/// The names in the first JSON value of the reply that has any; no names if the reply is JSON without any.
fn json_names(reply: &str) -> Option<Vec<Named>> {
    let mut any = None;
    for (at, _) in reply.match_indices(['[', '{']).take(MAX_STARTS) {
        let value = reply.get(at..).and_then(|rest| Deserializer::from_str(rest).into_iter::<Value>().next());
        let Some(Ok(value)) = value else { continue };
        let mut names = Vec::new();
        collect(&value, &mut names);
        if !names.is_empty() {
            return Some(names);
        }
        any.get_or_insert(at);
    }
    // `[]` or `{"labels": []}` says that there is none; prose around it says nothing more.
    any.filter(|&at| reply.trim_start().len() + at == reply.len()).map(|_| Vec::new())
}

const NAME_KEYS: [&str; 3] = ["label", "name", "category"];
const WEIGHT_KEYS: [&str; 5] = ["probability", "confidence", "weight", "score", "p"];

/// Strings of an array; of an object its `labels`, or its label with its probability, or else the strings below its keys.
fn collect(value: &Value, names: &mut Vec<Named>) {
    match value {
        Value::String(name) => names.push(Named { name: name.clone(), weight: None }),
        Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
        Value::Object(object) => collect_object(object, names),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn collect_object(object: &Map<String, Value>, names: &mut Vec<Named>) {
    if let Some(inner) = object.get("labels") {
        return collect(inner, names);
    }
    if let Some(inner) = NAME_KEYS.iter().find_map(|key| object.get(*key)) {
        let weight = WEIGHT_KEYS.iter().find_map(|key| probability(object.get(*key)?));
        return match inner {
            Value::String(name) => names.push(Named { name: name.clone(), weight }),
            other => collect(other, names),
        };
    }
    // {"refund": 0.7, "other": 0.2}
    let all_weights = object.values().map(|value| probability(Some(value)?)).collect::<Option<Vec<f32>>>();
    match all_weights {
        Some(weights) => {
            let named = object.keys().zip(weights);
            names.extend(named.map(|(name, weight)| Named { name: name.clone(), weight: Some(weight) }));
        }
        None => object.values().for_each(|value| collect(value, names)),
    }
}

/// A number from 0 to 1, or a percentage; as a number or in a string.
fn probability(value: &Value) -> Option<f32> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => {
            let text = text.trim();
            let number: f64 = text.trim_end_matches('%').trim().parse().ok()?;
            if text.ends_with('%') { number / 100.0 } else { number }
        }
        _ => return None,
    };
    // What is no probability is no weight.
    (0.0..=1.0).contains(&number).then_some(number as f32)
}

/// The whole strings of JSON that was broken off, keys apart.
fn broken_json_names(reply: &str) -> Option<Vec<Named>> {
    let start = reply.trim_start().trim_start_matches("```json").trim_start_matches("```").trim_start();
    if !start.starts_with(['[', '{']) {
        return None;
    }
    let mut names = Vec::new();
    let mut rest = start;
    while let Some(quote) = rest.find('"') {
        let literal = rest.get(quote..)?;
        let mut strings = Deserializer::from_str(literal).into_iter::<String>();
        let Some(Ok(name)) = strings.next() else { break };
        rest = literal.get(strings.byte_offset()..)?;
        if !rest.trim_start().starts_with(':') {
            names.push(Named { name, weight: None });
        }
        if names.len() >= MAX_NAMES {
            break;
        }
    }
    (!names.is_empty()).then_some(names)
}

/// One name a line, or several between commas, with bullets and quotes taken off.
fn plain_names(reply: &str) -> Vec<Named> {
    reply
        .split(['\n', ',', ';'])
        .map(|name| {
            name.trim()
                .trim_start_matches(|c: char| c.is_ascii_digit() || ".)-*•".contains(c) || c.is_whitespace())
                .trim_matches(|c: char| "\"'`*.".contains(c) || c.is_whitespace())
        })
        .filter(|name| !name.is_empty())
        .map(|name| Named { name: name.to_owned(), weight: None })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::Label;
    use proptest::prelude::*;

    fn set() -> LabelSet {
        let label = |name: &str| Label { name: name.into(), description: None, aliases: vec![] };
        LabelSet::new(vec![label("card_arrival"), label("refund"), label("yes, please"), label("[x]")]).unwrap()
    }

    #[test]
    fn labels_are_found_however_they_are_wrapped() {
        let (card, refund) = (LabelId(0), LabelId(1));
        for (reply, expected) in [
            (r#"["card_arrival", "refund"]"#, vec![card, refund]),
            ("```json\n[\"Refund\"]\n```", vec![refund]),
            (r#"Sure [1]: {"labels": ["refund", "card arrival", "refund"]} hope this helps"#, vec![refund, card]),
            (r#"{"label": "refund", "why": "because"}"#, vec![refund]),
            (r#"[{"label": "refund", "p": 0.9}, {"label": "card_arrival"}]"#, vec![refund, card]),
            ("1. card_arrival\n2. **refund**", vec![card, refund]),
            ("refund, card_arrival.", vec![refund, card]),
            ("yes, please", vec![LabelId(2)]),
            ("[x]", vec![LabelId(3)]),
            ("I cannot help with that.", vec![]),
            ("", vec![]),
            // Cut off at max_tokens.
            ("[\"refund\", \"card", vec![refund]),
            (r#"{"labels": ["refund", "card_arrival", "yes, pl"#, vec![refund, card]),
            (r#"{"labels": [{"label": "refund", "probability": 0.7}, {"label": "card_arr"#, vec![refund]),
            (r#"{"labels": []}"#, vec![]),
            (r#"{"": "", "labels": ["", "refund"]}"#, vec![refund]),
        ] {
            assert_eq!(labels_in(reply, &set()).ranked, expected, "{reply:?}");
        }
    }

    #[test]
    fn what_is_no_label_is_handed_back() {
        let found = labels_in(r#"["refund", "lottery"]"#, &set());
        assert_eq!(found, Labels { ranked: vec![LabelId(1)], weights: vec![], off_list: vec!["lottery".into()] });
        for nothing in [r#"{"labels": []}"#, r#"{"": " "}"#] {
            assert_eq!(labels_in(nothing, &set()), Labels::default());
        }
    }

    #[test]
    fn stated_probabilities_rank_the_labels() {
        for reply in [
            r#"{"labels": [{"label": "refund", "probability": 0.25}, {"label": "card_arrival", "probability": 0.75}]}"#,
            r#"{"card_arrival": 0.75, "refund": 0.25}"#,
            r#"[{"name": "card arrival", "confidence": "75%"}, {"name": "refund", "confidence": "25 %"}]"#,
        ] {
            let found = labels_in(reply, &set());
            assert_eq!((found.ranked, found.weights), (vec![LabelId(0), LabelId(1)], vec![0.75, 0.25]), "{reply}");
        }
        // Where one has none, or no probability, the order of the reply counts.
        let reply = r#"[{"label": "refund", "probability": 0.1}, {"label": "card_arrival", "probability": 7}]"#;
        let found = labels_in(reply, &set());
        assert_eq!((found.ranked, found.weights), (vec![LabelId(1), LabelId(0)], vec![]));
    }

    #[test]
    fn the_work_is_linear_in_the_reply() {
        // Of each a megabyte: what took quadratic time would not end.
        for piece in ["[", "{\"", "\"a\",", "[\"a\"],", "refund\n", "{\"labels\":[", "\\u0041\"", ",", "é\"{["] {
            let reply = piece.repeat((1 << 20) / piece.len());
            let _ = labels_in(&reply, &set());
            let _ = labels_in(&format!("[{reply}"), &set());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn no_reply_panics_or_leaves_the_set(reply in "([\\[\\]{}\",:a-z0-9. \\n\\\\é]|refund|card_arrival|\"labels\": ?|\"probability\": ?0\\.[0-9]){0,60}") {
            let found = labels_in(&reply, &set());
            prop_assert!(found.ranked.iter().all(|label| label.index() < 4));
            let mut once = found.ranked.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), found.ranked.len());
            prop_assert!(found.weights.is_empty() || found.weights.len() == found.ranked.len());
        }

        #[test]
        fn an_array_is_read_back(picked in prop::sample::subsequence(vec!["card_arrival", "refund", "yes, please", "[x]"], 0..4)) {
            let reply = serde_json::to_string(&picked).unwrap();
            let set = set();
            let read: Vec<&str> = labels_in(&reply, &set).ranked.into_iter().map(|label| set.name(label)).collect();
            prop_assert_eq!(read, picked);
        }
    }
}
