//! What is shown of a live run: some lines as wide as the terminal, or one sentence where there is none.
//!
//! What does not fit is left out, by its importance; no line is wrapped. Everything is a function of the counters, so it can
//! be shown by the run itself and by whoever watches it.

use std::time::Duration;

use candist::{Phase, Status};
use rust_decimal::Decimal;

use super::pace::{Pace, duration};
use super::width::{cut, fit, tame, width};
use super::{grouped, money};

/// Cells of a bar, at least and at most.
const BAR: (usize, usize) = (10, 40);
/// Columns that are left to what stands beside a bar, so that it does not change its length all the time; on a narrower
/// terminal there is none.
const BESIDE: usize = 46;
/// Between parts of a line.
const BETWEEN: &str = " · ";
const INDENT: &str = "  ";

/// A part of a line; what has the highest number is left out first.
type Part = (u8, String);

/// The lines of a display of so many columns, fewer than so many rows.
pub(super) fn lines(status: &Status, pace: &Pace, columns: usize, rows: usize) -> Vec<String> {
    // The last column stays free: some terminals break a line that fills it.
    let columns = columns.saturating_sub(1).max(1);
    // In the order of their importance, each with its place.
    let mut lines = vec![(0, head(status, pace, columns))];
    let rest = [(2, asking(status)), (4, wrong(status)), (3, spending(status)), (5, student(status))];
    lines.extend(rest.into_iter().filter(|(_, parts)| !parts.is_empty()).map(|(place, parts)| {
        let line = format!("{INDENT}{}", join(parts, BETWEEN, columns.saturating_sub(INDENT.len())));
        (place, line)
    }));
    lines.extend((6..).zip(newest(status, columns)));
    lines.truncate(rows.saturating_sub(1));
    lines.sort_by_key(|(place, _)| *place);
    lines.into_iter().map(|(_, line)| cut(&line, columns)).collect()
}

/// The parts that fit, the most important ones, in their order.
fn join(mut parts: Vec<Part>, between: &str, columns: usize) -> String {
    loop {
        let line = parts.iter().map(|(_, part)| part.as_str()).collect::<Vec<_>>().join(between);
        let least = parts.iter().enumerate().max_by_key(|(_, (importance, _))| *importance).map(|(place, _)| place);
        match least {
            Some(place) if parts.len() > 1 && width(&line) > columns => drop(parts.remove(place)),
            _ => return cut(&line, columns),
        }
    }
}

/// How far it is: a bar where there is room for one, numbers, rate, and how long it still takes.
pub(super) fn head(status: &Status, pace: &Pace, columns: usize) -> String {
    let settling = status.phase == Phase::Settling;
    let done = status.total.map_or(status.done, |total| status.done.min(total));
    let mut parts: Vec<Part> = Vec::new();
    match status.total {
        Some(total) => {
            parts.push((0, format!("{} of {}", grouped(done), grouped(total))));
            parts.push((1, percent(done, total)));
        }
        None => parts.push((0, format!("{} texts", grouped(done)))),
    }
    if let Some(rate) = pace.rate().filter(|_| !settling) {
        parts.push((3, per_second(rate)));
    }
    parts.push((2, ends(status, pace)));
    let line = join(parts, INDENT, columns);
    let room = columns.saturating_sub(width(&line).max(BESIDE) + INDENT.len()).min(BAR.1);
    match status.total {
        Some(total) if room >= BAR.0 => format!("{}{INDENT}{line}", bar(done, total, room)),
        _ => line,
    }
}

/// When it will have asked about everything, or how long it takes so far.
fn ends(status: &Status, pace: &Pace) -> String {
    let left = pace.left(status).filter(|_| status.phase == Phase::Annotating && status.pause.is_none());
    match left {
        Some(left) => format!("{} left", duration(left)),
        None => format!("{} so far", duration(Duration::from_secs_f64(status.elapsed_s.max(0.0)))),
    }
}

fn per_second(rate: f64) -> String {
    if rate < 100.0 { format!("{rate:.1}/s") } else { format!("{}/s", grouped(rate as u64)) }
}

/// Rounded down: nothing is done before it is.
fn percent(done: u64, total: u64) -> String {
    format!("{}%", (u128::from(done) * 100).checked_div(u128::from(total)).unwrap_or(100))
}

fn bar(done: u64, total: u64, cells: usize) -> String {
    let full = (done as f64 / total.max(1) as f64 * cells as f64) as usize;
    let full = full.min(cells);
    format!("{}{}", "█".repeat(full), "░".repeat(cells - full))
}

