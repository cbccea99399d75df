//! What was asked and paid for, what failed, and what people corrected.

use super::parts::{Column, count, head_cell, number, paragraph, row, section, share_cell, table};
use crate::domain::answer::ProblemKind;
use crate::readers::report::answers::{Answered, Useless};
use crate::readers::report::chosen::cut;
use crate::readers::report::facts::Facts;
use crate::readers::report::html::{Html, counted, grouped, money, share};
use crate::store::Failure;

/// Characters of a reason that are shown.
const REASON: usize = 240;

pub(super) fn part(facts: &Facts, html: &mut Html) {
    if facts.answers.counts.answers > 0 {
        section(html, "answers", "Answers and costs", |html| answers(facts, html));
    }
    if has_failures(facts) {
        section(html, "failures", "What failed", |html| failures(facts, html));
    }
    if !facts.people.is_empty() {
        section(html, "people", "Labels that people gave", |html| people(facts, html));
    }
}

fn answers(facts: &Facts, html: &mut Html) {
    let teachers = &facts.answers.teachers;
    let has_tokens = facts.answers.counts.totals.usage.total() > 0;
    let has_costs = teachers.iter().any(|teacher| teacher.cost.is_some());
    let has_seconds = teachers.iter().any(|teacher| teacher.seconds().is_some());
    let mut columns: Vec<Column> = vec![("Teacher", false), ("Answers", true), ("Without a label", true)];
    if has_tokens {
        columns.extend([("Tokens asked", true), ("of these cached", true), ("Tokens answered", true)]);
    }
    if has_costs {
        columns.extend([("Cost", true), ("a 1,000 answers", true)]);
    }
    if has_seconds {
        columns.push(("Mean seconds", true));
    }
    let line = |html: &mut Html, teacher: &Answered| {
        row(html, |html| {
            head_cell(html, &teacher.teacher);
            count(html, teacher.answers);
            count(html, teacher.useless);
            if has_tokens {
                let usage = teacher.usage;
                [usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens]
                    .into_iter()
                    .for_each(|n| count(html, n));
            }
            if has_costs {
                costs(html, teacher);
            }
            if has_seconds {
                number(html, &teacher.seconds().map_or("–".to_owned(), |seconds| format!("{seconds:.1}")));
            }
        });
    };
    table(html, &columns, |html| teachers.iter().for_each(|teacher| line(html, teacher)));
    note(facts, html);
}

fn costs(html: &mut Html, teacher: &Answered) {
    let Some(cost) = teacher.cost else {
        share_cell(html, None);
        return share_cell(html, None);
    };
    number(html, &money(cost));
    let each = cost.checked_div(teacher.answers.into()).and_then(|each| each.checked_mul(1000.into()));
    number(html, &each.map_or("–".to_owned(), money));
}

/// What the table's sums do not say.
fn note(facts: &Facts, html: &mut Html) {
    let mut notes = Vec::new();
    if facts.spent.unknown > rust_decimal::Decimal::ZERO {
        notes.push(format!(
            "{} more may have been spent, at most, on requests whose outcome is not known.",
            money(facts.spent.unknown)
        ));
    }
    if facts.answers.counts.damaged > 0 {
        let lines = counted(facts.answers.counts.damaged, "line of the answers is", "lines of the answers are");
        notes.push(format!("{lines} damaged, and not counted."));
    }
    if facts.answers.teachers.iter().any(|teacher| teacher.cost.is_some()) {
        notes.push("Costs are in the currency of the configured prices.".to_owned());
    }
    if !notes.is_empty() {
        paragraph(html, "note", &notes.join(" "));
    }
}

fn has_failures(facts: &Facts) -> bool {
    facts.counts.failed > 0 || facts.bad_rows.0 > 0 || facts.unanswered.0 > 0 || !facts.answers.problems.is_empty()
}

fn failures(facts: &Facts, html: &mut Html) {
    table(html, &[("What", false), ("How often", true), ("For example", false)], |html| {
        if facts.counts.failed > 0 {
            kind(html, "Texts without a candidate", facts.counts.failed, |html| {
                for example in facts.chosen.failed.iter().filter_map(|place| facts.examples.get(place)) {
                    let reason = example.outcome.failure.as_deref().unwrap_or("no teacher named a label");
                    told(html, &example.id, reason);
                }
            });
        }
        for (what, (times, failures)) in
            [("Texts without an answer", &facts.unanswered), ("Rows that cannot be used", &facts.bad_rows)]
        {
            if *times > 0 {
                let each = |html: &mut Html, failure: &Failure| told(html, &failure.id, &failure.reason);
                kind(html, what, *times, |html| failures.iter().for_each(|failure| each(html, failure)));
            }
        }
        for (problem, (times, examples)) in &facts.answers.problems {
            let each = |html: &mut Html, useless: &Useless| {
                told(html, &format!("{} on {}", useless.teacher, useless.id), &useless.why);
            };
            kind(html, sentence(*problem), *times, |html| examples.iter().for_each(|useless| each(html, useless)));
        }
    });
}

fn kind(html: &mut Html, what: &str, times: u64, examples: impl FnOnce(&mut Html)) {
    row(html, |html| {
        head_cell(html, what);
        number(html, &grouped(times));
        html.within("td", &[("class", "examples")], examples);
    });
}

fn told(html: &mut Html, id: &str, reason: &str) {
    html.within("p", &[], |html| {
        html.element("bdi", &[("class", "id")], cut(id, 100));
        html.markup(" ");
        html.element("bdi", &[], cut(reason, REASON));
        html.markup(if cut(reason, REASON).len() < reason.len() { "…" } else { "" });
    });
}

fn sentence(problem: ProblemKind) -> &'static str {
    match problem {
        ProblemKind::OffList => "Answers that name no label of the task, or others besides",
        ProblemKind::Empty => "Answers that name nothing",
        ProblemKind::Refused => "Texts that a model refused",
        ProblemKind::CutOff => "Answers that are cut off",
        ProblemKind::Missing => "Answers that a recording does not have",
        ProblemKind::Unanswered => "Requests that were given up",
    }
}

fn people(facts: &Facts, html: &mut Html) {
    table(html, &[("Who", false), ("Labels", true), ("Share of those given", true)], |html| {
        let all: u64 = facts.people.iter().map(|(_, texts)| texts).sum();
        for (who, texts) in &facts.people {
            row(html, |html| {
                head_cell(html, who.as_deref().unwrap_or("nobody said who"));
                count(html, *texts);
                share_cell(html, Some(share(*texts, all)));
            });
        }
    });
}
