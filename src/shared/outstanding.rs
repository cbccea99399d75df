//! The questions of a shared run that are out: posted, asked again about when they are late, and what came of them told to who
//! waits. One task talks to the database.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::database::{Session, with_client};
use super::runs::{self, Delivered, Lease, Outdated, Posted, Standing};
use super::teacher::Post;
use crate::domain::answer::{Answer, AnswerKey};
use crate::domain::label::LabelSet;
use crate::error::{Error, Result};
use crate::store::parse_answer;
use crate::teacher::AskError;
use crate::teacher::ledger::Ledger;

/// How long an end waits for the database: without it the next trainer waits until the heartbeat is missing.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);
/// Between two looks for what came back, while something is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// Between two heartbeats.
const BEAT: Duration = Duration::from_secs(2);
/// What has not come for so long is posted again.
const AGAIN: Duration = Duration::from_secs(10);
/// Questions that are posted together, at most, and bytes of their texts, about: between two heartbeats.
pub(super) const TOGETHER: usize = 256;
const BYTES: usize = 2 << 20;
/// How long a teacher that nobody can ask is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// What is waited for.
#[derive(Debug)]
struct Waiting {
    question: Posted,
    /// When it was posted last.
    since: Instant,
    told: Vec<oneshot::Sender<Result<Answer, AskError>>>,
}

/// See the module.
pub(super) struct Outstanding {
    pub(super) session: Session,
    pub(super) lease: Lease,
    pub(super) labels: LabelSet,
    pub(super) patient: bool,
    pub(super) run: String,
    pub(super) ledger: Arc<Ledger>,
    pub(super) posts: mpsc::Receiver<Post>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) asked_all: watch::Receiver<usize>,
    /// Teachers that others ask.
    pub(super) teachers: usize,
    pub(super) complete: watch::Receiver<Option<bool>>,
    pub(super) state: State,
}

/// What is out, and what is known of who asks.
#[derive(Debug, Default)]
pub(super) struct State {
    waiting: HashMap<(AnswerKey, u32), Waiting>,
    /// Since when nobody asks, or that this was told.
    alone: Option<Alone>,
    /// Teachers that no worker can ask, and since when.
    unasked: HashMap<String, Instant>,
}

/// A run that nobody asks for.
#[derive(Debug, Clone, Copy)]
enum Alone {
    Since(Instant),
    Told,
}

impl Outstanding {
    /// Until the end is told: then the lease is given back.
    ///
    /// # Errors
    ///
    /// What kept the run from going on, if anything did.
    pub(super) async fn run(mut self) -> Result<()> {
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
        self.state.waiting.clear();
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
                _ = look.tick(), if !self.state.waiting.is_empty() => self.look().await?,
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
            let waiting =
                self.state.waiting.entry(key).or_insert_with(|| Waiting { question, since, told: Vec::new() });
            waiting.told.push(told);
            new.push(key);
            next = if new.len() < TOGETHER && bytes < BYTES { self.posts.try_recv().ok() } else { None };
        }
        self.post_all(new, false).await
    }

    async fn post_all(&mut self, keys: Vec<(AnswerKey, u32)>, late: bool) -> Result<()> {
        let questions: Vec<&Posted> =
            keys.iter().filter_map(|key| Some(&self.state.waiting.get(key)?.question)).collect();
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
        for (key, waiting) in self.state.waiting.iter_mut().filter(|(_, waiting)| now - waiting.since >= AGAIN) {
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
            let waiting = self.state.waiting.remove(&(key, attempt));
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
            let reason = format!(
                "{reason}: {} counts as spent by all who ask, with what lost workers held. Raise max_cost to go on",
                spent.normalize()
            );
            self.refuse(|_| true, &reason);
        }
        self.state.unasked.retain(|teacher, _| unasked.iter().any(|(now, _)| now == teacher));
        let mut lonely = None;
        for (teacher, reason) in unasked {
            // A worker that can may just be coming.
            if self.state.unasked.entry(teacher.clone()).or_insert_with(Instant::now).elapsed() < GRACE {
                continue;
            }
            if self.patient {
                lonely.get_or_insert_with(|| format!("no worker can ask teacher {teacher:?}: {reason}"));
            } else {
                self.refuse(|asked| asked == teacher, &reason);
            }
        }
        self.tell_alone(workers, lonely.as_deref());
        Ok(())
    }

    /// Tells those who wait for a teacher that nothing will come.
    fn refuse(&mut self, of: impl Fn(&str) -> bool, reason: &str) {
        let refused: Vec<_> = self
            .state
            .waiting
            .iter()
            .filter(|(_, waiting)| of(&waiting.question.teacher))
            .map(|(key, _)| *key)
            .collect();
        for key in refused {
            let waiting = self.state.waiting.remove(&key);
            for told in waiting.into_iter().flat_map(|waiting| waiting.told) {
                drop(told.send(Err(AskError::Stop(reason.to_owned()))));
            }
        }
    }

    /// A run that waits for workers says so, once, when none has come for a while that can ask.
    fn tell_alone(&mut self, workers: i64, reason: Option<&str>) {
        if !self.state.is_to_be_told(workers > 0 && reason.is_none(), Instant::now()) {
            return;
        }
        match reason {
            Some(reason) => tracing::warn!("{reason}. Start `candist work` where it can be asked: that is waited for"),
            None => tracing::warn!("nobody asks for {:?}: start `candist work` on some machine", self.run),
        }
    }
}

impl State {
    /// Whether it is time to say that nobody asks.
    fn is_to_be_told(&mut self, is_asked: bool, now: Instant) -> bool {
        if is_asked {
            self.alone = None;
        } else if !self.waiting.is_empty() {
            match self.alone {
                None => self.alone = Some(Alone::Since(now)),
                Some(Alone::Since(since)) if now - since >= AGAIN => {
                    self.alone = Some(Alone::Told);
                    return true;
                }
                Some(_) => {}
            }
        }
        false
    }
}

/// Says that the trainer is there for as long as it is polled; gives what keeps it from that.
pub(super) async fn keep_lease(session: &mut Session, lease: Lease, run: &str) -> Error {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_nobody_asks_is_told_once_after_a_while_and_again_when_somebody_asked_meanwhile() {
        let (mut state, now) = (State::default(), Instant::now());
        // Nothing is waited for.
        assert!(!state.is_to_be_told(false, now) && state.alone.is_none());
        let of = |text: &str| text.to_owned();
        let question =
            Posted { teacher: of("t"), key: AnswerKey([1; 16]), attempt: 1, draw: 0, id: of("1"), text: of("x") };
        state.waiting.insert((question.key, 1), Waiting { question, since: now, told: Vec::new() });
        let mut told = |is_asked: bool, seconds: u64| state.is_to_be_told(is_asked, now + Duration::from_secs(seconds));
        assert_eq!([told(false, 0), told(false, 9), told(false, 10), told(false, 60)], [false, false, true, false]);
        assert_eq!([told(true, 61), told(false, 62), told(false, 71), told(false, 72)], [false, false, false, true]);
    }
}
