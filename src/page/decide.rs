//! What a person decides of a text: held against the text that is there, kept, and only then shown.

use axum::http::StatusCode;

use super::app::{App, Problem};
use super::shown::{Logs, id_and_text, known};
use crate::domain::sample::{SampleId, TextHash};
use crate::error::{Error, with_causes};
use crate::flow::sampled::IN_SAMPLE;
use crate::store::{Correction, INPUTS};

/// A decision as it was sent.
#[derive(Debug, Default)]
pub(super) struct NewCorrection {
    /// The text's, where the client knows it.
    pub(super) id: Option<String>,
    /// The label; without one, what was said before is taken back.
    pub(super) label: Option<String>,
    pub(super) who: Option<String>,
    pub(super) note: Option<String>,
}

/// That there is no text at a position.
pub(super) fn no_text() -> Problem {
    Problem::nothing("there is no text at this position: the list has those there are")
}

/// Keeps what was decided of the text at `position`, and shows it. Blocks; it is on disk when this returns.
pub(super) fn decide(app: &App, position: u32, new: NewCorrection) -> Result<(), Problem> {
    let table = app.shared.table();
    let (known, logs) = (known(&table, position).ok_or_else(no_text)?, Logs::of(&table));
    let labels = table.names.labels.clone();
    drop(table);
    let unreadable =
        "this text's line in inputs.jsonl cannot be read, so nothing is kept of it: candist check --deep RUN says more";
    let (id, text) =
        id_and_text(&known, &logs).ok_or_else(|| Problem(StatusCode::INTERNAL_SERVER_ERROR, unreadable.to_owned()))?;
    if new.id.as_ref().is_some_and(|known| *known != id) {
        let why = "this position has another text by now: load the page again";
        return Err(Problem(StatusCode::CONFLICT, why.to_owned()));
    }
    let none = |name: &String| Problem::wrong(format!("{name:?} is no label of the task: choose one of them"));
    let label = new.label.map(|name| labels.exact(&name).ok_or_else(|| none(&name))).transpose()?;
    // Who follows the logs finds out within a moment, but what is kept until then would be kept for another run.
    if !logs.inputs.as_ref().is_some_and(|inputs| inputs.is_at(&app.shared.dir.join(INPUTS))) {
        let why =
            "the run directory has other files than those that are shown, and nothing was kept: load the page again";
        return Err(Problem(StatusCode::CONFLICT, why.to_owned()));
    }
    let (id, text_hash) = (SampleId(id), TextHash::of(&text));
    let failed = |error: Error| Problem(StatusCode::INTERNAL_SERVER_ERROR, with_causes(&error));
    if app.auditing.has(&labels, &id, text_hash).map_err(failed)? {
        let why = format!("this text is in the sample of the audit: {IN_SAMPLE}");
        return Err(Problem(StatusCode::CONFLICT, why));
    }
    let correction = Correction { id, text_hash, label, who: new.who, note: new.note, file: false };
    app.desk.keep(&labels, correction).map_err(failed)?;
    app.shared.give(position, label);
    Ok(())
}
