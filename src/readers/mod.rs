//! What reads a run: each from its files, none of them takes part in labelling.

pub mod audit;
pub mod check;
pub mod confusion;
pub mod deep;
pub mod evaluate;
pub mod export;
mod gold;
pub mod latest;
pub mod plan;
mod statistics;
pub mod tail;
