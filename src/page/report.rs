//! The report of the run at an address: the file that `candist report` writes, without gold labels.

use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::response::{Html, IntoResponse, Response};

use super::app::{App, Problem};
use crate::error::{Result, with_causes};
use crate::readers::report::{ReportOptions, report_while};
use crate::store::RunDir;

/// Its styles are part of it; everything else is forbidden, as the page's policy has it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// Makes the report, one at a time. A server that ends waits for none.
pub(super) async fn report(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let failed = |why: String| Problem(StatusCode::INTERNAL_SERVER_ERROR, why);
    let turn = Arc::clone(&app.reports).acquire_owned().await.map_err(|_| failed("the server ends".to_owned()))?;
    let shared = Arc::clone(&app);
    let made = tokio::task::spawn_blocking(move || {
        // The work's, not the request's: it goes on when whoever asked has gone.
        let _turn = turn;
        make(&shared.shared.dir, &|| *shared.stop.borrow())
    })
    .await;
    let html = made
        .map_err(|_| failed("the server failed at this: its log says why".to_owned()))?
        .map_err(|error| failed(with_causes(&error)))?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok((headers, Html(html)).into_response())
}

fn make(dir: &Path, is_over: &dyn Fn() -> bool) -> Result<String> {
    report_while(&RunDir::view(dir)?, &ReportOptions::default(), is_over)
}
