//! What the student takes in, read from the input log and encoded: [`Log`], a function of the log alone, so that any thread may do
//! it. [`Reader`] has one of its own ("candist-reader") read ahead of the student, who learns meanwhile.
//!
//! What is ahead is no state: what was read for nothing is let go, and what is missing is read when it is wanted. So no label
//! depends on it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use futures::channel::oneshot::{Receiver, channel};
use futures::executor::block_on;

use super::memory::Item;
use crate::base::panic::caught;
use crate::base::text::prefix;
use crate::domain::input::Input;
use crate::domain::sample::Position;
use crate::error::{Error, Result};
use crate::store::{AskedSample, Inputs};
use crate::student::{Encoded, Encoding, Student};

/// Bytes of a text that are shown with its label, at most: a line of a wide terminal.
const SHOWN: usize = 160;

/// An event of the input log, ready to be taken in.
pub(super) enum Next {
    /// A sample that has arrived.
    Arrival(Arc<Item>),
    /// One that arrived before, with its new answers.
    Again(Arc<Item>),
    /// One that arrived before, with the label that a person gave it, or without the one they took back.
    Corrected(Arc<Item>),
    /// The corpus ended.
    End,
}

impl Next {
    /// The sample that the event is of.
    pub(super) fn item(&self) -> Option<&Item> {
        match self {
            Next::Arrival(item) | Next::Again(item) | Next::Corrected(item) => Some(item),
            Next::End => None,
        }
    }

    /// The sample that is to be labelled, if anybody but the student says something of it.
    pub(super) fn evidence(&self) -> Option<&Item> {
        self.item().filter(|item| item.candidates.is_evidence())
    }
}

/// Samples to be read: their positions, ascending, with the answers that were known when so many events were all. Later ones may be in
/// the log already; a label must not depend on how far asking was ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) positions: Vec<Position>,
    pub(super) events: u64,
}

/// The input log, and how many folds there are.
#[derive(Clone)]
struct Log {
    inputs: Arc<dyn Inputs>,
    folds: u32,
}

impl Log {
    /// The events with these numbers. Answers and corrections name only a position: text and earlier fields are looked up, as of
    /// this very event, for later ones must not be seen yet.
    fn events(&self, numbers: Range<u64>, encode: &dyn Fn(&str) -> Encoded) -> Result<Vec<Next>> {
        let again = |position, number| {
            let found = block_on(self.inputs.samples(position..position + 1, number + 1))?.pop();
            let missing =
                || Error::StoreDamaged { path: "store".into(), message: format!("sample {position} is missing") };
            Ok(self.item(found.ok_or_else(missing)?, encode))
        };
        let inputs = block_on(self.inputs.read(numbers.clone()))?;
        let next = numbers.zip(inputs).map(|(number, input)| {
            Ok(match input {
                Input::Arrive { position, sample, outcome } => {
                    Next::Arrival(self.item(AskedSample { position, sample, candidates: outcome.candidates() }, encode))
                }
                Input::Answers { position, .. } => Next::Again(again(position, number)?),
                Input::Correct { position, .. } => Next::Corrected(again(position, number)?),
                Input::End { .. } => Next::End,
            })
        });
        next.collect()
    }

    /// The samples that are wanted, in their order. They are read in ranges; what lies between them is not encoded.
    fn samples(&self, wanted: &Wanted, encode: &dyn Fn(&str) -> Encoded) -> Result<Vec<Arc<Item>>> {
        let mut items = Vec::with_capacity(wanted.positions.len());
        let mut positions = wanted.positions.iter().peekable();
        for range in ranges(&wanted.positions) {
            for sample in block_on(self.inputs.samples(range, wanted.events))? {
                if positions.next_if(|position| **position == sample.position).is_some() {
                    items.push(self.item(sample, encode));
                }
            }
        }
        Ok(items)
    }

    /// Encodes a sample and gives it its fold: the position modulo `folds`, so folds differ by one sample at most,
    /// and a sample never changes its own.
    fn item(&self, sample: AskedSample, encode: &dyn Fn(&str) -> Encoded) -> Arc<Item> {
        let AskedSample { position, sample, candidates } = sample;
        let fold = usize::try_from(position % u64::from(self.folds)).unwrap_or(0);
        let (encoded, shown) = (encode(&sample.text), prefix(&sample.text, SHOWN).into());
        Arc::new(Item { position, encoded, shown, id: sample.id, candidates, fold })
    }
}

/// Positions that may lie between two that are read together: reading a few lines for nothing is cheaper than a
/// second read.
const GAP: u64 = 16;

