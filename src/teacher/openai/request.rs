//! One question to a server: requests until there is an answer, or a reason why there is none.

use std::time::SystemTime;

use rust_decimal::Decimal;
use tokio::sync::OwnedSemaphorePermit;

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
    permit: OwnedSemaphorePermit,
    _flight: Flight<'a>,
    pub(super) pass: Pass,
    size: Size,
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

    async fn answer(&self, sample: &Sample) -> Result<Asked, AskError> {
        let messages = self.prompter.messages(&sample.text).map_err(AskError::Stop)?;
        let mut question = self.doubt.arrive();
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
                Trouble::Again => {}
                Trouble::Own { message, unreachable } => {
                    tries += 1;
                    if tries > self.config.limits.max_retries {
                        return Err(self.out_of_tries(&message, unreachable, tries));
                    }
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

    fn out_of_tries(&self, message: &str, unreachable: bool, tries: u32) -> AskError {
        if unreachable {
            return AskError::Stop(self.nobody(&format!("{message}, {tries} tries")));
        }
        AskError::Failed(format!("{message} ({tries} tries)"))
    }

    /// Sends one request when everything lets it, and reads its reply.
    async fn request(&self, messages: &[Message<'_>]) -> Result<Asked, Trouble> {
        self.earlier.call_once(|| {
            let earlier = self.limited.as_deref().map(|limited| self.ledger.take_last_minute(limited));
            self.limits.count_before(earlier.unwrap_or_default());
        });
        let worst = self.worst_cost(messages).unwrap_or_default();
        let mut reserved = self.ledger.reserve(worst).await.map_err(|Refused(message)| Trouble::Stop(message))?;
        let (admitted, dialect, body) = match self.prepare(messages).await {
            Ok(prepared) => prepared,
            Err(trouble) => {
                reserved.release();
                return Err(trouble);
            }
        };
        let most = admitted.size.most();
        if let Err(Refused(why)) = reserved.put_on_file(self.limited.as_deref(), most).await {
            return Err(Trouble::Stop(why));
        }
        let sent = tokio::select! {
            sent = self.http.post(body) => sent,
            error = self.stop.abandoned() => return Err(Trouble::Ended(error)),
        };
        match sent {
            Ok(response) if response.status.is_success() => {
                self.dialects.worked(dialect);
                self.read(&response, messages, admitted, reserved, dialect)
            }
            Ok(response) => self.without_answer(response, admitted, reserved, dialect),
            Err(lost) => {
                if lost.place != Where::Underway {
                    reserved.release();
                }
                Err(self.failed(&admitted.pass, lost))
            }
        }
    }

    /// Everything up to the moment of sending.
    async fn prepare(&self, messages: &[Message<'_>]) -> Result<(Admitted<'_>, Dialect, Vec<u8>), Trouble> {
        let admitted = self.admit(messages).await.map_err(Trouble::Ended)?;
        let dialect = self.dialects.now();
        let body = self.body(messages, dialect).map_err(Trouble::Stop)?;
        Ok((admitted, dialect, body))
    }

    fn body(&self, messages: &[Message<'_>], dialect: Dialect) -> Result<Vec<u8>, String> {
        if self.config.price.is_some() && dialect.token_limit == TokenLimit::None {
            return Err(
                "the server takes no limit of an answer's tokens, so run.max_cost cannot be kept: leave it out"
                    .to_owned(),
            );
        }
        let request = Request::new(&self.config.model, messages, &self.config.prompt, dialect, &self.formats);
        serde_json::to_vec(&request).map_err(|error| error.to_string())
    }

    /// Waits for its turn, room, pace and share of the limits.
    pub(super) async fn admit(&self, messages: &[Message<'_>]) -> Result<Admitted<'_>, AskError> {
        let permit = tokio::select! {
            permit = std::sync::Arc::clone(&self.in_flight).acquire_owned() => permit.map_err(|_| AskError::Cancelled)?,
            error = self.stop.stopped() => return Err(error),
        };
        let enter = async {
            let _turn = self.limits.turn().await;
            let flight = self.doubt.fly().await;
            // By what is known now, not when the request joined the queue.
            let size = self.sizer.size(messages);
            self.limits.pace(size).await;
            let (pass, counted) = self.address.gate.enter(&self.stop, || self.limits.count(size)).await?;
            Ok(Admitted { permit, _flight: flight, pass, size, counted })
        };
        tokio::select! {
            admitted = enter => admitted,
            error = self.stop.stopped() => Err(error),
        }
    }

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
        self.address.breaker.answered();
        self.doubt.answered();
        self.memory.note(&self.place, dialect);
        pass.answered();
        if let Some(length) = headers::exhausted_for(&response.headers, SystemTime::now()) {
            self.address.gate.rest(length);
        }
        let tokens = answer.usage.map(|usage| u32::try_from(usage.total()).unwrap_or(u32::MAX));
        if let (Some(usage), Some(tokens)) = (&answer.usage, tokens) {
            self.sizer.learn(messages, usage);
            self.limits.correct(counted, tokens);
        }
        answer.cost = self.cost(&answer, Decimal::ONE);
        if self.config.price.is_some() {
            // What the provider did not count costs what it may have cost.
            answer.cost.get_or_insert(reserved.amount());
        }
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
        if let Some(said) = self.dialects.refused(dialect, response.status.as_u16(), &body) {
            if !said.is_empty() {
                tracing::info!("teacher {:?}: {said}", self.config.name);
            }
            return Err(Trouble::Again);
        }
        Err(self.blame(&response, &body, &admitted.pass))
    }
}
