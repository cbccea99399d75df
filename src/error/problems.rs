//! What is wrong with a configuration, each with the key that the user typed. All problems are told at once: mending
//! one after the other would take a run for each.

use std::fmt;

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Steps with dots between them; an index of an array is a step too, from 0. `None` where it is about the whole
    /// file.
    key: Option<String>,
    /// Goes on from the key.
    message: String,
}

impl Problem {
    /// About the value at `key`.
    pub(crate) fn at(key: &str, message: impl Into<String>) -> Self {
        Self { key: Some(key.to_owned()), message: message.into() }
    }

    pub(crate) fn whole_file(message: impl Into<String>) -> Self {
        Self { key: None, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "`{}` {}", shown(key), self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// `a.2.b` as users of TOML know it: `a[2].b`.
fn shown(key: &str) -> String {
    key.split('.').fold(String::new(), |shown, step| match (step.parse::<usize>(), shown.is_empty()) {
        (Ok(index), _) => format!("{shown}[{index}]"),
        (Err(_), true) => step.to_owned(),
        (Err(_), false) => format!("{shown}.{step}"),
    })
}

/// Everything that is wrong with a configuration; never empty in an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    problems: Vec<Problem>,
    /// Entries of arrays that were taken out as wrong, in order: those after them stand one place before where they were
    /// typed.
    taken_out: Vec<(String, usize)>,
}

impl Problems {
    /// Adds what is wrong with the value at `key`, which `message` goes on from.
    pub fn add(&mut self, key: &str, message: impl Into<String>) {
        self.push(Problem::at(key, message));
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    pub(crate) fn push(&mut self, mut problem: Problem) {
        problem.key = problem.key.map(|key| self.as_typed(&key));
        // A problem of the whole file has no key, and is never a repetition. A key of the wrong type is taken out and
        // then missing as well: the first complaint is the true one.
        if problem.key.is_none() || !self.problems.iter().any(|other| other.key == problem.key) {
            self.problems.push(problem);
        }
    }

    /// The value at `key`, which is wrong, was taken out of what is parsed, so that the rest can be looked at: what
    /// comes after it in an array keeps the place that it was typed at. A key that ends in no index changes nothing.
    pub(crate) fn take_out(&mut self, key: &str) {
        let typed = self.as_typed(key);
        if let Some((array, index)) = typed.rsplit_once('.')
            && let Ok(index) = index.parse()
        {
            self.taken_out.push((array.to_owned(), index));
            self.taken_out.sort();
        }
    }

    /// `key` with the places that the user knows, as they are shown.
    pub(crate) fn name_of(&self, key: &str) -> String {
        shown(&self.as_typed(key))
    }

    /// Whether it is not TOML at all: then everything would be missing.
    pub(crate) fn are_of_the_whole_file(&self) -> bool {
        self.problems.iter().any(|problem| problem.key.is_none())
    }

    /// Whether something is wrong below `key`: then what follows from its value is not complained of.
    pub(crate) fn are_below(&self, key: &str) -> bool {
        let keys = self.problems.iter().filter_map(|problem| problem.key.as_deref());
        keys.filter_map(|other| other.strip_prefix(key)).any(|rest| rest.starts_with('.'))
    }

    /// Every index is raised by the entries before it that were taken out of its array. `taken_out` is sorted, so
    /// each of these is compared with the place that those before it have given.
    fn as_typed(&self, key: &str) -> String {
        key.split('.').fold(String::new(), |parent, step| {
            let step = step.parse().map_or_else(
                |_| step.to_owned(),
                |index: usize| {
                    let before = self.taken_out.iter().filter(|(array, _)| *array == parent);
                    before.fold(index, |index, (_, taken)| index + usize::from(*taken <= index)).to_string()
                },
            );
            if parent.is_empty() { step } else { format!("{parent}.{step}") }
        })
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "{}  {problem}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_the_places_that_they_were_typed_at() {
        let mut problems = Problems::default();
        // Of [0, 1, 2, 3, 4], the entries 1, 2 and 0 are taken out, each by its place in what is left.
        for place in ["t.l.1", "t.l.1", "t.l.0"] {
            problems.add(place, "is wrong");
            problems.take_out(place);
        }
        problems.add("t.l.1.name", "is empty");
        problems.add("t.other.1", "is wrong");
        assert_eq!(problems.name_of("t.l.0"), "t.l[3]");
        let expected = "  `t.l[1]` is wrong\n  `t.l[2]` is wrong\n  `t.l[0]` is wrong\n  `t.l[4].name` is empty\n  \
                        `t.other[1]` is wrong";
        assert_eq!(problems.to_string(), expected);
    }
}
