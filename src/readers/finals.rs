//! Which final labels are news to whoever reads along.

use std::collections::HashMap;
use std::io;

use crate::base::filter::Filter;
use crate::base::sorting::{part, record, unsorted};
use crate::base::table::Table;
use crate::domain::event::LabelEvent;
use crate::domain::sample::short_hash;
use crate::error::Result;

/// Texts whose labels are held in memory: as many as a table of 2^19 places takes before it grows.
const HELD: usize = if cfg!(test) { 16 } else { 7 << 16 };

/// A text, by its id's hash.
type Key = [u8; 16];
/// Bytes of a key and the number of a label.
const TOLD: usize = size_of::<Key>() + size_of::<u32>();

/// Tells final labels that were told before: a text's is told again only when it changed. What was told last is in memory, some 20 MB at
/// most; what was told before that in files without a name, one for each 458,752 texts, of which there is a byte a text in memory.
#[derive(Debug, Default)]
pub struct Finals {
    /// Labels by their names, as they came: a few.
    labels: HashMap<String, u32>,
    held: HashMap<Key, u32>,
    /// As many as were held when the folder failed, which is tried again when there are [`HELD`] more.
    not_put_away: usize,
    /// The oldest first.
    before: Vec<Before>,
}

/// What was told at some time.
#[derive(Debug)]
struct Before {
    filter: Filter,
    told: Table<TOLD>,
}

impl Finals {
    /// Whether `event` is final and says something new of its text; from then on it does not.
    ///
    /// # Errors
    ///
    /// [`Error::Temporary`](crate::Error::Temporary) where the folder of temporary files fails. Then it is not known, and counts as told:
    /// who goes on tells it.
    pub fn is_new(&mut self, event: &LabelEvent) -> Result<bool> {
        if !event.is_final {
            return Ok(false);
        }
        let label = self.number(&event.label);
        let key = short_hash(&[event.id.as_bytes()]);
        if let Some(told) = self.held.get_mut(&key) {
            return Ok(std::mem::replace(told, label) != label);
        }
        let before = self.told_before(&key);
        if matches!(before, Ok(Some(told)) if told == label) {
            return Ok(false);
        }
        // Before anything is told of an error: what is before it does not hold any more.
        self.held.insert(key, label);
        before.map_err(unsorted)?;
        if self.held.len() >= HELD + self.not_put_away {
            self.not_put_away = self.held.len();
            self.put_away().map_err(unsorted)?;
            self.not_put_away = 0;
        }
        Ok(true)
    }

    fn number(&mut self, label: &str) -> u32 {
        self.labels.get(label).copied().unwrap_or_else(|| {
            let next = u32::try_from(self.labels.len()).unwrap_or(u32::MAX);
            self.labels.insert(label.to_owned(), next);
            next
        })
    }

    fn told_before(&self, key: &Key) -> io::Result<Option<u32>> {
        for Before { told, .. } in self.before.iter().rev().filter(|before| before.filter.may_have(key)) {
            if let Some(told) = told.first(*key)? {
                return Ok(Some(u32::from_be_bytes(part(&told, size_of::<Key>()))));
            }
        }
        Ok(None)
    }

    fn put_away(&mut self) -> io::Result<()> {
        let mut filter = Filter::of(self.held.len() as u64);
        self.held.keys().for_each(|key| filter.add(key));
        let mut told: Vec<[u8; TOLD]> =
            self.held.iter().map(|(key, label)| record(&[key, &label.to_be_bytes()])).collect();
        told.sort_unstable();
        self.before.push(Before { filter, told: Table::on_disk(told.into_iter().map(Ok))? });
        self.held.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(id: &str, label: &str, is_final: bool) -> LabelEvent {
        LabelEvent { is_final, ..LabelEvent::plain(0, id, label) }
    }

    #[test]
    fn a_final_label_is_new_until_it_was_told_and_when_it_changed() {
        let mut finals = Finals::default();
        for (label, is_final, is_new) in [
            ("a", false, false),
            ("a", true, true),
            ("a", true, false),
            ("b", false, false),
            ("a", true, false),
            ("b", true, true),
            ("a", true, true),
        ] {
            assert_eq!(finals.is_new(&event("id", label, is_final)).unwrap(), is_new, "{label} {is_final}");
        }
        assert!(finals.is_new(&event("another", "a", true)).unwrap());
    }

    proptest! {
        #[test]
        fn of_however_many_texts(told in prop::collection::vec((0..100_u8, 0..3_u8), 0..400)) {
            let (mut finals, mut expected) = (Finals::default(), HashMap::new());
            for (id, label) in told {
                let is_new = expected.insert(id, label) != Some(label);
                let event = event(&id.to_string(), &label.to_string(), true);
                prop_assert_eq!(finals.is_new(&event).unwrap(), is_new);
                prop_assert!(finals.held.len() <= HELD);
            }
        }
    }
}
