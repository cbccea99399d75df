//! `candist eval`: labels against gold, for a person as a table, for a program as JSON with all digits.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use candist::{Confusion, Details, Error, Evaluation, EvaluationOptions, LabelFigures, evaluate};
use clap::Args;

use super::gold::GoldArgs;
use super::grouped;
use super::messages::one_line;
use super::place::RunArg;
use super::table::Table;

#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    #[command(flatten)]
    run: RunArg,
    #[command(flatten)]
    gold: GoldArgs,
    /// Texts that were not in the corpus, for the student alone: rows with text and label, in any such format, under the same
    /// names.
    #[arg(long, value_name = "FILE")]
    held_out: Option<PathBuf>,
    /// Tell precision, recall and F1 of every label, and which labels are taken for which others.
    #[arg(long)]
    details: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Confusions that are printed; JSON has all.
const CONFUSIONS: usize = 20;

pub(super) fn run(args: &EvalArgs) -> Result<()> {
    let dir = if args.held_out.is_some() { args.run.dir_with_student()? } else { args.run.dir()? };
    let config = args.run.config()?;
    let Some(gold) = args.gold.labels(config.as_ref())? else {
        let message = "are missing: name a file of them with --gold FILE, or the column of the corpus that has them with \
                       --gold-field NAME";
        return Err(Error::Unfit { path: "gold labels".into(), message: message.to_owned() }.into());
    };
    let options = EvaluationOptions { gold, held_out: args.held_out.as_deref(), details: args.details };
    let evaluation = evaluate(&dir, options)?;
    // On stderr as well as in the table: a file of gold for another corpus shows by this alone.
    if evaluation.missing > 0 {
        tracing::warn!(
            "{} of {} texts with gold have no label in {}: they are not judged",
            grouped(evaluation.missing as u64),
            grouped(evaluation.gold as u64),
            dir.display()
        );
    }
    let out = &mut std::io::stdout().lock();
    if args.json {
        return Ok(writeln!(out, "{}", serde_json::to_string(&evaluation)?)?);
    }
    summary(&evaluation, out)?;
    if let Some(details) = &evaluation.details {
        by_label(details, out)?;
        confused(&details.confusions, out)?;
    }
    Ok(())
}

/// The figures from the teacher's labels to the student's, in the order in which one comes of the other.
fn summary(evaluation: &Evaluation, out: &mut dyn Write) -> Result<()> {
    // Two digits: a run of ten thousand texts can tell that much apart.
    let percent = |share: f64| format!("{:.2}%", 100.0 * share);
    let texts = |count: usize| grouped(count as u64);
    let mut rows = vec![
        ("texts with gold labels", texts(evaluation.gold), String::new()),
        ("texts with a label", texts(evaluation.labelled), String::new()),
    ];
    if evaluation.missing > 0 {
        let meaning = "have gold and no label in this run: not judged".to_owned();
        rows.push(("texts missing", texts(evaluation.missing), meaning));
    }
    rows.extend([
        (
            "teacher's first label",
            percent(evaluation.teacher_first),
            "right: what asking for one label gives".to_owned(),
        ),
        (
            "candidates",
            percent(evaluation.coverage),
            format!("hold the right label, at {:.2} labels a text", evaluation.mean_candidates),
        ),
        ("distilled label", percent(evaluation.distilled), "right: teacher and student together".to_owned()),
        (
            "calibration error",
            percent(evaluation.calibration_error),
            "distance of confidences from the truth (ECE)".to_owned(),
        ),
    ]);
    if let Some(details) = &evaluation.details {
        rows.push(("macro F1", percent(details.macro_f1), "mean of the labels' F1".to_owned()));
    }
    if let Some(held_out) = &evaluation.held_out {
        let meaning = format!("right on {} texts nobody annotated", texts(held_out.texts));
        rows.push(("student alone", percent(held_out.accuracy), meaning));
    }
    // Lines without a meaning would end in spaces.
    for (name, figure, meaning) in rows {
        writeln!(out, "{}", format!("  {name:<24}{figure:>8}  {meaning}").trim_end())?;
    }
    Ok(())
}

/// The worst label first, for that is the one to look at; labels that neither gold nor the run has are left out. A dash
/// stands for a share of nothing.
fn by_label(details: &Details, out: &mut dyn Write) -> Result<()> {
    let share = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{:.1}%", 100.0 * share));
    let mut labels: Vec<&LabelFigures> = details.labels.iter().filter(|label| label.f1.is_some()).collect();
    // Stable: labels that are as bad stay in the task's order.
    labels.sort_by(|a, b| a.f1.unwrap_or_default().total_cmp(&b.f1.unwrap_or_default()));
    let mut table = Table::new(1, &["label", "gold", "given", "precision", "recall", "F1"]);
    for label in labels {
        table.add(vec![
            one_line(&label.label),
            grouped(label.support),
            grouped(label.given),
            share(label.precision),
            share(label.recall),
            share(label.f1),
        ]);
    }
    writeln!(out)?;
    Ok(table.print(out)?)
}

/// The most frequent confusions, and how many more there are.
fn confused(confusions: &[Confusion], out: &mut dyn Write) -> Result<()> {
    let mut table = Table::new(2, &["gold label", "was given", "texts"]);
    for confusion in confusions.iter().take(CONFUSIONS) {
        table.add(vec![one_line(&confusion.gold), one_line(&confusion.label), grouped(confusion.texts)]);
    }
    writeln!(out)?;
    table.print(out)?;
    if confusions.len() > CONFUSIONS {
        let more = confusions.len() - CONFUSIONS;
        writeln!(out, "  ... and {} more pairs of labels; --json tells all", grouped(more as u64))?;
    }
    Ok(())
}
