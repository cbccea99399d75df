//! The routes of the audit: a sample is drawn, its texts are given out without what the run says of them, what people say is kept
//! before it is acknowledged, and what follows is told, and certified.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::app::{App, Problem};
use super::audit_shapes::{AuditNow, AuditQueue, NewAuditLabel, NewDraw, NewEnd, NewTaking, Taken, ToAudit};
use super::choices::choices;
use super::decide::no_text;
use super::query::number;
use super::routes::{TakingBack, fields, named, open};
use super::shapes::{Corrected, ShownRow};
use super::shown::{Logs, REVIEWED, known, shown};
use crate::audit::{MOST, correct_audited, draw_audit, draw_more, end_audit, label_audited};
use crate::domain::label::LabelSet;
use crate::error::{Error, with_causes};
use crate::flow::correct::NewCorrection;
use crate::readers::audit::AuditOptions;
use crate::readers::certified::certificate_of;
use crate::store::{DrawnAudit, RunDir, RunView};

type Shared = State<Arc<App>>;
type Answer<T> = Result<Json<T>, Problem>;
type Sent<T> = Result<Json<T>, JsonRejection>;

/// Texts that are given out at once, at most.
const MOST_ROWS: usize = 200;

/// Addresses that answer soon.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/audit", get(now))
        .route("/api/v1/audit/next", get(next))
        .route("/api/v1/audit/texts/{position}", get(text))
        .route("/api/v1/audit/labels", post(label))
        .route("/api/v1/audit/labels/{position}", delete(take_back))
}

/// Addresses of what is done with the audit as a whole, which may take as long as it takes to read the logs: whoever was told that it took too
/// long would not know whether it is done.
pub(super) fn acts() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/audit/draw", post(draw))
        .route("/api/v1/audit/more", post(more))
        .route("/api/v1/audit/end", post(end))
        .route("/api/v1/audit/corrections", post(take))
}

/// What is asked of an audit.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    #[serde(deserialize_with = "number")]
    epsilon: Option<f64>,
    #[serde(deserialize_with = "number")]
    delta: Option<f64>,
    /// 1: figures of an audit that is not labelled to its end, too.
    figures: u8,
}

/// Which texts are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    /// Texts that are passed over.
    offset: usize,
    limit: Option<usize>,
}

fn options(epsilon: Option<f64>, delta: Option<f64>) -> Result<AuditOptions, Problem> {
    if [epsilon, delta].into_iter().flatten().any(|share| !(share > 0.0 && share < 1.0)) {
        return Err(Problem::wrong("give epsilon and delta as shares between 0 and 1, as 0.05"));
    }
    Ok(AuditOptions { epsilon, delta, coverage: None })
}

/// What cannot be as things are is the client's to mend, all else the server's.
fn problem(error: &Error) -> Problem {
    let status = match error {
        Error::Unfit { .. } => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Problem(status, with_causes(error))
}

fn sent<T>(sent: Sent<T>) -> Result<T, Problem> {
    sent.map(|Json(sent)| sent).map_err(|rejection| Problem(rejection.status(), rejection.body_text()))
}

/// Does what changes the audit, beside the server's threads, and says how far it is then.
async fn change<T: Send + 'static>(
    app: &Arc<App>,
    work: impl FnOnce(&RunView) -> crate::Result<T> + Send + 'static,
) -> Result<T, Problem> {
    open(app)?;
    app.compute(move |app| RunDir::view(&app.shared.dir).and_then(|view| work(&view)))
        .await?
        .map_err(|error| problem(&error))
}

/// The audit as it is, for `asked`, after something was done with it as a whole.
async fn told(app: &Arc<App>, asked: AuditOptions) -> Answer<AuditNow> {
    let told = app.compute(move |app| {
        app.shared.sample(app.open_audit()?.as_ref());
        app.auditing.now(&app.shared, &app.desk, &asked, false)
    });
    told.await?.map(Json).map_err(|error| problem(&error))
}

async fn now(State(app): Shared, uri: Uri) -> Answer<AuditNow> {
    let Asked { epsilon, delta, figures } = fields(&uri)?;
    let asked = options(epsilon, delta)?;
    let now = app.compute(move |app| app.auditing.now(&app.shared, &app.desk, &asked, figures == 1));
    now.await?.map(Json).map_err(|error| problem(&error))
}

fn count(n: u64) -> Result<usize, Problem> {
    let count = usize::try_from(n).ok().filter(|count| (1..=MOST).contains(count));
    count.ok_or_else(|| Problem::wrong(format!("draw 1 to {MOST} texts")))
}

async fn draw(State(app): Shared, new: Sent<NewDraw>) -> Answer<AuditNow> {
    open(&app)?;
    let NewDraw { n, seed, anew, who } = sent(new)?;
    let (count, who) = (count(n)?, named(who));
    change(&app, move |view| draw_audit(view, count, seed, anew, who.as_deref())).await?;
    told(&app, AuditOptions::default()).await
}

async fn more(State(app): Shared, new: Sent<NewDraw>) -> Answer<AuditNow> {
    open(&app)?;
    let NewDraw { n, seed, anew, who } = sent(new)?;
    if seed.is_some() || anew {
        return Err(Problem::wrong("a sample is made larger with its own seed: leave out seed and anew"));
    }
    let (count, who) = (count(n)?, named(who));
    change(&app, move |view| draw_more(view, count, who.as_deref())).await?;
    told(&app, AuditOptions::default()).await
}

