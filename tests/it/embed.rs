//! Runs that are part of a program.

#[path = "embed/handle.rs"]
mod handle;
#[path = "embed/panics.rs"]
mod panics;
#[path = "embed/parts.rs"]
mod parts;
#[path = "embed/sinks.rs"]
mod sinks;
#[path = "embed/stops.rs"]
mod stops;
