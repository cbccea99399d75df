//! The head: what was labelled, by whom, and how far it is.

use super::parts::name;
use crate::readers::report::answers::Answered;
use crate::readers::report::facts::Facts;
use crate::readers::report::html::{Html, counted, grouped};
use crate::readers::report::state::State;

const ICON: &str = "<svg class=\"icon\" viewBox=\"0 0 32 32\" aria-hidden=\"true\"><rect x=\"3\" y=\"4\" width=\"26\" height=\"5\" rx=\"2.5\" \
                    opacity=\".45\"/><rect x=\"3\" y=\"13.5\" width=\"17\" height=\"5\" rx=\"2.5\" opacity=\".7\"/><circle cx=\"7.5\" \
                    cy=\"25\" r=\"4.5\"/></svg>";

/// Label names that are told, at most.
const NAMED: usize = 6;

pub(super) fn top(facts: &Facts, html: &mut Html) {
    html.within("header", &[], |html| {
        html.within("p", &[("class", "brand")], |html| {
            html.markup(ICON);
            html.markup("candist report");
        });
        html.element("h1", &[("dir", "auto")], &facts.task);
        html.within("p", &[("class", "state"), ("data-state", class(facts.state))], |html| {
            html.markup("<span class=\"mark\"></span>");
            html.text(&sentence(facts.state));
        });
        html.within("dl", &[("class", "about")], |html| about(facts, html));
    });
}

fn class(state: State) -> &'static str {
    match state {
        State::Complete => "complete",
        State::Running { .. } => "running",
        State::Unanswered(_) | State::Stopped { .. } => "open",
    }
}

/// How far the run is.
fn sentence(state: State) -> String {
    match state {
        State::Complete => "Complete: every label is final.".to_owned(),
        State::Running { done, total: Some(total) } => {
            format!("Still running: {} of {} rows are done. Labels may change.", grouped(done), grouped(total))
        }
        State::Running { total: None, .. } => "Still running: labels may change.".to_owned(),
        State::Unanswered(texts) => {
            let texts = counted(texts, "text that is not answered yet", "texts that are not answered yet");
            format!("Complete but for {texts}: the same command asks again.")
        }
        State::Stopped { left: Some(left) } => {
            format!("Stopped with {} to go; the same command goes on.", counted(left, "row", "rows"))
        }
        State::Stopped { left: None } => "Stopped before the end; the same command goes on.".to_owned(),
    }
}

fn about(facts: &Facts, html: &mut Html) {
    entry(html, "Run directory", |html| name(html, &facts.directory));
    entry(html, "Texts", |html| html.text(&grouped(facts.counts.texts)));
    entry(html, "Labels", |html| labels(facts, html));
    let teachers = facts.answers.teachers.get(..facts.teachers).unwrap_or_default();
    entry(html, if teachers.len() == 1 { "Teacher" } else { "Teachers" }, |html| {
        html.within("ul", &[], |html| {
            teachers.iter().for_each(|teacher| html.within("li", &[], |html| told(teacher, html)));
        });
    });
    if let Some(refinery) = &facts.refinery {
        entry(html, "Refinery", |html| name(html, refinery));
    }
    if let Some(newest) = &facts.newest {
        entry(html, "Newest log", |html| html.text(newest));
    }
    entry(html, "candist", |html| html.markup(env!("CARGO_PKG_VERSION")));
}

fn entry(html: &mut Html, what: &'static str, value: impl FnOnce(&mut Html)) {
    html.within("div", &[], |html| {
        html.element("dt", &[], what);
        html.within("dd", &[], value);
    });
    html.line();
}

fn labels(facts: &Facts, html: &mut Html) {
    html.text(&grouped(facts.labels.len() as u64));
    if facts.labels.len() <= NAMED {
        html.markup(": ");
        for (place, label) in facts.labels.iter().enumerate() {
            html.markup(if place > 0 { ", " } else { "" });
            name(html, &label.name);
        }
    }
}

/// A teacher, the models that answered in its name, and whether it was asked or its answers came from a recording.
fn told(teacher: &Answered, html: &mut Html) {
    name(html, &teacher.teacher);
    let models: Vec<&String> = teacher.models.iter().filter(|model| **model != teacher.teacher).collect();
    html.within("small", &[], |html| {
        for (place, model) in models.iter().enumerate() {
            html.markup(if place > 0 { ", " } else { "answered by " });
            name(html, model);
        }
        let kind = match (teacher.answers, teacher.is_asked) {
            (0, _) => "no answers yet",
            (_, true) if models.is_empty() => "asked",
            (_, true) => "",
            (_, false) => "recorded answers",
        };
        html.markup(if models.is_empty() || kind.is_empty() { "" } else { ", " });
        html.markup(kind);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_told_in_a_sentence() {
        let stopped = sentence(State::Stopped { left: Some(1200) });
        assert_eq!(stopped, "Stopped with 1,200 rows to go; the same command goes on.");
        assert!(sentence(State::Unanswered(1)).contains("1 text that is not answered"));
        let told = |teacher: Answered| {
            let mut html = Html::default();
            told(&teacher, &mut html);
            html.finish()
        };
        let teacher = Answered { teacher: "<t>".to_owned(), answers: 3, ..Answered::default() };
        assert_eq!(told(teacher.clone()), "<bdi class=\"name\">&lt;t&gt;</bdi><small>recorded answers</small>");
        let models = ["m-1", "m-2"].map(str::to_owned).into();
        let told = told(Answered { models, is_asked: true, ..teacher });
        assert!(told.ends_with("answered by <bdi class=\"name\">m-1</bdi>, <bdi class=\"name\">m-2</bdi></small>"));
    }
}
