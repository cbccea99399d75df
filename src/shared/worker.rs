//! The worker's side: it claims questions of runs, asks its teachers, and has what comes of that settled.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rust_decimal::Decimal;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::ask::Ask;
use super::beside::beside;
use super::claims;
use super::database::{Database, Session, with_client};
use super::folder::Folder;
use super::process::Process;
use super::purse;
use super::quotas::Quotas;
use super::runs::{self, Open};
use super::serving::{Account, Served, Serving};
use super::settling::{Held, Settled, settle_all, spent};
use super::setup::Setup;
use super::{joined, schema};
use crate::base::threads::blocking;
use crate::error::{Error, Result};
use crate::teacher::peers::Peers;
use crate::teacher::{self, Addresses};

/// Between two looks at the runs.
const EVERY: Duration = Duration::from_secs(1);
/// Looks after which it lets go of claims that it knows nothing of: where a connection was lost, at once and again.
const LET_GO: u64 = 30;
/// Between two looks for questions where there were none, at first and at most.
const LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));
/// Questions that are claimed together, at most: others want some too.
const TOGETHER: usize = 64;

/// What a worker works on.
#[derive(Debug, Clone)]
pub struct WorkOptions {
    /// The database, `postgres://USER@HOST/DATABASE`.
    pub url: String,
    /// The run that it asks for; all runs without one.
    pub run: Option<String>,
    /// Whether it ends when that run is complete.
    pub ends: bool,
}

/// What a worker did so far.
#[derive(Debug, Default)]
pub struct WorkProgress {
    /// Questions that were answered, and the answer stored.
    pub answered: AtomicU64,
    /// Questions that could not be answered.
    pub failed: AtomicU64,
    /// Questions that it has claimed.
    pub claimed: AtomicU64,
    spent: std::sync::Mutex<Spent>,
}

/// What was spent for good.
#[derive(Debug, Default)]
struct Spent {
    /// Under earlier numbers.
    before: Decimal,
    /// On each run, since the worker entered.
    now: HashMap<i64, Decimal>,
}

impl WorkProgress {
    /// What it spent, in the currency of the prices: costs of answers, and requests of unknown outcome at their worst.
    #[must_use]
    pub fn spent(&self) -> Decimal {
        let spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.before + spent.now.values().sum::<Decimal>()
    }

    /// So much is spent on a run since the worker entered.
    pub(super) fn spends(&self, run: i64, sum: Decimal) {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner).now.insert(run, sum);
    }

    /// The worker ended: another one begins from nothing.
    fn ends(&self) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let ended: Decimal = std::mem::take(&mut spent.now).values().sum();
        spent.before += ended;
    }
}

/// What a worker did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Worked {
    /// Questions that were answered, and the answer stored.
    pub answered: u64,
    /// Questions that could not be answered.
    pub failed: u64,
}

/// Asks for the runs of a database until `stop` is set: then nothing more is sent, and what is in flight is waited for and
/// stored.
///
/// # Errors
///
/// [`Error::Away`] where the database does not answer, [`Error::Shared`] where it cannot be used. [`Error::TeacherStopped`] where no teacher of any run can be asked from
/// here.
pub async fn work(options: WorkOptions, progress: Arc<WorkProgress>, stop: watch::Receiver<bool>) -> Result<Worked> {
    let database = Database::at(&options.url)?;
    let mut stopped = stop.clone();
    loop {
        // Nothing is held before it has entered.
        let worker = tokio::select! {
            biased;
            _ = stopped.wait_for(|&stop| stop) => break,
            worker = Worker::enter(&database, &options, &progress) => worker?,
        };
        match worker.serve(stop.clone()).await? {
            End::Stopped => break,
            End::Anew => {}
            // Under its old number its questions are others' by now.
            End::GivenUp => {
                tracing::warn!(
                    "nothing was heard of this worker for too long: others ask what it was asked, and it begins anew"
                );
            }
        }
    }
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Ok(Worked { answered: count(&progress.answered), failed: count(&progress.failed) })
}

/// Why a worker ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Stopped,
    /// Nothing was heard of it for too long.
    GivenUp,
    /// A run was set up in another way.
    Anew,
}

