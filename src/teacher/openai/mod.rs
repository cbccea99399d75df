//! The `openai` teacher: any server with the OpenAI chat completions API.
//!
//! This file sets one up; `request` asks. A request: prompt → money reserved → room, pauses and limits per minute (`gate`, `limits`) → sent (`client`) in the
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
mod request;
mod retry;
mod sizes;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use rust_decimal::Decimal;
use serde_json::Value;
use tokio::sync::Semaphore;

use self::breaker::Breaker;
use self::client::Http;
use self::dialect::Dialects;
use self::gate::Gate;
use self::limits::Limits;
use self::prompt::Prompter;
use self::sizes::Sizer;
use self::wire::{Formats, Request};
use super::{AskError, Requests, Size, Teacher};
use crate::config::{OpenAiConfig, Task};
use crate::domain::answer::{Answer, AnswerKey};
use crate::domain::label::LabelSet;
use crate::domain::sample::{Sample, short_hash};
use crate::error::{Error, Result};
use crate::teacher::ledger::Ledger;

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
        format!("openai:{}:{}", crate::domain::sample::to_hex(self.key_prefix), self.config.prompt.draws)
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
