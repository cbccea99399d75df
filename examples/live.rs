//! A program of one's own with the page in it: annotates, shows itself at an address, takes a label that somebody gives there,
//! and lets the student learn from it.
//!
//! `cargo run --example live`

#![expect(clippy::print_stdout, reason = "an example")]

use candist::{Config, NewCorrection, PageAddress, PageOptions, Run, RunDir, correct};
use futures::StreamExt;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let config = Config::load("configs/quickstart.toml".as_ref(), Some(dir.path().to_owned()))?;
    // Bound before anything is asked: who opens it waits until there is a run.
    let address = PageAddress::bind(PageOptions { listen: ([127, 0, 0, 1], 0).into(), ..PageOptions::default() })?;
    println!("{}", address.url());

    let run = Run::builder(config.clone()).limit(64).start();
    let first = run.labels(0).next().await.ok_or("the run ended without a label")??;
    let page = address.page(dir.path())?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(page.serve(async move { drop(stopped.await) }));
    run.join().await?;

    // What somebody gives on the page goes the same way: it holds at once, and the next run learns from it.
    let given = NewCorrection { id: first.id, label: Some("card_arrival".to_owned()), note: None };
    correct(&RunDir::view(dir.path())?, &[given], Some("example"))?;
    let outcome = Run::builder(config).limit(64).start().join().await?;
    println!("{} label events more", outcome.new_events);

    drop(stop);
    serving.await??;
    Ok(())
}
