//! What a server understands: the form of answers it can be asked for, and the parameters it takes. Servers differ and
//! say so only by refusing, so it is found out while asking, once for each model at an address.
//!
//! For one request every step leaves something out or asks for less, so it ends, at plain text without parameters at
//! the latest. A refusal is met by a step only while it may be about the form. Once an answer came in a form, only a
//! refusal that names the form is held against it; else one bad text would cost all later ones their schema.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Output;

/// How the limit of an answer's tokens is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TokenLimit {
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`, of newer models.
    MaxCompletionTokens,
    /// The server takes none.
    None,
}

/// What is sent besides model and messages. Small and `Copy`: each request keeps the one it was sent in, so that a
/// refusal can be told from one of a form that others have given up meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dialect {
    /// What `response_format` asks for.
    pub(super) output: Output,
    /// Whether it is sent; some models take their own alone.
    pub(super) temperature: bool,
    /// Whether they are asked for. False from the start where the configuration does not want them.
    pub(super) logprobs: bool,
    pub(super) token_limit: TokenLimit,
}

#[derive(Debug)]
struct State {
    /// What the next request is sent in.
    now: Dialect,
    /// Whether an answer came in the present form.
    proven: bool,
    /// Refusals of the present form that may have had another cause.
    strikes: u32,
}

/// The dialect of one model at one address, as far as it is known.
#[derive(Debug)]
pub(super) struct Dialects {
    /// The form to go back to where a text was refused in every form.
    first: Dialect,
    /// Whether an earlier run was answered: then the settings are known to work, and a refusal is sooner the text's.
    known: bool,
    state: Mutex<State>,
}

/// Refusals without a reason (HTTP 500) after which the form of the answer is held to be the reason: some servers crash
/// on a schema instead of refusing it, and one crash alone may be anything.
const STRIKES: u32 = 2;

impl Dialects {
    /// Begins with the dialect that an earlier run found out, or with `output` and all parameters.
    pub(super) fn new(output: Output, logprobs: bool, earlier: Option<Dialect>) -> Self {
        let first = Dialect { output, temperature: true, logprobs, token_limit: TokenLimit::MaxTokens };
        let state = State { now: earlier.unwrap_or(first), proven: false, strikes: 0 };
        Self { first, known: earlier.is_some(), state: Mutex::new(state) }
    }

    /// Whether an earlier run was answered by this model.
    pub(super) fn known(&self) -> bool {
        self.known
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to send now.
    pub(super) fn now(&self) -> Dialect {
        self.lock().now
    }

    /// A request in `used` was answered: proof of that form, and of no other.
    pub(super) fn worked(&self, used: Dialect) {
        let mut state = self.lock();
        if state.now == used {
            state.proven = true;
            state.strikes = 0;
        }
    }

    /// A request in `used` was refused with `status` and `body`. Whether to send it again, in another dialect; also
    /// says what was left out, the first time. `None` where the form is not to blame, as far as can be told.
    pub(super) fn refused(&self, used: Dialect, status: u16, body: &str) -> Option<String> {
        let mut state = self.lock();
        if state.now != used {
            // Another request has found out already. A refusal for other reasons is not of the dialect.
            return matches!(status, 400 | 415 | 422 | 500 | 501).then(String::new);
        }
        // A parameter that is named as not supported is left out even of a proven form.
        if let Some((dialect, said)) = without_unsupported(used, status, body) {
            state.now = dialect;
            return Some(said);
        }
        let lower = match used.output {
            Output::JsonSchema => Output::JsonObject,
            Output::JsonObject => Output::Text,
            Output::Text => {
                if !state.proven {
                    // It was not the form: the next request begins with the best one again.
                    state.now.output = self.first.output;
                }
                return None;
            }
        };
        let names_it = names_form(body);
        if state.proven && !names_it {
            return None;
        }
        match status {
            // What a server says that does not understand a request. Of a 500, only if it names the form or comes
            // again.
            400 | 415 | 422 | 501 => {}
            500 if names_it || state.strikes + 1 >= STRIKES => {}
            500 => {
                state.strikes += 1;
                return None;
            }
            _ => return None,
        }
        // A lower form has to prove itself anew.
        *state = State { now: Dialect { output: lower, ..used }, proven: false, strikes: 0 };
        Some(format!("the server takes no {}; asking for {}", name(used.output), name(lower)))
    }
}

fn name(output: Output) -> &'static str {
    match output {
        Output::JsonSchema => "JSON schema",
        Output::JsonObject => "JSON mode",
        Output::Text => "plain text",
    }
}

/// Whether an error speaks of the form of answers. "guided" and "grammar" are how vLLM and llama.cpp call theirs.
fn names_form(body: &str) -> bool {
    let body = body.to_lowercase();
    ["response_format", "json_schema", "json_object", "structured output", "guided", "grammar"]
        .iter()
        .any(|name| body.contains(name))
}

/// The dialect without the parameter that an error of `status` says is not supported, and what to tell.
///
/// By the error's `param`, as OpenAI has it, or else by its words: then a name alone is not enough, for "reduce
/// max_tokens" in an error about a text that is too long names a parameter and complains of none.
fn without_unsupported(used: Dialect, status: u16, body: &str) -> Option<(Dialect, String)> {
    if !matches!(status, 400 | 422 | 501) {
        return None;
    }
    let error: Value = serde_json::from_str(body).unwrap_or_default();
    let param = error.pointer("/error/param").and_then(Value::as_str).unwrap_or_default();
    let lower = body.to_lowercase();
    let complains = ["unsupported", "not support", "unknown", "unrecognized", "unexpected", "not permitted", "extra"]
        .iter()
        .any(|word| lower.contains(word));
    let is_about = |name: &str| param == name || (complains && param.is_empty() && lower.contains(name));
    let said = |what: &str| format!("the server takes no `{what}`; asking without it");
    if used.logprobs && is_about("logprobs") {
        return Some((Dialect { logprobs: false, ..used }, said("logprobs")));
    }
    if used.temperature && is_about("temperature") {
        return Some((Dialect { temperature: false, ..used }, said("temperature")));
    }
    // Last: an error may name it in passing.
    let token_limit = match used.token_limit {
        TokenLimit::MaxTokens if is_about("max_tokens") && lower.contains("max_completion_tokens") => {
            TokenLimit::MaxCompletionTokens
        }
        TokenLimit::MaxTokens if is_about("max_tokens") && complains => TokenLimit::None,
        TokenLimit::MaxCompletionTokens if is_about("max_completion_tokens") && complains => TokenLimit::None,
        _ => return None,
    };
    let what = if token_limit == TokenLimit::None { "limit of an answer's tokens" } else { "max_tokens" };
    Some((Dialect { token_limit, ..used }, said(what)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialects() -> Dialects {
        Dialects::new(Output::JsonSchema, true, None)
    }

    #[test]
    fn a_refused_form_falls_back_step_by_step_and_is_remembered() {
        let dialects = dialects();
        for (status, body, expected) in [
            (400, r#"{"error": {"message": "response_format json_schema is not supported"}}"#, Output::JsonObject),
            (422, "no JSON here", Output::Text),
        ] {
            let used = dialects.now();
            assert!(dialects.refused(used, status, body).is_some());
            // One that was on its way tries again as well, and tells nothing.
            assert_eq!(dialects.refused(used, status, body).as_deref(), Some(""));
            // A pause is one, whatever it was asked in.
            assert_eq!(dialects.refused(used, 429, ""), None);
            assert_eq!(dialects.now().output, expected);
        }
        dialects.worked(dialects.now());
        assert_eq!(dialects.refused(dialects.now(), 400, "the text is too long"), None);
        assert_eq!(dialects.now().output, Output::Text);
    }

    #[test]
    fn a_server_error_without_a_reason_is_the_forms_fault_only_when_it_comes_again() {
        let dialects = dialects();
        let schema = dialects.now();
        assert_eq!(dialects.refused(schema, 500, "Internal Server Error"), None);
        assert!(dialects.refused(schema, 500, "Internal Server Error").is_some());
        assert_eq!(dialects.now().output, Output::JsonObject);
        // Once it worked, errors are errors.
        dialects.worked(dialects.now());
        for _ in 0..5 {
            assert_eq!(dialects.refused(dialects.now(), 500, ""), None);
        }
        assert_eq!(dialects.refused(dialects.now(), 429, "response_format"), None);
    }

    #[test]
    fn a_text_that_is_refused_in_every_form_costs_the_form_nothing() {
        let dialects = dialects();
        while dialects.refused(dialects.now(), 400, "this text is too long").is_some() {}
        assert_eq!(dialects.now().output, Output::JsonSchema);
    }

    #[test]
    fn unsupported_parameters_are_left_out_one_by_one() {
        let dialects = dialects();
        let refuse = |param: &str, message: &str| {
            let body = serde_json::json!({"error": {"message": message, "param": param}}).to_string();
            dialects.refused(dialects.now(), 400, &body).is_some()
        };
        assert!(refuse("max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."));
        assert!(refuse("temperature", "Unsupported value: 'temperature' does not support 0.3"));
        assert!(refuse("", "Extra inputs are not permitted: logprobs"));
        let expected = Dialect {
            output: Output::JsonSchema,
            temperature: false,
            logprobs: false,
            token_limit: TokenLimit::MaxCompletionTokens,
        };
        assert_eq!(dialects.now(), expected);
        assert!(refuse("max_completion_tokens", "Unknown parameter"));
        assert_eq!(dialects.now().token_limit, TokenLimit::None);
    }

    #[test]
    fn a_context_that_is_too_long_is_no_unsupported_parameter() {
        let dialects = dialects();
        dialects.worked(dialects.now());
        let before = dialects.now();
        let body = r#"{"error": {"message": "maximum context length is 4096 tokens; reduce max_tokens", "param": "messages"}}"#;
        assert_eq!(dialects.refused(before, 400, body), None);
        assert_eq!(dialects.now(), before);
    }
}
