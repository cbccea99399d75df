//! The service in numbers, for a monitor.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::queue::Queue;
use crate::http::exposition::{Histogram, Requests, Text};

const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const TEXTS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
/// Seconds after which to come again, at most.
const LATEST: f64 = 60.0;

/// What is counted.
#[derive(Debug)]
pub(super) struct Metrics {
    requests: Requests,
    /// Of requests for predictions, from their head to their answer.
    seconds: Histogram,
    /// Texts of a batch.
    batches: Histogram,
    /// Of the student, over a batch.
    student: Histogram,
    abandoned: AtomicU64,
    dropped: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Requests::default(),
            seconds: Histogram::new(&SECONDS),
            batches: Histogram::new(&TEXTS),
            student: Histogram::new(&SECONDS),
            abandoned: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// Counts a request that was answered.
    pub(super) fn answered(&self, route: &str, status: u16, took: Option<Duration>) {
        self.requests.count(route, status);
        took.into_iter().for_each(|took| self.seconds.see(took.as_secs_f64()));
    }

    /// Counts a request whose client went away.
    pub(super) fn abandon(&self) {
        self.abandoned.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts texts that nobody waits for any more.
    pub(super) fn drop_texts(&self, texts: usize) {
        self.dropped.fetch_add(texts as u64, Ordering::Relaxed);
    }

    /// Texts that nobody waited for any more.
    #[cfg(test)]
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Counts a batch.
    pub(super) fn labelled(&self, texts: usize, took: Duration) {
        self.batches.see(texts as f64);
        self.student.see(took.as_secs_f64());
    }

    /// Whole seconds in which the student has labelled so many texts, going by those so far.
    pub(super) fn seconds_for(&self, texts: usize) -> u64 {
        let seconds = texts as f64 * self.student.sum() / self.batches.sum().max(1.0);
        seconds.ceil().clamp(1.0, LATEST) as u64
    }

    /// All of it.
    pub(super) fn tell(&self, queue: &Queue) -> String {
        let mut text = Text::default();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        text.add("counter", "candist_service_requests_total", "Requests that were answered.", self.requests.told());
        text.counter(
            "candist_service_requests_abandoned_total",
            "Requests whose client went away.",
            count(&self.abandoned),
        );
        text.counter("candist_service_texts_total", "Texts that the student labelled.", self.batches.sum());
        text.counter(
            "candist_service_texts_dropped_total",
            "Texts that nobody waited for any more.",
            count(&self.dropped),
        );
        text.gauge("candist_service_queue_texts", "Texts that wait, or are being labelled.", queue.waiting());
        text.gauge("candist_service_queue_limit_texts", "Texts that may wait.", queue.most());
        let seconds = "Seconds from a request's head to its answer, of requests for predictions.";
        text.histogram("candist_service_request_duration_seconds", seconds, &self.seconds);
        text.histogram("candist_service_batch_texts", "Texts that are labelled together.", &self.batches);
        text.histogram("candist_service_batch_duration_seconds", "Seconds of the student for a batch.", &self.student);
        text.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_again_is_told_when_by_how_fast_the_student_is() {
        let metrics = Metrics::default();
        assert_eq!(metrics.seconds_for(1000), 1, "nothing is known yet");
        metrics.labelled(100, Duration::from_millis(500));
        assert_eq!([0, 1, 200, 500, 1_000_000].map(|texts| metrics.seconds_for(texts)), [1, 1, 1, 3, 60]);
    }
}
