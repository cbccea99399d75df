//! Which texts are asked for, and in which order: filters and sorting over the table. An order is a list of positions; the last
//! few are kept for the version they are of, so that a second page costs nothing.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Deserializer};

use super::rows::{CORRECTED, FAILED, FINAL, NO_LABEL, Row, Table};
use super::search::Bits;

/// Rows of a page, at most.
pub(super) const MOST_ROWS: usize = 1000;
/// Orders that are kept: four bytes a text each.
const KEPT: usize = 4;

/// By what a list is sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sort {
    /// As texts arrived.
    #[default]
    Position,
    /// By the probability of the label.
    Confidence,
    /// By how far the label is ahead.
    Margin,
    /// By the id's bytes.
    Id,
    /// By the label's name.
    Label,
}

/// What a list is asked for by. All that is named has to hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Query {
    pub(super) offset: u64,
    pub(super) limit: Option<usize>,
    pub(super) sort: Sort,
    #[serde(deserialize_with = "flag")]
    pub(super) desc: Option<bool>,
    pub(super) label: Option<String>,
    pub(super) by: Option<String>,
    #[serde(deserialize_with = "number")]
    pub(super) min: Option<f64>,
    #[serde(deserialize_with = "number")]
    pub(super) max: Option<f64>,
    #[serde(rename = "final", deserialize_with = "flag")]
    pub(super) is_final: Option<bool>,
    #[serde(deserialize_with = "flag")]
    pub(super) disagree: Option<bool>,
    #[serde(deserialize_with = "flag")]
    pub(super) corrected: Option<bool>,
    #[serde(deserialize_with = "flag")]
    pub(super) failed: Option<bool>,
    #[serde(deserialize_with = "flag")]
    pub(super) audited: Option<bool>,
    pub(super) contains: Option<String>,
}

/// `1` and `true`, `0` and `false`, or nothing at all.
fn flag<'de, D: Deserializer<'de>>(text: D) -> Result<Option<bool>, D::Error> {
    match String::deserialize(text)?.as_str() {
        "1" | "true" => Ok(Some(true)),
        "0" | "false" => Ok(Some(false)),
        "" => Ok(None),
        other => Err(serde::de::Error::custom(format!("{other:?} is neither 1 nor 0"))),
    }
}

/// A number, or nothing at all.
pub(super) fn number<'de, D: Deserializer<'de>>(text: D) -> Result<Option<f64>, D::Error> {
    let text = String::deserialize(text)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| serde::de::Error::custom(format!("{text:?} is no number")))
}

impl Query {
    /// Whether something that is empty was asked for, or more than there can be: a sentence that says what to do.
    pub(super) fn check(&mut self) -> Result<(), String> {
        // A form sends empty fields.
        let empty = |text: &mut Option<String>| *text = text.take().filter(|text| !text.is_empty());
        [&mut self.label, &mut self.by, &mut self.contains].into_iter().for_each(empty);
        if self.contains.as_ref().is_some_and(|text| text.len() > super::search::LONGEST) {
            return Err(format!("search for at most {} bytes of text", super::search::LONGEST));
        }
        if [self.min, self.max].into_iter().flatten().any(|bound| !(0.0..=1.0).contains(&bound)) {
            return Err("give min and max as confidences from 0 to 1".to_owned());
        }
        Ok(())
    }

    /// The part of the order that is asked for.
    pub(super) fn page<'a>(&self, order: &'a [u32]) -> &'a [u32] {
        let begin = usize::try_from(self.offset).unwrap_or(usize::MAX).min(order.len());
        let end = begin.saturating_add(self.limit.unwrap_or(100).min(MOST_ROWS)).min(order.len());
        order.get(begin..end).unwrap_or_default()
    }
}

/// What a query means for one table.
struct Filter<'a> {
    table: &'a Table,
    query: &'a Query,
    /// By number; `None` where any will do.
    label: Option<u16>,
    by: Option<u8>,
    found: Option<&'a Bits>,
}

