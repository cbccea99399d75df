//! Intake, the resume filter: reads the corpus and passes on only what is not known yet, with the answers that are stored.
//!
//! It is the one place that sees all rows one after the other, so it also finds rows that are the same as one on its way:
//! equal ids are passed on once, equal questions share one answer.
//!
//! A question is known in one of two places: on its way (the window, in memory) or stored. It moves from the first to
//! the second, and its place in the window is held until it is in the second. So whoever looks into the window first,
//! and then into the store, cannot miss it; the other way round it could slip by between the looks, and be asked, and
//! paid, twice.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use tokio::sync::{OnceCell, mpsc, watch};

use super::first::First;
use super::halt::Halt;
use crate::base::panic::{caught, in_stage};
use crate::corpus::{Corpus, Row};
use crate::domain::answer::{AnswerKey, AnswerRecord};
use crate::domain::progress::Progress;
use crate::domain::sample::{Position, Sample, SampleId, TextHash};
use crate::error::{Error, Result};
use crate::store::{Failure, FailureKind, KnownSample, RowKey, RunLock, Store};
use crate::teacher::Teacher;

/// Questions that wait to be asked, at most.
const QUEUE: usize = 256;
/// Rows that are looked up together, at most, and how long the first of them waits for the others.
const TOGETHER: usize = 128;
/// A corpus may give its rows slowly, from a database or a generator; then they are not kept back for a full batch.
const WAIT: Duration = Duration::from_millis(5);

/// A place for one answer, shared by all samples that wait for it. As long as somebody holds it, the question is on its
/// way.
#[derive(Debug)]
pub(crate) struct AnswerCell {
    /// What is asked.
    pub(crate) key: AnswerKey,
    /// Tries that are stored.
    pub(crate) attempts: AtomicU32,
    /// Tries after which an answer without labels is let be.
    pub(crate) allowed: u32,
    /// Whether answers tell how well the task fits. Those to texts that failed before do not: they are the hard ones.
    pub(crate) tells_fit: bool,
    /// The answer, once it is stored.
    /// Filled by the first task that comes to it; others wait for that one, and take over if it fails.
    pub(crate) record: OnceCell<AnswerRecord>,
}

/// What one teacher says about one sample.
#[derive(Debug)]
pub(crate) enum Slot {
    /// It is stored.
    Stored(Box<AnswerRecord>),
    /// It is to be asked, or being asked.
    Open(Arc<AnswerCell>),
}

/// A sample on its way, with one slot per teacher and draw.
#[derive(Debug)]
pub(crate) struct Question {
    /// The sample.
    pub(crate) sample: Sample,
    /// In the order of the teachers, each with its draws.
    pub(crate) slots: Vec<Vec<Slot>>,
    /// Held until the sample has its position: marks its id as taken.
    pub(crate) claim: Arc<TextHash>,
    /// Its position, if it arrived before and is asked about again.
    pub(crate) arrived: Option<Position>,
}

/// Things that are on their way: as long as someone holds one, it is found here. Entries are weak, so that the end of a
/// task, whatever it is, takes its questions out of the window.
#[derive(Debug)]
struct InWindow<K, V> {
    entries: HashMap<K, Weak<V>>,
    /// Entries at which the dead ones are swept out.
    sweep_at: usize,
}

impl<K: Eq + Hash, V> InWindow<K, V> {
    fn new() -> Self {
        Self { entries: HashMap::new(), sweep_at: 4 * QUEUE }
    }

    fn get(&self, key: &K) -> Option<Arc<V>> {
        self.entries.get(key)?.upgrade()
    }

    fn insert(&mut self, key: K, value: &Arc<V>) {
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|_, value| value.strong_count() > 0);
            // Twice what is alive: sweeping costs each insertion a constant on average.
            self.sweep_at = (2 * self.entries.len()).max(4 * QUEUE);
        }
        self.entries.insert(key, Arc::downgrade(value));
    }
}

