//! Reaching the database: the address, the password, TLS, and sessions that come again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::Instant;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::passwords;
use crate::error::{Error, Result};

/// An error of the database, or of the way to it.
pub(super) type PgError = tokio_postgres::Error;

/// When a statement counts as lost: the server ends it then, and the client a little later.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a first connection is tried for.
const FIRST_PATIENCE: Duration = Duration::from_secs(15);
/// Between two tries to reach a database that does not answer, at most.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// What every session begins with. All names are in a schema of candist's own. A worker forgets what the database says it has: where
/// that is said before it is on disk, a power cut would have it paid for again.
const BEGIN: &str = "SET search_path TO candist; SET statement_timeout TO '30s'; SET lock_timeout TO '5s'; \
                     SET idle_in_transaction_session_timeout TO '5s'; SELECT set_config('synchronous_commit', 'on', false) \
                     WHERE current_setting('synchronous_commit') = 'off'";

/// Where the database is. Sessions are made of it.
pub(super) struct Database {
    config: tokio_postgres::Config,
    /// Of this machine, and of the URL's `sslrootcert`; none where nothing is encrypted.
    tls: Option<MakeRustlsConnect>,
    /// Whether the database was away when it was last asked; told once, by whoever finds out.
    away: AtomicBool,
}

impl Database {
    /// Reads an address, `postgres://USER@HOST/DATABASE` with libpq's parameters. A password that it does not have is
    /// looked for where libpq looks: in PGPASSWORD, then in the file that PGPASSFILE names, or `~/.pgpass`.
    ///
    /// Between machines the connection is encrypted and the server's certificate checked, unless the address says
    /// `sslmode=disable`.
    pub(super) fn at(url: &str) -> Result<Arc<Self>> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(wrong_url("it begins otherwise"));
        }
        let (url, root) = without_root_certificate(url)?;
        let mut config: tokio_postgres::Config = url.parse().map_err(|error: PgError| wrong_url(&causes(&error)))?;
        if config.get_hosts().is_empty() {
            return Err(wrong_url("it names no host"));
        }
        if config.get_password().is_none()
            && let Some(password) = passwords::find(&config)
        {
            config.password(password);
        }
        let says_mode = url.contains("sslmode=");
        if !says_mode {
            config.ssl_mode(if is_here(&config) { SslMode::Disable } else { SslMode::Require });
        }
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(tls(root)?),
        };
        // A network that is cut is found out by these, and not after hours.
        config.connect_timeout(Duration::from_secs(10)).tcp_user_timeout(Duration::from_secs(15));
        config.keepalives_idle(Duration::from_secs(10)).keepalives_interval(Duration::from_secs(5));
        config.application_name("candist");
        Ok(Arc::new(Self { config, tls, away: AtomicBool::new(false) }))
    }

    /// Host and database, without user and password.
    pub(super) fn shown(&self) -> String {
        let host = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let port = match self.config.get_ports().first() {
            Some(port) if *port != 5432 => format!(":{port}"),
            _ => String::new(),
        };
        format!(
            "{}{port}/{}",
            host.collect::<Vec<_>>().join(","),
            self.config.get_dbname().or(self.config.get_user()).unwrap_or_default()
        )
    }

    async fn connect(&self) -> Result<Client, PgError> {
        // The task that talks to the server ends with its client.
        let client = match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                tokio::spawn(connection);
                client
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                tokio::spawn(connection);
                client
            }
        };
        client.batch_execute(BEGIN).await?;
        Ok(client)
    }

    /// A session that is open. What keeps the first one from opening is most likely the address, which is told soon; a database
    /// that is starting is waited for a while.
    pub(super) async fn session(self: &Arc<Self>) -> Result<Session> {
        let patience = Instant::now() + FIRST_PATIENCE;
        let mut told = false;
        loop {
            match self.connect().await {
                Ok(client) => {
                    return Ok(Session {
                        database: Arc::clone(self),
                        client: Some(client),
                        wait: Duration::ZERO,
                        was_lost: false,
                    });
                }
                Err(error)
                    if Instant::now() < patience
                        && error.code().is_none_or(is_passing)
                        && lasting(&error).is_none() =>
                {
                    if !std::mem::replace(&mut told, true) {
                        tracing::info!(
                            "{} cannot be reached yet ({}): trying for a while",
                            self.shown(),
                            causes(&error)
                        );
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => return Err(self.unreachable(&error)),
            }
        }
    }

    fn unreachable(&self, error: &PgError) -> Error {
        let advice = lasting(error);
        let is_passing = advice.is_none() && error.code().is_none_or(is_passing);
        let advice = advice.unwrap_or("Check the address, and that the database is up");
        let message = format!("{} cannot be reached: {}. {advice}", self.shown(), causes(error));
        if is_passing { Error::Away { message } } else { Error::Shared { message } }
    }
}

/// A connection that is made anew when it was lost. One statement or transaction at a time.
pub(super) struct Session {
    database: Arc<Database>,
    client: Option<Client>,
    /// Before the next try to connect.
    wait: Duration,
    /// Whether a connection was lost since that was asked.
    was_lost: bool,
}

impl Session {
    /// The client, connected. Waits for as long as the database is away: whoever must not wait drops the future.
    pub(super) async fn client(&mut self) -> Result<&mut Client> {
        loop {
            if self.client.as_ref().is_none_or(Client::is_closed) {
                self.client = None;
                tokio::time::sleep(self.wait).await;
                match self.database.connect().await {
                    Ok(client) => self.client = Some(client),
                    Err(error) => {
                        self.failed(error)?;
                        continue;
                    }
                }
            }
            // The borrow checker does not see that a client which is returned is no longer needed here.
            if self.client.is_some() {
                break;
            }
        }
        self.client.as_mut().ok_or_else(|| Error::gone("database"))
    }

    /// Whether a connection was lost since this was asked: what was sent last may have been done, or not.
    pub(super) fn take_loss(&mut self) -> bool {
        std::mem::take(&mut self.was_lost)
    }

    /// A statement went through.
    pub(super) fn worked(&mut self) {
        self.wait = Duration::ZERO;
        if self.database.away.swap(false, Ordering::Relaxed) {
            tracing::info!("the database {} answers again", self.database.shown());
        }
    }

    /// A statement failed, or took too long (`None`).
    ///
    /// # Errors
    ///
    /// Where the same would fail again. Else the next try begins after a while, with a new connection where this one is lost.
    pub(super) fn lost(&mut self, error: Option<PgError>) -> Result<()> {
        match error {
            Some(error) => self.failed(error),
            None => {
                self.client = None;
                self.back_off("it does not answer");
                Ok(())
            }
        }
    }

    fn failed(&mut self, error: PgError) -> Result<()> {
        match error.code() {
            // Another transaction was in the way; the connection is as good as before.
            Some(code) if is_conflict(code) => {
                self.wait = Duration::ZERO;
                Ok(())
            }
            Some(code) if !is_passing(code) => Err(Error::Shared {
                message: format!("{} does not do what it is asked: {}", self.database.shown(), causes(&error)),
            }),
            // Says no database, but a socket or a protocol that ended.
            _ => {
                self.client = None;
                self.back_off(&causes(&error));
                Ok(())
            }
        }
    }

    fn back_off(&mut self, why: &str) {
        self.was_lost = true;
        self.wait = (self.wait * 2).clamp(Duration::from_millis(100), LONGEST_WAIT);
        if !self.database.away.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the database {} is away ({why}): nothing new is asked; what is on its way is kept, and all goes on when it answers",
                self.database.shown()
            );
        }
    }
}

