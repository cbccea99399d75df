//! What a failed request means: try again, give this sample up, or stop the run.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// A server may not hold a run up for longer than this at a time.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// What to do after a reply with an error status.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send it again; with a length, after nothing was sent to the endpoint for so long.
    Retry(Option<Duration>),
    /// Nothing will come of sending this one again.
    Refused,
    /// Nothing will come of any request.
    Stop,
}

/// Judges a reply by its status, headers and body.
pub(super) fn judge(status: StatusCode, headers: &HeaderMap, body: &str) -> Verdict {
    match status.as_u16() {
        // Out of credit looks like a rate limit but no waiting helps.
        429 if body.contains("insufficient_quota") => Verdict::Stop,
        429 | 503 | 529 => Verdict::Retry(Some(retry_after(headers).unwrap_or(Duration::from_secs(1)))),
        408 | 409 | 500..=599 => Verdict::Retry(retry_after(headers)),
        401..=404 => Verdict::Stop,
        // A text may be too long for the model, or caught by a filter.
        _ => Verdict::Refused,
    }
}

/// Seconds from `Retry-After`, or milliseconds from `retry-after-ms`; anything else counts as absent.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1e3).or_else(|| number(RETRY_AFTER.as_str()))?;
    // Negative, infinite and not-a-number say nothing.
    Duration::try_from_secs_f64(seconds.min(LONGEST_PAUSE.as_secs_f64())).ok()
}

/// Exponential backoff with full jitter: uniform in 0..min(30 s, 0.5 s * 2^(try - 1)). `uniform` is in 0..1.
pub(super) fn backoff(attempt: u32, uniform: f64) -> Duration {
    let ceiling = 0.5 * 2_f64.powi(i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX));
    Duration::from_secs_f64(ceiling.min(30.0) * uniform.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn passing_errors_are_retried_and_lasting_ones_stop() {
        let none = headers(&[]);
        let judge = |status: u16, headers: &HeaderMap, body: &str| {
            super::judge(StatusCode::from_u16(status).unwrap(), headers, body)
        };
        for status in [408, 409, 500, 502, 504] {
            assert_eq!(judge(status, &none, ""), Verdict::Retry(None), "{status}");
        }
        for status in [401, 402, 403, 404] {
            assert_eq!(judge(status, &none, ""), Verdict::Stop, "{status}");
        }
        for status in [400, 413, 422] {
            assert_eq!(judge(status, &none, ""), Verdict::Refused, "{status}");
        }
        assert_eq!(judge(429, &none, "{\"code\":\"insufficient_quota\"}"), Verdict::Stop);
        assert_eq!(judge(429, &headers(&[("retry-after", "8")]), ""), Verdict::Retry(Some(Duration::from_secs(8))));
    }

    #[test]
    fn no_header_can_hold_the_run_up() {
        for (value, expected) in [
            ("8", Some(8.0)),
            ("0.5", Some(0.5)),
            ("-3", None),
            ("1e30", Some(120.0)),
            ("inf", Some(120.0)),
            ("NaN", Some(120.0)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", None),
            ("", None),
        ] {
            assert_eq!(
                retry_after(&headers(&[("retry-after", value)])),
                expected.map(Duration::from_secs_f64),
                "{value:?}"
            );
        }
        assert_eq!(
            retry_after(&headers(&[("retry-after-ms", "250"), ("retry-after", "8")])),
            Some(Duration::from_millis(250))
        );
    }

    #[test]
    fn backoff_doubles_up_to_half_a_minute() {
        assert_eq!(backoff(1, 1.0), Duration::from_millis(500));
        assert_eq!(backoff(3, 1.0), Duration::from_secs(2));
        assert_eq!(backoff(u32::MAX, 1.0), Duration::from_secs(30));
        assert_eq!(backoff(9, 0.0), Duration::ZERO);
    }
}
