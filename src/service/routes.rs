//! The service's addresses: a request is read, its texts wait for the student, and what it says of them is written as `candist
//! predict` writes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::header::{self, HeaderMap};
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::body::{self, Bodies, Unread};
use super::metrics::Metrics;
use super::openapi::openapi;
use super::queue::{Queue, Unsaid};
use super::request::{Row, json, lines, probability};
use crate::http::Problem;
use crate::http::guard::{Admitted, Guard, protect};
use crate::student::{Prediction, Rows};

/// Where predictions are asked for.
pub(super) const PREDICT: &str = "/v1/predict";
const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// What the routes share.
#[derive(Debug)]
pub(super) struct App {
    pub(super) guard: Guard,
    pub(super) queue: Arc<Queue>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) bodies: Bodies,
    /// The labels' names.
    pub(super) labels: Vec<String>,
    /// How sure the student is to be where a request does not say.
    pub(super) min_confidence: f64,
    /// Whether the student's thread ended.
    pub(super) is_broken: AtomicBool,
}

type Shared = State<Arc<App>>;

/// In which form texts come and predictions go.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    /// One object.
    Json,
    /// An object a line.
    Lines,
}

/// What may follow the question mark.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    min_confidence: Option<f64>,
}

/// A row of an answer.
#[derive(Serialize)]
#[serde(untagged)]
enum Answered<'a> {
    Said(Prediction<'a>),
    /// What would be a label is null.
    Unsaid {
        id: Option<&'a str>,
        label: (),
        confidence: (),
        error: &'a str,
    },
}

/// All addresses.
pub(super) fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route(PREDICT, post(predict))
        .route("/v1/openapi.json", get(|| async { Json(openapi()) }))
        .route("/healthz", get(health))
        .route("/metrics", get(tell_metrics))
        .fallback(|| async { Problem::nothing("there is nothing at this address: post texts to /v1/predict") })
        .method_not_allowed_fallback(|| async {
            let other = "this address takes another method: see /v1/openapi.json".to_owned();
            Problem(StatusCode::METHOD_NOT_ALLOWED, other)
        })
        .layer(from_fn_with_state(Arc::clone(app), guarded))
        .with_state(Arc::clone(app))
}

/// Counts a request whose client goes away before it is answered.
struct Awaited<'a> {
    metrics: &'a Metrics,
    is_answered: bool,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.metrics.abandon();
        }
    }
}

/// Lets in who may ask, counts, and sends every answer with the same policy.
async fn guarded(State(app): Shared, request: Request, next: Next) -> Response {
    let (begin, method) = (Instant::now(), request.method().clone());
    let route = request.extensions().get::<MatchedPath>().map_or("none", |path| path.as_str()).to_owned();
    let is_open = request.uri().path() == "/healthz";
    let mut awaited = Awaited { metrics: &app.metrics, is_answered: false };
    let (parts, body) = request.into_parts();
    let mut response = match app.guard.admit(&parts, is_open) {
        // There is nothing for a browser to keep a token for.
        Ok(Admitted::Yes | Admitted::Keep { .. }) => next.run(Request::from_parts(parts, body)).await,
        Err(refused) => Problem(refused.0, refused.1.to_owned()).into_response(),
    };
    awaited.is_answered = true;
    let (status, took) = (response.status().as_u16(), begin.elapsed());
    app.metrics.answered(&route, status, (route == PREDICT).then_some(took));
    tracing::debug!("{method} {route} {status} {:.1} ms", took.as_secs_f64() * 1e3);
    protect(response.headers_mut());
    response
}

async fn health(State(app): Shared) -> Response {
    if app.is_broken.load(Ordering::Relaxed) {
        gone().into_response()
    } else {
        Json(serde_json::json!({"ok": true})).into_response()
    }
}

async fn tell_metrics(State(app): Shared) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.tell(&app.queue))
}

async fn predict(State(app): Shared, uri: Uri, headers: HeaderMap, body: Body) -> Result<Response, Response> {
    let form = form(&headers).map_err(IntoResponse::into_response)?;
    let Query(options) = Query::<Options>::try_from_uri(&uri)
        .map_err(|rejection| Problem::wrong(rejection.body_text()).into_response())?;
    let arriving = app.queue.arrive();
    let body = app.bodies.read(&headers, body).await.map_err(|why| unread(&app, why))?;
    let (rows, least) = read(form, body.bytes).await.map_err(IntoResponse::into_response)?;
    let least = least.or(options.min_confidence).unwrap_or(app.min_confidence);
    let least = probability(least).map_err(|why| Problem::wrong(why).into_response())?;
    let (texts, rows) = apart(rows);
    if texts.len() > app.queue.most() || rows.len() > super::serve::MOST_TEXTS {
        return Err(too_many(&app).into_response());
    }
    let room = app.queue.room(texts.len()).ok_or_else(|| busy(&app, "as many texts wait as may"))?;
    let asked = app.queue.ask(texts, room);
    drop(arriving);
    let said = asked.await.map_err(|why| unsaid(&app, why).into_response())?;
    let written = write(form, &rows, &said, &app.labels, least).map_err(|error| failed(error).into_response())?;
    // Until here: it has the texts.
    drop(body.room);
    Ok(([(header::CONTENT_TYPE, if form == Form::Json { JSON } else { LINES })], written).into_response())
}

