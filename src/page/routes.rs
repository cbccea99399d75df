//! The page's addresses: what is asked for is read here, and handed to what computes it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, MatchedPath, Path, Query as Fields, Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::app::{App, Problem};
use super::decide::{NewCorrection, decide, no_text};
use super::guard::{Admitted, protect};
use super::query::Query;
use super::review::Wanted;
use super::search::Found;
use super::shapes::{About, Corrected, Correction, Detail, Estimates, Overview, Page, Review, ShownRow, StatusNow};
use super::shown::{LISTED, Logs, REVIEWED, blind, known, shown};
use super::{assets, audit, detail, estimates, metrics, openapi, overview, report, review, stream};

/// Bytes of a request's body, at most.
const BODY: usize = 64 << 10;
/// How long a request may take that is no stream.
const PATIENCE: Duration = Duration::from_secs(30);

type Shared = State<Arc<App>>;
type Answer<T> = Result<Json<T>, Problem>;

/// Whose label is taken back, after the question mark.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TakingBack {
    /// The text's: its position may have another text by now.
    pub(super) id: String,
    /// Hash of the text that was read.
    #[serde(default)]
    pub(super) text_hash: Option<String>,
    /// What is taken back; where somebody has given another label since, it stands.
    #[serde(default)]
    pub(super) label: Option<String>,
    /// Whoever takes it back.
    #[serde(default)]
    pub(super) who: Option<String>,
}

/// All addresses.
pub(super) fn router(app: &Arc<App>) -> Router {
    let quick = Router::new()
        .route("/", get(|headers: HeaderMap| async move { asset("index.html", &headers) }))
        .route(
            "/assets/{name}",
            get(|Path(name): Path<String>, headers: HeaderMap| async move { asset(&name, &headers) }),
        )
        .route("/healthz", get(|| async { Json(serde_json::json!({"ok": true})) }))
        .route("/metrics", get(tell_metrics))
        .route("/api/v1/openapi.json", get(|| async { Json(openapi::openapi()) }))
        .route("/api/v1/run", get(run))
        .route("/api/v1/status", get(status))
        .route("/api/v1/overview", get(overview_now))
        .route("/api/v1/labels", get(labels))
        .route("/api/v1/labels/{position}", get(one))
        .route("/api/v1/review", get(review_queue))
        .route("/api/v1/estimates", get(estimates_now))
        .route("/api/v1/corrections", post(correct))
        .route("/api/v1/corrections/{position}", delete(take_back))
        .merge(audit::routes())
        .layer(axum::middleware::from_fn(in_time));
    let streams = Router::new().route("/api/v1/stream", get(stream::changes)).route("/labels", get(stream::labels));
    // It takes as long as it takes to read the logs.
    let slow = Router::new()
        .route("/report", get(report::report))
        .route("/audit/certificate", get(audit::certificate))
        .merge(audit::acts());
    quick
        .merge(streams)
        .merge(slow)
        .fallback(|| async { Problem::nothing("there is nothing at this address: begin at /") })
        .method_not_allowed_fallback(|| async {
            Problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "this address takes another method: see /api/v1/openapi.json".to_owned(),
            )
        })
        .layer(DefaultBodyLimit::max(BODY))
        .layer(from_fn_with_state(Arc::clone(app), guarded))
        .with_state(Arc::clone(app))
}

/// Lets in who may ask, counts, and sends every answer with the same policy.
async fn guarded(State(app): Shared, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", |path| path.as_str()).to_owned();
    let is_open = request.uri().path() == "/healthz";
    let accepts = request.headers().get(header::ACCEPT).and_then(|accepts| accepts.to_str().ok());
    let wants_page = accepts.is_some_and(|accepts| accepts.contains("text/html"));
    let (parts, body) = request.into_parts();
    let mut response = match app.guard.admit(&parts, is_open) {
        Ok(Admitted::Yes) => next.run(Request::from_parts(parts, body)).await,
        Ok(Admitted::Keep { cookie, to }) => redirect(&cookie, &to),
        // Somebody who reads, or a program.
        Err(refused) if wants_page => (refused.0, refused.1.to_owned()).into_response(),
        Err(refused) => Problem(refused.0, refused.1.to_owned()).into_response(),
    };
    app.requests.count(&route, response.status().as_u16());
    protect(response.headers_mut());
    response
}

fn redirect(cookie: &str, to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    for (name, value) in [(header::SET_COOKIE, cookie), (header::LOCATION, to)] {
        response.headers_mut().extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
    }
    response
}

async fn in_time(request: Request, next: Next) -> Response {
    let late =
        || Problem(StatusCode::SERVICE_UNAVAILABLE, "this took too long: ask for less, or again later".to_owned());
    tokio::time::timeout(PATIENCE, next.run(request)).await.unwrap_or_else(|_| late().into_response())
}

fn asset(name: &str, headers: &HeaderMap) -> Response {
    assets::asset(name, headers).map_or_else(
        || Problem::nothing(format!("the page has no file {name:?}: reload it")).into_response(),
        IntoResponse::into_response,
    )
}

