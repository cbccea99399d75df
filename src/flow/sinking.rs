//! Handing on: every sink follows the label log on a thread of its own, so that a slow one holds up neither the labels nor what
//! was paid for, and a run that could not hand something on leaves it to the next.
//!
//! A sink reads the file, not a queue: what it has not taken yet waits on disk, however far it is behind. Where it goes
//! on it says itself ([`Sink::begin`]), so events come once, or again after a kill, but never with one left out.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use futures::executor::block_on;
use tokio::sync::{Notify, watch};

use super::halt::Halt;
use crate::base::panic::caught;
use crate::domain::event::LabelEvent;
use crate::error::{Error, Result};
use crate::store::{Follow, RunLock, Sink, Tail};

/// Events that are handed on together, at most.
const TOGETHER: usize = 256;

/// What all sinks of a run follow.
#[derive(Clone)]
pub(super) struct Sinking {
    /// Tells the label log apart from others.
    pub(super) log: String,
    /// Events in it. Closed when no more come.
    pub(super) written: watch::Receiver<u64>,
    /// Whether the run stops, or is gone: then a sink need not catch up.
    pub(super) stop: watch::Receiver<bool>,
    /// Asking ends where a sink failed: labels that nobody takes are not worth paying for.
    pub(super) halt: Arc<Halt>,
    /// Told when a sink failed: the run has to end.
    pub(super) failed: Arc<Notify>,
    /// Held until the thread ends.
    pub(super) lock: Arc<RunLock>,
}

impl Sinking {
    /// Starts a thread for each of `sinks`, of the run in `dir`. Why one failed is with [`Halt`].
    pub(super) fn start(&self, dir: &Path, sinks: Vec<Box<dyn Sink>>) -> Result<Vec<JoinHandle<Result<()>>>> {
        let start = |sink| {
            let (mut this, tail) = (self.clone(), Tail::new(dir));
            // A panic of the program's own code ends the run as an error does.
            let run = move || {
                if let Err(error) = caught("sink", || this.follow(sink, tail)) {
                    this.halt.fail(error);
                    this.failed.notify_one();
                }
                drop(this.lock);
                Ok(())
            };
            std::thread::Builder::new().name("candist-sink".to_owned()).spawn(run).map_err(Error::no_thread)
        };
        sinks.into_iter().map(start).collect()
    }

    /// Hands events on until the run is over; works on the sink's own thread, where it may block.
    fn follow(&mut self, mut sink: Box<dyn Sink>, tail: Tail) -> Result<()> {
        let mut next = sink.begin(&self.log).map_err(failed)?;
        let mut tail = tail.from(next);
        loop {
            // Before the look at the number: what was written until then is in it.
            let ended = self.written.has_changed().is_err();
            let written = *self.written.borrow_and_update();
            while next < written && !self.is_stopping() {
                let events = read(&mut tail, written - next)?;
                // The log was cut under us, which its writer finds out too.
                if events.is_empty() {
                    break;
                }
                sink.write(&events).map_err(failed)?;
                next += events.len() as u64;
            }
            if ended || self.is_stopping() {
                return sink.end().map_err(failed);
            }
            // An error means that nothing more comes; that is looked at above.
            let _ = block_on(self.written.changed());
        }
    }

    /// Set, or its sender gone.
    fn is_stopping(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }
}

fn failed(message: String) -> Error {
    Error::Sink { message }
}

/// The next events, of which there are `most`; fewer where the log was cut meanwhile, and no more than [`TOGETHER`].
fn read(tail: &mut Tail, most: u64) -> Result<Vec<LabelEvent>> {
    let most = usize::try_from(most).map_or(TOGETHER, |most| most.min(TOGETHER));
    let mut events = Vec::with_capacity(most);
    while events.len() < most {
        match tail.poll()? {
            Follow::Event(event, _) => events.push(*event),
            // Another file in the log's place: what it has from this offset on is read next.
            Follow::NewLog => {}
            Follow::Waiting => break,
        }
    }
    Ok(events)
}
