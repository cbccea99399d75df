//! The server itself; the integration tests use it too.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Recorded labels by teacher and text.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    by_teacher: HashMap<String, HashMap<String, Vec<String>>>,
    merged: HashMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct CorpusLine {
    id: String,
    text: String,
}

#[derive(Deserialize)]
struct RecordedLine {
    id: String,
    #[serde(default)]
    teacher: String,
    labels: Vec<String>,
}

fn read_lines<T: for<'a> Deserialize<'a>>(path: &Path) -> anyhow::Result<Vec<T>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("in {}", path.display()))).collect()
}

impl Answers {
    /// Reads the texts and what was recorded about them.
    pub(crate) fn read(corpus: &Path, recordings: &[PathBuf]) -> anyhow::Result<Self> {
        let texts: HashMap<String, String> =
            read_lines::<CorpusLine>(corpus)?.into_iter().map(|line| (line.id, line.text)).collect();
        let mut answers = Self::default();
        for path in recordings {
            for line in read_lines::<RecordedLine>(path)? {
                let Some(text) = texts.get(&line.id) else { continue };
                let merged = answers.merged.entry(text.clone()).or_default();
                for label in &line.labels {
                    if !merged.contains(label) {
                        merged.push(label.clone());
                    }
                }
                answers.by_teacher.entry(line.teacher).or_default().insert(text.clone(), line.labels);
            }
        }
        Ok(answers)
    }

    fn labels(&self, model: &str, text: &str) -> Option<&Vec<String>> {
        self.by_teacher.get(model).unwrap_or(&self.merged).get(text)
    }
}

/// How the server behaves besides answering.
#[derive(Debug, Default)]
pub(crate) struct Behaviour {
    /// Until an answer comes.
    pub(crate) latency: Duration,
    /// So many requests are refused first, with 429 and `Retry-After: 1`.
    pub(crate) refuse_first: u64,
    /// So many requests are answered first with a page that is no chat completion.
    pub(crate) garble_first: u64,
    /// Texts with this in them are refused with 413.
    pub(crate) refuse_texts_with: Option<String>,
    /// Requests need this key.
    pub(crate) key: Option<String>,
}

/// What the server counted.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Stats {
    /// Requests that were answered.
    pub(crate) requests: u64,
    /// Of those, requests that had been answered before.
    pub(crate) repeated: u64,
    /// Requests in flight at the same time, at most.
    pub(crate) most_in_flight: u64,
}

/// A server's state.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    answers: Answers,
    behaviour: Behaviour,
    seen: Mutex<HashMap<(String, String), u64>>,
    received: AtomicU64,
    in_flight: AtomicU64,
    most_in_flight: AtomicU64,
}

impl Replay {
    /// Answers from `answers`.
    pub(crate) fn new(answers: Answers, behaviour: Behaviour) -> Arc<Self> {
        Arc::new(Self { answers, behaviour, ..Self::default() })
    }

    /// What was counted so far.
    pub(crate) fn stats(&self) -> Stats {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let requests: u64 = seen.values().sum();
        Stats {
            requests,
            repeated: requests - seen.len() as u64,
            most_in_flight: self.most_in_flight.load(Ordering::Relaxed),
        }
    }
}

/// Serves until the task is dropped.
pub(crate) async fn serve(listener: tokio::net::TcpListener, replay: Arc<Replay>) -> anyhow::Result<()> {
    let app = Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/stats", get(async |State(replay): State<Arc<Replay>>| Json(replay.stats())))
        .with_state(replay);
    Ok(axum::serve(listener, app).await?)
}

async fn complete(State(replay): State<Arc<Replay>>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    if let Some(key) = &replay.behaviour.key
        && headers.get("authorization").and_then(|value| value.to_str().ok()) != Some(&format!("Bearer {key}"))
    {
        return (StatusCode::UNAUTHORIZED, Json(json!({"error": {"message": "wrong API key"}}))).into_response();
    }
    let number = replay.received.fetch_add(1, Ordering::Relaxed);
    if number < replay.behaviour.garble_first {
        return "<html>It works!</html>".into_response();
    }
    if number < replay.behaviour.refuse_first {
        let body = json!({"error": {"message": "slow down"}});
        return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")], Json(body)).into_response();
    }
    let in_flight = replay.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
    replay.most_in_flight.fetch_max(in_flight, Ordering::Relaxed);
    tokio::time::sleep(replay.behaviour.latency).await;
    replay.in_flight.fetch_sub(1, Ordering::Relaxed);
    answer(&replay, &request)
}

fn answer(replay: &Replay, request: &Value) -> Response {
    let model = request.pointer("/model").and_then(Value::as_str).unwrap_or_default();
    let text = request.pointer("/messages/1/content").and_then(Value::as_str).unwrap_or_default();
    if replay.behaviour.refuse_texts_with.as_ref().is_some_and(|part| text.contains(part)) {
        let body = json!({"error": {"message": "the text is too long"}});
        return (StatusCode::PAYLOAD_TOO_LARGE, Json(body)).into_response();
    }
    let Some(labels) = replay.answers.labels(model, text) else {
        let body = json!({"error": {"message": format!("no recorded answer to {text:?}")}});
        return (StatusCode::NOT_FOUND, Json(body)).into_response();
    };
    *replay
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry((model.to_owned(), text.to_owned()))
        .or_default() += 1;
    let content = serde_json::to_string(labels).unwrap_or_default();
    Json(json!({
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}],
        "usage": {"prompt_tokens": text.len() / 4, "completion_tokens": content.len() / 4},
    }))
    .into_response()
}
