//! Attention that knows how far tokens are from each other: that of DeBERTa (He et al. 2021, arXiv 2006.03654), as its
//! third version has it (arXiv 2111.09543).
//!
//! With the content q, k of tokens i and j, and what the same maps make of a table of distances, Q and K:
//! ```text
//! score(i, j) = (q_i k_j + q_i K_d + k_j Q_d) / sqrt(3 size)        d = bucket(i - j)
//! ```
//! Distances that are small have a row of the table each, larger ones share one, the more the larger they are.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};

use super::noise::Noise;
use super::pair::Pair;
use super::weights::{Named, Weights};
use crate::error::Result;

/// What `config.json` says of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// Rows of the table, to either side.
    span: i64,
    /// Distances are below it.
    farthest: i64,
}

impl Settings {
    /// Only what the third version's models have is known; the message says what else was found.
    pub(super) fn read(config: &Map<String, Value>) -> std::result::Result<Self, String> {
        let of = |key: &str| config.get(key).cloned().unwrap_or(Value::Null);
        let number = |key: &str| of(key).as_i64().unwrap_or(-1);
        let positions = number("max_position_embeddings");
        // The first is what is known; a key that is missing counts as null.
        let known: [(&str, &[Value]); 10] = [
            ("relative_attention", &[json!(true)]),
            ("position_biased_input", &[json!(false)]),
            ("share_att_key", &[json!(true)]),
            ("norm_rel_ebd", &[json!("layer_norm")]),
            ("pos_att_type", &[json!("p2c|c2p"), json!("c2p|p2c"), json!(["p2c", "c2p"]), json!(["c2p", "p2c"])]),
            ("type_vocab_size", &[json!(0), Value::Null]),
            ("conv_kernel_size", &[Value::Null, json!(0)]),
            ("max_relative_positions", &[json!(-1), json!(positions), Value::Null]),
            ("embedding_size", &[Value::Null, of("hidden_size")]),
            ("pooler_hidden_size", &[of("hidden_size"), Value::Null]),
        ];
        for (key, values) in known {
            if !values.contains(&of(key)) {
                let usual = values.first().unwrap_or(&Value::Null);
                return Err(format!(
                    "{key} is {}, and of this family only DeBERTa-v3 is known, where it is {usual}",
                    of(key)
                ));
            }
        }
        let span = number("position_buckets");
        // Up to the middle, each distance is its own bucket.
        if !(2..=1 << 16).contains(&span) || span % 2 != 0 || positions <= span / 2 + 1 {
            return Err(format!(
                "position_buckets is {}, and must be even, from 2 to less than twice max_position_embeddings",
                of("position_buckets")
            ));
        }
        Ok(Self { span, farthest: positions })
    }

    /// The bucket of each distance from 0 on; that of a negative one has the other sign.
    ///
    /// In the operations of Python's code, on f32: what is rounded up there must not be rounded down here.
    fn buckets(self) -> Arc<[i64]> {
        let middle = self.span / 2;
        let distances = Tensor::arange(self.farthest, (Kind::Int64, Device::Cpu));
        let largest = Tensor::from_slice(&[((self.farthest - 1) as f64 / middle as f64) as f32]);
        let logarithms = (distances.clamp_min(middle - 1) / middle).log() / largest.log() * (middle - 1);
        let far = logarithms.ceil() + middle;
        let buckets = distances.where_self(&distances.le(middle), &far.to_kind(Kind::Int64)).clamp_max(self.span - 1);
        // One value for each, as it was asked for.
        Vec::<i64>::try_from(buckets).unwrap_or_default().into()
    }
}

/// The table of distances as a folder has it: of all layers, and never trained. It belongs to the embeddings.
#[derive(Debug)]
pub(super) struct Table {
    /// 2 span x hidden, by distance from -span on.
    rows: Tensor,
    norm: Pair,
    epsilon: f64,
}

const ROWS: &str = "encoder.rel_embeddings.weight";
const NORM: &str = "encoder.LayerNorm";

impl Table {
    pub(super) fn read(settings: Settings, weights: &Weights, hidden: i64, epsilon: f64) -> Result<Self> {
        let take = |name: &str, shape: &[i64]| weights.encoder(name, shape);
        let rows = take(ROWS, &[2 * settings.span, hidden])?;
        Ok(Self { rows, norm: Pair::read(take, NORM, &[hidden], true)?, epsilon })
    }

    pub(super) fn map(&self, change: &dyn Fn(&Tensor) -> Tensor) -> Self {
        Self { rows: change(&self.rows), norm: self.norm.map(change), epsilon: self.epsilon }
    }

    pub(super) fn name(&self, prefix: &str, named: &mut Named) {
        named.insert(format!("{prefix}{ROWS}"), self.rows.shallow_clone());
        self.norm.name(&format!("{prefix}{NORM}"), named);
    }
}

/// A layer's part of it.
#[derive(Debug)]
pub(super) struct Relative {
    /// 2 span x hidden, normalised.
    table: Tensor,
    /// By distance from 0 on.
    buckets: Arc<[i64]>,
    span: i64,
    /// What the layer's maps make of the table, where they are not trained.
    kept: Option<Positions>,
}

