//! The server: takes connections, as many as it has room for, and ends within two seconds of being asked to, whoever still
//! listens.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

use super::app::{App, QUERIES, REPORTS, STREAMS};
use super::auditing::Auditing;
use super::desk::Desk;
use super::follow::{Following, follow};
use super::guard::Guard;
use super::metrics::Requests;
use super::query::Orders;
use super::routes::router;
use super::search::Searches;
use crate::domain::sample::to_hex;
use crate::error::{Error, Result};

/// Connections at once, at most; others wait to be taken.
const CONNECTIONS: usize = 256;
/// How long a client may take for the head of a request, and be silent between two.
const HEAD: Duration = Duration::from_secs(15);
/// How long a client may take nothing of what is sent.
const TAKE: Duration = Duration::from_secs(30);
/// Bytes of a request's head, at most.
const HEAD_BYTES: usize = 64 << 10;
/// How long what is under way may take when the server ends.
const END: Duration = Duration::from_millis(1500);
/// After a connection could not be taken: there are too many open files.
const RECOVER: Duration = Duration::from_millis(100);

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
    listener: TcpListener,
    address: SocketAddr,
    token: Option<String>,
    options: PageOptions,
}

impl PageAddress {
    /// Binds the address of `options`.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] where it cannot be had.
    pub fn bind(options: PageOptions) -> Result<Self> {
        let listen = |source| Error::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let token = options.token.clone().or_else(|| {
            let is_needed = !options.open && !address.ip().is_loopback();
            is_needed.then(|| to_hex(rand::random()))
        });
        Ok(Self { listener, address, token, options })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to open in a browser, with the token where one is needed.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.address, self.options.hosts.first(), self.token.as_deref())
    }

    /// The page of the run in `dir`, whose logs it begins to read.
    ///
    /// # Errors
    ///
    /// [`Error::NoRun`] where there is no run, [`Error::Unconverted`] for a directory of an older version, [`Error::InputLog`]
    /// where the log's first line is damaged.
    pub fn page(self, dir: &Path) -> Result<PageServer> {
        let (url, options) = (self.url(), self.options);
        let (shared, following) = follow(dir)?;
        let (stop, stopped) = watch::channel(false);
        let app = Arc::new(App {
            shared,
            guard: Guard::new(self.address, &options.hosts, self.token.as_deref()),
            descriptions: options.descriptions,
            desk: Desk::new(dir, !options.read_only),
            auditing: Auditing::of(dir),
            orders: Orders::default(),
            searches: Searches::default(),
            requests: Requests::default(),
            streams: Arc::new(Semaphore::new(STREAMS)),
            queries: Semaphore::new(QUERIES),
            reports: Semaphore::new(REPORTS),
            stop: stopped,
        });
        Ok(PageServer { listener: self.listener, address: self.address, url, app, stop, following })
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
    listener: TcpListener,
    address: SocketAddr,
    url: String,
    app: Arc<App>,
    stop: watch::Sender<bool>,
    /// Keeps the table.
    following: Following,
}

impl std::fmt::Debug for PageServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl PageServer {
    /// Binds the page of the run in `dir`, and begins to read its logs.
    ///
    /// # Errors
    ///
    /// [`Error::NoRun`] where there is no run, [`Error::Unconverted`] for a directory of an older version, [`Error::InputLog`]
    /// where the log's first line is damaged, [`Error::Listen`] where the address cannot be had.
    pub fn bind(dir: &Path, options: PageOptions) -> Result<Self> {
        PageAddress::bind(options)?.page(dir)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
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
    /// [`Error::Listen`] where the socket cannot be used.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<()> {
        let listen = |source| Error::Listen { address: self.address, source };
        let listener = tokio::net::TcpListener::from_std(self.listener).map_err(listen)?;
        let (service, graceful, mut open) = (router(&self.app), GracefulShutdown::new(), JoinSet::new());
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut stop = std::pin::pin!(stop);
        loop {
            let taken = tokio::select! {
                () = &mut stop => break,
                taken = take(&listener, &places) => taken,
            };
            // Those that ended leave nothing behind.
            while open.try_join_next().is_some() {}
            if let Some((stream, place)) = taken {
                let service = TowerToHyperService::new(service.clone());
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD)
                    .max_buf_size(HEAD_BYTES)
                    .serve_connection(TokioIo::new(bounded(stream)), service);
                let connection = graceful.watch(connection);
                open.spawn(async move {
                    let _place = place;
                    // What breaks a connection is the client's to tell.
                    let _ = connection.await;
                });
            }
        }
        drop(listener);
        let _ = self.stop.send(true);
        let _ = tokio::time::timeout(END, graceful.shutdown()).await;
        open.abort_all();
        // Joins its thread, which blocks for a moment.
        let following = self.following;
        let _ = tokio::task::spawn_blocking(move || drop(following)).await;
        Ok(())
    }
}

/// The next connection, once there is room for it; `None` where it could not be taken.
async fn take(
    listener: &tokio::net::TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::debug!("a connection could not be taken: {error}");
            tokio::time::sleep(RECOVER).await;
            None
        }
    }
}

/// Who takes nothing for a while is cut off; who only listens is not.
fn bounded(stream: TcpStream) -> std::pin::Pin<Box<TimeoutStream<TcpStream>>> {
    // Events are small, and to be seen at once.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(TAKE));
    Box::pin(stream)
}

/// An address that a person can open: a server that listens everywhere is reached by this machine's name for itself.
fn url(address: SocketAddr, host: Option<&String>, token: Option<&str>) -> String {
    let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
    let authority = match host {
        Some(host) => format!("{host}:{}", address.port()),
        None => SocketAddr::new(ip, address.port()).to_string(),
    };
    let token = token.map(|token| format!("?token={token}")).unwrap_or_default();
    format!("http://{authority}/{token}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_as_it_is_opened() {
        let at = |address: &str, host: Option<&str>, token| {
            url(address.parse().unwrap(), host.map(str::to_owned).as_ref(), token)
        };
        assert_eq!(at("127.0.0.1:8088", None, None), "http://127.0.0.1:8088/");
        assert_eq!(at("[::1]:8088", None, None), "http://[::1]:8088/");
        assert_eq!(at("0.0.0.0:80", None, Some("x")), "http://127.0.0.1:80/?token=x");
        assert_eq!(at("0.0.0.0:80", Some("box"), Some("x")), "http://box:80/?token=x");
    }
}
