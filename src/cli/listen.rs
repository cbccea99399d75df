//! `--listen` of `candist run`: the page beside the run, and after it, until Ctrl-C; what people decide there in the meantime is
//! learned from.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use candist::{Config, Error, Outcome, PageAddress, PageOptions, RunBuilder, RunDir, correction_counts, with_causes};
use indicatif::HumanCount;
use tokio::sync::watch;

use super::run::stop_when;
use super::serve::descriptions;

/// How often it looks whether there is a run by now, and whether people decided something.
const LOOK: Duration = Duration::from_millis(250);
/// When it is tried again to learn from what was decided, where another run has the directory.
const AGAIN: Duration = Duration::from_secs(15);
/// How long the page waits for files that it can read before it says so.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nobody has decided anything when the student learns from what was decided: a run takes longer than a decision.
const QUIET: Duration = Duration::from_secs(4);

/// Binds the address and says what to open. Before anything is asked: a port in use must not end a run.
pub(super) fn bind(listen: SocketAddr, config: &Config) -> Result<PageAddress> {
    let address =
        PageAddress::bind(PageOptions { listen, descriptions: descriptions(config), ..PageOptions::default() })?;
    tracing::info!("the page of this run is {}", address.url());
    Ok(address)
}

/// Serves the page of the run in `dir`, once there is one, until stopped.
pub(super) async fn serve(address: PageAddress, dir: PathBuf, mut stopped: watch::Receiver<bool>) -> Result<(), Error> {
    let mut patience = Some(Instant::now() + PATIENCE);
    while let Err(error) = RunDir::view(&dir) {
        if !matches!(error, Error::NoRun { .. }) && patience.is_some_and(|until| Instant::now() >= until) {
            tracing::warn!("the page waits for a run that it can read: {}", with_causes(&error));
            patience = None;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopped.wait_for(|&stopped| stopped) => return Ok(()),
        }
    }
    let stop = async { drop(stopped.wait_for(|&stopped| stopped).await) };
    address.page(&dir)?.serve(stop).await
}

/// After a run: waits for what people decide, and lets the student learn from it, until stopped. `run` begins another one of
/// the same configuration, to which everything is known but that.
pub(super) async fn learn(run: impl Fn() -> RunBuilder, dir: &Path, mut stopped: watch::Receiver<bool>) {
    let at = dir.to_owned();
    // It reads the input log.
    let Ok(mut desk) = tokio::task::spawn_blocking(move || Desk::of(&at)).await else { return };
    tracing::info!("the page stays until Ctrl-C; what is corrected there is learned from");
    let mut is_told = false;
    loop {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|&stopped| stopped) => return,
            () = desk.quiet() => {}
        }
        match until(run(), stopped.clone()).await {
            Ok(outcome) => {
                is_told = false;
                tracing::info!("learned from what was corrected: {} label events", HumanCount(outcome.new_events));
            }
            Err(Error::Interrupted) => return,
            // Another run has the directory: it ends some time. What else went wrong is not tried again by itself, for that might cost.
            Err(Error::Busy { .. }) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(
                        "what was corrected is kept, and learned from when the other run of this directory has ended"
                    );
                }
                desk.again();
                tokio::select! {
                    _ = stopped.wait_for(|&stopped| stopped) => return,
                    () = tokio::time::sleep(AGAIN) => {}
                }
            }
            Err(error) => tracing::warn!("what was corrected is kept, but not learned from: {}", with_causes(&error)),
        }
    }
}

/// Runs to the end, or until stopped.
async fn until(run: RunBuilder, stopped: watch::Receiver<bool>) -> Result<Outcome, Error> {
    let run = run.start();
    let watching = tokio::spawn(stop_when(stopped, run.stopper()));
    let outcome = run.join().await;
    watching.abort();
    outcome
}

/// Whether people decided something, by the length of the file that they add to.
struct Desk {
    file: PathBuf,
    taken: u64,
}

impl Desk {
    /// As a run left it: what was decided while it settled its labels is still to be taken in.
    fn of(dir: &Path) -> Self {
        let mut desk = Self { file: dir.join("corrections.jsonl"), taken: 0 };
        // Where it cannot be told, the next run finds out.
        let is_all_taken =
            RunDir::view(dir).and_then(|view| correction_counts(&view)).is_ok_and(|counts| counts.waiting == 0);
        if is_all_taken {
            desk.taken = desk.length();
        }
        desk
    }

    /// What was decided last is still to be taken in.
    fn again(&mut self) {
        self.taken = 0;
    }

    fn length(&self) -> u64 {
        std::fs::metadata(&self.file).map_or(0, |file| file.len())
    }

    /// Returns when something was decided since the last time, and nothing more for a while.
    async fn quiet(&mut self) {
        let (mut length, mut since) = (self.taken, Instant::now());
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.length();
            if now != length {
                (length, since) = (now, Instant::now());
            }
            if length != self.taken && since.elapsed() >= QUIET {
                self.taken = length;
                return;
            }
        }
    }
}
