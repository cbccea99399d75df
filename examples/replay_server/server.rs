//! The server itself; the integration tests use it too.

// Paths, since the tests include this file from elsewhere.
#[path = "answers.rs"]
mod answers;
#[path = "completion.rs"]
mod completion;
#[path = "faults.rs"]
mod faults;
#[path = "limits.rs"]
mod limits;
#[path = "refusals.rs"]
mod refusals;
#[path = "reply.rs"]
mod reply;
#[path = "stats.rs"]
mod stats;
#[path = "traffic.rs"]
mod traffic;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde_json::Value;

pub(crate) use self::answers::Answers;
use self::faults::Chance;
pub(crate) use self::faults::{Fault, Faults, Storm};
pub(crate) use self::limits::HeaderStyle;
use self::refusals::Asked;
use self::reply::Reply;
pub(crate) use self::stats::Stats;
use self::stats::{Counted, InFlight};
use self::traffic::Traffic;

/// How the server behaves besides answering; by default not at all. What comes first here is done first.
#[derive(Debug, Default)]
pub(crate) struct Behaviour {
    /// Every request is sent there, with 307.
    pub(crate) redirect_to: Option<String>,
    /// Requests need this key.
    pub(crate) key: Option<String>,
    /// After so many requests no key is taken any more.
    pub(crate) revoke_after: Option<u64>,
    /// So many requests are answered first with a page that is no chat completion.
    pub(crate) garble_first: u64,
    /// So many requests are refused first, with 429 and `Retry-After: 1`.
    pub(crate) refuse_first: u64,
    /// A time in which everything is refused with 429.
    pub(crate) storm: Option<Storm>,
    /// Requests with one of these top-level keys are refused with 400.
    pub(crate) unsupported: Vec<String>,
    /// Requests for a JSON schema are refused with this status: an error that says so, or a mere page from 500 on.
    pub(crate) no_schema: Option<u16>,
    /// Requests for a JSON object are, likewise.
    pub(crate) no_json_object: Option<u16>,
    /// Texts with this in them are refused with 413.
    pub(crate) refuse_texts_with: Option<String>,
    /// Texts with this in them get 500, every time.
    pub(crate) fail_texts_with: Option<String>,
    /// Some of the requests for which there is an answer go wrong.
    pub(crate) faults: Faults,
    /// Requests and tokens of a sliding minute. What is over is refused with 429, and does not count for the minute.
    pub(crate) quota_per_minute: Option<(u32, u32)>,
    /// Every reply has this provider's headers about the quota, or about a generous one if there is none.
    pub(crate) headers: Option<HeaderStyle>,
    /// Until an answer comes; refusals come at once.
    pub(crate) latency: Duration,
    /// Up to so much longer, evenly spread over the requests.
    pub(crate) latency_spread: Duration,
    /// Tokens of a completion, from and to, evenly spread; a quarter of its length if none. Never more than the request
    /// allows.
    pub(crate) tokens: Option<(u64, u64)>,
    /// The usage tells a cost: a millionth of a dollar for a token.
    pub(crate) report_cost: bool,
    /// The usage tells that half of the prompt's tokens were cached.
    pub(crate) cached: bool,
    /// Errors repeat the Authorization header in their message.
    pub(crate) echo_key: bool,
}

/// A server's state.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    answers: Answers,
    behaviour: Behaviour,
    traffic: Traffic,
    counted: Mutex<Counted>,
    storm_started: OnceLock<Instant>,
    received: AtomicU64,
    refused: AtomicU64,
    faults: AtomicU64,
    in_flight: InFlight,
}

impl Replay {
    /// Answers from `answers`.
    pub(crate) fn new(answers: Answers, behaviour: Behaviour) -> Arc<Self> {
        let traffic = Traffic::new(behaviour.quota_per_minute);
        Arc::new(Self { answers, behaviour, traffic, ..Self::default() })
    }
}

/// Serves until the task is dropped.
pub(crate) async fn serve(listener: tokio::net::TcpListener, replay: Arc<Replay>) -> anyhow::Result<()> {
    let app =
        Router::new().route("/v1/chat/completions", post(complete)).route("/stats", get(stats)).with_state(replay);
    // Slow answers are to be slow by themselves only.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, app).await?)
}

async fn stats(State(replay): State<Arc<Replay>>) -> Json<Stats> {
    Json(replay.stats())
}

async fn complete(State(replay): State<Arc<Replay>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let behaviour = &replay.behaviour;
    let number = replay.received.fetch_add(1, Ordering::Relaxed);
    let chance = Chance::of(behaviour.faults.seed, number);
    let asked = Asked { number, headers: &headers, body: &body };
    let (mut reply, mut fault): (Reply, Option<Fault>) = match replay.refusal(&asked) {
        Some(response) => (Reply::Refusal(response), None),
        None => replay.reply(&asked, &chance),
    };
    let standing = replay.traffic.arrive(reply.taken());
    if let Some(wait) = standing.wait {
        let message = format!("Rate limit reached. Please try again in {}.", limits::span(wait));
        (reply, fault) = (Reply::Refusal(replay.too_many(&asked, &message, None)), None);
    }
    replay.faults.fetch_add(u64::from(fault.is_some()), Ordering::Relaxed);
    if !matches!(reply, Reply::Refusal(_)) {
        let _guard = replay.in_flight.enter();
        let latency = behaviour.latency + chance.delay(behaviour.latency_spread);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
    }
    let mut response = replay.send(reply, fault);
    if let Some(style) = behaviour.headers {
        style.write(&standing, response.headers_mut());
    }
    response
}
