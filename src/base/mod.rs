//! What every stage stands on: files that are there whole or not at all, files and lines that end, text that is cut, tokenizers
//! that are fenced, random numbers keyed by use.

pub(crate) mod durable;
pub(crate) mod lines;
pub mod random;
pub(crate) mod regular;
pub(crate) mod text;
pub mod threads;
pub(crate) mod tokenizer;