/// The form that the headers name.
fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let unfit = |why: String| Err(Problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    let packed = text(header::CONTENT_ENCODING);
    if !["", "identity"].contains(&packed) {
        return unfit(format!("bodies are read as they are, and this one is {packed}: send it unpacked"));
    }
    let kind = text(header::CONTENT_TYPE);
    match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        JSON => Ok(Form::Json),
        LINES | "application/ndjson" | "application/jsonl" => Ok(Form::Lines),
        _ => unfit(format!("the Content-Type is {kind:?}: it has to be {JSON}, or {LINES} for an object a line")),
    }
}

/// Reads a request; a long one beside the server's own threads.
async fn read(form: Form, body: Vec<u8>) -> Result<(Vec<Row>, Option<f64>), Problem> {
    const LONG: usize = 64 << 10;
    let is_long = body.len() > LONG;
    let read = move || match form {
        Form::Json => json(&body),
        Form::Lines => lines(&body).map(|rows| (rows, None)),
    };
    let read = if is_long { tokio::task::spawn_blocking(read).await.map_err(failed)? } else { read() };
    read.map_err(|why| Problem::wrong(format!("the body is not as it should be: {why}")))
}

/// A row that is answered: its id, and why it has no text where it has none.
type Due = (Option<String>, Option<&'static str>);

/// The texts to label, and the rows that are answered.
fn apart(rows: Vec<Row>) -> (Vec<String>, Vec<Due>) {
    let mut texts = Vec::new();
    let rows = rows.into_iter().map(|row| match row.text {
        Ok(text) => {
            texts.push(text);
            (row.id, None)
        }
        Err(why) => (row.id, Some(why)),
    });
    let rows = rows.collect();
    (texts, rows)
}

/// The answer: a row for each that was asked about.
fn write(form: Form, rows: &[Due], said: &[Rows], labels: &[String], least: f64) -> serde_json::Result<Vec<u8>> {
    let mut said = said.iter().flat_map(Rows::iter);
    let (open, between, close): (&[u8], &[u8], &[u8]) = match form {
        Form::Json => (b"{\"predictions\":[", b",", b"]}\n"),
        Form::Lines => (b"", b"\n", if rows.is_empty() { b"" } else { b"\n" }),
    };
    let mut written = open.to_vec();
    for (place, (id, error)) in rows.iter().enumerate() {
        if place > 0 {
            written.extend_from_slice(between);
        }
        let answered = match error {
            Some(error) => Answered::Unsaid { id: id.as_deref(), label: (), confidence: (), error },
            None => {
                let p = said.next().unwrap_or_default();
                Answered::Said(Prediction::new(id.as_deref().unwrap_or_default(), p, labels, least))
            }
        };
        serde_json::to_writer(&mut written, &answered)?;
    }
    written.extend_from_slice(close);
    Ok(written)
}

fn unread(app: &App, why: Unread) -> Response {
    match why {
        Unread::TooLong => {
            let most = body::MOST >> 20;
            let why = format!("the body is longer than {most} MiB: send its texts in several requests");
            Problem(StatusCode::PAYLOAD_TOO_LARGE, why).into_response()
        }
        Unread::NoRoom => busy(app, "as much waits as there is memory for"),
        Unread::Late => {
            Problem(StatusCode::REQUEST_TIMEOUT, "the body took too long to come".to_owned()).into_response()
        }
        Unread::Broken(why) => Problem::wrong(format!("the body broke off: {why}")).into_response(),
    }
}

/// That there is no room now, and when there may be.
fn busy(app: &App, why: &str) -> Response {
    let seconds = app.metrics.seconds_for(app.queue.waiting());
    let problem = Problem(StatusCode::TOO_MANY_REQUESTS, format!("{why}: come again in {seconds} s"));
    ([(header::RETRY_AFTER, seconds.to_string())], problem).into_response()
}

fn too_many(app: &App) -> Problem {
    let most = app.queue.most();
    let why = format!("these are more than {most} texts, which is as many as may wait: send them in several requests");
    Problem(StatusCode::PAYLOAD_TOO_LARGE, why)
}

fn unsaid(app: &App, why: Unsaid) -> Problem {
    match why {
        Unsaid::Failed(why) => Problem(StatusCode::INTERNAL_SERVER_ERROR, why),
        Unsaid::Gone => {
            app.is_broken.store(true, Ordering::Relaxed);
            gone()
        }
    }
}

fn gone() -> Problem {
    Problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "the student is gone: start the service again; its log says why".to_owned(),
    )
}

fn failed(error: impl std::fmt::Display) -> Problem {
    Problem(StatusCode::INTERNAL_SERVER_ERROR, format!("the server failed at this: {error}"))
}
