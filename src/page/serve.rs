//! The server: a run's table behind its addresses (`http::listener` takes the connections); it ends within two seconds of being
//! asked to, whoever still listens.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::app::{App, QUERIES, REPORTS, STREAMS};
use super::auditing::Auditing;
use super::desk::Desk;
use super::follow::{Following, follow};
use super::metrics::Requests;
use super::query::Orders;
use super::routes::router;
use super::search::Searches;
use crate::error::Result;
use crate::http::listener::{Listener, Place};

/// How long what is under way may take when the server ends.
const END: Duration = Duration::from_millis(1500);
/// Where a page is served, and to whom.
#[derive(Debug, Clone)]
pub struct PageOptions {
    /// Where it listens. Port 0 takes one that is free.
    pub listen: SocketAddr,
    /// What whoever asks must have; without one, a random token is made where others than this machine can ask.
    pub token: Option<String>,
    /// Let everybody in who can reach it, without a token: something else is in front that decides.
    pub open: bool,
    /// Names that it is reached by, besides its address and those of this machine.
    pub hosts: Vec<String>,
    /// What labels mean, by name.
    pub descriptions: Vec<(String, String)>,
    /// Whether people only look, and give no labels.
    pub read_only: bool,
}

impl Default for PageOptions {
    fn default() -> Self {
        let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8088);
        Self { listen, token: None, open: false, hosts: Vec::new(), descriptions: Vec::new(), read_only: false }
    }
}

/// An address at which a page is to be served, bound before there is a run: whoever connects waits.
#[derive(Debug)]
pub struct PageAddress {
    listener: Listener,
    options: PageOptions,
}

impl PageAddress {
    /// Binds the address of `options`.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`](crate::Error::Listen) where it cannot be had.
    pub fn bind(options: PageOptions) -> Result<Self> {
        let PageOptions { listen, token, open, hosts, .. } = options.clone();
        Ok(Self { listener: Listener::bind(Place { listen, token, open, hosts })?, options })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// What to open in a browser, with the token where one is needed.
    #[must_use]
    pub fn url(&self) -> String {
        self.listener.url()
    }

    /// The page of the run in `dir`, whose logs it begins to read.
    ///
    /// # Errors
    ///
    /// [`Error::NoRun`](crate::Error::NoRun) where there is no run, [`Error::Unconverted`](crate::Error::Unconverted) for a
    /// directory of an older version, [`Error::InputLog`](crate::Error::InputLog) where the log's first line is damaged.
    pub fn page(self, dir: &Path) -> Result<PageServer> {
        let (url, options) = (self.url(), self.options);
        let (shared, following) = follow(dir)?;
        let (stop, stopped) = watch::channel(false);
        let app = Arc::new(App {
            shared,
            guard: self.listener.guard(),
            descriptions: options.descriptions,
            desk: Desk::new(dir, !options.read_only),
            auditing: Auditing::of(dir),
            orders: Orders::default(),
            searches: Searches::default(),
            requests: Requests::default(),
            streams: Arc::new(Semaphore::new(STREAMS)),
            queries: Arc::new(Semaphore::new(QUERIES)),
            reports: Arc::new(Semaphore::new(REPORTS)),
            stop: stopped,
        });
        Ok(PageServer { listener: self.listener, url, app, stop, following })
    }
}

/// The page of a run, bound to its address. A connection waits until [`PageServer::serve`] takes it.
///
/// ```no_run
/// # async fn example() -> candist::Result<()> {
/// let server = candist::PageServer::bind("runs/support".as_ref(), candist::PageOptions::default())?;
/// println!("{}", server.url());
/// server.serve(std::future::pending()).await
/// # }
/// ```
pub struct PageServer {
    listener: Listener,
    url: String,
    app: Arc<App>,
    stop: watch::Sender<bool>,
    /// Keeps the table.
    following: Following,
}

impl std::fmt::Debug for PageServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageServer").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl PageServer {
    /// Binds the page of the run in `dir`, and begins to read its logs.
    ///
    /// # Errors
    ///
    /// Those of [`PageAddress::bind`] and [`PageAddress::page`].
    pub fn bind(dir: &Path, options: PageOptions) -> Result<Self> {
        PageAddress::bind(options)?.page(dir)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// What to open in a browser, with the token where one is needed.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Serves until `stop` is done, and two seconds longer at most.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`](crate::Error::Listen) where the socket cannot be used.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<()> {
        let Self { listener, app, stop: ends, following, .. } = self;
        let stopping = || {
            let _ = ends.send(true);
        };
        listener.serve(router(&app), stop, stopping, END).await?;
        // Joins its thread, which blocks for a moment.
        let _ = tokio::task::spawn_blocking(move || drop(following)).await;
        Ok(())
    }
}
