//! Requests that are refused before anything is looked up, and the form of errors.

use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::Json;
use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Replay;

/// A request as far as refusals depend on it.
pub(super) struct Asked<'a> {
    pub(super) number: u64,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a Value,
}

impl Asked<'_> {
    fn key(&self) -> Option<&str> {
        self.headers.get("authorization").and_then(|value| value.to_str().ok())
    }

    /// A parameter of the request.
    pub(super) fn parameter(&self, pointer: &str) -> Option<&str> {
        self.body.pointer(pointer).and_then(Value::as_str)
    }
}

impl Replay {
    /// The refusal of a request that gets no answer because of how the server is set up.
    pub(super) fn refusal(&self, asked: &Asked<'_>) -> Option<Response> {
        let behaviour = &self.behaviour;
        if let Some(url) = &behaviour.redirect_to {
            return Some((StatusCode::TEMPORARY_REDIRECT, [(LOCATION, url.clone())]).into_response());
        }
        if let Some(key) = &behaviour.key
            && asked.key() != Some(&format!("Bearer {key}"))
        {
            return Some(self.error(asked, StatusCode::UNAUTHORIZED, "wrong API key"));
        }
        if behaviour.revoke_after.is_some_and(|after| asked.number >= after) {
            return Some(self.error(asked, StatusCode::UNAUTHORIZED, "the API key was revoked"));
        }
        if asked.number < behaviour.garble_first {
            return Some("<html>It works!</html>".into_response());
        }
        if asked.number < behaviour.refuse_first {
            return Some(self.too_many(asked, "slow down", Some("1")));
        }
        self.stormy(asked).or_else(|| self.unsupported(asked)).or_else(|| self.wrong_form(asked))
    }

    fn stormy(&self, asked: &Asked<'_>) -> Option<Response> {
        let storm = self.behaviour.storm.as_ref().filter(|storm| asked.number >= storm.after)?;
        let started = self.storm_started.get_or_init(Instant::now);
        let storming = started.elapsed() < storm.length;
        storming.then(|| self.too_many(asked, "everyone slow down", storm.retry_after.as_deref()))
    }

    fn unsupported(&self, asked: &Asked<'_>) -> Option<Response> {
        let name = self.behaviour.unsupported.iter().find(|name| asked.body.get(name.as_str()).is_some())?;
        let instead = match name.as_str() {
            "max_tokens" => " Use 'max_completion_tokens' instead.",
            "max_completion_tokens" => " Use 'max_tokens' instead.",
            _ => "",
        };
        let message = format!("Unsupported parameter: '{name}' is not supported with this model.{instead}");
        let more = json!({"type": "invalid_request_error", "param": name, "code": "unsupported_parameter"});
        Some(self.error_with(asked, StatusCode::BAD_REQUEST, &message, more))
    }

    fn wrong_form(&self, asked: &Asked<'_>) -> Option<Response> {
        let form = asked.parameter("/response_format/type")?;
        let status = match form {
            "json_schema" => self.behaviour.no_schema?,
            "json_object" => self.behaviour.no_json_object?,
            _ => return None,
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        if status.is_server_error() {
            // Servers that fall over it do not say what over.
            let message = self.with_key(asked, "Internal Server Error");
            return Some((status, message).into_response());
        }
        let message = format!("response_format {form} is not supported");
        Some(self.error_with(asked, status, &message, json!({"param": "response_format"})))
    }

    /// 429, counted.
    pub(super) fn too_many(&self, asked: &Asked<'_>, message: &str, retry_after: Option<&str>) -> Response {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let more = json!({"type": "requests", "param": null, "code": "rate_limit_exceeded"});
        let mut response = self.error_with(asked, StatusCode::TOO_MANY_REQUESTS, message, more);
        if let Some(value) = retry_after.and_then(|value| value.parse().ok()) {
            response.headers_mut().insert(RETRY_AFTER, value);
        }
        response
    }

    /// An error with nothing but a message.
    pub(super) fn error(&self, asked: &Asked<'_>, status: StatusCode, message: &str) -> Response {
        self.error_with(asked, status, message, json!({}))
    }

    fn error_with(&self, asked: &Asked<'_>, status: StatusCode, message: &str, mut error: Value) -> Response {
        if let Some(fields) = error.as_object_mut() {
            fields.insert("message".to_owned(), self.with_key(asked, message).into());
        }
        (status, Json(json!({"error": error}))).into_response()
    }

    /// The message, with the key in it if that is asked for.
    pub(super) fn with_key(&self, asked: &Asked<'_>, message: &str) -> String {
        match asked.key().filter(|_| self.behaviour.echo_key) {
            Some(key) => format!("{message} (Authorization: {key})"),
            None => message.to_owned(),
        }
    }
}
