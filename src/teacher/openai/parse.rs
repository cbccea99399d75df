//! From the text of a reply to ranked labels of the task.
//!
//! Models think aloud, wrap the JSON they were asked for in prose, code fences or other objects, or break it off; all of that
//! is read, thoughts apart. What is not in the label set is returned beside it, never dropped silently. The work is
//! linear in the reply.
//!
//! Readings are tried from the strictest to the loosest, and the first that gives anything is taken: the whole reply as
//! one label; whole JSON values in it; the strings of JSON that was broken off; lines and lists of names. All places
//! are in bytes.

use std::collections::HashSet;

use serde_json::{Deserializer, Map, Value};

use super::reasoning::{Spoken, spoken};
use crate::domain::label::{LabelId, LabelSet};

/// Bytes that are read in vain in search of JSON: twice the reply and some more. Bounds the work on hostile replies.
const READINGS: usize = 2;
const SOME_MORE: usize = 1 << 16;
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
    /// As it was written; what it means is for the label set to say.
    name: String,
    /// The probability beside it, from 0 to 1.
    weight: Option<f32>,
}

/// The labels of a reply, and where they were found.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    pub(super) labels: Labels,
    /// Where in the reply they begin.
    pub(super) from: usize,
    /// The reply ends while the model still thinks.
    pub(super) thinks: bool,
}

/// Reads the labels out of `reply`; what the model thinks aloud is passed over.
#[must_use]
pub fn labels_in(reply: &str, labels: &LabelSet) -> Labels {
    find(reply, labels).labels
}

/// As [`labels_in`], with where they were found: who looks for the tokens of a label must not find them among the
/// thoughts.
pub(super) fn find(reply: &str, labels: &LabelSet) -> Found {
    let Spoken { pieces, cut_off } = spoken(reply);
    if cut_off {
        return Found { thinks: true, ..Found::default() };
    }
    let from = pieces.first().map_or(0, |piece| piece.start);
    let said: Vec<&str> = pieces.iter().filter_map(|piece| reply.get(piece.clone())).collect();
    let whole = said.join("\n");
    // The whole reply may be a label that looks like JSON or a list.
    if let Some(label) = labels.resolve(&whole) {
        return Found { labels: Labels { ranked: vec![label], ..Labels::default() }, from, thinks: false };
    }
    let json = json_names(pieces.iter().map(|piece| piece.start).zip(said), labels);
    let (names, from) =
        json.unwrap_or_else(|| (broken_json_names(&whole).unwrap_or_else(|| plain_names(&whole)), from));
    Found { labels: ranked(names, labels), from, thinks: false }
}

/// Names as labels: each label once, where it was named first. If every one has a weight, they are ranked by it, those
/// of the same weight in the order in which they were named; if any has none, the weights say nothing and the order
/// stands.
fn ranked(names: Vec<Named>, labels: &LabelSet) -> Labels {
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

/// The names in the last whole JSON value that names labels, or else in the last that names anything, and where it begins;
/// no names if what is said is JSON without any. Models correct themselves, and what they say last counts.
fn json_names<'a>(pieces: impl Iterator<Item = (usize, &'a str)>, labels: &LabelSet) -> Option<(Vec<Named>, usize)> {
    let (mut best, mut named, mut empty) = (None, false, None);
    for (start, piece) in pieces {
        for (at, value) in values(piece) {
            let mut names = Vec::new();
            collect(&value, &mut names);
            let names_labels = names.iter().take(MAX_NAMES).any(|named| labels.resolve(&named.name).is_some());
            if !names.is_empty() && (names_labels || !named) {
                best = Some((names, start + at));
                named |= names_labels;
            } else if piece.trim_start().len() + at == piece.len() {
                // `[]` or `{"labels": []}` says that there is none; prose around it says nothing more.
                empty.get_or_insert((Vec::new(), start + at));
            }
        }
    }
    best.or(empty)
}

/// The whole JSON arrays and objects in `text` that are in no other, with where they begin.
///
/// A bracket that begins no JSON is passed over, and what it took to find that out comes out of a budget: else a reply
/// of open brackets alone would be read to its end from each of them, in time that grows with the square of its length.
fn values(text: &str) -> impl Iterator<Item = (usize, Value)> {
    let (mut at, mut budget) = (0, READINGS * text.len() + SOME_MORE);
    std::iter::from_fn(move || {
        loop {
            let start = at + text.get(at..)?.find(['[', '{'])?;
            let rest = text.get(start..)?;
            let mut stream = Deserializer::from_str(rest).into_iter::<Value>();
            let read = match stream.next()? {
                Ok(value) => {
                    at = start + stream.byte_offset();
                    return Some((start, value));
                }
                Err(error) => offset(rest, error.line(), error.column()),
            };
            at = start + 1;
            budget = budget.checked_sub(read.max(1))?;
        }
    })
}

/// How many bytes stand before a line (from 1) and column, as serde_json tells where it gave up: columns are in bytes
/// too.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before = line.checked_sub(2).and_then(|feeds| text.match_indices('\n').nth(feeds)).map_or(0, |(at, _)| at + 1);
    before + column
}

/// Fields of an object that hold a label's name; the first that is there counts.
const NAME_KEYS: [&str; 3] = ["label", "name", "category"];
/// Fields in which models say why.
const REASON_KEYS: [&str; 9] = [
    "reasoning",
    "reasoning_content",
    "thinking",
    "thought",
    "thoughts",
    "explanation",
    "rationale",
    "analysis",
    "why",
];
/// Fields beside a label's name that hold its probability; the first that is one counts.
const WEIGHT_KEYS: [&str; 5] = ["probability", "confidence", "weight", "score", "p"];