async fn next(State(app): Shared, uri: Uri) -> Answer<AuditQueue> {
    let wanted: Wanted = fields(&uri)?;
    let queue = app.compute(move |app| {
        let audit = app.open_audit()?;
        Ok(audit.map_or(AuditQueue { remaining: 0, rows: Vec::new() }, |audit| queue(app, &audit, &wanted)))
    });
    queue.await?.map(Json).map_err(|error| problem(&error))
}

/// Texts of the sample that are in the run and that nobody has labelled, in drawn order.
fn queue(app: &App, audit: &DrawnAudit, wanted: &Wanted) -> AuditQueue {
    let table = app.shared.table();
    let position = |id: &str| table.ids.position(id).filter(|position| table.sampled.contains(position));
    let left = audit.texts.iter().filter(|text| text.said.is_none());
    let left: Vec<u32> = left.filter_map(|text| position(&text.id.0)).collect();
    let page = left.iter().skip(wanted.offset).take(wanted.limit.unwrap_or(50).min(MOST_ROWS));
    let page: Vec<_> = page.filter_map(|&position| known(&table, position)).collect();
    let (logs, labels) = (Logs::of(&table), table.names.labels.clone());
    drop(table);
    let rows = page.iter().map(|known| to_audit(shown(known, &logs, REVIEWED), &labels, audit.seed)).collect();
    AuditQueue { remaining: left.len() as u64, rows }
}

/// Nothing else of the row: whoever audits must not see it.
fn to_audit(row: ShownRow, labels: &LabelSet, seed: u64) -> ToAudit {
    let choices = choices(&row, labels, seed);
    ToAudit { position: row.position, id: row.id, text_hash: row.text_hash, text: row.text, cut: row.cut, choices }
}

/// A text of the sample, all of it.
async fn text(State(app): Shared, Path(position): Path<String>) -> Answer<ToAudit> {
    let place: u32 = position.parse().map_err(|_| no_text())?;
    let found = app.compute(move |app| {
        let Some(DrawnAudit { seed, .. }) = app.open_audit()? else { return Ok(None) };
        let table = app.shared.table();
        let (known, logs) = (known(&table, place).filter(|_| table.sampled.contains(&place)), Logs::of(&table));
        let labels = table.names.labels.clone();
        drop(table);
        Ok(known.map(|known| to_audit(shown(&known, &logs, usize::MAX), &labels, seed)))
    });
    let found = found.await?.map_err(|error| problem(&error))?;
    found.map(Json).ok_or_else(|| Problem::nothing("no audit that goes on has this text"))
}

/// That the text with this id is at this position still.
fn check_place(app: &App, position: u64, id: &str) -> Result<(), Problem> {
    if app.shared.table().ids.position(id).map(u64::from) == Some(position) {
        return Ok(());
    }
    let why = "this position has another text by now: load the page again";
    Err(Problem(StatusCode::CONFLICT, why.to_owned()))
}

async fn label(State(app): Shared, new: Sent<NewAuditLabel>) -> Answer<Corrected> {
    open(&app)?;
    let NewAuditLabel { position, id, text_hash, label, who, note } = sent(new)?;
    if app.shared.table().names.labels.exact(&label).is_none() {
        return Err(Problem::wrong(format!("{label:?} is no label of the task: choose one of them")));
    }
    check_place(&app, position, &id)?;
    let (said, who) = (NewCorrection { id, label: Some(label.clone()), note: named(note) }, named(who));
    change(&app, move |view| label_audited(view, &said, text_hash.as_deref(), who.as_deref())).await?;
    Ok(Json(Corrected { position, label: Some(label) }))
}

async fn take_back(State(app): Shared, Path(position): Path<String>, uri: Uri) -> Answer<Corrected> {
    open(&app)?;
    let TakingBack { id, text_hash, who, .. } = fields(&uri)?;
    let position: u64 = position.parse().map_err(|_| no_text())?;
    check_place(&app, position, &id)?;
    let (said, who) = (NewCorrection { id, label: None, note: None }, named(who));
    change(&app, move |view| label_audited(view, &said, text_hash.as_deref(), who.as_deref())).await?;
    Ok(Json(Corrected { position, label: None }))
}

async fn end(State(app): Shared, new: Sent<NewEnd>) -> Answer<AuditNow> {
    open(&app)?;
    let NewEnd { epsilon, delta, who } = sent(new)?;
    let (asked, who) = (options(epsilon, delta)?, named(who));
    change(&app, move |view| end_audit(view, &asked, who.as_deref())).await?;
    told(&app, asked).await
}

async fn take(State(app): Shared, new: Sent<NewTaking>) -> Answer<Taken> {
    open(&app)?;
    let who = named(sent(new)?.who);
    let labels = change(&app, move |view| correct_audited(view, who.as_deref())).await?;
    Ok(Json(Taken { labels }))
}

/// The certificate as a file: made from the logs, one at a time, or the one that an audit ended with.
pub(super) async fn certificate(State(app): Shared, uri: Uri) -> Result<Response, Problem> {
    let Asked { epsilon, delta, .. } = fields(&uri)?;
    let asked = options(epsilon, delta)?;
    let failed = |why: &str| Problem(StatusCode::INTERNAL_SERVER_ERROR, why.to_owned());
    let turn = Arc::clone(&app.reports).acquire_owned().await.map_err(|_| failed("the server ends"))?;
    let made = app.compute(move |app| {
        // The work's, not the request's.
        let _turn = turn;
        let view = RunDir::view(&app.shared.dir)?;
        certificate_of(&view, &asked)
    });
    let made = made.await?.map_err(|error| problem(&error))?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let name: String = made.task.chars().take(60).map(plain).collect();
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}-audit-certificate.json\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    let text = serde_json::to_string_pretty(&made).map_err(|error| failed(&error.to_string()))?;
    Ok((headers, text).into_response())
}
