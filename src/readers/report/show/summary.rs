//! The summary: four plain sentences for somebody who has never heard of the run, and its figures.

use rust_decimal::Decimal;

use crate::readers::audit::Share;
use crate::readers::report::facts::Facts;
use crate::readers::report::html::{Html, counted, grouped, money, percent, share};
use crate::readers::report::state::State;

pub(super) fn part(facts: &Facts, html: &mut Html) {
    html.within("section", &[("class", "summary"), ("aria-label", "Summary")], |html| {
        for sentences in [texts(facts), cost(facts), quality(facts), corrected(facts)] {
            html.element("p", &[("dir", "auto")], &sentences);
            html.line();
        }
        if facts.counts.texts > 0 {
            html.within("dl", &[("class", "keys")], |html| keys(facts, html));
        }
    });
}

/// How many texts have which labels, and how they came by them.
fn texts(facts: &Facts) -> String {
    let (counts, labels) = (&facts.counts, counted(facts.labels.len() as u64, "label", "labels"));
    if counts.texts == 0 {
        return format!("No text has come in yet: each is to be given one of {labels}.");
    }
    let texts = counted(counts.texts, "text", "texts");
    let done = if facts.state == State::Complete && counts.labelled == counts.texts {
        format!("{texts} were given one of {labels} each.")
    } else {
        format!("{} of {texts} that have come in so far have one of {labels}.", grouped(counts.labelled))
    };
    let asked = match facts.teachers {
        1 => "A language model was".to_owned(),
        many => format!("{} language models were", in_words(many)),
    };
    let alone = match counts.alone {
        0 => String::new(),
        alone => {
            format!(" For {} no model named a label: theirs is the small one's alone.", counted(alone, "text", "texts"))
        }
    };
    format!(
        "{done} {asked} asked for every label that might fit a text; a small model learned from all the answers, and both together \
         decided on one.{alone}"
    )
}

/// A small number as it begins a sentence.
fn in_words(number: usize) -> String {
    let words = ["No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten"];
    words.get(number).map_or_else(|| grouped(number as u64), |&word| word.to_owned())
}

/// What it cost.
fn cost(facts: &Facts) -> String {
    let (count, usage) = (facts.answers.counts.answers, facts.answers.counts.totals.usage);
    let tokens = if usage.total() > 0 { format!(" ({} tokens)", grouped(usage.total())) } else { String::new() };
    let answers = format!("{}{tokens}", counted(count, "answer", "answers"));
    if count == 0 {
        return "Nothing was answered, and nothing paid for.".to_owned();
    }
    if facts.spent.total() > Decimal::ZERO {
        let unknown = if facts.spent.unknown > Decimal::ZERO {
            format!(", of which {} at most for requests whose outcome is not known", money(facts.spent.unknown))
        } else {
            String::new()
        };
        return format!(
            "The {answers} cost {} in the currency of the configured prices{unknown}.",
            money(facts.spent.total())
        );
    }
    if facts.answers.teachers.iter().any(|teacher| teacher.is_asked) {
        return format!("What the {answers} cost is not known, since no prices were configured.");
    }
    format!("The {answers} were taken from recordings, so nothing was paid for them here.")
}

/// How good the labels are, as far as that is known.
fn quality(facts: &Facts) -> String {
    let interval = |share: Share| format!("95% interval {} to {}", percent(share.low), percent(share.high));
    if let Some(judged) = &facts.judged {
        let texts = counted(judged.texts, "text", "texts");
        return format!(
            "Of the {texts} whose right label is known, {} have it ({}); the models' first label alone is right for {}.",
            percent(judged.distilled.estimate),
            interval(judged.distilled),
            percent(judged.first.estimate)
        );
    }
    if let Some(audited) = &facts.audited {
        return format!(
            "A person checked {} drawn at random: {} of them are right ({} for all labels); the models' first label alone is right for {}.",
            counted(audited.texts, "label", "labels"),
            percent(audited.accuracy.estimate),
            interval(audited.accuracy),
            percent(audited.first.estimate)
        );
    }
    if facts.counts.labelled == 0 {
        return "There are no labels yet whose quality could be told.".to_owned();
    }
    let mean = percent(facts.counts.confidence());
    match &facts.doubt {
        Some(doubt) => format!(
            "Nobody has checked how many labels are right. Their mean confidence is {mean}, which is a ranking only: it tells which \
             labels are surer, not how many are right, for {}.",
            doubt.trim_end_matches('.')
        ),
        None => format!(
            "Nobody has checked how many labels are right; by their own mean confidence it should be about {mean} of them."
        ),
    }
}

/// What people did.
fn corrected(facts: &Facts) -> String {
    match facts.counts.corrected {
        0 => "No label was given by a person.".to_owned(),
        corrected => {
            let are = if corrected == 1 { "was" } else { "were" };
            format!("{} {are} given by people.", counted(corrected, "label", "labels"))
        }
    }
}

/// The figures that one looks for.
fn keys(facts: &Facts, html: &mut Html) {
    let counts = &facts.counts;
    let mut key = |what: &'static str, value: &str, more: &str| {
        html.within("div", &[], |html| {
            html.element("dt", &[], what);
            html.within("dd", &[], |html| {
                html.element("b", &[], value);
                html.element("small", &[], more);
            });
        });
    };
    let finals = if counts.finals == counts.labelled {
        "all final".to_owned()
    } else {
        format!("{} final", grouped(counts.finals))
    };
    key("Labelled texts", &grouped(counts.labelled), &finals);
    if let Some(accuracy) = facts.accuracy() {
        let interval = format!("{} to {}", percent(accuracy.low), percent(accuracy.high));
        key("Right labels", &percent(accuracy.estimate), &interval);
    }
    let kind = if facts.doubt.is_some() { "a ranking only" } else { "of all labels" };
    key("Mean confidence", &percent(counts.confidence()), kind);
    if let Some(judged) = &facts.judged {
        key("Candidate coverage", &percent(judged.covered.estimate), "have the right label");
    }
    // By a ranking, nothing is doubtful or certain.
    if facts.doubt.is_none() {
        let doubtful = format!("{} of labels", percent(share(counts.doubtful, counts.labelled)));
        key("Doubtful", &grouped(counts.doubtful), &doubtful);
    }
    if facts.spent.total() > Decimal::ZERO {
        key("Cost", &money(facts.spent.total()), "in the prices' currency");
    }
    if counts.corrected > 0 {
        key("Given by people", &grouped(counts.corrected), "labels");
    }
}
