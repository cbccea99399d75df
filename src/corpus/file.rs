//! The file of a corpus: one that can be read again at every start. A run that goes on reads its corpus from the
//! beginning, and passes over what it knows; what can be read once only would be an empty corpus the second time.

use std::fs::File;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::error::{Error, Result};

/// Opens the file at `path`. Looks before it opens: opening a pipe waits for someone to write to it.
pub(super) fn open(path: &Path) -> Result<File> {
    let unreadable = |source| Error::Input { what: "corpus", path: path.to_owned(), source };
    let kind = std::fs::metadata(path).map_err(unreadable)?.file_type();
    let message = if kind.is_dir() {
        "is a folder: name the file of texts in it"
    } else if kind.is_fifo() || kind.is_socket() {
        "is a pipe, and a run reads its corpus again at every start: write it to a file, and name that"
    } else if kind.is_char_device() || kind.is_block_device() {
        "is a device: write the texts to a file, and name that"
    } else {
        return File::open(path).map_err(unreadable);
    };
    Err(Error::Unfit { path: path.to_owned(), message: message.to_owned() })
}