/// Does `$work` with a session's client until it went through, and gives what it gave. `$work` is tried again after a loss of the
/// connection in which nobody knows what became of it: so it must do no harm twice.
macro_rules! with_client {
    ($session:expr, |$client:ident| $work:expr) => {
        loop {
            let $client = $session.client().await?;
            match $crate::shared::database::in_time($work).await {
                Ok(done) => {
                    $session.worked();
                    break done;
                }
                Err(error) => $session.lost(error)?,
            }
        }
    };
}
pub(super) use with_client;

/// What comes of a statement, or that nothing came of it in time: the server ends what takes so long, unless the way to it is cut.
pub(super) async fn in_time<T>(work: impl Future<Output = Result<T, PgError>>) -> Result<T, Option<PgError>> {
    match tokio::time::timeout(PATIENCE + Duration::from_secs(5), work).await {
        Ok(done) => done.map_err(Some),
        Err(_) => Err(None),
    }
}

/// Two transactions met: either may be tried again at once.
fn is_conflict(code: &SqlState) -> bool {
    [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::LOCK_NOT_AVAILABLE].contains(code)
}

/// The database is starting, stopping, full or out of connections: it may be well again.
fn is_passing(code: &SqlState) -> bool {
    // Classes: connection exception, insufficient resources, operator intervention, system error. And a password or a name that
    // is refused just after a restart is refused at the next start of candist too, where it is told.
    ["08", "53", "57", "58"].iter().any(|class| code.code().starts_with(class))
        || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        || *code == SqlState::READ_ONLY_SQL_TRANSACTION
}

