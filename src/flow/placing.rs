//! Placing: what comes of the questions goes into the input log in the order of the corpus.
//!
//! Questions are answered in any order, and the student's labels depend on the order of its inputs. So the tasks stand
//! in a queue in the corpus' order, and are waited for one by one; the room in that queue is how far asking may be
//! ahead of the first one that is not answered yet. What people say of labels goes in between, as soon as it is seen.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio_stream::wrappers::ReceiverStream;

use super::asking::{Asker, Reply};
use super::correcting::Correcting;
use super::halt::Halt;
use super::intake::Question;
use crate::base::panic::panicked;
use crate::base::threads::blocking;
use crate::distill::Feed;
use crate::domain::answer::AnswerRecord;
use crate::domain::input::NewInput;
use crate::domain::progress::Progress;
use crate::domain::sample::Sample;
use crate::error::{Error, Result};
use crate::store::{APPENDED_TOGETHER, Failure, FailureKind, InputCounts, Store};

/// Between two looks for corrections, while nothing is placed.
const LOOK: Duration = Duration::from_millis(200);

/// A task that ends when nobody waits for it any more: when placing is over, by an error of the store, or the runtime
/// goes away.
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

/// Questions under way, in the order of the corpus. Each is a task that is running, whether it is being waited for or
/// not.
pub(super) type Replies = mpsc::Receiver<Owned<Result<Reply>>>;

/// Starts a task for each question, so many at a time, until there are no more or asking is halted.
/// What was started goes on after a halt: it may have been paid for. The receiver ends when the last one has been
/// given.
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
            // The halt is looked at first: else a full queue of questions would go on being asked.
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
/// halted nothing more is written: it would take the place of that one. What is in flight still comes back and is
/// stored. Gives the tries that got no answer.
///
/// A text that could not be answered makes no such gap: it has no position, and arrives with the next run, behind the
/// others. What was answered and not placed is not lost either: its answer is stored, and the next run finds it there.
pub(super) async fn place_all(
    replies: Replies,
    mut log: Log,
    progress: Arc<Progress>,
    halt: Arc<Halt>,
) -> Result<Vec<AnswerRecord>> {
    // In order, each waited for; then those that are ready as well, for they share one `fdatasync`.
    let mut replies = ReceiverStream::new(replies).then(|task| task).boxed().ready_chunks(APPENDED_TOGETHER);
    let mut has_gap = false;
    let (mut told, mut tried) = (Told::default(), Vec::new());
    loop {
        if !has_gap && let Err(error) = log.look_for_corrections().await {
            has_gap = true;
            halt.fail(error);
        }
        let chunk = tokio::select! {
            chunk = replies.next() => chunk,
            () = tokio::time::sleep(LOOK) => continue,
        };
        let Some(chunk) = chunk else { break };
        // The claims live until the end of this round: an id is found in the window or in the store at every moment.
        let (mut inputs, mut claims) = (Vec::with_capacity(chunk.len()), Vec::with_capacity(chunk.len()));
        for reply in chunk {
            // That a task panicked is an error like another: the others are still being paid for.
            match reply.flatten() {
                Ok(Reply::Unanswered { id, reason, tries }) => {
                    progress.unanswered.add(1);
                    tried.extend(tries);
                    told.unanswered(&id.0, &reason);
                    let failure = Failure { kind: FailureKind::Unanswered, id: id.0, reason };
                    // Not `?`: what is in flight is still to be waited for.
                    if let Err(error) = log.store.notes.note(failure).await {
                        halt.fail(error);
                    }
                }
                Ok(Reply::Answered(input, claim)) if !has_gap => {
                    match &input {
                        NewInput::Arrive(_, outcome) => progress.failed.add(u64::from(outcome.names_nothing())),
                        // Asked again with labels this time; `AsBefore` is what comes of it else.
                        NewInput::Answers(..) => progress.failed.take_one(),
                        NewInput::Correct(..) | NewInput::End => {}
                    }
                    inputs.push(input);
                    claims.push(claim);
                }
                Ok(Reply::Answered(..) | Reply::AsBefore) => {}
                // Interrupted, or a panic of the task: either way this sample's turn has come, and it has nothing.
                Err(error) => {
                    has_gap = true;
                    halt.fail(error);
                }
            }
        }
        // What is on its way still comes back, and is kept; it is not placed.
        if let Err(error) = log.place(inputs, &progress).await {
            has_gap = true;
            halt.fail(error);
        }
    }
    told.end();
    if !has_gap {
        log.tell_of_labels_without_text().await?;
    }
    Ok(tried)
}

