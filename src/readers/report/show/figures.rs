//! Figures of the labels: how they are distributed, how sure they are, of how many candidates they were chosen, and how they changed.

use super::parts::{bars, figure, section};
use crate::readers::distribution::DOUBTFUL;
use crate::readers::report::counts::BINS;
use crate::readers::report::facts::Facts;
use crate::readers::report::html::{Html, counted, grouped, percent, share};
use crate::readers::report::rows::PARTS;
use crate::readers::report::svg::{Plot, last, marks, short};

/// Labels that have a bar of their own.
const SHOWN: usize = 12;
/// Sizes of candidate sets that have a bar of their own.
const SIZES: usize = 10;

pub(super) fn part(facts: &Facts, html: &mut Html) {
    if facts.counts.texts == 0 {
        return;
    }
    section(html, "figures", "The labels", |html| {
        html.within("div", &[("class", "figures")], |html| {
            if facts.counts.labelled > 0 {
                distribution(facts, html);
                confidences(facts, html);
            }
            sizes(facts, html);
            if facts.changes.settling > 0 || !facts.changes.streaming.is_empty() {
                changes(facts, html);
            }
        });
    });
}

fn distribution(facts: &Facts, html: &mut Html) {
    let counts = &facts.counts;
    let all = counts.by_frequency();
    let used = all.iter().filter(|label| counts.label(**label).texts > 0).count();
    let shown: Vec<u16> = all.into_iter().take(if used <= SHOWN + 1 { used } else { SHOWN }).collect();
    let most = shown.first().map_or(1, |label| counts.label(*label).texts);
    let told = |texts: u64| format!("{}  {}", grouped(texts), percent(share(texts, counts.labelled)));
    let unused = match counts.labels.len() - used {
        0 => String::new(),
        none => format!(" {} no text.", counted(none as u64, "label has", "labels have")),
    };
    let rest = used - shown.len();
    let caption = if rest > 0 {
        let texts = counts.labelled - shown.iter().map(|label| counts.label(*label).texts).sum::<u64>();
        format!("The most frequent; {} more have {} texts together.{unused}", rest, grouped(texts))
    } else {
        format!("Texts by label.{unused}")
    };
    figure(html, "Labels by frequency", &caption, |html| {
        let bar = |label: &u16| {
            let texts = counts.label(*label).texts;
            (facts.label(*label), share(texts, most), told(texts))
        };
        bars(html, shown.iter().map(bar));
    });
}

fn confidences(facts: &Facts, html: &mut Html) {
    let counts = &facts.counts;
    let marks_y = marks(counts.confidences.iter().copied().max().unwrap_or_default());
    let caption = match &facts.doubt {
        Some(_) => "A ranking only: their order tells which labels are surer, their size tells nothing.".to_owned(),
        None => format!(
            "{} ({}) are below {DOUBTFUL}: all other labels together are likelier than these.",
            counted(counts.doubtful, "label", "labels"),
            percent(share(counts.doubtful, counts.labelled))
        ),
    };
    figure(html, "Confidences", &caption, |html| {
        Plot::new((0.0, 1.0), (0.0, last(&marks_y))).draw(
            html,
            "Texts by the confidence of their label",
            |plot, html| {
                plot.marks_y(html, &marks_y);
                plot.marks_x(html, &[0.0, 0.25, 0.5, 0.75, 1.0].map(|at| (at, format!("{at}"))));
                plot.titles(html, "confidence", "texts");
                for (bin, texts) in counts.confidences.iter().enumerate().filter(|(_, texts)| **texts > 0) {
                    let (from, to) = (bin as f64 / BINS as f64, (bin + 1) as f64 / BINS as f64);
                    let told = format!("{from:.2} to {to:.2}: {}", counted(*texts, "text", "texts"));
                    let class = if to <= DOUBTFUL { "bar faint" } else { "bar" };
                    plot.bar(html, class, (from, to), *texts as f64, &told);
                }
            },
        );
    });
}

