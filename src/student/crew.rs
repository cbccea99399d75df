//! A finished student on several threads: itself and its twins, which have its weights and say the same. Texts go to them in
//! chunks, and what is said comes back in order, so it is what one alone would have said.

use super::{Predictor, Rows};
use crate::base::in_order::in_order;
use crate::error::Result;

/// Texts that are labelled together, at most: a bound on memory. An encoder's last bits depend on it.
pub const CHUNK: usize = 256;
/// Bytes of texts that are labelled together, about: a text may have megabytes.
pub const CHUNK_BYTES: usize = 4 << 20;

/// See the module.
pub struct Crew {
    /// One at least.
    members: Vec<Predictor>,
}

impl Crew {
    /// `predictor` and as many twins as its threads are for.
    #[must_use]
    pub fn of(predictor: Predictor) -> Self {
        let twins: Vec<Predictor> = (1..predictor.threads()).map(|_| predictor.twin()).collect();
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
        let Some(first) = self.members.first() else { return Ok(Rows::new(1, Vec::new())) };
        let (columns, groups) = (first.labels().len(), first.groups(texts, self.members.len()));
        // Who is alone needs no thread, nor does a short list.
        let busy = groups.len().clamp(1, self.members.len());
        let members = self.members.get_mut(..busy).unwrap_or_default();
        let mut values = vec![0.0; texts.len() * columns];
        let mut groups = groups.iter();
        in_order(
            members,
            || Ok(groups.next()),
            |member, places| {
                let texts: Vec<&str> = places.iter().filter_map(|&place| texts.get(place).copied()).collect();
                Ok((places, member.probabilities(&texts)?))
            },
            |(places, rows)| {
                for (place, row) in places.iter().zip(rows.iter()) {
                    let own = values.get_mut(place * columns..(place + 1) * columns);
                    own.into_iter().for_each(|own| own.copy_from_slice(row));
                }
                Ok(())
            },
        )?;
        Ok(Rows::new(columns, values))
    }
}

#[cfg(all(test, feature = "encoder"))]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::DeviceChoice;

    /// An encoder's last bits depend on the texts that are computed together, and these must not depend on who computes.
    #[test]
    fn an_encoder_says_the_same_with_any_number_of_threads() {
        let encoders = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/encoders");
        let pool = include_str!("../../examples/banking77/pool.jsonl");
        // Of many lengths, so that they are not computed in their order.
        let texts: Vec<&str> = pool.lines().take(CHUNK * 2 + 100).zip(0..).map(|(line, at)| &line[at % 40..]).collect();
        for folder in std::fs::read_dir(encoders).unwrap() {
            let folder = folder.unwrap().path();
            let crew = |threads: u32| Crew::of(Predictor::open(&folder, DeviceChoice::Cpu, threads).unwrap());
            let alone: Vec<Vec<f32>> = crew(1).probabilities(&texts).unwrap().iter().map(<[f32]>::to_vec).collect();
            for threads in [2, 3] {
                let mut crew = crew(threads);
                assert!(crew.probabilities(&texts).unwrap().iter().eq(&alone), "{folder:?}, {threads} threads");
                let (mut chunks, mut streamed) = (texts.chunks(CHUNK), Vec::new());
                let take = |rows: Rows| {
                    streamed.extend(rows.iter().map(<[f32]>::to_vec));
                    Ok(())
                };
                crew.label(|| Ok(chunks.next()), |member, texts| member.probabilities(texts), take).unwrap();
                assert!(streamed == alone, "{folder:?}, {threads} threads, a stream");
            }
        }
    }
}