impl Filter<'_> {
    fn holds(&self, position: u32, row: &Row) -> bool {
        let is = |flag: u8, wanted: Option<bool>| wanted.is_none_or(|wanted| row.has(flag) == wanted);
        let query = self.query;
        let above = |bound: f64| row.is_labelled() && row.confidence >= bound as f32;
        // Ranges that meet share no text; the last has those that are certain.
        let below = |bound: f64| row.is_labelled() && (bound >= 1.0 || row.confidence < bound as f32);
        is(FINAL, query.is_final)
            && is(CORRECTED, query.corrected)
            && is(FAILED, query.failed)
            && query.audited.is_none_or(|wanted| self.table.sampled.contains(&position) == wanted)
            && self.label.is_none_or(|label| row.label == label)
            && self.by.is_none_or(|by| row.is_labelled() && row.by == by)
            && query.min.is_none_or(above)
            && query.max.is_none_or(below)
            && query.disagree.is_none_or(|wanted| self.table.is_disputed(position, row) == wanted)
            && self.found.is_none_or(|found| found.has(position))
    }
}

/// The positions of the texts that are asked for, in their order. `found` are those that contain what is searched for.
pub(super) fn order(table: &Table, query: &Query, found: Option<&Bits>) -> Vec<u32> {
    let label = query.label.as_ref().map(|name| table.names.labels.exact(name).map_or(NO_LABEL, |label| label.0));
    let by = query.by.as_ref().map(|name| {
        let place = table.bys.iter().position(|(_, known)| known == name);
        place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
    });
    // What no text can have.
    if label == Some(NO_LABEL) || by == Some(u8::MAX) {
        return Vec::new();
    }
    let filter = Filter { table, query, label, by, found };
    let rows = (0_u32..).zip(table.rows()).filter(|(position, row)| filter.holds(*position, row));
    let is_down = query.desc == Some(true);
    match query.sort {
        Sort::Position => {
            let mut order: Vec<u32> = rows.map(|(position, _)| position).collect();
            if is_down {
                order.reverse();
            }
            order
        }
        Sort::Confidence => by_key(rows, is_down, |row| row.is_labelled().then(|| row.confidence.to_bits())),
        Sort::Margin => {
            by_key(rows, is_down, |row| (row.is_labelled() && !row.margin.is_nan()).then(|| row.margin.to_bits()))
        }
        Sort::Label => {
            let ranks = ranks(table);
            by_key(rows, is_down, |row| ranks.get(usize::from(row.label)).copied())
        }
        Sort::Id => by_id(table, rows.map(|(position, _)| position).collect(), is_down),
    }
}

/// Sorts by what `key` gives, and texts without one to the end; equal ones stay in their order. Numbers from 0 to 1 sort as
/// their bits do. Key and position are one number: nothing is looked up while it is sorted.
fn by_key<'a>(
    rows: impl Iterator<Item = (u32, &'a Row)>,
    is_down: bool,
    key: impl Fn(&Row) -> Option<u32>,
) -> Vec<u32> {
    let place = |row: &Row| match key(row) {
        Some(key) if is_down => u32::MAX - 1 - key.min(u32::MAX - 1),
        Some(key) => key.min(u32::MAX - 1),
        None => u32::MAX,
    };
    let mut keys: Vec<u64> = rows.map(|(position, row)| u64::from(place(row)) << 32 | u64::from(position)).collect();
    keys.sort_unstable();
    keys.into_iter().map(|key| key as u32).collect()
}

/// The place of each label among their names.
fn ranks(table: &Table) -> Vec<u32> {
    let mut names: Vec<(&str, usize)> =
        table.names.labels.iter().enumerate().map(|(number, label)| (label.name.as_str(), number)).collect();
    names.sort_unstable();
    let mut ranks = vec![0; names.len()];
    for (rank, (_, number)) in (0..).zip(names) {
        if let Some(place) = ranks.get_mut(number) {
            *place = rank;
        }
    }
    ranks
}

