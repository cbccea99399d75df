//! The disk that the logs stand on, as a trait: these are all the steps that a power cut can come between.
//!
//! [`Machine`] is the real one and costs nothing: which disk a log stands on is known when it is compiled. Tests have one that
//! loses what was not synced.
//!
//! What a power cut leaves: of bytes that were not synced any part, in pages, in any order; of names that were
//! created, renamed or removed, only those whose folder was synced. What the code may count on is what these methods
//! say, no more.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Deref;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// Where files are.
pub(crate) trait Disk: Debug + Clone + Send + Sync + 'static {
    /// A file of it.
    type File: DiskFile;

    /// Opens `path` for reading and appending; makes it if it is not there. The name of a new file is not durable
    /// yet.
    fn open_append(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens `path` for reading.
    fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Makes an empty file at `path`, in place of what is there, which is lost at once: only for scratch names.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Gives a file another name, in place of what has it. Atomic for whoever looks; durable once the folder is
    /// synced. The content must be synced before, or a power cut may leave the new name with nothing in it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes what was created, renamed or removed in the folder of `path` durable.
    fn sync_folder_of(&self, path: &Path) -> io::Result<()>;

    /// Whether `path` leads to `file`, and not to another that took its name. An error where there is none.
    fn leads_to(&self, path: &Path, file: &Self::File) -> io::Result<bool>;
}

/// A file that is read at any place and written at its end.
pub(crate) trait DiskFile: Debug + Send + Sync + 'static {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Writes all of `bytes` at the end. After an error a part of them may be there. Not durable before
    /// [`DiskFile::sync`].
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Reads some bytes from `offset` on; none at the end. Moves no position, so any number of threads may read at
    /// once.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes content and length durable (fdatasync). After an error nothing is known of what was written: trying
    /// again may succeed without having written it.
    fn sync(&self) -> io::Result<()>;

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    ///
    /// Of kind `UnexpectedEof` where the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        reading(self, offset).read_exact(buffer)
    }
}

/// The disk of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Machine;

impl Disk for Machine {
    type File = File;

    fn open_append(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).append(true).create(true).open(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        File::open(path)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        File::create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_folder_of(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }

    fn leads_to(&self, path: &Path, file: &File) -> io::Result<bool> {
        let (there, ours) = (std::fs::metadata(path)?, file.metadata()?);
        Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino()))
    }
}

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Reads a file from one place on, with a position of its own. Unbuffered.
#[derive(Debug)]
pub(crate) struct Reading<P> {
    file: P,
    at: u64,
}

/// Reads `file` from `at` on.
pub(crate) fn reading<P: Deref<Target: DiskFile>>(file: P, at: u64) -> Reading<P> {
    Reading { file, at }
}

impl<P: Deref<Target: DiskFile>> Read for Reading<P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
