//! A run to be embedded: built from a configuration and a user's own parts, started, watched, stopped.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::Stream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::pipeline::{self, Outcome};
use crate::config::Config;
use crate::corpus::{self, Corpus};
use crate::distill::{NewRefinery, Refinery, new_refinery};
use crate::domain::event::LabelEvent;
use crate::domain::progress::Progress;
use crate::error::{Error, Result};
use crate::readers::tail::{Follow, Tail};
use crate::store::Sink;
use crate::teacher::ledger::Ledger;
use crate::teacher::{self, Addresses, Teacher};

/// Opens a corpus from its start.
type NewCorpus = Arc<dyn Fn() -> Result<Box<dyn Corpus>> + Send + Sync>;
/// Makes a sink; called once more if a damaged cache makes the run begin again.
type NewSink = Box<dyn Fn() -> Box<dyn Sink> + Send + Sync>;

/// What a run is made of.
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) retry_failures: bool,
    corpus: Option<NewCorpus>,
    teachers: Option<Vec<Arc<dyn Teacher>>>,
    refinery: Option<(String, NewRefinery)>,
    sinks: Vec<NewSink>,
    addresses: Addresses,
}

impl Plan {
    /// As configured, with no part of the user's own.
    pub(crate) fn of(config: Config) -> Self {
        Self {
            config,
            retry_failures: false,
            corpus: None,
            teachers: None,
            refinery: None,
            sinks: Vec::new(),
            addresses: Addresses::default(),
        }
    }

    pub(crate) fn corpus(&self) -> Result<Box<dyn Corpus>> {
        match &self.corpus {
            Some(open) => open(),
            None => corpus::open(&self.config.corpus),
        }
    }

    pub(crate) fn teachers(&self, ledger: &Arc<Ledger>) -> Result<Vec<Arc<dyn Teacher>>> {
        match &self.teachers {
            Some(teachers) => Ok(teachers.clone()),
            None => teacher::open_all(&self.config, ledger, &self.addresses),
        }
    }

    pub(crate) fn refinery(&self) -> NewRefinery {
        match &self.refinery {
            Some((_, new)) => Arc::clone(new),
            None => {
                let kind = self.config.distill.refinery;
                Arc::new(move |labels| new_refinery(kind, labels))
            }
        }
    }

    /// A refinery of the user's own, by its name.
    pub(crate) fn own_refinery(&self) -> Option<(&str, &NewRefinery)> {
        self.refinery.as_ref().map(|(name, new)| (name.as_str(), new))
    }

    pub(crate) fn sinks(&self) -> Vec<Box<dyn Sink>> {
        self.sinks.iter().map(|new| new()).collect()
    }
}

/// Builds a run. What is not given is as the configuration says.
#[must_use]
pub struct RunBuilder(Plan);

/// See [`Run::builder`].
#[derive(Debug)]
pub struct Run;

impl Run {
    /// A run as `config` says, to be changed and started.
    pub fn builder(config: Config) -> RunBuilder {
        RunBuilder(Plan::of(config))
    }
}

impl RunBuilder {
    /// Reads the texts from what `open` gives, from its start each time it is called.
    pub fn corpus(mut self, open: impl Fn() -> Result<Box<dyn Corpus>> + Send + Sync + 'static) -> Self {
        self.0.corpus = Some(Arc::new(open));
        self
    }

    /// Asks these, in this order, instead of the configured ones.
    pub fn teachers(mut self, teachers: Vec<Arc<dyn Teacher>>) -> Self {
        self.0.teachers = Some(teachers);
        self
    }

    /// Refines with what `new` makes for so many labels. `name` is written with the labels; another name is another
    /// labelling, so change it when the refinery changes.
    pub fn refinery(mut self, name: &str, new: impl Fn(usize) -> Box<dyn Refinery> + Send + Sync + 'static) -> Self {
        self.0.refinery = Some((name.to_owned(), Arc::new(new)));
        self
    }

    /// Hands every label event to what `new` makes, too.
    pub fn sink(mut self, new: impl Fn() -> Box<dyn Sink> + Send + Sync + 'static) -> Self {
        self.0.sinks.push(Box::new(new));
        self
    }

    /// Shares limits, pauses and connections with all other runs that are given a clone of `addresses`: together they keep to
    /// what one may ask of a provider.
    pub fn addresses(mut self, addresses: &Addresses) -> Self {
        self.0.addresses = addresses.clone();
        self
    }

    /// Asks again about the texts whose answers name no label.
    pub fn retry_failures(mut self, retry: bool) -> Self {
        self.0.retry_failures = retry;
        self
    }

    /// Starts the run on the current tokio runtime, which must be multi-threaded.
    #[must_use]
    pub fn start(self) -> RunHandle {
        let (stop, stopped) = watch::channel(false);
        let progress = Arc::new(Progress::default());
        let dir = self.0.config.run.dir.clone();
        let task = tokio::spawn(pipeline::run(Arc::new(self.0), stopped, Arc::clone(&progress)));
        RunHandle { stop, progress, dir, task: Mutex::new(Some(task)) }
    }
}

/// A run under way. Dropping it stops the run where nothing is lost; the run directory is free when its threads have ended.
#[derive(Debug)]
pub struct RunHandle {
    stop: watch::Sender<bool>,
    progress: Arc<Progress>,
    dir: PathBuf,
    task: Mutex<Option<JoinHandle<Result<Outcome>>>>,
}

impl RunHandle {
    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Stops the run where nothing is lost: nothing more is sent, and what is in flight is waited for.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Stops the run when called, from wherever it is kept.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let stop = self.stop.clone();
        move || {
            stop.send_replace(true);
        }
    }

    /// Waits for the end.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] after a stop and [`Error::TeacherStopped`] leave a run that can be started again to go on; so do
    /// most others, which say what to do first.
    pub async fn join(&self) -> Result<Outcome> {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        match task {
            Some(task) => {
                task.await.unwrap_or_else(|error| Err(Error::Panicked { stage: "run", message: error.to_string() }))
            }
            None => Err(Error::gone("run")),
        }
    }

    /// The label events from offset `from` on, as they come, until the run has ended. Read from the label log, so a slow
    /// reader holds nothing up.
    pub fn labels(&self, from: u64) -> impl Stream<Item = Result<LabelEvent>> + use<> {
        let tail = Tail::new(&self.dir);
        let progress = Arc::clone(&self.progress);
        futures::stream::unfold((tail, progress), move |(mut tail, progress)| async move {
            loop {
                // Before the look at the log: what was written until then is found by it.
                let ended = progress.phase().is_over();
                match tail.poll() {
                    Ok(Follow::Event(event, _)) if event.offset >= from => return Some((Ok(*event), (tail, progress))),
                    Ok(Follow::Event(..) | Follow::NewLog) => {}
                    Ok(Follow::Waiting) if ended => return None,
                    Ok(Follow::Waiting) => tokio::time::sleep(LOOK_EVERY).await,
                    Err(error) => return Some((Err(Error::Labels(Box::new(error))), (tail, progress))),
                }
            }
        })
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Drop for RunHandle {
    fn drop(&mut self) {
        self.stop();
    }
}
