//! Moments as text, for people and programs alike: what is kept with what somebody did. Nothing is decided by them.

use std::time::SystemTime;

/// Names of months, as HTTP has them.
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `2026-11-29T12:24:35Z`, as RFC 3339 has it.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    // `Sun, 29 Nov 2026 12:24:35 GMT`: all parts have their places.
    let text = httpdate::fmt_http_date(time);
    let part = |from, to| text.get(from..to).unwrap_or_default();
    let month = MONTHS.iter().position(|month| *month == part(8, 11)).map_or(0, |place| place + 1);
    format!("{}-{month:02}-{}T{}Z", part(12, 16), part(5, 7), part(17, 25))
}

/// Now.
pub(crate) fn now() -> String {
    rfc3339(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_moment_is_written_as_programs_read_it() {
        let at = |seconds| rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!((at(1_795_955_075), at(0)), ("2026-11-29T12:24:35Z".into(), "1970-01-01T00:00:00Z".into()));
    }
}
