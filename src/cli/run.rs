//! `candist run`: the one verb that asks and labels. It runs on a tokio runtime of its own; all others work on files
//! and need none.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use candist::config::{DeviceChoice, StudentKind};
use candist::{Config, Run, plan_anew};
use clap::Args;
use indicatif::{HumanCount, ProgressBar};
use tokio::signal::unix::{SignalKind, signal};

use super::again::start_again_to_compute;
use super::exit::{Exit, with_failures};
use super::money;
use super::reporter::Reporter;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The configuration (TOML).
    config: PathBuf,
    /// The run directory, instead of the configuration's run.dir.
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Ask again about the texts whose answers named no label.
    #[arg(long)]
    retry_failures: bool,
    /// Send again what a changed prompt, model or parameter asks for, however much it is.
    #[arg(long)]
    yes: bool,
    /// Say nothing but warnings and errors.
    #[arg(short, long)]
    quiet: bool,
    /// Exit with 1 where a row could not be read or a text got no candidate.
    #[arg(long)]
    strict: bool,
}

/// Runs to the end of the corpus, or until a signal. What the exit says is in `exit`; an error here is told by `main`.
pub(super) fn run(args: &RunArgs, bar: &ProgressBar) -> Result<Exit> {
    let config = Config::load(&args.config, args.run_dir.clone())?;
    let device = match &config.student.kind {
        StudentKind::Encoder(encoder) => encoder.device,
        StudentKind::Ngram(_) => DeviceChoice::Cpu,
    };
    // Before anything is held: from here on it may be another process.
    start_again_to_compute(device, config.student.threads);
    if !agrees_to_ask_again(&config, args)? {
        return Ok(Exit::Usage);
    }
    let dir = config.run.dir.clone();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    let (outcome, progress) = runtime.block_on(async {
        let run = Run::builder(config).retry_failures(args.retry_failures).start();
        // The run is under way by now, and goes on where nothing can be shown of it.
        let reporter = Reporter::start(Arc::clone(run.progress()), bar, args.quiet);
        tokio::spawn(watch_signals(run.stopper()));
        let outcome = run.join().await;
        // Its last line comes before what the run came to.
        drop(reporter);
        (outcome, Arc::clone(run.progress()))
    });
    bar.finish_and_clear();
    let outcome = outcome?;
    if !args.quiet {
        // Three ends that look alike in the numbers: nothing at all to do, labels alone, and answers.
        let work = match (progress.asked.get(), outcome.new_events) {
            (0, 0) => "already complete, nothing was left to do".to_owned(),
            (0, _) => "complete, nothing was left to ask".to_owned(),
            (asked, _) => format!("complete, {} answers asked for", HumanCount(asked)),
        };
        tracing::info!(
            "{work}: {} texts, {} label events in {}",
            HumanCount(progress.placed.get()),
            HumanCount(progress.events.get()),
            dir.join("labels.jsonl").display()
        );
        if outcome.spent > rust_decimal::Decimal::ZERO {
            tracing::info!("spent so far, at most: {}", money(outcome.spent));
        }
    }
    Ok(with_failures(&outcome, args.strict))
}

/// A changed prompt asks again about texts that are done: what that takes is said before the first request, and where it is
/// much and a person is there, it needs a `--yes`.
fn agrees_to_ask_again(config: &Config, args: &RunArgs) -> Result<bool> {
    let Some(plan) = plan_anew(config)? else { return Ok(true) };
    // A recording takes no tokens: to look it up again costs nothing.
    let asked = || plan.teachers.iter().filter(|teacher| teacher.tokens.prompt > 0);
    let requests: u64 = asked().map(|teacher| teacher.requests).sum();
    if requests == 0 {
        return Ok(true);
    }
    let cost = plan.cost().map_or_else(
        || "at unknown cost (no prices are configured)".to_owned(),
        |(expected, most)| format!("for {} to {}", money(expected), money(most)),
    );
    let texts = plan.rows - plan.bad_rows;
    tracing::warn!(
        "labels, teachers, prompts or their parameters changed: {} requests will be sent again, {cost}, for {} texts; the answers that \
         are stored are kept",
        HumanCount(requests),
        HumanCount(texts)
    );
    // More than a tenth of the corpus, by any teacher. Without a terminal nobody could answer, and a script that was
    // changed on purpose goes on; the warning is in its log.
    let is_much = asked().any(|teacher| 10 * teacher.requests > texts);
    if is_much && std::io::stderr().is_terminal() && !args.yes {
        tracing::error!(
            "nothing was sent: add --yes to ask again, or undo the change (`candist plan CONFIG` says more)"
        );
        return Ok(false);
    }
    Ok(true)
}

/// The first Ctrl-C or SIGTERM stops the run where nothing is lost, the second at once.
async fn watch_signals(stop: impl Fn() + Send) -> std::io::Result<()> {
    // From here on the signals no longer end the process by themselves.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // The terminal or the connection is gone: what is on its way is paid for all the same.
    let mut hang_up = signal(SignalKind::hangup())?;
    // A file that may grow no more (`ulimit -f`) is then an error of writing like a full disk, not the end of the process.
    let _too_large = signal(SignalKind::from_raw(signal_hook::consts::SIGXFSZ))?;
    // Either signal means the same, and the second need not be of the same kind.
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    };
    next().await;
    tracing::info!("stopping: waiting for answers on their way (again to stop at once)");
    stop();
    next().await;
    // Without the C library's clean-up, which would pull libtorch away from under the student's thread.
    signal_hook::low_level::exit(Exit::Interrupted as i32)
}
