//! What goes on as long as somebody listens: that something changed, for the page; and label events, for whoever takes them
//! further. Each stream is one task, and ends with the server.
//!
//! An event of the label log has the next offset for its id: who comes again with `Last-Event-ID` misses nothing and gets
//! nothing twice, whichever process served it before.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::app::{App, Problem};
use super::routes::fields;
use super::shapes::StatusNow;
use super::shared::Pulse;
use crate::error::Error;
use crate::readers::finals::Finals;
use crate::store::{Follow, Tail};

/// How often it looks whether there is something to tell.
const LOOK: Duration = Duration::from_millis(200);
/// The least time between two events of a kind, unless the run's state changed.
const SELDOM: Duration = Duration::from_secs(1);
/// A comment for proxies, which end what is silent.
const ALIVE: Duration = Duration::from_secs(15);
/// Events that wait for a slow reader.
const WAITING: usize = 256;

type Events = ReceiverStream<Result<Event, Infallible>>;
type Sender = mpsc::Sender<Result<Event, Infallible>>;

/// Room for one more stream, until it is dropped.
fn room(app: &App) -> Result<OwnedSemaphorePermit, Problem> {
    let full = || Problem(StatusCode::SERVICE_UNAVAILABLE, "too many pages are open: close some of them".to_owned());
    Arc::clone(&app.streams).try_acquire_owned().map_err(|_| full())
}

fn answer(events: mpsc::Receiver<Result<Event, Infallible>>) -> Sse<axum::response::sse::KeepAliveStream<Events>> {
    Sse::new(ReceiverStream::new(events)).keep_alive(KeepAlive::new().interval(ALIVE))
}

/// `/api/v1/stream`.
pub(super) async fn changes(State(app): State<Arc<App>>) -> Result<impl axum::response::IntoResponse, Problem> {
    let room = room(&app)?;
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let _room = room;
        let mut stop = app.stop.clone();
        tokio::select! {
            () = tell_changes(&app, &sender) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    });
    Ok(answer(receiver))
}

/// What was told last, and when.
#[derive(Default)]
struct Told {
    status: Option<(Instant, Arc<StatusNow>)>,
    rows: Option<(Instant, u64)>,
}

impl Told {
    /// What is to be told now.
    fn news(&mut self, now: Instant, pulse: &Pulse) -> Vec<Event> {
        let mut events = Vec::new();
        let is_due = |then: Instant| now.duration_since(then) >= SELDOM;
        let status = self
            .status
            .as_ref()
            .is_none_or(|(then, told)| **told != *pulse.status && (is_due(*then) || is_turn(told, &pulse.status)));
        if status {
            self.status = Some((now, Arc::clone(&pulse.status)));
            events.push(event("status", &*pulse.status));
        }
        if self.rows.is_none_or(|(then, version)| version != pulse.rows.version && is_due(then)) {
            self.rows = Some((now, pulse.rows.version));
            events.push(event("labels", &pulse.rows));
        }
        events
    }
}

/// Whether the run began, ended or does something else now, or something is wrong with it.
fn is_turn(before: &StatusNow, now: &StatusNow) -> bool {
    let phase = |status: &StatusNow| status.status.as_ref().map(|status| status.phase);
    let rest = |status: &StatusNow| (status.live, status.reading, status.problems.len());
    phase(before) != phase(now) || rest(before) != rest(now)
}

fn event(name: &str, data: &impl serde::Serialize) -> Event {
    // Strings and numbers: serialising them cannot fail.
    Event::default().event(name).data(serde_json::to_string(data).unwrap_or_default())
}

/// Ends when nobody listens any more.
async fn tell_changes(app: &App, sender: &Sender) {
    let mut told = Told::default();
    loop {
        for event in told.news(Instant::now(), &app.shared.pulse()) {
            if sender.send(Ok(event)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = sender.closed() => return,
        }
    }
}

/// What label events are asked for by.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    from: Option<u64>,
    #[serde(rename = "final")]
    only_final: Option<String>,
}

impl Wanted {
    /// The first offset that is wanted: where a reader comes again, what it has not seen.
    fn from(&self, headers: &HeaderMap) -> Result<u64, Problem> {
        let Some(seen) = headers.get("last-event-id") else { return Ok(self.from.unwrap_or(0)) };
        let seen = seen.to_str().ok().and_then(|seen| seen.trim().parse().ok());
        seen.ok_or_else(|| Problem::wrong("Last-Event-ID is no offset: leave it out to begin with the first event"))
    }

