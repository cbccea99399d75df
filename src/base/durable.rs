//! Files that are there whole or not at all, and names that outlive a power cut.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};

/// Writes `bytes` beside `path`, makes them durable, and renames them into place: old or new, never torn.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        sync_folder_of(path)
    };
    write().map_err(Error::run_file("write", path))
}

/// Opens `path` for reading and appending. A file that is made here has its name on disk when this returns: without that,
/// a power cut loses the file with all that was synced into it.
pub(crate) fn open_append(path: &Path) -> std::io::Result<File> {
    let existed = path.try_exists()?;
    let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    if !existed {
        file.sync_all()?;
        sync_folder_of(path)?;
    }
    Ok(file)
}

/// Makes what was created, renamed or removed in the folder of `path` durable.
pub(crate) fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Renames, durably.
pub(crate) fn rename(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::rename(from, to)?;
    sync_folder_of(to)
}
