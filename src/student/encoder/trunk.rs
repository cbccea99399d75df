//! What is never trained of an encoder, and shared by all copies: embeddings and lower layers.
//!
//! Where the copies read first tokens alone, what it makes of a text is one vector that never changes. It is computed
//! once, kept with the text, and on disk (`vectors`). Otherwise it is a vector for each token: kept with the text as long as there is room,
//! and else computed at every step, once for all copies. On a card, which computes faster than it is sent to, always that.

use std::borrow::Cow;
use std::collections::HashMap;

use tch::{Device, Kind, Tensor};

use super::embeddings::Embeddings;
use super::layers::{Layer, Reads, forward};
use super::noise::Noise;
use super::packed::Packed;
use super::size;
use super::vectors::Vectors;
use crate::student::Encoded;
use crate::student::frozen::{Frozen, Room};

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

/// Values that are kept of texts whose tokens are all read: 1 GiB.
pub(super) const ROOM: usize = 1 << 28;

/// What is not trained: embeddings and lower layers.
pub(super) struct Trunk {
    pub(super) embeddings: Embeddings,
    pub(super) layers: Vec<Layer>,
    pub(super) device: Device,
    /// What the layers above read of it.
    pub(super) reads: Reads,
    /// For what is kept where that is every token.
    pub(super) room: Room,
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

    /// What the layers above read of `texts`: rows of each text, one after the other. Computed where it is not known: the trunk does not
    /// change. Looks with the text and in the file first, and keeps there what it computed.
    fn values<'a>(&self, texts: &[&'a Encoded]) -> Vec<Cow<'a, [f32]>> {
        let unknown: Vec<&Encoded> = texts.iter().copied().filter(|text| !self.is_known(text)).collect();
        // What there is no room for. The same text may be there twice.
        let mut passing: HashMap<*const Encoded, Vec<f32>> = HashMap::new();
        // Fills a tile up: texts of one token, whose vectors are thrown away. Texts do not see each other, so which
        // token it is does not matter.
        let word = Encoded { ids: vec![0], ..Encoded::default() };
        for (places, filler) in tiles(&unknown) {
            let texts: Vec<&Encoded> = places.iter().filter_map(|&place| unknown.get(place).copied()).collect();
            let tile: Vec<&Encoded> = texts.iter().copied().chain(std::iter::repeat_n(&word, filler)).collect();
            let all = self.forward(&tile, self.reads).x.to_device(Device::Cpu).contiguous();
            let mut row = 0;
            for text in &texts {
                let rows = self.rows(text);
                let own = all.narrow(0, row, rows);
                row += rows;
                let mut values = vec![0.0; own.numel()];
                own.copy_data(&mut values, own.numel());
                if let Some(values) = self.keep(text, values) {
                    passing.insert(std::ptr::from_ref(*text), values);
                }
            }
            if let Some(vectors) = &self.vectors {
                let computed = texts.iter().filter_map(|&text| Some((text, text.frozen.get()?.values())));
                vectors.keep(&computed.collect::<Vec<_>>());
            }
        }
        let of = |text: &&'a Encoded| match text.frozen.get() {
            Some(kept) => Cow::Borrowed(kept.values()),
            None => Cow::Owned(passing.get(&std::ptr::from_ref(*text)).cloned().unwrap_or_default()),
        };
        texts.iter().map(of).collect()
    }

    fn is_known(&self, text: &Encoded) -> bool {
        if text.frozen.get().is_none()
            && let Some(values) = self.vectors.as_ref().and_then(|vectors| vectors.get(text))
        {
            let _ = text.frozen.set(Frozen::new(values));
        }
        text.frozen.get().is_some()
    }

    /// Keeps the values with the text; gives them back where there is no room.
    fn keep(&self, text: &Encoded, values: Vec<f32>) -> Option<Vec<f32>> {
        let kept = match self.reads {
            Reads::First => Frozen::new(values),
            Reads::All => match Frozen::within(&self.room, values) {
                Ok(kept) => kept,
                Err(values) => return Some(values),
            },
        };
        let _ = text.frozen.set(kept);
        None
    }

    /// Rows that are read of a text.
    fn rows(&self, text: &Encoded) -> i64 {
        if self.reads == Reads::First { 1 } else { size(text.ids.len()) }
    }

    /// Computes what is read of many texts, where it is kept: fuller tiles than those of a few at a time.
    pub(super) fn prepare(&self, texts: &[&Encoded]) {
        if self.reads == Reads::First || (self.is_kept() && self.room.is_left()) {
            drop(self.values(texts));
        }
    }

    fn is_kept(&self) -> bool {
        self.reads == Reads::First || self.device == Device::Cpu
    }

    /// What the layers above read of `texts`.
    pub(super) fn read(&self, texts: &[&Encoded]) -> Packed {
        if !self.is_kept() {
            return self.forward(texts, self.reads);
        }
        let values = self.values(texts).concat();
        let rows: i64 = texts.iter().map(|text| self.rows(text)).sum();
        let x = Tensor::from_slice(&values).view([rows, -1]);
        Packed::new(x.to_device(self.device), texts.iter().map(|text| self.rows(text)))
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
