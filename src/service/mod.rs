//! A student behind an address: texts are posted to it, and it answers what it says of them.
//!
//! [`StudentService`] is all that a program needs. A request is read and checked (`body`, `request`), its texts wait in a queue
//! that is bounded (`queue`), and one thread has the student and labels what waits, texts of several requests together
//! (`batches`). `metrics` counts, `openapi` tells of it all. Nothing is written, and nothing is kept of a text.

mod batches;
mod body;
mod metrics;
mod openapi;
mod queue;
mod request;
mod routes;
mod serve;

pub(crate) use self::openapi::openapi;
pub use self::serve::{ServiceOptions, StudentService};
