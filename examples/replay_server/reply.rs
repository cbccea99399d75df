//! Replies on their way: an answer or a fault, how its bytes go out, and what is counted once they have.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};

use super::Replay;
use super::completion::{self, Usage};
use super::faults::{Chance, Fault};
use super::refusals::Asked;

/// Between two bytes of a slow answer.
const DRIP: Duration = Duration::from_millis(50);
/// For the first half of a truncated answer to leave before the connection is closed.
const LEAVE: Duration = Duration::from_millis(5);
/// As nginx has them.
const PAGE: &str = "<html><head><title>503 Service Temporarily Unavailable</title></head></html>";

/// What is counted once an answer is out.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) model: String,
    pub(super) text: String,
    /// What the answer says that it took.
    pub(super) usage: Option<Usage>,
    /// Whether the labels were in it.
    pub(super) answered: bool,
}

/// What a request gets.
#[derive(Debug)]
pub(super) enum Reply {
    /// Refused, with this.
    Refusal(Response),
    /// An error that is not a refusal, after the latency.
    Error(Response),
    /// The bytes of a completion, gone wrong or not.
    Completion { body: String, taken: u64, told: Told },
    /// No reply at all.
    Reset,
}

impl Reply {
    /// What answering takes from the quota; nothing for a request that is refused anyway.
    pub(super) fn taken(&self) -> Option<u64> {
        match self {
            Self::Refusal(_) => None,
            Self::Error(_) | Self::Reset => Some(0),
            Self::Completion { taken, .. } => Some(*taken),
        }
    }
}

impl Replay {
    /// The reply to a request that the server has nothing against, and the fault it suffers.
    pub(super) fn reply(&self, asked: &Asked<'_>, chance: &Chance) -> (Reply, Option<Fault>) {
        let model = asked.parameter("/model").unwrap_or_default();
        let message = user_message(asked);
        if self.behaviour.refuse_texts_with.as_ref().is_some_and(|part| message.contains(part)) {
            return (Reply::Error(self.error(asked, StatusCode::PAYLOAD_TOO_LARGE, "the text is too long")), None);
        }
        if self.behaviour.fail_texts_with.as_ref().is_some_and(|part| message.contains(part)) {
            return (Reply::Error(self.error(asked, StatusCode::INTERNAL_SERVER_ERROR, "out of memory")), None);
        }
        let Some((text, labels)) = self.answers.find(model, message) else {
            let message = format!("no recorded answer to {message:?}");
            return (Reply::Error(self.error(asked, StatusCode::NOT_FOUND, &message)), None);
        };
        let fault = chance.fault(&self.behaviour.faults);
        if let Some(reply) = fault.and_then(|fault| self.unanswered(asked, fault)) {
            return (reply, fault);
        }
        let right = completion::content(asked, labels);
        let usage = Usage::of(&self.behaviour, asked, chance, message, &right);
        let completion = Reply::Completion {
            body: completion::body(&self.behaviour, asked, usage, right, fault),
            taken: usage.total(),
            told: Told {
                model: model.to_owned(),
                text: text.to_owned(),
                usage: Some(usage).filter(|_| fault != Some(Fault::MissingUsage)),
                answered: matches!(fault, None | Some(Fault::SlowBytes | Fault::MissingUsage)),
            },
        };
        (completion, fault)
    }

    /// Faults without a completion.
    fn unanswered(&self, asked: &Asked<'_>, fault: Fault) -> Option<Reply> {
        let error = |status: u16, message: &str| {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Reply::Error(self.error(asked, status, message))
        };
        Some(match fault {
            Fault::TooManyRequests => Reply::Refusal(self.too_many(asked, "slow down", Some("0.05"))),
            Fault::TooManyRequestsBare => Reply::Refusal(self.too_many(asked, "slow down", None)),
            Fault::ServerError => error(500, "The server had an error while processing your request."),
            Fault::Unavailable => {
                let page = Body::from(self.with_key(asked, PAGE));
                Reply::Error((StatusCode::SERVICE_UNAVAILABLE, [(CONTENT_TYPE, "text/html")], page).into_response())
            }
            Fault::Overloaded => error(529, "Overloaded"),
            Fault::Timeout408 => error(408, "The request took too long."),
            Fault::Reset => Reply::Reset,
            Fault::WrongJson => Reply::Error("{\"choices\": [{\"message\": <html>".into_response()),
            Fault::NotACompletion => Reply::Error(axum::Json(serde_json::json!({"status": "ok"})).into_response()),
            _ => return None,
        })
    }

    /// Sends it off.
    pub(super) fn send(self: &Arc<Self>, reply: Reply, fault: Option<Fault>) -> Response {
        let (body, told) = match reply {
            Reply::Refusal(response) | Reply::Error(response) => return response,
            // Ends the connection's task without a word, as the default hook for panics would not.
            Reply::Reset => std::panic::resume_unwind(Box::new("the connection is reset on purpose")),
            Reply::Completion { body, told, .. } => (body, told),
        };
        let mut response = match fault {
            Some(Fault::TruncatedBody) => truncated(&body),
            Some(Fault::SlowBytes) => self.slow(body, told),
            _ => {
                self.count(told);
                body.into_response()
            }
        };
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    /// One byte at a time. It counts when the last one has left: who does not wait for it has no answer.
    fn slow(self: &Arc<Self>, body: String, told: Told) -> Response {
        let replay = Arc::clone(self);
        let mut told = Some(told);
        let mut rest = body.len();
        let drip = stream::iter(body.into_bytes()).then(async |byte| {
            tokio::time::sleep(DRIP).await;
            Bytes::from(vec![byte])
        });
        let counted = drip.map(move |byte| {
            rest -= 1;
            if let Some(told) = told.take_if(|_| rest == 0) {
                replay.count(told);
            }
            Ok::<_, Infallible>(byte)
        });
        Body::from_stream(counted).into_response()
    }
}

/// A body that ends in the middle of what its length promises.
fn truncated(body: &str) -> Response {
    let half = Bytes::copy_from_slice(body.as_bytes().split_at(body.len() / 2).0);
    let end = stream::once(async {
        tokio::time::sleep(LEAVE).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    let length = [(CONTENT_LENGTH, body.len().to_string())];
    (length, Body::from_stream(stream::iter([Ok(half)]).chain(end))).into_response()
}

/// The last thing the user said.
fn user_message<'a>(asked: &Asked<'a>) -> &'a str {
    let messages = asked.body.get("messages").and_then(|messages| messages.as_array());
    let mut said = messages
        .into_iter()
        .flatten()
        .rev()
        .filter(|message| message.get("role").and_then(|role| role.as_str()) == Some("user"));
    said.next().and_then(|message| message.get("content")).and_then(|content| content.as_str()).unwrap_or_default()
}
