//! What providers say in headers about their limits: OpenAI, Azure and Anthropic styles.
//!
//! A header is a hint from outside: it may only make us wait, for a bounded time. One that makes no sense counts as
//! absent.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// A server may not hold a run up for longer than this at a time.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// How long to wait by `retry-after-ms` (milliseconds) or `Retry-After` (seconds, or a date); anything else counts as
/// absent. `now` is the wall clock's time.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok();
    // OpenAI's and Azure's, and finer than the standard's whole seconds: it goes first.
    if let Some(length) = text("retry-after-ms").and_then(number).and_then(|milliseconds| seconds(milliseconds / 1e3)) {
        return Some(length);
    }
    let value = text(RETRY_AFTER.as_str())?;
    match number(value) {
        Some(number) => seconds(number),
        None => Some(until(httpdate::parse_http_date(value).ok()?, now)),
    }
}

/// How long nothing more is allowed, when a header says that nothing remains.
pub(super) fn exhausted_for(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    // What remains, and when it is filled up again.
    const PAIRS: [(&str, &str); 6] = [
        ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
        ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
        ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
        ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
        ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
        ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
    ];
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    PAIRS
        .iter()
        // -1 is how some say that they do not count.
        .filter(|(remaining, _)| text(remaining).and_then(|left| left.parse::<i64>().ok()) == Some(0))
        .filter_map(|(_, reset)| reset_after(text(reset)?, now))
        // Several limits may be used up: the last one to come back counts.
        .max()
}

/// `12ms`, `1s`, `6m0s`, `1h2m3.5s`, a number of seconds, or a date (RFC 3339).
fn reset_after(value: &str, now: SystemTime) -> Option<Duration> {
    // The plainest first: a bare number would be no date and no length with a unit.
    if let Ok(number) = value.parse::<f64>() {
        return seconds(number);
    }
    if let Some(date) = rfc3339(value) {
        return Some(until(date, now));
    }
    let mut total = 0.0;
    let mut rest = value;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let scale = match unit {
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * scale;
        rest = tail;
    }
    seconds(total)
}

/// `2026-01-02T03:04:05Z`, with or without a fraction, in UTC.
fn rfc3339(value: &str) -> Option<SystemTime> {
    let (date, time) = value.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.split(':').map(|part| part.parse::<f64>().ok());
    let (hours, minutes, secs) = (time.next()??, time.next()??, time.next()??);
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let is_time = (0.0..24.0).contains(&hours) && (0.0..60.0).contains(&minutes) && (0.0..61.0).contains(&secs);
    // Days that a month does not have are let through: they are off by a day or two, and the pause is bounded anyway.
    if !is_date || !is_time {
        return None;
    }
    // Days since 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms", days_from_civil).
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted / 400;
    let of_era = shifted - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let total = days as f64 * 86_400.0 + hours * 3600.0 + minutes * 60.0 + secs;
    SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(total).ok()?)
}

/// From `now` to `date`: nothing where that is past, and no more than [`LONGEST_PAUSE`].
fn until(date: SystemTime, now: SystemTime) -> Duration {
    date.duration_since(now).unwrap_or_default().min(LONGEST_PAUSE)
}

/// No server means to be asked again in a year; a number like that is a mistake.
const NONSENSE: f64 = 366.0 * 86_400.0;

/// Negative numbers, and those that make no sense, say nothing; more than [`LONGEST_PAUSE`] is cut to it.
fn seconds(seconds: f64) -> Option<Duration> {
    let sensible = Some(seconds).filter(|seconds| (0.0..NONSENSE).contains(seconds))?;
    Duration::try_from_secs_f64(sensible.min(LONGEST_PAUSE.as_secs_f64())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2015-10-21T07:28:00Z.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480)
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn no_header_can_hold_the_run_up() {
        for (value, expected) in [
            ("8", Some(8.0)),
            ("0.5", Some(0.5)),
            ("-3", None),
            ("86400", Some(120.0)),
            ("1e30", None),
            ("inf", None),
            ("-inf", None),
            ("NaN", None),
            ("-0", Some(0.0)),
            ("Wed, 21 Oct 2015 07:28:09 GMT", Some(9.0)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0.0)),
            ("Wed, 21 Oct 2099 07:00:00 GMT", Some(120.0)),
            ("soon", None),
            ("", None),
        ] {
            let found = retry_after(&headers(&[("retry-after", value)]), now());
            assert_eq!(found, expected.map(Duration::from_secs_f64), "{value:?}");
        }
        for (milliseconds, expected) in [("250", 0.25), ("NaN", 8.0), ("1e30", 8.0), ("-5", 8.0), ("soon", 8.0)] {
            let both = headers(&[("retry-after-ms", milliseconds), ("retry-after", "8")]);
            assert_eq!(retry_after(&both, now()), Some(Duration::from_secs_f64(expected)), "{milliseconds}");
        }
    }

    #[test]
    fn an_exhausted_limit_is_waited_for_until_its_reset() {
        for (pairs, expected) in [
            (vec![("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "12ms")], Some(0.012)),
            (vec![("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "1m0.5s")], Some(60.5)),
            (vec![("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0s")], Some(120.0)),
            (vec![("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "NaN")], None),
            (vec![("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "1e30")], None),
            (vec![("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "2015-10-21Tinf:NaN:30Z")], None),
            (vec![("x-ratelimit-remaining-requests", "3"), ("x-ratelimit-reset-requests", "6m0s")], None),
            (vec![("x-ratelimit-remaining-requests", "-1"), ("x-ratelimit-reset-requests", "1s")], None),
            (vec![("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1 fortnight")], None),
            (
                vec![
                    ("anthropic-ratelimit-requests-remaining", "0"),
                    ("anthropic-ratelimit-requests-reset", "2015-10-21T07:28:30Z"),
                ],
                Some(30.0),
            ),
        ] {
            assert_eq!(exhausted_for(&headers(&pairs), now()), expected.map(Duration::from_secs_f64), "{pairs:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics_or_is_longer_than_the_longest_pause(value in "([0-9a-z.:TZ+-]|NaN|inf|1e[0-9]{1,3}){0,30}") {
            prop_assert!(reset_after(&value, now()).is_none_or(|length| length <= LONGEST_PAUSE));
            for name in ["retry-after", "retry-after-ms"] {
                prop_assert!(retry_after(&headers(&[(name, &value)]), now()).is_none_or(|length| length <= LONGEST_PAUSE));
            }
        }
    }
}
