//! What reads a run: each from its files, none of them takes part in labelling. They work beside a run and without one,
//! take no lock and write nothing into the directory; what they see is what was there when they looked.

pub(crate) mod audit;
pub(crate) mod audited;
pub(crate) mod basis;
pub(crate) mod certificate;
pub(crate) mod certified;
pub(crate) mod check;
mod conformal;
pub(crate) mod confusion;
pub(crate) mod corrected;
pub(crate) mod deep;
pub(crate) mod distribution;
pub(crate) mod drawing;
pub(crate) mod evaluate;
pub(crate) mod export;
pub(crate) mod failed;
pub(crate) mod finals;
pub(crate) mod glimpse;
pub(crate) mod gold;
pub(crate) mod judging;
pub(crate) mod latest;
pub(crate) mod measured;
pub(crate) mod plan;
pub(crate) mod population;
pub(crate) mod preview;
pub(crate) mod probability;
pub(crate) mod recalibration;
pub(crate) mod report;
pub(crate) mod schema;
pub(crate) mod spending;
mod statistics;
pub(crate) mod table;
