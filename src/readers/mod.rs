//! What reads a run: each from its files, none of them takes part in labelling.

pub mod audit;
pub mod evaluate;
pub mod export;
pub mod plan;
mod statistics;
pub mod tail;
