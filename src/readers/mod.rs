//! What reads a run: each from its files, none of them takes part in labelling.

pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod confusion;
pub(crate) mod deep;
pub(crate) mod evaluate;
pub(crate) mod export;
pub(crate) mod failed;
mod gold;
pub(crate) mod latest;
pub(crate) mod plan;
pub(crate) mod schema;
pub(crate) mod spending;
mod statistics;
