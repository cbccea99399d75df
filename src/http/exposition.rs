//! What a monitor reads, in Prometheus' text format. Names end in their unit, counters in `_total`; labels are of things of which
//! there are few.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Requests by route and status.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<BTreeMap<(String, u16), u64>>);

impl Requests {
    /// Counts one.
    pub(crate) fn count(&self, route: &str, status: u16) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((route.to_owned(), status)).or_default() += 1;
    }

    /// Each count with its labels.
    pub(crate) fn told(&self) -> Vec<(String, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |((route, status), count): (&(String, u16), &u64)| {
            (format!("{},{}", label("route", route), label("status", &status.to_string())), *count)
        };
        counts.iter().map(told).collect()
    }
}

/// The text, as it is put together.
#[derive(Default)]
pub(crate) struct Text(String);

impl Text {
    /// A metric; each value has its labels, written out, or none.
    pub(crate) fn add<V: Display>(
        &mut self,
        kind: &str,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (String, V)>,
    ) {
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

    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.add("gauge", name, help, [(String::new(), value)]);
    }

    pub(crate) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.add("counter", name, help, [(String::new(), value)]);
    }

    /// How many observations were up to each bound, all of them, and their sum.
    pub(crate) fn histogram(&mut self, name: &str, help: &str, seen: &Histogram) {
        let mut counted = 0;
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} histogram\n");
        for (bound, count) in seen.bounds.iter().zip(&seen.counts) {
            counted += count.load(Ordering::Relaxed);
            let _ = writeln!(self.0, "{name}_bucket{{le=\"{bound}\"}} {counted}");
        }
        counted += seen.above.load(Ordering::Relaxed);
        let sum = seen.sum.load(Ordering::Relaxed) as f64 / MICRO;
        let _ = writeln!(self.0, "{name}_bucket{{le=\"+Inf\"}} {counted}\n{name}_sum {sum}\n{name}_count {counted}");
    }

    /// All that was added.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

/// `name="value"`, with what the format gives a meaning escaped.
pub(crate) fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

/// Sums are kept in millionths.
const MICRO: f64 = 1e6;

/// Observations by size.
#[derive(Debug)]
pub(crate) struct Histogram {
    /// Ascending.
    bounds: &'static [f64],
    /// Observations up to each bound, and above the one before.
    counts: Vec<AtomicU64>,
    /// Above the last bound.
    above: AtomicU64,
    /// In millionths.
    sum: AtomicU64,
}

impl Histogram {
    /// Nothing seen yet.
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        let counts = bounds.iter().map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, above: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }

    /// Counts one.
    pub(crate) fn see(&self, value: f64) {
        let place = self.bounds.iter().position(|bound| value <= *bound);
        let count = place.and_then(|place| self.counts.get(place)).unwrap_or(&self.above);
        count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add((value * MICRO).round() as u64, Ordering::Relaxed);
    }

    /// What was seen, added up.
    pub(crate) fn sum(&self) -> f64 {
        self.sum.load(Ordering::Relaxed) as f64 / MICRO
    }
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

    #[test]
    fn a_histogram_counts_up_to_each_bound() {
        let seen = Histogram::new(&[0.5, 2.0]);
        [0.25, 0.5, 1.0, 3.0].into_iter().for_each(|value| seen.see(value));
        let mut text = Text::default();
        text.histogram("x_seconds", "Help.", &seen);
        let expected = [
            "# HELP x_seconds Help.",
            "# TYPE x_seconds histogram",
            "x_seconds_bucket{le=\"0.5\"} 2",
            "x_seconds_bucket{le=\"2\"} 3",
            "x_seconds_bucket{le=\"+Inf\"} 4",
            "x_seconds_sum 4.75",
            "x_seconds_count 4\n",
        ];
        assert_eq!(text.finish(), expected.join("\n"));
    }
}