/// The input log, and who is told how far it goes.
pub(super) struct Log {
    store: Store,
    feed: watch::Sender<Feed>,
    /// `None` while it looks.
    correcting: Option<Correcting>,
}

impl Log {
    pub(super) fn new(store: Store, feed: watch::Sender<Feed>, correcting: Correcting) -> Self {
        Self { store, feed, correcting: Some(correcting) }
    }

    /// Places what people have said since the last look.
    async fn look_for_corrections(&mut self) -> Result<()> {
        let Some(mut correcting) = self.correcting.take_if(|correcting| correcting.has_news()) else { return Ok(()) };
        let (correcting, inputs) = blocking("corrections", move || {
            let inputs = correcting.look();
            Ok((correcting, inputs))
        })
        .await?;
        self.correcting = Some(correcting);
        self.append(inputs?).await.map(drop)
    }

    /// Keeps what people's files say of texts that arrive.
    async fn take_up_files(&mut self, inputs: &[NewInput]) -> Result<()> {
        let Some(correcting) = &self.correcting else { return Ok(()) };
        let arriving: Vec<Sample> = inputs
            .iter()
            .filter_map(|input| match input {
                NewInput::Arrive(sample, _) if correcting.speaks_of(sample) => Some(sample.clone()),
                _ => None,
            })
            .collect();
        if arriving.is_empty() {
            return Ok(());
        }
        let Some(mut correcting) = self.correcting.take() else { return Ok(()) };
        let (correcting, kept) = blocking("corrections", move || {
            let kept = correcting.take_up(&arriving);
            Ok((correcting, kept))
        })
        .await?;
        self.correcting = Some(correcting);
        kept
    }

    /// An id that is misspelt in a person's file would be missed by nobody.
    async fn tell_of_labels_without_text(&mut self) -> Result<()> {
        let Some(correcting) = self.correcting.take() else { return Ok(()) };
        let not_there = blocking("corrections", move || correcting.not_there()).await?;
        if let Some(first) = not_there.first() {
            tracing::warn!(
                "{} label(s) in people's files are of texts that have not arrived, {:?} is the first: where the corpus has it, \
                 look at how it writes its ids",
                not_there.len(),
                first.0
            );
        }
        Ok(())
    }

    /// Places what arrived or was answered anew, each text with what a person said of it before.
    async fn place(&mut self, inputs: Vec<NewInput>, progress: &Progress) -> Result<()> {
        self.take_up_files(&inputs).await?;
        let mut position = self.store.inputs.counts().samples;
        let mut placed = Vec::with_capacity(inputs.len());
        for input in inputs {
            let mut said = None;
            if let NewInput::Arrive(sample, _) = &input {
                said = self.correcting.as_mut().and_then(|correcting| correcting.arrives(sample, position));
                position += 1;
            }
            placed.push(input);
            placed.extend(said);
        }
        if let Some(counts) = self.append(placed).await? {
            progress.placed.set(counts.samples);
        }
        Ok(())
    }

    /// Durable when this returns: only then does the student hear of it, for a label must not be of an input that a
    /// power cut takes away.
    async fn append(&mut self, inputs: Vec<NewInput>) -> Result<Option<InputCounts>> {
        let mut counts = None;
        let mut inputs = inputs.into_iter().peekable();
        while inputs.peek().is_some() {
            let together = inputs.by_ref().take(APPENDED_TOGETHER).collect();
            let now = self.store.inputs.append(together).await?;
            self.feed.send_modify(|feed| feed.events = now.events);
            counts = Some(now);
        }
        Ok(counts)
    }
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
