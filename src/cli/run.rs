//! `candist run`: the one verb that asks and labels. It runs on a tokio runtime of its own; all others work on files
//! and need none.

use std::io::IsTerminal;
#[cfg(feature = "page")]
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use candist::config::{DeviceChoice, StudentKind, TeacherConfig};
use candist::{Config, Error, Outcome, Progress, Run, distribution, plan_anew, with_causes};
use clap::Args;
use indicatif::HumanCount;
use tokio::sync::watch;

use super::again::start_again_to_compute;
use super::caller::has_caller;
use super::exit::{Exit, report, with_failures};
#[cfg(feature = "page")]
use super::listen;
use super::messages::Manner;
use super::money;
use super::reporter::Reporter;
use super::signals::watch_signals;
use super::summary::{self, Summary, shell_word};
use super::voice::{Voice, terminal};
use super::width::USUAL;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The configuration (TOML).
    config: PathBuf,
    /// The run directory, instead of the configuration's run.dir.
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// A pilot: annotate the first N texts of the corpus alone, to the end. A run without it goes on from there, and asks
    /// about none of them again.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Ask again about the texts whose answers named no label.
    #[arg(long)]
    retry_failures: bool,
    /// Send again what a changed prompt, model or parameter asks for, however much it is.
    #[arg(long)]
    yes: bool,
    /// Of a run that is shared (run.shared): leave the asking to `candist work` elsewhere; no keys are needed here.
    #[cfg(feature = "shared")]
    #[arg(long)]
    train_only: bool,
    /// Tell how far it is as JSON on standard error, one object a line: progress, messages, and a summary at the end.
    #[arg(long)]
    pub(super) json: bool,
    /// Exit with 1 where a row could not be read or a text got no candidate.
    #[arg(long)]
    strict: bool,
    /// Serve the page of the run at this address [default: 127.0.0.1:8088], while it runs and after it, until Ctrl-C; what is
    /// corrected there is learned from. Port 0 takes one that is free.
    ///
    /// From elsewhere than this machine a token is needed, which is part of the address that is printed; see `candist serve`.
    #[cfg(feature = "page")]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:8088", value_parser = super::access::address)]
    listen: Option<SocketAddr>,
}

/// Runs to the end of the corpus, or until a signal. What the exit says is in `exit`; an error here is told by `main`.
pub(super) fn run(args: &RunArgs, voice: &Voice, quiet: bool) -> Result<Exit> {
    let manner = Manner { quiet, json: args.json };
    let ended = annotate(args, voice, manner);
    if !args.json {
        return ended;
    }
    // For a program the summary is the last object, whatever came before.
    ended.or_else(|error| {
        let exit = report(&error);
        voice.line(&summary::failed(&with_causes(error.as_ref()), exit as i32).to_string());
        Ok(exit)
    })
}

fn annotate(args: &RunArgs, voice: &Voice, manner: Manner) -> Result<Exit> {
    let began = Instant::now();
    let config = Config::load(&args.config, args.run_dir.clone())?;
    #[cfg(feature = "shared")]
    if args.train_only && config.run.shared.is_none() {
        let message = "leaves the asking to others, and without `run.shared` there are none: name the database in the configuration";
        return Err(Error::Unfit { path: "--train-only".into(), message: message.to_owned() }.into());
    }
    let device = match &config.student.kind {
        StudentKind::Encoder(encoder) => encoder.device,
        StudentKind::Ngram(_) => DeviceChoice::Cpu,
    };
    if config.corpus.is_stdin() && has_caller() {
        // It holds the pipe open and writes nothing: the run would wait for ever.
        let message =
            "belongs to the program that started this one: write the texts to a file, and name that in corpus.path";
        return Err(Error::Unfit { path: "standard input".into(), message: message.to_owned() }.into());
    }
    // Before anything is held: from here on it may be another process.
    start_again_to_compute(device, config.student.threads);
    if !agrees_to_ask_again(&config, args)? {
        return Ok(Exit::Usage);
    }
    let dir = config.run.dir.clone();
    let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    #[cfg(feature = "page")]
    let address = args.listen.map(|listen| listen::bind(listen, &config)).transpose()?;
    let builder = |retry_failures: bool| {
        let run = Run::builder(config.clone()).retry_failures(retry_failures);
        #[cfg(feature = "shared")]
        let run = run.train_only(args.train_only);
        match args.limit {
            Some(texts) => run.limit(texts),
            None => run,
        }
    };
    let (stop, stopped) = watch::channel(false);
    runtime.spawn(watch_signals(move || {
        stop.send_replace(true);
    }));
    #[cfg(feature = "page")]
    let page = address.map(|address| runtime.spawn(listen::serve(address, dir.clone(), stopped.clone())));
    let (outcome, progress) = runtime.block_on(async {
        let run = builder(args.retry_failures).start();
        // The run is under way by now, and goes on where nothing can be shown of it.
        let reporter = Reporter::start(Arc::clone(run.progress()), voice, manner);
        tokio::spawn(stop_when(stopped.clone(), run.stopper()));
        let outcome = run.join().await;
        // Its last line comes before what the run came to.
        drop(reporter);
        (outcome, Arc::clone(run.progress()))
    });
    voice.clear();
    let outcome = outcome?;
    // A warning, where there is cause: it comes before the summary, which says what to do about it.
    let exit = with_failures(&outcome, args.strict);
    if manner.json || !manner.quiet {
        tell(args, &config, &progress, &outcome, began, voice);
    }
    #[cfg(feature = "page")]
    if let Some(page) = page {
        runtime.block_on(async {
            listen::learn(|| builder(false), &dir, stopped).await;
            page.await.context("the page failed")?.context("the page failed")
        })?;
    }
    Ok(exit)
}

