//! The labels that hold, one a text, held while the input log is read for what they belong to.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_128;

use super::row::{Held, Others, PERSON};
use crate::domain::label::{LabelId, LabelSet};
use crate::error::{Error, Result};
use crate::readers::probability::Probability;
use crate::readers::recalibration::Curve;
use crate::store::RawLogs;

/// See the module. Some 70 bytes a text, whatever the length of its id.
#[derive(Debug, Default)]
pub(super) struct HeldLabels {
    by_id: HashMap<u128, Held>,
    /// Where labels come from: a few names.
    by: Vec<String>,
}

/// What a table takes of a label event.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    label: Cow<'a, str>,
    confidence: f64,
    // Events of an older candist have none.
    #[serde(default)]
    margin: Option<f64>,
    #[serde(borrow, default)]
    others: Option<Vec<OtherFields<'a>>>,
    #[serde(borrow)]
    by: Cow<'a, str>,
    #[serde(rename = "final")]
    is_final: bool,
}

#[derive(Deserialize)]
struct OtherFields<'a> {
    #[serde(borrow)]
    label: Cow<'a, str>,
    confidence: f64,
}

impl HeldLabels {
    /// Reads the label log: of several events with the same id the last holds.
    ///
    /// # Errors
    ///
    /// Those of [`RawLogs::labels`].
    pub(super) fn read(logs: &RawLogs, labels: &LabelSet) -> Result<Self> {
        let mut read = Self::default();
        logs.labels(|line| {
            let event: Fields<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
            let find = |label: &str| labels.exact(label).ok_or_else(|| format!("{label:?} is no label of the task"));
            let others = event.others.as_ref().map(|others| {
                let one = |other: &OtherFields<'_>| Ok((find(&other.label)?, Probability::of(other.confidence)));
                others.iter().map(one).collect::<Result<Vec<_>, String>>()
            });
            let others = Others::new(others.transpose()?);
            let label = find(&event.label)?;
            let by = read.source(&event.by)?;
            let held = Held::new(label, by, event.is_final, event.confidence, event.margin, others);
            read.by_id.insert(key(&event.id), held);
            Ok(())
        })?;
        Ok(read)
    }

    /// Takes in what people said, `corrected` by id, which the label log may not have yet. A text that it has no event of has no
    /// row either.
    pub(super) fn correct(&mut self, corrected: impl Iterator<Item = (String, LabelId)>) -> Result<()> {
        let too_many = |message| Error::Unfit { path: PERSON.into(), message };
        for (id, label) in corrected {
            let by = self.source(PERSON).map_err(too_many)?;
            if let Some(held) = self.by_id.get_mut(&key(&id)) {
                *held = Held::new(label, by, true, 1.0, Some(1.0), Others::new(Some(Vec::new())));
            }
        }
        Ok(())
    }

    /// Moves confidences along `curve`, but for those of people, which no student is sure or unsure of.
    pub(super) fn recalibrate(&mut self, curve: &Curve) {
        let person = self.by.iter().position(|by| by == PERSON);
        let held = self.by_id.values_mut().filter(|held| Some(usize::from(held.by)) != person);
        held.for_each(|held| held.recalibrate(curve));
    }

    /// The label that holds for the text with this id.
    pub(super) fn of(&self, id: &str) -> Option<Held> {
        self.by_id.get(&key(id)).copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Where labels come from, by the index in [`Held`].
    pub(super) fn sources(&self) -> &[String] {
        &self.by
    }

    fn source(&mut self, by: &str) -> Result<u16, String> {
        let known = self.by.iter().position(|known| known == by);
        let index = known.unwrap_or_else(|| {
            self.by.push(by.to_owned());
            self.by.len() - 1
        });
        u16::try_from(index).map_err(|_| "there are too many kinds of \"by\"".to_owned())
    }
}

/// 128 bits of an id: two ids do not meet in it by chance.
pub(super) fn key(id: &str) -> u128 {
    xxh3_128(id.as_bytes())
}
