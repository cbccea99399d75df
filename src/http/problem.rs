//! How a server says what went wrong.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// What was wrong with a request, or the server.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Fault {
    /// A sentence that says what to do.
    pub(crate) error: String,
}

/// Why a request has no answer: a status, and a sentence that says what to do.
#[derive(Debug)]
pub(crate) struct Problem(pub(crate) StatusCode, pub(crate) String);

impl Problem {
    /// What was asked for cannot be.
    pub(crate) fn wrong(why: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, why.into())
    }

    /// There is nothing of this name.
    pub(crate) fn nothing(what: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, what.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, Json(Fault { error: self.1 })).into_response()
    }
}
