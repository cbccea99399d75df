//! The `candist` program: parse, run one verb, exit with its code. Errors come up to here and are told once.

mod cli;

// A training step takes and gives back large pieces of memory; the C library's allocator returns each to the system. This
// one serves libtorch too (feature "override").
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // Only a test's build has any.
    let _failpoints = fail::has_failpoints().then(fail::FailScenario::setup);
    let cli = cli::Cli::parse();
    let voice = cli::start_messages(cli.manner());
    cli::run(cli, &voice).unwrap_or_else(|error| cli::report(&error)).into()
}
