//! An audit by people as its log has it: the sample that was drawn, in order, what was said of its texts, and how it ended.

use std::collections::HashMap;

use serde_json::Value;

use super::audit_line::DrawnText;
use crate::domain::label::LabelId;
use crate::domain::lot::lot;
use crate::domain::sample::{SampleId, TextHash};

/// A sample, and what people said of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DrawnAudit {
    pub(crate) seed: u64,
    /// When it was drawn first.
    pub(crate) date: String,
    /// Final labels at the latest draw.
    pub(crate) population: u64,
    /// Lines of `corrections.jsonl` at the first draw.
    pub(crate) corrections: u64,
    /// Its sizes, one for each draw.
    pub(crate) draws: Vec<u64>,
    /// In drawn order.
    pub(crate) texts: Vec<AuditText>,
    pub(super) places: HashMap<SampleId, usize>,
    pub(crate) ended: Option<EndedAudit>,
}

/// A text of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditText {
    pub(crate) id: SampleId,
    pub(crate) text_hash: TextHash,
    pub(crate) said: Option<AuditLabel>,
}

/// What a person said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditLabel {
    pub(crate) label: LabelId,
    pub(crate) who: Option<String>,
    pub(crate) note: Option<String>,
}

/// How an audit ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EndedAudit {
    pub(crate) date: String,
    /// As it was then; null where its line is damaged.
    pub(crate) certificate: Value,
    /// Lines of `corrections.jsonl` by then.
    pub(crate) corrections: Option<u64>,
    /// Labels that were taken as corrections since.
    pub(crate) corrected: Option<u64>,
}

impl DrawnAudit {
    pub(super) fn new(date: String, seed: u64, corrections: u64) -> Self {
        let (draws, texts, places) = (Vec::new(), Vec::new(), HashMap::new());
        Self { seed, date, population: 0, corrections, draws, texts, places, ended: None }
    }

    /// Takes `texts` for the sample. What is in it already stays, with what was said of it: where a line leaves texts out, as older
    /// versions did with those whose labels were not final just then, they keep their places.
    pub(super) fn draw(&mut self, population: u64, texts: Vec<DrawnText>) -> Result<(), String> {
        let (mut drawn, mut places) = (Vec::with_capacity(texts.len()), HashMap::new());
        for text in texts {
            let (id, text_hash) = text.parts()?;
            let known = self.text(&id).filter(|known| known.text_hash == text_hash);
            let said = known.and_then(|known| known.said.clone());
            if places.insert(id.clone(), drawn.len()).is_some() {
                return Err(format!("draws {:?} twice", id.0));
            }
            drawn.push(AuditText { id, text_hash, said });
        }
        let whole = drawn.len();
        drawn.extend(self.texts.drain(..).filter(|text| !places.contains_key(&text.id)));
        if drawn.len() > whole {
            drawn.sort_by_cached_key(|text| lot(self.seed, &text.id));
            places = drawn.iter().zip(0..).map(|(text, place)| (text.id.clone(), place)).collect();
        }
        self.draws.push(drawn.len() as u64);
        (self.population, self.texts, self.places) = (population, drawn, places);
        Ok(())
    }

    /// Whether it goes on.
    pub(crate) fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// The text with this id, if it is one of the sample.
    pub(crate) fn text(&self, id: &SampleId) -> Option<&AuditText> {
        self.texts.get(*self.places.get(id)?)
    }

    /// Whether the text of this id and hash is one of the sample.
    pub(crate) fn has(&self, id: &SampleId, text_hash: TextHash) -> bool {
        self.text(id).is_some_and(|text| text.text_hash == text_hash)
    }

    /// Texts that have a label.
    pub(crate) fn filled(&self) -> u64 {
        self.texts.iter().filter(|text| text.said.is_some()).count() as u64
    }

    /// Texts from the beginning that have one, up to the first that has none: a random sample, whatever follows.
    pub(crate) fn prefix(&self) -> impl Iterator<Item = (&AuditText, &AuditLabel)> {
        self.texts.iter().map_while(|text| Some((text, text.said.as_ref()?)))
    }
}
