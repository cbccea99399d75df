//! Completions: the right ones, and those that are wrong in what they say.

use serde_json::{Value, json};

use super::Behaviour;
use super::faults::{Chance, Fault};
use super::refusals::Asked;

/// How many characters of the content are said to be a token.
const TOKEN: usize = 3;
const HUGE: usize = 3_000_000;

/// What an answer takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) prompt: u64,
    pub(super) completion: u64,
}

impl Usage {
    /// Of an answer; by its length, if the server is not told otherwise.
    pub(super) fn of(behaviour: &Behaviour, asked: &Asked<'_>, chance: &Chance, message: &str, content: &str) -> Self {
        let completion = behaviour.tokens.map_or(content.len() as u64 / 4, |range| chance.tokens(range));
        let limit = |name: &str| asked.body.get(name).and_then(Value::as_u64);
        let limit = limit("max_completion_tokens").or_else(|| limit("max_tokens")).unwrap_or(u64::MAX);
        Self { prompt: message.len() as u64 / 4, completion: completion.min(limit) }
    }

    pub(super) fn total(self) -> u64 {
        self.prompt + self.completion
    }

    /// Dollars: a millionth for a token. Divided once, so that the number is the nearest there is.
    pub(super) fn cost(self) -> f64 {
        self.total() as f64 / 1e6
    }

    fn json(self, behaviour: &Behaviour) -> Value {
        let mut usage = json!({
            "prompt_tokens": self.prompt, "completion_tokens": self.completion, "total_tokens": self.total(),
        });
        if let Some(fields) = usage.as_object_mut() {
            if behaviour.report_cost {
                fields.insert("cost".to_owned(), self.cost().into());
            }
            if behaviour.cached {
                fields.insert("prompt_tokens_details".to_owned(), json!({"cached_tokens": self.prompt / 2}));
            }
        }
        usage
    }
}

/// The labels in the form that the request asks for.
pub(super) fn content(asked: &Asked<'_>, labels: &[String]) -> String {
    let object = matches!(asked.parameter("/response_format/type"), Some("json_schema" | "json_object"));
    let properties = asked.body.pointer("/response_format/json_schema/schema/properties");
    let has = |name: &str| properties.and_then(|properties| properties.get(name)).is_some();
    let content = match (object, has("label") && !has("labels")) {
        (false, _) => json!(labels),
        (true, false) => json!({"labels": labels}),
        (true, true) => json!({"label": labels.first()}),
    };
    content.to_string()
}

/// The body of a completion that says `right`, or what `fault` makes of it.
pub(super) fn body(
    behaviour: &Behaviour,
    asked: &Asked<'_>,
    usage: Usage,
    right: String,
    fault: Option<Fault>,
) -> String {
    let half = right.char_indices().nth(right.chars().count() / 2).map_or(0, |(half, _)| half);
    let said = match fault {
        Some(Fault::WrongLabels) => content(asked, &["no_such_label".to_owned(), "nor_this_one".to_owned()]),
        Some(Fault::HugeBody) => content(asked, &["a".repeat(HUGE)]),
        Some(Fault::EmptyContent | Fault::Refusal) => String::new(),
        Some(Fault::CutOff) => right.get(..half).unwrap_or_default().to_owned(),
        _ => right,
    };
    let refused = fault == Some(Fault::Refusal);
    let mut choice = json!({
        "index": 0,
        "finish_reason": if fault == Some(Fault::CutOff) { "length" } else { "stop" },
    });
    let mut completion = json!({
        "id": format!("chatcmpl-{}", asked.number),
        "object": "chat.completion",
        "model": asked.parameter("/model"),
    });
    if let (Some(choice), Some(completion)) = (choice.as_object_mut(), completion.as_object_mut()) {
        // Three megabytes in pieces of three characters would be a test of another kind.
        let counted = !refused && fault != Some(Fault::HugeBody);
        if counted && asked.body.get("logprobs") == Some(&Value::Bool(true)) {
            choice.insert("logprobs".to_owned(), json!({"content": logprobs(&said, asked.number), "refusal": null}));
        }
        choice.insert("message".to_owned(), message(said, refused));
        if fault != Some(Fault::MissingUsage) {
            completion.insert("usage".to_owned(), usage.json(behaviour));
        }
    }
    if let Some(completion) = completion.as_object_mut() {
        completion.insert("choices".to_owned(), Value::Array(vec![choice]));
    }
    completion.to_string()
}

fn message(said: String, refused: bool) -> Value {
    if refused {
        json!({"role": "assistant", "content": null, "refusal": "I'm sorry, I can't assist with that request."})
    } else {
        json!({"role": "assistant", "content": said})
    }
}

/// The content in pieces, with log-probabilities made up of their places.
fn logprobs(content: &str, number: u64) -> Vec<Value> {
    let characters: Vec<char> = content.chars().collect();
    let pieces = characters.chunks(TOKEN).map(|piece| piece.iter().collect::<String>());
    let entry = |(place, token): (usize, String)| {
        let spread = (number as usize).wrapping_mul(31).wrapping_add(place * 17) % 97;
        json!({
            "token": token, "logprob": -0.001 - spread as f64 / 200.0, "bytes": token.as_bytes(), "top_logprobs": [],
        })
    };
    pieces.enumerate().map(entry).collect()
}
