//! The words of the domain, as types: no I/O, and no stage is named here.

pub mod answer;
pub mod candidates;
pub mod event;
pub mod input;
pub mod label;
pub mod progress;
pub mod sample;
