//! An address that is listened at: bound, told with its token, and served. It takes connections, as many as there is room for, and
//! ends soon after it is asked to.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

use super::guard::Guard;
use crate::domain::sample::to_hex;
use crate::error::{Error, Result};

/// Connections at once, at most; others wait to be taken.
pub(crate) const CONNECTIONS: usize = 256;
/// How long a client may take for the head of a request, and be silent between two.
const HEAD: Duration = Duration::from_secs(15);
/// How long a client may take nothing of what is sent.
const TAKE: Duration = Duration::from_secs(30);
/// Bytes of a request's head, at most.
const HEAD_BYTES: usize = 64 << 10;
/// After a connection could not be taken: there are too many open files.
const RECOVER: Duration = Duration::from_millis(100);

/// Where a server is to listen, and to whom.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Port 0 takes one that is free.
    pub(crate) listen: SocketAddr,
    /// What whoever asks must have; without one, a random token is made where others than this machine can ask.
    pub(crate) token: Option<String>,
    /// Whether no token is made.
    pub(crate) open: bool,
    /// Names that it is reached by, besides its address and those of this machine.
    pub(crate) hosts: Vec<String>,
}

/// A bound address: whoever connects waits.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    token: Option<String>,
    hosts: Vec<String>,
}

impl Listener {
    /// Binds the address.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] where it cannot be had.
    pub(crate) fn bind(place: Place) -> Result<Self> {
        let listen = |source| Error::Listen { address: place.listen, source };
        let socket = TcpListener::bind(place.listen).map_err(listen)?;
        socket.set_nonblocking(true).map_err(listen)?;
        let address = socket.local_addr().map_err(listen)?;
        let token = place.token.or_else(|| {
            let is_needed = !place.open && !address.ip().is_loopback();
            is_needed.then(|| to_hex(rand::random()))
        });
        Ok(Self { socket, address, token, hosts: place.hosts })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What whoever asks must have.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// What to open in a browser, with the token where one is needed.
    pub(crate) fn url(&self) -> String {
        let token = self.token.as_deref().map(|token| format!("?token={token}")).unwrap_or_default();
        self.base() + &token
    }

    /// The same without the token.
    pub(crate) fn base(&self) -> String {
        base(self.address, self.hosts.first())
    }

    /// Who is let in.
    pub(crate) fn guard(&self) -> Guard {
        Guard::new(self.address, &self.hosts, self.token.as_deref())
    }

    /// Serves until `stop` is done. Then nobody new is let in, `stopping` is called, and what is under way may take as long as
    /// `end` says.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] where the socket cannot be used.
    pub(crate) async fn serve(
        self,
        service: Router,
        stop: impl Future<Output = ()>,
        stopping: impl FnOnce(),
        end: Duration,
    ) -> Result<()> {
        let listen = |source| Error::Listen { address: self.address, source };
        let listener = tokio::net::TcpListener::from_std(self.socket).map_err(listen)?;
        let (graceful, mut open) = (GracefulShutdown::new(), JoinSet::new());
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
        stopping();
        let _ = tokio::time::timeout(end, graceful.shutdown()).await;
        open.shutdown().await;
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
    // Answers are small, and wanted at once.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(TAKE));
    Box::pin(stream)
}

/// An address that a person can open: a server that listens everywhere is reached by this machine's name for itself.
fn base(address: SocketAddr, host: Option<&String>) -> String {
    let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
    let authority = match host {
        Some(host) => format!("{host}:{}", address.port()),
        None => SocketAddr::new(ip, address.port()).to_string(),
    };
    format!("http://{authority}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_as_it_is_opened() {
        let at = |address: &str, host: Option<&str>| base(address.parse().unwrap(), host.map(str::to_owned).as_ref());
        assert_eq!(at("127.0.0.1:8088", None), "http://127.0.0.1:8088/");
        assert_eq!(at("[::1]:8088", None), "http://[::1]:8088/");
        assert_eq!(at("0.0.0.0:80", None), "http://127.0.0.1:80/");
        assert_eq!(at("0.0.0.0:80", Some("box")), "http://box:80/");
    }

    #[test]
    fn only_who_listens_beyond_this_machine_makes_a_token() {
        let bound = |listen: &str, token: Option<&str>, open| {
            let (listen, token) = (listen.parse().unwrap(), token.map(str::to_owned));
            Listener::bind(Place { listen, token, open, hosts: Vec::new() }).unwrap()
        };
        assert_eq!(bound("127.0.0.1:0", None, false).token(), None);
        assert_eq!(bound("0.0.0.0:0", None, true).token(), None);
        assert_eq!(bound("127.0.0.1:0", Some("x"), false).token(), Some("x"));
        let everywhere = bound("0.0.0.0:0", None, false);
        let token = everywhere.token().unwrap();
        assert_eq!(token.len(), 32);
        assert!(everywhere.url().ends_with(&format!("/?token={token}")));
    }
}