/// See the module.
struct Worker<'a> {
    options: &'a WorkOptions,
    progress: &'a Arc<WorkProgress>,
    id: i64,
    session: Session,
    looks: u64,
    side: Arc<Mutex<Session>>,
    addresses: Addresses,
    quotas: Arc<Quotas>,
    /// Goes on until all has come back.
    beside: JoinHandle<Result<()>>,
    is_given_up: watch::Receiver<bool>,
    serving: HashMap<i64, Serving>,
    /// As earlier trainers set them up: kept for what is still on its way.
    before: Vec<Serving>,
    accounts: HashMap<i64, Account>,
    held: Held,
    settler: mpsc::Sender<Settled>,
    settling: JoinHandle<Result<()>>,
    /// Tells who settles that a database which is away is not waited for much longer.
    ending: watch::Sender<bool>,
    asking: JoinSet<()>,
}

impl<'a> Worker<'a> {
    async fn enter(
        database: &'a Arc<Database>,
        options: &'a WorkOptions,
        progress: &'a Arc<WorkProgress>,
    ) -> Result<Self> {
        let mut session = database.session().await?;
        schema::bring_up(&mut session).await?;
        let me = Process::own();
        let id = with_client!(session, |client| claims::enter(client, &me));
        // For what is neither claimed nor settled: money, limits, pauses.
        let side = Arc::new(Mutex::new(database.session().await?));
        let quotas = Arc::new(Quotas::default());
        let addresses = Addresses::with_peers(Arc::clone(&quotas) as Arc<dyn Peers>);
        let (given_up, is_given_up) = watch::channel(false);
        let beside = beside(id, Arc::clone(&side), Arc::clone(&quotas), addresses.clone(), given_up);
        let (settler, settled) = mpsc::channel(TOGETHER);
        let held = Held::default();
        let (ending, ends) = watch::channel(false);
        let settle = settle_all(database.session().await?, id, settled, held.clone(), Arc::clone(progress), ends);
        let settling = tokio::spawn(settle);
        Ok(Self {
            options,
            progress,
            id,
            session,
            looks: 0,
            side,
            addresses,
            quotas,
            beside: tokio::spawn(beside),
            is_given_up,
            serving: HashMap::new(),
            before: Vec::new(),
            accounts: HashMap::new(),
            held,
            settler,
            settling,
            ending,
            asking: JoinSet::new(),
        })
    }

    /// Works until it is stopped, or given up by others. Whatever happens, what is in flight comes back and is settled.
    async fn serve(mut self, mut stop: watch::Receiver<bool>) -> Result<End> {
        let worked = tokio::select! {
            biased;
            _ = stop.wait_for(|&stop| stop) => Ok(End::Stopped),
            worked = self.work() => worked,
        };
        self.ending.send_replace(true);
        let all = self.serving.values().chain(&self.before).flat_map(|serving| &serving.teachers);
        all.for_each(|served| served.teacher.stop());
        while let Some(asked) = self.asking.join_next().await {
            // A panic of a teacher is caught in its task.
            drop(asked);
        }
        let Self { settler, settling, quotas, beside, accounts, mut session, id, progress, .. } = self;
        drop(settler);
        let settled = joined("settling", settling.await);
        beside.abort();
        let kept = match beside.await {
            Err(error) if error.is_cancelled() => Ok(()),
            kept => joined("worker", kept),
        };
        accounts.iter().for_each(|(run, account)| progress.spends(*run, spent(&account.ledger)));
        progress.ends();
        let left = async {
            // What was spent on requests without an answer since the last that was settled.
            for (run, account) in &accounts {
                let spent = spent(&account.ledger);
                with_client!(session, |client| claims::settle(client, id, *run, &[], spent));
            }
            quotas.end(&mut session).await?;
            with_client!(session, |client| claims::leave(client, id));
            Ok(())
        };
        // All is settled: a database that is away now learns by the missing heartbeat.
        let left = tokio::time::timeout(Duration::from_secs(5), left).await.unwrap_or(Ok(()));
        settled.and(kept).and(worked).and_then(|end| left.map(|()| end))
    }

    async fn work(&mut self) -> Result<End> {
        let mut looked: Option<Instant> = None;
        let mut wait = LOOK.0;
        loop {
            if looked.is_none_or(|looked| looked.elapsed() >= EVERY) {
                looked = Some(Instant::now());
                if let Some(end) = self.look().await? {
                    return Ok(end);
                }
            }
            // What ended is let go of, or the set would grow for ever.
            while self.asking.try_join_next().is_some() {}
            // Either ends by an error alone, which is told where it is joined.
            if self.held.is_refused() || self.settling.is_finished() || self.beside.is_finished() {
                return Ok(End::Stopped);
            }
            let claimed = self.claim().await?;
            wait = if claimed > 0 { LOOK.0 } else { (wait * 2).min(LOOK.1) };
            tokio::time::sleep(wait).await;
        }
    }

