//! The checked configuration of teachers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::annotators::{Key, owner};
use super::fields::{decimal, has_prefix, number, required, resolve};
use super::raw_teacher::{RawPrice, RawTeacher};
use super::settings as set;
use super::{Problem, Problems};

/// A teacher.
#[derive(Debug, Clone)]
pub enum TeacherConfig {
    /// A file of answers.
    Recorded(RecordedConfig),
    /// An OpenAI-compatible server.
    OpenAi(Box<OpenAiConfig>),
}

impl TeacherConfig {
    /// The teacher's name, under which its answers are kept.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Recorded(recorded) => &recorded.name,
            Self::OpenAi(openai) => &openai.name,
        }
    }

    /// Requests, or what is like them, that may be on their way at a time.
    pub(super) fn max_in_flight(&self) -> usize {
        match self {
            Self::Recorded(_) => RECORDED_IN_FLIGHT,
            Self::OpenAi(openai) => openai.limits.max_in_flight,
        }
    }
}

/// A recording costs nothing to ask; what is in flight are writes of answers, which go to disk in groups.
const RECORDED_IN_FLIGHT: usize = 64;

/// A file of answers.
#[derive(Debug, Clone)]
pub struct RecordedConfig {
    /// The teacher's name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// An OpenAI-compatible server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenAiConfig {
    /// The teacher's name.
    pub name: String,
    /// The model, by the name that the server has for it.
    pub model: String,
    /// How it is reached.
    pub http: HttpConfig,
    /// What it is asked.
    pub prompt: PromptConfig,
    /// How fast, and when to give up.
    pub limits: LimitsConfig,
    /// What tokens cost; without it nothing is counted but what the provider says that it charged.
    pub price: Option<Price>,
    /// The model's tokenizer.json, to count tokens with; without it they are estimated from bytes.
    pub tokenizer: Option<PathBuf>,
}

/// How a server is reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HttpConfig {
    /// The API's address, without a slash at the end.
    pub base_url: String,
    /// The environment variable of the key, if one is to be sent. Never the key itself: configurations are shared.
    pub api_key_env: Option<String>,
    /// The header of the key; `None` for `Authorization: Bearer`.
    pub api_key_header: Option<String>,
    /// Whether plain http may leave this machine.
    pub allow_http: bool,
    /// When a request counts as lost, from its start to the end of its reply.
    pub timeout: Duration,
    /// When a connection counts as impossible.
    pub connect_timeout: Duration,
    /// When a reply of which nothing more comes counts as lost.
    pub read_timeout: Duration,
    /// A longer reply counts as lost. It may well be charged, so its reservation is kept.
    pub max_reply_bytes: usize,
}

/// What a server is asked for about each text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One label ("SA" of the paper).
    Single,
    /// All labels that may be right ("CA_all").
    Candidates,
    /// One label, and others if unsure ("CA_add").
    CandidatesIfUnsure,
}

/// The form in which an answer is asked for; each falls back to the next where a server does not take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// JSON that follows a schema (strict).
    JsonSchema,
    /// JSON of any form.
    JsonObject,
    /// Text, in which JSON is looked for.
    Text,
}

/// How few-shot examples are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choose {
    /// The first of the file, for every text.
    Fixed,
    /// Those most like the text.
    Nearest,
}

/// Few-shot examples.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExamplesConfig {
    /// The file.
    pub path: PathBuf,
    /// Examples with each text, at most.
    pub shots: usize,
    /// Which.
    pub choose: Choose,
}

/// What a server is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PromptConfig {
    /// What for.
    pub mode: Mode,
    /// Whether the probability of each label is asked for.
    pub probabilities: bool,
    /// Template of the system message, if not the built-in one.
    pub system: Option<String>,
    /// Template of the user message, if not the text alone.
    pub user: Option<String>,
    /// Few-shot examples.
    pub examples: Option<ExamplesConfig>,
    /// The form of answers that is tried first.
    pub output: Output,
    /// Whether log-probabilities are asked for.
    pub logprobs: bool,
    /// Answers per text (self-consistency); the labels are ranked by their votes.
    pub draws: u32,
    /// Sampling temperature; not sent to models that take their own alone.
    pub temperature: f64,
    /// Tokens of an answer, at most.
    pub max_tokens: u32,
}

