//! `candist run`

use std::sync::Arc;

use anyhow::{Context, Result};
use candist::Config;
use candist::config::{DeviceChoice, StudentKind};
use candist::flow::pipeline;
use candist::flow::progress::Progress;
use indicatif::{HumanCount, ProgressBar};
use tokio::signal::unix::{SignalKind, signal};

use super::RunArgs;
use super::again::start_again_to_compute;
use super::exit::{Exit, with_failures};
use super::money;
use super::reporter::Reporter;

pub(super) fn run(args: &RunArgs, bar: &ProgressBar) -> Result<Exit> {
    let config = Config::load(&args.config, args.run_dir.clone())?;
    let device = match &config.student.kind {
        StudentKind::Encoder(encoder) => encoder.device,
        StudentKind::Ngram(_) => DeviceChoice::Cpu,
    };
    start_again_to_compute(device, config.student.threads);
    let dir = config.run.dir.clone();
    let progress = Arc::new(Progress::default());
    let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    let reporter = Reporter::start(Arc::clone(&progress), bar, dir.clone(), args.quiet);
    let outcome = runtime.block_on(async {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        tokio::spawn(watch_signals(stop));
        let stopped = async {
            // An error means that signals cannot be watched: then nothing stops the run this way.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let options = pipeline::Options { retry_failures: args.retry_failures };
        pipeline::run(config, options, stopped, Arc::clone(&progress)).await
    });
    drop(reporter);
    bar.finish_and_clear();
    let outcome = outcome?;
    if !args.quiet {
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
        if progress.cost() > rust_decimal::Decimal::ZERO {
            tracing::info!("spent so far: {}", money(progress.cost()));
        }
    }
    Ok(with_failures(&outcome))
}

/// The first Ctrl-C or SIGTERM stops the run where nothing is lost, the second at once.
async fn watch_signals(stop: tokio::sync::oneshot::Sender<()>) -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    next().await;
    tracing::info!("stopping: waiting for answers on their way (again to stop at once)");
    // The run may be over already.
    let _ = stop.send(());
    next().await;
    // Without the C library's clean-up, which would pull libtorch away from under the student's thread.
    signal_hook::low_level::exit(Exit::Interrupted as i32)
}
