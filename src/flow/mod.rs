//! The flow: what joins the stages. `pipeline` reads like a list of them; `run` is how it is built and held.

pub(crate) mod asking;
pub mod batch;
pub(crate) mod fingerprint;
mod fit;
mod halt;
pub(crate) mod intake;
pub(crate) mod known;
mod opening;
pub(crate) mod pipeline;
mod placing;
pub(crate) mod plan;
pub(crate) mod run;
mod sinking;
mod stages;
mod status;
