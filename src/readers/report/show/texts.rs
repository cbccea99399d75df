//! Texts to look at: the least certain labels, and where teachers disagree most.

use super::parts::{chip, name, paragraph, section};
use crate::domain::candidates::Opinion;
use crate::readers::report::chosen::Example;
use crate::readers::report::facts::Facts;
use crate::readers::report::html::{Html, grouped};
use crate::readers::report::rows::{NONE, Row};

/// Labels of one teacher that are shown.
const LABELS: usize = 6;

pub(super) fn part(facts: &Facts, html: &mut Html) {
    if facts.chosen.least.is_empty() {
        return;
    }
    section(html, "texts", "Texts to look at", |html| {
        html.markup("<h3>The least certain labels</h3>\n");
        paragraph(
            html,
            "lead",
            "Whoever corrects some labels gains most here. Beside each text: its label with its confidence, and what the teachers named.",
        );
        list(facts, &facts.chosen.least, html);
        if !facts.chosen.disputed.is_empty() {
            html.markup("<h3>Where teachers disagree most</h3>\n");
            list(facts, &facts.chosen.disputed, html);
        }
    });
}

fn list(facts: &Facts, places: &[u32], html: &mut Html) {
    html.within("ol", &[("class", "texts")], |html| {
        for example in places.iter().filter_map(|place| facts.examples.get(place)) {
            item(html, example, |html| {
                html.within("p", &[], |html| {
                    chip(html, "chip", facts.label(example.row.label));
                    html.element("span", &[("class", "sure")], &format!("{:.2}", example.row.confidence));
                    right(facts, &example.row, html);
                });
                said(facts, example, html);
            });
        }
    });
    html.line();
}

/// A text with its id, and what is to be told beside it.
pub(super) fn item(html: &mut Html, example: &Example, beside: impl FnOnce(&mut Html)) {
    html.within("li", &[], |html| {
        html.within("div", &[("class", "said")], |html| {
            html.within("blockquote", &[("dir", "auto")], |html| {
                html.text(&example.text);
                html.markup(if example.cut_from.is_some() { "…" } else { "" });
            });
            html.within("p", &[("class", "id")], |html| {
                html.element("bdi", &[], &example.id);
                if let Some(bytes) = example.cut_from {
                    html.text(&format!(", cut from {} bytes", grouped(bytes as u64)));
                }
            });
        });
        html.within("div", &[("class", "beside")], beside);
    });
    html.line();
}

/// The right label, where it is known.
pub(super) fn right(facts: &Facts, row: &Row, html: &mut Html) {
    if row.gold == NONE {
        return;
    }
    if row.gold == row.label {
        html.markup("<span class=\"verdict\">right</span>");
    } else {
        html.within("span", &[("class", "fix")], |html| {
            html.markup("<span class=\"wrong\">right would be</span> ");
            chip(html, "chip", facts.label(row.gold));
        });
    }
}

/// What each teacher named.
fn said(facts: &Facts, example: &Example, html: &mut Html) {
    let named: Vec<&Opinion> = example.outcome.opinions.iter().filter(|opinion| !opinion.labels.is_empty()).collect();
    if named.is_empty() {
        html.markup("<p class=\"opinion\">no teacher named a label</p>");
        return;
    }
    for opinion in named {
        html.within("p", &[("class", "opinion")], |html| {
            html.within("span", &[("class", "who")], |html| name(html, facts.teacher(usize::from(opinion.teacher))));
            for (place, label) in opinion.labels.iter().take(LABELS).enumerate() {
                html.markup(if place > 0 { ", " } else { " " });
                name(html, facts.label(label.0));
            }
            let more = opinion.labels.len().saturating_sub(LABELS);
            if more > 0 {
                html.text(&format!(" and {more} more"));
            }
        });
    }
}
