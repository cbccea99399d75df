//! The flow: what joins the stages. `pipeline` reads like a list of them; `plan` is how a run is built, `run` how it is
//! held.
//!
//! A question's way through it: `intake` makes it, `asking` answers it, `placing` gives its sample a position.
//! `opening` and `stages` stand around them, `halt` and `status` beside. `known` and `batch` ask without a run, by
//! files; `correct` and `audit` keep what people decide, without one too.

pub(crate) mod asking;
pub mod batch;
pub(crate) mod correct;
mod correcting;
pub(crate) mod fingerprint;
pub(crate) mod first;
mod fit;
mod halt;
pub(crate) mod intake;
pub(crate) mod known;
mod opening;
pub(crate) mod people;
pub(crate) mod pipeline;
mod placing;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod sampled;
mod sharing;
mod sinking;
mod stages;
mod status;
mod total;
