//! The `openai` teacher: any server with the OpenAI chat completions API.
//!
//! A request: prompt → money reserved → room, pauses and limits per minute (`gate`, `limits`) → sent (`client`) in the
//! dialect that the server takes (`dialect`) → read (`read`, `parse`). What went wrong is judged by `retry`, and by
//! `breaker` whether it is the request's fault or the server's.

mod breaker;
mod client;
mod dialect;
mod examples;
mod gate;
mod headers;
mod limits;
pub(super) mod parse;
mod prompt;
mod read;
mod retry;
mod sizes;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use futures::future::BoxFuture;
use reqwest::StatusCode;
use rust_decimal::Decimal;
use serde_json::Value;
use tokio::sync::Semaphore;

use self::breaker::{Breaker, Meaning};
use self::client::{Http, Lost, Response};
use self::dialect::{Dialects, TokenLimit};
use self::gate::{Gate, Pass};
use self::limits::{Counted, Limits};
use self::prompt::{Message, Prompter};
use self::retry::{Verdict, backoff, judge};
use self::sizes::Sizer;
use self::wire::{Formats, Request};
use super::{Answer, AnswerKey, AskError, Problem, ProblemKind, Requests, Size, Teacher};
use crate::config::{OpenAiConfig, Task};
use crate::error::{Error, Result};
use crate::label::LabelSet;
use crate::ledger::{Ledger, Refused, Reservation};
use crate::sample::{Sample, short_hash};

/// What teachers at one address have in common.
#[derive(Debug)]
struct Address {
    http: Http,
    gate: Arc<Gate>,
    breaker: Breaker,
}

/// Addresses and dialects by what tells them apart, while teachers are set up.
#[derive(Debug, Default)]
pub(super) struct Shared {
    addresses: HashMap<(String, Option<String>), Arc<Address>>,
    dialects: HashMap<(String, String), Arc<Dialects>>,
}

impl Shared {
    fn address(&mut self, config: &OpenAiConfig) -> Result<Arc<Address>, String> {
        let key = (config.http.base_url.clone(), config.http.api_key_env.clone());
        let limits = &config.limits;
        if let Some(address) = self.addresses.get(&key) {
            address.gate.widen(limits.max_in_flight);
            return Ok(Arc::clone(address));
        }
        let address = Arc::new(Address {
            http: Http::new(&config.http, limits.max_in_flight)?,
            gate: Gate::new(limits.min_in_flight, limits.max_in_flight),
            breaker: Breaker::new(limits.give_up_after),
        });
        self.addresses.insert(key, Arc::clone(&address));
        Ok(address)
    }

    fn dialects(&mut self, config: &OpenAiConfig) -> Arc<Dialects> {
        let key = (config.http.base_url.clone(), config.model.clone());
        let new = || Arc::new(Dialects::new(config.prompt.output, config.prompt.logprobs));
        Arc::clone(self.dialects.entry(key).or_insert_with(new))
    }
}

/// A server with the OpenAI API.
#[derive(Debug)]
pub(super) struct OpenAi {
    config: OpenAiConfig,
    labels: LabelSet,
    prompter: Prompter,
    sizer: Sizer,
    formats: Formats,
    /// Hash of all that a key depends on besides the text.
    key_prefix: [u8; 16],
    address: Arc<Address>,
    dialects: Arc<Dialects>,
    in_flight: Semaphore,
    /// First come, first served: a large request waits for its tokens before the small ones behind it.
    queue: tokio::sync::Mutex<()>,
    limits: Limits,
    ledger: Arc<Ledger>,
}

/// How one request ended without an answer.
#[derive(Debug)]
enum Trouble {
    /// Not this request's fault: send it again when the gate lets it.
    Again,
    /// It went wrong; worth another try.
    Own { message: String, unreachable: bool },
    /// Not worth another try, for this sample.
    Refused(String),
    /// Not worth another try, for any sample.
    Stop(String),
    /// Nothing was sent: the run stops.
    Cancelled,
}

