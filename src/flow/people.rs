//! Labels that are in people's files, `kind = "human"`: read when a run begins, kept as corrections when their texts are there.
//!
//! A correction is a person's word, and so is a line of such a file; the log of corrections stays the truth. A label that is not the one that
//! the same person's file had before is news; but what was said of the text since, on the page or by `candist correct`, is not overruled by a
//! file, for nobody knows which of the two came first.

use std::collections::HashMap;

use crate::config::PersonConfig;
use crate::corpus::labelled::{LabelColumn, LabelColumns, labels_of};
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::sample::{SampleId, TextHash};
use crate::error::Result;
use crate::store::{Correction, Corrections};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct People {
    names: Vec<String>,
    /// The label of each text, and by whom of `names`. Of several people the first counts.
    said: HashMap<SampleId, (LabelId, usize)>,
}

impl People {
    /// Reads the files of `people`.
    ///
    /// # Errors
    ///
    /// Those of a file that cannot be read, or has a row that cannot be used.
    pub(crate) fn read(people: &[PersonConfig], labels: &LabelSet) -> Result<Self> {
        let mut read = Self::default();
        for person in people {
            let (who, mut other) = (read.names.len(), 0_u64);
            for (id, label) in labels_of(&person.path, "labels of a person", columns(person), labels)? {
                let (first, _) = *read.said.entry(SampleId(id)).or_insert((label, who));
                other += u64::from(first != label);
            }
            if other > 0 {
                tracing::warn!(
                    "{} names other labels than an earlier person for {other} text(s): the earlier one's count",
                    person.path.display()
                );
            }
            read.names.push(person.name.clone());
        }
        Ok(read)
    }

    /// The texts that they labelled.
    pub(super) fn ids(&self) -> Vec<SampleId> {
        self.said.keys().cloned().collect()
    }

    pub(super) fn speaks_of(&self, id: &SampleId) -> bool {
        self.said.contains_key(id)
    }

    /// What is to be kept of a text, `known` being what is kept already.
    pub(super) fn news(&self, id: &SampleId, text_hash: TextHash, known: &Corrections) -> Option<Correction> {
        let &(label, who) = self.said.get(id)?;
        let who = self.names.get(who)?;
        let is_news = match (known.filed(id), known.get(id, text_hash)) {
            (_, Some(latest)) if !latest.file => false,
            // A file said so before, of this text or of another with this id: that is news no more.
            (Some(before), _) => before.label != Some(label) && before.who.as_ref() == Some(who),
            (None, latest) => latest.is_none(),
        };
        let correction = || Correction {
            id: id.clone(),
            text_hash,
            label: Some(label),
            who: Some(who.clone()),
            note: None,
            file: true,
        };
        is_news.then(correction)
    }

    /// Whether the file has another label for the text than it had when somebody said something else of it.
    pub(super) fn is_overruled(&self, id: &SampleId, text_hash: TextHash, known: &Corrections) -> bool {
        let label = self.said.get(id).map(|(label, _)| *label);
        let is_changed = known.filed(id).is_some_and(|before| before.label != label);
        is_changed && known.get(id, text_hash).is_some_and(|latest| !latest.file && latest.label != label)
    }
}

fn columns(person: &PersonConfig) -> LabelColumns<'_> {
    let column = |name, named_by| LabelColumn { name, named_by };
    LabelColumns {
        label: column(&person.label_field, "label_field"),
        id: column(&person.id_field, "id_field"),
        text: column(&person.text_field, "text_field"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::Label;
    use crate::store::keep_corrections;

    #[test]
    fn a_file_overrules_nobody_and_what_it_changes_is_news() {
        let id = SampleId("1".to_owned());
        let people = People { names: vec!["anna".to_owned()], said: HashMap::from([(id.clone(), (LabelId(2), 0))]) };
        let hash = TextHash::of("a text");
        let label = |name: &str| Label { name: name.into(), description: None, aliases: Vec::new() };
        let labels = LabelSet::new(["a", "b", "c"].map(label).into()).unwrap();
        let said = |label: Option<u16>, who: &str, file| Correction {
            id: id.clone(),
            text_hash: hash,
            label: label.map(LabelId),
            who: Some(who.to_owned()),
            note: None,
            file,
        };
        let news = |said: &[Correction]| {
            let dir = tempfile::tempdir().unwrap();
            let mut known = Corrections::of(dir.path(), labels.clone());
            keep_corrections(dir.path(), &labels, said).unwrap();
            known.read().unwrap();
            people.news(&id, hash, &known).is_some()
        };
        assert!(news(&[]), "nothing was said");
        assert!(!news(&[said(Some(2), "anna", true)]) && news(&[said(Some(1), "anna", true)]), "her file changed");
        assert!(!news(&[said(Some(1), "ben", false)]), "said before the file was there");
        let dir = tempfile::tempdir().unwrap();
        // Said later than the file, by whomever: it stands, and what is taken back stays so.
        for later in [said(Some(1), "ben", false), said(Some(1), "anna", false), said(None, "anna", false)] {
            assert!(!news(&[said(Some(2), "anna", true), later.clone()]));
            let changed = [said(Some(0), "anna", true), later.clone()];
            assert!(!news(&changed), "her file changed, and what was said since stands");
            let mut known = Corrections::of(dir.path(), labels.clone());
            std::fs::remove_file(dir.path().join("corrections.jsonl")).unwrap_or_default();
            keep_corrections(dir.path(), &labels, &changed).unwrap();
            known.read().unwrap();
            assert!(people.is_overruled(&id, hash, &known), "which is told");
        }
        let of_another_text = Correction { text_hash: TextHash::of("another"), ..said(Some(1), "ben", false) };
        assert!(news(&[of_another_text]));
        // What the file said of a text is not said of another that has come to have its id.
        let of_another_text = Correction { text_hash: TextHash::of("another"), ..said(Some(2), "anna", true) };
        assert!(!news(&[of_another_text]));
    }
}