/// Calls `stop` when the run is to end before its end.
pub(super) async fn stop_when(mut stopped: watch::Receiver<bool>, stop: impl Fn()) {
    if stopped.wait_for(|&stopped| stopped).await.is_ok() {
        stop();
    }
}

/// How answers came to the run: of a shared one, others asked for some of them, or had asked before.
fn came_by(config: &Config) -> &'static str {
    if config.run.shared.is_some() { "taken in" } else { "asked for" }
}

/// What the run came to.
fn tell(args: &RunArgs, config: &Config, progress: &Progress, outcome: &Outcome, began: Instant, voice: &Voice) {
    let dir = &config.run.dir;
    // Three ends that look alike in the numbers: nothing at all to do, labels alone, and answers.
    let work = match (progress.asked.get(), outcome.new_events) {
        (0, 0) => "already complete, nothing was left to do".to_owned(),
        (0, _) => "complete, nothing was left to ask".to_owned(),
        (asked, _) => format!("complete, {} answers {}", HumanCount(asked), came_by(config)),
    };
    let log = dir.join("labels.jsonl");
    let (texts, events) = (HumanCount(progress.placed.get()), HumanCount(progress.events.get()));
    let work = format!("{work}: {texts} texts, {events} label events in {}", log.display());
    // The directory, where it was given: the configuration names another.
    let run = shell_word(args.run_dir.as_deref().unwrap_or(&args.config));
    let configuration = args.run_dir.as_deref().map_or_else(
        || shell_word(&args.config),
        |dir| format!("{} --run-dir {}", shell_word(&args.config), shell_word(dir)),
    );
    let summary = Summary {
        run: &run,
        configuration: &configuration,
        work,
        asked: progress.asked.get(),
        events: progress.events.get(),
        // It was just written; where it cannot be read, the next reader says why.
        distribution: distribution(dir).unwrap_or_default(),
        failures: outcome.failures,
        pilot: args.limit.filter(|_| outcome.limited),
        spent: outcome.spent,
        took: began.elapsed(),
        calibration_doubt: progress.snapshot().calibration_doubt,
    };
    if args.json {
        voice.line(&summary.object().to_string());
    } else {
        tracing::info!("{}", summary.text(terminal().map_or(USUAL, |(columns, _)| columns)));
    }
}

/// A changed prompt asks again about texts that are done: what that takes is said before the first request, and where it is
/// much and a person is there, it needs a `--yes`.
fn agrees_to_ask_again(config: &Config, args: &RunArgs) -> Result<bool> {
    // A recording takes no tokens: to look it up again costs nothing. It may be large, and the run reads it.
    if config.teachers.iter().all(|teacher| matches!(teacher, TeacherConfig::Recorded(_))) {
        return Ok(true);
    }
    let Some(plan) = plan_anew(config, args.limit)? else { return Ok(true) };
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