fn sizes(facts: &Facts, html: &mut Html) {
    let counts = &facts.counts;
    let (head, tail) = counts.sizes.split_at(counts.sizes.len().min(SIZES));
    let mut sizes: Vec<(String, u64)> =
        head.iter().enumerate().map(|(size, texts)| (size.to_string(), *texts)).collect();
    if !tail.is_empty() {
        sizes.push((format!("{SIZES}+"), tail.iter().sum()));
    }
    // No text without a candidate is the rule, and needs no place.
    let none = counts.sizes.first().copied().unwrap_or_default();
    if none == 0 && !sizes.is_empty() {
        sizes.remove(0);
    }
    if sizes.is_empty() {
        return;
    }
    let named: u64 = counts.sizes.iter().skip(1).sum();
    let candidates: u64 = counts.sizes.iter().enumerate().map(|(size, texts)| size as u64 * texts).sum();
    let caption = match none {
        0 => format!("{:.2} labels a text in the mean.", share(candidates, named)),
        none => format!(
            "{:.2} labels a text in the mean; for {} no teacher named any.",
            share(candidates, named),
            counted(none, "text", "texts")
        ),
    };
    let marks_y = marks(sizes.iter().map(|(_, texts)| *texts).max().unwrap_or_default());
    figure(html, "Candidates of a text", &caption, |html| {
        let plot = Plot::new((0.0, sizes.len() as f64), (0.0, last(&marks_y)));
        plot.draw(html, "Texts by the number of labels that teachers named", |plot, html| {
            plot.marks_y(html, &marks_y);
            plot.titles(html, "labels that teachers named", "texts");
            for (place, (size, texts)) in sizes.iter().enumerate() {
                let (from, to) = (place as f64 + 0.12, place as f64 + 0.88);
                plot.marks_x(html, &[(place as f64 + 0.5, size.clone())]);
                plot.bar(
                    html,
                    "bar",
                    (from, to),
                    *texts as f64,
                    &format!("{size}: {}", counted(*texts, "text", "texts")),
                );
            }
        });
    });
}

fn changes(facts: &Facts, html: &mut Html) {
    let (changes, texts) = (&facts.changes, facts.counts.texts as f64);
    let streaming: u64 = changes.streaming.iter().sum();
    let settled = match changes.settling {
        0 => String::new(),
        settling => format!("; {} more when it settled after the last one", grouped(settling)),
    };
    let changed = counted(streaming, "label changed", "labels changed");
    let caption = format!("{changed} while texts came in, as the student learned{settled}.");
    let marks_y = marks(changes.streaming.iter().copied().max().unwrap_or_default());
    figure(html, "Labels that changed", &caption, |html| {
        let plot = Plot::new((0.0, texts), (0.0, last(&marks_y)));
        plot.draw(html, "Labels that changed, along the stream of texts", |plot, html| {
            plot.marks_y(html, &marks_y);
            plot.marks_x(html, &along(facts.counts.texts));
            plot.titles(html, "texts with a label by then", "changed labels");
            for (part, changed) in changes.streaming.iter().enumerate().filter(|(_, changed)| **changed > 0) {
                let at = |part: usize| part as f64 / PARTS as f64 * texts;
                let told = format!("up to {} texts: {} changed", grouped(at(part + 1) as u64), grouped(*changed));
                plot.bar(html, "bar", (at(part), at(part + 1)), *changed as f64, &told);
            }
        });
    });
}

/// Marks along the stream: its ends and round numbers between them.
pub(super) fn along(texts: u64) -> Vec<(f64, String)> {
    let mut all = marks(texts);
    let most = texts as f64;
    // The end itself takes the place of marks that are beyond it or so near that both could not be read.
    all.retain(|(value, _)| *value < 0.88 * most);
    all.push((most, short(texts)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_marked_to_its_end() {
        let values: Vec<f64> = along(3080).into_iter().map(|(value, _)| value).collect();
        assert_eq!(values, [0.0, 1000.0, 2000.0, 3080.0]);
        assert_eq!(along(1).len(), 2);
    }
}
