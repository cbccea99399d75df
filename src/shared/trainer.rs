//! The trainer's side: its lease, what it waits for, and what came of it. One task talks to the database.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::database::{Database, Session, with_client};
use super::process::Process;
use super::runs::{self, Delivered, Lease, Outdated, Posted, Standing, Taken};
use super::said::Said;
use super::scope::Scope;
use super::setup::Setup;
use super::shipping::{Shipping, ship};
use super::takeover;
use super::teacher::{Desk, Post, SharedTeacher};
use super::worker::{self, WorkOptions};
use super::{joined, schema};
use crate::config::{Config, SharedConfig};
use crate::domain::answer::{Answer, AnswerKey};
use crate::domain::label::LabelSet;
use crate::error::{Error, Result, with_causes};
use crate::store::{RunDir, RunLock, parse_answer};
use crate::teacher::ledger::Ledger;
use crate::teacher::{AskError, Teacher};

/// Between two looks for what came back, while something is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// Between two heartbeats.
const BEAT: Duration = Duration::from_secs(2);
/// What has not come for so long is posted again.
const AGAIN: Duration = Duration::from_secs(10);
/// Questions that are posted together, at most, and bytes of their texts, about: between two heartbeats.
const TOGETHER: usize = 256;
const BYTES: usize = 2 << 20;
/// How long a teacher that nobody can ask is waited for.
const GRACE: Duration = Duration::from_secs(5);
/// Between two tries of a trainer that waits for its turn.
const STAND_BY: Duration = Duration::from_secs(1);
/// How long an end waits for the database: without it the next trainer waits until the heartbeat is missing.
const FAREWELL: Duration = Duration::from_secs(5);
/// And for the student's last checkpoint to be there: without it the next trainer replays more, and of a complete run nobody has the
/// student elsewhere.
const CHECKPOINT_FAREWELL: Duration = Duration::from_secs(20);
const LAST_CHECKPOINT_FAREWELL: Duration = Duration::from_secs(10 * 60);

/// See the module.
pub(crate) struct Trainer {
    database: Arc<Database>,
    lease: Lease,
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
                        return Ok((session, lease));
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
        let (session, lease) = tokio::select! {
            biased;
            _ = stop.wait_for(|&stop| stop) => return Err(Error::Interrupted),
            begun = begin => begun?,
        };
        let (posts, receiver) = mpsc::channel(TOGETHER);
        let (stop, asked_all) = (watch::Sender::new(false), watch::Sender::new(0));
        let desk = Desk { posts, scope: Scope::of(&labels), stop, asked_all };
        let complete = watch::Sender::new(None);
        let task = Task {
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
            waiting: HashMap::new(),
            alone: None,
            unasked: HashMap::new(),
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
        Ok((Self { database, lease, labels, desk, complete, task, shipping: None, worker }, teachers))
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

/// What is waited for.
struct Waiting {
    question: Posted,
    /// When it was posted last.
    since: Instant,
    told: Vec<oneshot::Sender<Result<Answer, AskError>>>,
}

/// The task that talks to the database.
struct Task {
    session: Session,
    lease: Lease,
    labels: LabelSet,
    patient: bool,
    run: String,
    ledger: Arc<Ledger>,
    posts: mpsc::Receiver<Post>,
    stop: watch::Receiver<bool>,
    asked_all: watch::Receiver<usize>,
    /// Teachers that others ask.
    teachers: usize,
    complete: watch::Receiver<Option<bool>>,
    waiting: HashMap<(AnswerKey, u32), Waiting>,
    /// Since when nobody asks, or that this was told.
    alone: Option<Alone>,
    /// Teachers that no worker can ask, and since when.
    unasked: HashMap<String, Instant>,
}

#[derive(Clone, Copy)]
enum Alone {
    Since(Instant),
    Told,
}

impl Task {
    async fn run(mut self) -> Result<()> {
        let mut stop = self.stop.clone();
        let worked = tokio::select! {
            biased;
            _ = stop.wait_for(|&stop| stop) => Ok(()),
            worked = self.work() => worked,
        };
        // From here on a question finds nobody, and is told so.
        self.posts.close();
        while let Some(Post { told, .. }) = self.posts.recv().await {
            drop(told);
        }
        self.waiting.clear();
        // The lease is kept until all is shipped.
        let ended = self.complete.wait_for(Option::is_some);
        let complete = tokio::select! {
            complete = ended => complete.is_ok_and(|complete| *complete == Some(true)),
            // Another's by now: nothing is left to be released.
            _ = keep_lease(&mut self.session, self.lease, &self.run), if worked.is_ok() => return worked,
        };
        let farewell = async {
            let session = &mut self.session;
            with_client!(session, |client| runs::release(client, self.lease, complete));
            Ok(())
        };
        match tokio::time::timeout(FAREWELL, farewell).await {
            Ok(parted) => worked.and(parted),
            // The next trainer waits a little longer, and that is all.
            Err(_) => worked,
        }
    }

    /// Posts, looks and says that it is there, until something ends it.
    async fn work(&mut self) -> Result<()> {
        let mut beat = tokio::time::interval(BEAT);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(post) = self.posts.recv() => self.post(post).await?,
                _ = look.tick(), if !self.waiting.is_empty() => self.look().await?,
                _ = beat.tick() => self.beat().await?,
                // In a cascade the later ones are not told: there is always one that may be asked.
                Ok(()) = self.asked_all.changed() => {
                    if *self.asked_all.borrow_and_update() < self.teachers {
                        continue;
                    }
                    let session = &mut self.session;
                    with_client!(session, |client| runs::asked_all(client, self.lease));
                }
            }
        }
    }

