//! A finished student on several threads: itself and its twins, which have its weights and say the same. Texts go to them in
//! chunks, and what is said comes back in order, so it is what one alone would have said.

use super::{Predictor, Rows};
use crate::base::in_order::in_order;
use crate::error::Result;

/// Texts that are labelled together: a bound on memory.
pub const CHUNK: usize = 256;
/// Fewer of them are not worth a thread.
const LEAST: usize = 32;

/// See the module. An encoder has no twins: it is alone, and computes with libtorch's threads.
pub struct Crew {
    /// One at least.
    members: Vec<Predictor>,
}

impl Crew {
    /// `predictor` and as many twins as its threads are for.
    #[must_use]
    pub fn of(predictor: Predictor) -> Self {
        let twins: Vec<Predictor> = (1..predictor.threads()).map_while(|_| predictor.twin()).collect();
        Self { members: [predictor].into_iter().chain(twins).collect() }
    }

    /// The labels' names, C of them.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        self.members.first().map(|first| first.labels().to_vec()).unwrap_or_default()
    }

    /// How many texts keep all of it busy, which are given to [`Crew::probabilities`] at once.
    #[must_use]
    pub fn window(&self) -> usize {
        CHUNK * self.members.len()
    }

    /// As many crews as there are members, for work that is done beside each other; `most` at most, who share the members.
    #[must_use]
    pub fn split(self, most: usize) -> Vec<Self> {
        let count = self.members.len().min(most).max(1);
        let mut crews: Vec<Self> = (0..count).map(|_| Self { members: Vec::new() }).collect();
        for (member, place) in self.members.into_iter().zip((0..count).cycle()) {
            if let Some(crew) = crews.get_mut(place) {
                crew.members.push(member);
            }
        }
        crews
    }

    /// Has `say` said of all that `next` gives, each on one of the crew's threads, and gives it to `take` in order. `next` is
    /// asked on the calling thread; `take` may be called on another, as soon as there is something.
    ///
    /// # Errors
    ///
    /// The first one; what was before it was taken.
    pub fn label<T: Send, R: Send>(
        &mut self,
        next: impl FnMut() -> Result<Option<T>>,
        say: impl Fn(&Predictor, T) -> Result<R> + Sync,
        take: impl FnMut(R) -> Result<()> + Send,
    ) -> Result<()> {
        in_order(&mut self.members, next, |member, texts| say(member, texts), take)
    }

    /// As [`Predictor::probabilities`], of texts that are all there.
    ///
    /// # Errors
    ///
    /// Those of it.
    pub fn probabilities(&mut self, texts: &[&str]) -> Result<Rows> {
        let crew = self.members.len();
        // Texts of an encoder stay together: what it says depends on it. A crew that is alone needs no thread, nor does a
        // short list.
        let chunk = if crew == 1 { texts.len() } else { texts.len().div_ceil(crew).clamp(LEAST, CHUNK) };
        let members = self.members.get_mut(..texts.len().div_ceil(chunk.max(1)).clamp(1, crew)).unwrap_or_default();
        let columns = members.first().map_or(1, |first| first.labels().len());
        let mut values = Vec::with_capacity(texts.len() * columns);
        let mut chunks = texts.chunks(chunk.max(1));
        in_order(
            members,
            || Ok(chunks.next()),
            |member, texts| member.probabilities(texts),
            |rows| {
                rows.iter().for_each(|row| values.extend_from_slice(row));
                Ok(())
            },
        )?;
        Ok(Rows::new(columns, values))
    }
}
