//! What a monitor reads: the run and the server in numbers, in Prometheus' text format. Names end in their unit, counters in
//! `_total`; labels are of routes, states and labels of the task, of which there are few.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::{Mutex, PoisonError};

use super::app::{App, STREAMS};
use crate::domain::status::Status;

/// Labels of the task that are told one by one, at most.
const LABELS: usize = 1000;

/// Requests by route and status.
#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<BTreeMap<(String, u16), u64>>);

impl Requests {
    /// Counts one.
    pub(super) fn count(&self, route: &str, status: u16) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((route.to_owned(), status)).or_default() += 1;
    }
}

/// The text, as it is put together.
#[derive(Default)]
struct Text(String);

impl Text {
    /// A metric; each value has its labels, written out, or none.
    fn add<V: Display>(&mut self, kind: &str, name: &str, help: &str, values: impl IntoIterator<Item = (String, V)>) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return;
        }
        // Writing into a string cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (labels, value) in values {
            let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.add("gauge", name, help, [(String::new(), value)]);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.add("counter", name, help, [(String::new(), value)]);
    }
}

/// `name="value"`, with what the format gives a meaning escaped.
fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

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
    let requests = app.requests.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let requests = requests.into_iter().map(|((route, status), count)| {
        (format!("{},{}", label("route", &route), label("status", &status.to_string())), count)
    });
    text.add("counter", "candist_page_requests_total", "Requests to this server.", requests);
    let streams = STREAMS.saturating_sub(app.streams.available_permits());
    text.gauge("candist_page_streams", "Streams that are open.", streams);
    text.0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_written_as_their_format_says() {
        let mut text = Text::default();
        text.gauge("a", "Help.", 1);
        text.add("counter", "b_total", "Help.", [(label("x", "say \"\\\n"), 2_u64)]);
        text.add("gauge", "none", "Help.", None::<(String, u64)>);
        assert_eq!(
            text.0,
            "# HELP a Help.\n# TYPE a gauge\na 1\n# HELP b_total Help.\n# TYPE b_total counter\nb_total{x=\"say \\\"\\\\\\n\"} 2\n"
        );
    }
}
