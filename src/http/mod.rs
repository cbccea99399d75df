//! What servers have in common, that of a run's page and that of a student: an address with its token (`listener`), who is let
//! in (`guard`), how refusals are told (`problem`), how a monitor is told (`exposition`). What they serve is elsewhere.

pub(crate) mod exposition;
pub(crate) mod guard;
pub(crate) mod listener;
mod problem;

pub(crate) use self::problem::{Fault, Problem};
