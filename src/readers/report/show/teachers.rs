//! The teachers beside the labels: how often the first label of each is the text's, and which others it names.

use super::parts::{bars, count, head_cell, name, paragraph, row, section, table};
use crate::readers::report::counts::TeacherCount;
use crate::readers::report::facts::Facts;
use crate::readers::report::html::{Html, grouped, percent, share};

pub(super) fn part(facts: &Facts, html: &mut Html) {
    let teachers = &facts.counts.teachers;
    if teachers.iter().all(|teacher| teacher.answered == 0) {
        return;
    }
    section(html, "teachers", "The teachers", |html| {
        paragraph(
            html,
            "lead",
            "How often a teacher's first label is the label that the text has, and what it said where it is not.",
        );
        let agreement = |(place, teacher): (usize, &TeacherCount)| {
            let told =
                format!("{}  of {}", percent(share(teacher.agrees, teacher.answered)), grouped(teacher.answered));
            (facts.teacher(place), share(teacher.agrees, teacher.answered), told)
        };
        bars(html, teachers.iter().enumerate().map(agreement));
        html.within("div", &[("class", "figures pairs")], |html| {
            for place in 0..teachers.len() {
                pairs(facts, place, html);
            }
        });
    });
}

/// The largest pairs of one teacher's first label and the text's label.
fn pairs(facts: &Facts, teacher: usize, html: &mut Html) {
    let Some(counts) = facts.counts.teachers.get(teacher).filter(|counts| !counts.pairs.is_empty()) else { return };
    html.within("div", &[], |html| {
        html.within("h3", &[], |html| name(html, facts.teacher(teacher)));
        table(html, &[("Its first label", false), ("Label of the text", false), ("Texts", true)], |html| {
            for (first, label, texts) in &counts.pairs {
                row(html, |html| {
                    head_cell(html, facts.label(*first));
                    html.within("td", &[], |html| name(html, facts.label(*label)));
                    count(html, *texts);
                });
            }
        });
    });
}
