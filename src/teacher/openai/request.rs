//! One question to a server: requests until there is an answer, or a reason why there is none.
//!
//! A question runs in the task that asks it, many of them at the same time. What it holds on its way says what a
//! failure costs: a reservation that is dropped counts as spent at its worst, one that is released or settled does not;
//! so every way out of [`OpenAi::request`] decides by what the server may have charged, and not by whether there is an
//! answer.

use std::time::SystemTime;

use rust_decimal::Decimal;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::blame::Trouble;
use super::client::{Lost, Response, Where};
use super::dialect::{Dialect, TokenLimit};
use super::doubt::{About, Flight, Question};
use super::gate::Pass;
use super::limits::Counted;
use super::prompt::Message;
use super::retry::backoff;
use super::wire::Request;
use super::{OpenAi, headers, read};
use crate::domain::answer::Answer;
use crate::domain::sample::{Sample, TextHash};
use crate::teacher::ledger::{Refused, Reservation};
use crate::teacher::{AskError, Asked, Size};

/// What a request holds on its way.
pub(super) struct Admitted<'a> {
    /// Its place among the `max_in_flight` of this teacher. It goes out with the answer and is given back when that is
    /// stored, so what a crash loses is bounded by it.
    permit: OwnedSemaphorePermit,
    /// Counts it among those whose outcome may show what earlier refusals meant.
    _flight: Flight<'a>,
    /// Its place among the requests in flight of the address; given back as soon as the reply is read.
    pub(super) pass: Pass,
    /// As it was believed when the request left: what was learned since changes nothing for it.
    size: Size,
    /// Where the minute has its tokens, to be corrected by what the reply says it took.
    counted: Counted,
}

impl OpenAi {
    /// Asks until there is an answer or no more sense in asking; who finds that out stops all who ask the same address.
    pub(super) async fn ask(&self, sample: &Sample) -> Result<Asked, AskError> {
        let asked = self.answer(sample).await;
        if let Err(AskError::Stop(reason)) = &asked {
            self.stop.because(reason);
            self.teller.finish();
        }
        asked
    }

    /// As [`Self::ask`], without telling the others.
    async fn answer(&self, sample: &Sample) -> Result<Asked, AskError> {
        let messages = self.prompter.messages(&sample.text).map_err(AskError::Stop)?;
        // Lives until the question has ended, its waiting between tries included: as long as anyone is here who may
        // still be answered, refusals of others stay open.
        let mut question = self.doubt.arrive();
        // Only its own failures count: being sent again after a pause or in another dialect costs a text nothing.
        let mut tries = 0;
        loop {
            let trouble = match self.request(&messages).await {
                Ok(asked) => return Ok(asked),
                Err(trouble) => trouble,
            };
            match trouble {
                Trouble::Ended(error) => return Err(error),
                Trouble::Stop(message) => return Err(AskError::Stop(message)),
                Trouble::Refused { answer, message } => {
                    return self.refusal(&mut question, sample, *answer, &message).await;
                }
                Trouble::Again => self.ledger.progress().retries.add(1),
                Trouble::Own { message, unreachable } => {
                    tries += 1;
                    // The first request is no retry: `max_retries + 1` are sent.
                    if tries > self.config.limits.max_retries {
                        return Err(self.out_of_tries(&message, unreachable, tries));
                    }
                    self.ledger.progress().retries.add(1);
                    self.teller.warn(&message, "; trying again");
                    let wait = backoff(tries, rand::random());
                    // Where nobody is, the clock decides how often it is tried.
                    let often = self.config.limits.give_up_after / 4;
                    tokio::select! {
                        () = tokio::time::sleep(if unreachable { wait.min(often) } else { wait }) => {}
                        error = self.stop.stopped() => return Err(error),
                    }
                }
            }
        }
    }

    /// What a refusal means shows when others are answered or refused. Meanwhile nothing is in flight for it.
    /// A text whose refusal stays unclear is left for the next run: as its answer the refusal would be kept for good,
    /// though the settings may have been the cause.
    async fn refusal(
        &self,
        question: &mut Question<'_>,
        sample: &Sample,
        answer: Answer,
        message: &str,
    ) -> Result<Asked, AskError> {
        let text = TextHash::of(&sample.text);
        match question.refused(text, message, &self.stop).await {
            About::Text => Ok(Asked::free(answer)),
            About::Settings(message) => Err(AskError::Stop(message)),
            About::Unclear => Err(AskError::Failed(message.to_owned())),
            About::Stopped(error) => Err(error),
        }
    }

    /// Where nobody ever took a connection, another text would fare no better: that ends the run. Anything else is this
    /// text's alone.
    fn out_of_tries(&self, message: &str, unreachable: bool, tries: u32) -> AskError {
        if unreachable {
            return AskError::Stop(self.nobody(&format!("{message}, {tries} tries")));
        }
        AskError::Failed(format!("{message} ({tries} tries)"))
    }

