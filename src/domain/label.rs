//! The task's label set: names, aliases, and how a label written by someone else is matched to one of ours.
//!
//! Matching forgives case, space and punctuation, which models change freely, and no letter: "refund" is not
//! "refunds". What could mean two labels means none.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Index of a label in its [`LabelSet`], 0..C. Never written to a log, where labels have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LabelId(pub u16);

impl LabelId {
    /// As an index into a row of C probabilities.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// One label of the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The name, as it appears in the label log.
    pub name: String,
    /// What it means, for the teacher's prompt.
    pub description: Option<String>,
    /// Other names under which it is recognised in answers.
    pub aliases: Vec<String>,
}

/// The closed set of labels of a task.
#[derive(Debug, Clone)]
pub struct LabelSet {
    /// By [`LabelId`].
    labels: Vec<Label>,
    /// Names and aliases as they are written.
    exact: HashMap<String, LabelId>,
    /// Folded names and aliases; `None` where two labels fold to the same.
    folded: HashMap<String, Option<LabelId>>,
}

/// Why a list of labels is no label set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelSetError {
    /// Fewer than two labels.
    #[error("has {0} labels: name at least two")]
    TooFew(usize),
    /// More than a [`LabelId`] can count.
    #[error("has {0} labels: the most is 65,535")]
    TooMany(usize),
    /// A name or alias that says nothing.
    #[error("entry {0} is empty: every label and alias needs a name")]
    Empty(usize),
    /// The same name twice.
    #[error("{0:?} is there twice: names and aliases must differ")]
    Twice(String),
}

impl LabelSet {
    /// Checks and indexes `labels`; their order is the order of [`LabelId`]s.
    ///
    /// # Errors
    ///
    /// Fewer than two labels, more than 65,535, or names and aliases that are empty or equal.
    pub fn new(labels: Vec<Label>) -> Result<Self, LabelSetError> {
        if labels.len() < 2 {
            return Err(LabelSetError::TooFew(labels.len()));
        }
        if u16::try_from(labels.len()).is_err() {
            return Err(LabelSetError::TooMany(labels.len()));
        }
        let mut exact = HashMap::new();
        let mut folded: HashMap<String, Option<LabelId>> = HashMap::new();
        for (position, (id, label)) in (0_u16..).map(LabelId).zip(&labels).enumerate() {
            for name in std::iter::once(&label.name).chain(&label.aliases) {
                if name.trim().is_empty() {
                    return Err(LabelSetError::Empty(position + 1));
                }
                if exact.insert(name.clone(), id).is_some() {
                    return Err(LabelSetError::Twice(name.clone()));
                }
                folded
                    .entry(fold(name))
                    .and_modify(|other| *other = other.filter(|&other| other == id))
                    .or_insert(Some(id));
            }
        }
        Ok(Self { labels, exact, folded })
    }

    /// The number of labels, C.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a label set is never empty")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether `other` has labels of the same names, in the same order.
    #[cfg(feature = "page")]
    pub(crate) fn has_names_of(&self, other: &Self) -> bool {
        self.iter().map(|label| &label.name).eq(other.iter().map(|label| &label.name))
    }

    /// The labels in order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Label> {
        self.labels.iter()
    }

    /// The name of a label of this set; empty for a label of another.
    #[must_use]
    pub fn name(&self, id: LabelId) -> &str {
        self.labels.get(id.index()).map_or("", |label| &label.name)
    }

    /// The label of exactly this name, or alias.
    #[must_use]
    pub fn exact(&self, name: &str) -> Option<LabelId> {
        self.exact.get(name).copied()
    }

    /// The label that `written` means: exactly, or but for case, space and punctuation, by name or alias. `None`
    /// where that is none, or two.
    #[must_use]
    pub fn resolve(&self, written: &str) -> Option<LabelId> {
        let written = written.trim();
        self.exact.get(written).copied().or_else(|| self.folded.get(&fold(written)).copied().flatten())
    }

    /// The name most like `written`, for an error message; never to match an answer.
    #[must_use]
    pub fn nearest(&self, written: &str) -> Option<&str> {
        nearest(written, self.labels.iter().map(|label| label.name.as_str()))
    }

    /// Identifies the set: names in order. Descriptions and aliases may change without making it another task.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 16] {
        let names: Vec<&[u8]> = self.labels.iter().map(|label| label.name.as_bytes()).collect();
        crate::domain::sample::short_hash(&names)
    }
}

/// The entry most like `written` by Jaro-Winkler, if any is like it at all (0.7 of 1).
pub(crate) fn nearest<'a>(written: &str, among: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    among
        .map(|name| (strsim::jaro_winkler(written, name), name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// Letters and digits in lower case; everything else (space, `_`, `-`, quotes) dropped.
fn fold(name: &str) -> String {
    let folded: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    // A label of punctuation alone ("+", "-") folds to nothing; it is then matched by itself.
    if folded.is_empty() { name.to_owned() } else { folded }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(labels: &[(&str, &[&str])]) -> Result<LabelSet, LabelSetError> {
        LabelSet::new(
            labels
                .iter()
                .map(|(name, aliases)| Label {
                    name: (*name).to_owned(),
                    description: None,
                    aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
                })
                .collect(),
        )
    }

    #[test]
    fn a_label_is_matched_exactly_then_folded_then_by_alias() {
        let set = set(&[("card_arrival", &["where is my card"]), ("Refund?", &[])]).unwrap();
        for (written, expected) in [
            ("card_arrival", Some(LabelId(0))),
            (" Card Arrival. ", Some(LabelId(0))),
            ("Where is my card?", Some(LabelId(0))),
            ("REFUND", Some(LabelId(1))),
            ("card", None),
            ("", None),
        ] {
            assert_eq!(set.resolve(written), expected, "{written:?}");
        }
    }

    #[test]
    fn labels_that_differ_in_punctuation_alone_need_the_exact_name() {
        let set = set(&[("top-up", &[]), ("top up", &[]), ("+", &[]), ("-", &[])]).unwrap();
        assert_eq!(set.resolve("top up"), Some(LabelId(1)));
        assert_eq!(set.resolve("topup"), None);
        assert_eq!(set.resolve("-"), Some(LabelId(3)));
    }

    #[test]
    fn a_set_that_cannot_work_is_refused() {
        assert_eq!(set(&[("a", &[])]).unwrap_err(), LabelSetError::TooFew(1));
        assert_eq!(set(&[("a", &[]), ("b", &["a"])]).unwrap_err(), LabelSetError::Twice("a".into()));
        assert_eq!(set(&[("a", &[]), (" ", &[])]).unwrap_err(), LabelSetError::Empty(2));
    }

    #[test]
    fn the_nearest_name_is_named_only_when_it_is_near() {
        let set = set(&[("card_arrival", &[]), ("age_limit", &[])]).unwrap();
        assert_eq!(set.nearest("card_arival"), Some("card_arrival"));
        assert_eq!(set.nearest("zzz"), None);
    }
}
