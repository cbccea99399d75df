//! Files of a model's folder: each a regular file, and each error with its path. A folder comes from anywhere, so a
//! pipe or a device in it is refused instead of waited for.

use std::path::{Path, PathBuf};

use crate::base::regular::read_regular;
use crate::error::{Error, Result};

/// A model's file or folder that cannot be used, and why.
pub(super) fn wrong(path: &Path, message: impl ToString) -> Error {
    Error::Model { path: path.to_owned(), message: message.to_string() }
}

/// `file` in `folder`, read; `expected` says what the folder should be.
pub(super) fn read(folder: &Path, file: &str, expected: &str) -> Result<(PathBuf, Vec<u8>)> {
    let path = folder.join(file);
    match read_regular(&path) {
        Ok(bytes) => Ok((path, bytes)),
        Err(error) => Err(wrong(&path, format!("{error}; expected {expected}"))),
    }
}

/// A model that needs what this build has not.
#[cfg(not(feature = "encoder"))]
pub(super) fn without_encoder(model: &Path) -> Error {
    wrong(model, "an encoder needs candist built with its feature \"encoder\" (cargo build --features encoder)")
}
