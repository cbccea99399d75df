//! The resume filter: reads the corpus and passes on only what is not known yet, with the answers that are stored.
//!
//! It is the one place that sees all rows one after the other, so it also finds rows that are the same as one on its way:
//! equal ids are passed on once, equal questions share one answer.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use tokio::sync::{OnceCell, mpsc};

use crate::config::CorpusConfig;
use crate::corpus::Corpus;
use crate::domain::answer::{AnswerKey, AnswerRecord};
use crate::domain::sample::{Sample, SampleId, TextHash};
use crate::error::{Error, Result};
use crate::flow::progress::Progress;
use crate::store::StoreHandle;
use crate::teacher::Teacher;

/// Questions that wait to be asked, at most.
const QUEUE: usize = 256;

/// A place for one answer, shared by all samples that wait for it.
#[derive(Debug)]
pub struct AnswerCell {
    /// What is asked.
    pub key: AnswerKey,
    /// Tries that are stored already.
    pub attempts: u32,
    /// Tries after which an answer without labels is let be.
    pub allowed: u32,
    /// The answer, once it is stored.
    pub record: OnceCell<AnswerRecord>,
}

/// What one teacher says about one sample.
#[derive(Debug)]
pub enum Slot {
    /// It is stored.
    Stored(Box<AnswerRecord>),
    /// It is to be asked, or being asked.
    Open(Arc<AnswerCell>),
}

/// A sample on its way, with one slot per teacher and draw.
#[derive(Debug)]
pub struct Question {
    /// The sample.
    pub sample: Sample,
    /// In the order of the teachers, each with its draws.
    pub slots: Vec<Vec<Slot>>,
    /// Held until the sample has its position: marks its id as taken.
    pub claim: Arc<TextHash>,
}

/// Things that are on their way: as long as someone holds one, it is found here.
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
            self.sweep_at = (2 * self.entries.len()).max(4 * QUEUE);
        }
        self.entries.insert(key, Arc::downgrade(value));
    }
}

/// See the module.
struct Filter {
    corpus: Box<dyn Corpus>,
    file: String,
    teachers: Vec<Arc<dyn Teacher>>,
    /// Whether answers without labels are asked for again.
    retry_failures: bool,
    store: StoreHandle,
    progress: Arc<Progress>,
    ids: InWindow<SampleId, TextHash>,
    cells: InWindow<AnswerKey, AnswerCell>,
}

/// What is known of a row.
enum Seen {
    New,
    Before,
    /// Its id was used for another text.
    Clash,
}

/// Starts the filter's thread on `corpus`, which is the one of `config`. It gives whether the corpus was read to its end.
pub fn start(
    config: &CorpusConfig,
    corpus: Box<dyn Corpus>,
    teachers: Vec<Arc<dyn Teacher>>,
    retry_failures: bool,
    store: StoreHandle,
    progress: Arc<Progress>,
) -> Result<(mpsc::Receiver<Question>, JoinHandle<Result<bool>>)> {
    let filter = Filter {
        corpus,
        file: config.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        teachers,
        retry_failures,
        store,
        progress,
        ids: InWindow::new(),
        cells: InWindow::new(),
    };
    let (sender, receiver) = mpsc::channel(QUEUE);
    let thread = std::thread::Builder::new()
        .name("candist-corpus".to_owned())
        .spawn(move || filter.run(&sender))
        .map_err(|source| Error::Input { what: "corpus", path: config.path.clone(), source })?;
    Ok((receiver, thread))
}

impl Filter {
    fn run(mut self, questions: &mpsc::Sender<Question>) -> Result<bool> {
        while let Some(row) = self.corpus.next_row()? {
            self.progress.rows.add(1);
            let sample = match row.sample {
                Ok(sample) => sample,
                Err(reason) => {
                    self.bad_row(row.line, reason)?;
                    continue;
                }
            };
            let hash = TextHash::of(&sample.text);
            match self.seen(&sample.id, hash)? {
                Seen::Before => {}
                Seen::Clash => {
                    let reason = format!(
                        "the id {:?} was used for another text before: give every text an id of its own",
                        sample.id.0
                    );
                    self.bad_row(row.line, reason)?;
                }
                Seen::New => {
                    let question = self.question(sample, hash)?;
                    self.progress.new_rows.add(1);
                    if questions.blocking_send(question).is_err() {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    fn bad_row(&self, line: u64, reason: String) -> Result<()> {
        self.progress.bad_rows.add(1);
        self.store.bad_row(format!("{}:{line}", self.file), reason)
    }

    /// What is on its way is looked up before what is stored: it may get from there to here in between, never back.
    fn seen(&self, id: &SampleId, hash: TextHash) -> Result<Seen> {
        let before = match self.ids.get(id) {
            Some(claimed) => Some(*claimed),
            None => self.store.reader().known(id)?.map(|known| known.text_hash),
        };
        Ok(match before {
            None => Seen::New,
            Some(before) if before == hash => Seen::Before,
            Some(_) => Seen::Clash,
        })
    }

    fn question(&mut self, sample: Sample, hash: TextHash) -> Result<Question> {
        let teachers = self.teachers.clone();
        let mut draws = |teacher: &Arc<dyn Teacher>| {
            (0..teacher.draws()).map(|draw| self.slot(teacher.as_ref(), teacher.key(&sample, draw))).collect()
        };
        let slots = teachers.iter().map(&mut draws).collect::<Result<_>>()?;
        let claim = Arc::new(hash);
        self.ids.insert(sample.id.clone(), &claim);
        Ok(Question { sample, slots, claim })
    }

    /// Tries for an answer that had `attempts`: a run that retries failures gives all of them once more.
    fn allowed(&self, teacher: &dyn Teacher, attempts: u32) -> u32 {
        teacher.attempts() + if self.retry_failures { attempts } else { 0 }
    }

    /// Whether a stored answer leaves its question open.
    fn is_open(&self, teacher: &dyn Teacher, record: &AnswerRecord) -> bool {
        let refused_before = self.retry_failures && record.is_refused();
        refused_before || !record.is_settled(self.allowed(teacher, record.attempt))
    }

    fn slot(&mut self, teacher: &dyn Teacher, key: AnswerKey) -> Result<Slot> {
        // The same order as above: a cell is dropped only after its answer is stored.
        if let Some(cell) = self.cells.get(&key) {
            return Ok(Slot::Open(cell));
        }
        let stored = self.store.reader().answer(key)?;
        Ok(match stored {
            Some(record) if !self.is_open(teacher, &record) => Slot::Stored(Box::new(record)),
            unsettled => {
                let attempts = unsettled.map_or(0, |record| record.attempt);
                let allowed = self.allowed(teacher, attempts);
                let cell = Arc::new(AnswerCell { key, attempts, allowed, record: OnceCell::new() });
                self.cells.insert(key, &cell);
                Slot::Open(cell)
            }
        })
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
