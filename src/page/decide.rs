//! What a person decides of a text: held against the text that is there, kept, and only then shown.

use axum::http::StatusCode;

use super::app::{App, Problem};
use super::shown::{Logs, id_and_text, known};
use crate::domain::sample::{SampleId, TextHash};
use crate::error::{Error, with_causes};
use crate::flow::sampled::IN_SAMPLE;
use crate::store::{Correction, INPUTS};

/// A decision as it was sent.
#[derive(Debug)]
pub(super) struct NewCorrection {
    /// The text's: the position may have another by now.
    pub(super) id: String,
    /// The text's, as hexadecimal, where the client knows it.
    pub(super) text_hash: Option<String>,
    /// The label; without one, what was said before is taken back.
    pub(super) label: Option<String>,
    /// What is taken back, where the client says so.
    pub(super) was: Option<String>,
    pub(super) who: Option<String>,
    pub(super) note: Option<String>,
}

/// That there is no text at a position.
pub(super) fn no_text() -> Problem {
    Problem::nothing("there is no text at this position: the list has those there are")
}

fn still_reading() -> Problem {
    let why = "the files of the run are still being read: try again in a moment";
    Problem(StatusCode::SERVICE_UNAVAILABLE, why.to_owned())
}

fn conflict(why: &str) -> Problem {
    Problem(StatusCode::CONFLICT, why.to_owned())
}

/// Keeps what was decided of the text at `position`, and shows it. Blocks; it is on disk when this returns.
pub(super) fn decide(app: &App, position: u32, new: NewCorrection) -> Result<(), Problem> {
    let table = app.shared.table();
    let none = || if app.shared.pulse().status.reading { still_reading() } else { no_text() };
    let (known, logs) = (known(&table, position).ok_or_else(none)?, Logs::of(&table));
    let labels = table.names.labels.clone();
    drop(table);
    let unreadable =
        "this text's line in inputs.jsonl cannot be read, so nothing is kept of it: candist check --deep RUN says more";
    let (id, text) =
        id_and_text(&known, &logs).ok_or_else(|| Problem(StatusCode::INTERNAL_SERVER_ERROR, unreadable.to_owned()))?;
    let text_hash = TextHash::of(&text);
    if new.id != id || new.text_hash.is_some_and(|hash| hash != text_hash.to_hex()) {
        return Err(conflict("this position has another text by now: load the page again"));
    }
    let none = |name: &String| Problem::wrong(format!("{name:?} is no label of the task: choose one of them"));
    let label = new.label.map(|name| labels.exact(&name).ok_or_else(|| none(&name))).transpose()?;
    let failed = |error: Error| Problem(StatusCode::INTERNAL_SERVER_ERROR, with_causes(&error));
    if app.auditing.has(&labels, &SampleId(id.clone()), text_hash).map_err(failed)? {
        return Err(conflict(&format!("this text is in the sample of the audit: {IN_SAMPLE}")));
    }
    if let Some(was) = new.was
        && app.desk.decided(&labels, &id, text_hash).is_some_and(|decided| decided.label != was)
    {
        return Err(conflict("somebody has given this text another label since: that one stands"));
    }
    let Some(inputs) = &logs.inputs else { return Err(no_text()) };
    // Who follows the logs finds out within a moment, but what is kept until then would be kept for another run.
    let is_here = || inputs.is_at(&app.shared.dir.join(INPUTS));
    let (id, who, note) = (SampleId(id), new.who, new.note);
    let correction = Correction { id, text_hash, label, who, note, file: false };
    // Before the log is made, too: it would be another run's.
    if !is_here() || !app.desk.keep(&labels, correction, is_here).map_err(failed)? {
        return Err(conflict("the run directory has other files than those that are shown: load the page again"));
    }
    app.shared.give(inputs, position, label);
    Ok(())
}
