//! `store/inputs`: a record for each event of the input log, with where its line stands; and what follows from all of them.
//!
//! Memory: eight bytes for each event that is no arrival, and a record in a map for each that brings new answers or a label.
//! Arrivals cost none, for the event of an arrival follows from its position; see [`Others`].

use std::collections::HashMap;

use super::flat::{Fields, Record};
use super::in_order::RowMark;
use super::log::Span;
use crate::domain::sample::Position;
use crate::store::InputCounts;

/// Its number is a byte of the record, so the order is part of the format of `store/inputs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Arrive,
    Answers,
    End,
    Correct,
}

/// Where an event stands, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InputAt {
    /// The event's line, its line feed included. Each begins where the one before ends: [`Shared::follows`] insists
    /// on that.
    pub(super) span: Span,
    /// The sample's; at an end, the number of samples.
    pub(super) position: u64,
    pub(super) kind: Kind,
    /// Of an arrival, which row it was; zeros of all others.
    pub(super) row: RowMark,
}

impl Record for InputAt {
    // offset: u64, length: u32, position: u64, kind: u8, row: 16 bytes; numbers are little-endian.
    const SIZE: usize = 8 + 4 + 8 + 1 + 16;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.span.offset.to_le_bytes());
        bytes.extend_from_slice(&self.span.len.to_le_bytes());
        bytes.extend_from_slice(&self.position.to_le_bytes());
        bytes.push(self.kind as u8);
        bytes.extend_from_slice(&self.row);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let span = Span { offset: fields.u64()?, len: fields.u32()? };
        let position = fields.u64()?;
        let kind = match fields.u8()? {
            0 => Kind::Arrive,
            1 => Kind::Answers,
            2 => Kind::End,
            3 => Kind::Correct,
            // No kind of ours, whatever the checksum says: the file is taken to end before this record.
            _ => return None,
        };
        Some(Self { span, position, kind, row: fields.take()? })
    }
}

/// Events that are no arrivals: there are few of them. From these follows which event an arrival is.
///
/// The arrival at position p comes after p other arrivals, and after those other events that have at most p arrivals
/// before them. `arrivals_before` never falls, so how many these are is found by bisection.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// For each, in order, the arrivals before it.
    arrivals_before: Vec<u64>,
    /// New answers, by sample: number and place.
    pub(super) late: HashMap<Position, Vec<(u64, InputAt)>>,
    /// The same of labels that people gave and took back.
    pub(super) corrections: HashMap<Position, Vec<(u64, InputAt)>>,
}

/// The last of `events` before number `end`.
///
/// Nothing later may be looked at: a replay would otherwise learn from what had not come yet.
pub(super) fn last_before(
    events: &HashMap<Position, Vec<(u64, InputAt)>>,
    position: Position,
    end: u64,
) -> Option<(u64, InputAt)> {
    events.get(&position)?.iter().rev().find(|(number, _)| *number < end).copied()
}

impl Others {
    /// The number of the event with which `position` arrived.
    pub(super) fn arrival(&self, position: Position) -> u64 {
        position + self.arrivals_before.partition_point(|&arrivals| arrivals <= position) as u64
    }
}

/// What the records say, in a form that is looked up. Once open, the writer's thread alone changes it, when an
/// event is on disk and recorded; readers on any thread see whole events only.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) others: Others,
    pub(super) counts: InputCounts,
    /// Where the last event ends. 0 before the first event, which begins behind a first line of any length.
    pub(super) end: u64,
}

impl Shared {
    /// Takes in the next event, for which [`Shared::follows`] holds.
    pub(super) fn add(&mut self, at: InputAt) {
        match at.kind {
            Kind::Arrive => self.counts.samples += 1,
            Kind::Answers => self.others.late.entry(at.position).or_default().push((self.counts.events, at)),
            Kind::Correct => self.others.corrections.entry(at.position).or_default().push((self.counts.events, at)),
            Kind::End => self.counts.ended = Some(self.counts.events + 1),
        }
        if at.kind != Kind::Arrive {
            self.others.arrivals_before.push(self.counts.samples);
        }
        self.counts.events += 1;
        self.end = at.span.offset + u64::from(at.span.len);
    }

    /// Whether `at` can be the next event.
    pub(super) fn follows(&self, at: &InputAt) -> bool {
        // Another order would give every sample after it another position, and with that another fold and another
        // label.
        let right_place = match at.kind {
            Kind::Arrive | Kind::End => at.position == self.counts.samples,
            Kind::Answers | Kind::Correct => at.position < self.counts.samples,
        };
        right_place && (self.end == 0 || at.span.offset == self.end)
    }
}
