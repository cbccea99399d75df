//! Samples that a program has, or makes, as a corpus.

use super::{Corpus, Row};
use crate::domain::sample::Sample;
use crate::error::Result;

/// A corpus of what an iterator gives: a vector, a generator, the rows of a query. The same samples have to come each time
/// that a run reads it, in the same order.
///
/// ```
/// use candist::{Corpus, Sample, Samples};
///
/// let numbers = (0..3).map(|number| Sample::new(number.to_string(), format!("the number {number}")));
/// let mut corpus = Samples::new(numbers);
/// assert_eq!(corpus.next_row()?.unwrap().sample.unwrap().text, "the number 0");
/// # Ok::<(), candist::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Samples<I> {
    samples: I,
    /// The number of the last one: what stands for a line.
    given: u64,
}

impl<I: Iterator<Item = Sample>> Samples<I> {
    /// The samples of `samples`, in their order.
    pub fn new(samples: impl IntoIterator<IntoIter = I>) -> Self {
        Self { samples: samples.into_iter(), given: 0 }
    }
}

impl<I: Iterator<Item = Sample> + Send> Corpus for Samples<I> {
    fn next_row(&mut self) -> Result<Option<Row>> {
        let Some(sample) = self.samples.next() else { return Ok(None) };
        self.given += 1;
        Ok(Some(Row { line: self.given, sample: Ok(sample) }))
    }
}
