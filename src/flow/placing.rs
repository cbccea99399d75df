//! Placing: what comes of the questions goes into the input log in the order of the corpus.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio_stream::wrappers::ReceiverStream;

use super::asking::{Asker, Reply};
use super::halt::Halt;
use super::intake::Question;
use crate::base::panic::panicked;
use crate::distill::Feed;
use crate::domain::answer::AnswerRecord;
use crate::domain::input::NewInput;
use crate::domain::progress::Progress;
use crate::error::{Error, Result};
use crate::store::{APPENDED_TOGETHER, Failure, FailureKind, Store};

/// A task that ends when nobody waits for it any more.
#[derive(Debug)]
pub(super) struct Owned<T>(JoinHandle<T>);

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for Owned<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // A task that is cut off without a panic is one of a runtime that goes away.
        let ended =
            |error: JoinError| error.try_into_panic().map_or(Error::Interrupted, |panic| panicked("asker", panic));
        Pin::new(&mut self.0).poll(context).map_err(ended)
    }
}

/// Questions under way, in the order of the corpus.
pub(super) type Replies = mpsc::Receiver<Owned<Result<Reply>>>;

/// Starts a task for each question, so many at a time, until there are no more or asking is halted.
pub(super) fn ask_all(
    mut questions: mpsc::Receiver<Question>,
    asker: Asker,
    window: usize,
    halt: Arc<Halt>,
) -> Replies {
    let (replies, receiver) = mpsc::channel(window);
    tokio::spawn(async move {
        loop {
            // Room first: a question that is taken out is asked.
            let next = async {
                let room = replies.reserve().await.ok()?;
                Some((questions.recv().await?, room))
            };
            let next = tokio::select! {
                biased;
                () = halt.halted() => None,
                next = next => next,
            };
            let Some((question, room)) = next else { return asker.no_more() };
            room.send(Owned(tokio::spawn(asker.clone().answer(question))));
        }
    });
    receiver
}

/// Writes what comes into the input log and tells the student. After a question that was not answered because asking is
/// halted nothing more is written: it would take the place of that one. What is in flight still comes back and is stored. Gives
/// the tries that got no answer.
pub(super) async fn place_all(
    replies: Replies,
    store: Store,
    feed: watch::Sender<Feed>,
    progress: Arc<Progress>,
    halt: Arc<Halt>,
) -> Result<Vec<AnswerRecord>> {
    let mut replies = ReceiverStream::new(replies).then(|task| task).boxed().ready_chunks(APPENDED_TOGETHER);
    let mut has_gap = false;
    let (mut told, mut tried) = (Told::default(), Vec::new());
    while let Some(chunk) = replies.next().await {
        let (mut inputs, mut claims) = (Vec::with_capacity(chunk.len()), Vec::with_capacity(chunk.len()));
        for reply in chunk {
            // That a task panicked is an error like another: the others are still being paid for.
            match reply.flatten() {
                Ok(Reply::Unanswered { id, reason, tries }) => {
                    progress.unanswered.add(1);
                    tried.extend(tries);
                    told.unanswered(&id.0, &reason);
                    let failure = Failure { kind: FailureKind::Unanswered, id: id.0, reason };
                    if let Err(error) = store.notes.note(failure).await {
                        halt.fail(error);
                    }
                }
                Ok(Reply::Answered(input, claim)) if !has_gap => {
                    match &input {
                        NewInput::Arrive(_, outcome) => progress.failed.add(u64::from(outcome.names_nothing())),
                        NewInput::Answers(..) => progress.failed.take_one(),
                        NewInput::End => {}
                    }
                    inputs.push(input);
                    claims.push(claim);
                }
                Ok(Reply::Answered(..) | Reply::AsBefore) => {}
                Err(error) => {
                    has_gap = true;
                    halt.fail(error);
                }
            }
        }
        if !inputs.is_empty() {
            match store.inputs.append(inputs).await {
                Ok(counts) => {
                    progress.placed.set(counts.samples);
                    feed.send_modify(|feed| feed.events = counts.events);
                }
                Err(error) => {
                    has_gap = true;
                    halt.fail(error);
                }
            }
        }
    }
    told.end();
    Ok(tried)
}

/// Tells of the first texts that could not be answered, and how many more there were.
#[derive(Default)]
struct Told(u64);

impl Told {
    const FIRST: u64 = 5;

    fn unanswered(&mut self, id: &str, reason: &str) {
        self.0 += 1;
        if self.0 <= Self::FIRST {
            tracing::warn!("{id} is not answered: {reason}");
        }
    }

    fn end(&self) {
        if self.0 > Self::FIRST {
            tracing::warn!("{} more texts are not answered; `candist failures RUN` lists them", self.0 - Self::FIRST);
        }
    }
}
