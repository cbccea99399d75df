//! Lines of the input log and the label log as the page reads them again: the text of an arrival, what teachers said, an
//! event.

use std::borrow::Cow;

use serde::Deserialize;

use super::lines::Lines;
use super::rows::NOWHERE;
use crate::base::sealed;
use crate::domain::event::LabelEvent;
use crate::domain::input::Asked;

/// What is shown of an arrival. The rest of the line is passed over.
#[derive(Debug, Deserialize)]
pub(super) struct Arrival<'a> {
    pub(super) position: u64,
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) text: Cow<'a, str>,
}

impl<'a> Arrival<'a> {
    /// That in `line`, without its line feed; `None` where it is none or damaged.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        sealed::check(line).ok()?;
        serde_json::from_slice(line).ok()
    }
}

/// What teachers said, of an arrival or of later answers.
#[derive(Debug, Default, Deserialize)]
pub(super) struct SaidLine {
    pub(super) asked: Vec<Asked>,
    #[serde(default)]
    pub(super) failure: Option<String>,
}

/// The id and text of the arrival at `at`.
pub(super) fn text_at(inputs: &Lines, at: u64) -> Option<(String, String)> {
    let line = line(inputs, at)?;
    let arrival = Arrival::parse(&line)?;
    Some((arrival.id.into_owned(), arrival.text.into_owned()))
}

/// What teachers said in the line at `at`.
pub(super) fn said_at(inputs: &Lines, at: u64) -> Option<SaidLine> {
    let line = line(inputs, at)?;
    sealed::check(&line).ok()?;
    serde_json::from_slice(&line).ok()
}

/// The event of `id` in the line at `at`; `None` also while a run that was killed writes that line again.
pub(super) fn event_at(labels: &Lines, at: u64, id: &str) -> Option<LabelEvent> {
    let event: LabelEvent = serde_json::from_slice(&line(labels, at)?).ok()?;
    (event.id == id).then_some(event)
}

fn line(lines: &Lines, at: u64) -> Option<Vec<u8>> {
    if at == NOWHERE {
        return None;
    }
    // What cannot be read is shown as missing; the thread that follows the logs tells why.
    lines.line(at).ok().flatten()
}
