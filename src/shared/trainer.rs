//! The trainer's side: how it begins, with its lease, and how it ends.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::database::{Database, with_client};
use super::outstanding::{FAREWELL, Outstanding, State, TOGETHER, keep_lease};
use super::process::Process;
use super::runs::{self, Lease, Taken};
use super::said::Said;
use super::scope::Scope;
use super::setup::Setup;
use super::shipping::{Shipping, ship};
use super::takeover;
use super::teacher::{Desk, SharedTeacher};
use super::worker::{self, WorkOptions};
use super::{joined, schema};
use crate::config::{Config, SharedConfig};
use crate::domain::label::LabelSet;
use crate::error::{Error, Result, with_causes};
use crate::store::{RunDir, RunLock};
use crate::teacher::Teacher;
use crate::teacher::ledger::Ledger;

/// Between two tries of a trainer that waits for its turn.
const STAND_BY: Duration = Duration::from_secs(1);
/// How long an end waits, beyond [`FAREWELL`], for the student's last checkpoint to be there: without it the next trainer replays
/// more, and of a complete run nobody has the student elsewhere.
const CHECKPOINT_FAREWELL: Duration = Duration::from_secs(20);
const LAST_CHECKPOINT_FAREWELL: Duration = Duration::from_secs(10 * 60);

/// See the module.
pub(crate) struct Trainer {
    database: Arc<Database>,
    lease: Lease,
    /// Whether the run directory was empty, and has what there was elsewhere.
    was_fetched: bool,
    labels: LabelSet,
    desk: Desk,
    /// Whether the corpus came to its end.
    complete: watch::Sender<Option<bool>>,
    task: JoinHandle<Result<()>>,
    /// What ships the logs, once the run directory is open.
    shipping: Option<Shipper>,
    /// The worker in this process.
    worker: Option<JoinHandle<Result<worker::Worked>>>,
}

