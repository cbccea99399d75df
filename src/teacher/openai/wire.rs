//! The five fields of the chat completions API that are sent, and the few that are read.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::teacher::Usage;

#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    pub(super) model: &'a str,
    pub(super) messages: [Message<'a>; 2],
    pub(super) temperature: f64,
    pub(super) max_tokens: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct Message<'a> {
    pub(super) role: &'static str,
    pub(super) content: &'a str,
}

#[derive(Debug, Deserialize)]
pub(super) struct Reply {
    #[serde(default)]
    pub(super) model: Option<String>,
    pub(super) choices: Vec<Choice>,
    #[serde(default)]
    usage: Value,
}

impl Reply {
    /// What the provider counted, if it says so in a way that is understood: a paid answer is not lost over it.
    pub(super) fn usage(&self) -> Option<Usage> {
        Usage::deserialize(&self.usage).ok()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    pub(super) message: ReplyMessage,
    #[serde(default)]
    pub(super) finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ReplyMessage {
    #[serde(default)]
    content: Value,
    #[serde(default)]
    pub(super) refusal: Option<String>,
}

impl ReplyMessage {
    /// The text: a string, or the strings of a list of parts.
    pub(super) fn text(&self) -> String {
        match &self.content {
            Value::String(text) => text.clone(),
            Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_usage_and_content_in_parts_cost_no_answer() {
        let reply = |message: &str, usage: &str| -> Reply {
            serde_json::from_str(&format!(r#"{{"choices": [{{"message": {message}}}], "usage": {usage}}}"#)).unwrap()
        };
        let odd = reply(r#"{"content": [{"type": "text", "text": "a"}, {"text": "b"}]}"#, r#"{"prompt_tokens": null}"#);
        assert_eq!((odd.choices[0].message.text().as_str(), odd.usage()), ("ab", None));
        let plain = reply(r#"{"content": "a"}"#, r#"{"prompt_tokens": 3, "completion_tokens": 1, "more": []}"#);
        assert_eq!(plain.choices[0].message.text(), "a");
        assert_eq!(plain.usage(), Some(Usage { prompt_tokens: 3, completion_tokens: 1 }));
        assert_eq!(reply("{}", "null").choices[0].message.text(), "");
    }
}
