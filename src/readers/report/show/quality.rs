//! Figures of how good the labels are, where right ones or an audited sample say so.

use super::figures::along;
use super::parts::{count, head_cell, name, teacher_names};
use super::parts::{figure, intervals, paragraph, row, section, table};
use crate::readers::audit::Share;
use crate::readers::certificate::AuditCertificate;
use crate::readers::report::facts::{AuditFacts, Facts};
use crate::readers::report::html::{Html, counted, grouped, percent, share};
use crate::readers::report::judged::{Bin, Judged, share_of};
use crate::readers::report::svg::{Plot, percents};

/// Labels that are taken for others: so many pairs are shown.
const CONFUSED: usize = 10;
/// Labels of a bin that say little.
const FEW: u64 = 10;

pub(super) fn part(facts: &Facts, html: &mut Html) {
    if facts.judged.is_none() && facts.audited.is_none() {
        return;
    }
    section(html, "quality", "How good they are", |html| {
        if let Some(judged) = &facts.judged {
            by_gold(facts, judged, html);
        }
        if let Some(audited) = &facts.audited {
            by_audit(audited, html);
        }
    });
}

fn by_gold(facts: &Facts, judged: &Judged, html: &mut Html) {
    let missing = match judged.gold - judged.texts {
        0 => String::new(),
        missing => format!(
            " {} with a known label have none in this run, and are not judged.",
            counted(missing, "text", "texts")
        ),
    };
    let corrected = match judged.corrected {
        0 => String::new(),
        corrected => format!(" The labels of {} of them were given by people.", grouped(corrected)),
    };
    let told = counted(judged.texts, "text whose right label is known", "texts whose right label is known");
    paragraph(
        html,
        "lead",
        &format!(
            "Judged by {told}.{missing}{corrected} Intervals hold the share of all such texts with 95% confidence."
        ),
    );
    html.within("div", &[("class", "figures")], |html| {
        let caption = "The right label, from what the models say to what the run makes of it.";
        figure(html, "From candidates to labels", caption, |html| intervals(html, &steps(facts, judged)));
        calibration(html, &judged.reliability, judged.calibration_error);
        curve(facts, judged, html);
        confused(judged, html);
    });
}

/// Shares of right labels, in the order in which one comes of the other.
fn steps(facts: &Facts, judged: &Judged) -> Vec<(String, Share)> {
    let teachers = teacher_names(facts).into_iter().zip(&judged.teachers);
    let teachers = teachers.filter_map(|(teacher, share)| Some((format!("{teacher}, first label"), (*share)?)));
    let mut steps: Vec<(String, Share)> = teachers.collect();
    if steps.len() != 1 {
        steps.push(("First candidate".to_owned(), judged.first));
    }
    steps.push(("Among the candidates".to_owned(), judged.covered));
    steps.push(("Label of the run".to_owned(), judged.distilled));
    steps
}

fn by_audit(audited: &AuditFacts, html: &mut Html) {
    let told = counted(audited.texts, "label that a person checked", "labels that a person checked");
    let says = audited.certificate.as_ref().map(|certificate| format!(" {}", certificate.says)).unwrap_or_default();
    paragraph(html, "lead", &format!("Judged by a random sample: {told}.{says}"));
    html.within("div", &[("class", "figures")], |html| {
        let above = audited.calibrated.above_accuracy;
        let points = |share: f64| format!("{:+.1}", 100.0 * share);
        let caption = format!(
            "The mean confidence of all labels is {}: {} points from the accuracy ({} to {} with 95% confidence).",
            percent(audited.calibrated.mean),
            points(above.estimate),
            points(above.low),
            points(above.high)
        );
        figure(html, "Right labels in the sample", &caption, |html| {
            let steps = [("First candidate", audited.first), ("Label of the run", audited.accuracy)];
            intervals(html, &steps.map(|(step, share)| (step.to_owned(), share)));
        });
        calibration(html, &audited.reliability, audited.calibrated.error.estimate);
    });
    if let Some(certificate) = &audited.certificate {
        certified(certificate, html);
    }
}

/// What the run's own audit certifies, and under which conditions.
fn certified(certificate: &AuditCertificate, html: &mut Html) {
    let sample = &certificate.sample;
    let drawn = sample.draws.last().copied().unwrap_or_default();
    // Of an audit that goes on no date is told: the same files give the same report.
    let state = if certificate.ended {
        format!("The audit ended at {}, and is told as it was then.", certificate.date)
    } else {
        "The audit goes on.".to_owned()
    };
    let drawn = format!(
        "{} of {} with the seed {} at {}; people labelled them without seeing the label of the run, and {} of them count. {state}",
        counted(drawn, "text was drawn", "texts were drawn"),
        counted(sample.population, "final label", "final labels"),
        sample.seed,
        sample.drawn_at,
        grouped(sample.counted)
    );
    paragraph(html, "note", &drawn);
    certificate.doubts.iter().for_each(|doubt| paragraph(html, "note", doubt));
}

