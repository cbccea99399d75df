//! One question to a server: requests until there is an answer, or a reason why there is none.

use std::time::SystemTime;

use reqwest::StatusCode;
use rust_decimal::Decimal;
use tokio::sync::SemaphorePermit;

use super::breaker::Meaning;
use super::client::{Lost, Response};
use super::dialect::TokenLimit;
use super::gate::Pass;
use super::limits::Counted;
use super::prompt::Message;
use super::retry::{Verdict, backoff, judge};
use super::wire::Request;
use super::{OpenAi, headers, read};
use crate::domain::answer::{Answer, Problem, ProblemKind};
use crate::domain::sample::Sample;
use crate::teacher::AskError;
use crate::teacher::ledger::{Refused, Reservation};

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
    /// Asks until there is an answer or no more sense in asking.
    pub(super) async fn ask(&self, sample: &Sample) -> Result<Answer, AskError> {
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
    async fn admit(&self, messages: &[Message<'_>]) -> Option<(SemaphorePermit<'_>, Pass, Counted)> {
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
    pub(super) fn cost(&self, answer: &Answer, share: Decimal) -> Option<Decimal> {
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
