//! The labels that hold, one a text: found where they stand in the label log while the input log is read for what they belong to.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_128;

use super::row::{Held, Others, PERSON};
use crate::base::sorting::{Sorter, last_of_each, part, record, unsorted};
use crate::base::table::Table;
use crate::domain::label::{LabelId, LabelSet};
use crate::error::{Error, Result};
use crate::readers::probability::Probability;
use crate::readers::recalibration::Curve;
use crate::store::RawLogs;

/// See the module. 24 bytes a text, whatever the length of its id, on the disk where there are many.
pub(super) struct HeldLabels {
    logs: RawLogs,
    labels: LabelSet,
    /// The hash of each id, and where its last event stands.
    places: Table<24>,
    /// Where labels come from: a few names.
    by: Vec<String>,
    /// What people said, which the label log may not have yet.
    corrected: HashMap<u128, LabelId>,
    /// Where confidences move.
    curve: Option<Curve>,
}

/// What tells which text an event is of.
#[derive(Deserialize)]
struct WhoseFields<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    by: Cow<'a, str>,
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
    /// Those of [`RawLogs::labels`], and of the folder of temporary files.
    pub(super) fn read(logs: RawLogs, labels: LabelSet) -> Result<Self> {
        let (mut sorter, mut sorted, mut by) = (Sorter::<24>::default(), Ok(()), Vec::new());
        logs.labels(|place, line| {
            let event: WhoseFields<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
            source(&mut by, &event.by)?;
            if sorted.is_ok() {
                sorted = sorter.push(record(&[&key(&event.id).to_be_bytes(), &place.offset.to_be_bytes()]));
            }
            Ok(())
        })?;
        sorted.map_err(unsorted)?;
        let places = sorter.sorted().and_then(|sorted| Table::of(last_of_each::<16, 24>(sorted))).map_err(unsorted)?;
        Ok(Self { logs, labels, places, by, corrected: HashMap::new(), curve: None })
    }

    /// Takes in what people said, `corrected` by id, which the label log may not have yet. A text that it has no event of has no
    /// row either.
    pub(super) fn correct(&mut self, corrected: impl Iterator<Item = (String, LabelId)>) -> Result<()> {
        let too_many = |message| Error::Unfit { path: PERSON.into(), message };
        for (id, label) in corrected {
            source(&mut self.by, PERSON).map_err(too_many)?;
            self.corrected.insert(key(&id), label);
        }
        Ok(())
    }

    /// Moves confidences along `curve`, but for those of people, which no student is sure or unsure of.
    pub(super) fn recalibrate(&mut self, curve: Curve) {
        self.curve = Some(curve);
    }

    /// The label that holds for the text with this id.
    ///
    /// # Errors
    ///
    /// Those of reading its event.
    pub(super) fn of(&self, id: &str) -> Result<Option<Held>> {
        let Some(offset) = self.offset(id)? else { return Ok(None) };
        if let Some(label) = self.corrected.get(&key(id)) {
            let by = self.index(PERSON);
            return Ok(Some(Held::new(*label, by, true, 1.0, Some(1.0), Others::new(Some(Vec::new())))));
        }
        let mut held = self.logs.label_at(offset, |line| self.parse(line, id))?;
        if let Some(curve) = &self.curve
            && held.by != self.index(PERSON)
        {
            held.recalibrate(curve);
        }
        Ok(Some(held))
    }

    /// Whether the text with this id has a label.
    ///
    /// # Errors
    ///
    /// Those of reading where it stands.
    pub(super) fn has(&self, id: &str) -> Result<bool> {
        Ok(self.offset(id)?.is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The logs that they are read from.
    pub(super) fn logs(&self) -> &RawLogs {
        &self.logs
    }

    /// Where labels come from, by the index in [`Held`].
    pub(super) fn sources(&self) -> &[String] {
        &self.by
    }

    /// Where the event stands that holds for the text with this id.
    fn offset(&self, id: &str) -> Result<Option<u64>> {
        let found = self.places.first(key(id).to_be_bytes()).map_err(unsorted)?;
        Ok(found.map(|record| u64::from_be_bytes(part(&record, 16))))
    }

    /// What holds by the event in `line`; `None` where it is of another text than that with this id.
    fn parse(&self, line: &[u8], id: &str) -> Result<Option<Held>, String> {
        let event: Fields<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if event.id != id {
            return Ok(None);
        }
        let find = |label: &str| self.labels.exact(label).ok_or_else(|| format!("{label:?} is no label of the task"));
        let others = event.others.as_ref().map(|others| {
            let one = |other: &OtherFields<'_>| Ok((find(&other.label)?, Probability::of(other.confidence)));
            others.iter().map(one).collect::<Result<Vec<_>, String>>()
        });
        let others = Others::new(others.transpose()?);
        let by = self.index(&event.by);
        let label = find(&event.label)?;
        Ok(Some(Held::new(label, by, event.is_final, event.confidence, event.margin, others)))
    }

    /// Its number among those that were found; that of nobody for people where nobody corrected anything.
    fn index(&self, by: &str) -> u16 {
        let known = self.by.iter().position(|known| known == by);
        known.and_then(|index| u16::try_from(index).ok()).unwrap_or(u16::MAX)
    }
}

/// Takes in where a label comes from.
fn source(by: &mut Vec<String>, name: &str) -> Result<(), String> {
    if by.iter().any(|known| known == name) {
        return Ok(());
    }
    by.push(name.to_owned());
    if by.len() > usize::from(u16::MAX) { Err("there are too many kinds of \"by\"".to_owned()) } else { Ok(()) }
}

/// 128 bits of an id: two ids do not meet in it by chance.
pub(super) fn key(id: &str) -> u128 {
    xxh3_128(id.as_bytes())
}
