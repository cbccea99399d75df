//! Distillation: from candidates and student to one label per text.
//!
//! `refinery` is the trait; its kinds are `posterior` (ours, with `teacher_model`, `ranks`, `calibration`, `rankings`, `trust`,
//! `voices` and `sureness`, from what `seen` has of the evidence), `candist`, `renormalise`, `cc`, `uniform` and `single`. `memory` is what is replayed, `reading` what is read of the input log. `distiller` holds what is learned and how far it
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
mod rankings;
mod ranks;
mod reading;
mod refinery;
mod renormalise;
mod seen;
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

/// Of how the distiller makes labels of what student and refinery say: another one where it comes to make others. It is part of a
/// run's fingerprint.
pub(crate) const VERSION: u32 = 3;

pub(crate) use checkpoints::certified;
pub(crate) use checkpoints::{TrainedStudent, load_student};
pub(crate) use distiller::NewRefinery;
pub(crate) use new_student::{NewStudent, OwnStudent};
pub use refinery::{Evidence, Refinery, new_refinery};
pub(crate) use staged::staged;
pub(crate) use thread::{Feed, Follower, Report};
