//! Distillation: from candidates and student to one label per text.
//!
//! `refinery` is the trait; its kinds are `posterior` (ours, with `teacher_model`, `ranks`, `calibration` and `trust`),
//! `candist`, `renormalise`, `cc`, `uniform` and `single`. `memory` is what is replayed. `distiller` is the loop: arrivals,
//! training, sweeps, passes. `thread` runs it, following what the store has.

mod calibration;
mod candist;
mod cc;
mod checkpoints;
mod distiller;
mod memory;
mod posterior;
mod ranks;
mod refinery;
mod renormalise;
mod single;
mod teacher_model;
#[cfg(test)]
mod theory;
mod thread;
mod trust;
mod uniform;

pub use checkpoints::{TrainedStudent, load_student};
pub use refinery::{Evidence, Refinery, new_refinery};
pub(crate) use thread::{Feed, Report, start};
