//! What a run came to: labels, doubts, failures, costs, and what can be done next. For a person as lines, for a program as an
//! object.

use std::path::Path;
use std::time::Duration;

use candist::{DOUBTFUL, Distribution, FEW_TEXTS, FailureCounts};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::messages::printable;
use super::pace::duration;
use super::width::{cut, fit, tame, width, wrapped};
use super::{grouped, money};

/// Labels that are listed.
const LISTED: usize = 10;
/// Columns of a name in a list of labels, at most.
const NAME: usize = 32;
/// Cells of the longest bar, at most.
const BAR: usize = 24;

/// What a run came to.
#[derive(Debug)]
pub(super) struct Summary<'a> {
    /// How the run is named on a command line.
    pub(super) run: &'a str,
    /// How its configuration is named there.
    pub(super) configuration: &'a str,
    /// In one sentence.
    pub(super) work: String,
    /// Questions asked by this process.
    pub(super) asked: u64,
    /// Label events in the log.
    pub(super) events: u64,
    pub(super) distribution: Distribution,
    pub(super) failures: FailureCounts,
    /// The texts that a pilot was of, where the corpus may have more.
    pub(super) pilot: Option<u64>,
    /// All that is spent, at most.
    pub(super) spent: Decimal,
    /// How long this process took.
    pub(super) took: Duration,
    /// Why confidences are no probabilities, where the refinery says so.
    pub(super) calibration_doubt: Option<String>,
}

impl Summary<'_> {
    /// Lines of so many columns.
    pub(super) fn text(&self, columns: usize) -> String {
        let mut lines = vec![self.work.clone()];
        let mut told = format!("  took {}", duration(self.took));
        if self.spent > Decimal::ZERO {
            told.push_str(&format!("; spent so far, at most: {}", money(self.spent)));
        }
        lines.push(told);
        lines.extend(bars(&self.distribution, columns));
        if let Some(why) = self.not_calibrated() {
            lines.extend(ranking(&why, columns));
        }
        if self.distribution.doubtful > 0 {
            lines.push(doubts(&self.distribution));
        }
        if let Some(texts) = self.pilot {
            let texts = grouped(texts);
            lines.push(format!(
                "  this was a pilot: no more than the first {texts} texts were read; their answers count later"
            ));
        }
        lines.push("  next:".to_owned());
        // Why, where there is room for it: a command is copied, and must not be broken.
        lines.extend(self.next().into_iter().map(|(command, why)| {
            let explained = format!("    {command:<44}  # {why}");
            if width(&explained) < columns { explained } else { format!("    {command}") }
        }));
        lines.join("\n")
    }

    /// The same for a program.
    pub(super) fn object(&self) -> Value {
        let labels: Vec<Value> =
            self.distribution.labels.iter().map(|(label, texts)| json!({"label": label, "texts": texts})).collect();
        let FailureCounts { samples, rows, unanswered } = self.failures;
        json!({
            "type": "summary",
            "complete": unanswered == 0,
            "texts": self.distribution.texts,
            "asked": self.asked,
            "label_events": self.events,
            "labels": labels,
            "doubtful": {"below": DOUBTFUL, "texts": self.distribution.doubtful},
            "pilot": self.pilot,
            "calibrated": self.not_calibrated().is_none(),
            "calibration_doubt": self.not_calibrated(),
            "failures": {"without_candidates": samples, "bad_rows": rows, "unanswered": unanswered},
            "spent": self.spent.normalize(),
            "seconds": (self.took.as_secs_f64() * 10.0).round() / 10.0,
            "next": self.next().into_iter().map(|(command, _)| command).collect::<Vec<_>>(),
        })
    }

    /// Why confidences are no probabilities here. Without a label there are none.
    fn not_calibrated(&self) -> Option<String> {
        match self.distribution.texts {
            0 => None,
            1..FEW_TEXTS => Some(format!("there are fewer than some {FEW_TEXTS} texts to calibrate them on")),
            _ => self.calibration_doubt.clone(),
        }
    }

    /// Commands that make sense now, and why.
    fn next(&self) -> Vec<(String, &'static str)> {
        let run = self.run;
        let mut next = Vec::new();
        if self.pilot.is_some() {
            let configuration = self.configuration;
            next.push((format!("candist plan {configuration}"), "what all texts take, by what was measured"));
            next.push((format!("candist run {configuration}"), "goes on, and asks about none of these again"));
        }
        if self.distribution.texts > 0 {
            next.push((format!("candist export {run} --labels labels.csv"), "the labels as a table"));
            if self.distribution.doubtful > 0 {
                next.push((
                    format!("candist export {run} --labels doubtful.csv --doubtful 100"),
                    "the least certain ones",
                ));
            }
            next.push((
                format!("candist audit {run} --sample 200 > sample.jsonl"),
                "how good are they? fill in \"gold\"",
            ));
        }
        let FailureCounts { samples, rows, unanswered } = self.failures;
        if samples + rows + unanswered > 0 {
            next.push((format!("candist failures {run}"), "what failed, and why"));
        }
        next
    }
}

/// That an error ended the run, for a program.
pub(super) fn failed(message: &str, exit: i32) -> Value {
    json!({"type": "summary", "complete": false, "error": message, "exit": exit})
}

/// That confidences are a ranking, why, and what to do about it.
pub(super) fn ranking(why: &str, columns: usize) -> Vec<String> {
    let told = format!(
        "confidences are a ranking here, and may be far from probabilities: {}; an audit of 200 texts tells",
        printable(why)
    );
    wrapped(&told, "  ", columns)
}

