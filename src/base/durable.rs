//! Files that are there whole or not at all, and names that outlive a power cut.

use std::path::Path;

use super::disk::{Disk, DiskFile, Machine};
use super::failpoint::reach;
use crate::error::{Error, Result};

/// Writes `bytes` beside `path`, makes them durable, and renames them into place: old or new, never torn.
///
/// The new file is on disk under its name when this returns. It is written at `path` with the extension `new`: two
/// files that differ in their extension alone must not be replaced at once.
///
/// # Errors
///
/// [`Error::RunFile`]; the old file stands then, or the new one, whole.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_file_on(&Machine, path, bytes)
}

/// As [`replace_file`], on any disk.
pub(crate) fn replace_file_on<D: Disk>(disk: &D, path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    let write = || {
        reach("replace-write")?;
        let file = disk.create(&new)?;
        file.append(bytes)?;
        reach("replace-sync")?;
        file.sync()?;
        reach("replace-rename")?;
        disk.rename(&new, path)?;
        reach("replace-renamed")?;
        disk.sync_folder_of(path)
    };
    write().map_err(Error::run_file("write", path))
}

/// Opens `path` for reading and appending. What is in it and its name are on disk when this returns: without the name, a power
/// cut loses the file with all that was synced into it; and a process that was killed may have left either unsynced.
pub(crate) fn open_append<D: Disk>(disk: &D, path: &Path) -> std::io::Result<D::File> {
    let file = disk.open_append(path)?;
    file.sync()?;
    disk.sync_folder_of(path)?;
    Ok(file)
}

/// Makes what was created, renamed or removed in the folder of `path` durable.
pub(crate) fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    Machine.sync_folder_of(path)
}

/// Renames within one folder, durably.
pub(crate) fn rename(from: &Path, to: &Path) -> std::io::Result<()> {
    Machine.rename(from, to)?;
    Machine.sync_folder_of(to)
}

/// Removes a file or a folder with all in it, if it is there, durably. A kill within may leave a part of a folder.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync_folder_of(path)).map_err(Error::run_file("remove", path)),
    }
}