    /// Looks what there is to work on. Gives an end where there is one.
    async fn look(&mut self) -> Result<Option<End>> {
        if *self.is_given_up.borrow() {
            return Ok(Some(End::GivenUp));
        }
        let (session, id) = (&mut self.session, self.id);
        self.looks += 1;
        if session.take_loss() || self.looks.is_multiple_of(LET_GO) {
            // A claim may have been done without a word of it: nobody would ask what it took.
            let held = self.held.all();
            with_client!(session, |client| claims::let_go(client, id, &held));
        }
        let name = self.options.run.as_deref();
        let open = with_client!(session, |client| runs::list(client, name));
        if open.is_empty() && self.looks == 1 {
            match name {
                Some(name) => {
                    let there = with_client!(session, |client| runs::list(client, None));
                    tracing::info!("there is no run {name:?} yet{}: waiting for it", runs::named(&there));
                }
                None => tracing::info!("there is no run to ask for yet: waiting for one"),
            }
        }
        if self.options.ends && open.iter().any(|open| open.complete) {
            return Ok(Some(End::Stopped));
        }
        for open in &open {
            let same = self.serving.get(&open.run).is_some_and(|serving| serving.epoch == open.epoch);
            // A run at rest is set up when somebody trains it.
            if !same
                && (open.trained || self.serving.contains_key(&open.run))
                && let Some(end) = self.take_up(open).await?
            {
                return Ok(Some(end));
            }
            if let Some(serving) = self.serving.get_mut(&open.run) {
                (serving.asked_all, serving.stopped) = (open.asked_all, open.stopped);
            }
        }
        // Nothing of them is on its way any more.
        self.before.retain(|serving| serving.teachers.iter().any(|served| Arc::strong_count(served) > 1));
        self.give_back_spare().await?;
        self.complain().await?;
        Ok(None)
    }

    /// Sets up what a run asks by.
    async fn take_up(&mut self, open: &Open) -> Result<Option<End>> {
        let session = &mut self.session;
        let setup = with_client!(session, |client| runs::setup(client, open.run));
        let setup: Setup = match serde_json::from_str(&setup) {
            Ok(setup) => setup,
            Err(error) => {
                let message = format!(
                    "the run {:?} was set up by another version of candist ({error}): install the trainer's version here",
                    open.name
                );
                let account = Account::new(&self.side, self.id, open.run, false);
                return self.cannot_serve(open, account, &[], Error::Shared { message }).await.map(|()| None);
            }
        };
        let hashes = setup.hashes();
        let files = with_client!(session, |client| runs::files(client, &hashes));
        let names = setup.teachers();
        let account = match self.accounts.get(&open.run) {
            // Whether there is a cap goes into every request: what is on its way has the old ledger.
            Some(account) if account.purse.is_some() != setup.max_cost.is_some() => return Ok(Some(End::Anew)),
            Some(account) => account.clone(),
            None => {
                with_client!(session, |client| purse::begin(client, self.id, open.run));
                let account = Account::new(&self.side, self.id, open.run, setup.max_cost.is_some());
                self.accounts.insert(open.run, account.clone());
                account
            }
        };
        let (addresses, ledger) = (self.addresses.clone(), Arc::clone(&account.ledger));
        let opened = blocking("worker", move || {
            let folder = Folder::new()?;
            let config = setup.config(folder.path(), &files)?;
            let teachers = teacher::open_all(&config, &ledger, &addresses)?;
            Ok((folder, config, teachers))
        })
        .await;
        let mut serving = Serving::new(open, Arc::clone(&account.ledger));
        match opened {
            Ok((folder, config, teachers)) => {
                tracing::info!("asking for the run {:?}", open.name);
                serving.labels = Some(config.task.labels.clone());
                serving.teachers = config
                    .teachers
                    .iter()
                    .zip(teachers)
                    .map(|(config, teacher)| Arc::new(Served::new(config, teacher)))
                    .collect();
                serving.folder = Some(folder);
            }
            Err(error) => return self.cannot_serve(open, account, &names, error).await.map(|()| None),
        }
        self.serve_instead(serving);
        Ok(None)
    }

