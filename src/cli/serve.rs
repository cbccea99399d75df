//! `candist serve`: the page of a run, at one address, from its files alone. Ends with Ctrl-C, which is how it is meant to end.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use candist::{Config, PageOptions, PageServer};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::access::{AccessArgs, address};
use super::place::RunArg;

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    run: RunArg,
    /// Where to listen; port 0 takes one that is free.
    ///
    /// 127.0.0.1 is reached from this machine alone. From elsewhere a token is needed, which is part of the address that is
    /// printed; what is sent is not encrypted, so let a tunnel or a proxy do that.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8088", value_parser = address)]
    listen: SocketAddr,
    /// Only show the run: labels cannot be given.
    #[arg(long)]
    read_only: bool,
    #[command(flatten)]
    access: AccessArgs,
}

pub(super) fn run(args: &ServeArgs) -> Result<()> {
    let dir = args.run.dir()?;
    #[cfg(feature = "shared")]
    let is_elsewhere = args.run.elsewhere()?.is_some();
    #[cfg(not(feature = "shared"))]
    let is_elsewhere = false;
    if is_elsewhere && !args.read_only {
        tracing::info!("the run is trained elsewhere: it is only shown here; `candist correct` gives labels from here");
    }
    let options = PageOptions {
        listen: args.listen,
        token: args.access.token()?,
        open: args.access.is_open(),
        hosts: args.access.hosts(),
        read_only: args.read_only || is_elsewhere,
        descriptions: args.run.config()?.as_ref().map(descriptions).unwrap_or_default(),
    };
    let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    runtime.block_on(async {
        // Before the address is told: who reads it may end the program at once.
        let mut signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
            .into_iter()
            .map(signal)
            .collect::<std::io::Result<Vec<_>>>()?;
        let server = PageServer::bind(&dir, options)?;
        tracing::info!("{} is shown at {} (Ctrl-C ends it)", dir.display(), server.url());
        args.access.tell_reach(server.address(), "read this run");
        let stop = async {
            let next = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
            futures::future::select_all(next).await;
        };
        Ok(server.serve(stop).await?)
    })
}

/// What labels mean, where the configuration says.
pub(super) fn descriptions(config: &Config) -> Vec<(String, String)> {
    let labels = config.task.labels.iter();
    labels.filter_map(|label| Some((label.name.clone(), label.description.clone()?))).collect()
}
