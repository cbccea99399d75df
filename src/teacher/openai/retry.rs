//! What a failed request means: try again, give this sample up, or stop the run.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::headers::retry_after;

/// What to do after a reply with an error status.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The server has too much to do: nothing is sent for so long, if it says how long.
    Overloaded(Option<Duration>),
    /// It went wrong this time.
    Passing,
    /// The provider's filter does not let this text through: that is its answer.
    Filtered,
    /// Nothing will come of sending this one again.
    Refused,
    /// Nothing will come of any request.
    Stop,
}

/// Judges a reply by its status, headers and body.
///
/// Status codes are those of RFC 9110, with 429 (RFC 6585) and 529, Anthropic's "overloaded". Where providers use one
/// code for
/// different things, words of the body tell them apart. What no rule knows is held against the text, which costs least:
/// the text is kept as refused, or, before anything was answered, waits.
pub(super) fn judge(status: StatusCode, headers: &HeaderMap, body: &str) -> Verdict {
    let says = |words: &[&str]| words.iter().any(|word| body.contains(word));
    match status.as_u16() {
        // Out of credit looks like a rate limit but no waiting helps.
        429 if says(&["insufficient_quota", "billing_hard_limit", "credit balance is too low"]) => Verdict::Stop,
        429 | 503 | 529 => Verdict::Overloaded(retry_after(headers, SystemTime::now())),
        // A time-out, a lock, or the server's own failure: the same request may well go through.
        408 | 409 | 500..=599 => Verdict::Passing,
        400 if says(&["content_filter", "content_policy"]) => Verdict::Filtered,
        // OpenRouter says so of a text that its moderation flagged; any other 403 is of the key.
        403 if says(&["flagged", "moderation"]) => Verdict::Filtered,
        // Redirects are not followed: they could carry key and texts to another host.
        300..=399 | 401..=404 => Verdict::Stop,
        // A text may be too long for the model.
        _ => Verdict::Refused,
    }
}

/// Exponential backoff with full jitter (M. Brooker, "Exponential backoff and jitter", 2015): uniform in 0..min(30 s,
/// 0.5 s * 2^(try - 1)), so that requests that failed together do not come back together. `attempt` is the try, from 1;
/// `uniform` is in 0..1.
pub(super) fn backoff(attempt: u32, uniform: f64) -> Duration {
    let ceiling = 0.5 * 2_f64.powi(i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX));
    Duration::from_secs_f64(ceiling.min(30.0) * uniform.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_errors_are_retried_and_lasting_ones_stop() {
        let headers: HeaderMap = [("retry-after".parse().unwrap(), "8".parse().unwrap())].into_iter().collect();
        let none = HeaderMap::new();
        let judge = |status: u16, headers: &HeaderMap, body: &str| {
            super::judge(StatusCode::from_u16(status).unwrap(), headers, body)
        };
        for (statuses, expected) in [
            (&[408, 409, 500, 502, 504][..], Verdict::Passing),
            (&[302, 307, 401, 402, 403, 404], Verdict::Stop),
            (&[400, 413, 422], Verdict::Refused),
        ] {
            for &status in statuses {
                assert_eq!(judge(status, &none, ""), expected, "{status}");
            }
        }
        for status in [429, 503, 529] {
            assert_eq!(judge(status, &headers, ""), Verdict::Overloaded(Some(Duration::from_secs(8))));
            assert_eq!(judge(status, &none, ""), Verdict::Overloaded(None));
        }
        assert_eq!(judge(429, &none, "{\"code\":\"insufficient_quota\"}"), Verdict::Stop);
        assert_eq!(judge(400, &none, "{\"code\":\"content_filter\"}"), Verdict::Filtered);
        assert_eq!(judge(403, &none, "Your input was flagged for violence"), Verdict::Filtered);
    }

    #[test]
    fn backoff_doubles_up_to_half_a_minute() {
        assert_eq!(backoff(1, 1.0), Duration::from_millis(500));
        assert_eq!(backoff(3, 1.0), Duration::from_secs(2));
        assert_eq!(backoff(u32::MAX, 1.0), Duration::from_secs(30));
        assert_eq!(backoff(9, 0.0), Duration::ZERO);
    }
}