/// See the module.
pub(crate) struct Intake {
    pub(crate) corpus: Box<dyn Corpus>,
    pub(crate) teachers: Vec<Arc<dyn Teacher>>,
    /// Whether samples whose answers name no label are asked about again.
    pub(crate) retry_failures: bool,
    /// The texts that it reads, at most, from the corpus' start; none for all.
    pub(crate) limit: Option<u64>,
    pub(crate) store: Store,
    pub(crate) progress: Arc<Progress>,
    pub(crate) halt: Arc<Halt>,
    /// Whether the store is known to have lost nothing: only then is a row that it does not know a new one.
    pub(crate) checked: watch::Receiver<bool>,
    /// Whether the corpus should begin with texts that the run has: it came from another machine, which had the same corpus.
    pub(crate) goes_on: bool,
    /// Held as long as anyone of this run works in the directory.
    pub(crate) lock: Arc<RunLock>,
}

/// What is known of a row.
enum Seen {
    /// Not known: it is to be asked about.
    New,
    /// It has a position, or (`None`) is on its way to one.
    Before(Option<KnownSample>),
    /// Its id was used for another text.
    Clash,
}

/// Where reading the corpus ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadTo {
    /// At its end.
    End,
    /// After the texts that were wanted; there may be more.
    Limit,
    /// Before: by a stop, a halt, or a store that lost something.
    Stopped,
}

/// What intake holds of the rows that are on their way.
struct Window {
    /// The text under each id, to find an id that is used for two.
    ids: InWindow<SampleId, TextHash>,
    cells: InWindow<AnswerKey, AnswerCell>,
}

/// Holds what a batch of rows found on its way: it must not slip from there into the store between two looks.
#[derive(Default)]
struct Held {
    claims: Vec<Arc<TextHash>>,
    cells: Vec<Arc<AnswerCell>>,
}

