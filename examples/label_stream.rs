//! Labels as a stream: start a run, take its labels as they come, stop it in the middle, and go on later.
//!
//! `cargo run --example label_stream`

#![expect(clippy::print_stdout, reason = "an example")]

use std::path::Path;

use candist::{Config, Error, Result, Run};
use futures::StreamExt;

/// Takes `most` labels from offset `from` on; gives the next offset.
async fn take(dir: &Path, from: u64, most: usize) -> Result<u64> {
    let config = Config::load("configs/quickstart.toml".as_ref(), Some(dir.to_owned()))?;
    let run = Run::builder(config).start();
    let (mut labels, mut next) = (run.labels(from).take(most), from);
    while let Some(event) = labels.next().await.transpose()? {
        println!("{} {}: {} ({:.2})", event.offset, event.id, event.label, event.confidence);
        next = event.offset + 1;
    }
    // Nothing more is asked; what is in flight comes back and is kept.
    run.stop();
    match run.join().await {
        Ok(outcome) => println!("complete, with {} new label events", outcome.new_events),
        Err(Error::Interrupted) => println!("stopped: the next run in this directory goes on"),
        Err(error) => return Err(error),
    }
    Ok(next)
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let next = take(dir.path(), 0, 20).await?;
    take(dir.path(), next, 20).await?;
    Ok(())
}