/// Ascending positions, in ranges that are worth reading as one.
fn ranges(positions: &[Position]) -> Vec<Range<Position>> {
    let mut ranges: Vec<Range<Position>> = Vec::new();
    for &position in positions {
        match ranges.last_mut() {
            Some(last) if position - last.end <= GAP => last.end = position + 1,
            _ => ranges.push(position..position + 1),
        }
    }
    ranges
}

/// Reads what is wanted, and what will be wanted next.
pub(super) struct Reader {
    log: Log,
    /// Where the student encodes texts on its own thread alone, nothing is read ahead.
    encoding: Option<Encoding>,
    // Before the thread: what nobody waits for any more is not begun.
    events: Option<Coming<Range<u64>, Vec<Next>>>,
    samples: Option<Coming<Wanted, Vec<Arc<Item>>>>,
    thread: Option<Thread>,
}

/// What was asked for ahead, and where it comes.
struct Coming<W, T> {
    wanted: W,
    found: Receiver<Result<T>>,
}

impl<W, T> Coming<W, T> {
    /// None where the thread is gone.
    fn wait(self) -> Option<Result<T>> {
        block_on(self.found).ok()
    }
}

impl Reader {
    /// For what `student` reads, in so many folds. The thread starts with what is first to be read ahead.
    pub(super) fn new(inputs: Arc<dyn Inputs>, folds: u32, student: &dyn Student) -> Self {
        let (log, encoding) = (Log { inputs, folds }, student.encoding());
        Self { log, encoding, events: None, samples: None, thread: None }
    }

    /// The next events, some or all of `numbers`, beginning with the first; at most `most` of them. Those behind them are then read
    /// ahead.
    ///
    /// # Errors
    ///
    /// Those of the log, when what is damaged is wanted and not before; [`Error::Threads`].
    pub(super) fn events(&mut self, numbers: Range<u64>, most: u64, student: &dyn Student) -> Result<Vec<Next>> {
        let ahead = self.events.take().filter(|coming| coming.wanted.start == numbers.start);
        let some = |start: u64| start..numbers.end.min(start + most);
        let events = match ahead.and_then(Coming::wait) {
            Some(events) => events?,
            None => self.log.events(some(numbers.start), &self.encode(student))?,
        };
        let next = some(numbers.start + events.len() as u64);
        if !next.is_empty() {
            self.events = self.begin(next, |log, wanted, encode| log.events(wanted.clone(), encode))?;
        }
        Ok(events)
    }

    /// The samples that are wanted, in their order. Those that are wanted `next`, if any, are then read ahead.
    ///
    /// # Errors
    ///
    /// As [`Reader::events`].
    pub(super) fn samples(&mut self, wanted: Wanted, next: Wanted, student: &dyn Student) -> Result<Vec<Arc<Item>>> {
        let ahead = self.samples.take().filter(|coming| coming.wanted == wanted);
        let samples = match ahead.and_then(Coming::wait) {
            Some(samples) => samples?,
            None => self.log.samples(&wanted, &self.encode(student))?,
        };
        if !next.positions.is_empty() {
            self.samples = self.begin(next, Log::samples)?;
        }
        Ok(samples)
    }

    /// The same on this thread as ahead of it, so that nothing depends on who was first.
    fn encode(&self, student: &dyn Student) -> impl Fn(&str) -> Encoded {
        move |text| self.encoding.as_ref().map_or_else(|| student.encode(text), |encoding| encoding(text))
    }

    /// Has the thread read what is wanted next.
    fn begin<W: Clone + Send + 'static, T: Send + 'static>(
        &mut self,
        wanted: W,
        read: impl FnOnce(&Log, &W, &dyn Fn(&str) -> Encoded) -> Result<T> + Send + 'static,
    ) -> Result<Option<Coming<W, T>>> {
        let Some(encoding) = &self.encoding else { return Ok(None) };
        let thread = match &self.thread {
            Some(thread) => thread,
            None => self.thread.insert(Thread::start()?),
        };
        let (give, found) = channel();
        let (log, encoding, of) = (self.log.clone(), Arc::clone(encoding), wanted.clone());
        thread.work(Box::new(move || {
            if !give.is_canceled() {
                // Nobody may want it any more when it is read.
                let _ = give.send(caught("student", || read(&log, &of, encoding.as_ref())));
            }
        }));
        Ok(Some(Coming { wanted, found }))
    }
}

type Job = Box<dyn FnOnce() + Send>;
/// Jobs that wait, at most: events, samples, and those that nobody wants any more.
const JOBS: usize = 4;

