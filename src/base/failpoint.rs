//! Named places at which a test makes the program die or fail. In a released build [`reach`] does nothing.
//!
//! `FAILPOINTS="log-sync=3*off->return(abort)"` aborts at the fourth time, as `kill -9` would; `return` gives an
//! error. Steps of a write that must survive a kill have one before each, so that a test can die between any two.

use std::io;
use std::path::Path;

use crate::error::{Error, Result};

/// Goes on, unless a test has set something up for `name`.
pub(crate) fn reach(name: &str) -> io::Result<()> {
    let failed = || io::Error::other(format!("failpoint {name}"));
    fail::fail_point!(name, |action| match action.as_deref() {
        Some("abort") => std::process::abort(),
        _ => Err(failed()),
    });
    let _ = failed;
    Ok(())
}

/// As [`reach`], between steps that are no I/O of one file; the error names the place instead of a path.
pub(crate) fn pass(name: &str) -> Result<()> {
    reach(name).map_err(Error::run_file("go on after", Path::new(name)))
}
