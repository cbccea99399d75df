//! `candist plan`: what a run would ask, before it costs anything. Keys are not needed; where they are missing, that is
//! told, for a run would stop there.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use candist::{
    ASSUMED_LATENCY, Config, Judged, Measured, OnGold, Plan, PlanOptions, Share, TeacherPlan, missing_keys, plan_with,
};
use clap::Args;
use indicatif::HumanDuration;

use super::check::tell_of_few_texts;
use super::gold::GoldArgs;
use super::messages::one_line;
use super::preview::show;
use super::{grouped, money};

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// The configuration (TOML).
    config: PathBuf,
    /// The run directory, instead of the configuration's run.dir.
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Of a pilot: what `candist run --limit N` would ask.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Print the requests about the first N texts that would be asked about: all messages, tokens, cost.
    #[arg(long, value_name = "N", default_value_t = 0)]
    show: usize,
    #[command(flatten)]
    gold: GoldArgs,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &PlanArgs) -> Result<()> {
    let config = Config::load(&args.config, args.run_dir.clone())?;
    let gold = args.gold.labels(Some(&config))?;
    let plan = plan_with(&config, PlanOptions { limit: args.limit, show: args.show, gold })?;
    for missing in missing_keys(&config) {
        tracing::warn!("{missing}");
    }
    let out = &mut std::io::stdout().lock();
    if args.json {
        return Ok(writeln!(out, "{}", serde_json::to_string(&plan)?)?);
    }
    #[cfg(feature = "shared")]
    if config.run.shared.is_some() {
        tracing::info!(
            "of stored answers those in the run directory are counted: what the database has besides is not asked again either"
        );
    }
    if plan.begins_anew {
        tracing::info!(
            "labels, teachers, prompts or their parameters are others than in the run directory: all texts are labelled anew; answers \
             that are stored are kept, and those to the same prompts are used again"
        );
    }
    show(&plan.shown, out)?;
    if args.show > 0 && plan.shown.is_empty() {
        tracing::info!("no text would be asked about, so there is no request to show");
    }
    if config.corpus.is_stdin() {
        tracing::info!("standard input is for a run: of it only what one has read is counted");
    }
    texts(&config, &plan, out)?;
    for teacher in &plan.teachers {
        writeln!(out)?;
        describe(teacher, out)?;
    }
    if let Some(on_gold) = &plan.on_gold {
        writeln!(out)?;
        judged(on_gold, out)?;
    }
    writeln!(out)?;
    total(&plan, out)?;
    if plan.has_few_texts() {
        tell_of_few_texts(plan.texts);
    }
    Ok(())
}

/// The rows. The three numbers below the first one add up to it.
fn texts(config: &Config, plan: &Plan, out: &mut dyn Write) -> Result<()> {
    let new = plan.rows - plan.bad_rows - plan.known;
    let rows = if plan.limited { format!("the first {}", grouped(plan.rows)) } else { grouped(plan.rows) };
    writeln!(out, "{}: {rows} rows, of which", config.task.name)?;
    for (count, meaning) in
        [(new, "to be annotated"), (plan.known, "done, or repeating an earlier one"), (plan.bad_rows, "unusable")]
    {
        writeln!(out, "  {:>12}  {meaning}", grouped(count))?;
    }
    Ok(())
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
    let (tokens, measured) = (&teacher.tokens, teacher.measured.as_ref());
    // A recording has none: it costs nothing and takes no time.
    if tokens.prompt == 0 {
        return Ok(measured.map_or(Ok(()), |measured| row("measured", grouped(measured.answers), &each(measured)))?);
    }
    let on = measured.map(|measured| format!("measured on {} answers", grouped(measured.answers)));
    if let Some(measured) = measured {
        let share =
            format!("asked again: {:.1}% of the answers named no label at first", 100.0 * measured.second_tries);
        row("second tries", grouped(teacher.second_tries), &share)?;
    }
    let counted = if teacher.counted { "counted with the tokenizer" } else { "estimated at four bytes a token" };
    row("prompt tokens", grouped(tokens.prompt), on.as_deref().unwrap_or(counted))?;
    let most = format!("{}; at most {}", on.as_deref().unwrap_or("estimated"), grouped(tokens.completion_bound));
    row("answer tokens", grouped(tokens.completion), &most)?;
    let (cost, meaning) = cost(teacher);
    row("cost", cost, &meaning)?;
    let latency = match measured.and_then(|measured| measured.seconds) {
        Some(seconds) => format!("at the configured limits; a request took {seconds:.2} s"),
        None => format!("at the configured limits, if a request takes {} s", ASSUMED_LATENCY.as_secs()),
    };
    row("time", HumanDuration(teacher.duration).to_string(), &latency)?;
    Ok(())
}

/// What the requests cost: by the configured prices, or else by what the provider says that it charged so far.
fn cost(teacher: &TeacherPlan) -> (String, String) {
    if let Some((expected, most)) = teacher.cost {
        let meaning = format!("at the configured prices; {} if every answer is as long as it may be", money(most));
        return (money(expected), meaning);
    }
    match teacher.measured.as_ref().and_then(|measured| measured.cost) {
        Some(each) => {
            let requests = rust_decimal::Decimal::from(teacher.requests + teacher.second_tries);
            (
                money(each * requests),
                format!("as charged so far, {} a request; [teachers.price] bounds it", money(each)),
            )
        }
        None => ("unknown".to_owned(), "add [teachers.price]".to_owned()),
    }
}

/// What a request took, where none is left to be sent.
fn each(measured: &Measured) -> String {
    let mut each = format!("answers: a request took {:.0} + {:.0} tokens", measured.prompt, measured.completion);
    if let Some(seconds) = measured.seconds {
        each.push_str(&format!(", {seconds:.2} s"));
    }
    if let Some(cost) = measured.cost {
        each.push_str(&format!(", {}", money(cost)));
    }
    each
}

/// How good the stored answers are.
fn judged(on_gold: &OnGold, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "The stored answers, by {} gold labels (with 95% intervals)", grouped(on_gold.gold))?;
    for judged in &on_gold.judged {
        let name = judged.teacher.as_deref().map_or_else(|| "all teachers together".to_owned(), one_line);
        let Judged { texts, first: Some(first), coverage: Some(coverage), mean_candidates, .. } = judged else {
            writeln!(
                out,
                "  {name}: no text with gold is answered. Their ids must be those of the corpus; `candist run CONFIG --limit 50` asks about \
                 the first 50"
            )?;
            continue;
        };
        writeln!(out, "  {name}, on {} texts", grouped(*texts))?;
        writeln!(out, "    first label right      {}", percent(first))?;
        writeln!(out, "    right one among them   {}, at {mean_candidates:.2} labels a text", percent(coverage))?;
    }
    Ok(())
}

fn percent(share: &Share) -> String {
    format!("{:.1}% ({:.1}% to {:.1}%)", 100.0 * share.estimate, 100.0 * share.low, 100.0 * share.high)
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
