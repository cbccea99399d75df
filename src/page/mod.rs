//! The page of a run: what its files hold, at one address, while it runs and after.
//!
//! [`PageServer`] is all that the program needs. ARCHITECTURE.md, "The page", says how it works inside: one thread keeps a table
//! of all texts from the logs (`follow`, `rows`), and routes answer from it and from the logs. Nothing here takes the
//! run's lock, and nothing is written but what people decide (`desk`, `audit`).

mod app;
mod arrival;
mod assets;
mod audit;
mod audit_shapes;
mod auditing;
mod choices;
mod counts;
mod decide;
mod desk;
mod detail;
mod estimates;
mod follow;
mod given;
mod ids;
mod lines;
mod metrics;
mod near;
mod openapi;
mod overview;
mod query;
mod report;
mod review;
mod routes;
mod rows;
mod sampled;
mod scan;
mod search;
mod serve;
mod shapes;
mod shared;
mod shown;
mod stream;

pub(crate) use self::openapi::openapi;
pub use self::serve::{PageAddress, PageOptions, PageServer};
// What other servers have too.
use crate::http::guard;
