//! Texts that wait for the student: so many at most, and so many bytes. Who comes when there is no room is told when to come again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use futures::{StreamExt, TryStreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::batches::BATCH;
use crate::student::Rows;

/// Pieces of one request that wait at once: the student never waits for the next, and others get in between.
const AHEAD: usize = 2;

/// Some texts of a request, at most [`BATCH`], and where what is said of them goes. Nobody waits any more once that is closed.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) texts: Vec<String>,
    pub(super) answer: oneshot::Sender<Result<Rows, String>>,
    /// Of the whole request.
    room: Arc<OwnedSemaphorePermit>,
}

impl Job {
    /// Gives what is said of the texts, after their room: who is answered no longer waits. Who asked may be gone by now.
    pub(super) fn say(self, said: Result<Rows, String>) {
        drop(self.room);
        let _ = self.answer.send(said);
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    jobs: SyncSender<Job>,
    room: Arc<Semaphore>,
    /// Texts that may wait.
    most: usize,
    /// Requests whose texts are being read.
    arriving: AtomicUsize,
}

/// That a request is being read, until dropped.
#[derive(Debug)]
pub(super) struct Arriving(Arc<Queue>);

impl Drop for Arriving {
    fn drop(&mut self) {
        self.0.arriving.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why texts were not labelled.
#[derive(Debug, PartialEq)]
pub(super) enum Unsaid {
    /// The student makes nothing of them.
    Failed(String),
    /// There is no student any more.
    Gone,
}

impl Queue {
    /// With room for `most` texts; the receiver is for whoever has the student.
    pub(super) fn new(most: usize) -> (Arc<Self>, Receiver<Job>) {
        // Each job has room for a text at least until it is taken out, so it is never full: those of clients that went away included.
        let (jobs, receiver) = sync_channel(most);
        let room = Arc::new(Semaphore::new(most));
        (Arc::new(Self { jobs, room, most, arriving: AtomicUsize::new(0) }), receiver)
    }

    /// Texts that may wait.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Texts that wait, or are being labelled.
    pub(super) fn waiting(&self) -> usize {
        self.most.saturating_sub(self.room.available_permits())
    }

    /// To be held while a request is read.
    pub(super) fn arrive(self: &Arc<Self>) -> Arriving {
        self.arriving.fetch_add(1, Ordering::Relaxed);
        Arriving(Arc::clone(self))
    }

    /// Whether a request is being read.
    pub(super) fn is_expecting(&self) -> bool {
        self.arriving.load(Ordering::Relaxed) > 0
    }

    /// Room for so many texts, if there is.
    pub(super) fn room(&self, texts: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_many_owned(u32::try_from(texts).ok()?).ok()
    }

    /// What the student says of `texts`, which have `room`: parts of at most [`BATCH`] rows, in their order. Dropped, what was
    /// not begun of it is not done.
    pub(super) async fn ask(&self, texts: Vec<String>, room: OwnedSemaphorePermit) -> Result<Vec<Rows>, Unsaid> {
        let room = Arc::new(room);
        let mut texts = texts.into_iter().peekable();
        let pieces = std::iter::from_fn(|| {
            texts.peek()?;
            Some(texts.by_ref().take(BATCH).collect::<Vec<String>>())
        });
        futures::stream::iter(pieces).map(|piece| self.piece(piece, &room)).buffered(AHEAD).try_collect().await
    }

    async fn piece(&self, texts: Vec<String>, room: &Arc<OwnedSemaphorePermit>) -> Result<Rows, Unsaid> {
        let (answer, said) = oneshot::channel();
        match self.jobs.try_send(Job { texts, answer, room: Arc::clone(room) }) {
            Ok(()) => said.await.map_err(|_| Unsaid::Gone)?.map_err(Unsaid::Failed),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Unsaid::Gone),
        }
    }
}
