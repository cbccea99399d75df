//! `candist work`: asks for the runs of a database, until it is stopped.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use candist::{WorkOptions, WorkProgress, work};
use clap::Args;
use indicatif::HumanCount;
use tokio::sync::watch;

use super::exit::Exit;
use super::fetched::Elsewhere;
use super::money;
use super::signals::watch_signals;

/// Between two lines about what was asked.
const TELL: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct WorkArgs {
    /// The database, as `run.shared` of the configuration names it: postgres://USER@HOST/DATABASE. The password is in PGPASSWORD or
    /// ~/.pgpass.
    #[arg(value_name = "URL", env = "CANDIST_DATABASE", hide_env_values = true)]
    url: String,
    /// Ask for this run alone [default: all runs of the database].
    #[arg(long, value_name = "NAME")]
    run: Option<String>,
    /// End when that run is complete, and not only when it is stopped.
    #[arg(long, requires = "run")]
    until_complete: bool,
}

pub(super) fn run(args: &WorkArgs) -> Result<Exit> {
    // As verbs that look take it: with the run in the address.
    let (url, named) = match Elsewhere::of(Path::new(&args.url)) {
        Some(Elsewhere { url, run }) => (url, run),
        None => (args.url.clone(), None),
    };
    let options = WorkOptions { url, run: args.run.clone().or(named), ends: args.until_complete };
    let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    let progress = Arc::new(WorkProgress::default());
    let (stop, stopped) = watch::channel(false);
    runtime.spawn(watch_signals(move || {
        stop.send_replace(true);
    }));
    let telling = runtime.spawn(tell(Arc::clone(&progress)));
    let was_stopped = stopped.clone();
    let worked = runtime.block_on(work(options, Arc::clone(&progress), stopped));
    telling.abort();
    // Whatever ended it, that much was done, and paid.
    tracing::info!(
        "{} answers stored, {} questions without an answer{}",
        HumanCount(progress.answered.load(Ordering::Relaxed)),
        HumanCount(progress.failed.load(Ordering::Relaxed)),
        money_spent(&progress)
    );
    worked?;
    Ok(if *was_stopped.borrow() { Exit::Interrupted } else { Exit::Complete })
}

/// Says from time to time what was asked, where there is something new to say.
async fn tell(progress: Arc<WorkProgress>) {
    let mut told = 0;
    loop {
        tokio::time::sleep(TELL).await;
        let answered = progress.answered.load(Ordering::Relaxed);
        if answered != told {
            told = answered;
            let claimed = progress.claimed.load(Ordering::Relaxed);
            tracing::info!(
                "{} answers stored, of {} questions taken{}",
                HumanCount(answered),
                HumanCount(claimed),
                money_spent(&progress)
            );
        }
    }
}

/// What this worker spent, where there are prices.
fn money_spent(progress: &WorkProgress) -> String {
    let spent = progress.spent();
    if spent.is_zero() { String::new() } else { format!("; {} spent by this worker", money(spent)) }
}
