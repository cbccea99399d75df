//! A run that several machines ask for, over PostgreSQL. The only module that names tokio-postgres.
//!
//! `trainer` is the side of `candist run`, `worker` that of `candist work`; `runs` and `claims` are what either does to the
//! database, statement by statement. See "A run that several machines ask for" in ARCHITECTURE.md.

mod ask;
mod beside;
mod checkpoints;
mod claims;
mod database;
mod folder;
mod import;
mod mirror;
mod outstanding;
mod passwords;
mod pieces;
mod process;
mod purse;
mod quotas;
mod runs;
mod said;
mod schema;
mod scope;
mod serving;
mod settling;
mod setup;
mod shipping;
mod takeover;
mod teacher;
mod trainer;
mod worker;

pub use self::import::{Imported, import_answers};
pub use self::mirror::{Draft, Mirror};
pub use self::takeover::is_trained_here;
pub(crate) use self::trainer::Trainer;
pub use self::worker::{WorkOptions, WorkProgress, Worked, work};

use tokio::task::JoinError;

use crate::base::panic::panicked;
use crate::error::{Error, Result};

/// What a task gave; its panic is an error.
fn joined<T>(stage: &'static str, ended: std::result::Result<Result<T>, JoinError>) -> Result<T> {
    ended.unwrap_or_else(|error| Err(error.try_into_panic().map_or(Error::Interrupted, |panic| panicked(stage, panic))))
}
