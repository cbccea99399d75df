//! What sled needs around it: it panics or hangs on damage, leaves half of a snapshot when it is killed, and says in words
//! alone what is wrong.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use crate::base::durable::remove;
use crate::base::panic;
use crate::error::{Error, Result};

/// The name of the threads that open what sled keeps, and of the one that sorts it: their panics are caught, and not worth a message of their own.
pub const OPENING_THREAD: &str = "candist-open";

/// Reads what sled keeps at `path` on a thread of its own: sled panics, and may hang, on a damaged file.
///
/// The limit is a minute and 5 MB/s: far below any disk, and far above what opening takes. A thread that hangs is
/// left behind with its files; the folder is removed under it, and the new index has files of its own.
///
/// # Errors
///
/// Those of `read`; [`Error::StoreDamaged`] where it panics on the content or takes too long; [`Error::RunFile`]
/// where it panics because the machine refuses, or no thread can be started.
pub(super) fn guarded<T: Send + 'static>(
    path: PathBuf,
    read: impl FnOnce(&Path) -> Result<T> + Send + 'static,
) -> Result<T> {
    let limit = Duration::from_secs(60) + Duration::from_micros(folder_bytes(&path) / 5);
    let (sender, receiver) = mpsc::channel();
    let store = path.clone();
    let open = move || {
        // Nobody waits any more after the time limit; then there is nothing to tell.
        let _ = sender.send(sound(&path, || read(&path)));
    };
    std::thread::Builder::new().name(OPENING_THREAD.to_owned()).spawn(open).map_err(Error::no_thread)?;
    let late = |_| Error::StoreDamaged { path: store, message: "it does not open in time".to_owned() };
    receiver.recv_timeout(limit).map_err(late)?
}

/// Reads what sled keeps at `path`, where it is open; a panic of sled's is an error.
///
/// # Errors
///
/// Those of `read`, and of its panics those of [`guarded`].
pub(super) fn sound<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    let read = catch_unwind(AssertUnwindSafe(read));
    read.unwrap_or_else(|panic| Err(what_the_panic_means(path, panic::message(panic.as_ref()))))
}

/// sled panics on damage, and also where the machine refuses. The text is all there is to tell them apart. Taking a
/// full disk for damage would remove a good index.
fn what_the_panic_means(store: &Path, panic: String) -> Error {
    match refusal(&panic) {
        Some(_) => Error::run_file("use", store)(std::io::Error::other(panic)),
        None => Error::StoreDamaged { path: store.to_owned(), message: panic },
    }
}

/// Operation not permitted, I/O error, try again, out of memory, permission denied, too many files (two), file too large, no
/// space, read-only, quota; see errno(3). Any other may come of reading at a damaged offset.
const REFUSALS: [i32; 11] = [1, 5, 11, 12, 13, 23, 24, 27, 28, 30, 122];

/// With which of [`REFUSALS`] the machine refused, by what sled says: it wraps some errors of the system into its own.
fn refusal(said: &str) -> Option<i32> {
    let number = |rest: &str| rest.split(|next: char| !next.is_ascii_digit()).next()?.parse().ok();
    let numbered = ["os error ", "code: "].iter().find_map(|before| number(said.split_once(before)?.1));
    let full = ["No space left", "Disk quota"].iter().any(|full| said.contains(full)).then_some(28);
    numbered.filter(|code| REFUSALS.contains(code)).or(full)
}

/// Bytes of the files in a folder, not of those below; 0 where it cannot be read.
fn folder_bytes(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// A kill while sled 0.34 writes a snapshot leaves `snap.*.generating`, which it then takes for the newest snapshot and
/// fails on forever. Under the run's lock nobody is writing one now.
pub(super) fn remove_half_written_snapshots(path: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(path) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Whether someone has the lock of sled's file. sled has no kind of its own for it: its text alone tells.
pub(super) fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(_)) && error.to_string().contains("could not acquire lock")
}

/// What sled's error means: the machine refuses, another program has the files, or they are damaged.
pub(super) fn failed(path: &Path, error: sled::Error) -> Error {
    let text = error.to_string();
    if is_locked(&error) {
        // Another process has the index, and no damage is to be mended.
        return Error::Busy { path: path.to_owned() };
    }
    match error {
        sled::Error::Io(source) if source.raw_os_error().is_some_and(|code| REFUSALS.contains(&code)) => {
            Error::RunFile { action: "use", path: path.to_owned(), source }
        }
        _ => match refusal(&text) {
            Some(code) => Error::run_file("use", path)(std::io::Error::from_raw_os_error(code)),
            None => Error::StoreDamaged { path: path.to_owned(), message: text },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_refuses_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let refused = failed(dir.path(), sled::Error::Io(std::io::Error::from_raw_os_error(28)));
        assert!(matches!(refused, Error::RunFile { .. }), "{refused}");
        let full = failed(dir.path(), sled::Error::ReportableBug("No space left on device".into()));
        assert!(matches!(full, Error::RunFile { .. }), "{full}");
        // As sled clones an error.
        let cloned = std::io::Error::other(format!("{:?}", std::io::Error::from_raw_os_error(5)));
        let cloned = failed(dir.path(), sled::Error::Io(cloned));
        assert!(matches!(cloned, Error::RunFile { .. }), "{cloned}");
        let invalid = failed(dir.path(), sled::Error::Io(std::io::Error::from_raw_os_error(22)));
        assert!(matches!(invalid, Error::StoreDamaged { .. }), "{invalid}");
        let config = sled::Config::new().path(dir.path());
        let _held = config.open().unwrap();
        assert!(matches!(failed(dir.path(), config.open().unwrap_err()), Error::Busy { .. }));
    }

    #[test]
    fn a_panic_is_damage_unless_the_machine_refuses() {
        let said = |message: &'static str| {
            sound(Path::new("x"), || -> Result<()> { std::panic::panic_any(message) }).unwrap_err()
        };
        assert!(matches!(said("slice index starts at 9"), Error::StoreDamaged { .. }));
        assert!(matches!(said("write: No space left on device"), Error::RunFile { .. }));
        assert!(matches!(said("Os { code: 11, kind: WouldBlock }"), Error::RunFile { .. }));
        assert!(matches!(said("Os { code: 22, kind: InvalidInput }"), Error::StoreDamaged { .. }));
    }
}