/// What teachers are at. Nothing once all is asked.
fn asking(status: &Status) -> Vec<Part> {
    let mut parts: Vec<Part> = pause(status).map(|pause| (0, pause)).into_iter().collect();
    if status.in_flight > 0 {
        parts.push((1, format!("{} in flight", grouped(status.in_flight))));
    }
    if status.retries > 0 {
        parts.push((2, plural(status.retries, "retry", "retries")));
    }
    parts
}

/// That nothing is sent, for how long and why.
pub(super) fn pause(status: &Status) -> Option<String> {
    let pause = status.pause.as_ref()?;
    Some(format!("paused {} s: {}", pause.seconds.ceil().max(1.0), tame(&pause.why)))
}

/// What went wrong, where anything did.
fn wrong(status: &Status) -> Vec<Part> {
    let mut parts = Vec::new();
    for (importance, count, one, many) in [
        (1, status.failed, "without candidates", "without candidates"),
        (0, status.unanswered, "unanswered", "unanswered"),
        (2, status.bad_rows, "bad row", "bad rows"),
    ] {
        if count > 0 {
            parts.push((importance, plural(count, one, many)));
        }
    }
    parts
}

/// What it costs. Nothing where nothing was spent.
fn spending(status: &Status) -> Vec<Part> {
    if status.spent <= Decimal::ZERO {
        return Vec::new();
    }
    let mut spent = format!("spent {}", cents(status.spent));
    if let Some(cap) = status.max_cost {
        spent.push_str(&format!(" of {}", cents(cap)));
    }
    if let Some(all) = status.projected().filter(|_| status.left() > Some(0)) {
        spent.push_str(&format!(", about {} in all", cents(all)));
    }
    vec![(0, spent)]
}

/// Two digits after the point, and more only where the amount is below one cent.
fn cents(amount: Decimal) -> String {
    if amount >= Decimal::new(1, 2) { format!("{:.2}", amount.round_dp(2)) } else { money(amount) }
}

/// Where the student is.
fn student(status: &Status) -> Vec<Part> {
    let mut parts = Vec::new();
    if status.phase == Phase::Settling {
        parts.push((0, settling(status)));
    } else if status.behind() > 0 {
        parts.push((0, format!("student {} behind", plural(status.behind(), "text", "texts"))));
    } else if status.consumed > 0 {
        parts.push((0, "student up to date".to_owned()));
    }
    if status.events > 0 {
        parts.push((1, plural(status.events, "label event", "label events")));
    }
    parts
}

fn settling(status: &Status) -> String {
    match (status.pass, status.max_passes) {
        // Between passes, and after the last.
        (0, _) => "settling the labels".to_owned(),
        (pass, 0) => format!("settling: pass {pass}"),
        (pass, most) => format!("settling: pass {pass} of at most {most}"),
    }
}

fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// The newest labels: confidence, label and text, in columns.
pub(super) fn newest(status: &Status, columns: usize) -> Vec<String> {
    let labels: Vec<String> = status.newest.iter().map(|new| tame(&new.label)).collect();
    // Confidence and spaces take ten columns; the text gets at least half of the rest.
    let room = columns.saturating_sub(10);
    let widest = labels.iter().map(|label| width(label)).max().unwrap_or_default().min(room / 2);
    let line = |(new, label): (&candist::NewLabel, &String)| {
        let text = tame(if new.text.is_empty() { &new.id } else { &new.text });
        let text = cut(&text, room.saturating_sub(widest));
        cut(&format!("{INDENT}{:.2}  {}{INDENT}{text}", new.confidence, fit(label, widest)), columns)
    };
    status.newest.iter().zip(&labels).map(line).collect()
}

