//! What the parts of a report are made of: sections, figures, tables, names, texts.

use crate::readers::audit::Share;
use crate::readers::report::facts::Facts;
use crate::readers::report::html::{Attributes, Html, grouped, percent};
use crate::readers::report::svg;

/// A section with its heading.
pub(super) fn section(html: &mut Html, id: &'static str, heading: &str, content: impl FnOnce(&mut Html)) {
    html.within("section", &[("id", id)], |html| {
        html.element("h2", &[], heading);
        html.line();
        content(html);
    });
}

/// A figure with its heading, and a sentence under it.
pub(super) fn figure(html: &mut Html, heading: &str, told: &str, content: impl FnOnce(&mut Html)) {
    html.within("figure", &[], |html| {
        html.element("h3", &[], heading);
        content(html);
        html.element("figcaption", &[], told);
    });
    html.line();
}

/// A name that somebody gave to a label or a teacher, whatever is in it.
pub(super) fn name(html: &mut Html, name: &str) {
    chip(html, "name", name);
}

/// The same, set apart as its class has it. Long ones are broken between their words.
pub(super) fn chip(html: &mut Html, class: &'static str, label: &str) {
    html.within("bdi", &[("class", class)], |html| {
        for word in label.split_inclusive(['_', '/', '.', ':']) {
            html.text(word);
            html.markup(if word.len() < label.len() { "<wbr>" } else { "" });
        }
    });
}

/// Bars, each with its name, its length (0 to 1) and what it stands for.
pub(super) fn bars<'a>(html: &mut Html, rows: impl IntoIterator<Item = (&'a str, f64, String)>) {
    html.within("ol", &[("class", "bars")], |html| {
        for (called, length, told) in rows {
            html.within("li", &[], |html| {
                name(html, called);
                svg::bar(html, length);
                html.element("span", &[("class", "value")], &told);
            });
        }
    });
}

/// Estimates with their intervals, on one scale.
pub(super) fn intervals(html: &mut Html, rows: &[(String, Share)]) {
    let least = rows.iter().map(|(_, share)| share.low).fold(1.0, f64::min);
    let from = ((10.0 * least).floor() / 10.0).clamp(0.0, 0.9);
    html.within("ol", &[("class", "bars")], |html| {
        for (called, share) in rows {
            html.within("li", &[], |html| {
                name(html, called);
                svg::interval(html, share.estimate, (share.low, share.high), (from, 1.0));
                html.within("span", &[("class", "value")], |html| {
                    html.text(&percent(share.estimate));
                    html.element("small", &[], &format!("{} to {}", percent(share.low), percent(share.high)));
                });
            });
        }
        html.within("li", &[("class", "scale"), ("aria-hidden", "true")], |html| {
            html.markup("<span></span>");
            html.within("span", &[("class", "ends")], |html| {
                html.element("span", &[], &format!("{:.0}%", 100.0 * from));
                html.markup("<span>100%</span>");
            });
        });
    });
}

/// A column's heading: what it is called, and whether it has numbers.
pub(super) type Column = (&'static str, bool);

/// A table, which is scrolled where it is wider than the page.
pub(super) fn table(html: &mut Html, columns: &[Column], body: impl FnOnce(&mut Html)) {
    html.within("div", &[("class", "scroll"), ("tabindex", "0")], |html| {
        html.within("table", &[], |html| {
            html.within("thead", &[], |html| {
                html.within("tr", &[], |html| {
                    for (column, is_number) in columns {
                        html.element("th", &[("scope", "col"), ("class", class(*is_number))], column);
                    }
                });
            });
            html.line();
            html.within("tbody", &[], body);
        });
    });
    html.line();
}

/// A row of a table.
pub(super) fn row(html: &mut Html, cells: impl FnOnce(&mut Html)) {
    html.within("tr", &[], cells);
    html.line();
}

/// The first cell of a row: a name.
pub(super) fn head_cell(html: &mut Html, called: &str) {
    html.within("th", &[("scope", "row")], |html| name(html, called));
}

/// A cell with a number.
pub(super) fn number(html: &mut Html, text: &str) {
    html.element("td", &[("class", class(true))], text);
}

/// A cell with a count; none is faint.
pub(super) fn count(html: &mut Html, count: u64) {
    if count == 0 {
        html.element("td", &[("class", "num none")], "0");
    } else {
        number(html, &grouped(count));
    }
}

/// A cell with a share, as a percentage; a dash where there is none.
pub(super) fn share_cell(html: &mut Html, share: Option<f64>) {
    match share {
        Some(share) => number(html, &percent(share)),
        None => html.element("td", &[("class", "num none")], "–"),
    }
}

fn class(is_number: bool) -> &'static str {
    if is_number { "num" } else { "" }
}

/// A paragraph.
pub(super) fn paragraph(html: &mut Html, class: &'static str, text: &str) {
    let with: Attributes<'_> = &[("class", class)];
    html.element("p", if class.is_empty() { &[] } else { with }, text);
    html.line();
}

/// The run's teachers, by name.
pub(super) fn teacher_names(facts: &Facts) -> Vec<String> {
    facts.answers.teachers.iter().take(facts.teachers).map(|teacher| teacher.teacher.clone()).collect()
}
