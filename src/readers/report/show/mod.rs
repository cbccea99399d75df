//! Shows the facts: one HTML page, from its head to what is promised. Every part is there only where there is something to tell.

mod figures;
mod labels;
mod paid;
mod parts;
mod promises;
mod quality;
mod summary;
mod teachers;
mod texts;
mod top;

use super::MARK;
use super::facts::Facts;
use super::html::Html;

const STYLE: &str = include_str!("style.css");

/// What a browser is told of the file: that it loads nothing, and that nothing in it is a program.
const POLICY: &str = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">";

/// The whole page.
pub(super) fn page(facts: &Facts, html: &mut Html) {
    html.markup("<!doctype html>\n");
    html.within("html", &[("lang", "en")], |html| {
        html.within("head", &[], |html| head(facts, html));
        html.line();
        html.within("body", &[], |html| body(facts, html));
    });
    html.line();
}

fn head(facts: &Facts, html: &mut Html) {
    html.markup("<meta charset=\"utf-8\">\n");
    html.markup(POLICY);
    html.line();
    html.markup(MARK);
    html.markup("\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.markup("<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n");
    html.element("title", &[], &format!("{}: candist report", facts.task));
    html.line();
    html.within("style", &[], |html| html.markup(STYLE));
}

fn body(facts: &Facts, html: &mut Html) {
    html.within("main", &[], |html| {
        top::top(facts, html);
        for part in [
            summary::part,
            figures::part,
            quality::part,
            labels::part,
            teachers::part,
            texts::part,
            paid::part,
            promises::part,
        ] {
            html.line();
            part(facts, html);
        }
    });
}
