//! What is sent in the chat completions API, and the few fields of a reply that are read.
//!
//! Servers differ in both directions. What is sent is only what the dialect says that this one takes: a field that is
//! not wanted is left out, never `null`, which some refuse. What is read of usage, content and probabilities is a value
//! of any kind: an answer that was paid for is not lost because something beside it is of another type than expected.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::dialect::{Dialect, TokenLimit};
use super::prompt::Message;
use crate::config::{Output, PromptConfig};
use crate::domain::answer::Usage;
use crate::domain::label::LabelSet;

/// Candidates whose log-probabilities are wanted beside the one that was chosen, per token. They are not read, but some
/// servers give none without.
const TOP_LOGPROBS: u32 = 1;

/// The body of a request.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    model: &'a str,
    messages: &'a [Message<'a>],
    /// None where the server takes no other than its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    /// The limit of an answer's tokens stands in one of these two, or in neither: see [`TokenLimit`]. It bounds what a
    /// request can cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u32>,
    /// None asks for plain text, in which JSON is looked for all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<&'a Value>,
}

impl<'a> Request<'a> {
    pub(super) fn new(
        model: &'a str,
        messages: &'a [Message<'a>],
        config: &PromptConfig,
        dialect: Dialect,
        formats: &'a Formats,
    ) -> Self {
        let limit = |name: TokenLimit| (dialect.token_limit == name).then_some(config.max_tokens);
        Self {
            model,
            messages,
            temperature: dialect.temperature.then_some(config.temperature),
            max_tokens: limit(TokenLimit::MaxTokens),
            max_completion_tokens: limit(TokenLimit::MaxCompletionTokens),
            logprobs: dialect.logprobs.then_some(true),
            top_logprobs: dialect.logprobs.then_some(TOP_LOGPROBS),
            response_format: formats.get(dialect.output),
        }
    }
}

/// The forms that an answer can be asked for in, made once.
#[derive(Debug)]
pub(super) struct Formats {
    /// `{"labels": [...]}` with the task's names where they fit; the answer then cannot name anything else.
    schema: Value,
    /// Any JSON object: what it looks like is for the prompt to say.
    object: Value,
}

/// OpenAI takes no schema with more enumerated values, or with longer ones where they are many.
/// Here both bounds hold for any number of labels, which is a little stricter. Beyond them the schema says "a string":
/// names outside the set are then told as such by the reader.
const MOST_VALUES: usize = 500;
const MOST_VALUE_BYTES: usize = 15_000;

impl Formats {
    pub(super) fn new(config: &PromptConfig, labels: &LabelSet) -> Self {
        let names: Vec<&str> = labels.iter().map(|label| label.name.as_str()).collect();
        let short = names.iter().map(|name| name.len()).sum::<usize>() <= MOST_VALUE_BYTES;
        let label = if names.len() <= MOST_VALUES && short {
            json!({"type": "string", "enum": names})
        } else {
            json!({"type": "string"})
        };
        let item = if config.probabilities {
            object(&json!({"label": label, "probability": {"type": "number"}}))
        } else {
            label
        };
        let schema = object(&json!({"labels": {"type": "array", "items": item}}));
        Self {
            schema: json!({
                "type": "json_schema",
                "json_schema": {"name": "candidate_labels", "strict": true, "schema": schema},
            }),
            object: json!({"type": "json_object"}),
        }
    }

    /// What is sent as `response_format`; nothing for plain text.
    fn get(&self, output: Output) -> Option<&Value> {
        match output {
            Output::JsonSchema => Some(&self.schema),
            Output::JsonObject => Some(&self.object),
            Output::Text => None,
        }
    }
}

