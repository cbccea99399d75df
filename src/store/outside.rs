//! Places in a run directory, which is candist's own: nothing that a person asks for is written there.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Refuses `out` where it is, or would be, in the run directory `dir`.
///
/// # Errors
///
/// [`Error::Unfit`], which says to choose another place.
pub(crate) fn outside(dir: &Path, out: &Path) -> Result<()> {
    let real = |path: &Path| -> Option<PathBuf> { std::fs::canonicalize(path).ok() };
    // It may not be there yet, nor its folders.
    let there = std::path::absolute(out).ok();
    let place = there.as_deref().and_then(|out| out.ancestors().find_map(real));
    match (place, real(dir)) {
        (Some(place), Some(dir)) if place.starts_with(&dir) => {
            let message = "is in the run directory, which is candist's own: choose another place".to_owned();
            Err(Error::Unfit { path: out.to_owned(), message })
        }
        _ => Ok(()),
    }
}
