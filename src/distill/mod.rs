//! Distillation: from candidates and student to one label per text.
//!
//! `refinery` is the trait; its kinds are `posterior` (ours, with `teacher_model`, `ranks`, `calibration`, `trust` and
//! `sureness`), `candist`, `renormalise`, `cc`, `uniform` and `single`. `memory` is what is replayed. `distiller` holds what is learned and how far it
//! came; `stream`, `sweep` and `settle` are what it does, `checkpoints` what it keeps. `thread` runs it, following the input log.

mod calibration;
mod candist;
mod cc;
mod checkpoints;
mod corrected;
mod distiller;
mod memory;
mod new_student;
mod others;
mod pairs;
mod posterior;
mod ranks;
mod refinery;
mod renormalise;
mod settle;
mod single;
mod staged;
mod stream;
mod sureness;
mod sweep;
mod teacher_model;
#[cfg(test)]
mod theory;
mod thread;
mod trust;
mod uniform;
mod voices;

pub(crate) use checkpoints::certified;
pub(crate) use checkpoints::{TrainedStudent, load_student};
pub(crate) use distiller::NewRefinery;
pub(crate) use new_student::{NewStudent, OwnStudent};
pub use refinery::{Evidence, Refinery, new_refinery};
pub(crate) use staged::staged;
pub(crate) use thread::{Feed, Follower, Report};