/// "candist-reader": does one thing after the other, and has ended when it is dropped.
struct Thread {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    fn start() -> Result<Self> {
        let (jobs, next) = sync_channel::<Job>(JOBS);
        let run = move || next.into_iter().for_each(|job| job());
        let thread = Builder::new().name("candist-reader".to_owned()).spawn(run).map_err(Error::no_thread)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    fn work(&self, job: Job) {
        // It ends when this is dropped, and not before: panics are caught.
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(job));
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // Whoever has the student's store let go may be about to open it anew.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;
    use std::sync::Mutex;

    use futures::FutureExt;
    use futures::future::{BoxFuture, ready};

    use super::*;
    use crate::domain::candidates::CandidateSet;
    use crate::domain::input::{NewInput, Outcome};
    use crate::domain::sample::{Sample, SampleId};
    use crate::store::{InputCounts, KnownSample, RowKey};
    use crate::student::{Example, Fold, Objective, Rows, Step};

    /// A log of arrivals, of which one cannot be read. Keeps what was read, and by which thread.
    #[derive(Default)]
    struct Arrivals {
        read: Mutex<Vec<(String, Range<u64>)>>,
        damaged: Option<u64>,
    }

    impl Arrivals {
        fn note(&self, range: Range<u64>) -> Result<()> {
            let thread = std::thread::current().name().unwrap_or_default().to_owned();
            let thread = if thread == "candist-reader" { "ahead" } else { "at once" };
            self.read.lock().unwrap().push((thread.to_owned(), range.clone()));
            let is_damaged = self.damaged.is_some_and(|damaged| range.contains(&damaged));
            if is_damaged { Err(Error::StoreDamaged { path: "store".into(), message: String::new() }) } else { Ok(()) }
        }

        fn seen(&self) -> Vec<(String, Range<u64>)> {
            std::mem::take(&mut self.read.lock().unwrap())
        }
    }

    fn sample(position: u64) -> Sample {
        Sample::new(position.to_string(), format!("text {position}"))
    }

    impl Inputs for Arrivals {
        fn known<'a>(&'a self, _: &'a [SampleId]) -> BoxFuture<'a, Result<Vec<Option<KnownSample>>>> {
            unreachable!()
        }

        fn known_rows<'a>(&'a self, _: &'a [RowKey]) -> BoxFuture<'a, Result<Vec<Option<KnownSample>>>> {
            unreachable!()
        }

        fn append(&self, _: Vec<NewInput>) -> BoxFuture<'_, Result<InputCounts>> {
            unreachable!()
        }

        fn counts(&self) -> InputCounts {
            unreachable!()
        }

        fn read(&self, events: Range<u64>) -> BoxFuture<'_, Result<Vec<Input>>> {
            let outcome = Outcome { opinions: Vec::new(), failure: None };
            let arrive = |position| Input::Arrive { position, sample: sample(position), outcome: outcome.clone() };
            ready(self.note(events.clone()).map(|()| events.map(arrive).collect())).boxed()
        }

