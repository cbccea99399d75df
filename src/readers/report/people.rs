//! What people said of the run's texts, and who.

use std::collections::BTreeMap;

use crate::domain::label::LabelId;
use crate::domain::sample::Sample;
use crate::error::Result;
use crate::store::{Corrections, RunView};

/// See the module. Corrections are few beside the texts.
#[derive(Debug, Default)]
pub(super) struct People {
    said: Option<Corrections>,
    given: Vec<(u32, LabelId)>,
    by: BTreeMap<Option<String>, u64>,
}

impl People {
    /// Of the run that `view` looks at.
    pub(super) fn read(view: &RunView) -> Result<Self> {
        let mut said = Corrections::of(view.dir(), view.labels().clone());
        said.read()?;
        Ok(Self { said: Some(said), ..Self::default() })
    }

    /// Notes what was said of `sample`, which arrived: what was said of another text of its id is not of it.
    pub(super) fn arrived(&mut self, place: u32, sample: &Sample) {
        let Some(correction) = self.said.as_ref().and_then(|said| said.of_sample(sample)) else { return };
        let Some(label) = correction.label else { return };
        *self.by.entry(correction.who.clone()).or_default() += 1;
        self.given.push((place, label));
    }

    /// The labels that were given and not taken back, by the place of their text.
    pub(super) fn given(&self) -> impl Iterator<Item = (u32, LabelId)> {
        self.given.iter().copied()
    }

    /// Who gave how many, the most first; nobody's name last.
    pub(super) fn by(&self) -> Vec<(Option<String>, u64)> {
        let mut by: Vec<_> = self.by.iter().map(|(who, texts)| (who.clone(), *texts)).collect();
        // Stable: of as many, in the order of names.
        by.sort_by_key(|(who, texts)| (who.is_none(), std::cmp::Reverse(*texts)));
        by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_diligent_come_first() {
        let who = |name: &str| Some(name.to_owned());
        let by = [(None, 9), (who("cleo"), 2), (who("bert"), 5), (who("anna"), 2)];
        let people = People { by: by.into(), ..People::default() };
        assert_eq!(people.by(), [(who("bert"), 5), (who("anna"), 2), (who("cleo"), 2), (None, 9)]);
    }
}
