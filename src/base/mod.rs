//! What every stage stands on: durable files, regular files, what is read in any order, more records than there is memory for, work in order on threads, sealed and bounded lines, text that is cut, and as n-grams,
//! tokenizers that are fenced, random numbers keyed by their use, moments as text, panics as errors, waiting for a file to change.

pub(crate) mod changes;
pub(crate) mod date;
pub(crate) mod disk;
pub(crate) mod durable;
pub(crate) mod failpoint;
pub(crate) mod filter;
pub(crate) mod in_order;
pub(crate) mod lines;
pub(crate) mod ngrams;
pub(crate) mod panic;
pub(crate) mod random;
pub(crate) mod ranged;
pub(crate) mod regular;
pub(crate) mod scratch;
pub(crate) mod sealed;
#[cfg(test)]
pub(crate) mod simulated_disk;
pub(crate) mod sorting;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod threads;
pub(crate) mod tokenizer;