/// Ids often begin alike ("ticket-000123"): the eight bytes after what all begin with decide most comparisons.
fn by_id(table: &Table, positions: Vec<u32>, is_down: bool) -> Vec<u32> {
    let key = |position: u32| table.ids.key(position);
    let Some(&first) = positions.first() else { return positions };
    let alike = positions.iter().fold(key(first).len(), |alike, &position| {
        let both = key(first).iter().zip(key(position)).take(alike);
        both.take_while(|(a, b)| a == b).count()
    });
    let eight = |position: u32| {
        let rest = key(position).get(alike..).unwrap_or_default();
        rest.iter().chain(&[0; 8]).take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let mut keys: Vec<(u64, u32)> = positions.into_iter().map(|position| (eight(position), position)).collect();
    keys.sort_unstable_by(|a, b| {
        let ids = a.0.cmp(&b.0).then_with(|| key(a.1).cmp(key(b.1)));
        let ids = if is_down { ids.reverse() } else { ids };
        if ids == Ordering::Equal { a.1.cmp(&b.1) } else { ids }
    });
    keys.into_iter().map(|(_, position)| position).collect()
}

/// The orders of late.
#[derive(Debug, Default)]
pub(super) struct Orders(Mutex<VecDeque<Kept>>);

#[derive(Debug)]
struct Kept {
    version: u64,
    /// Without what names a page.
    query: Query,
    found: Option<Bits>,
    order: Arc<Vec<u32>>,
}

impl Orders {
    /// As [`order`], by what is kept where the table has not changed.
    pub(super) fn get(&self, table: &Table, query: &Query, found: Option<&Bits>) -> Arc<Vec<u32>> {
        let query = Query { offset: 0, limit: None, ..query.clone() };
        let is_it = |kept: &&Kept| kept.version == table.version && kept.query == query && kept.found.as_ref() == found;
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = lock().iter().find(is_it) {
            return Arc::clone(&kept.order);
        }
        let order = Arc::new(order(table, &query, found));
        let mut kept = lock();
        // Those of earlier versions are of no use any more.
        kept.retain(|kept| kept.version == table.version);
        kept.truncate(KEPT - 1);
        kept.push_front(Kept { version: table.version, query, found: found.cloned(), order: Arc::clone(&order) });
        order
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::{arrive, event, names};
    use super::*;
    use proptest::prelude::*;

    /// Texts by the label's number, if they have one, and its confidence in hundredths.
    fn table(texts: &[(Option<u16>, u16, bool)]) -> Table {
        let mut table = Table::new("task".into(), names());
        for (position, (label, confidence, is_final)) in (0..).zip(texts) {
            // Ids in another order than texts, some of them alike for long.
            let id = format!("ticket-{}", (position * 7919) % 1000);
            let firsts = [Some((position % 3) as u16), (position % 4 == 0).then_some(1)];
            table.take_input(&arrive(position, &id, firsts), position * 10).unwrap();
            if let Some(label) = label {
                let name = ["x", "y", "z"][usize::from(*label)];
                let mut event = event(position, &id, name, f64::from(*confidence) / 100.0);
                event.is_final = *is_final;
                event.margin = (position % 5 > 0).then(|| f64::from(confidence / 2) / 100.0);
                table.take_label(&event, position * 20).unwrap();
            }
        }
        table
    }

    fn naive(table: &Table, query: &Query) -> Vec<u32> {
        let keys = |position: u32| {
            let row = table.row(position).unwrap();
            let label = table.label_name(row.label).map(str::to_owned);
            (row, label, table.ids.key(position).to_vec())
        };
        let mut all: Vec<u32> = (0..table.rows().len() as u32)
            .filter(|&position| {
                let (row, label, _) = keys(position);
                (query.label.is_none() || query.label == label)
                    && query.min.is_none_or(|min| label.is_some() && f64::from(row.confidence) >= min - 1e-6)
                    && query.is_final.is_none_or(|wanted| (row.flags & FINAL > 0) == wanted)
            })
            .collect();
        // A stable sort, so equal ones stay in their order both ways.
        all.sort_by(|&a, &b| {
            let ((a, a_label, a_id), (b, b_label, b_id)) = (keys(a), keys(b));
            let margin = |row: &Row| Some(row.margin).filter(|margin| !margin.is_nan());
            let missing = |row: &Row, label: &Option<String>| match query.sort {
                Sort::Margin => margin(row).is_none(),
                Sort::Confidence | Sort::Label => label.is_none(),
                Sort::Position | Sort::Id => false,
            };
            let order = match query.sort {
                Sort::Position => a.text_at.cmp(&b.text_at),
                Sort::Confidence => a.confidence.partial_cmp(&b.confidence).unwrap(),
                Sort::Margin => margin(&a).partial_cmp(&margin(&b)).unwrap(),
                Sort::Id => a_id.cmp(&b_id),
                Sort::Label => a_label.cmp(&b_label),
            };
            let order = if query.desc == Some(true) { order.reverse() } else { order };
            missing(&a, &a_label).cmp(&missing(&b, &b_label)).then(if missing(&a, &a_label) {
                Ordering::Equal
            } else {
                order
            })
        });
        all
    }

    proptest! {
        #[test]
        fn an_order_is_what_a_naive_sort_makes(
            texts in prop::collection::vec((prop::option::of(0..3_u16), 0..=100_u16, any::<bool>()), 0..60),
            sort in prop::sample::select(vec![Sort::Position, Sort::Confidence, Sort::Margin, Sort::Id, Sort::Label]),
            desc: bool,
            label in prop::option::of(prop::sample::select(vec!["x", "y"])),
            min in prop::option::of(0..=100_u16),
            is_final: Option<bool>,
        ) {
            let table = table(&texts);
            let query = Query {
                sort,
                desc: Some(desc),
                label: label.map(str::to_owned),
                min: min.map(|min| f64::from(min) / 100.0),
                is_final,
                ..Query::default()
            };
            prop_assert_eq!(order(&table, &query, None), naive(&table, &query));
        }
    }

    #[test]
    fn what_no_text_has_gives_none_and_kept_orders_are_of_their_version() {
        let mut table = table(&[(Some(0), 50, false), (Some(1), 70, false), (None, 0, false)]);
        let none = |query: Query| order(&table, &query, None).is_empty();
        assert!(none(Query { label: Some("w".into()), ..Query::default() }));
        assert!(none(Query { by: Some("student".into()), ..Query::default() }));
        let orders = Orders::default();
        let query = Query { min: Some(0.6), offset: 1, ..Query::default() };
        assert_eq!(*orders.get(&table, &query, None), [1]);
        table.take_label(&event(9, "ticket-0", "y", 0.9), 0).unwrap();
        assert_eq!(*orders.get(&table, &query, None), [1]);
        table.version += 1;
        assert_eq!(*orders.get(&table, &query, None), [0, 1]);
        assert_eq!(query.page(&[0, 1]), [1]);
        assert!(Query { offset: 9, ..Query::default() }.page(&[0, 1]).is_empty());
    }

    #[test]
    fn what_cannot_be_asked_for_is_said() {
        assert!(Query { min: Some(1.5), ..Query::default() }.check().is_err());
        assert!(Query { max: Some(f64::NAN), ..Query::default() }.check().is_err());
        assert!(Query { contains: Some("x".repeat(2000)), ..Query::default() }.check().is_err());
        let mut empty = Query { label: Some(String::new()), ..Query::default() };
        assert_eq!((empty.check(), empty.label), (Ok(()), None));
    }
}
