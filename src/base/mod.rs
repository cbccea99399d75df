//! What every stage stands on: files that are there whole or not at all, lines bounded and sealed, random numbers keyed
//! by use.

pub(crate) mod durable;
pub(crate) mod lines;
pub mod random;
pub(crate) mod sealed;