    /// A run that cannot be asked for from here: no key, or of another version. Of many runs the others are asked for.
    async fn cannot_serve(&mut self, open: &Open, account: Account, names: &[String], error: Error) -> Result<()> {
        self.complain_of(open.run, names, &error.to_string()).await?;
        if self.options.run.is_some() {
            return Err(error);
        }
        tracing::warn!("the run {:?} cannot be asked for from here: {error}", open.name);
        self.serve_instead(Serving::new(open, account.ledger));
        Ok(())
    }

    /// Serves a run from now on in this way.
    fn serve_instead(&mut self, serving: Serving) {
        if let Some(before) = self.serving.insert(serving.run, serving) {
            // Nothing follows; what they were asked goes on.
            before.teachers.iter().for_each(|served| served.teacher.no_more());
            self.before.push(before);
        }
    }

    /// What the worker holds of a budget and does not need goes back where others may want it.
    async fn give_back_spare(&mut self) -> Result<()> {
        for (run, account) in &self.accounts {
            let session = &mut self.session;
            if account.purse.is_some() && with_client!(session, |client| purse::is_scarce(client, *run)) {
                account.ledger.give_back_spare().await?;
            }
        }
        Ok(())
    }

    /// Says which teachers cannot be asked from here. An error where that is all that there are; but a budget that is used up is
    /// waited for.
    async fn complain(&mut self) -> Result<()> {
        let exhausted = |run: i64| {
            let purse = self.accounts.get(&run).and_then(|account| account.purse.as_ref());
            purse.is_some_and(|purse| purse.is_exhausted())
        };
        let all = || {
            self.serving.values().flat_map(|serving| serving.teachers.iter().map(move |served| (serving.run, served)))
        };
        let mut news = Vec::new();
        for (run, served) in all() {
            let Some(reason) = served.broken.get() else { continue };
            if served.told.swap(true, Ordering::Relaxed) {
                continue;
            }
            if exhausted(run) {
                tracing::info!("teacher {:?}: {reason}", served.teacher.name());
            } else {
                news.push((run, served.teacher.name().to_owned(), reason.clone()));
            }
        }
        let is_over = |(run, served): (i64, &Arc<Served>)| served.broken.get().is_some() && !exhausted(run);
        let is_all = all().next().is_some() && all().all(is_over);
        for (run, teacher, reason) in &news {
            tracing::warn!("teacher {teacher:?} cannot be asked from here any more: {reason}");
            self.complain_of(*run, std::slice::from_ref(teacher), reason).await?;
        }
        match news.into_iter().next() {
            Some((_, teacher, reason)) if is_all => Err(Error::TeacherStopped { teacher, reason }),
            _ => Ok(()),
        }
    }

    async fn complain_of(&mut self, run: i64, teachers: &[String], reason: &str) -> Result<()> {
        let (session, id) = (&mut self.session, self.id);
        for teacher in teachers {
            with_client!(session, |client| claims::complain(client, id, run, teacher, reason));
        }
        Ok(())
    }

    /// Claims what there is room for, and asks it; gives how many questions.
    async fn claim(&mut self) -> Result<usize> {
        let mut all = 0;
        let (session, id) = (&mut self.session, self.id);
        for serving in self.serving.values().filter(|serving| !serving.stopped) {
            for served in serving.teachers.iter().filter(|served| served.broken.get().is_none()) {
                let most = served.room.available_permits().min(TOGETHER);
                if most == 0 {
                    continue;
                }
                let (of, most) = ((serving.run, serving.epoch), i64::try_from(most).unwrap_or(i64::MAX));
                let name = served.teacher.name();
                let questions = with_client!(session, |client| claims::claim(client, id, of, name, most));
                if questions.is_empty() && serving.asked_all {
                    // A refusal that waits for others to be answered need not wait any longer.
                    served.teacher.no_more();
                }
                all += questions.len();
                for question in questions {
                    // There is room: nobody else takes any. (One without would be let go of when a connection is lost.)
                    let Ok(room) = Arc::clone(&served.room).try_acquire_owned() else { break };
                    let ask = Ask {
                        run: serving.run,
                        served: Arc::clone(served),
                        labels: serving.labels.clone(),
                        ledger: Arc::clone(&serving.ledger),
                        room,
                    };
                    self.held.begin(question.seq);
                    self.progress.claimed.fetch_add(1, Ordering::Relaxed);
                    self.asking.spawn(ask.settle(question, self.settler.clone()));
                }
            }
        }
        Ok(all)
    }
}
