//! From the text of a reply to ranked labels of the task.
//!
//! Models wrap the array they were asked for in prose, code fences or objects; all of that is read. What is not in the
//! label set is returned beside it, never dropped silently.

use serde_json::{Deserializer, Value};

use crate::label::{LabelId, LabelSet};

/// Starts of JSON that are tried before the reply is read as plain text: bounds the work on hostile replies.
const MAX_STARTS: usize = 8;

/// Ranked labels found in a reply, each once, and what was named but is no label.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Likeliest first.
    pub ranked: Vec<LabelId>,
    /// Names outside the label set, as written.
    pub off_list: Vec<String>,
}

/// Reads the labels out of `reply`.
#[must_use]
pub fn labels_in(reply: &str, labels: &LabelSet) -> Labels {
    // The whole reply may be a label that looks like JSON or a list.
    if let Some(label) = labels.resolve(reply) {
        return Labels { ranked: vec![label], off_list: Vec::new() };
    }
    let names = json_names(reply).unwrap_or_else(|| plain_names(reply));
    let mut found = Labels::default();
    for name in names {
        match labels.resolve(&name) {
            Some(label) if found.ranked.contains(&label) => {}
            Some(label) => found.ranked.push(label),
            None => found.off_list.push(name),
        }
    }
    found
}

/// The names in the first JSON value of the reply that has any.
fn json_names(reply: &str) -> Option<Vec<String>> {
    reply.match_indices(['[', '{']).take(MAX_STARTS).find_map(|(at, _)| {
        let value = Deserializer::from_str(reply.get(at..)?).into_iter::<Value>().next()?.ok()?;
        let mut names = Vec::new();
        collect(&value, &mut names);
        (!names.is_empty()).then_some(names)
    })
}

/// Strings of an array; of an object, its `label` or else the strings below its keys, in order.
fn collect(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::String(name) => names.push(name.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
        Value::Object(object) => match object.get("labels").or_else(|| object.get("label")) {
            Some(inner) => collect(inner, names),
            None => object.values().for_each(|value| collect(value, names)),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// One name a line, or several between commas, with bullets and quotes taken off.
fn plain_names(reply: &str) -> Vec<String> {
    reply
        .split(['\n', ',', ';'])
        .map(|name| {
            name.trim()
                .trim_start_matches(|c: char| c.is_ascii_digit() || ".)-*•".contains(c) || c.is_whitespace())
                .trim_matches(|c: char| "\"'`*.".contains(c) || c.is_whitespace())
        })
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Label;
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
        ] {
            assert_eq!(labels_in(reply, &set()).ranked, expected, "{reply:?}");
        }
    }

    #[test]
    fn what_is_no_label_is_handed_back() {
        let found = labels_in(r#"["refund", "lottery"]"#, &set());
        assert_eq!(found, Labels { ranked: vec![LabelId(1)], off_list: vec!["lottery".into()] });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_reply_panics_or_leaves_the_set(reply in "[\\[\\]{}\",:a-z \\n\\\\é]{0,200}") {
            let found = labels_in(&reply, &set());
            prop_assert!(found.ranked.iter().all(|label| label.index() < 4));
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