    /// Posts a question, with those that wait behind it.
    async fn post(&mut self, first: Post) -> Result<()> {
        let (mut new, mut bytes) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(Post { question, told }) = next {
            bytes += question.text.len();
            let key = (question.key, question.attempt);
            let since = Instant::now();
            let waiting = self.waiting.entry(key).or_insert_with(|| Waiting { question, since, told: Vec::new() });
            waiting.told.push(told);
            new.push(key);
            next = if new.len() < TOGETHER && bytes < BYTES { self.posts.try_recv().ok() } else { None };
        }
        self.post_all(new, false).await
    }

    async fn post_all(&mut self, keys: Vec<(AnswerKey, u32)>, late: bool) -> Result<()> {
        let questions: Vec<&Posted> = keys.iter().filter_map(|key| Some(&self.waiting.get(key)?.question)).collect();
        let session = &mut self.session;
        let known = with_client!(session, |client| runs::post(client, self.lease, &questions, late));
        let known = known.map_err(|Outdated| outdated(&self.run))?;
        self.deliver(known);
        Ok(())
    }

    /// Takes what came back, and posts again what has not come for long.
    async fn look(&mut self) -> Result<()> {
        let session = &mut self.session;
        let delivered = with_client!(session, |client| runs::deliveries(client, self.lease));
        self.deliver(delivered);
        let (now, mut bytes) = (Instant::now(), 0);
        let mut late = Vec::new();
        for (key, waiting) in self.waiting.iter_mut().filter(|(_, waiting)| now - waiting.since >= AGAIN) {
            waiting.since = now;
            bytes += waiting.question.text.len();
            late.push(*key);
            if late.len() >= TOGETHER || bytes >= BYTES {
                break;
            }
        }
        if late.is_empty() { Ok(()) } else { self.post_all(late, true).await }
    }

