//! The file of a corpus: one that can be read again at every start. A run that goes on reads its corpus from the
//! beginning, and passes over what it knows; what can be read once only would be an empty corpus the second time.

use std::fs::File;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::error::{Error, Result};

/// Opens the file at `path`, which is called `what` in errors. Looks before it opens: opening a pipe waits for someone to
/// write to it.
pub(super) fn open(path: &Path, what: &'static str) -> Result<File> {
    let unreadable = |source| Error::Input { what, path: path.to_owned(), source };
    let kind = std::fs::metadata(path).map_err(unreadable)?.file_type();
    let message = if kind.is_dir() {
        "is a folder: name the file of texts in it, or all of them by a pattern (\"FOLDER/*.jsonl\")"
    } else if kind.is_fifo() || kind.is_socket() {
        "is a pipe, and a run reads its corpus again at every start: name \"-\" and give it as standard input, which is kept, \
         or write it to a file"
    } else if kind.is_char_device() || kind.is_block_device() {
        "is a device: write the texts to a file, and name that"
    } else {
        return File::open(path).map_err(unreadable);
    };
    Err(Error::Unfit { path: path.to_owned(), message: message.to_owned() })
}

/// Whether `path` is a pipe, which can be read once.
pub(super) fn is_pipe(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Opens what is at `path`, whatever it is.
pub(super) fn open_any(path: &Path, what: &'static str) -> Result<File> {
    File::open(path).map_err(|source| Error::Input { what, path: path.to_owned(), source })
}