        fn samples(&self, positions: Range<Position>, _: u64) -> BoxFuture<'_, Result<Vec<AskedSample>>> {
            let candidates = CandidateSet::default;
            let asked = |position| AskedSample { position, sample: sample(position), candidates: candidates() };
            ready(self.note(positions.clone()).map(|()| positions.map(asked).collect())).boxed()
        }
    }

    /// Reads the length of a text; on other threads too, if it says so.
    struct Lengths(bool);

    /// A text that cannot be read.
    const BAD: &str = "text 13";

    fn length(text: &str) -> Encoded {
        assert_ne!(text, BAD, "cannot be read");
        Encoded { ids: vec![u32::try_from(text.len()).unwrap()], ..Encoded::default() }
    }

    impl Student for Lengths {
        fn encode(&self, text: &str) -> Encoded {
            length(text)
        }

        fn encoding(&self) -> Option<Encoding> {
            let encoding: Encoding = Arc::new(length);
            self.0.then_some(encoding)
        }

        fn logits(&self, _: Fold, _: &[&Encoded]) -> Rows {
            unreachable!()
        }

        fn predict(&self, _: &[&Encoded]) -> Rows {
            unreachable!()
        }

        fn train(&mut self, _: &[Example<'_>], _: Objective, _: f64) -> Result<Step> {
            unreachable!()
        }

        fn skipped(&self) -> u64 {
            0
        }

        fn reset(&mut self) {}

        fn save(&self, _: &Path, _: HashMap<String, String>) -> Result<()> {
            unreachable!()
        }

        fn load(&mut self, _: &Path) -> Result<HashMap<String, String>> {
            unreachable!()
        }

        fn export(&self, _: &Path, _: &[String], _: f64) -> Result<()> {
            unreachable!()
        }
    }

    fn positions(events: &[Next]) -> Vec<Position> {
        events.iter().filter_map(Next::item).map(|item| item.position).collect()
    }

    fn named(thread: &str, range: Range<u64>) -> (String, Range<u64>) {
        (thread.to_owned(), range)
    }

    #[test]
    fn what_comes_next_is_read_while_the_student_learns() {
        let (log, student) = (Arc::new(Arrivals::default()), Lengths(true));
        let mut reader = Reader::new(log.clone(), 4, &student);
        let mut events = |numbers| positions(&reader.events(numbers, 10, &student).unwrap());
        assert_eq!(events(20..35), (20..30).collect::<Vec<_>>());
        // What was read ahead ends where the log did; what came since is read after it.
        assert_eq!(events(30..100), (30..35).collect::<Vec<_>>());
        assert_eq!(events(35..100), (35..45).collect::<Vec<_>>());
        // Somewhere else: what is ahead is let go.
        assert_eq!(events(50..52), [50, 51]);
        assert_eq!(events(52..53), [52]);
        drop(reader);
        let mut seen = log.seen();
        seen.retain(|(thread, _)| thread == "ahead");
        // The last one was begun or not before nobody wanted it any more.
        assert!(seen.starts_with(&[named("ahead", 30..35), named("ahead", 35..45)]), "{seen:?}");
        assert!(seen.iter().skip(2).all(|read| *read == named("ahead", 45..55)), "{seen:?}");
    }

    #[test]
    fn samples_are_those_that_are_wanted_whatever_was_expected() {
        let (log, student) = (Arc::new(Arrivals::default()), Lengths(true));
        let mut reader = Reader::new(log.clone(), 4, &student);
        let wanted = |positions: &[Position], events| Wanted { positions: positions.to_vec(), events };
        let mut read = |now: Wanted, next: Wanted| {
            let items = reader.samples(now, next, &student).unwrap();
            assert!(
                items
                    .iter()
                    .all(|item| item.fold == item.position as usize % 4 && *item.shown == sample(item.position).text)
            );
            assert!(items.iter().all(|item| item.encoded == length(&item.shown)));
            items.iter().map(|item| item.position).collect::<Vec<_>>()
        };
        assert_eq!(read(wanted(&[0, 1, 5, 90], 9), wanted(&[7, 8], 9)), [0, 1, 5, 90]);
        assert_eq!(read(wanted(&[7, 8], 9), wanted(&[9], 9)), [7, 8]);
        // The same positions, of another time.
        assert_eq!(read(wanted(&[9], 12), wanted(&[], 12)), [9]);
        assert_eq!(read(wanted(&[], 12), wanted(&[], 12)), [0; 0]);
        drop(reader);
        let seen = log.seen();
        let count = |read: &(String, Range<u64>)| seen.iter().filter(|seen| *seen == read).count();
        assert_eq!((count(&named("at once", 0..6)), count(&named("at once", 90..91))), (1, 1));
        assert_eq!((count(&named("at once", 9..10)), count(&named("ahead", 7..9))), (1, 1));
    }

    #[test]
    fn what_is_damaged_is_told_when_it_is_wanted() {
        let log = Arc::new(Arrivals { damaged: Some(12), ..Arrivals::default() });
        let student = Lengths(true);
        let mut reader = Reader::new(log, 4, &student);
        assert_eq!(reader.events(0..30, 10, &student).unwrap().len(), 10);
        assert!(matches!(reader.events(10..30, 10, &student), Err(Error::StoreDamaged { .. })));
    }

    #[test]
    fn a_text_that_cannot_be_read_is_told_when_it_is_wanted() {
        let student = Lengths(true);
        let mut reader = Reader::new(Arc::new(Arrivals::default()), 4, &student);
        assert_eq!(reader.events(0..30, 10, &student).unwrap().len(), 10);
        let told = reader.events(10..30, 10, &student).err().unwrap().to_string();
        assert!(told.contains("student") && told.contains("cannot be read"), "{told}");
    }

    #[test]
    fn positions_are_read_in_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 3, 60]), [0..4, 60..61]);
        assert_eq!(ranges(&[5, 9, 100]), [5..10, 100..101]);
        assert!(ranges(&[]).is_empty());
    }

    #[test]
    fn a_student_that_stays_on_its_thread_has_nothing_read_ahead() {
        let (log, student) = (Arc::new(Arrivals::default()), Lengths(false));
        let mut reader = Reader::new(log.clone(), 4, &student);
        for first in [20, 30] {
            assert_eq!(reader.events(first..40, 10, &student).unwrap().len(), 10);
        }
        assert_eq!(log.seen(), [named("at once", 20..30), named("at once", 30..40)]);
    }
}
