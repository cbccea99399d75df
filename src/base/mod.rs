//! What every stage stands on: durable files, sealed and bounded lines, random numbers keyed by their use.

pub(crate) mod disk;
pub(crate) mod durable;
pub(crate) mod failpoint;
pub(crate) mod lines;
pub mod random;
pub(crate) mod sealed;
#[cfg(test)]
pub(crate) mod simulated_disk;
