//! The flow: what joins the stages. `pipeline` reads like a list of them.

pub mod asking;
pub mod batch;
pub mod intake;
pub mod pipeline;
pub mod progress;
