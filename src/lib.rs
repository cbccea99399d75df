//! candist annotates a text corpus with an LLM that names *candidate labels*, keeps every paid answer, and distils the
//! candidates into one label per text with a small student that trains while the answers come in.
//!
//! The flow: corpus → resume filter → teacher → store → student → label log → tail. [`flow::pipeline::run`] is all of it;
//! ARCHITECTURE.md draws it.
//!
//! ```no_run
//! # async fn example() -> candist::Result<()> {
//! let config = candist::Config::load("configs/quickstart.toml".as_ref(), None)?;
//! let outcome = candist::flow::pipeline::run(config, Default::default(), std::future::pending(), Default::default()).await?;
//! println!("{} texts could not be annotated", outcome.failures.samples);
//! # Ok(())
//! # }
//! ```

pub mod base;
pub mod config;
pub mod corpus;
pub mod distill;
pub mod domain;
pub mod error;
pub mod flow;
pub mod readers;
pub mod store;
pub mod student;
pub mod teacher;

pub use config::Config;
pub use error::{Error, Result};