/// The reliability diagram: of labels of about the same confidence, how many are right.
fn calibration(html: &mut Html, bins: &[Bin], error: f64) {
    let caption = format!(
        "A point on the line is as often right as its confidence says. Mean distance (ECE): {}. Under it, the labels in each bin.",
        percent(error)
    );
    let most = bins.iter().map(|bin| bin.texts).max().unwrap_or_default();
    figure(html, "Do confidences say how many are right?", &caption, |html| {
        Plot::new((0.0, 1.0), (0.0, 1.0)).draw(html, "Share of right labels by confidence", |plot, html| {
            plot.marks_y(html, &percents(0.0));
            plot.marks_x(html, &[0.0, 0.25, 0.5, 0.75, 1.0].map(|at| (at, format!("{at}"))));
            plot.titles(html, "confidence", "right labels");
            let width = 1.0 / bins.len().max(1) as f64;
            for (place, bin) in bins.iter().enumerate().filter(|(_, bin)| bin.texts > 0) {
                let from = place as f64 * width;
                let height = 0.22 * share(bin.texts, most);
                plot.bar(html, "bar back", (from, from + width), height, &counted(bin.texts, "label", "labels"));
            }
            plot.segment(html, "diagonal", (0.0, 0.0), (1.0, 1.0));
            bins.iter().filter(|bin| bin.texts > 0).for_each(|bin| point(plot, html, bin));
        });
    });
}

fn point(plot: &Plot, html: &mut Html, bin: &Bin) {
    let (right, confidence) = (share_of(bin.right, bin.texts), bin.confidence / bin.texts as f64);
    let class = if bin.texts < FEW { "whisker faint" } else { "whisker" };
    plot.segment(html, class, (confidence, right.low), (confidence, right.high));
    let told = format!(
        "confidence {confidence:.2}: {} right of {} ({})",
        grouped(bin.right),
        counted(bin.texts, "label", "labels"),
        percent(right.estimate)
    );
    plot.dot(html, (confidence, right.estimate), 3.6, &told);
}

/// What the first labels of the stream were worth, and what became of them.
fn curve(facts: &Facts, judged: &Judged, html: &mut Html) {
    if judged.curve.is_empty() {
        return;
    }
    let all = judged.curve.iter().flat_map(|point| [point.first, point.now]);
    let marks_y = percents(all.fold(1.0, f64::min));
    let from = marks_y.first().map_or(0.0, |(value, _)| *value);
    let caption = format!(
        "{} of the labels were right when their texts came; {} are now. Each point stands for {}.",
        percent(judged.earliest),
        percent(judged.distilled.estimate),
        counted(judged.texts / judged.curve.len() as u64, "text", "texts")
    );
    figure(html, "What the run learned on the way", &caption, |html| {
        let texts = facts.counts.texts;
        Plot::new((0.0, texts as f64), (from, 1.0)).draw(html, "Right labels along the stream", |plot, html| {
            plot.marks_y(html, &marks_y);
            plot.marks_x(html, &along(texts));
            plot.titles(html, "texts, in the order in which they came", "right labels");
            plot.line(html, "line faint", judged.curve.iter().map(|point| (point.texts as f64, point.first)));
            plot.line(html, "line", judged.curve.iter().map(|point| (point.texts as f64, point.now)));
        });
        html.markup("<p class=\"legend\"><span class=\"key\"></span>label now <span class=\"key faint\"></span>label when the text came</p>");
    });
}

/// Which labels are taken for which.
fn confused(judged: &Judged, html: &mut Html) {
    let confusions = &judged.details.confusions;
    if confusions.is_empty() {
        return;
    }
    let caption = match confusions.len().saturating_sub(CONFUSED) as u64 {
        0 => "Wrong labels, by which is taken for which.".to_owned(),
        more => format!("The most frequent; {} are rarer.", counted(more, "more pair", "more pairs")),
    };
    figure(html, "Labels that are taken for others", &caption, |html| {
        table(html, &[("Right label", false), ("Label of the run", false), ("Texts", true)], |html| {
            for confusion in confusions.iter().take(CONFUSED) {
                row(html, |html| {
                    head_cell(html, &confusion.gold);
                    html.within("td", &[], |html| name(html, &confusion.label));
                    count(html, confusion.texts);
                });
            }
        });
    });
}
