//! `candist plan`: what a run would ask, before it costs anything. Keys are not needed; where they are missing, that is
//! told, for a run would stop there.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use candist::{ASSUMED_LATENCY, Config, Plan, TeacherPlan, plan};
use clap::Args;
use indicatif::HumanDuration;

use super::{grouped, money};

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// The configuration (TOML).
    config: PathBuf,
    /// The run directory, instead of the configuration's run.dir.
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
}

pub(super) fn run(args: &PlanArgs) -> Result<()> {
    let config = Config::load(&args.config, args.run_dir.clone())?;
    let plan = plan(&config)?;
    for missing in candist::missing_keys(&config) {
        tracing::warn!("{missing}");
    }
    let out = &mut std::io::stdout().lock();
    // The three numbers below add up to all rows.
    let new = plan.rows - plan.bad_rows - plan.known;
    writeln!(out, "{}: {} rows, of which", config.task.name, grouped(plan.rows))?;
    for (count, meaning) in
        [(new, "to be annotated"), (plan.known, "done, or repeating an earlier one"), (plan.bad_rows, "unusable")]
    {
        writeln!(out, "  {:>12}  {meaning}", grouped(count))?;
    }
    for teacher in &plan.teachers {
        writeln!(out)?;
        describe(teacher, out)?;
    }
    writeln!(out)?;
    total(&plan, out)
}

/// One teacher: requests and stored answers, and, where requests take tokens, what they cost and how long they take.
fn describe(teacher: &TeacherPlan, out: &mut dyn Write) -> Result<()> {
    let only = if teacher.only_if_unsure { " (asked only where those before it are unsure; at most)" } else { "" };
    writeln!(out, "{}{only}", teacher.name)?;
    let mut row = |name: &str, value: String, meaning: &str| {
        writeln!(out, "{}", format!("  {name:<14}{value:>24}  {meaning}").trim_end())
    };
    row("requests", grouped(teacher.requests), "")?;
    row("stored answers", grouped(teacher.stored), "used again, for nothing")?;
    let tokens = &teacher.tokens;
    // A recording has none: it costs nothing and takes no time.
    if tokens.prompt > 0 {
        let how = if teacher.counted { "counted with the tokenizer" } else { "estimated at four bytes a token" };
        row("prompt tokens", grouped(tokens.prompt), how)?;
        let most = format!("estimated; at most {}", grouped(tokens.completion_bound));
        row("answer tokens", grouped(tokens.completion), &most)?;
        let cost = match teacher.cost {
            Some((expected, most)) => (
                money(expected),
                format!("at the configured prices; {} if every answer is as long as it may be", money(most)),
            ),
            None => ("unknown".to_owned(), "add [teachers.price]".to_owned()),
        };
        row("cost", cost.0, &cost.1)?;
        let how = format!("at the configured limits, if a request takes {} s", ASSUMED_LATENCY.as_secs());
        row("time", HumanDuration(teacher.duration).to_string(), &how)?;
    }
    Ok(())
}

/// All teachers together. They are asked at the same time, so the slowest says how long it takes.
fn total(plan: &Plan, out: &mut dyn Write) -> Result<()> {
    let requests: u64 = plan.teachers.iter().map(|teacher| teacher.requests).sum();
    let longest = plan.teachers.iter().map(|teacher| teacher.duration).max().unwrap_or(Duration::ZERO);
    write!(out, "In all: {} requests, {}", grouped(requests), HumanDuration(longest))?;
    if let Some((expected, most)) = plan.cost() {
        write!(out, ", cost {} to {}", money(expected), money(most))?;
    }
    writeln!(out, "; {} spent so far.", money(plan.spent))?;
    if let (Some(cap), Some((_, most))) = (plan.max_cost, plan.cost())
        && plan.spent + most > cap
    {
        // At the worst: the cap is reserved against by worst cases, so a run may come to it even where the cost as
        // expected fits.
        writeln!(out, "run.max_cost is {}: the run may stop before the end, resumable.", money(cap))?;
    }
    Ok(())
}
