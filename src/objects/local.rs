//! Files of this machine, or of a file system that several have.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Seek};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Listed, Place, fixed, is_hidden};
use crate::base::disk::{Disk, Machine};
use crate::base::failpoint::reach;
use crate::base::regular::{open_regular, read_regular};
use crate::corpus::{matches, would_match};
use crate::error::{Error, Result};

/// What the name of a file ends in that is being written.
const UNFINISHED: &str = ".unfinished";

/// As [`Place::list`].
pub(super) fn list(path: &str, place: &Place) -> Result<Vec<Listed>> {
    let unread = |path: &Path, source| Error::Input { what: "texts", path: path.to_owned(), source };
    let mut files = Vec::new();
    let root = if Path::new(path).is_dir() {
        walk(Path::new(path), &mut files).map_err(|source| unread(Path::new(path), source))?;
        PathBuf::from(path)
    } else {
        files = matches(Path::new(path))?;
        // Of one file the name is its own.
        let (root, is_pattern) = fixed(path);
        if is_pattern && files != [Path::new(path)] { PathBuf::from(root) } else { parent(Path::new(path)).to_owned() }
    };
    let listed = |file: PathBuf| {
        let file = std::fs::canonicalize(&file).map(|_| file.clone()).map_err(|source| unread(&file, source))?;
        let opened =
            open_regular(&file).and_then(|opened| opened.metadata()).map_err(|source| unread(&file, source))?;
        let not_utf8 = || place.unfit("has a file whose name is not UTF-8: give it another");
        Ok(Listed {
            path: file.to_str().ok_or_else(not_utf8)?.to_owned(),
            name: file.strip_prefix(&root).unwrap_or(&file).to_string_lossy().into_owned(),
            size: opened.len(),
            mark: mark(&opened),
        })
    };
    files.into_iter().map(listed).collect()
}

/// All files below `folder`, but for what is hidden, which need not be readable either.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if is_hidden(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let path = entry.path();
        if path.is_dir() { walk(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

/// The folder of a file.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The same file has the same one on every machine that sees it, and so has a copy that keeps times.
fn mark(metadata: &Metadata) -> String {
    format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec())
}

/// As [`Place::sizes`].
pub(super) fn sizes(path: &str, place: &Place) -> Result<BTreeMap<String, u64>> {
    let read = || -> io::Result<BTreeMap<String, u64>> {
        let mut sizes = BTreeMap::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            match entry.metadata() {
                Ok(metadata) => drop(sizes.insert(entry.file_name().to_string_lossy().into_owned(), metadata.len())),
                // Unfinished, and put or removed since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sizes)
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        read => read.map_err(Error::run_file("read", &place.as_path())),
    }
}

/// Whether the folder or pattern `path` takes a file at `other` in, which need not be there.
pub(super) fn would_list(path: &str, other: &str) -> bool {
    let is_within = || matches!((real(path), real(other)), (Ok(path), Ok(other)) if other.starts_with(&path));
    if Path::new(path).is_dir() { is_within() } else { would_match(Path::new(path), Path::new(other)) }
}

/// `path` without links and steps back in that part of it which is there.
fn real(path: &str) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    let there = absolute.ancestors().find_map(|above| {
        let rest = absolute.strip_prefix(above).ok()?;
        Some(std::fs::canonicalize(above).ok()?.join(rest))
    });
    Ok(there.unwrap_or(absolute))
}

/// As [`Place::read`].
pub(super) fn read(path: &str, place: &Place) -> Result<Option<Vec<u8>>> {
    match read_regular(Path::new(path)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::run_file("read", &place.as_path())(error)),
    }
}

/// A file that is read as it was listed.
pub(super) struct Opened {
    file: File,
    size: u64,
    mark: String,
}

impl Opened {
    pub(super) fn of(listed: &Listed, place: &Place) -> Result<Self> {
        let file = open_regular(Path::new(&listed.path)).map_err(|source| Error::Input {
            what: "texts",
            path: place.as_path(),
            source,
        })?;
        let opened = Self { file, size: listed.size, mark: listed.mark.clone() };
        opened.unchanged(place)?;
        Ok(opened)
    }

    /// What is open may be another file than the one of that name by now; it is what was listed that counts.
    pub(super) fn unchanged(&self, place: &Place) -> Result<()> {
        let now = self.file.metadata().map_err(|source| unread(place, source))?;
        if now.len() == self.size && mark(&now) == self.mark { Ok(()) } else { Err(place.changed()) }
    }

    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8], place: &Place) -> Result<usize> {
        match FileExt::read_at(&self.file, buffer, offset) {
            // Cut off since.
            Ok(0) if offset < self.size && !buffer.is_empty() => Err(place.changed()),
            read => read.map_err(|source| unread(place, source)),
        }
    }
}

fn unread(place: &Place, source: io::Error) -> Error {
    Error::Input { what: "texts", path: place.as_path(), source }
}

