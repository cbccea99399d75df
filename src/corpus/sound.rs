//! A corpus whose beginning was looked at: where nothing of it can be used, one error says why.
//!
//! Without this, a file of another format would be a million bad rows and a run that is "complete".

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::{Corpus, Row};
use crate::error::{Error, Result};

/// Bad rows at the beginning after which no good one is waited for.
const MOST_BAD: usize = 20;
/// Different reasons that are told.
const REASONS: usize = 3;

/// See the module.
pub(super) struct Sound {
    /// What is read, whatever its format.
    rows: Box<dyn Corpus>,
    path: PathBuf,
    look: Look,
    /// Rows that were read to see whether any is good.
    ahead: VecDeque<Row>,
    has_begun: bool,
}

/// What was seen of a file before its rows.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Why none of its rows can be good.
    pub(super) lacks: Option<String>,
    /// What it is instead, where it does not look like what it is read as.
    pub(super) advice: Option<String>,
    /// Whether the places of rows are lines.
    pub(super) has_lines: bool,
}

impl Sound {
    /// Reads `rows`, which are those of the file at `path`.
    pub(super) fn new(rows: Box<dyn Corpus>, path: &Path, look: Look) -> Self {
        Self { rows, path: path.to_owned(), look, ahead: VecDeque::new(), has_begun: false }
    }

    /// Reads up to the first good row. Gives whether there is any row at all.
    pub(super) fn begin(&mut self) -> Result<bool> {
        self.has_begun = true;
        if let Some(lacks) = self.look.lacks.take() {
            let advice = self.look.advice.take();
            return Err(self.refused(advice.unwrap_or_else(|| format!("has {lacks}"))));
        }
        while self.ahead.len() < MOST_BAD {
            let Some(row) = self.rows.next_row()? else { break };
            let is_good = row.sample.is_ok();
            self.ahead.push_back(row);
            if is_good {
                return Ok(true);
            }
        }
        if self.ahead.is_empty() {
            return Ok(false);
        }
        // What the file is says more than what is wrong with each of its lines.
        let advice = self.look.advice.take();
        Err(self.refused(advice.unwrap_or_else(|| self.reasons())))
    }

    /// What is wrong with the first rows: a few different reasons, each with the first line that has it.
    fn reasons(&self) -> String {
        let count = self.ahead.len();
        let which = if count == MOST_BAD { format!("first {count} rows") } else { format!("{count} rows") };
        let mut message = format!("holds no text: none of its {which} can be used");
        let mut told: Vec<&String> = Vec::new();
        for Row { line, sample } in &self.ahead {
            if let Err(reason) = sample
                && told.len() < REASONS
                && !told.contains(&reason)
            {
                let unit = if self.look.has_lines { "line" } else { "row" };
                message.push_str(&format!("\n  {unit} {line} {reason}"));
                told.push(reason);
            }
        }
        message
    }

    fn refused(&self, message: String) -> Error {
        Error::Unfit { path: self.path.clone(), message }
    }
}

impl Corpus for Sound {
    fn name(&self) -> String {
        self.rows.name()
    }

    fn next_row(&mut self) -> Result<Option<Row>> {
        // Of an input that cannot be opened twice, the beginning is looked at with the first row, which may have to be
        // waited for.
        if !self.has_begun {
            self.begin()?;
        }
        match self.ahead.pop_front() {
            Some(row) => Ok(Some(row)),
            None => self.rows.next_row(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample::{Sample, SampleId};

    struct Fixed(VecDeque<Row>);

    impl Corpus for Fixed {
        fn next_row(&mut self) -> Result<Option<Row>> {
            Ok(self.0.pop_front())
        }
    }

    /// Bad rows, each with a reason, and a good one after them if `good`.
    fn sound(reasons: &[&str], good: bool) -> Sound {
        let bad = reasons.iter().map(|&reason| Err(reason.to_owned()));
        let good = good.then(|| Ok(Sample { id: SampleId("a".into()), text: "b".into() }));
        let rows = bad.chain(good).zip(1..).map(|(sample, line)| Row { line, sample }).collect();
        Sound::new(Box::new(Fixed(rows)), Path::new("pool.jsonl"), Look { has_lines: true, ..Look::default() })
    }

    #[test]
    fn all_rows_come_once_and_in_order_where_one_of_the_first_is_good() {
        let mut corpus = sound(&["is bad"; MOST_BAD - 1], true);
        assert!(corpus.begin().unwrap());
        let lines: Vec<u64> = std::iter::from_fn(|| corpus.next_row().unwrap()).map(|row| row.line).collect();
        assert_eq!(lines, (1..=MOST_BAD as u64).collect::<Vec<_>>());
    }

    #[test]
    fn each_reason_is_told_once_and_three_at_most() {
        let reasons = ["is bad", "is bad", "is worse", "is worst", "is more than one can say"];
        let error = sound(&reasons, false).next_row().unwrap_err().to_string();
        assert_eq!(
            error,
            "pool.jsonl holds no text: none of its 5 rows can be used\n  line 1 is bad\n  line 3 is worse\n  line 4 is worst"
        );
        let error = sound(&["is bad"; MOST_BAD], true).next_row().unwrap_err().to_string();
        assert!(error.contains("none of its first 20 rows"), "{error}");
        assert!(sound(&[], false).next_row().unwrap().is_none());
    }
}