/// How fast a server is asked, and when to give up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LimitsConfig {
    /// Requests per minute, of all who ask this model with this key and share `Addresses`; none for no limit.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute, of prompts and answers. At least `max_tokens`: one answer has to fit.
    pub tokens_per_minute: Option<u32>,
    /// Requests in flight, at most. Lowered where the process may not open so many files.
    pub max_in_flight: usize,
    /// Requests in flight to which an overloaded server slows them at most.
    pub min_in_flight: usize,
    /// How often a request is sent again for its own errors. Pauses of an overloaded server do not count.
    pub max_retries: u32,
    /// How long the server may answer nothing at all before the run stops.
    pub give_up_after: Duration,
}

/// Prices per million tokens, in whatever currency `run.max_cost` is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Prompt tokens.
    pub input: Decimal,
    /// Prompt tokens that the provider had in its cache.
    pub cached_input: Decimal,
    /// Tokens of answers.
    pub output: Decimal,
    /// What a request in a batch file costs, as a share of these prices.
    pub batch_share: Decimal,
}

/// Keys of the kind "recorded".
const RECORDED_KEYS: [&str; 3] = ["kind", "name", "path"];

/// A recording. It goes by its file's name where it has none of its own.
pub(super) fn recorded(raw: RawTeacher, base: &Path, key: Key<'_>, problems: &mut Problems) -> Option<TeacherConfig> {
    for name in raw.given_besides(&RECORDED_KEYS) {
        problems.push(Problem::at(
            &key(&name),
            format!("belongs to kind {:?}; this teacher is \"recorded\"", owner(&name)),
        ));
    }
    let path = required(&key("path"), raw.path, "the file of answers", problems)?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    Some(TeacherConfig::Recorded(RecordedConfig {
        name: required(&key("name"), raw.name.or(stem), "a name: the path has none", problems)?,
        path: resolve(base, path),
    }))
}

/// Keys that a server does not have.
const OTHER_KEYS: [&str; 4] = ["path", "label_field", "id_field", "text_field"];

/// A server. It goes by its model where it has no name of its own.
pub(super) fn openai(mut raw: RawTeacher, base: &Path, key: Key, problems: &mut Problems) -> Option<TeacherConfig> {
    for name in raw.given_besides(&[]).iter().filter(|name| OTHER_KEYS.contains(&name.as_str())) {
        problems
            .push(Problem::at(&key(name), format!("belongs to kind {:?}; this teacher is \"openai\"", owner(name))));
    }
    let model = required(&key("model"), raw.model.take(), "the model to ask", problems);
    let http = http(&mut raw, key, problems);
    let prompt = prompt(&mut raw, base, key, problems);
    let limits = limits(&raw, prompt.as_ref().map_or(1, |prompt| prompt.max_tokens), key, problems);
    Some(TeacherConfig::OpenAi(Box::new(OpenAiConfig {
        price: raw.price.and_then(|price| self::price(price, key, problems)),
        tokenizer: raw.tokenizer.map(|path| resolve(base, path)),
        name: raw.name.or_else(|| model.clone())?,
        model: model?,
        http: http?,
        prompt: prompt?,
        limits,
    })))
}

