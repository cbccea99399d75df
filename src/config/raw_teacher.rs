//! What the user typed about a teacher; see `raw`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::settings as set;

/// A teacher.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false, "required" = ["kind"]))]
pub(crate) struct RawTeacher {
    /// "recorded" (a JSONL file of answers), "openai" (any server with the OpenAI chat completions API), or "human" (a file of
    /// labels that a person gave some of the texts: they are final, and the student and the teachers are judged by them).
    #[schemars(extend("enum" = set::TEACHER_KINDS), example = &"openai")]
    pub kind: Option<String>,
    /// The teacher's name in the journal; of a person, who gave the labels. Default: the model, or the file's name.
    #[schemars(example = &"gpt-4o-mini")]
    pub name: Option<String>,
    /// recorded: the file of answers, one {"id", "labels"} a line; the answers.jsonl of another run is one. human: the file
    /// of labels, in any format of a corpus.
    #[schemars(example = &"answers.jsonl")]
    pub path: Option<PathBuf>,

    /// human: the field or column of the label.
    #[schemars(extend("default" = set::LABEL_FIELD))]
    pub label_field: Option<String>,
    /// human: the field or column of the id, which is the corpus' own.
    #[schemars(extend("default" = set::ID_FIELD))]
    pub id_field: Option<String>,
    /// human: the field or column of the text. A row without an id goes by its text, as in a corpus without ids.
    #[schemars(extend("default" = set::TEXT_FIELD))]
    pub text_field: Option<String>,

    /// openai: the API's address up to and with /v1, e.g. "http://127.0.0.1:8000/v1". A query (Azure's
    /// ?api-version=..) stays.
    #[schemars(example = &"https://api.openai.com/v1", example = &"http://127.0.0.1:8000/v1")]
    pub base_url: Option<String>,
    /// openai: the model's name.
    #[schemars(example = &"gpt-4o-mini")]
    pub model: Option<String>,
    /// openai: the environment variable that holds the API key. Without it, no key is sent.
    #[schemars(example = &"OPENAI_API_KEY")]
    pub api_key_env: Option<String>,
    /// openai: the header of the key, if not "Authorization: Bearer KEY" (Azure: "api-key").
    #[schemars(example = &"api-key")]
    pub api_key_header: Option<String>,
    /// openai: send texts and key over plain http to another machine. Loopback is always allowed.
    #[schemars(extend("default" = set::ALLOW_HTTP))]
    pub allow_http: Option<bool>,

    /// openai: what is asked for. "candidates": all labels that may be right. "candidates-if-unsure": one label, and
    /// others if unsure. "single": one label.
    #[schemars(extend("enum" = set::MODE.names(), "default" = set::MODE.default))]
    pub mode: Option<String>,
    /// openai: ask for the probability of each label; labels are then ranked by it.
    #[schemars(extend("default" = set::PROBABILITIES))]
    pub probabilities: Option<bool>,
    /// openai: template (Jinja) of the system message, instead of the built-in one. It sees instruction, labels
    /// (name, description), mode, probabilities and form, the JSON to ask for.
    #[schemars(example = &"{{ instruction }}. The labels:{% for label in labels %} {{ label.name }}{% endfor %}. Answer with JSON: {{ form }}")]
    pub system: Option<String>,
    /// openai: template (Jinja) of the user message. It sees text.
    #[schemars(extend("default" = set::USER), example = &"Message: {{ text }}")]
    pub user: Option<String>,
    /// openai: few-shot examples, a JSONL file of {"text", "label"}, or "labels", likeliest first.
    #[schemars(example = &"examples.jsonl")]
    pub examples: Option<PathBuf>,
    /// openai: examples shown with each text. Default: 10, or as many as there are.
    #[schemars(range(min = set::SHOTS.min, max = set::SHOTS.max), extend("default" = set::SHOTS.default))]
    pub shots: Option<usize>,
    /// openai: "fixed": the first examples of the file, the same for every text (prompt caches hit). "nearest": those
    /// most like the text.
    #[schemars(extend("enum" = set::CHOOSE.names(), "default" = set::CHOOSE.default))]
    pub choose: Option<String>,
    /// openai: "auto" asks for JSON that follows a schema, and falls back to JSON of any form, then to text, as the
    /// server allows; "json_schema", "json_object" and "text" begin there.
    #[schemars(extend("enum" = set::OUTPUT.names(), "default" = set::OUTPUT.default))]
    pub output: Option<String>,
    /// openai: ask for log-probabilities where the server has them; they weigh the labels.
    #[schemars(extend("default" = set::LOGPROBS))]
    pub logprobs: Option<bool>,
    /// openai: how often each text is asked about (self-consistency); labels are ranked by votes.
    #[schemars(range(min = set::DRAWS.min, max = set::DRAWS.max), extend("default" = set::DRAWS.default), example = 5)]
    pub draws: Option<u32>,
    /// openai: sampling temperature.
    #[schemars(range(min = set::TEMPERATURE.min, max = set::TEMPERATURE.max), extend("default" = set::TEMPERATURE.default), example = 0.5)]
    pub temperature: Option<f64>,
    /// openai: tokens of an answer, at most.
    #[schemars(range(min = set::MAX_TOKENS.min, max = set::MAX_TOKENS.max), extend("default" = set::MAX_TOKENS.default))]
    pub max_tokens: Option<u32>,

