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
use crate::store::{Audits, Corrections, Store, change_corrections};

/// See the module.
pub(super) struct Correcting {
    dir: PathBuf,
    labels: LabelSet,
    corrections: Corrections,
    /// What is in their files; of texts that had arrived it is kept at the first look.
    people: People,
    has_looked: bool,
    /// Texts of the audit that goes on, as it was at the first look: with people's files alone.
    sample: HashMap<SampleId, TextHash>,
    /// Texts that were spoken of by what is read already.
    unseen: Vec<SampleId>,
    store: Store,
}

impl Correcting {
    /// Of the run directory `dir`; nothing of it is read yet.
    pub(super) fn new(dir: &Path, labels: &LabelSet, people: People, store: Store) -> Self {
        let corrections = Corrections::of(dir, labels.clone());
        let (dir, labels) = (dir.to_owned(), labels.clone());
        Self { dir, labels, corrections, people, has_looked: false, sample: HashMap::new(), unseen: Vec::new(), store }
    }

    /// Whether people may have said something since the last look.
    pub(super) fn has_news(&self) -> bool {
        !self.has_looked || !self.unseen.is_empty() || self.corrections.has_news()
    }

    /// Reads what people said since the last look, and gives what of it the input log is to be told. Blocks: it reads both logs.
    pub(super) fn look(&mut self) -> Result<Vec<NewInput>> {
        let damaged = self.corrections.damaged().len();
        if !std::mem::replace(&mut self.has_looked, true) {
            self.take_up_files()?;
        }
        let mut ids = std::mem::take(&mut self.unseen);
        ids.extend(self.corrections.read()?);
        // Each is told once.
        let mut seen = HashSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        self.corrections.tell_damage(damaged);
        let known = block_on(self.store.inputs.known(&ids))?;
        let mut inputs = Vec::new();
        for (id, known) in ids.into_iter().zip(known) {
            // Of a text that has not arrived it is told when it does.
            let Some(known) = known else { continue };
            match self.corrections.get(&id, known.text_hash) {
                None => told_of_another(&id),
                Some(correction) if self.given(known.position)? != correction.label => {
                    inputs.push(NewInput::Correct(known.position, correction.label));
                }
                Some(_) => {}
            }
        }
        Ok(inputs)
    }

    /// Keeps what people's files say of texts that have arrived, once a run.
    fn take_up_files(&mut self) -> Result<()> {
        let ids = self.people.ids();
        if ids.is_empty() {
            return Ok(());
        }
        self.keep_off_the_sample()?;
        let known = block_on(self.store.inputs.known(&ids))?;
        let there: Vec<(SampleId, TextHash)> =
            ids.into_iter().zip(known).filter_map(|(id, known)| Some((id, known?.text_hash))).collect();
        self.keep_news(&there)?;
        let overruled =
            there.iter().filter(|(id, hash)| self.people.is_overruled(id, *hash, &self.corrections)).count();
        if overruled > 0 {
            tracing::warn!(
                "{overruled} label(s) in people's files were changed there, but somebody has said something else of their texts, which \
                 stands: give them with `candist correct` where the files are right"
            );
        }
        Ok(())
    }

    /// Keeps what people's files say of these texts, but for those in the sample of an audit. What others said meanwhile is for the
    /// next look.
    fn keep_news(&mut self, texts: &[(SampleId, TextHash)]) -> Result<()> {
        let (people, sample) = (&self.people, &self.sample);
        let ids = change_corrections(&self.dir, &mut self.corrections, |known| {
            let free = texts.iter().filter(|(id, hash)| sample.get(id) != Some(hash));
            free.filter_map(|(id, hash)| people.news(id, *hash, known)).collect()
        })?;
        self.unseen.extend(ids);
        Ok(())
    }

    /// A label of the file would make those of an open audit's sample right by definition: they wait for a run after its end.
    fn keep_off_the_sample(&mut self) -> Result<()> {
        let mut audits = Audits::of(&self.dir, self.labels.clone());
        audits.read()?;
        let texts = audits.open().into_iter().flat_map(|audit| &audit.texts);
        self.sample = texts.map(|text| (text.id.clone(), text.text_hash)).collect();
        let held = self.sample.keys().filter(|id| self.people.speaks_of(id)).count();
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
        let of = |sample: &Sample| (sample.id.clone(), TextHash::of(&sample.text));
        self.keep_news(&arriving.iter().map(of).collect::<Vec<_>>())
    }

    /// The texts of people's files that have not arrived, in the order of their ids. Blocks.
    pub(super) fn not_there(&self) -> Result<Vec<SampleId>> {
        let ids = self.people.ids();
        let known = block_on(self.store.inputs.known(&ids))?;
        let mut missing: Vec<SampleId> =
            ids.into_iter().zip(known).filter(|(_, known)| known.is_none()).map(|(id, _)| id).collect();
        missing.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(missing)
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

    /// What was said of a text before it arrived, which it does now: it was in the rest of the corpus, or a changed prompt began anew.
    pub(super) fn arrives(&self, sample: &Sample, position: Position) -> Option<NewInput> {
        if !self.corrections.speaks_of(&sample.id) {
            return None;
        }
        let Some(correction) = self.corrections.of_sample(sample) else {
            told_of_another(&sample.id);
            return None;
        };
        correction.label.map(|label| NewInput::Correct(position, Some(label)))
    }
}

fn told_of_another(id: &SampleId) {
    tracing::warn!("the correction of {id} is left out: it was given to another text of this id");
}