/// How it is reached. An address that would send texts and key in the clear is refused unless that is asked for.
fn http(raw: &mut RawTeacher, key: Key, problems: &mut Problems) -> Option<HttpConfig> {
    let what = "the API's address, e.g. \"https://api.openai.com/v1\"";
    let base_url = required(&key("base_url"), raw.base_url.take(), what, problems);
    let allow_http = raw.allow_http.unwrap_or(set::ALLOW_HTTP);
    if let Some(problem) = base_url.as_deref().and_then(|url| address_problem(url, allow_http)) {
        problems.push(Problem::at(&key("base_url"), problem));
    }
    if let Some(problem) = raw.api_key_env.as_deref().and_then(variable_problem) {
        problems.push(Problem::at(&key("api_key_env"), problem));
    }
    let timeout = set::TIMEOUT_S.of(&key("timeout_s"), raw.timeout_s, problems);
    let connect = set::CONNECT_TIMEOUT_S.of(&key("connect_timeout_s"), raw.connect_timeout_s, problems);
    let read = set::READ_TIMEOUT_S.of(&key("read_timeout_s"), raw.read_timeout_s.or(Some(timeout)), problems);
    let max_reply_bytes = set::MAX_REPLY_BYTES.of(&key("max_reply_bytes"), raw.max_reply_bytes, problems);
    Some(HttpConfig {
        base_url: base_url?,
        api_key_env: raw.api_key_env.take(),
        api_key_header: raw.api_key_header.take(),
        allow_http,
        timeout: Duration::from_secs_f64(timeout),
        // Connecting is part of the request: a longer time for it alone would never be reached.
        connect_timeout: Duration::from_secs_f64(connect.min(timeout)),
        read_timeout: Duration::from_secs_f64(read),
        max_reply_bytes,
    })
}

/// What is wrong with an address, if anything is. It is not repeated: it may hold a password.
fn address_problem(url: &str, allow_http: bool) -> Option<String> {
    if !["https://", "http://"].iter().any(|scheme| has_prefix(url, scheme)) {
        return Some("must begin with https:// or http://".to_owned());
    }
    let parsed = match reqwest::Url::parse(url) {
        Ok(parsed) => parsed,
        Err(error) => return Some(format!("is no address: {error}")),
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Some("holds a name or password: put the key into a variable and name it in api_key_env".to_owned());
    }
    (goes_unencrypted(url) && !allow_http).then(|| {
        "sends texts and key unencrypted to another machine: use https://, or set allow_http = true".to_owned()
    })
}

/// Whether what is sent to an address goes over a network unencrypted: plain http to another machine.
#[doc(hidden)]
#[must_use]
pub fn goes_unencrypted(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url))
}

/// Whether an address is on this machine.
/// By its name or number alone: another name that happens to lead here counts as another machine.
pub(crate) fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Providers' keys begin like this, some of them so that they could be a variable's name.
const KEY_PREFIXES: [&str; 10] = ["sk-", "sk_", "hf_", "gsk_", "xai-", "AIza", "r8_", "pplx-", "nvapi-", "ghp_"];
/// Letters and digits in one piece of so many characters are no word, but most likely a key.
const RANDOM_CHARS: usize = 16;

/// What is wrong with the name of a variable, if anything is. The name is not repeated: it may be a key.
fn variable_problem(name: &str) -> Option<String> {
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_random = |piece: &str| {
        piece.len() >= RANDOM_CHARS
            && piece.contains(|c: char| c.is_ascii_digit())
            && piece.contains(|c: char| c.is_ascii_alphabetic())
    };
    let is_key = KEY_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || name.split('_').any(is_random);
    (!is_name || is_key).then(|| {
        "is no name of an environment variable; if it is the key itself, put that into a variable \
         (export OPENAI_API_KEY=...) and write the variable's name here"
            .to_owned()
    })
}

