//! `candist eval`

use std::io::Write;

use anyhow::Result;
use candist::readers::evaluate::{Evaluation, evaluate};

use super::{EvalArgs, grouped};

pub(super) fn run(args: &EvalArgs) -> Result<()> {
    let evaluation = evaluate(&args.dir, &args.gold, args.held_out.as_deref())?;
    let out = &mut std::io::stdout().lock();
    if args.json {
        return Ok(writeln!(out, "{}", serde_json::to_string(&evaluation)?)?);
    }
    table(&evaluation, out)
}

fn table(evaluation: &Evaluation, out: &mut dyn Write) -> Result<()> {
    let percent = |share: f64| format!("{:.2}%", 100.0 * share);
    let texts = |count: usize| grouped(count as u64);
    let mut rows = vec![
        ("texts with gold labels", texts(evaluation.gold), String::new()),
        ("texts with a label", texts(evaluation.labelled), String::new()),
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
    ];
    rows.push((
        "calibration error",
        percent(evaluation.calibration_error),
        "mean distance of a label's confidence from the truth (ECE)".to_owned(),
    ));
    if let Some(held_out) = &evaluation.held_out {
        let meaning = format!("right on {} texts nobody annotated", texts(held_out.texts));
        rows.push(("student alone", percent(held_out.accuracy), meaning));
    }
    for (name, figure, meaning) in rows {
        writeln!(out, "{}", format!("  {name:<24}{figure:>8}  {meaning}").trim_end())?;
    }
    Ok(())
}
