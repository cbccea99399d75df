//! How fast a run is, by its latest half minute, and when it will be done.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use candist::Status;

/// What a rate is taken over: long enough that a pause does not stop it, short enough to follow a change.
const SPAN: Duration = Duration::from_secs(30);
/// Before that long there is no rate: the first answers come together.
const LEAST: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    /// When so many texts were answered: the first not much more than [`SPAN`] ago.
    seen: VecDeque<(Instant, u64)>,
}

impl Pace {
    /// The mean since the process began: for who looks once.
    pub(super) fn mean(status: &Status) -> Self {
        let mut pace = Self::default();
        let now = Instant::now();
        if let Some(began) =
            Duration::try_from_secs_f64(status.elapsed_s).ok().and_then(|length| now.checked_sub(length))
        {
            pace.seen.push_back((began, 0));
        }
        pace.seen.push_back((now, status.answered));
        pace
    }

    /// Notes how far a run is at `now`.
    pub(super) fn note(&mut self, now: Instant, status: &Status) {
        // Less than before: another run has begun.
        if self.seen.back().is_some_and(|(_, before)| *before > status.answered) {
            self.seen.clear();
        }
        self.seen.push_back((now, status.answered));
        let is_old = |entry: Option<&(Instant, u64)>| entry.is_some_and(|(at, _)| now.duration_since(*at) >= SPAN);
        while is_old(self.seen.get(1)) {
            self.seen.pop_front();
        }
    }

    /// Texts a second.
    pub(super) fn rate(&self) -> Option<f64> {
        let ((from, first), (to, last)) = (self.seen.front()?, self.seen.back()?);
        let length = to.duration_since(*from);
        (length >= LEAST).then(|| last.saturating_sub(*first) as f64 / length.as_secs_f64())
    }

    /// How long the rest takes at this rate.
    pub(super) fn left(&self, status: &Status) -> Option<Duration> {
        let (left, rate) = (status.left()?, self.rate()?);
        let seconds = left as f64 / rate;
        // A rate of nothing takes for ever.
        (left > 0 && seconds.is_finite()).then(|| Duration::from_secs_f64(seconds.min(1e9)))
    }
}

/// `3 d 04 h`, `2 h 05 min`, `12 min 03 s`, `45 s`.
pub(super) fn duration(length: Duration) -> String {
    let seconds = length.as_secs_f64().round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {:02} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candist::Progress;

    fn at(answered: u64) -> Status {
        Status { answered, done: answered, total: Some(1000), ..Progress::default().snapshot() }
    }

    #[test]
    fn the_rate_is_that_of_the_latest_half_minute() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!((pace.rate(), pace.left(&at(0))), (None, None));
        // Ten a second for a minute, then two.
        for second in 0..=60 {
            pace.note(start + Duration::from_secs(second), &at(10 * second));
        }
        assert_eq!((pace.rate(), pace.left(&at(600))), (Some(10.0), Some(Duration::from_secs(40))));
        for second in 1..=30 {
            pace.note(start + Duration::from_secs(60 + second), &at(600 + 2 * second));
        }
        assert_eq!(pace.rate(), Some(2.0));
        assert!(pace.seen.len() <= 32);
        // Nothing comes any more.
        for second in 31..=70 {
            pace.note(start + Duration::from_secs(60 + second), &at(660));
        }
        assert_eq!((pace.rate(), pace.left(&at(660))), (Some(0.0), None));
        // Another run.
        pace.note(start + Duration::from_secs(200), &at(5));
        assert_eq!(pace.rate(), None);
    }

    #[test]
    fn durations_have_two_units() {
        let told = [0, 45, 63, 3599, 3600, 7530, 90_000].map(|seconds| duration(Duration::from_secs(seconds)));
        assert_eq!(told, ["0 s", "45 s", "1 min 03 s", "59 min 59 s", "1 h 00 min", "2 h 05 min", "1 d 01 h"]);
    }
}