/// How many labels are doubtful, and what that means.
fn doubts(distribution: &Distribution) -> String {
    let share = share(distribution.doubtful, distribution.texts);
    format!("  {} labels ({share}) are doubtful: their confidence is below {DOUBTFUL}", grouped(distribution.doubtful))
}

fn share(part: u64, all: u64) -> String {
    format!("{:.1}%", 100.0 * part as f64 / all.max(1) as f64)
}

/// The largest labels with their shares, in lines of at most so many columns.
pub(super) fn bars(distribution: &Distribution, columns: usize) -> Vec<String> {
    let listed: Vec<(String, u64)> =
        distribution.labels.iter().take(LISTED).map(|(label, texts)| (tame(label), *texts)).collect();
    let Some((_, most)) = listed.first() else { return Vec::new() };
    let digits = grouped(*most).len();
    // Indent, count, share and the spaces between them.
    let fixed = 4 + 2 + digits + 2 + 6 + 2;
    let left = columns.saturating_sub(fixed + 1);
    let name = listed.iter().map(|(label, _)| width(label)).max().unwrap_or_default().min(NAME).min(left.max(8));
    let cells = left.saturating_sub(name).min(BAR);
    let line = |label: &str, texts: u64| {
        let filled = (texts as f64 / *most as f64 * cells as f64).round() as usize;
        let bar = "█".repeat(filled.min(cells));
        let share = share(texts, distribution.texts);
        format!("    {}  {:>digits$}  {share:>6}  {bar}", fit(label, name), grouped(texts)).trim_end().to_owned()
    };
    let mut lines = vec![match distribution.labels.len() {
        all if all > LISTED => format!("  the largest {LISTED} of {} labels", grouped(all as u64)),
        _ => "  labels".to_owned(),
    }];
    lines.extend(listed.iter().map(|(label, texts)| line(label, *texts)));
    lines.into_iter().map(|line| cut(&line, columns)).collect()
}

/// A path as a shell reads it back.
pub(super) fn shell_word(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |character: char| character.is_alphanumeric() || "/._-+=:,@%".contains(character);
    if !path.is_empty() && path.chars().all(is_plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many() -> Distribution {
        let labels = (0..12).map(|number| (format!("label-{number:02}-漢字"), 1200 - 100 * number)).collect();
        Distribution { texts: 7800, doubtful: 312, labels }
    }

    fn summary(distribution: Distribution, failures: FailureCounts) -> Summary<'static> {
        Summary {
            run: "runs/a",
            configuration: "a.toml",
            work: "complete".to_owned(),
            asked: 9,
            events: 10,
            distribution,
            failures,
            pilot: None,
            spent: "0.83".parse().unwrap(),
            took: Duration::from_secs(63),
            calibration_doubt: None,
        }
    }

    #[test]
    fn the_largest_labels_fit_any_width() {
        for columns in [40, 80, 200] {
            let lines = bars(&many(), columns);
            assert_eq!(lines.len(), LISTED + 1);
            assert!(lines.iter().all(|line| width(line) < columns), "{lines:?}");
            assert!(lines[1].contains("1,200") && lines[1].contains("15.4%") && lines[1].contains('█'), "{}", lines[1]);
        }
        assert!(bars(&Distribution::default(), 80).is_empty());
    }

    #[test]
    fn what_to_do_next_follows_from_what_came_out() {
        let none = FailureCounts { samples: 0, rows: 0, unanswered: 0 };
        let text = summary(many(), none).text(80);
        assert!(text.contains("took 1 min 03 s; spent so far, at most: 0.83"), "{text}");
        assert!(
            text.contains("312 labels (4.0%) are doubtful") && text.contains("--labels doubtful.csv --doubtful 100")
        );
        assert!(!text.contains("failures") && !text.contains("a ranking"), "{text}");
        let doubted = Summary { calibration_doubt: Some("there is one teacher".into()), ..summary(many(), none) };
        let told = doubted.text(200);
        assert!(told.contains("a ranking here, and may be far from probabilities: there is one teacher;"), "{told}");
        assert_eq!(doubted.object()["calibrated"], json!(false));
        let few = Distribution { texts: 299, doubtful: 0, labels: vec![("a".into(), 299)] };
        let text = summary(few, FailureCounts { samples: 1, ..none }).text(80);
        assert!(text.contains("candist failures runs/a") && text.contains("confidences are a ranking here"), "{text}");
        assert!(text.lines().all(|line| width(line) < 80), "{text}");
        assert!(!text.contains("doubtful"), "{text}");
    }

    #[test]
    fn a_program_is_told_the_same() {
        let object = summary(many(), FailureCounts { samples: 1, rows: 2, unanswered: 3 }).object();
        assert_eq!((object["type"].as_str(), object["complete"].as_bool()), (Some("summary"), Some(false)));
        assert_eq!(object["labels"].as_array().unwrap().len(), 12);
        assert_eq!(object["failures"], json!({"without_candidates": 1, "bad_rows": 2, "unanswered": 3}));
        assert_eq!((object["spent"].as_str(), object["seconds"].as_f64()), (Some("0.83"), Some(63.0)));
    }

    #[test]
    fn paths_are_read_back_by_a_shell() {
        let told = ["runs/a", "", "my run", "it's"].map(|path| shell_word(Path::new(path)));
        assert_eq!(told, ["runs/a", "''", "'my run'", "'it'\\''s'"]);
    }
}
