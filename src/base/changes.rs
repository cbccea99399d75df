//! Waiting for a file to change: told by the system where it can, else by time alone.
//!
//! What is told is only that it is worth a look. Nothing may be inferred from silence: network file systems do not tell of what other
//! machines write, and a machine may have no more watches to give. So whoever waits says for how long at most.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

/// See the module.
#[derive(Debug)]
pub(crate) struct Changes(Option<Watch>);

#[derive(Debug)]
struct Watch {
    changed: Receiver<()>,
    /// It tells as long as it lives.
    _watcher: RecommendedWatcher,
}

impl Changes {
    /// Of the file at `path`, which need not be there. Its folder is watched: another file may come to have its name.
    pub(crate) fn of(path: &Path) -> Self {
        Self(Watch::of(path).inspect_err(|error| tracing::debug!("{} is not watched: {error}", path.display())).ok())
    }

    /// Waits until the file changed since the last call, and `at_most` so long.
    pub(crate) fn wait(&self, at_most: Duration) {
        let Some(watch) = &self.0 else { return std::thread::sleep(at_most) };
        let begun = Instant::now();
        if watch.changed.recv_timeout(at_most) == Err(RecvTimeoutError::Disconnected) {
            // Nobody tells any more.
            std::thread::sleep(at_most.saturating_sub(begun.elapsed()));
        }
    }
}

impl Watch {
    fn of(path: &Path) -> notify::Result<Self> {
        // Several changes that nobody has looked at yet are one.
        let (tell, changed) = sync_channel(1);
        let name = path.file_name().map(ToOwned::to_owned);
        let is_of_it = move |event: &Event| {
            event.need_rescan() || event.paths.iter().any(|path| path.file_name() == name.as_deref())
        };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| match event {
            Ok(event) if event.kind.is_access() || !is_of_it(&event) => {}
            // An error too: whoever waits finds out by looking.
            _ => {
                let _ = tell.try_send(());
            }
        })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(Self { changed, _watcher: watcher })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_change_ends_the_wait_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let changes = Changes::of(&path);
        assert!(changes.0.is_some());
        // Another file's, and looking at it, are no changes.
        std::fs::write(dir.path().join("other"), "x").unwrap();
        let begun = Instant::now();
        changes.wait(Duration::from_millis(200));
        assert!(begun.elapsed() >= Duration::from_millis(200));
        for what in ["made", "written", "replaced"] {
            let begun = Instant::now();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(50));
                    match what {
                        "made" => drop(std::fs::File::create(&path).unwrap()),
                        "written" => {
                            std::fs::File::options().append(true).open(&path).unwrap().write_all(b"x").unwrap()
                        }
                        _ => std::fs::rename(dir.path().join("other"), &path).unwrap(),
                    }
                });
                changes.wait(LONG);
            });
            assert!(begun.elapsed() < LONG, "{what}");
            // What came of the same change.
            std::thread::sleep(Duration::from_millis(50));
            changes.wait(Duration::ZERO);
        }
        std::fs::read(&path).unwrap();
        let begun = Instant::now();
        changes.wait(Duration::from_millis(200));
        assert!(begun.elapsed() >= Duration::from_millis(200));
    }

    #[test]
    fn where_nothing_can_be_watched_it_waits() {
        let changes = Changes::of(Path::new("/no/such/folder/log"));
        let begun = Instant::now();
        changes.wait(Duration::from_millis(20));
        assert!(changes.0.is_none() && begun.elapsed() >= Duration::from_millis(20));
    }
}
