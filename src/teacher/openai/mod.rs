//! The `openai` teacher: any server with the OpenAI chat completions API.
//!
//! This file sets one up; `request` asks. A request: prompt → money reserved (`ledger`) → room, pauses and limits per minute
//! (`doubt`, `gate`, `limits`) → on file → sent (`client`) in the dialect that the server takes (`dialect`) → read (`read`,
//! `reasoning`, `parse`). What went wrong is judged by `blame`: by `retry` whether it is worth another try, by `breaker`
//! whether it is the request's fault or the server's, by `doubt` whether a refusal is the text's or the settings'.

mod address;
mod blame;
mod breaker;
mod client;
mod dialect;
mod doubt;
mod examples;
mod files;
mod gate;
mod headers;
mod limits;
mod memory;
pub(super) mod parse;
mod prompt;
mod proxy;
mod read;
mod reasoning;
mod redact;
mod request;
mod retry;
mod sizes;
mod stop;
mod teller;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::{Arc, Once};

use futures::future::BoxFuture;
use rust_decimal::Decimal;
use serde_json::Value;
use tokio::sync::Semaphore;

use self::address::{Account, Address};
pub(super) use self::address::{Set, Shared};
use self::client::Http;
use self::dialect::Dialects;
use self::doubt::Doubt;
use self::gate::Seat;
use self::limits::Limits;
use self::memory::Memory;
use self::prompt::Prompter;
use self::sizes::Sizer;
use self::stop::Stop;
use self::teller::Teller;
use self::wire::{Formats, Request};
use super::{AskError, Asked, Requests, Size, Teacher};
use crate::config::{HttpConfig, OpenAiConfig, Task};
use crate::domain::answer::{Answer, AnswerKey};
use crate::domain::label::LabelSet;
use crate::domain::sample::{Sample, short_hash};
use crate::error::{Error, Result};
use crate::teacher::ledger::Ledger;

/// A server with the OpenAI API.
#[derive(Debug)]
pub(super) struct OpenAi {
    config: OpenAiConfig,
    /// To read answers by; the schema that is sent has their names only.
    labels: LabelSet,
    prompter: Prompter,
    sizer: Sizer,
    formats: Formats,
    /// Hash of all that a key depends on besides the text.
    key_prefix: [u8; 16],
    http: Http,
    /// Gate and breaker, shared with all who ask this address with this key and were given the same `Addresses`.
    address: Arc<Address>,
    /// Its part of the room that the address has.
    _seat: Seat,
    /// Shared with the teachers of this run at this address alone: another run goes on.
    stop: Arc<Stop>,
    /// Its own: two models at one address differ in what they refuse.
    doubt: Doubt,
    /// What the server was found to take, shared with all who ask this model there.
    dialects: Arc<Dialects>,
    /// Keeps that for the next run.
    memory: Arc<Memory>,
    /// Its name in the memory.
    place: String,
    /// Requests without a stored answer.
    in_flight: Arc<Semaphore>,
    /// Its own limits, of what all who ask this model with this key send together.
    limits: Limits,
    /// What its limits per minute are for, in files; none without limits.
    limited: Option<String>,
    /// Counts what earlier processes sent, before the first request.
    earlier: Once,
    ledger: Arc<Ledger>,
    teller: Teller,
}