    /// openai: requests per minute, at most. Default: no limit.
    #[schemars(range(min = set::REQUESTS_PER_MINUTE.min, max = set::REQUESTS_PER_MINUTE.max), example = 3000)]
    pub requests_per_minute: Option<u32>,
    /// openai: tokens per minute (prompt and answer), at most. Default: no limit.
    #[schemars(range(min = set::TOKENS_PER_MINUTE.min, max = set::TOKENS_PER_MINUTE.max), example = 200_000)]
    pub tokens_per_minute: Option<u32>,
    /// openai: requests in flight at the same time, at most.
    #[schemars(range(min = set::MAX_IN_FLIGHT.min, max = set::MAX_IN_FLIGHT.max), extend("default" = set::MAX_IN_FLIGHT.default), example = 32)]
    pub max_in_flight: Option<usize>,
    /// openai: requests in flight that an overloaded server is never slowed below.
    #[schemars(range(min = set::MIN_IN_FLIGHT.min, max = set::MIN_IN_FLIGHT.max), extend("default" = set::MIN_IN_FLIGHT.default))]
    pub min_in_flight: Option<usize>,
    /// openai: seconds until a request counts as lost.
    #[schemars(range(min = set::TIMEOUT_S.min, max = set::TIMEOUT_S.max), extend("default" = set::TIMEOUT_S.default), example = 120.0)]
    pub timeout_s: Option<f64>,
    /// openai: seconds until a connection counts as impossible.
    #[schemars(range(min = set::CONNECT_TIMEOUT_S.min, max = set::CONNECT_TIMEOUT_S.max), extend("default" = set::CONNECT_TIMEOUT_S.default))]
    pub connect_timeout_s: Option<f64>,
    /// openai: seconds without a byte until a reply counts as lost. Default: timeout_s.
    #[schemars(range(min = set::READ_TIMEOUT_S.min, max = set::READ_TIMEOUT_S.max), example = 20.0)]
    pub read_timeout_s: Option<f64>,
    /// openai: how often a request is sent again after an error that concerns it alone.
    #[schemars(extend("default" = set::MAX_RETRIES))]
    pub max_retries: Option<u32>,
    /// openai: seconds without any answer until the run stops.
    #[schemars(range(min = set::GIVE_UP_AFTER_S.min, max = set::GIVE_UP_AFTER_S.max), extend("default" = set::GIVE_UP_AFTER_S.default), example = 3600.0)]
    pub give_up_after_s: Option<f64>,
    /// openai: a longer reply counts as lost.
    #[schemars(range(min = set::MAX_REPLY_BYTES.min, max = set::MAX_REPLY_BYTES.max), extend("default" = set::MAX_REPLY_BYTES.default))]
    pub max_reply_bytes: Option<usize>,

    /// openai: what tokens cost. Needed where run.max_cost is set.
    #[schemars(example = serde_json::json!({ "input": 0.15, "cached_input": 0.075, "output": 0.60 }))]
    pub price: Option<RawPrice>,
    /// openai: the model's tokenizer.json, to count prompt tokens with. Without it they are estimated.
    #[schemars(example = &"tokenizer.json")]
    pub tokenizer: Option<PathBuf>,
}

impl RawTeacher {
    /// The keys that were typed and are none of `keys`.
    pub(super) fn given_besides(&self, keys: &[&str]) -> Vec<String> {
        // The raw type serialises as it was read.
        let given = serde_json::to_value(self).unwrap_or_default();
        let given = given.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        given.map(|(name, _)| name.clone()).filter(|name| !keys.contains(&name.as_str())).collect()
    }
}

/// Prices per million tokens, as decimals: 0.15 or "0.15".
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false, "required" = ["input", "output"]))]
pub(crate) struct RawPrice {
    /// A million prompt tokens.
    #[schemars(example = 0.15)]
    pub input: Option<RawDecimal>,
    /// A million prompt tokens that the provider had in its cache. Default: as input.
    #[schemars(example = 0.075)]
    pub cached_input: Option<RawDecimal>,
    /// A million tokens of answers.
    #[schemars(example = 0.60)]
    pub output: Option<RawDecimal>,
    /// What a request in a batch file costs, as a share of these prices.
    #[schemars(extend("default" = set::BATCH_SHARE), example = 0.5)]
    pub batch_share: Option<RawDecimal>,
}

/// A decimal: a number, or a string where more digits are needed than a number keeps.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged, expecting = "expected a decimal, like 0.15 or \"0.15\"")]
pub(crate) enum RawDecimal {
    /// As a number.
    Number(f64),
    /// As a string.
    Text(String),
}
