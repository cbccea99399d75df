//! `candist predict --serve`: the student behind an address, until Ctrl-C; then it finishes what it has.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use candist::{Predictor, ServiceOptions, StudentService};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::access::{AccessArgs, address};
use super::exit::Exit;

/// What only a service needs. To be flattened into the arguments of the verb.
#[derive(Debug, Args)]
pub(super) struct ServiceArgs {
    /// Answer texts that are posted to this address [default: 127.0.0.1:8089], until Ctrl-C, instead of reading an input. Port 0
    /// takes one that is free.
    ///
    /// A request is {"texts": ["...", {"id": "...", "text": "..."}]}, or an object a line (application/x-ndjson); what is answered
    /// is what is printed otherwise. 127.0.0.1 is reached from this machine alone. From elsewhere a token is needed, which is told
    /// at the start; what is sent is not encrypted, so let a tunnel or a proxy do that.
    #[arg(
        long,
        value_name = "ADDR",
        num_args = 0..=1,
        default_missing_value = "127.0.0.1:8089",
        value_parser = address,
        conflicts_with_all = [
            "input", "parts_input", "output", "format", "lines", "text_field", "text", "delimiter", "encoding", "pattern", "id_field", "strict",
        ],
    )]
    pub(super) serve: Option<SocketAddr>,
    /// serve: texts that may wait, 1 to 65536 [default: 4096]; who brings more is told to come again later. Also how many a request
    /// may have.
    #[arg(long, value_name = "TEXTS", value_parser = clap::value_parser!(u32).range(1..=65536))]
    queue: Option<u32>,
    /// serve: milliseconds, 0 to 1000, that the student waits for more texts while a request is being read [default: 1].
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=1000))]
    gather_ms: Option<u64>,
    #[command(flatten)]
    access: AccessArgs,
}

impl ServiceArgs {
    /// An option that is for a service alone, where one was given and no service is wanted. (To clap that is no mistake where
    /// there is an input, which a service cannot have.)
    pub(super) fn without_service(&self) -> Option<&'static str> {
        let own = [("--queue", self.queue.is_some()), ("--gather-ms", self.gather_ms.is_some())];
        let own = own.into_iter().find(|(_, given)| *given).map(|(option, _)| option);
        own.or_else(|| self.access.given()).filter(|_| self.serve.is_none())
    }
}

/// Serves `student`, which messages call `name`, at `listen`.
pub(super) fn run(
    args: &ServiceArgs,
    listen: SocketAddr,
    student: Predictor,
    name: &Path,
    min_confidence: f64,
) -> Result<Exit> {
    let usual = ServiceOptions::default();
    let options = ServiceOptions {
        listen,
        token: args.access.token()?,
        open: args.access.is_open(),
        hosts: args.access.hosts(),
        min_confidence,
        queue: args.queue.map_or(usual.queue, |texts| texts as usize),
        gather: args.gather_ms.map_or(usual.gather, Duration::from_millis),
    };
    let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    runtime.block_on(async {
        let (stop, stopped) = oneshot::channel::<()>();
        // Before the address is told: who reads it may end the program at once.
        let mut signals = Signals::take()?;
        let service = StudentService::bind(student, options)?;
        tracing::info!("{} answers at {} (Ctrl-C ends it)", name.display(), service.url());
        if let Some(token) = service.token().filter(|_| args.access.given() != Some("--token-file")) {
            tracing::info!("who asks sends the header Authorization: Bearer {token}");
        }
        args.access.tell_reach(service.address(), "ask this student");
        tokio::spawn(async move {
            signals.next().await;
            tracing::info!("stopping: answering what was asked (again to stop at once)");
            let _ = stop.send(());
            signals.next().await;
            // Without the C library's clean-up, which would pull libtorch away from under the student's thread.
            signal_hook::low_level::exit(Exit::Interrupted as i32)
        });
        service.serve(async { drop(stopped.await) }).await?;
        Ok(Exit::Complete)
    })
}

/// What asks the program to end.
struct Signals([tokio::signal::unix::Signal; 3]);

impl Signals {
    fn take() -> std::io::Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let next = self.0.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures::future::select_all(next).await;
    }
}
