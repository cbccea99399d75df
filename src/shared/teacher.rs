//! A teacher that others ask: to the run that trains, one like another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use super::runs::Posted;
use super::scope::Scope;
use crate::domain::answer::{Answer, AnswerKey};
use crate::domain::sample::Sample;
use crate::teacher::{AskError, Asked, Teacher};

/// A question on its way to the database, and who waits for what comes of it.
pub(super) struct Post {
    pub(super) question: Posted,
    pub(super) told: oneshot::Sender<Result<Answer, AskError>>,
}

/// What a shared teacher says to the trainer's task.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) posts: mpsc::Sender<Post>,
    /// The labels that answers are read by.
    pub(super) scope: Scope,
    /// Set when nothing more is to be asked.
    pub(super) stop: watch::Sender<bool>,
    /// Teachers that are asked nothing after what they were asked.
    pub(super) asked_all: watch::Sender<usize>,
}

/// See the module. It has everything of `inner` but the asking.
pub(super) struct SharedTeacher {
    inner: Arc<dyn Teacher>,
    desk: Desk,
    /// Whether it counts among those.
    is_done: AtomicBool,
}

impl SharedTeacher {
    pub(super) fn new(inner: Arc<dyn Teacher>, desk: Desk) -> Self {
        Self { inner, desk, is_done: AtomicBool::new(false) }
    }
}

impl Teacher for SharedTeacher {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn identity(&self) -> String {
        self.inner.identity()
    }

    fn draws(&self) -> u32 {
        self.inner.draws()
    }

    fn key(&self, sample: &Sample, draw: u32) -> AnswerKey {
        self.inner.key(sample, draw)
    }

    fn attempts(&self) -> u32 {
        self.inner.attempts()
    }

    /// What workers ask just now they go on asking: its answers are stored, and there when this run goes on.
    fn stop(&self) {
        self.desk.stop.send_replace(true);
    }

    fn no_more(&self) {
        if !self.is_done.swap(true, Ordering::Relaxed) {
            self.desk.asked_all.send_modify(|teachers| *teachers += 1);
        }
    }

    fn ask<'a>(&'a self, sample: &'a Sample, draw: u32) -> BoxFuture<'a, Result<Asked, AskError>> {
        self.ask_again(sample, draw, 1)
    }

    fn ask_again<'a>(&'a self, sample: &'a Sample, draw: u32, attempt: u32) -> BoxFuture<'a, Result<Asked, AskError>> {
        async move {
            let (told, outcome) = oneshot::channel();
            let question = Posted {
                teacher: self.inner.name().to_owned(),
                key: self.desk.scope.key(self.inner.key(sample, draw)),
                attempt,
                draw,
                id: sample.id.0.clone(),
                text: sample.text.clone(),
            };
            // The trainer's task is gone: it has ended, and says why.
            self.desk.posts.send(Post { question, told }).await.map_err(|_| AskError::Cancelled)?;
            Ok(Asked::free(outcome.await.unwrap_or(Err(AskError::Cancelled))?))
        }
        .boxed()
    }
}
