//! Where a table goes: a file that is there whole or not at all, or standard output.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;

use super::format::Compression;
use crate::base::disk::{Disk, Machine};
use crate::error::{Error, Result};

/// Bytes that are written at once.
const BUFFER: usize = 1 << 18;
/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// What bytes go into: what is written becomes the file's content when it is [put in place](Target::put), or never.
#[derive(Debug)]
pub(in crate::readers) struct Target {
    /// For messages.
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Standard output, a pipe, a device: what is written is gone.
    Stream,
    /// A file beside the one it becomes.
    Beside { part: PathBuf, file: File, target: PathBuf },
}

impl Target {
    /// Prepares to write to `path`, or, without one, to standard output; gives what to write to. What is there stays there
    /// until [`Target::put`].
    ///
    /// # Errors
    ///
    /// [`Error::Unfit`] where `path` is a folder, its folder is not there, or another process is writing it; [`Error::RunFile`] where
    /// nothing can be written there.
    pub(in crate::readers) fn open(path: Option<&Path>) -> Result<(Self, File)> {
        let Some(path) = path else {
            let path = PathBuf::from("standard output");
            let file = standard_output().map_err(Error::run_file("write to", &path))?;
            return Ok((Self { path, kind: Kind::Stream }, file));
        };
        let unwritable = || Error::run_file("write", path);
        let unfit = |message: &str| Error::Unfit { path: path.to_owned(), message: message.to_owned() };
        match std::fs::metadata(path) {
            Ok(there) if there.is_dir() => return Err(unfit("is a folder: name a file")),
            Ok(there) if !there.is_file() => {
                let file = OpenOptions::new().write(true).open(path).map_err(unwritable())?;
                return Ok((Self { path: path.to_owned(), kind: Kind::Stream }, file));
            }
            _ => {}
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(unfit("is in a folder that is not there: make it first"));
        }
        // Where it is a link, the file that it leads to is replaced, and not the link.
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let part = part_of(&target);
        let file = take(&part).map_err(unwritable())?;
        let file = file.ok_or_else(|| unfit("is being written by another process just now: wait for it"))?;
        let writer = file.try_clone().map_err(unwritable())?;
        // From here on the half of a file is removed where this ends early.
        let target = Self { path: path.to_owned(), kind: Kind::Beside { part, file, target } };
        if let (Kind::Beside { file, .. }, Ok(there)) = (&target.kind, std::fs::metadata(path)) {
            // Whoever could read the old one can read the new one. Where it may not be said, it is not.
            let _ = file.set_permissions(there.permissions());
        }
        Ok((target, writer))
    }

    /// Makes an error of writing one that names the place.
    pub(in crate::readers) fn failed(&self) -> impl Fn(io::Error) -> Error + use<> {
        let path = self.path.clone();
        move |source| Error::run_file("write", &path)(source)
    }

    /// Puts what was written in place, on disk when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`]; the old file stands then, or the new one, whole.
    pub(in crate::readers) fn put(mut self) -> Result<()> {
        let failed = self.failed();
        let Kind::Beside { part, file, target } = &self.kind else { return Ok(()) };
        file.sync_all().and_then(|()| std::fs::rename(part, target)).map_err(&failed)?;
        let synced = Machine.sync_folder_of(target).map_err(&failed);
        self.kind = Kind::Stream;
        synced
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Kind::Beside { part, .. } = &self.kind {
            // Half of a table helps nobody.
            let _ = std::fs::remove_file(part);
        }
    }
}

/// Where a file is written before it is in place. Always the same name: what a kill left of one is written over by the next.
fn part_of(target: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".part");
    target.with_file_name(name)
}

/// The file at `part`, empty and this process' alone; `None` where another process has it.
fn take(part: &Path) -> io::Result<Option<File>> {
    loop {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(part)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Else another process has just put it in place, under its name.
        if Machine.leads_to(part, &file).unwrap_or(false) {
            file.set_len(0)?;
            return Ok(Some(file));
        }
    }
}

/// Standard output without a buffer of its own, which looks for line feeds.
fn standard_output() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Buffers, and compresses, what is written to a file.
pub(super) enum Stream {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

impl Stream {
    pub(super) fn new(file: File, compression: Compression) -> io::Result<Self> {
        let out = BufWriter::with_capacity(BUFFER, file);
        Ok(match compression {
            Compression::None => Self::Plain(out),
            Compression::Gzip => Self::Gzip(GzEncoder::new(out, flate2::Compression::default())),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
        })
    }

    /// Writes what is held.
    pub(super) fn finish(self) -> io::Result<()> {
        let mut out = match self {
            Self::Plain(out) => out,
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Zstd(encoder) => encoder.finish()?,
        };
        out.flush()
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gzip(out) => out.write(bytes),
            Self::Zstd(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gzip(out) => out.flush(),
            Self::Zstd(out) => out.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_old_or_new_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        std::fs::write(&path, "old").unwrap();
        let (target, mut file) = Target::open(Some(&path)).unwrap();
        file.write_all(b"ne").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        // Only one at a time.
        assert!(Target::open(Some(&path)).unwrap_err().to_string().contains("another process"));
        drop((target, file));
        assert_eq!(
            (std::fs::read(&path).unwrap(), names(folder.path())),
            (b"old".to_vec(), vec!["out.csv".to_owned()])
        );
        // What a kill left is written over.
        std::fs::write(part_of(&path), "rest of a longer one").unwrap();
        let (target, mut file) = Target::open(Some(&path)).unwrap();
        file.write_all(b"new").unwrap();
        target.put().unwrap();
        assert_eq!(
            (std::fs::read(&path).unwrap(), names(folder.path())),
            (b"new".to_vec(), vec!["out.csv".to_owned()])
        );
    }

    #[test]
    fn links_stay_links_and_devices_are_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("out"), folder.path().join("link"));
        std::fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let (target, mut file) = Target::open(Some(&link)).unwrap();
        file.write_all(b"new").unwrap();
        target.put().unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        Target::open(Some(Path::new("/dev/null"))).unwrap().0.put().unwrap();
        assert!(Target::open(Some(folder.path())).unwrap_err().to_string().contains("is a folder"));
        let nowhere = Target::open(Some(&folder.path().join("none/out"))).unwrap_err().to_string();
        assert!(nowhere.contains("folder that is not there"), "{nowhere}");
    }

    #[test]
    fn what_is_compressed_is_read() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let mut file = tempfile::tempfile().unwrap();
            let mut stream = Stream::new(file.try_clone().unwrap(), compression).unwrap();
            stream.write_all(b"some text").unwrap();
            stream.finish().unwrap();
            std::io::Seek::rewind(&mut file).unwrap();
            let mut read = String::new();
            match compression {
                Compression::None => file.read_to_string(&mut read),
                Compression::Gzip => flate2::read::GzDecoder::new(file).read_to_string(&mut read),
                Compression::Zstd => zstd::Decoder::new(file).unwrap().read_to_string(&mut read),
            }
            .unwrap();
            assert_eq!(read, "some text");
        }
    }
}