/// As [`Place::put_new`]: written beside it under a name that nobody reads, synced, linked to its name, which fails where there is one.
pub(super) fn put_new(path: &str, content: &File, place: &Place) -> Result<bool> {
    let path = Path::new(path);
    let put = || -> io::Result<bool> {
        make_folder(parent(path))?;
        let unfinished = unfinished(path);
        let written = copy(content, &unfinished).and_then(|()| reach("object-written"));
        let linked = written.and_then(|()| match std::fs::hard_link(&unfinished, path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            // Whoever found all to be there removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => Ok(false),
            // A file system without links. What is there by now has the same content: names stand for it.
            Err(_) if !path.exists() => std::fs::rename(&unfinished, path).map(|()| true),
            Err(error) => Err(error),
        });
        reach("object-linked")?;
        let _ = std::fs::remove_file(&unfinished);
        // What is there may have been put by who was killed before this.
        let linked = linked?;
        Machine.sync_folder_of(path)?;
        Ok(linked)
    };
    put().map_err(Error::run_file("write", &place.as_path()))
}

/// A name beside `path` that no other process or thread has.
fn unfinished(path: &Path) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let (number, random) = (NUMBER.fetch_add(1, Ordering::Relaxed), rand::random::<u64>());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{random:016x}-{number}{UNFINISHED}"))
}

fn copy(mut content: &File, to: &Path) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).open(to)?;
    content.rewind()?;
    io::copy(&mut content, &mut file)?;
    file.sync_all()
}

/// Makes a folder and those it is in; their names are on disk when this returns.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    make_folder(parent(folder))?;
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        made => made?,
    }
    Machine.sync_folder_of(folder)
}

/// As [`Place::clear`]. What cannot be removed is in nobody's way.
pub(super) fn clear(folder: &str) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with('.') && name.to_string_lossy().ends_with(UNFINISHED) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ranged::Ranged;
    use std::io::Write;

    fn spool(content: &str) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file
    }

    #[test]
    fn the_first_who_puts_wins_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::of(folder.path().to_str().unwrap()).unwrap().join("a").join("b").join("part");
        assert_eq!(place.read().unwrap(), None);
        assert!(place.put_new(&spool("first")).unwrap());
        assert!(!place.put_new(&spool("second")).unwrap());
        assert_eq!(place.read().unwrap().unwrap(), b"first");
        let beside = Place::of(folder.path().join("a/b").to_str().unwrap()).unwrap();
        assert_eq!(beside.sizes().unwrap(), BTreeMap::from([("part".to_owned(), 5)]));
        // What a kill left.
        std::fs::write(unfinished(&folder.path().join("a/b/part")), "half").unwrap();
        beside.clear();
        assert_eq!(beside.sizes().unwrap(), BTreeMap::from([("part".to_owned(), 5)]));
        assert_eq!(Place::of("nowhere/at/all").unwrap().sizes().unwrap(), BTreeMap::new());
    }

    #[test]
    fn folders_patterns_and_files_are_listed_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.jsonl", "a.jsonl", "c.txt", "in/d.jsonl", "_x/e.jsonl", ".f.jsonl"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let names = |pattern: &str| {
            let place = Place::of(folder.path().join(pattern).to_str().unwrap()).unwrap();
            place.list().map(|listed| listed.into_iter().map(|listed| listed.name).collect::<Vec<_>>())
        };
        assert_eq!(names("").unwrap(), ["a.jsonl", "b.jsonl", "c.txt", "in/d.jsonl"]);
        assert_eq!(names("*.jsonl").unwrap(), ["a.jsonl", "b.jsonl"]);
        assert_eq!(names("**/*.jsonl").unwrap(), ["_x/e.jsonl", "a.jsonl", "b.jsonl", "in/d.jsonl"]);
        assert_eq!(names("in/d.jsonl").unwrap(), ["d.jsonl"]);
        assert!(names("none.jsonl").unwrap_err().to_string().contains("none.jsonl"));
        assert!(names("none*").unwrap_err().to_string().contains("matches no file"));
    }

    #[test]
    fn what_was_changed_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "before").unwrap();
        let place = Place::of(path.to_str().unwrap()).unwrap();
        let listed = place.list().unwrap().remove(0);
        let object = place.open(&listed).unwrap();
        let mut buffer = [0; 9];
        assert_eq!(object.read_at(1, &mut buffer).unwrap(), 5);
        object.unchanged().unwrap();
        std::fs::write(&path, "be").unwrap();
        assert!(object.read_at(3, &mut buffer).unwrap_err().to_string().contains("changed while it was read"));
        // Told even where it is as it was again.
        assert!(object.unchanged().is_err() && object.unchanged().is_err());
        assert!(place.open(&listed).err().unwrap().to_string().contains("changed while it was read"));
    }
}