/// A strict schema: all properties required, no others.
fn object(properties: &Value) -> Value {
    let required: Vec<&String> = properties.as_object().map(|map| map.keys().collect()).unwrap_or_default();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// A reply, or its part that matters; all other fields are passed over.
#[derive(Debug, Deserialize)]
pub(super) struct Reply {
    /// As the server names it, which may be more exact than what was asked for.
    #[serde(default)]
    pub(super) model: Option<String>,
    /// Only the first is read: one is asked for. A reply without this field is no completion.
    pub(super) choices: Vec<Choice>,
    /// A value of any kind: servers that do not count send `null`, or strings.
    #[serde(default)]
    usage: Value,
}

impl Reply {
    /// What the provider counted, if it says so in a way that is understood: a paid answer is not lost over it.
    pub(super) fn usage(&self) -> Option<Usage> {
        let count = |path: &str| self.usage.pointer(path).and_then(Value::as_u64);
        Some(Usage {
            // Without this number nothing of the rest can be believed; the others may be missing where they are 0.
            prompt_tokens: count("/prompt_tokens")?,
            completion_tokens: count("/completion_tokens").unwrap_or(0),
            cached_tokens: count("/prompt_tokens_details/cached_tokens").unwrap_or(0),
        })
    }

    /// What the provider says it charged.
    /// In `usage.cost`, as OpenRouter has it, in the currency of its prices. Read through the number's shortest decimal
    /// text, so that 0.1 is a tenth, and passed over where it is no price: negative, not a number, or above a million.
    pub(super) fn cost(&self) -> Option<Decimal> {
        let cost = self.usage.get("cost")?;
        let text = match cost {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            _ => return None,
        };
        let cost = text.parse::<Decimal>().or_else(|_| Decimal::from_scientific(&text)).ok()?;
        // More for one request is no price; sums of such would not fit.
        (Decimal::ZERO..=Decimal::from(1_000_000)).contains(&cost).then_some(cost)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    pub(super) message: ReplyMessage,
    /// `stop` where the model came to an end; `length` and `content_filter` are read, others say nothing.
    #[serde(default)]
    pub(super) finish_reason: Option<String>,
    /// As [`Reply::usage`], of any kind: it is a bonus.
    #[serde(default)]
    logprobs: Value,
}

impl Choice {
    /// The tokens of the content and their log-probabilities; empty where there are none.
    /// Natural logarithms. A token that is not as expected is left out, and then what is put together of the rest will
    /// not contain the content, so no weight is made of it.
    pub(super) fn tokens(&self) -> Vec<(&str, f64)> {
        let tokens = self.logprobs.get("content").and_then(Value::as_array);
        tokens
            .into_iter()
            .flatten()
            .filter_map(|token| Some((token.get("token")?.as_str()?, token.get("logprob")?.as_f64()?)))
            .collect()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ReplyMessage {
    /// A string, `null`, or a list of parts.
    #[serde(default)]
    content: Value,
    /// OpenAI's own field for a model that declines under a schema, which leaves `content` empty.
    #[serde(default)]
    refusal: Value,
}

impl ReplyMessage {
    /// The text: a string, or the strings of a list of parts, thoughts apart.
    pub(super) fn text(&self) -> String {
        match &self.content {
            Value::String(text) => text.clone(),
            Value::Array(parts) => parts.iter().filter_map(spoken_part).collect(),
            _ => String::new(),
        }
    }

    /// The content as it was received, where [`Self::text`] is not all of it.
    /// An answer keeps its reply as it came; where parts were left out, that is the list of parts as JSON.
    pub(super) fn raw(&self) -> Option<String> {
        let parts = self.content.as_array()?;
        (!parts.iter().all(|part| spoken_part(part).is_some())).then(|| self.content.to_string())
    }

    /// Why the model refused, if it did.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_str().filter(|refusal| !refusal.is_empty())
    }
}

/// The text of a part that is no thought.
/// `text` is chat completions' name for it, `output_text` that of the responses API, which gateways pass on. A part
/// without a type is one of text.
fn spoken_part(part: &Value) -> Option<&str> {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
    part.get("text")?.as_str().filter(|_| matches!(kind, "text" | "output_text"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::Label;

    #[test]
    fn the_schema_names_the_labels_unless_there_are_too_many() {
        let toml = "[task]\nname = \"t\"\nlabels = [\"a\", \"b\"]\n[corpus]\npath = \"c\"\n\
            [[teachers]]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:1\"\nmodel = \"m\"\nprobabilities = true\n";
        let config = crate::Config::parse(toml, "".as_ref(), None).unwrap();
        let crate::config::TeacherConfig::OpenAi(openai) = &config.teachers[0] else { panic!("an openai teacher") };
        let set = |count: usize| {
            let label = |number| Label { name: format!("label {number}"), description: None, aliases: vec![] };
            LabelSet::new((0..count).map(label).collect()).unwrap()
        };
        let label = |labels: &LabelSet| -> Value {
            let formats = Formats::new(&openai.prompt, labels);
            let schema = formats.get(Output::JsonSchema).unwrap().pointer("/json_schema/schema").unwrap().clone();
            assert_eq!(schema["required"], json!(["labels"]));
            let item = schema.pointer("/properties/labels/items").unwrap();
            assert_eq!(
                (&item["required"], &item["additionalProperties"]),
                (&json!(["label", "probability"]), &json!(false))
            );
            item.pointer("/properties/label").unwrap().clone()
        };
        assert_eq!(label(&set(2)), json!({"type": "string", "enum": ["label 0", "label 1"]}));
        assert_eq!(label(&set(1_000)), json!({"type": "string"}));
    }

    #[test]
    fn odd_usage_and_content_in_parts_cost_no_answer() {
        let reply = |message: &str, usage: &str| -> Reply {
            serde_json::from_str(&format!(r#"{{"choices": [{{"message": {message}}}], "usage": {usage}}}"#)).unwrap()
        };
        let odd = reply(r#"{"content": [{"type": "text", "text": "a"}, {"text": "b"}]}"#, r#"{"prompt_tokens": null}"#);
        assert_eq!((odd.choices[0].message.text().as_str(), odd.usage(), odd.cost()), ("ab", None, None));
        let usage = r#"{"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}, "cost": 1.5e-5}"#;
        let plain = reply(r#"{"content": "a", "refusal": null}"#, usage);
        assert_eq!(plain.choices[0].message.text(), "a");
        assert_eq!(plain.usage(), Some(Usage { prompt_tokens: 3, completion_tokens: 1, cached_tokens: 2 }));
        assert_eq!(plain.cost(), Some("0.000015".parse().unwrap()));
        assert_eq!(reply("{}", "null").choices[0].message.text(), "");
        for cost in ["-1", "1e28", "\"NaN\"", "[]"] {
            assert_eq!(reply("{}", &format!(r#"{{"cost": {cost}}}"#)).cost(), None, "{cost}");
        }
        assert_eq!(reply(r#"{"refusal": "no"}"#, r#"{"cost": -1}"#).choices[0].message.refusal(), Some("no"));
    }
}
