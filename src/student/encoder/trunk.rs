//! What is never trained of an encoder, and shared by all copies: embeddings and lower layers.
//!
//! Where the copies read first tokens alone, what it makes of a text is one vector that never changes. It is computed
//! once, kept with the text, and on disk (`vectors`). Otherwise the trunk is gone through at every step, once for all
//! copies.

use tch::{Device, Kind, Tensor};

use super::embeddings::Embeddings;
use super::layers::{Layer, Reads, forward};
use super::noise::Noise;
use super::packed::Packed;
use super::size;
use super::vectors::Vectors;
use crate::student::Encoded;

/// Tokens that go through the layers together: on a processor what its caches hold, on a card what keeps it busy.
const TOGETHER: usize = 1 << 10;
const TOGETHER_ON_A_CARD: usize = 1 << 14;
/// Tokens of a tile of short texts and of a tile of longer ones, and what is short: up to so many tokens. A tile that
/// is not full costs as much as a full one, and a large one less for each token.
const TILE: usize = 128;
const LARGE_TILE: usize = 512;
const SHORT: usize = 64;
/// What a vector's last bits depend on here; goes into the name of the file of vectors.
pub(super) const TILES: [usize; 3] = [TILE, LARGE_TILE, SHORT];

/// What is not trained: embeddings and lower layers.
pub(super) struct Trunk {
    pub(super) embeddings: Embeddings,
    pub(super) layers: Vec<Layer>,
    pub(super) device: Device,
    /// What was computed of texts before.
    pub(super) vectors: Option<Vectors>,
}

impl Trunk {
    /// What the layers above get of texts, or the first tokens alone, in f32. No gradients are recorded.
    pub(super) fn forward(&self, texts: &[&Encoded], reads: Reads) -> Packed {
        let _guard = tch::no_grad_guard();
        let ids: Vec<i64> = texts.iter().flat_map(|text| &text.ids).map(|&id| i64::from(id)).collect();
        let places: Vec<i64> = texts.iter().flat_map(|text| 0..size(text.ids.len())).collect();
        let [ids, places] = [ids, places].map(|numbers| Tensor::from_slice(&numbers).to_device(self.device));
        let lengths = texts.iter().map(|text| size(text.ids.len()));
        let below = Packed::new(self.embeddings.forward(&ids, &places), lengths);
        let mut packed = forward(&self.layers, below, reads, 0, &Noise::Off);
        if reads == Reads::First {
            packed = packed.firsts();
        }
        packed.x = packed.x.to_kind(Kind::Float);
        packed
    }

    /// Computes the first token's vectors of those texts that have none yet: the trunk does not change. Looks in the
    /// file first, and keeps there what it computed.
    pub(super) fn compute(&self, texts: &[&Encoded]) {
        let known = |text: &Encoded| {
            if text.frozen.get().is_none()
                && let Some(values) = self.vectors.as_ref().and_then(|vectors| vectors.get(text))
            {
                let _ = text.frozen.set(values);
            }
            text.frozen.get().is_some()
        };
        let unknown: Vec<&Encoded> = texts.iter().copied().filter(|text| !known(text)).collect();
        // Fills a tile up: texts of one token, whose vectors are thrown away. Texts do not see each other, so which
        // token it is does not matter.
        let word = Encoded { ids: vec![0], ..Encoded::default() };
        for (places, filler) in tiles(&unknown) {
            let texts: Vec<&Encoded> = places.iter().filter_map(|&place| unknown.get(place).copied()).collect();
            let tile: Vec<&Encoded> = texts.iter().copied().chain(std::iter::repeat_n(&word, filler)).collect();
            let first = self.forward(&tile, Reads::First).x.to_device(Device::Cpu).contiguous();
            for (row, text) in texts.iter().enumerate() {
                let row = first.get(size(row));
                let mut values = vec![0.0; row.numel()];
                row.copy_data(&mut values, row.numel());
                // The same text may be there twice.
                let _ = text.frozen.set(values);
            }
            if let Some(vectors) = &self.vectors {
                let computed = texts.iter().filter_map(|&text| Some((text, text.frozen.get()?.as_slice())));
                vectors.keep(&computed.collect::<Vec<_>>());
            }
        }
    }

    /// The first token's vectors, computed once a text: texts x hidden, each as a text of one token.
    pub(super) fn first_tokens(&self, texts: &[&Encoded]) -> Packed {
        self.compute(texts);
        let values: Vec<f32> = texts.iter().filter_map(|text| text.frozen.get()).flatten().copied().collect();
        let x = Tensor::from_slice(&values).view([size(texts.len()), -1]);
        Packed::new(x.to_device(self.device), texts.iter().map(|_| 1))
    }
}

/// Places of texts by length, in groups of a bounded number of tokens: texts of one length lie side by side, so that
/// attention is computed for many at once. A text that is longer than the bound is a group by itself.
pub(super) fn together(texts: &[&Encoded], device: Device) -> Vec<Vec<usize>> {
    let most = if device == Device::Cpu { TOGETHER } else { TOGETHER_ON_A_CARD };
    grouped(texts, |_| most).into_iter().map(|(places, _)| places).collect()
}

/// The same in groups that are filled up to a number of tokens that depends on the texts in them alone, with that
/// many more. The last bits of a matrix product depend on its shape: so a text becomes the same in whatever company.
fn tiles(texts: &[&Encoded]) -> Vec<(Vec<usize>, usize)> {
    // A text that fills more than a large tile has one of the next power of two, and so again one of few shapes.
    let tile = |length: usize| if length <= SHORT { TILE } else { LARGE_TILE.max(length.next_power_of_two()) };
    grouped(texts, tile)
}

/// Places of texts by length, in groups of at most as many tokens as `most` says for their lengths, with the tokens
/// that are left. Sorted by length and then by place: the groups follow from the texts and their order alone. A group
/// has texts of one bound only, or its shape would depend on who else is there.
fn grouped(texts: &[&Encoded], most: impl Fn(usize) -> usize) -> Vec<(Vec<usize>, usize)> {
    let mut places: Vec<(usize, usize)> = texts.iter().map(|text| text.ids.len()).zip(0..).collect();
    places.sort_unstable();
    let mut groups: Vec<(Vec<usize>, usize)> = Vec::new();
    let mut bound = 0;
    for (length, place) in places {
        match groups.last_mut() {
            Some((group, left)) if length <= *left && most(length) == bound => {
                group.push(place);
                *left -= length;
            }
            _ => {
                bound = most(length);
                groups.push((vec![place], bound.saturating_sub(length)));
            }
        }
    }
    groups
}
