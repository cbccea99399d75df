//! What providers say about their limits in headers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use clap::ValueEnum;

use super::traffic::{Room, Standing};

/// Whose headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HeaderStyle {
    /// `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`; a refusal has no other header.
    #[value(name = "openai")]
    OpenAi,
    /// `x-ratelimit-remaining-*`, -1 where nothing is counted; refusals have `retry-after-ms`.
    Azure,
    /// `anthropic-ratelimit-{requests,tokens}-*`, resetting at a time of day; refusals have `retry-after`.
    Anthropic,
}

impl HeaderStyle {
    /// Writes what the provider would say.
    pub(super) fn write(self, standing: &Standing, headers: &mut HeaderMap) {
        // Without a quota: a large account's, of which little is used.
        let generous = |limit| Room { limit, remaining: limit - limit / 1000, reset: Duration::from_millis(6) };
        let (requests, tokens) = standing.rooms.unwrap_or((generous(30_000), generous(150_000_000)));
        for (name, room) in [("requests", requests), ("tokens", tokens)] {
            // The largest number there is stands for no limit, which only one of them has a word for.
            let counts = room.limit < u64::from(u32::MAX);
            match self {
                Self::OpenAi if counts => {
                    set(headers, format!("x-ratelimit-limit-{name}"), &room.limit.to_string());
                    set(headers, format!("x-ratelimit-remaining-{name}"), &room.remaining.to_string());
                    set(headers, format!("x-ratelimit-reset-{name}"), &span(room.reset));
                }
                Self::Azure => {
                    let remaining =
                        if counts && standing.rooms.is_some() { room.remaining.to_string() } else { "-1".to_owned() };
                    set(headers, format!("x-ratelimit-remaining-{name}"), &remaining);
                }
                Self::Anthropic if counts => {
                    set(headers, format!("anthropic-ratelimit-{name}-limit"), &room.limit.to_string());
                    set(headers, format!("anthropic-ratelimit-{name}-remaining"), &room.remaining.to_string());
                    set(headers, format!("anthropic-ratelimit-{name}-reset"), &date(room.reset));
                }
                Self::OpenAi | Self::Anthropic => {}
            }
        }
        let Some(wait) = standing.wait else { return };
        if self == Self::Azure {
            set(headers, "retry-after-ms".to_owned(), &milliseconds(wait).to_string());
        }
        if self != Self::OpenAi {
            set(headers, "retry-after".to_owned(), &milliseconds(wait).div_ceil(1000).to_string());
        }
    }
}

fn set(headers: &mut HeaderMap, name: String, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

/// Rounded up: who waits so long need not wait again.
fn milliseconds(span: Duration) -> u64 {
    span.as_nanos().div_ceil(1_000_000) as u64
}

/// As Go writes it: `12ms`, `1s`, `59.5s`, `6m0s`.
pub(super) fn span(span: Duration) -> String {
    let total = milliseconds(span);
    if total < 1000 {
        return format!("{total}ms");
    }
    let (minutes, seconds) = (total / 60_000, (total % 60_000) as f64 / 1e3);
    if minutes == 0 { format!("{seconds}s") } else { format!("{minutes}m{seconds}s") }
}

/// The time in so long, by RFC 3339 in whole seconds, rounded up.
fn date(span: Duration) -> String {
    let time = (SystemTime::now() + span).duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = milliseconds(time).div_ceil(1000);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // The civil date of a day, counted in years that begin in March so that a leap day is the last of its year.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next_year;
    format!("{year:04}-{month:02}-{of_month:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}
