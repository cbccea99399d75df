//! Corrections on their way from `corrections.jsonl` into the input log, and people's files on theirs into `corrections.jsonl`.
//!
//! What is still to be told follows from the two: a text that has arrived, and whose label by the input log is not what
//! was said of it last. So there is no cursor to lose, and what is looked at twice is told once.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use futures::executor::block_on;

use super::people::People;
use crate::domain::input::NewInput;
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::sample::{Position, Sample, SampleId, TextHash};
use crate::error::Result;
use crate::store::{Audits, Correction, Corrections, KnownSample, Store, keep_corrections};

/// See the module.
pub(super) struct Correcting {
    dir: PathBuf,
    labels: LabelSet,
    corrections: Corrections,
    /// What is in their files; of texts that had arrived it is kept at the first look.
    people: People,
    has_looked: bool,
    /// Texts of the audit that goes on, as it was at the first look: with people's files alone.
    sample: HashSet<(SampleId, TextHash)>,
    store: Store,
    /// Of texts that have not arrived: the rest of the corpus, or all of it after a changed prompt.
    waiting: HashMap<SampleId, Correction>,
}

impl Correcting {
    /// Of the run directory `dir`; nothing of it is read yet.
    pub(super) fn new(dir: &Path, labels: &LabelSet, people: People, store: Store) -> Self {
        let corrections = Corrections::of(dir, labels.clone());
        let (dir, labels) = (dir.to_owned(), labels.clone());
        Self {
            dir,
            labels,
            corrections,
            people,
            has_looked: false,
            sample: HashSet::new(),
            store,
            waiting: HashMap::new(),
        }
    }

    /// Whether people may have said something since the last look.
    pub(super) fn has_news(&self) -> bool {
        !self.has_looked || self.corrections.has_news()
    }

    /// Reads what people said since the last look, and gives what of it the input log is to be told. Blocks: it reads both logs.
    pub(super) fn look(&mut self) -> Result<Vec<NewInput>> {
        let damaged = self.corrections.damaged().len();
        let mut ids = self.corrections.read()?;
        if !std::mem::replace(&mut self.has_looked, true) && self.take_up_files()? {
            ids.extend(self.corrections.read()?);
        }
        if let Some(line) = self.corrections.damaged().get(damaged..).and_then(<[u64]>::first) {
            tracing::warn!(
                "corrections.jsonl has a damaged line, {line}: what it says is left out; give that label again"
            );
        }
        let known = block_on(self.store.inputs.known(&ids))?;
        let mut inputs = Vec::new();
        for (id, known) in ids.into_iter().zip(known) {
            let Some(correction) = self.corrections.get(&id) else { continue };
            match known {
                None => {
                    self.waiting.insert(id, correction.clone());
                }
                Some(known) if known.text_hash != correction.text_hash => told_of_another(&id),
                Some(known) if self.given(known.position)? != correction.label => {
                    inputs.push(NewInput::Correct(known.position, correction.label));
                }
                Some(_) => {}
            }
        }
        Ok(inputs)
    }

    /// Keeps what people's files say of texts that have arrived, once a run. Gives whether there was any.
    fn take_up_files(&mut self) -> Result<bool> {
        let ids = self.people.ids();
        if ids.is_empty() {
            return Ok(false);
        }
        self.keep_off_the_sample()?;
        let known = block_on(self.store.inputs.known(&ids))?;
        let of =
            |(id, known): (&SampleId, Option<KnownSample>)| self.news(id, known?.text_hash, self.corrections.get(id));
        let news: Vec<Correction> = ids.iter().zip(known).filter_map(of).collect();
        if !news.is_empty() {
            keep_corrections(&self.dir, &self.labels, &news)?;
        }
        Ok(!news.is_empty())
    }

    /// What is to be kept of a text, that is not in the sample of an audit.
    fn news(&self, id: &SampleId, hash: TextHash, known: Option<&Correction>) -> Option<Correction> {
        self.people.news(id, hash, known).filter(|_| !self.sample.contains(&(id.clone(), hash)))
    }

    /// A label of the file would make those of an open audit's sample right by definition: they wait for a run after its end.
    fn keep_off_the_sample(&mut self) -> Result<()> {
        let mut audits = Audits::of(&self.dir, self.labels.clone());
        audits.read()?;
        let texts = audits.open().into_iter().flat_map(|audit| &audit.texts);
        self.sample = texts.map(|text| (text.id.clone(), text.text_hash)).collect();
        let held = self.people.ids().iter().filter(|id| self.sample.iter().any(|(of, _)| of == *id)).count();
        if held > 0 {
            tracing::warn!(
                "{held} label(s) in people's files are of texts in the sample of an audit that goes on: they are taken by the run after \
                 its end"
            );
        }
        Ok(())
    }

    /// Keeps what people's files say of texts that arrive now, before the input log is told. Blocks until it is on disk.
    pub(super) fn take_up(&mut self, arriving: &[Sample]) -> Result<()> {
        let of = |sample: &Sample| {
            let hash = TextHash::of(&sample.text);
            let known = self.waiting.get(&sample.id).or_else(|| self.corrections.get(&sample.id));
            self.news(&sample.id, hash, known)
        };
        let news: Vec<Correction> = arriving.iter().filter_map(of).collect();
        if !news.is_empty() {
            keep_corrections(&self.dir, &self.labels, &news)?;
            self.waiting.extend(news.into_iter().map(|correction| (correction.id.clone(), correction)));
        }
        Ok(())
    }

    /// The texts of people's files that have not arrived. Blocks.
    pub(super) fn not_there(&self) -> Result<usize> {
        let known = block_on(self.store.inputs.known(&self.people.ids()))?;
        Ok(known.iter().filter(|known| known.is_none()).count())
    }

    /// Whether a person's file speaks of it.
    pub(super) fn speaks_of(&self, sample: &Sample) -> bool {
        self.people.speaks_of(&sample.id)
    }

    /// The label that the input log has of a person.
    fn given(&self, position: Position) -> Result<Option<LabelId>> {
        let end = self.store.inputs.counts().events;
        let samples = block_on(self.store.inputs.samples(position..position + 1, end))?;
        Ok(samples.first().and_then(|sample| sample.candidates.given()))
    }

    /// What was said of a text before it arrived, which it does now.
    pub(super) fn arrives(&mut self, sample: &Sample, position: Position) -> Option<NewInput> {
        if self.waiting.is_empty() {
            return None;
        }
        let correction = self.waiting.remove(&sample.id)?;
        if correction.text_hash != TextHash::of(&sample.text) {
            told_of_another(&sample.id);
            return None;
        }
        correction.label.map(|label| NewInput::Correct(position, Some(label)))
    }
}

fn told_of_another(id: &SampleId) {
    tracing::warn!("the correction of {id} is left out: it was given to another text of this id");
}