    fn deliver(&mut self, delivered: Vec<Delivered>) {
        for Delivered { key, attempt, answer, failure } in delivered {
            let outcome = match (answer, failure) {
                (Some((line, paid_here)), _) => match parse_answer(line.as_bytes(), &self.labels) {
                    Some(record) => {
                        let mut answer = record.answer;
                        if paid_here {
                            self.ledger.count(answer.cost.unwrap_or_default());
                        } else {
                            // Another run paid for it.
                            answer.cost = None;
                        }
                        Ok(answer)
                    }
                    None => Err(AskError::Failed("the stored answer is none of this task".to_owned())),
                },
                (None, Some(failure)) => Err(AskError::Failed(failure)),
                // Neither: it is posted again when it is late.
                (None, None) => continue,
            };
            let waiting = self.waiting.remove(&(key, attempt));
            for told in waiting.into_iter().flat_map(|waiting| waiting.told) {
                // Who no longer waits finds it in the database next time.
                drop(told.send(outcome.clone()));
            }
        }
    }

    async fn beat(&mut self) -> Result<()> {
        let session = &mut self.session;
        let standing = with_client!(session, |client| runs::beat(client, self.lease));
        let Standing { stopped, spent, workers, unasked } = standing.map_err(|Outdated| outdated(&self.run))?;
        self.ledger.spent_in_all(spent);
        if let Some(reason) = stopped {
            let reason = format!("{reason}: {} is spent by all who ask. Raise max_cost to go on", spent.normalize());
            self.refuse(|_| true, &reason);
        }
        self.unasked.retain(|teacher, _| unasked.iter().any(|(now, _)| now == teacher));
        for (teacher, reason) in unasked {
            // A worker that can may just be coming.
            if self.unasked.entry(teacher.clone()).or_insert_with(Instant::now).elapsed() < GRACE {
                continue;
            }
            if self.patient {
                self.tell_alone(workers, Some(&format!("no worker can ask teacher {teacher:?}: {reason}")));
            } else {
                self.refuse(|asked| asked == teacher, &reason);
            }
        }
        self.tell_alone(workers, None);
        Ok(())
    }

    /// Tells those who wait for a teacher that nothing will come.
    fn refuse(&mut self, of: impl Fn(&str) -> bool, reason: &str) {
        let refused: Vec<_> =
            self.waiting.iter().filter(|(_, waiting)| of(&waiting.question.teacher)).map(|(key, _)| *key).collect();
        for key in refused {
            let waiting = self.waiting.remove(&key);
            for told in waiting.into_iter().flat_map(|waiting| waiting.told) {
                drop(told.send(Err(AskError::Stop(reason.to_owned()))));
            }
        }
    }

    /// A run that waits for workers says so, once, when none has come for a while.
    fn tell_alone(&mut self, workers: i64, reason: Option<&str>) {
        if self.waiting.is_empty() || (workers > 0 && reason.is_none()) {
            if workers > 0 && reason.is_none() {
                self.alone = None;
            }
            return;
        }
        match self.alone {
            None => self.alone = Some(Alone::Since(Instant::now())),
            Some(Alone::Since(since)) if since.elapsed() >= AGAIN => {
                self.alone = Some(Alone::Told);
                match reason {
                    Some(reason) => {
                        tracing::warn!("{reason}. Start `candist work` where it can be asked: that is waited for")
                    }
                    None => tracing::warn!("nobody asks for {:?}: start `candist work` on some machine", self.run),
                }
            }
            Some(_) => {}
        }
    }
}

/// Says that the trainer is there for as long as it is polled; gives what keeps it from that.
async fn keep_lease(session: &mut Session, lease: Lease, run: &str) -> Error {
    let mut beat = async || -> Result<()> {
        tokio::time::sleep(BEAT).await;
        with_client!(session, |client| runs::beat(client, lease)).map_err(|Outdated| outdated(run))?;
        Ok(())
    };
    loop {
        if let Err(error) = beat().await {
            return error;
        }
    }
}

fn outdated(run: &str) -> Error {
    Error::Shared {
        message: format!(
            "another process trains the run {run:?} now, since nothing was heard of this one: what was asked is stored, and \
             goes on there"
        ),
    }
}
