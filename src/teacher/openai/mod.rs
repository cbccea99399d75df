//! The `openai` teacher: any server with the OpenAI chat completions API.

mod limits;
pub(super) mod parse;
mod prompt;
mod retry;
mod wire;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, redirect};

use self::limits::Limits;
use self::retry::{Verdict, backoff, judge};
use self::wire::{Message, Reply, Request};
use super::{Answer, AnswerKey, AskError, Teacher};
use crate::config::{OpenAiConfig, Task};
use crate::error::{Error, Result};
use crate::label::LabelSet;
use crate::sample::{Sample, short_hash};

/// A longer reply is no answer: a hostile server must not fill the memory.
const MAX_REPLY_BYTES: usize = 1 << 20;
/// Samples that may fail one after the other before the server counts as broken.
const BREAKER: u32 = 8;

/// A server with the OpenAI API.
#[derive(Debug)]
pub(super) struct OpenAi {
    config: OpenAiConfig,
    labels: LabelSet,
    system: String,
    /// Hash of all that a key depends on besides the text.
    key_prefix: [u8; 16],
    client: Client,
    limits: Limits,
    /// Samples given up since the last one that was answered.
    failed_in_a_row: AtomicU32,
    /// Whether any sample was answered.
    answered: AtomicBool,
}

/// How one request ended without an answer.
enum Trouble {
    /// Worth another try, perhaps after a pause of the endpoint.
    Passing { message: String, pause: Option<Duration>, unreachable: bool },
    /// Not worth another try, for this sample.
    Refused(String),
    /// Not worth another try, for any sample.
    Lasting(String),
    /// Nothing was sent: the run stops.
    Stopped,
}

impl Trouble {
    fn passing(message: impl Into<String>) -> Self {
        Self::Passing { message: message.into(), pause: None, unreachable: false }
    }
}