impl OpenAi {
    pub(super) fn open(config: &OpenAiConfig, task: &Task, ledger: &Arc<Ledger>, shared: &mut Shared) -> Result<Self> {
        let wrong = |message: String| Error::TeacherConfig { teacher: config.name.clone(), message };
        let prompter = Prompter::new(&config.prompt, task).map_err(wrong)?;
        let sizer = Sizer::new(config.tokenizer.as_deref(), &prompter.prefix(), config.prompt.max_tokens);
        Ok(Self {
            key_prefix: short_hash(&[b"openai", settings(config).as_bytes(), &prompter.fingerprint()]),
            sizer: sizer.map_err(wrong)?,
            formats: Formats::new(&config.prompt, &task.labels),
            address: shared.address(config).map_err(wrong)?,
            dialects: shared.dialects(config),
            in_flight: Semaphore::new(config.limits.max_in_flight),
            queue: tokio::sync::Mutex::default(),
            limits: Limits::new(&config.limits),
            labels: task.labels.clone(),
            ledger: Arc::clone(ledger),
            config: config.clone(),
            prompter,
        })
    }

    async fn ask(&self, sample: &Sample) -> Result<Answer, AskError> {
        let messages = self.prompter.messages(&sample.text).map_err(AskError::Stop)?;
        let mut tries = 0;
        loop {
            match self.request(&messages).await {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Cancelled) => return Err(AskError::Cancelled),
                Err(Trouble::Stop(message)) => return Err(AskError::Stop(message)),
                // Before the first answer it is more likely the settings than the text.
                Err(Trouble::Refused(message)) if !self.address.breaker.ever_answered() => {
                    return Err(AskError::Stop(message));
                }
                Err(Trouble::Refused(message)) => return Err(AskError::Failed(message)),
                Err(Trouble::Again) => {}
                Err(Trouble::Own { message, unreachable }) => {
                    tries += 1;
                    if tries > self.config.limits.max_retries {
                        return Err(self.out_of_tries(&message, unreachable, tries));
                    }
                    tracing::warn!("teacher {:?}: {message}; trying again", self.config.name);
                    tokio::select! {
                        () = tokio::time::sleep(backoff(tries, rand::random())) => {}
                        () = self.address.gate.closed() => return Err(AskError::Cancelled),
                    }
                }
            }
        }
    }

    fn out_of_tries(&self, message: &str, unreachable: bool, tries: u32) -> AskError {
        if unreachable {
            let address = &self.config.http.base_url;
            return AskError::Stop(format!(
                "nobody answers at {address} ({message}, {tries} tries). Is the server running, and is base_url right?"
            ));
        }
        AskError::Failed(format!("{message} ({tries} tries)"))
    }

    /// Sends one request when everything lets it, and reads its reply.
    async fn request(&self, messages: &[Message<'_>]) -> Result<Answer, Trouble> {
        let worst = self.worst_cost(messages);
        let reserved = match worst {
            Some(worst) => Some(self.ledger.reserve(worst).await.map_err(|Refused(message)| Trouble::Stop(message))?),
            None => None,
        };
        let Some((permit, pass, counted)) = self.admit(messages).await else {
            reserved.into_iter().for_each(Reservation::release);
            return Err(Trouble::Cancelled);
        };
        let dialect = self.dialects.now();
        let request = Request::new(&self.config.model, messages, &self.config.prompt, dialect, &self.formats);
        let body = match serde_json::to_vec(&request) {
            Ok(body) if worst.is_none() || dialect.token_limit != TokenLimit::None => body,
            problem => {
                reserved.into_iter().for_each(Reservation::release);
                let why =
                    "the server takes no limit of an answer's tokens, so run.max_cost cannot be kept: leave it out";
                return Err(Trouble::Stop(problem.err().map_or(why.to_owned(), |error| error.to_string())));
            }
        };
        let sent = self.address.http.post(body).await;
        drop(permit);
        let response = match sent {
            Ok(response) => response,
            Err(lost) => {
                if lost.unsent {
                    reserved.into_iter().for_each(Reservation::release);
                }
                return Err(self.failed(&pass, lost));
            }
        };
        if response.status.is_success() {
            self.dialects.worked(dialect);
            return self.read(&response, messages, &pass, counted, reserved);
        }
        // A gateway that gave up does not know whether the request was answered, and charged.
        if !matches!(response.status.as_u16(), 408 | 502 | 504) {
            reserved.into_iter().for_each(Reservation::release);
        }
        let body = String::from_utf8_lossy(&response.body);
        if let Some(said) = self.dialects.refused(dialect, response.status.as_u16(), &body) {
            if !said.is_empty() {
                tracing::info!("teacher {:?}: {said}", self.config.name);
            }
            return Err(Trouble::Again);
        }
        Err(match self.refused(&response, &body, &pass) {
            Ok(answer) => return Ok(answer),
            Err(trouble) => trouble,
        })
    }

    /// Waits for its turn, room, pace and share of the limits.
    async fn admit(&self, messages: &[Message<'_>]) -> Option<(tokio::sync::SemaphorePermit<'_>, Pass, Counted)> {
        let permit = self.in_flight.acquire().await.ok()?;
        let _turn = self.queue.lock().await;
        if self.in_flight.is_closed() {
            return None;
        }
        // By what is known now, not when the request joined the queue.
        let size = self.sizer.size(messages);
        self.limits.pace(size).await;
        let (pass, counted) = self.address.gate.enter(|| self.limits.count(size)).await?;
        Some((permit, pass, counted))
    }

    fn read(
        &self,
        response: &Response,
        messages: &[Message<'_>],
        pass: &Pass,
        counted: Counted,
        reserved: Option<Reservation>,
    ) -> Result<Answer, Trouble> {
        let mut answer = match read::answer(&response.body, &self.labels) {
            Ok(answer) => answer,
            Err(message) => return Err(self.failed(pass, Lost { message, unsent: false })),
        };
        self.address.breaker.answered();
        pass.answered();
        if let Some(length) = headers::exhausted_for(&response.headers, SystemTime::now()) {
            self.address.gate.rest(length);
        }
        if let Some(usage) = &answer.usage {
            self.sizer.learn(messages, usage);
            self.limits.correct(counted, usage.total());
        }
        answer.cost = self.cost(&answer, Decimal::ONE);
        if let Some(reserved) = reserved {
            // What the provider did not count costs what it may have cost.
            let cost = *answer.cost.get_or_insert(reserved.amount());
            reserved.settle(cost);
        }
        Ok(answer)
    }

    /// What a request of these messages may cost at most; `None` without prices.
    fn worst_cost(&self, messages: &[Message<'_>]) -> Option<Decimal> {
        let price = self.config.price.as_ref()?;
        let prompt = self.sizer.most_prompt_tokens(messages);
        let input = price.input.max(price.cached_input) * Decimal::from(prompt);
        let output = price.output * Decimal::from(self.config.prompt.max_tokens);
        Some((input + output) / Decimal::from(1_000_000))
    }

    /// What an answer cost: as the provider says, or by its tokens.
    fn cost(&self, answer: &Answer, share: Decimal) -> Option<Decimal> {
        let price = self.config.price.as_ref();
        answer.cost.or_else(|| Some((price?.of(&answer.usage?) * share).normalize()))
    }

    /// A request without an answer: its own trouble, or the server's.
    fn failed(&self, pass: &Pass, lost: Lost) -> Trouble {
        let Lost { message, unsent } = lost;
        let unreachable = unsent && !self.address.breaker.ever_answered();
        if unreachable {
            return Trouble::Own { message, unreachable };
        }
        if !pass.is_current() {
            // It fell into the trouble that everyone is waiting out already.
            return Trouble::Again;
        }
        match self.address.breaker.failed(rand::random()) {
            Meaning::Own => Trouble::Own { message, unreachable },
            Meaning::Server(wait) => {
                let seconds = wait.as_secs_f64();
                tracing::warn!(
                    "teacher {:?}: {message}; the server is in trouble, waiting {seconds:.1} s",
                    self.config.name
                );
                pass.overloaded(wait);
                Trouble::Again
            }
            Meaning::GiveUp(length) => {
                let seconds = length.as_secs();
                Trouble::Stop(format!(
                    "no answer from {} for {seconds} s, at last: {message}",
                    self.config.http.base_url
                ))
            }
        }
    }

    /// A reply with an error status: an answer all the same if the provider's filter refused the text.
    fn refused(&self, response: &Response, body: &str, pass: &Pass) -> Result<Answer, Trouble> {
        let status = response.status;
        let excerpt: String = body.trim().chars().take(300).collect();
        let message = || format!("HTTP {status}: {excerpt}. {}", self.advice(status));
        Err(match judge(status, &response.headers, body) {
            Verdict::Overloaded(_) if !pass.is_current() => Trouble::Again,
            Verdict::Overloaded(asked) => match self.address.breaker.refused(rand::random()) {
                Ok(own) => {
                    let wait = asked.unwrap_or(own);
                    pass.overloaded(wait);
                    let (name, seconds) = (&self.config.name, wait.as_secs_f64());
                    tracing::warn!("teacher {name:?}: HTTP {status}; trying again after {seconds:.1} s");
                    Trouble::Again
                }
                Err(length) => {
                    let seconds = length.as_secs();
                    return Err(Trouble::Stop(format!("nothing but HTTP {status} for {seconds} s: {excerpt}")));
                }
            },
            Verdict::Passing => self.failed(pass, Lost { message: format!("HTTP {status}: {excerpt}"), unsent: false }),
            Verdict::Filtered => {
                let problem = Some(Problem {
                    kind: ProblemKind::Refused,
                    message: format!("the provider's filter refused the text (HTTP {status})"),
                });
                return Ok(Answer { raw: Some(body.to_owned()), problem, ..Answer::default() });
            }
            Verdict::Refused => Trouble::Refused(message()),
            Verdict::Stop => Trouble::Stop(message()),
        })
    }

    fn advice(&self, status: StatusCode) -> String {
        let http = &self.config.http;
        match status.as_u16() {
            300..=399 => format!("It points elsewhere, which is not followed: check base_url ({}).", http.base_url),
            401 | 403 => match &http.api_key_env {
                Some(variable) => format!("Check the API key in {variable}."),
                None => "The server wants an API key: set api_key_env to the variable that holds it.".to_owned(),
            },
            402 | 429 => "The account has no credit left.".to_owned(),
            404 => format!("Check base_url ({}) and model ({}).", http.base_url, self.config.model),
            _ if !self.address.breaker.ever_answered() => {
                format!("Check base_url ({}), model ({}) and key.", http.base_url, self.config.model)
            }
            _ => "The server does not take this text.".to_owned(),
        }
    }
}

/// What answers depend on besides prompt and text.
fn settings(config: &OpenAiConfig) -> String {
    let prompt = &config.prompt;
    let parts = (
        &config.model,
        prompt.mode,
        prompt.probabilities,
        prompt.output,
        prompt.logprobs,
        prompt.temperature,
        prompt.max_tokens,
    );
    // Strings, numbers and names: serialising them cannot fail.
    serde_json::to_string(&parts).unwrap_or_default()
}

impl Teacher for OpenAi {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn identity(&self) -> String {
        format!("openai:{}:{}", crate::sample::to_hex(self.key_prefix), self.config.prompt.draws)
    }

    fn draws(&self) -> u32 {
        self.config.prompt.draws
    }

    fn key(&self, sample: &Sample, draw: u32) -> AnswerKey {
        let text = sample.text.as_bytes();
        // One draw has the same key whether others follow or not: raising their number asks for the new ones alone.
        AnswerKey(match draw {
            0 => short_hash(&[&self.key_prefix, text]),
            _ => short_hash(&[&self.key_prefix, text, &draw.to_le_bytes()]),
        })
    }

    fn attempts(&self) -> u32 {
        2
    }

    fn stop(&self) {
        self.in_flight.close();
        self.address.gate.close();
    }

    fn ask<'a>(&'a self, sample: &'a Sample, _draw: u32) -> BoxFuture<'a, Result<Answer, AskError>> {
        Box::pin(self.ask(sample))
    }

    fn requests(&self) -> Option<&dyn Requests> {
        Some(self)
    }
}

impl Requests for OpenAi {
    fn size(&self, sample: &Sample) -> Result<Size, String> {
        Ok(self.sizer.size(&self.prompter.messages(&sample.text)?))
    }

    fn sizes_are_counted(&self) -> bool {
        self.sizer.is_counted()
    }

    fn body(&self, sample: &Sample) -> Result<(&'static str, Value), String> {
        let messages = self.prompter.messages(&sample.text)?;
        let dialect = self.dialects.now();
        let request = Request::new(&self.config.model, &messages, &self.config.prompt, dialect, &self.formats);
        let body = serde_json::to_value(request).map_err(|error| error.to_string())?;
        Ok(("/v1/chat/completions", body))
    }

    fn read(&self, body: &[u8]) -> Result<Answer, String> {
        let mut answer = read::answer(body, &self.labels)?;
        let share = self.config.price.map_or(Decimal::ONE, |price| price.batch_share);
        answer.cost = self.cost(&answer, share);
        Ok(answer)
    }
}