/// All of it in one sentence, for a log.
pub(super) fn sentence(status: &Status, pace: &Pace) -> String {
    let mut told = match status.total {
        Some(total) => {
            let done = status.done.min(total);
            format!("{} of {} texts ({})", grouped(done), grouped(total), percent(done, total))
        }
        None => format!("{} texts", grouped(status.done)),
    };
    if let Some(rate) = pace.rate().filter(|_| status.phase == Phase::Annotating) {
        told.push_str(&format!(", {}", per_second(rate)));
    }
    told.push_str(&format!(", {}", ends(status, pace)));
    for parts in [asking(status), spending(status), wrong(status), student(status)] {
        for (_, part) in parts {
            told.push_str(&format!("; {part}"));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use candist::{NewLabel, Pause, Progress};
    use proptest::prelude::*;
    use std::time::Instant;

    fn busy() -> Status {
        let label = |label: &str, text: &str| NewLabel {
            id: "x".into(),
            text: text.into(),
            label: label.into(),
            confidence: 0.934,
        };
        Status {
            total: Some(3080),
            done: 1234,
            answered: 600,
            placed: 1230,
            consumed: 1000,
            events: 3456,
            failed: 3,
            bad_rows: 1,
            unanswered: 2,
            in_flight: 64,
            retries: 12,
            pause: Some(Pause { seconds: 11.3, why: "429 from api.openai.com".into() }),
            spent: "0.834".parse().unwrap(),
            max_cost: Some("5".parse().unwrap()),
            max_passes: 16,
            elapsed_s: 62.0,
            newest: vec![
                label("card_arrival", "Where is my card?\nI ordered it two weeks ago, and it is still not here, is it"),
                label("漢字漢字", "漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字"),
                label("a", "\u{1b}[2J\u{202e}b"),
            ],
            ..Progress::default().snapshot()
        }
    }

    fn steady() -> Pace {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for second in 0..=30 {
            pace.note(now + Duration::from_secs(second), &Status { answered: 20 * second, ..busy() });
        }
        pace
    }

    #[test]
    fn eighty_columns_show_everything() {
        let status = Status { pause: None, ..busy() };
        let shown = lines(&status, &steady(), 80, 24);
        assert_eq!(
            shown,
            [
                "████████████░░░░░░░░░░░░░░░░░░░  1,234 of 3,080  40%  20.0/s  1 min 32 s left",
                "  64 in flight · 12 retries",
                "  spent 0.83 of 5.00, about 3.40 in all",
                "  3 without candidates · 2 unanswered · 1 bad row",
                "  student 230 texts behind · 3,456 label events",
                "  0.93  card_arrival  Where is my card? I ordered it two weeks ago, and it is …",
                "  0.93  漢字漢字      漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字…",
                "  0.93  a             \\u{1b}[2Jb",
            ]
        );
    }

    #[test]
    fn forty_columns_show_what_matters_most() {
        let shown = lines(&busy(), &steady(), 40, 24);
        assert_eq!(
            shown,
            [
                "1,234 of 3,080  40%  1 min 02 s so far",
                "  paused 12 s: 429 from api.openai.com",
                "  spent 0.83 of 5.00, about 3.40 in all",
                "  3 without candidates · 2 unanswered",
                "  student 230 texts behind",
                "  0.93  card_arrival  Where is my card…",
                "  0.93  漢字漢字      漢字漢字漢字漢字…",
                "  0.93  a             \\u{1b}[2Jb",
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let status = Status { total: None, done: 7, ..Progress::default().snapshot() };
        assert_eq!(lines(&status, &Pace::default(), 80, 24), ["7 texts  0 s so far"]);
        assert_eq!(sentence(&status, &Pace::default()), "7 texts, 0 s so far");
    }

    #[test]
    fn settling_says_which_pass_of_how_many() {
        let status = Status { phase: Phase::Settling, pass: 3, done: 3080, ..busy() };
        let shown = lines(&status, &steady(), 80, 24).join("\n");
        assert!(shown.contains("100%") && shown.contains("settling: pass 3 of at most 16"), "{shown}");
        assert!(!shown.contains("left") && !shown.contains("in all"), "{shown}");
    }

    #[test]
    fn a_low_terminal_shows_the_most_important_lines() {
        let shown = lines(&busy(), &steady(), 80, 4);
        assert!(shown[0].contains("1,234 of 3,080") && shown[1].contains("paused") && shown[2].contains("unanswered"));
        assert_eq!(shown.len(), 3);
    }

    #[test]
    fn one_sentence_says_it_all() {
        assert_eq!(
            sentence(&busy(), &steady()),
            "1,234 of 3,080 texts (40%), 20.0/s, 1 min 02 s so far; paused 12 s: 429 from api.openai.com; 64 in flight; \
             12 retries; spent 0.83 of 5.00, about 3.40 in all; 3 without candidates; 2 unanswered; 1 bad row; \
             student 230 texts behind; 3,456 label events"
        );
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide(columns in 1..200_usize, rows in 0..20_usize, text in ".*", label in ".*", done in any::<u64>()) {
            let new = NewLabel { id: String::new(), text, label, confidence: 1.0 };
            let status = Status { newest: vec![new], done, ..busy() };
            let shown = lines(&status, &steady(), columns, rows);
            prop_assert!(shown.len() < rows.max(1));
            prop_assert!(shown.iter().all(|line| width(line) < columns.max(2)), "{:?}", shown);
            prop_assert!(!shown.concat().chars().any(char::is_control));
        }
    }
}