/// A name or a note, where there is one.
pub(super) fn named(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

/// What follows the question mark.
pub(super) fn fields<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let wrong = |said: String| {
        let why = said.strip_prefix("Failed to deserialize query string: ").unwrap_or(&said);
        Problem::wrong(format!("what follows the question mark cannot be used: {why}"))
    };
    let Fields(fields) = Fields::try_from_uri(uri).map_err(|rejection| wrong(rejection.body_text()))?;
    Ok(fields)
}

async fn tell_metrics(State(app): Shared) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::metrics(&app))
}

async fn run(State(app): Shared) -> Json<About> {
    Json(overview::about(&app.shared, &app.descriptions, app.desk.is_open()))
}

async fn status(State(app): Shared) -> Json<StatusNow> {
    Json(StatusNow::clone(&app.shared.pulse().status))
}

async fn overview_now(State(app): Shared) -> Answer<Overview> {
    app.compute(|app| overview::overview(&app.shared)).await.map(Json)
}

async fn labels(State(app): Shared, uri: Uri) -> Answer<Page> {
    let mut query: Query = fields(&uri)?;
    query.check().map_err(Problem::wrong)?;
    Ok(Json(app.compute(move |app| page(app, &query)).await?))
}

/// Texts that contain what is searched for, if something is; the table is not held meanwhile.
fn found(app: &App, query: &Query) -> Option<Found> {
    let needle = query.contains.as_ref()?;
    let (inputs, end) = app.shared.table().inputs.clone()?;
    app.searches.find(&inputs, end, needle)
}

fn page(app: &App, query: &Query) -> Page {
    let found = found(app, query);
    let table = app.shared.table();
    let order = app.orders.get(&table, query, found.as_ref().map(|found| &found.bits));
    let (version, logs) = (table.version, Logs::of(&table));
    let page: Vec<_> = query.page(&order).iter().filter_map(|&position| known(&table, position)).collect();
    let searched = found.as_ref().map(|found| table.arrived_before(found.until));
    // What arrived since it was searched will be found the next time.
    let partial = found.as_ref().is_some_and(|found| found.is_partial);
    drop(table);
    let rows: Vec<ShownRow> = page.iter().map(|known| blind(shown(known, &logs, LISTED))).collect();
    Page { total: order.len() as u64, version, partial, searched, rows }
}

async fn one(State(app): Shared, Path(position): Path<String>) -> Answer<Detail> {
    let none = || Problem::nothing(format!("there is no text at position {position}: the list has those there are"));
    let place: u32 = position.parse().map_err(|_| none())?;
    let found = app.compute(move |app| detail::detail(&app.shared, place, &app.desk)).await?;
    found.map(Json).ok_or_else(none)
}

async fn review_queue(State(app): Shared, uri: Uri) -> Answer<Review> {
    let wanted: Wanted = fields(&uri)?;
    app.compute(move |app| {
        let table = app.shared.table();
        let queue = review::queue(&table, &wanted).map_err(Problem::wrong)?;
        let expected = estimates::expected(&table, app.shared.calibration_doubt());
        let logs = Logs::of(&table);
        let page: Vec<_> = wanted.page(&queue).iter().filter_map(|&position| known(&table, position)).collect();
        drop(table);
        let rows = page.iter().map(|known| shown(known, &logs, REVIEWED)).collect();
        Ok(Json(Review { remaining: queue.len() as u64, expected, rows }))
    })
    .await?
}

async fn estimates_now(State(app): Shared, uri: Uri) -> Answer<Estimates> {
    let found: estimates::Found = fields(&uri)?;
    app.compute(move |app| estimates::estimates(&app.shared, found)).await?.map(Json).map_err(Problem::wrong)
}

/// That nobody gives labels here, where it is so.
pub(super) fn open(app: &App) -> Result<(), Problem> {
    let none = "labels cannot be given here: this page only shows the run";
    if app.desk.is_open() { Ok(()) } else { Err(Problem(StatusCode::NOT_IMPLEMENTED, none.to_owned())) }
}

async fn correct(State(app): Shared, sent: Result<Json<Correction>, JsonRejection>) -> Answer<Corrected> {
    open(&app)?;
    let Json(Correction { position, id, text_hash, label, who, note }) =
        sent.map_err(|rejection| Problem(rejection.status(), rejection.body_text()))?;
    let place = u32::try_from(position).map_err(|_| no_text())?;
    let (who, note) = (named(who), named(note));
    let new = NewCorrection { id, text_hash, label: Some(label.clone()), was: None, who, note };
    app.compute(move |app| decide(app, place, new)).await??;
    Ok(Json(Corrected { position, label: Some(label) }))
}

async fn take_back(State(app): Shared, Path(position): Path<String>, uri: Uri) -> Answer<Corrected> {
    open(&app)?;
    let TakingBack { id, text_hash, label, who } = fields(&uri)?;
    let place: u32 = position.parse().map_err(|_| no_text())?;
    let new = NewCorrection { id, text_hash, label: None, was: label, who: named(who), note: None };
    app.compute(move |app| decide(app, place, new)).await??;
    Ok(Json(Corrected { position: place.into(), label: None }))
}
