//! The service as a program has it: bound to its address, and serving until it is stopped; then it finishes what it has.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use super::batches;
use super::body::Bodies;
use super::metrics::Metrics;
use super::queue::Queue;
use super::routes::{App, PREDICT, router};
use crate::error::Result;
use crate::http::listener::{Listener, Place};
use crate::student::Predictor;

/// Texts that may wait, at most; also how many a request may have.
pub(super) const MOST_TEXTS: usize = 1 << 16;
/// How long what is under way may take when the service ends.
const END: Duration = Duration::from_secs(60);

/// Where a student answers, whom, and how.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// Where it listens. Port 0 takes one that is free.
    pub listen: SocketAddr,
    /// What whoever asks must have; without one, a random token is made where others than this machine can ask.
    pub token: Option<String>,
    /// Let everybody in who can reach it, without a token: something else is in front that decides.
    pub open: bool,
    /// Names that it is reached by, besides its address and those of this machine.
    pub hosts: Vec<String>,
    /// Where the student is less sure, 0 to 1, there is no label but the likeliest ones; a request may say otherwise.
    pub min_confidence: f64,
    /// Texts that may wait, 1 to 65536; who brings more is told to come again. Also how many a request may have.
    pub queue: usize,
    /// How long the student waits for more texts while a request is being read.
    pub gather: Duration,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8089),
            token: None,
            open: false,
            hosts: Vec::new(),
            min_confidence: 0.0,
            queue: 4096,
            gather: Duration::from_millis(1),
        }
    }
}

/// A student behind an address. A connection waits until [`StudentService::serve`] takes it.
///
/// ```no_run
/// # async fn example() -> candist::Result<()> {
/// use candist::config::DeviceChoice;
/// let student = candist::Predictor::open("my-student".as_ref(), DeviceChoice::Cpu, 2)?;
/// let service = candist::StudentService::bind(student, candist::ServiceOptions::default())?;
/// println!("{}", service.url());
/// service.serve(std::future::pending()).await
/// # }
/// ```
#[derive(Debug)]
pub struct StudentService {
    listener: Listener,
    app: Arc<App>,
    /// Has the student.
    thread: JoinHandle<()>,
}

impl StudentService {
    /// Binds the address of `options`, and gives the student a thread.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`](crate::Error::Listen) where the address cannot be had, [`Error::Threads`](crate::Error::Threads)
    /// where there can be no more threads.
    pub fn bind(student: Predictor, options: ServiceOptions) -> Result<Self> {
        let ServiceOptions { listen, token, open, hosts, min_confidence, queue, gather } = options;
        let listener = Listener::bind(Place { listen, token, open, hosts })?;
        let (queue, jobs) = Queue::new(queue.clamp(1, MOST_TEXTS));
        let (labels, metrics) = (student.labels().to_vec(), Arc::new(Metrics::default()));
        let thread = batches::start(student, &queue, jobs, gather, Arc::clone(&metrics))?;
        let app = Arc::new(App {
            guard: listener.guard().without_changes(),
            queue,
            metrics,
            bodies: Bodies::default(),
            labels,
            min_confidence,
            is_broken: AtomicBool::new(false),
        });
        Ok(Self { listener, app, thread })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Where texts are posted to.
    #[must_use]
    pub fn url(&self) -> String {
        self.listener.base() + PREDICT.trim_start_matches('/')
    }

    /// What whoever asks must send, as `Authorization: Bearer`.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.listener.token()
    }

    /// Serves until `stop` is done. Then nobody new is let in, and what was asked before is answered, for a minute at most.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`](crate::Error::Listen) where the socket cannot be used.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<()> {
        let Self { listener, app, thread } = self;
        listener.serve(router(&app), stop, || (), END).await?;
        // With the queue the student's thread ends, after the batch that it is at.
        drop(app);
        let _ = tokio::task::spawn_blocking(move || drop(thread.join())).await;
        Ok(())
    }
}