/// Strings of an array; of an object its `labels`, or its label with its probability, or else the strings below its keys,
/// reasons apart.
fn collect(value: &Value, names: &mut Vec<Named>) {
    match value {
        Value::String(name) => names.push(Named { name: name.clone(), weight: None }),
        Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
        Value::Object(object) => collect_object(object, names),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// From what was asked for to what some models make of it: `{"labels": ...}`, `{"label": ..., "probability": ...}`,
/// labels as keys with their probabilities, and anything that has strings in it.
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
        None => {
            let answers = object.iter().filter(|(key, _)| !is_reason(key));
            answers.for_each(|(_, value)| collect(value, names));
        }
    }
}

fn is_reason(key: &str) -> bool {
    REASON_KEYS.iter().any(|reason| key.eq_ignore_ascii_case(reason))
}

/// A number from 0 to 1, or a string with such a number or with a percentage (`"70%"`). A bare 70 is none: it may be a
/// count.
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

/// The whole strings of JSON that was broken off, keys and reasons apart. The string in which it breaks off is left
/// out: it may be the beginning of several names. `None` where the reply does not begin with JSON, or no string is
/// whole.
fn broken_json_names(reply: &str) -> Option<Vec<Named>> {
    let start = reply.trim_start().trim_start_matches("```json").trim_start_matches("```").trim_start();
    if !start.starts_with(['[', '{']) {
        return None;
    }
    let (mut names, mut is_why) = (Vec::new(), false);
    let mut rest = start;
    while let Some(quote) = rest.find('"') {
        let literal = rest.get(quote..)?;
        let mut strings = Deserializer::from_str(literal).into_iter::<String>();
        let Some(Ok(name)) = strings.next() else { break };
        rest = literal.get(strings.byte_offset()..)?;
        // A reason follows its key. Only a reason that is one string is left out: of a list of them, all but the first
        // are read.
        let is_key = rest.trim_start().starts_with(':');
        let was_why = std::mem::replace(&mut is_why, is_key && is_reason(&name));
        if !is_key && !was_why {
            names.push(Named { name, weight: None });
        }
        if names.len() >= MAX_NAMES {
            break;
        }
    }
    (!names.is_empty()).then_some(names)
}

/// One name a line, or several between commas, with bullets, numbers and quotes taken off. A label that itself begins
/// with a digit, or has a comma, is found only where it is the whole reply; in JSON it is found anywhere.
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
    fn what_a_model_thinks_aloud_is_never_its_answer() {
        let (card, refund) = (LabelId(0), LabelId(1));
        for (reply, expected) in [
            (r#"<think>{"labels":["card_arrival"]} no</think>{"labels":["refund"]}"#, vec![refund]),
            ("<think>card_arrival, refund, card_arrival</think>\nrefund", vec![refund]),
            ("it is card_arrival</think>refund", vec![refund]),
            (r#"["card_arrival"] or rather ["refund"] [1]"#, vec![refund]),
            (r#"{"labels": ["refund"]} {"note": ["thanks"]}"#, vec![refund]),
            (r#"{"reasoning": "card_arrival", "answer": "refund"}"#, vec![refund]),
            (r#"{"reasoning": "card_arrival", "labels": ["refund", "card"#, vec![refund]),
            ("{x} {y} {z} {a} {b} {c} {d} {e} {f} [\"refund\"]", vec![refund]),
            (
                "<|channel|>analysis<|message|>card_arrival<|end|><|start|>assistant<|channel|>final<|message|>[\"refund\"]",
                vec![refund],
            ),
            ("<think>refund", vec![]),
            (r#"{"labels": ["refund"]}<think>or rather "#, vec![]),
            (r#"{"card_arrival": 0.2, "refund": 0.1}"#, vec![card, refund]),
        ] {
            let found = find(reply, &set());
            assert_eq!(found.labels.ranked, expected, "{reply:?}");
            assert_eq!(found.thinks, expected.is_empty(), "{reply:?}");
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
        let thoughts = ["<think>", "</think>", "<think></think>", "<|channel|>", "<|end|>x", "<", "[THINK", "<think"];
        let pieces = [
            "[",
            "{\"",
            "\"a\",",
            "[\"a\"],",
            "refund\n",
            "{\"labels\":[",
            "\\u0041\"",
            ",",
            "é\"{[",
            "[\n",
            "{\"a\":1}",
        ];
        for piece in pieces.into_iter().chain(thoughts) {
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
        fn no_thought_changes_the_answer(
            thought in "([\\[\\]{}\",:a-z<>/|. \\né]|refund|card_arrival|<think>|\"labels\": ?){0,30}",
            answer in prop::sample::select(vec![r#"{"labels": ["refund"]}"#, "card_arrival\nrefund", "[\"refund\", \"x\"]", "[]"]),
        ) {
            let alone = labels_in(answer, &set());
            prop_assert_eq!(&labels_in(&format!("<think>{thought}</think>{answer}"), &set()), &alone);
            // The opening tag may have been in the prompt.
            let unopened = thought.replace("<think>", "");
            prop_assert_eq!(&labels_in(&format!("{unopened}</think>{answer}"), &set()), &alone);
            prop_assert_eq!(labels_in(&format!("{answer}<think>{thought}"), &set()), Labels::default());
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
