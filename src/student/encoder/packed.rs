//! Texts of any lengths one after the other, without padding.
//!
//! Linear maps and normalisations see tokens alone. Attention is computed for each run of texts of one length. So
//! nothing is computed for padding, nothing needs a mask, and what becomes of a text does not depend on the texts
//! beside it. (But for last bits, where products of another shape are computed otherwise: `trunk` has tiles for
//! that.)

use tch::{Kind, Tensor};

use super::layers::Reads;

/// A batch of texts as tokens.
pub(super) struct Packed {
    /// Tokens x hidden, text after text.
    pub(super) x: Tensor,
    /// Neighbouring texts of one length: how many, and of how many tokens. Their products sum to the rows of `x`.
    /// Texts that are sorted by length make few runs, and so few calls.
    runs: Vec<(i64, i64)>,
}

impl Packed {
    /// `lengths` are the texts' in their order, and sum to the rows of `x`.
    pub(super) fn new(x: Tensor, lengths: impl IntoIterator<Item = i64>) -> Self {
        let mut runs: Vec<(i64, i64)> = Vec::new();
        for length in lengths {
            match runs.last_mut() {
                Some((texts, of)) if *of == length => *texts += 1,
                _ => runs.push((1, length)),
            }
        }
        Self { x, runs }
    }

    /// The same texts with other values.
    pub(super) fn with(&self, x: Tensor) -> Self {
        Self { x, runs: self.runs.clone() }
    }

    /// The length of each text.
    fn lengths(&self) -> impl Iterator<Item = i64> {
        self.runs.iter().flat_map(|&(texts, length)| (0..texts).map(move |_| length))
    }

    /// Where each text begins. As rows of `x`, in the order of the texts.
    fn starts(&self) -> Vec<i64> {
        let next = |row: &mut i64, length: i64| {
            let start = *row;
            *row += length;
            Some(start)
        };
        self.lengths().scan(0, next).collect()
    }

    /// The first token of each text.
    pub(super) fn firsts(&self) -> Self {
        // Only first tokens are there already; nothing is copied.
        if self.runs.iter().all(|&(_, length)| length == 1) {
            return self.with(self.x.shallow_clone());
        }
        let starts = self.starts();
        let texts = super::size(starts.len());
        Self { x: self.x.index_select(0, &super::index(&starts, &self.x)), runs: vec![(texts, 1)] }
    }

    /// What is read of them, all or the first tokens.
    pub(super) fn read(&self, reads: Reads) -> Self {
        match reads {
            Reads::All => self.with(self.x.shallow_clone()),
            Reads::First => self.firsts(),
        }
    }

    /// These texts alone, by number, in the order given. A number that there is not is passed over.
    pub(super) fn texts(&self, numbers: &[usize]) -> Self {
        let (starts, lengths): (Vec<i64>, Vec<i64>) = (self.starts(), self.lengths().collect());
        let spans = || numbers.iter().filter_map(|&number| Some((*starts.get(number)?, *lengths.get(number)?)));
        let rows: Vec<i64> = spans().flat_map(|(start, length)| start..start + length).collect();
        Self::new(self.x.index_select(0, &super::index(&rows, &self.x)), spans().map(|(_, length)| length))
    }

    /// Attention of `queries`, of these texts or of their first tokens, to these texts, in heads; `attention`
    /// computes it from queries, keys and values for texts of one length.
    ///
    /// Keys and values are tokens x hidden; `attention` gets and gives texts x heads x tokens x (hidden / heads), and
    /// what is given back here has the rows of `queries`.
    pub(super) fn attend(
        &self,
        queries: &Self,
        keys: &Tensor,
        values: &Tensor,
        heads: i64,
        attention: impl Fn(&Tensor, &Tensor, &Tensor) -> Tensor,
    ) -> Tensor {
        let hidden = keys.size().last().copied().unwrap_or(0);
        let all = queries.x.size().first() == keys.size().first();
        let (mut query_row, mut key_row) = (0, 0);
        let attended: Vec<Tensor> = self
            .runs
            .iter()
            .map(|&(texts, length)| {
                let asked = if all { length } else { 1 };
                let part = |x: &Tensor, row: i64, length: i64| {
                    x.narrow(0, row, texts * length).view([texts, length, heads, hidden / heads]).transpose(1, 2)
                };
                let (query, key, value) =
                    (part(&queries.x, query_row, asked), part(keys, key_row, length), part(values, key_row, length));
                query_row += texts * asked;
                key_row += texts * length;
                attention(&query, &key, &value).transpose(1, 2).reshape([texts * asked, hidden])
            })
            .collect();
        together(attended)
    }

    /// The mean over the tokens of each text: texts x hidden. Summed in f32, whatever `x` is kept in.
    pub(super) fn means(&self) -> Tensor {
        let mut row = 0;
        let means = self.runs.iter().map(|&(texts, length)| {
            let part = self.x.narrow(0, row, texts * length).view([texts, length, -1]);
            row += texts * length;
            part.mean_dim([1].as_slice(), false, Kind::Float).to_kind(self.x.kind())
        });
        together(means.collect())
    }

    /// One row per text, in the rows of all its tokens.
    pub(super) fn spread(&self, rows: &Tensor) -> Tensor {
        let numbers: Vec<i64> =
            (0..).zip(self.lengths()).flat_map(|(number, length)| (0..length).map(move |_| number)).collect();
        rows.index_select(0, &super::index(&numbers, rows))
    }
}

/// The parts one after the other.
fn together(mut parts: Vec<Tensor>) -> Tensor {
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(&parts, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(x: &Tensor) -> Vec<f32> {
        Vec::try_from(x.contiguous().view([-1])).unwrap()
    }

    #[test]
    fn texts_are_found_again() {
        let x = Tensor::from_slice(&[0.0_f32, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).view([7, 1]);
        let packed = Packed::new(x, [2, 2, 3]);
        assert_eq!(packed.runs, [(2, 2), (1, 3)]);
        assert_eq!(values(&packed.firsts().x), [0.0, 2.0, 4.0]);
        assert_eq!(values(&packed.means()), [0.5, 2.5, 5.0]);
        assert_eq!(values(&packed.spread(&packed.firsts().x)), [0.0, 0.0, 2.0, 2.0, 4.0, 4.0, 4.0]);
        let some = packed.texts(&[2, 0]);
        assert_eq!(
            (some.runs.as_slice(), values(&some.x)),
            ([(1, 3), (1, 2)].as_slice(), vec![4.0, 5.0, 6.0, 0.0, 1.0])
        );
    }

    #[test]
    fn a_text_attends_to_itself_alone() {
        // Keys and queries alike: even attention, the mean of the text's values.
        let packed = Packed::new(Tensor::zeros([3, 2], (Kind::Float, tch::Device::Cpu)), [1, 2]);
        let attended = packed.attend(
            &packed,
            &packed.x,
            &Tensor::from_slice(&[1.0_f32, 1.0, 2.0, 4.0, 4.0, 8.0]).view([3, 2]),
            2,
            |query, key, value| super::super::noise::Noise::Off.attend(query, key, value, None, 0.0),
        );
        assert_eq!(values(&attended), [1.0, 1.0, 3.0, 6.0, 3.0, 6.0]);
    }
}
