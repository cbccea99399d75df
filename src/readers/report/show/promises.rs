//! What is promised of a run, and how it was checked.

use super::parts::section;
use crate::readers::report::facts::Facts;
use crate::readers::report::html::{Html, counted, grouped};

pub(super) fn part(facts: &Facts, html: &mut Html) {
    section(html, "promises", "What is promised", |html| {
        html.within("ul", &[("class", "promises")], |html| {
            let answers = counted(facts.answers.counts.answers, "answer is", "answers are");
            for sentence in [
                format!("An answer counts only once it is on disk: {answers} kept in answers.jsonl, those of no use too."),
                format!(
                    "Labels are a function of the settings and the logs: made again, the {} come out with the same bytes.",
                    counted(facts.events, "label event", "label events")
                ),
                "No label was decided by a student that had learned from that very text.".to_owned(),
                "Right labels and audited samples are read to judge alone: nothing that labels has seen them, but for those that were \
                 given as corrections too.".to_owned(),
                "What a person corrected stands over whatever is computed, and is kept in a log of its own.".to_owned(),
                "This report was made from the run's files alone; the same files give the same report.".to_owned(),
            ] {
                html.element("li", &[], &sentence);
                html.line();
            }
            checked(facts, html);
        });
    });
}

/// What a look at every line found, where there was one.
fn checked(facts: &Facts, html: &mut Html) {
    let Some(reports) = &facts.checked else {
        html.markup("<li>The logs were not checked line by line for this report: <code>candist report RUN --check</code> does so.</li>");
        return;
    };
    for report in reports {
        let wrong = match report.problems.first() {
            None => "all as they were written".to_owned(),
            Some((line, why)) => {
                let count = counted(report.problems.len() as u64, "problem", "problems");
                format!("{count}; line {} {why}", grouped(*line))
            }
        };
        let lines = counted(report.lines, "line", "lines");
        let class = if report.problems.is_empty() { "checked" } else { "checked bad" };
        html.element(
            "li",
            &[("class", class)],
            &format!("Checked {}: {lines}, {}: {wrong}.", report.name, report.holds),
        );
        html.line();
    }
}