/// What a layer's maps make of the table of distances: heads x 2 span x size each.
#[derive(Debug)]
pub(super) struct Positions {
    keys: Tensor,
    queries: Tensor,
}

impl Relative {
    pub(super) fn new(settings: Settings, table: &Table) -> Self {
        let table = table.norm.normalise(&table.rows, table.epsilon);
        Self { table, buckets: settings.buckets(), span: settings.span, kept: None }
    }

    /// For a layer with these maps, which are not trained.
    pub(super) fn of(&self, query: &Pair, key: &Pair, heads: i64) -> Self {
        let kept = Some(self.positions(query, key, heads, Kind::Float, &|table| table));
        Self { table: self.table.shallow_clone(), buckets: self.buckets.clone(), span: self.span, kept }
    }

    /// For a layer whose maps are trained.
    pub(super) fn trainable(&self) -> Self {
        Self { table: self.table.shallow_clone(), buckets: self.buckets.clone(), span: self.span, kept: None }
    }

    pub(super) fn map(&self, change: &dyn Fn(&Tensor) -> Tensor) -> Self {
        let of = |kept: &Positions| Positions { keys: change(&kept.keys), queries: change(&kept.queries) };
        let kept = self.kept.as_ref().map(of);
        Self { table: change(&self.table), buckets: self.buckets.clone(), span: self.span, kept }
    }

    /// What was kept, or else what the maps make of the table now; `drop` is done to the table.
    pub(super) fn positions(
        &self,
        query: &Pair,
        key: &Pair,
        heads: i64,
        kind: Kind,
        drop: &dyn Fn(Tensor) -> Tensor,
    ) -> Positions {
        if let Some(Positions { keys, queries }) = &self.kept {
            return Positions { keys: keys.shallow_clone(), queries: queries.shallow_clone() };
        }
        let table = drop(self.table.shallow_clone());
        let of = |map: &Pair| {
            let rows = map.linear(&table, kind);
            let (count, hidden) = (2 * self.span, rows.size().last().copied().unwrap_or(0));
            rows.view([count, heads, hidden / heads]).transpose(0, 1)
        };
        Positions { keys: of(key), queries: of(query) }
    }

    /// Attention of texts of one length; query, key and value are texts x heads x tokens x size.
    pub(super) fn attend(
        &self,
        positions: &Positions,
        [query, key, value]: [&Tensor; 3],
        noise: &Noise,
        dropout: f64,
    ) -> Tensor {
        let width = query.size().last().copied().unwrap_or(1) as f64;
        let bias = self.scores(positions, query, key) * (1.0 / (3.0 * width).sqrt());
        // What is divided by the root of the width alone becomes what is divided by that of thrice the width.
        noise.attend(&(query * (1.0 / 3.0_f64.sqrt())), key, value, Some(&bias), dropout)
    }

    /// What distances add to the scores of `query`, of all of a text's tokens or of the first, with `key`: both texts x
    /// heads x tokens x size, and what is given texts x heads x tokens asked x tokens. Not yet divided.
    fn scores(&self, positions: &Positions, query: &Tensor, key: &Tensor) -> Tensor {
        let (Ok((texts, heads, asked, _)), Ok((_, _, length, _))) = (query.size4(), key.size4()) else {
            return query.zeros_like();
        };
        let bucket = |distance: i64| {
            let far = usize::try_from(distance.abs()).ok().and_then(|far| self.buckets.get(far)).copied();
            far.unwrap_or(self.span - 1) * distance.signum()
        };
        // Only the rows that occur between tokens of such a text.
        let most = bucket(length - 1);
        let rows = |table: &Tensor| table.narrow(1, self.span - most, 2 * most + 1).transpose(-2, -1);
        let places: Vec<i64> =
            (0..asked).flat_map(|i| (0..length).map(move |j| i - j)).map(|distance| bucket(distance) + most).collect();
        let places = super::index(&places, query).view([asked, length]);
        let by_query = query.matmul(&rows(&positions.keys));
        let by_key = key.matmul(&rows(&positions.queries));
        let by_query = by_query.gather(-1, &places.expand([texts, heads, asked, length], false), false);
        let by_key = by_key.gather(-1, &places.transpose(0, 1).expand([texts, heads, length, asked], false), false);
        by_query + by_key.transpose(-2, -1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Python: `make_log_bucket_position(torch.arange(512), 256, 512)`, and the same with 8 and 24.
    #[test]
    fn buckets_are_those_of_python() {
        let buckets = Settings { span: 256, farthest: 512 }.buckets();
        assert!((0..=128).all(|distance| buckets[distance] == i64::try_from(distance).unwrap()));
        assert_eq!([129, 130, 200, 256, 300, 511].map(|distance| buckets[distance]), [129, 130, 169, 192, 207, 255]);
        assert_eq!(
            Settings { span: 8, farthest: 24 }.buckets().to_vec(),
            [0, 1, 2, 3, 4, 5, 5, 5, 6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]
        );
    }
}