    /// `?final`, as a flag of its own or with a value.
    fn only_final(&self) -> bool {
        self.only_final.as_ref().is_some_and(|value| !["0", "false"].contains(&value.as_str()))
    }
}

/// `/labels`.
pub(super) async fn labels(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<impl axum::response::IntoResponse, Problem> {
    let wanted: Wanted = fields(&uri)?;
    let from = wanted.from(&headers)?;
    let room = room(&app)?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let reading = Reading::new(&app, from, wanted.only_final());
    tokio::spawn(async move {
        let _room = room;
        let mut stop = app.stop.clone();
        tokio::select! {
            () = tell_labels(reading, &sender) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    });
    Ok(answer(receiver))
}

/// A reader of the label log for one stream.
struct Reading {
    tail: Tail,
    from: u64,
    /// What was told of final labels, where only they are wanted.
    finals: Option<Finals>,
}

impl Reading {
    /// For final labels all are read: whether one is news depends on those before.
    fn new(app: &App, from: u64, only_final: bool) -> Self {
        let tail = Tail::new(&app.shared.dir);
        let tail = if only_final { tail } else { tail.from(from) };
        Self { tail, from, finals: only_final.then(Finals::default) }
    }

    /// The next events, and whether there are more.
    fn next(&mut self) -> (Vec<Event>, bool) {
        let mut events = Vec::new();
        for _ in 0..WAITING {
            match self.tail.poll() {
                Ok(Follow::Event(label, line)) => {
                    let is_news = self.finals.as_mut().is_none_or(|finals| {
                        // What cannot be known is rather told twice.
                        finals.is_new(&label).unwrap_or(true)
                    });
                    if is_news && label.offset >= self.from {
                        events.push(Event::default().id((label.offset + 1).to_string()).data(line));
                    }
                }
                Ok(Follow::NewLog) => {
                    // From its beginning, whatever was asked for of the one before.
                    let dir = self.tail.folder();
                    (self.tail, self.from) = (Tail::new(&dir), 0);
                    self.finals = self.finals.take().map(|_| Finals::default());
                    events.push(Event::default().event("new-log").id("0").data("{}"));
                }
                Ok(Follow::Waiting) => return (events, false),
                // Told by the status; the next line is read.
                Err(Error::LabelLine { .. }) => {}
                Err(_) => return (events, false),
            }
        }
        (events, true)
    }
}

/// Ends when nobody listens any more.
async fn tell_labels(mut reading: Reading, sender: &Sender) {
    loop {
        // Reading blocks, so it is done beside the server's own threads.
        let read = tokio::task::spawn_blocking(move || {
            let next = reading.next();
            (reading, next)
        });
        let Ok((again, (events, is_behind))) = read.await else { return };
        reading = again;
        for event in events {
            if sender.send(Ok(event)).await.is_err() {
                return;
            }
        }
        if !is_behind {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = sender.closed() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::shapes::RowsChanged;

    #[test]
    fn changes_are_told_seldom_and_turns_at_once() {
        let mut told = Told::default();
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let pulse = |version, live, problems: &[&str]| Pulse {
            rows: RowsChanged { events: version, version },
            status: Arc::new(StatusNow {
                live,
                problems: problems.iter().map(|problem| (*problem).to_owned()).collect(),
                ..StatusNow::default()
            }),
        };
        assert_eq!(told.news(at(0), &pulse(1, true, &[])).len(), 2);
        assert_eq!(told.news(at(200), &pulse(2, true, &[])).len(), 0);
        assert_eq!(told.news(at(400), &pulse(2, false, &[])).len(), 1);
        assert_eq!(told.news(at(600), &pulse(2, false, &["gone"])).len(), 1);
        assert_eq!(told.news(at(1000), &pulse(3, false, &["gone"])).len(), 1);
        assert_eq!(told.news(at(9000), &pulse(3, false, &["gone"])).len(), 0);
    }

    #[test]
    fn a_reader_goes_on_after_what_it_has_seen() {
        let wanted = |query: &str| fields::<Wanted>(&format!("/labels?{query}").parse().unwrap()).unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(wanted("from=7").from(&headers).unwrap(), 7);
        headers.insert("last-event-id", "12".parse().unwrap());
        assert_eq!(wanted("from=7").from(&headers).unwrap(), 12);
        headers.insert("last-event-id", "x".parse().unwrap());
        assert!(wanted("").from(&headers).is_err());
        assert!(wanted("final").only_final() && wanted("final=1").only_final());
        assert!(!wanted("final=0").only_final() && !wanted("").only_final());
    }
}