impl OpenAi {
    pub(super) fn open(config: &OpenAiConfig, task: &Task) -> Result<Self> {
        let wrong = |message: String| Error::TeacherConfig { teacher: config.name.clone(), message };
        let mut headers = HeaderMap::new();
        if let Some(variable) = &config.api_key_env {
            let key = std::env::var(variable).ok().filter(|key| !key.is_empty()).ok_or_else(|| {
                wrong(format!("the environment variable {variable} holds no API key: export {variable}=..."))
            })?;
            let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
                .map_err(|_| wrong(format!("the API key in {variable} has characters that no header can carry")))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = Client::builder()
            .default_headers(headers)
            .timeout(config.timeout)
            .connect_timeout(config.timeout.min(Duration::from_secs(10)))
            // A redirect could carry key and texts to another host.
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(config.max_in_flight)
            .build()
            .map_err(|error| wrong(format!("cannot set up HTTP: {error}")))?;
        reqwest::Url::parse(&config.base_url)
            .map_err(|error| wrong(format!("base_url {:?} is no address: {error}", config.base_url)))?;
        let system = prompt::system_message(task);
        let key_prefix = short_hash(&[
            b"openai",
            config.model.as_bytes(),
            system.as_bytes(),
            &config.temperature.to_le_bytes(),
            &config.max_tokens.to_le_bytes(),
        ]);
        Ok(Self {
            key_prefix,
            limits: Limits::new(config.max_in_flight, config.requests_per_minute, config.tokens_per_minute),
            config: config.clone(),
            labels: task.labels.clone(),
            system,
            client,
            failed_in_a_row: AtomicU32::new(0),
            answered: AtomicBool::new(false),
        })
    }

    async fn ask(&self, sample: &Sample) -> Result<Answer, AskError> {
        let mut tries = 0;
        let (message, unreachable) = loop {
            tries += 1;
            match self.request(sample).await {
                Ok(answer) => {
                    self.failed_in_a_row.store(0, Ordering::Relaxed);
                    self.answered.store(true, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(Trouble::Stopped) => return Err(AskError::Cancelled),
                Err(Trouble::Lasting(message)) => return Err(AskError::Stop(message)),
                // Before the first answer it is more likely the settings than the text.
                Err(Trouble::Refused(message)) if !self.answered.load(Ordering::Relaxed) => {
                    return Err(AskError::Stop(message));
                }
                Err(Trouble::Refused(message)) => break (message, false),
                Err(Trouble::Passing { message, unreachable, .. }) if tries > self.config.max_retries => {
                    break (message, unreachable);
                }
                Err(Trouble::Passing { message, pause, .. }) => {
                    tracing::warn!("teacher {:?}: {message}; trying again", self.config.name);
                    match pause {
                        Some(length) => self.limits.pause(length),
                        None => tokio::time::sleep(backoff(tries, rand::random())).await,
                    }
                }
            }
        };
        if unreachable {
            return Err(AskError::Stop(format!(
                "nobody answers at {} ({message}, {tries} tries). Is the server running, and is base_url right?",
                self.config.base_url
            )));
        }
        let failed = self.failed_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        if failed >= BREAKER {
            return Err(AskError::Stop(format!(
                "{failed} samples failed one after the other, the last with: {message}"
            )));
        }
        Err(AskError::Failed(format!("{message} ({tries} tries)")))
    }

    async fn request(&self, sample: &Sample) -> Result<Answer, Trouble> {
        let Some(_permit) = self.limits.admit(self.estimated_tokens(sample)).await else {
            return Err(Trouble::Stopped);
        };
        let request = Request {
            model: &self.config.model,
            messages: [
                Message { role: "system", content: &self.system },
                Message { role: "user", content: &sample.text },
            ],
            temperature: self.config.temperature,
            max_tokens: self.config.max_tokens,
        };
        let url = format!("{}/chat/completions", self.config.base_url);
        let response = self.client.post(url).json(&request).send().await.map_err(|error| transport(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read_capped(response).await?;
        if status.is_success() {
            return self.read(&body);
        }
        let body = String::from_utf8_lossy(&body);
        let excerpt: String = body.chars().take(300).collect();
        match judge(status, &headers, &body) {
            Verdict::Retry(pause) => {
                Err(Trouble::Passing { message: format!("HTTP {status}"), pause, unreachable: false })
            }
            verdict => {
                let message = format!("HTTP {status}: {}. {}", excerpt.trim(), self.advice(status.as_u16()));
                Err(if verdict == Verdict::Stop { Trouble::Lasting(message) } else { Trouble::Refused(message) })
            }
        }
    }

    fn advice(&self, status: u16) -> String {
        match status {
            401 | 403 => match &self.config.api_key_env {
                Some(variable) => format!("Check the API key in {variable}."),
                None => "The server wants an API key: set api_key_env to the variable that holds it.".to_owned(),
            },
            402 | 429 => "The account has no credit left.".to_owned(),
            404 => format!("Check base_url ({}) and model ({}).", self.config.base_url, self.config.model),
            _ => "Check the teacher's settings.".to_owned(),
        }
    }

    /// Four bytes a token (a usual rule of thumb for English), and the longest answer.
    fn estimated_tokens(&self, sample: &Sample) -> u32 {
        let prompt = u32::try_from((self.system.len() + sample.text.len()) / 4).unwrap_or(u32::MAX);
        prompt.saturating_add(self.config.max_tokens)
    }

    fn read(&self, body: &[u8]) -> Result<Answer, Trouble> {
        let reply: Reply = serde_json::from_slice(body)
            .map_err(|error| Trouble::passing(format!("the reply is no chat completion ({error})")))?;
        let Some(choice) = reply.choices.first() else {
            return Err(Trouble::passing("the reply has no choices"));
        };
        let content = choice.message.text();
        let found = parse::labels_in(&content, &self.labels);
        let problem = if let Some(refusal) = &choice.message.refusal {
            Some(format!("the model refused: {refusal}"))
        } else if !found.off_list.is_empty() {
            Some(format!("named what is no label of the task: {}", found.off_list.join(" | ")))
        } else if found.ranked.is_empty() {
            Some("the answer names no label".to_owned())
        } else {
            None
        };
        let problem = match choice.finish_reason.as_deref() {
            Some("length") => Some(format!("{} (cut off at max_tokens)", problem.as_deref().unwrap_or("the answer"))),
            _ => problem,
        };
        Ok(Answer {
            labels: found.ranked,
            raw: Some(content),
            model: reply.model.clone(),
            usage: reply.usage(),
            problem,
        })
    }
}

/// A request that never got a whole reply.
fn transport(error: &reqwest::Error) -> Trouble {
    // reqwest's own text holds the URL only; the cause says what happened.
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let what = if error.is_timeout() { "no reply in time".to_owned() } else { cause.to_string() };
    Trouble::Passing { message: what, pause: None, unreachable: error.is_connect() }
}

async fn read_capped(mut response: reqwest::Response) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_REPLY_BYTES {
            return Err(Trouble::passing(format!("the reply is longer than {MAX_REPLY_BYTES} bytes")));
        }
    }
    Ok(body)
}

impl Teacher for OpenAi {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn identity(&self) -> String {
        format!("openai:{}:{}:{}:{}", self.config.model, self.config.temperature, self.config.max_tokens, self.system)
    }

    fn key(&self, sample: &Sample) -> AnswerKey {
        AnswerKey(short_hash(&[&self.key_prefix, sample.text.as_bytes()]))
    }

    fn attempts(&self) -> u32 {
        2
    }

    fn stop(&self) {
        self.limits.close();
    }

    fn ask<'a>(&'a self, sample: &'a Sample) -> BoxFuture<'a, Result<Answer, AskError>> {
        Box::pin(self.ask(sample))
    }
}