    /// Sends one request when everything lets it, and reads its reply.
    ///
    /// The order is part of the promises: money is reserved before the queue, so that a request that waits for others
    /// to come back cheaper holds nobody up there; the request is on file before it leaves; and the limits are counted
    /// at the moment at which it is sent, not when it was made.
    async fn request(&self, messages: &[Message<'_>]) -> Result<Asked, Trouble> {
        // The limits of the last minute hold across processes: what the one before sent is counted before anything of
        // ours. Here and not in `open`, since only now the ledger has read its file.
        self.earlier.call_once(|| {
            let earlier = self.limited.as_deref().map(|limited| self.ledger.take_last_minute(limited));
            self.limits.count_before(earlier.unwrap_or_default());
        });
        // 0 without prices: then every reservation fits.
        let worst = self.worst_cost(messages).unwrap_or_default();
        let mut reserved = tokio::select! {
            reserved = self.ledger.reserve(worst) => reserved.map_err(|Refused(message)| Trouble::Stop(message))?,
            error = self.stop.stopped() => return Err(Trouble::Ended(error)),
        };
        // May take long, a pause of the address included. Nothing is sent meanwhile, so the money comes back where it
        // fails.
        let (admitted, dialect, body) = match self.prepare(messages).await {
            Ok(prepared) => prepared,
            Err(trouble) => {
                reserved.release();
                return Err(trouble);
            }
        };
        let most = admitted.size.most();
        // Without a line on file, a kill would forget that this was sent. No line, no request.
        if let Err(Refused(why)) = reserved.put_on_file(self.limited.as_deref(), most).await {
            return Err(Trouble::Stop(why));
        }
        let flying = self.ledger.progress().fly();
        let began = Instant::now();
        // Whoever is abandoned may have been heard after all: its reservation is dropped, and counts in full.
        let sent = tokio::select! {
            sent = self.http.post(body) => sent,
            error = self.stop.abandoned() => return Err(Trouble::Ended(error)),
        };
        drop(flying);
        match sent {
            Ok(response) if response.status.is_success() => {
                // A success is the server's word that it takes this form, even where the model's answer cannot be read.
                self.dialects.worked(dialect);
                let mut asked = self.read(&response, messages, admitted, reserved, dialect)?;
                // To the millisecond, for plans: no label depends on it.
                asked.answer.seconds = Some((began.elapsed().as_secs_f64() * 1e3).round() / 1e3);
                Ok(asked)
            }
            Ok(response) => self.without_answer(response, admitted, reserved, dialect),
            Err(lost) => {
                // No connection, no charge. What was lost underway may have been answered, and billed.
                if lost.place != Where::Underway {
                    reserved.release();
                }
                Err(self.failed(&admitted.pass, lost))
            }
        }
    }

    /// Everything up to the moment of sending.
    /// The dialect is asked for after the waiting: whoever stood in the queue while another found out what the server
    /// takes sends that at once, and is not refused for it as well.
    async fn prepare(&self, messages: &[Message<'_>]) -> Result<(Admitted<'_>, Dialect, Vec<u8>), Trouble> {
        let admitted = self.admit(messages).await.map_err(Trouble::Ended)?;
        let dialect = self.dialects.now();
        let body = self.body(messages, dialect).map_err(Trouble::Stop)?;
        Ok((admitted, dialect, body))
    }

    /// The request as it is sent. An error where a cap is set and the server takes no bound on an answer: the worst
    /// case that was reserved would then be no bound on what it costs.
    fn body(&self, messages: &[Message<'_>], dialect: Dialect) -> Result<Vec<u8>, String> {
        if self.ledger.has_cap() && dialect.token_limit == TokenLimit::None {
            return Err(
                "the server takes no limit of an answer's tokens, so run.max_cost cannot be kept: leave it out"
                    .to_owned(),
            );
        }
        let request = Request::new(&self.config.model, messages, &self.config.prompt, dialect, &self.formats);
        serde_json::to_vec(&request).map_err(|error| error.to_string())
    }

    /// Waits for its turn, room, pace and share of the limits; ends at once when nothing is sent any more.
    ///
    /// One at a time stands at the gate for a model and key, from its turn until it is through. So a large request that
    /// waits for its tokens is not overtaken for ever by small ones behind it. The permit comes first, outside of the
    /// turn: who has no permit would only keep others waiting.
    pub(super) async fn admit(&self, messages: &[Message<'_>]) -> Result<Admitted<'_>, AskError> {
        let permit = tokio::select! {
            permit = std::sync::Arc::clone(&self.in_flight).acquire_owned() => permit.map_err(|_| AskError::Cancelled)?,
            error = self.stop.stopped() => return Err(error),
        };
        let enter = async {
            let _turn = self.limits.turn().await;
            // While all is refused, this waits until an answer opens it: no use in pacing a request that may never
            // leave.
            let flight = self.doubt.fly().await;
            // By what is known now, not when the request joined the queue.
            let size = self.sizer.size(messages);
            // Before the gate: the pace may take seconds, and what the gate counts is sent at that moment.
            self.limits.pace(size).await;
            let (pass, counted) = self.address.gate.enter(&self.stop, || self.limits.count(size)).await?;
            Ok(Admitted { permit, _flight: flight, pass, size, counted })
        };
        tokio::select! {
            admitted = enter => admitted,
            error = self.stop.stopped() => Err(error),
        }
    }

    /// Reads a reply of a successful status, and lets everyone know what it says about the server: that it is there,
    /// what it takes, how many tokens there were, whether its limits are used up.
    ///
    /// A reply that is no completion is a failure like a lost one. Its reservation is dropped: it may well be charged.
    fn read(
        &self,
        response: &Response,
        messages: &[Message<'_>],
        admitted: Admitted<'_>,
        reserved: Reservation,
        dialect: Dialect,
    ) -> Result<Asked, Trouble> {
        let Admitted { permit, pass, counted, .. } = admitted;
        let mut answer = match read::answer(&response.body, &self.labels) {
            Ok(answer) => answer,
            Err(message) => return Err(self.failed(&pass, Lost::underway(message))),
        };
        self.redact(&mut answer);
        // Whatever the answer says, a server that gives one is up, takes the settings, and is heard again after a
        // pause.
        self.address.breaker.answered();
        self.doubt.answered();
        self.memory.note(&self.place, dialect);
        pass.answered();
        // The wall clock, for servers name dates; it decides only when something is sent, never what a label is.
        if let Some(length) = headers::exhausted_for(&response.headers, SystemTime::now()) {
            self.address.rest(length);
            self.ledger.progress().pause(length, || format!("the limit of {} is used up", self.host()));
        }
        let tokens = answer.usage.map(|usage| u32::try_from(usage.total()).unwrap_or(u32::MAX));
        if let (Some(usage), Some(tokens)) = (&answer.usage, tokens) {
            // Later requests are sized by it, and the minute gets back what this one was counted with beyond what it
            // took.
            self.sizer.learn(messages, usage);
            self.limits.correct(counted, tokens);
        }
        answer.cost = self.cost(&answer, Decimal::ONE);
        if self.config.price.is_some() {
            // What the provider did not count costs what it may have cost.
            answer.cost.get_or_insert(reserved.amount());
        }
        // The pass goes with this frame, the permit with the answer: the server may be asked again before the disk is
        // done, but no more answers are ever unstored than there are permits.
        reserved.settle(answer.cost.unwrap_or_default(), tokens);
        Ok(Asked { answer, permit: permit.into() })
    }

    /// A server may repeat the key in what it answers, in an escaped form that only reading it undoes.
    fn redact(&self, answer: &mut Answer) {
        let redactor = self.http.redactor();
        let problem = answer.problem.as_mut().map(|problem| &mut problem.message);
        [answer.raw.as_mut(), answer.model.as_mut(), problem]
            .into_iter()
            .flatten()
            .for_each(|text| redactor.clean_text(text));
    }

    /// What a request of these messages may cost at most; `None` without prices.
    ///
    /// Prices are per million tokens. All of the prompt is counted at the dearer of fresh and cached, since nobody can
    /// know before what the provider has in its cache, and the answer at `max_tokens`, which the request sets as its
    /// limit.
    fn worst_cost(&self, messages: &[Message<'_>]) -> Option<Decimal> {
        let price = self.config.price.as_ref()?;
        let prompt = self.sizer.most_prompt_tokens(messages);
        let input = price.input.max(price.cached_input) * Decimal::from(prompt);
        let output = price.output * Decimal::from(self.config.prompt.max_tokens);
        Some((input + output) / Decimal::from(1_000_000))
    }

    /// What an answer cost: as the provider says, or by its tokens.
    /// `share` is the part of the price that is charged: 1, or that of a batch file. It does not touch what the
    /// provider itself says that it charged. `None` where there are no prices, or the provider counted no tokens. That an
    /// answer was for nothing is not believed where there are prices: it is what a proxy says that does not know them,
    /// and one that passes the bill on to another account.
    pub(super) fn cost(&self, answer: &Answer, share: Decimal) -> Option<Decimal> {
        let price = self.config.price.as_ref();
        let by_price = || Some((price?.of(&answer.usage?) * share).normalize());
        answer.cost.filter(|cost| !cost.is_zero()).or_else(by_price).or(answer.cost)
    }

    /// A reply without an answer: the dialect's fault, or whoever else's.
    fn without_answer(
        &self,
        response: Response,
        admitted: Admitted<'_>,
        reserved: Reservation,
        dialect: Dialect,
    ) -> Result<Asked, Trouble> {
        // A gateway that gave up does not know whether the request was answered, and charged.
        if !matches!(response.status.as_u16(), 408 | 502 | 504) {
            reserved.release();
        }
        let body = String::from_utf8_lossy(&response.body);
        // First the form: a refusal for its sake costs the text nothing, and the same is sent again in another.
        if let Some(said) = self.dialects.refused(dialect, response.status.as_u16(), &body) {
            if !said.is_empty() {
                // Empty where another request found it out, and said so.
                tracing::info!("teacher {:?}: {said}", self.config.name);
            }
            return Err(Trouble::Again);
        }
        Err(self.blame(&response, &body, &admitted.pass))
    }
}
