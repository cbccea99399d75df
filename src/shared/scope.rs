//! What an answer is of besides its key: the labels that it was read by. Prompts need not name them, and two tasks may ask the same; what one
//! of them read of a reply says nothing of the other's labels.

use crate::domain::answer::AnswerKey;
use crate::domain::label::LabelSet;
use crate::domain::sample::short_hash;

/// A set of labels, by their names in any order: a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope([u8; 16]);

impl Scope {
    pub(super) fn of(labels: &LabelSet) -> Self {
        let mut names: Vec<&[u8]> = labels.iter().map(|label| label.name.as_bytes()).collect();
        names.sort_unstable();
        Self(short_hash(&names))
    }

    /// The key of an answer in the database.
    pub(super) fn key(self, key: AnswerKey) -> AnswerKey {
        AnswerKey(short_hash(&[&self.0, &key.0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::Label;

    #[test]
    fn other_labels_have_other_keys_and_their_order_says_nothing() {
        let scope = |names: &[&str]| {
            let label = |name: &&str| Label { name: (*name).to_owned(), description: None, aliases: Vec::new() };
            Scope::of(&LabelSet::new(names.iter().map(label).collect()).unwrap())
        };
        let key = AnswerKey([7; 16]);
        assert_eq!(scope(&["a", "b"]).key(key), scope(&["b", "a"]).key(key));
        assert_ne!(scope(&["a", "b"]).key(key), scope(&["a", "c"]).key(key));
        assert_ne!(scope(&["a", "b"]).key(key), key);
    }
}
