//! The words of the domain, as types: no I/O, and no stage is named here.

pub(crate) mod answer;
pub(crate) mod candidates;
pub(crate) mod event;
pub(crate) mod input;
pub(crate) mod label;
pub(crate) mod lot;
pub(crate) mod progress;
pub(crate) mod sample;
pub(crate) mod status;
