//! What a monitor reads: the run and the server in numbers, in Prometheus' text format. Names end in their unit, counters in
//! `_total`; labels are of routes, states and labels of the task, of which there are few.

use super::app::{App, STREAMS};
use crate::domain::status::Status;
pub(super) use crate::http::exposition::Requests;
use crate::http::exposition::{Text, label};

/// Labels of the task that are told one by one, at most.
const LABELS: usize = 1000;

/// All of it.
pub(super) fn metrics(app: &App) -> String {
    let mut text = Text::default();
    tell_rows(app, &mut text);
    let pulse = app.shared.pulse();
    text.gauge("candist_live", "Whether a process runs in the directory.", u8::from(pulse.status.live));
    text.gauge("candist_problems", "What is wrong with the run's files, in sentences.", pulse.status.problems.len());
    if let Some(status) = &pulse.status.status {
        tell_status(status, &mut text);
    }
    text.add("counter", "candist_page_requests_total", "Requests to this server.", app.requests.told());
    let streams = STREAMS.saturating_sub(app.streams.available_permits());
    text.gauge("candist_page_streams", "Streams that are open.", streams);
    text.finish()
}

fn tell_rows(app: &App, text: &mut Text) {
    let table = app.shared.table();
    let counts = &table.counts;
    text.gauge("candist_texts", "Texts that arrived.", table.rows().len());
    text.gauge("candist_texts_labelled", "Texts with a label.", counts.labelled);
    text.gauge("candist_texts_final", "Texts whose label is final.", counts.finals);
    text.gauge("candist_texts_corrected", "Texts whose label a person gave.", counts.corrected);
    text.gauge("candist_texts_failed", "Texts that no teacher named a label for.", counts.failed);
    text.gauge("candist_label_events", "Events of the label log; another log begins anew.", table.events);
    let names = table.names.labels.iter().map(|name| label("label", &name.name));
    let labels = names.zip(counts.labels.iter().copied()).take(LABELS);
    text.add("gauge", "candist_texts_by_label", "Texts with this label.", labels);
}

/// What the process said of itself.
fn tell_status(status: &Status, text: &mut Text) {
    text.gauge("candist_run_rows_done", "Rows that need no answer any more.", status.done);
    text.add(
        "gauge",
        "candist_run_rows",
        "Rows of the corpus, once they are counted.",
        status.total.map(|total| (String::new(), total)),
    );
    text.gauge("candist_run_requests_in_flight", "Requests that are not answered yet.", status.in_flight);
    text.counter("candist_run_questions_total", "Questions put to teachers by the latest process.", status.asked);
    text.counter("candist_run_retries_total", "Requests sent again by the latest process.", status.retries);
    text.counter("candist_run_training_steps_total", "Training steps of the student.", status.steps);
    text.counter("candist_run_spent_total", "Cost so far, in the currency of the prices.", status.spent);
    text.gauge("candist_run_elapsed_seconds", "Seconds since the latest process began.", status.elapsed_s);
}
