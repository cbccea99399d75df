//! Whose fault it is that a request has no answer, and what to do about it.
//!
//! Three kinds of fault, three costs. The request's own uses up one of the text's tries. The server's, or this
//! machine's, pauses everyone at the address, and costs no text anything, until it has lasted too long. The settings'
//! ends the run at once: every other text would be refused alike.

use std::time::Duration;

use reqwest::StatusCode;

use super::OpenAi;
use super::breaker::Meaning;
use super::client::{Lost, Response, Where};
use super::gate::Pass;
use super::retry::{Verdict, judge};
use crate::domain::answer::{Answer, Problem, ProblemKind};
use crate::teacher::AskError;

/// How one request ended without an answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Not this request's fault: send it again when the gate lets it.
    Again,
    /// It went wrong; worth another try, of which a text has so many. `unreachable` where nobody ever took a
    /// connection.
    Own { message: String, unreachable: bool },
    /// The server does not take it. If the text is why, that is its answer; `message` is for the case that it is not.
    Refused { answer: Box<Answer>, message: String },
    /// Not worth another try, for any sample.
    Stop(String),
    /// The run stops.
    Ended(AskError),
}

impl OpenAi {
    /// A request without a reply that can be read: its own trouble, the server's, or this machine's. `pass` is its own,
    /// still in flight.
    pub(super) fn failed(&self, pass: &Pass, lost: Lost) -> Trouble {
        let Lost { message, place } = lost;
        let (breaker, patience) = (&self.address.breaker, self.config.limits.give_up_after);
        if place == Where::Here {
            return self.starved(pass, message);
        }
        // A server that replied before is down, and may come back; one that nobody ever reached is more likely a wrong
        // address.
        if place == Where::Unsent && !breaker.ever_replied() {
            let Some(length) = breaker.unreachable(patience) else {
                return Trouble::Own { message, unreachable: true };
            };
            let reason = self.nobody(&format!("{message}, for {} s", length.as_secs()));
            // Others may hang in connecting for as long as their time-out: nothing will come of those either.
            self.stop.abandon(&reason);
            return Trouble::Stop(reason);
        }
        if !pass.is_current() {
            // It fell into the trouble that everyone is waiting out already.
            return Trouble::Again;
        }
        match breaker.failed(patience, rand::random()) {
            Meaning::Own => Trouble::Own { message, unreachable: false },
            // No text loses a try: the pause is for everyone, and this request is sent again after it.
            Meaning::Server(wait) => {
                self.teller.warn(&message, &format!("; the server is in trouble, waiting {:.1} s", wait.as_secs_f64()));
                self.pause(pass, wait, "no answer from");
                Trouble::Again
            }
            Meaning::GiveUp(length) => {
                let (seconds, address) = (length.as_secs(), &self.config.http.base_url);
                Trouble::Stop(format!("no answer from {address} for {seconds} s, at last: {message}"))
            }
        }
    }

    /// This machine has no room for a connection. Fewer in flight need fewer open files, so it is met as an overloaded
    /// server is.
    fn starved(&self, pass: &Pass, message: String) -> Trouble {
        match self.address.breaker.starved(self.config.limits.give_up_after, rand::random()) {
            Ok(wait) => {
                self.teller.warn(&message, "; going on with fewer requests at a time");
                self.pause(pass, wait, "no room here for a connection to");
                Trouble::Again
            }
            Err(length) => Trouble::Stop(format!("{message} (nothing was answered for {} s)", length.as_secs())),
        }
    }

    /// Nobody answers at the address.
    pub(super) fn nobody(&self, why: &str) -> String {
        let address = &self.config.http.base_url;
        format!("nobody answers at {address} ({why}). Is the server running, and is base_url right?")
    }

    /// A reply with an error status that is not the form's fault. `body` is what the server says, in which the key was
    /// looked for and taken out.
    pub(super) fn blame(&self, response: &Response, body: &str, pass: &Pass) -> Trouble {
        self.address.breaker.replied();
        let status = response.status;
        let excerpt: String = body.trim().chars().take(300).collect();
        let said = said(status);
        let message = || format!("HTTP {said}: {excerpt}. {}", self.advice(status));
        let refused = |message: String, about: &str| Trouble::Refused {
            answer: Box::new(Answer {
                raw: Some(body.to_owned()),
                problem: Some(Problem {
                    kind: ProblemKind::Refused,
                    message: format!("{about} (HTTP {said}: {excerpt})"),
                }),
                ..Answer::default()
            }),
            message,
        };
        match judge(status, &response.headers, body) {
            // Sent before the pause that others' refusals began: it is part of the same event, and halves nothing
            // again.
            Verdict::Overloaded(_) if !pass.is_current() => Trouble::Again,
            Verdict::Overloaded(asked) => self.overloaded(asked, status, &excerpt, pass),
            Verdict::Passing => self.failed(pass, Lost::underway(format!("HTTP {said}: {excerpt}"))),
            Verdict::Filtered => {
                // It looked at the text, so it takes the settings.
                self.doubt.answered();
                refused(message(), "the provider's filter refused the text")
            }
            Verdict::Refused => refused(message(), "the server does not take this text"),
            Verdict::Stop => Trouble::Stop(message()),
        }
    }

    /// The server wants nothing more for now: everyone pauses, as long as it says (`asked`), or else for longer each
    /// time. Where nothing else comes of it for too long, the run stops.
    fn overloaded(&self, asked: Option<Duration>, status: StatusCode, excerpt: &str, pass: &Pass) -> Trouble {
        match self.address.breaker.refused(self.config.limits.give_up_after, rand::random()) {
            Ok(own) => {
                // The server's own word goes before our guess, within LONGEST_PAUSE.
                let wait = asked.unwrap_or(own);
                self.pause(pass, wait, &format!("{} from", status.as_u16()));
                self.address.tell_peers(wait);
                self.teller.warn(
                    &format!("HTTP {}", said(status)),
                    &format!("; trying again after {:.1} s", wait.as_secs_f64()),
                );
                Trouble::Again
            }
            Err(length) => {
                Trouble::Stop(format!("nothing but HTTP {} for {} s: {excerpt}", said(status), length.as_secs()))
            }
        }
    }

    /// Everyone who asks the address pauses, which is shown as `why` and its host.
    fn pause(&self, pass: &Pass, length: Duration, why: &str) {
        pass.overloaded(length);
        self.ledger.progress().pause(length, || format!("{why} {}", self.host()));
    }

    /// The host and port of the address: what comes before and after may hold secrets.
    pub(super) fn host(&self) -> &str {
        let url = &self.config.http.base_url;
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit('@').next().unwrap_or_default()
    }

    /// What a person can do about a status. Only for those that stop a run, or may be the settings' fault.
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
            _ => format!("Check base_url ({}), model ({}) and key.", http.base_url, self.config.model),
        }
    }
}

/// A status with its name, where it has one: some servers have statuses of their own.
fn said(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_str()),
        None => status.as_str().to_owned(),
    }
}
