//! What the logs that any process adds to have in common: whose turn it is to write, which file it is, and a last line that lost its feed.
//!
//! The file's own lock is a turn. It is waited for, but not for ever: whoever was told that something is not kept may say it again, and
//! then it must not be written late, over that.

use std::fs::{File, Metadata, TryLockError};
use std::io::{Error as IoError, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::base::sealed;
use crate::error::{Error, Result};

/// How long a turn is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether it has come.
const LOOK: Duration = Duration::from_millis(5);
/// Bytes of a line whose feed may be lost.
const LONGEST: u64 = 64 << 20;

/// Tells a file from another of its name. Both count: file systems number their files alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(crate) fn of(file: &Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino() }
    }
}

/// The file at `path`, and how long it is; `None` where there is none.
pub(super) fn look(path: &Path) -> Result<Option<(FileId, u64)>> {
    match std::fs::metadata(path) {
        Ok(file) => Ok(Some((FileId::of(&file), file.len()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::run_file("read", path)(source)),
    }
}

/// Does `what` in a turn of the log at `path`, which is made where there is none.
pub(super) fn in_turn<T>(path: &Path, what: impl FnOnce() -> Result<T>) -> Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut log = File::options().create(true).append(true).read(true).open(path).map_err(failed(path))?;
        wait(&log, until).map_err(failed(path))?;
        // Another file may have come to have its name meanwhile, whose turn this is not.
        let own = log.metadata().map_err(failed(path))?;
        if look(path)?.is_some_and(|(there, _)| there == FileId::of(&own)) {
            mend(&mut log).map_err(failed(path))?;
            return what();
        }
    }
}

fn failed(path: &Path) -> impl FnOnce(IoError) -> Error + use<> {
    Error::run_file("write", path)
}

fn wait(log: &File, until: Instant) -> std::io::Result<()> {
    loop {
        match log.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                let why = format!("another process has been writing it for {} s: nothing was kept", PATIENCE.as_secs());
                return Err(IoError::new(ErrorKind::TimedOut, why));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
        }
    }
}

/// Gives the last line its feed where that alone is missing: an editor may take it, and an unfinished line would be cut.
fn mend(log: &mut File) -> std::io::Result<()> {
    let length = log.metadata()?.len();
    let (mut from, mut tail) = (length, Vec::new());
    while from > 0 && !tail.contains(&b'\n') && length - from < LONGEST {
        from = from.saturating_sub(4096.max(length - from));
        tail.clear();
        log.seek(SeekFrom::Start(from))?;
        Read::by_ref(log).take(length - from).read_to_end(&mut tail)?;
        if tail.last() == Some(&b'\n') {
            return Ok(());
        }
    }
    let begin = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |feed| feed + 1);
    if tail.get(begin..).is_some_and(|line| sealed::check(line).is_ok()) {
        log.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_that_alone_is_missing_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let long = sealed::seal(&format!("{{\"a\":\"{}\"}}", "x".repeat(10_000)));
        let short = sealed::seal("{\"b\":1}");
        let mended = |content: &str| {
            std::fs::write(&path, content).unwrap();
            in_turn(&path, || Ok(())).unwrap();
            std::fs::read_to_string(&path).unwrap()
        };
        for whole in [short.clone(), short.clone() + &long, long.clone() + &short] {
            assert_eq!(mended(whole.trim_end()), whole);
            assert_eq!(mended(&whole), whole);
        }
        // Torn, it is for whoever opens the log.
        let torn = short.clone() + &long[..long.len() - 5];
        assert_eq!((mended(&torn), mended("")), (torn, String::new()));
    }

    #[test]
    fn a_turn_is_of_the_file_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "").unwrap();
        let first = File::open(&path).unwrap();
        first.lock().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| in_turn(&path, || std::fs::read_to_string(&path).map_err(failed(&path))));
            std::thread::sleep(Duration::from_millis(50));
            std::fs::write(dir.path().join("other"), "other\n").unwrap();
            std::fs::rename(dir.path().join("other"), &path).unwrap();
            first.unlock().unwrap();
            assert_eq!(waiting.join().unwrap().unwrap(), "other\n");
        });
    }
}