impl OpenAi {
    /// Sets up a teacher. Sends nothing: a wrong address or key shows with the first request.
    ///
    /// Fails where a template, the examples, the tokenizer or the key cannot be used, with what to do about it.
    pub(super) fn open(
        config: &OpenAiConfig,
        task: &Task,
        ledger: &Arc<Ledger>,
        shared: &mut Shared,
        set: &mut Set,
    ) -> Result<Self> {
        let wrong = |message: String| Error::TeacherConfig { teacher: config.name.clone(), message };
        let prompter = Prompter::new(&config.prompt, task).map_err(wrong)?;
        let sizer = Sizer::new(config.tokenizer.as_deref(), &prompter.prefix(), config.prompt.max_tokens);
        let max_in_flight = files::fit(config.limits.max_in_flight, &config.name);
        let (http, account) = connect(config, max_in_flight, shared).map_err(wrong)?;
        let (address, place) = (shared.address(&account), address::place(config));
        // What went wrong with this address before, for another run, is no reason to give up soon in this one.
        address.breaker.begin();
        let dialects = shared.dialects(&account, &place, config, set);
        let peers = shared.peers().map(|peers| (peers, address::limited_everywhere(config)));
        let limits = Limits::new(&config.limits, shared.sent(&account, &config.model), peers);
        Ok(Self {
            key_prefix: short_hash(&[b"openai", settings(config).as_bytes(), &prompter.fingerprint()]),
            sizer: sizer.map_err(wrong)?,
            formats: Formats::new(&config.prompt, &task.labels),
            http,
            _seat: address.gate.join(config.limits.min_in_flight.min(max_in_flight), max_in_flight),
            address,
            stop: set.stop(&account),
            doubt: Doubt::new(dialects.known()),
            dialects,
            memory: Arc::clone(&set.memory),
            place,
            in_flight: Arc::new(Semaphore::new(max_in_flight)),
            limited: limits.are_set().then(|| address::limited(config)),
            limits,
            earlier: Once::new(),
            labels: task.labels.clone(),
            ledger: Arc::clone(ledger),
            teller: Teller::new(&config.name),
            config: config.clone(),
            prompter,
        })
    }
}

/// HTTP with the key that `config` names, and the account that it is of. Says once which proxy is used.
fn connect(config: &OpenAiConfig, max_in_flight: usize, shared: &mut Shared) -> Result<(Http, Account), String> {
    let key = client::key(&config.http)?;
    let http = Http::new(&config.http, key.as_deref(), max_in_flight)?;
    if let Some(proxy) = http.proxy().filter(|proxy| shared.is_news(proxy)) {
        tracing::info!("{proxy}");
    }
    Ok((http, Account::of(config, key.as_deref())))
}

/// Why there is no key where `config` says that there is one.
pub(super) fn missing_key(config: &HttpConfig) -> Option<String> {
    client::key(config).err()
}

/// What answers depend on besides prompt and text.
///
/// Not how they are paid, paced or retried: changing that must not ask a corpus again. Not the address either, so that
/// one model may move to another server; nor the number of draws, since each has a key of its own.
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

    /// An answer without a label is asked for once more: at a temperature above 0 the second often names one.
    fn attempts(&self) -> u32 {
        2
    }

    fn stop(&self) {
        self.stop.stop();
    }

    /// A refusal that waits for others to be answered need not wait any longer: see `doubt`.
    fn no_more(&self) {
        self.doubt.end();
    }

    fn ask<'a>(&'a self, sample: &'a Sample, _draw: u32) -> BoxFuture<'a, Result<Asked, AskError>> {
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

    fn url(&self) -> String {
        self.http.shown_url()
    }

    fn body(&self, sample: &Sample) -> Result<(&'static str, Value), String> {
        let messages = self.prompter.messages(&sample.text)?;
        let dialect = self.dialects.now();
        let request = Request::new(&self.config.model, &messages, &self.config.prompt, dialect, &self.formats);
        let body = serde_json::to_value(request).map_err(|error| error.to_string())?;
        // The path as OpenAI's batch files have it, whatever base_url is: it is the provider's, not one of ours.
        Ok(("/v1/chat/completions", body))
    }

    fn read(&self, body: &[u8]) -> Result<Answer, String> {
        // Batch results are read by teachers that were set up without a key: there is none to take out.
        let mut answer = read::answer(body, &self.labels)?;
        let share = self.config.price.map_or(Decimal::ONE, |price| price.batch_share);
        answer.cost = self.cost(&answer, share);
        Ok(answer)
    }
}
