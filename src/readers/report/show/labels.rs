//! The labels one by one, and the hardest with examples.

use super::parts::{Column, chip, count, head_cell, name, number, paragraph, row, section, share_cell, table};
use super::texts;
use crate::readers::confusion::LabelFigures;
use crate::readers::report::chosen::Hard;
use crate::readers::report::facts::Facts;
use crate::readers::report::html::{Html, counted, percent, share};
use crate::readers::report::svg;

/// Rows of the table, at most.
const SHOWN: usize = 250;

pub(super) fn part(facts: &Facts, html: &mut Html) {
    if facts.counts.labelled == 0 {
        return;
    }
    section(html, "labels", "Label by label", |html| {
        let order = facts.counts.by_frequency();
        let most = order.first().map_or(1, |label| facts.counts.label(*label).texts);
        let columns = columns(facts);
        table(html, &columns, |html| order.iter().take(SHOWN).for_each(|label| line(facts, *label, most, html)));
        if let Some(judged) = &facts.judged {
            let macro_f1 = percent(judged.details.macro_f1);
            paragraph(
                html,
                "note",
                &format!("The mean F1 of the labels that known texts have (macro F1) is {macro_f1}."),
            );
        }
        if order.len() > SHOWN {
            let more = counted((order.len() - SHOWN) as u64, "rarer label is", "rarer labels are");
            paragraph(html, "note", &format!("{more} left out."));
        }
        if !facts.chosen.hard.is_empty() {
            hardest(facts, html);
        }
    });
}

fn columns(facts: &Facts) -> Vec<Column> {
    let mut columns = vec![("Label", false), ("Texts", true), ("", false), ("Share", true), ("Mean confidence", true)];
    if facts.counts.corrected > 0 {
        columns.push(("Given by people", true));
    }
    if facts.judged.is_some() {
        columns.extend([("Known", true), ("Precision", true), ("Recall", true), ("F1", true)]);
    }
    columns
}

fn line(facts: &Facts, label: u16, most: u64, html: &mut Html) {
    let counts = facts.counts.label(label);
    row(html, |html| {
        head_cell(html, facts.label(label));
        count(html, counts.texts);
        html.within("td", &[("class", "bar-cell")], |html| svg::bar(html, share(counts.texts, most)));
        share_cell(html, Some(share(counts.texts, facts.counts.labelled)));
        match counts.confidence() {
            Some(confidence) => number(html, &format!("{confidence:.2}")),
            None => share_cell(html, None),
        }
        if facts.counts.corrected > 0 {
            share_cell(html, (counts.corrected > 0).then(|| share(counts.corrected, counts.texts)));
        }
        if let Some(figures) = figures(facts, label) {
            count(html, figures.support);
            [figures.precision, figures.recall, figures.f1].into_iter().for_each(|share| share_cell(html, share));
        }
    });
}

fn figures(facts: &Facts, label: u16) -> Option<&LabelFigures> {
    facts.judged.as_ref()?.details.labels.get(usize::from(label))
}

fn hardest(facts: &Facts, html: &mut Html) {
    html.markup("<h3>The hardest labels</h3>\n");
    let told = if facts.judged.is_some() {
        "Those with the lowest F1 of the labels that five texts or more are known to have, each with the surest mistakes."
    } else {
        "Those with the lowest mean confidence of the labels that five texts or more have, each with its least certain texts."
    };
    paragraph(html, "lead", told);
    facts.chosen.hard.iter().for_each(|hard| of_one(facts, hard, html));
}

fn of_one(facts: &Facts, hard: &Hard, html: &mut Html) {
    html.within("div", &[("class", "hard")], |html| {
        html.within("h4", &[], |html| {
            name(html, facts.label(hard.label));
            html.element("small", &[], &measure(facts, hard.label));
        });
        html.within("ol", &[("class", "texts")], |html| {
            for example in hard.texts.iter().filter_map(|place| facts.examples.get(place)) {
                texts::item(html, example, |html| {
                    chip(html, "chip", facts.label(example.row.label));
                    html.element("span", &[("class", "sure")], &format!("{:.2}", example.row.confidence));
                    texts::right(facts, &example.row, html);
                });
            }
        });
    });
    html.line();
}

fn measure(facts: &Facts, label: u16) -> String {
    let texts = facts.counts.label(label);
    let confidence = texts.confidence().map(|mean| format!("mean confidence {mean:.2}")).unwrap_or_default();
    match figures(facts, label).and_then(|figures| figures.f1) {
        Some(f1) => format!("F1 {}, {confidence}", percent(f1)),
        None => format!("{confidence}, {}", counted(texts.texts, "text", "texts")),
    }
}