impl Trainer {
    /// Takes the lease of the run, waiting for whoever has it, and gives what asks in the place of `teachers`. `asks` says
    /// whether this process works too.
    pub(crate) async fn begin(
        config: &Config,
        shared: &SharedConfig,
        teachers: Vec<Arc<dyn Teacher>>,
        asks: bool,
        ledger: &Arc<Ledger>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(Self, Vec<Arc<dyn Teacher>>)> {
        let database = Database::at(&shared.url)?;
        RunDir::refuse_foreign(&config.run.dir)?;
        // Before the lease: whoever has it and not the directory trains nothing.
        if config.run.dir.exists() && RunLock::is_held(&config.run.dir) {
            return Err(Error::Busy { path: config.run.dir.clone() });
        }
        let (setup, files) = Setup::of(config)?;
        let labels = setup.labels()?;
        // A structure of strings and numbers: writing it cannot fail.
        let setup = serde_json::to_string(&setup).unwrap_or_default();
        let begin = async {
            let mut session = database.session().await?;
            schema::bring_up(&mut session).await?;
            let me = Process::own();
            let cap = config.run.max_cost;
            let mut told = false;
            loop {
                let taken = with_client!(session, |client| runs::take(client, &shared.name, &me, &setup, &files, cap));
                match taken {
                    Taken::Ours(lease) => {
                        // Nothing of the directory is open yet. It may take long: the lease is kept meanwhile.
                        let fetched = tokio::select! {
                            fetched = takeover::fetch_into(&database, lease.run, &config.run.dir) => fetched?,
                            ended = keep_lease(&mut session, lease, &shared.name) => return Err(ended),
                        };
                        if fetched {
                            tracing::info!(
                                "the run {:?} of {} goes on here with what there was elsewhere. (Is this another run? Then stop, and give \
                                 it a run.shared_name of its own)",
                                shared.name,
                                database.shown()
                            );
                        }
                        takeover::note(&config.run.dir, &shared.name, lease.epoch)?;
                        return Ok((session, lease, fetched));
                    }
                    Taken::Theirs(who) => {
                        if !std::mem::replace(&mut told, true) {
                            tracing::info!(
                                "{who} trains the run {:?} in {}: waiting, to go on when it is gone. (Is this another run? Then \
                                 give it a run.shared_name of its own)",
                                shared.name,
                                database.shown()
                            );
                        }
                        tokio::time::sleep(STAND_BY).await;
                    }
                }
            }
        };
        let (session, lease, was_fetched) = tokio::select! {
            biased;
            _ = stop.wait_for(|&stop| stop) => return Err(Error::Interrupted),
            begun = begin => begun?,
        };
        let (posts, receiver) = mpsc::channel(TOGETHER);
        let (stop, asked_all) = (watch::Sender::new(false), watch::Sender::new(0));
        let desk = Desk { posts, scope: Scope::of(&labels), stop, asked_all };
        let complete = watch::Sender::new(None);
        let task = Outstanding {
            session,
            lease,
            labels: labels.clone(),
            // Without a worker of its own it waits for others.
            patient: !asks,
            run: shared.name.clone(),
            ledger: Arc::clone(ledger),
            posts: receiver,
            stop: desk.stop.subscribe(),
            asked_all: desk.asked_all.subscribe(),
            teachers: teachers.iter().filter(|teacher| teacher.requests().is_some()).count(),
            complete: complete.subscribe(),
            state: State::default(),
        };
        let worker = asks.then(|| {
            let options = WorkOptions { url: shared.url.clone(), run: Some(shared.name.clone()), ends: false };
            // A stop is for it too: nothing more is sent.
            let stop = desk.stop.subscribe();
            tokio::spawn(async move {
                let worked = worker::work(options, Arc::default(), stop).await;
                if let Err(error) = &worked {
                    tracing::warn!("this process asks no further: {}", with_causes(error));
                }
                worked
            })
        });
        let teachers = teachers
            .into_iter()
            // What is no server's is asked here: a recording, and what a program brings along.
            .map(|inner| -> Arc<dyn Teacher> {
                if inner.requests().is_none() { inner } else { Arc::new(SharedTeacher::new(inner, desk.clone())) }
            })
            .collect();
        let task = tokio::spawn(task.run());
        Ok((Self { database, lease, was_fetched, labels, desk, complete, task, shipping: None, worker }, teachers))
    }

    pub(crate) fn came_from_elsewhere(&self) -> bool {
        self.was_fetched
    }

    /// The run directory `dir` is open, and had spent so much before it asked in this way: before the first question. From here on
    /// its logs are there for views elsewhere.
    pub(crate) async fn opened(&mut self, dir: &Path, spent: Decimal) -> Result<()> {
        let mut session = self.database.session().await?;
        with_client!(session, |client| runs::spent_before(client, self.lease, spent));
        // Before anything is placed: what was said while nobody trained is a part of this run.
        let mut said = Said::default();
        said.keep(&mut session, self.lease, &self.labels, dir).await?;
        let (end, ending) = watch::channel(false);
        let to = Shipping { lease: self.lease, labels: self.labels.clone(), dir: dir.to_owned(), said };
        let (told, all_logs) = oneshot::channel();
        let task = tokio::spawn(ship(Arc::clone(&self.database), to, ending, told));
        self.shipping = Some(Shipper { end, all_logs, task });
        Ok(())
    }

    /// Ends the lease. What workers ask just now they go on asking; the worker of this process is waited for.
    ///
    /// # Errors
    ///
    /// What kept the trainer from going on, if anything did.
    pub(crate) async fn end(mut self, complete: bool) -> Result<()> {
        // While the lease is ours.
        if let Some(shipper) = self.shipping.take() {
            shipper.end(complete).await;
        }
        self.complete.send_replace(Some(complete));
        self.desk.stop.send_replace(true);
        let mut result = joined("trainer", self.task.await);
        if let Some(worker) = self.worker {
            match joined("worker", worker.await) {
                // Others asked in its place.
                Err(_) if complete => {}
                worked => result = result.and(worked.map(drop)),
            }
        }
        result
    }
}

/// The task that ships the logs, and then the last checkpoint.
struct Shipper {
    end: watch::Sender<bool>,
    /// Says that the database has all logs.
    all_logs: oneshot::Receiver<()>,
    task: JoinHandle<Result<()>>,
}

impl Shipper {
    async fn end(mut self, complete: bool) {
        self.end.send_replace(true);
        // Nothing of it goes on when the run directory is another's.
        let end = self.task.abort_handle();
        let Ok(told) = tokio::time::timeout(FAREWELL, self.all_logs).await else {
            end.abort();
            return tracing::warn!("the database has not all of the logs; the next run brings them there");
        };
        let lacks = if told.is_ok() { "the student's last checkpoint" } else { "all of the logs" };
        let patience = if complete { LAST_CHECKPOINT_FAREWELL } else { CHECKPOINT_FAREWELL };
        let mut ended = tokio::time::timeout(FAREWELL, &mut self.task).await;
        if ended.is_err() {
            tracing::info!(
                "bringing the student's last checkpoint to the database (Ctrl-C twice: the next run goes on with it)"
            );
            ended = tokio::time::timeout(patience, self.task).await;
        }
        let why = match ended {
            Ok(ended) => match joined("shipping", ended) {
                // In the second case another trains by now, and ships its own.
                Ok(()) | Err(Error::Gone { .. }) => return,
                Err(error) => with_causes(&error),
            },
            Err(_) => format!("it takes longer than {} s", patience.as_secs()),
        };
        end.abort();
        tracing::warn!("the database has not {lacks} ({why}); the next run brings it there");
    }
}
