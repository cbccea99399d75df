//! A run that several machines ask for, over PostgreSQL. The only module that names tokio-postgres.
//!
//! `trainer` is the side of `candist run`, `worker` that of `candist work`; `runs` and `claims` are what either does to the
//! database, statement by statement. See "A run that several machines ask for" in ARCHITECTURE.md.

mod claims;
mod database;
mod folder;
mod import;
mod mirror;
mod passwords;
mod purse;
mod quotas;
mod runs;
mod schema;
mod settling;
mod setup;
mod shipping;
mod teacher;
mod trainer;
mod worker;

pub use self::import::{Imported, import_answers};
pub use self::mirror::{Draft, Mirror};
pub(crate) use self::trainer::Trainer;
pub use self::worker::{WorkOptions, WorkProgress, Worked, work};

/// What a process is called in the database: machine and process.
fn name_of_process() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "somewhere".to_owned() } else { host.trim().to_owned() };
    format!("{host}:{}", std::process::id())
}
