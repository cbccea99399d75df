//! A program that started this one, and whose end is this one's too: what a notebook's kernel began goes on for nobody, and
//! would hold the run directory, when the kernel is gone. Works for every way of dying, since the kernel closes pipes.

use std::io::Read;

use signal_hook::consts::SIGTERM;

/// In the environment: standard input is a pipe that the caller holds open for as long as it lives, and writes nothing to.
const STOP_AT_EOF: &str = "CANDIST_STOP_AT_EOF";

/// Whether standard input is such a pipe.
pub(super) fn has_caller() -> bool {
    std::env::var_os(STOP_AT_EOF).is_some_and(|value| !value.is_empty())
}

/// Stops this program as SIGTERM does, once standard input ends, if the caller asked for that.
pub(super) fn stop_with_caller() {
    if !has_caller() {
        return;
    }
    let watching = std::thread::Builder::new().name("candist-caller".to_owned()).spawn(|| {
        let mut input = std::io::stdin();
        // What is written all the same says nothing.
        while input.read(&mut [0; 256]).is_ok_and(|read| read > 0) {}
        if let Err(error) = signal_hook::low_level::raise(SIGTERM) {
            tracing::warn!("the program that started this one has ended, and this one cannot stop: {error}");
        }
    });
    if let Err(error) = watching {
        tracing::warn!("cannot watch for the end of the program that started this one: {error}");
    }
}