/// What it is asked. Templates and examples are read when the teacher is set up, which tells what is wrong in them.
fn prompt(raw: &mut RawTeacher, base: &Path, key: Key, problems: &mut Problems) -> Option<PromptConfig> {
    let temperature = set::TEMPERATURE.of(&key("temperature"), raw.temperature, problems);
    let draws = set::DRAWS.of(&key("draws"), raw.draws, problems);
    if draws > 1 && temperature == 0.0 {
        problems.push(Problem::at(&key("draws"), "asks for several answers, but at temperature 0 all are the same"));
    }
    let mode = set::MODE.of(&key("mode"), raw.mode.as_deref(), problems);
    let output = set::OUTPUT.of(&key("output"), raw.output.as_deref(), problems);
    let max_tokens = set::MAX_TOKENS.of(&key("max_tokens"), raw.max_tokens, problems);
    Some(PromptConfig {
        examples: examples(raw, base, key, problems),
        mode: mode?,
        probabilities: raw.probabilities.unwrap_or(set::PROBABILITIES),
        system: raw.system.take(),
        user: raw.user.take(),
        output: output?,
        logprobs: raw.logprobs.unwrap_or(set::LOGPROBS),
        draws,
        temperature,
        max_tokens,
    })
}

/// Few-shot examples, where there is a file of them.
fn examples(raw: &mut RawTeacher, base: &Path, key: Key, problems: &mut Problems) -> Option<ExamplesConfig> {
    let choose = set::CHOOSE.of(&key("choose"), raw.choose.as_deref(), problems);
    let shots = set::SHOTS.of(&key("shots"), raw.shots, problems);
    let Some(path) = raw.examples.take() else {
        for (name, given) in [("choose", raw.choose.is_some()), ("shots", raw.shots.is_some())] {
            if given {
                problems.push(Problem::at(&key(name), "says how to choose examples, but `examples` names no file"));
            }
        }
        return None;
    };
    Some(ExamplesConfig { path: resolve(base, path), shots, choose: choose? })
}

/// How fast it is asked. `max_tokens` is the least that tokens per minute can be: less, and no request would ever fit.
fn limits(raw: &RawTeacher, max_tokens: u32, key: Key, problems: &mut Problems) -> LimitsConfig {
    let max_in_flight = set::MAX_IN_FLIGHT.of(&key("max_in_flight"), raw.max_in_flight, problems);
    let give_up = set::GIVE_UP_AFTER_S.of(&key("give_up_after_s"), raw.give_up_after_s, problems);
    LimitsConfig {
        requests_per_minute: raw
            .requests_per_minute
            .map(|rpm| set::REQUESTS_PER_MINUTE.of(&key("requests_per_minute"), Some(rpm), problems)),
        tokens_per_minute: raw
            .tokens_per_minute
            .map(|tpm| number(&key("tokens_per_minute"), Some(tpm), tpm, max_tokens..=u32::MAX, problems)),
        max_in_flight,
        min_in_flight: set::Bounds { max: max_in_flight, ..set::MIN_IN_FLIGHT }.of(
            &key("min_in_flight"),
            raw.min_in_flight,
            problems,
        ),
        max_retries: raw.max_retries.unwrap_or(set::MAX_RETRIES),
        give_up_after: Duration::from_secs_f64(give_up),
    }
}

/// What its tokens cost. Cached ones cost as much as others where nothing is said, batches as much as single requests:
/// a cap is kept by the dearest reading.
fn price(raw: RawPrice, key: Key, problems: &mut Problems) -> Option<Price> {
    let (input, output) = (key("price.input"), key("price.output"));
    let input_price = required(&input, raw.input, "the price of a million prompt tokens", problems);
    let output_price = required(&output, raw.output, "the price of a million tokens of answers", problems);
    let input = input_price.map(|price| decimal(&input, price, problems));
    let output = output_price.map(|price| decimal(&output, price, problems));
    let cached = raw.cached_input.map(|price| decimal(&key("price.cached_input"), price, problems));
    let share = raw.batch_share.map(|share| decimal(&key("price.batch_share"), share, problems));
    Some(Price {
        input: input?,
        cached_input: cached.or(input)?,
        output: output?,
        batch_share: share.unwrap_or(Decimal::from(set::BATCH_SHARE)),
    })
}
