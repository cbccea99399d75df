//! What the user typed about a teacher; see `raw`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A teacher.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false, "required" = ["kind"]))]
pub(crate) struct RawTeacher {
    /// "recorded" (a JSONL file of answers) or "openai" (any server with the OpenAI chat completions API).
    pub kind: Option<String>,
    /// The teacher's name in the journal. Default: the model, or the file's name.
    pub name: Option<String>,
    /// recorded: the file of answers, one {"id", "labels"} a line; the answers.jsonl of another run is one.
    pub path: Option<PathBuf>,

    /// openai: the API's address up to and with /v1, e.g. "http://127.0.0.1:8000/v1". A query (Azure's ?api-version=..)
    /// stays.
    pub base_url: Option<String>,
    /// openai: the model's name.
    pub model: Option<String>,
    /// openai: the environment variable that holds the API key. Without it, no key is sent.
    pub api_key_env: Option<String>,
    /// openai: the header of the key, if not "Authorization: Bearer KEY" (Azure: "api-key").
    pub api_key_header: Option<String>,
    /// openai: send texts and key over plain http to another machine. Default: false; loopback is always allowed.
    pub allow_http: Option<bool>,

    /// openai: what is asked for. "candidates": all labels that may be right. "candidates-if-unsure": one label, and others
    /// if unsure. "single": one label. Default: "candidates".
    pub mode: Option<String>,
    /// openai: ask for the probability of each label; labels are then ranked by it. Default: false.
    pub probabilities: Option<bool>,
    /// openai: template (Jinja) of the system message, instead of the built-in one. It sees instruction, labels (name,
    /// description), mode, probabilities and form, the JSON to ask for.
    pub system: Option<String>,
    /// openai: template (Jinja) of the user message. It sees text. Default: "{{ text }}".
    pub user: Option<String>,
    /// openai: few-shot examples, a JSONL file of {"text", "label"}, or "labels", likeliest first.
    pub examples: Option<PathBuf>,
    /// openai: examples shown with each text. Default: 10, or as many as there are.
    #[schemars(range(min = 1, max = 64))]
    pub shots: Option<usize>,
    /// openai: "fixed": the first examples of the file, the same for every text (prompt caches hit). "nearest": those most
    /// like the text. Default: "fixed".
    pub choose: Option<String>,
    /// openai: "auto" asks for JSON that follows a schema, and falls back to JSON of any form, then to text, as the server
    /// allows; "json_schema", "json_object" and "text" begin there. Default: "auto".
    pub output: Option<String>,
    /// openai: ask for log-probabilities where the server has them; they weigh the labels. Default: false.
    pub logprobs: Option<bool>,
    /// openai: how often each text is asked about (self-consistency); labels are ranked by votes. Default: 1.
    #[schemars(range(min = 1, max = 64))]
    pub draws: Option<u32>,
    /// openai: sampling temperature. Default: 0.3.
    #[schemars(range(min = 0.0, max = 2.0))]
    pub temperature: Option<f64>,
    /// openai: tokens of an answer, at most. Default: 256.
    #[schemars(range(min = 1))]
    pub max_tokens: Option<u32>,

    /// openai: requests per minute, at most. Default: no limit.
    #[schemars(range(min = 1))]
    pub requests_per_minute: Option<u32>,
    /// openai: tokens per minute (prompt and answer), at most. Default: no limit.
    #[schemars(range(min = 1))]
    pub tokens_per_minute: Option<u32>,
    /// openai: requests in flight at the same time, at most. Default: 16.
    #[schemars(range(min = 1, max = 4096))]
    pub max_in_flight: Option<usize>,
    /// openai: requests in flight that an overloaded server is never slowed below. Default: 1.
    #[schemars(range(min = 1, max = 4096))]
    pub min_in_flight: Option<usize>,
    /// openai: seconds until a request counts as lost. Default: 60.
    #[schemars(range(min = 0.001))]
    pub timeout_s: Option<f64>,
    /// openai: seconds until a connection counts as impossible. Default: 10.
    #[schemars(range(min = 0.001))]
    pub connect_timeout_s: Option<f64>,
    /// openai: seconds without a byte until a reply counts as lost. Default: timeout_s.
    #[schemars(range(min = 0.001))]
    pub read_timeout_s: Option<f64>,
    /// openai: how often a request is sent again after an error that concerns it alone. Default: 5.
    pub max_retries: Option<u32>,
    /// openai: seconds without any answer until the run stops. Default: 300.
    #[schemars(range(min = 0.0))]
    pub give_up_after_s: Option<f64>,
    /// openai: a longer reply counts as lost. Default: 1048576.
    #[schemars(range(min = 1024))]
    pub max_reply_bytes: Option<usize>,

    /// openai: what tokens cost.
    pub price: Option<RawPrice>,
    /// openai: the model's tokenizer.json, to count prompt tokens with. Without it they are estimated.
    pub tokenizer: Option<PathBuf>,
}

/// Prices per million tokens, as decimals: 0.15 or "0.15".
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false, "required" = ["input", "output"]))]
pub(crate) struct RawPrice {
    /// A million prompt tokens.
    pub input: Option<RawDecimal>,
    /// A million prompt tokens that the provider had in its cache. Default: as input.
    pub cached_input: Option<RawDecimal>,
    /// A million tokens of answers.
    pub output: Option<RawDecimal>,
    /// What a request in a batch file costs, as a share of these prices. Default: 1.
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