impl Intake {
    /// Starts the thread. It gives how far the corpus was read.
    pub(crate) fn start(self) -> Result<(mpsc::Receiver<Question>, JoinHandle<Result<ReadTo>>)> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        // Held until the thread ends.
        let lock = Arc::clone(&self.lock);
        let thread = std::thread::Builder::new()
            .name("candist-corpus".to_owned())
            .spawn(move || {
                let read = caught("intake", || self.run(&sender));
                drop(lock);
                read
            })
            .map_err(Error::no_thread)?;
        Ok((receiver, thread))
    }

    /// Works on the thread "candist-corpus", which may block: it reads files and waits for the store and for room in
    /// the queue. A stop, a halt or a lost store check end it before the corpus does.
    fn run(mut self, questions: &mpsc::Sender<Question>) -> Result<ReadTo> {
        let mut window = Window { ids: InWindow::new(), cells: InWindow::new() };
        let halt = Arc::clone(&self.halt);
        in_stage("corpus", || self.corpus.until(Arc::new(move || halt.is_halted())));
        let (mut texts, mut begins) = (First::new(self.limit), self.goes_on);
        while !texts.are_met() {
            // No row beyond the limit is read: it may be long in coming, and is none of a pilot's.
            let most =
                texts.left().map_or(TOGETHER, |left| usize::try_from(left).map_or(TOGETHER, |n| n.min(TOGETHER)));
            let (rows, at_end) = self.rows(most)?;
            begins = begins && !self.compare_with_run(&rows)?;
            if self.halt.is_halted() || !self.pass_on(rows, &mut window, &mut texts, questions)? {
                return Ok(ReadTo::Stopped);
            }
            if at_end {
                return Ok(ReadTo::End);
            }
        }
        Ok(ReadTo::Limit)
    }

    /// The next rows, at most so many, each with what its file is called, and whether they are the last ones.
    fn rows(&mut self, most: usize) -> Result<(Vec<(String, Row)>, bool)> {
        let (mut rows, mut first) = (Vec::new(), None);
        while rows.len() < most && !self.halt.is_halted() {
            if !rows.is_empty() && in_stage("corpus", || self.corpus.is_waiting()) {
                break;
            }
            let asked = Instant::now();
            let Some(row) = in_stage("corpus", || self.corpus.next_row())? else { return Ok((rows, true)) };
            // Now: the next row may be another file's.
            rows.push((in_stage("corpus", || self.corpus.name()), row));
            // A row that was long in coming does not wait for the next one, which may be as long.
            if asked.elapsed() > WAIT || first.get_or_insert_with(Instant::now).elapsed() > WAIT {
                break;
            }
        }
        Ok((rows, false))
    }

    /// Warns where the first rows are none of the run's: two runs that have one name are one. Whether there was a text among them.
    fn compare_with_run(&self, rows: &[(String, Row)]) -> Result<bool> {
        let texts: Vec<&Sample> = rows.iter().filter_map(|(_, row)| row.sample.as_ref().ok()).collect();
        let ids: Vec<SampleId> = texts.iter().map(|sample| sample.id.clone()).collect();
        let known = block_on(self.store.inputs.known(&ids))?;
        let is_new = |(sample, known): (&&Sample, &Option<KnownSample>)| {
            known.is_none_or(|known| known.text_hash != TextHash::of(&sample.text))
        };
        let before = self.store.inputs.counts().samples;
        if before > 0 && !texts.is_empty() && texts.iter().zip(&known).all(is_new) {
            tracing::warn!(
                "the corpus begins with {} texts that are new to the run, which came from elsewhere with {before}: if this is another run, \
                 stop it, and give it a run.shared_name and a run directory of its own",
                texts.len()
            );
        }
        Ok(!texts.is_empty())
    }

    /// Passes on what is new of `rows`; false if nobody wants it any more.
    fn pass_on(
        &self,
        rows: Vec<(String, Row)>,
        window: &mut Window,
        texts: &mut First,
        questions: &mpsc::Sender<Question>,
    ) -> Result<bool> {
        let mut held = Held::default();
        let mut samples = Vec::with_capacity(rows.len());
        for (file, Row { line, sample }) in rows {
            let place = || format!("{file}:{line}");
            match sample {
                Ok(sample) => samples.push((place(), TextHash::of(&sample.text), sample)),
                Err(reason) => {
                    self.progress.rows.add(1);
                    self.bad_row(place(), reason)?;
                }
            }
        }
        // What is on its way is looked up before what is stored: it may get from there to here in between, never back.
        held.claims.extend(samples.iter().filter_map(|(.., sample)| window.ids.get(&sample.id)));
        let key = |(_, text_hash, sample): &(String, TextHash, Sample)| RowKey {
            id: sample.id.clone(),
            text_hash: *text_hash,
        };
        let rows: Vec<RowKey> = samples.iter().map(key).collect();
        let known = block_on(self.store.inputs.known_rows(&rows))?;
        for ((place, hash, sample), known) in samples.into_iter().zip(known) {
            if self.halt.is_halted() {
                return Ok(false);
            }
            // Now, and not when it was read: those that wait behind a full queue are not done.
            self.progress.rows.add(1);
            let seen = seen(&window.ids, &sample.id, hash, known);
            if !matches!(seen, Seen::Clash) {
                texts.meet(&sample.id);
            }
            let arrived = match seen {
                Seen::New => None,
                Seen::Before(Some(known)) if self.is_to_retry(known)? => Some(known.position),
                Seen::Before(_) => continue,
                Seen::Clash => {
                    let id = &sample.id.0;
                    let reason = format!(
                        "the id {id:?} was used for another text before: give every text an id of its own, also one \
                         that was changed"
                    );
                    self.bad_row(place, reason)?;
                    continue;
                }
            };
            // Waits only for what looks new: rows that are known pass by while the check still reads.
            if !self.wait_for_check() {
                return Ok(false);
            }
            let question = self.question(sample, hash, arrived, window, &mut held)?;
            self.progress.new_rows.add(u64::from(arrived.is_none()));
            // Full where asking is behind: then the corpus waits, and memory holds no more of it.
            if questions.blocking_send(question).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits until the store is known to have lost nothing; false if it has.
    fn wait_for_check(&self) -> bool {
        let mut checked = self.checked.clone();
        let is_checked = *checked.borrow();
        is_checked || block_on(checked.wait_for(|&checked| checked)).is_ok()
    }

    /// Whether a sample that arrived before is asked about again: only on request, and only one that no teacher named a
    /// label for.
    fn is_to_retry(&self, known: KnownSample) -> Result<bool> {
        if !self.retry_failures {
            return Ok(false);
        }
        let counts = self.store.inputs.counts();
        let samples = block_on(self.store.inputs.samples(known.position..known.position + 1, counts.events))?;
        Ok(samples.iter().any(|sample| sample.candidates.is_empty()))
    }

    /// Notes a row that cannot be used, for `status` and `failures`. The run goes on without it.
    fn bad_row(&self, id: String, reason: String) -> Result<()> {
        self.progress.bad_rows.add(1);
        block_on(self.store.notes.note(Failure { kind: FailureKind::Row, id, reason }))
    }

    /// What is to be asked about a sample: a slot for each teacher and draw, filled with what is stored. From when this
    /// returns its id and its keys are in the window.
    fn question(
        &self,
        sample: Sample,
        hash: TextHash,
        arrived: Option<Position>,
        window: &mut Window,
        held: &mut Held,
    ) -> Result<Question> {
        let keys_of = |teacher: &Arc<dyn Teacher>| {
            in_stage("teacher", || (0..teacher.draws()).map(|draw| teacher.key(&sample, draw)).collect())
        };
        let keys: Vec<Vec<AnswerKey>> = self.teachers.iter().map(keys_of).collect();
        let cells: Vec<Vec<Option<Arc<AnswerCell>>>> =
            keys.iter().map(|draws| draws.iter().map(|key| window.cells.get(key)).collect()).collect();
        // The same order as above: a cell is dropped only after its answer is stored.
        let stored = block_on(self.store.answers.find(&keys.concat()))?;
        let mut stored = stored.into_iter();
        let mut slots = Vec::with_capacity(keys.len());
        for ((teacher, keys), cells) in self.teachers.iter().zip(keys).zip(cells) {
            let draws = keys.into_iter().zip(cells).map(|(key, cell)| {
                let stored = stored.next().flatten();
                self.slot(teacher.as_ref(), key, cell, stored, window, held)
            });
            slots.push(draws.collect());
        }
        let claim = Arc::new(hash);
        window.ids.insert(sample.id.clone(), &claim);
        held.claims.push(Arc::clone(&claim));
        Ok(Question { sample, slots, claim, arrived })
    }

    /// The slot of one key. `stored` is what the store has under it, `cell` what was on its way before the store was
    /// looked at.
    fn slot(
        &self,
        teacher: &dyn Teacher,
        key: AnswerKey,
        cell: Option<Arc<AnswerCell>>,
        stored: Option<AnswerRecord>,
        window: &mut Window,
        held: &mut Held,
    ) -> Slot {
        // Two draws of one sample may have one key.
        if let Some(cell) = cell.or_else(|| window.cells.get(&key)) {
            return Slot::Open(cell);
        }
        let attempts = stored.as_ref().map_or(0, |record| record.attempt);
        // To ask again is to have all tries once more, on top of those that were made.
        let allowed = teacher.attempts() + if self.retry_failures { attempts } else { 0 };
        // A refusal settles a question whatever tries are left, but not for who asks for it again.
        let refused_before = self.retry_failures && stored.as_ref().is_some_and(AnswerRecord::is_refused);
        match stored {
            Some(record) if !refused_before && record.is_settled(allowed) => Slot::Stored(Box::new(record)),
            _ => {
                let tells_fit = !self.retry_failures || attempts == 0;
                let attempts = attempts.into();
                let record = OnceCell::new();
                let cell = Arc::new(AnswerCell { key, attempts, allowed, tells_fit, record });
                window.cells.insert(key, &cell);
                held.cells.push(Arc::clone(&cell));
                Slot::Open(cell)
            }
        }
    }
}

/// What is known of an id with a text of this hash. The window goes before the store: it has the claims of this batch
/// too, so of two rows with one id in a batch the second finds the first.
fn seen(window: &InWindow<SampleId, TextHash>, id: &SampleId, hash: TextHash, known: Option<KnownSample>) -> Seen {
    let on_its_way = window.get(id).map(|claimed| *claimed);
    match on_its_way.or(known.map(|known| known.text_hash)) {
        None => Seen::New,
        Some(before) if before == hash => Seen::Before(known.filter(|_| on_its_way.is_none())),
        Some(_) => Seen::Clash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_any_more_is_not_found_and_makes_room() {
        let mut window = InWindow::new();
        let held = Arc::new("held");
        window.insert(0, &held);
        for key in 1..10_000 {
            window.insert(key, &Arc::new("dropped"));
        }
        assert_eq!(window.get(&0).as_deref(), Some(&"held"));
        assert_eq!(window.get(&5), None);
        assert!(window.entries.len() <= 4 * QUEUE + 1, "{}", window.entries.len());
    }
}
