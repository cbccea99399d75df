//! `candist serve`: the page of a run, at one address, from its files alone. Ends with Ctrl-C, which is how it is meant to end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use candist::{Config, Error, PageOptions, PageServer};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::place::RunArg;

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    run: RunArg,
    /// Where to listen; port 0 takes one that is free.
    ///
    /// 127.0.0.1 is reached from this machine alone. From elsewhere a token is needed, which is part of the address that is
    /// printed; what is sent is not encrypted, so let a tunnel or a proxy do that.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8088")]
    listen: SocketAddr,
    /// Take the token from the first line of this file, instead of making one; it is then needed at any address.
    #[arg(long, value_name = "FILE", conflicts_with = "no_token")]
    token_file: Option<PathBuf>,
    /// Let everybody in who can reach the address: something in front of it decides who can.
    #[arg(long)]
    no_token: bool,
    /// Only show the run: labels cannot be given.
    #[arg(long)]
    read_only: bool,
    /// A name that the page is reached by, besides its address and localhost; may be given several times.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
}

/// Characters of a token, at least: a shorter one could be guessed.
const TOKEN: usize = 16;

pub(super) fn run(args: &ServeArgs) -> Result<()> {
    let dir = args.run.dir()?;
    let options = PageOptions {
        listen: args.listen,
        token: args.token_file.as_deref().map(token).transpose()?,
        open: args.no_token,
        hosts: args.host.clone(),
        read_only: args.read_only,
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
        if args.no_token && !server.address().ip().is_loopback() {
            tracing::warn!("whoever can reach {} can read this run: there is no token", server.address());
        }
        let stop = async {
            let next = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
            futures::future::select_all(next).await;
        };
        Ok(server.serve(stop).await?)
    })
}

/// The token in a file.
fn token(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Input {
        what: "token",
        path: path.to_owned(),
        source,
    })?;
    let token = text.lines().next().unwrap_or_default().trim();
    let is_plain = token.chars().all(|character| character.is_ascii_alphanumeric() || "-_.~".contains(character));
    if token.len() < TOKEN || !is_plain {
        let message = format!(
            "has no token in its first line: write at least {TOKEN} letters, digits, `-`, `_`, `.` or `~` there \
             (`openssl rand -hex 16` makes some)"
        );
        return Err(Error::Unfit { path: path.to_owned(), message }.into());
    }
    Ok(token.to_owned())
}

/// What labels mean, where the configuration says.
pub(super) fn descriptions(config: &Config) -> Vec<(String, String)> {
    let labels = config.task.labels.iter();
    labels.filter_map(|label| Some((label.name.clone(), label.description.clone()?))).collect()
}
