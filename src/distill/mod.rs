//! Distillation: from candidates and student to one label per text.
//!
//! `refinery` is the trait, with `posterior`, `renormalise` and `uniform` as its kinds; `likelihood` and `calibration`
//! belong to the posterior. `memory` is what is replayed. `distiller` is the loop: arrivals, training, sweeps, passes.
//! `thread` runs it, following what the store has.

mod calibration;
mod checkpoints;
mod distiller;
mod likelihood;
mod memory;
mod posterior;
mod refinery;
mod renormalise;
mod thread;
mod uniform;

pub use checkpoints::load_student;
pub use refinery::{Evidence, Refinery, new_refinery};
pub(crate) use thread::{Feed, Report, start};