/// What to do about what no waiting changes; `None` for all else.
fn lasting(error: &PgError) -> Option<&'static str> {
    let why = causes(error);
    // The client has no kinds for these two: its words alone tell.
    let says = |words: &str| why.contains(words);
    if is_distrusted(error) {
        Some("Name the certificate that vouches for the server by sslrootcert=FILE in the address")
    } else if says("password missing") {
        Some("The database asks for a password: put it into PGPASSWORD or ~/.pgpass")
    } else if says("server does not support TLS") {
        Some("It does not encrypt: have it do so, or, on a network that you trust, add sslmode=disable to the address")
    } else if error.code() == Some(&SqlState::INVALID_CATALOG_NAME) {
        Some("Make the database first (`createdb`), or mend its name in the address")
    } else if error.code().is_some_and(|code| code.code().starts_with("28")) {
        Some("Check the user in the address, and PGPASSWORD or ~/.pgpass")
    } else {
        None
    }
}

/// Whether the server's certificate is not trusted here.
fn is_distrusted(error: &PgError) -> bool {
    let is_of_tls = |error: &(dyn std::error::Error + 'static)| {
        matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)))
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        // An I/O error that holds another passes it over as its cause.
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if is_of_tls(error) || held.is_some_and(|held| is_of_tls(held)) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether all hosts are this machine.
fn is_here(config: &tokio_postgres::Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    })
}

/// The address without the parameter that libpq knows and the client does not: the file of certificates to trust.
fn without_root_certificate(url: &str) -> Result<(String, Option<PathBuf>)> {
    let Some((base, query)) = url.split_once('?') else { return Ok((url.to_owned(), None)) };
    let (mut root, mut rest) = (None, Vec::new());
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslrootcert", path)) => root = Some(PathBuf::from(path)),
            // libpq's words for what is done in any case: the certificate is always checked.
            Some(("sslmode", "verify-full" | "verify-ca")) => rest.push("sslmode=require".to_owned()),
            _ => rest.push(pair.to_owned()),
        }
    }
    let url = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    Ok((url, root))
}

fn tls(root: Option<PathBuf>) -> Result<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    match root {
        Some(path) => {
            let wrong =
                |why: String| wrong_url(&format!("sslrootcert: {} holds no certificates: {why}", path.display()));
            for certificate in CertificateDer::pem_file_iter(&path).map_err(|error| wrong(error.to_string()))? {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong_url(&error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// An address that cannot be used. It is not repeated: it may hold a password.
fn wrong_url(why: &str) -> Error {
    let message = format!("is not as it should be, postgres://USER@HOST/DATABASE: {why}");
    Error::Unfit { path: "the database's address".into(), message }
}

/// An error with its causes: the client's own text names the place and not the reason.
fn causes(error: &PgError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_the_machine_is_encrypted_unless_that_is_refused() {
        let mode = |url: &str| Database::at(url).unwrap().config.get_ssl_mode();
        assert_eq!(mode("postgres://ann@localhost/team"), SslMode::Disable);
        assert_eq!(mode("postgres://ann@[::1]:5433/team"), SslMode::Disable);
        assert_eq!(mode("postgres://ann@db.example.org/team"), SslMode::Require);
        assert_eq!(mode("postgres://ann@db.example.org/team?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgres://ann@db.example.org/team?sslmode=verify-full"), SslMode::Require);
    }

    #[test]
    fn an_address_that_is_none_is_told_without_what_it_holds() {
        for url in ["postgres://ann:secret@/", "postgres://ann:secret@host/db?colour=red", "file:secret"] {
            let error = Database::at(url).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("postgres://USER@HOST/DATABASE") && !error.contains("secret"), "{error}");
        }
        let shown = Database::at("postgres://ann:secret@localhost/team").unwrap().shown();
        assert_eq!(shown, "localhost/team");
    }
}
