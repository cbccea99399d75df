//! Objects: files of this machine, or what s3, gs and az hold, named by URI. Listed, read in any order as they were listed, and put
//! where none is: whole, on disk, and never in the place of another.
//!
//! The only room that names object_store. Keys and tokens come from the environment (as AWS, Google and Azure call them there), and
//! go into no message. Everything here waits; nothing of it may be called on an async worker.

#[cfg(feature = "cloud")]
mod cloud;
mod local;
mod uri;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::ranged::{Ranged, Span};
use crate::error::{Error, Result};

/// Where objects are: a folder, a prefix, a pattern of names, or one object.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    store: Store,
    /// A path of the machine, or a key.
    path: String,
    /// The URI, or the path, as it was typed.
    shown: String,
}

#[derive(Debug, Clone)]
enum Store {
    Local,
    #[cfg(feature = "cloud")]
    Cloud(cloud::Cloud),
}

/// An object, as it was when it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its path or key.
    path: String,
    /// Its name in what was listed, by which they are in order.
    pub(crate) name: String,
    /// In bytes.
    pub(crate) size: u64,
    /// Another where its content was changed: an e-tag, or the time of the change.
    pub(crate) mark: String,
}

impl Place {
    /// The place that `uri` names: `s3://`, `gs://`, `az://` with a bucket and a key, `file://` or a path.
    ///
    /// # Errors
    ///
    /// [`Error::Unfit`] for another scheme, a store that this build has not, or settings in the environment that are not enough.
    pub(crate) fn of(uri: &str) -> Result<Self> {
        let (store, path) = match uri::split(uri)? {
            uri::Uri::Local(path) => (Store::Local, path),
            uri::Uri::Cloud { scheme, bucket, key } => (cloud(uri, scheme, bucket)?, key),
        };
        Ok(Self { store, path: path.to_owned(), shown: uri.to_owned() })
    }

    /// What `name` is called in this folder.
    pub(crate) fn join(&self, name: &str) -> Self {
        let join = |path: &str| match path.trim_end_matches('/') {
            "" if path.is_empty() => name.to_owned(),
            path => format!("{path}/{name}"),
        };
        Self { store: self.store.clone(), path: join(&self.path), shown: join(&self.shown) }
    }

    /// As it was typed.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// For errors.
    pub(crate) fn as_path(&self) -> PathBuf {
        PathBuf::from(&self.shown)
    }

    /// The path, where it is one of this machine.
    pub(crate) fn local(&self) -> Option<&Path> {
        match self.store {
            Store::Local => Some(Path::new(&self.path)),
            #[cfg(feature = "cloud")]
            Store::Cloud(_) => None,
        }
    }

    /// The object that is here, or all objects in the folder, or those that the pattern matches, by name. What is hidden (`.` or
    /// `_` at the beginning of a name) is not meant by a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Unfit`] where there is none; those of the store.
    pub(crate) fn list(&self) -> Result<Vec<Listed>> {
        let mut listed = match &self.store {
            Store::Local => local::list(&self.path, self)?,
            #[cfg(feature = "cloud")]
            Store::Cloud(cloud) => cloud.list(&self.path, self)?,
        };
        if listed.is_empty() {
            return Err(self.unfit("has nothing to read: check the name, the pattern or the folder"));
        }
        listed.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    /// What is in this folder itself, by name, and how large it is; none where there is no such folder.
    pub(crate) fn sizes(&self) -> Result<BTreeMap<String, u64>> {
        match &self.store {
            Store::Local => local::sizes(&self.path, self),
            #[cfg(feature = "cloud")]
            Store::Cloud(cloud) => cloud.sizes(&self.path, self),
        }
    }

    /// Whether what was listed here, as `listed`, would have an object at `other` too, once there is one.
    pub(crate) fn would_list(&self, listed: &[Listed], other: &Self) -> bool {
        if matches!(listed, [one] if one.path == self.path) {
            return false;
        }
        match (&self.store, &other.store) {
            (Store::Local, Store::Local) => local::would_list(&self.path, &other.path),
            #[cfg(feature = "cloud")]
            (Store::Cloud(ours), Store::Cloud(theirs)) => {
                ours.bucket() == theirs.bucket() && cloud::would_list(&self.path, &other.path)
            }
            #[cfg(feature = "cloud")]
            _ => false,
        }
    }

    /// What `listed` is called in messages.
    pub(crate) fn called(&self, listed: &Listed) -> String {
        match &self.store {
            Store::Local => listed.path.clone(),
            #[cfg(feature = "cloud")]
            Store::Cloud(cloud) => format!("{}/{}", cloud.bucket(), listed.path),
        }
    }

    /// An object that was listed here, to be read as it was then.
    ///
    /// # Errors
    ///
    /// [`Error::Unfit`] where it is not there any more, or is another.
    pub(crate) fn open(&self, listed: &Listed) -> Result<Arc<Object>> {
        let shown = Self { path: listed.path.clone(), shown: self.called(listed), store: self.store.clone() };
        let content = match &self.store {
            Store::Local => Content::Local(local::Opened::of(listed, &shown)?),
            #[cfg(feature = "cloud")]
            Store::Cloud(cloud) => Content::Cloud(cloud.open(listed, &shown)?),
        };
        Ok(Arc::new(Object { content, place: shown, size: listed.size, failed: Mutex::default() }))
    }

    /// All of the object that is here, which is small; none where there is none.
    pub(crate) fn read(&self) -> Result<Option<Vec<u8>>> {
        match &self.store {
            Store::Local => local::read(&self.path, self),
            #[cfg(feature = "cloud")]
            Store::Cloud(cloud) => cloud.read(&self.path, self),
        }
    }

    /// What `listed` holds, as a file in the folder `into`, by its name.
    pub(crate) fn fetch(&self, listed: &Listed, into: &Path) -> Result<()> {
        let path = into.join(&listed.name);
        let write = |object: &Arc<Object>| -> io::Result<()> {
            std::fs::create_dir_all(path.parent().unwrap_or(into))?;
            let source: Arc<dyn Ranged> = Arc::clone(object) as _;
            io::copy(&mut Span::buffered(&source, 0, listed.size), &mut File::create(&path)?)?;
            Ok(())
        };
        let object = self.open(listed)?;
        let written = write(&object).map_err(Error::run_file("write", &path));
        object.unchanged()?;
        written
    }

    /// Puts `content` here, if nothing is: whole, and on disk when this returns. Gives whether it was put.
    pub(crate) fn put_new(&self, content: &File) -> Result<bool> {
        match &self.store {
            Store::Local => local::put_new(&self.path, content, self),
            #[cfg(feature = "cloud")]
            Store::Cloud(cloud) => cloud.put_new(&self.path, content, self),
        }
    }

    /// As [`Place::put_new`], of bytes.
    pub(crate) fn put_new_bytes(&self, bytes: &[u8]) -> Result<bool> {
        let spool = crate::base::scratch::scratch_file().map_err(Error::run_file("write", &std::env::temp_dir()))?;
        io::Write::write_all(&mut &spool, bytes).map_err(Error::run_file("write", &std::env::temp_dir()))?;
        self.put_new(&spool)
    }

    /// What is written to this folder and was left unfinished by who was killed, is removed. To be called where nothing more is
    /// to be written to it.
    pub(crate) fn clear(&self) {
        if self.local().is_some() {
            local::clear(&self.path);
        }
    }

    fn unfit(&self, message: impl Into<String>) -> Error {
        Error::Unfit { path: self.as_path(), message: message.into() }
    }

    fn changed(&self) -> Error {
        self.unfit("was changed while it was read: nothing was written of it. Leave the input alone, and run the same command again, which labels it as it is then")
    }
}

#[cfg(feature = "cloud")]
fn cloud(uri: &str, scheme: &str, bucket: &str) -> Result<Store> {
    cloud::Cloud::of(uri, scheme, bucket).map(Store::Cloud)
}

#[cfg(not(feature = "cloud"))]
fn cloud(uri: &str, _: &str, _: &str) -> Result<Store> {
    let message = "is in an object store, and this candist was built without them: build it with `--features cloud`";
    Err(Error::Unfit { path: uri.into(), message: message.to_owned() })
}

/// An object that is read as it was listed.
pub(crate) struct Object {
    content: Content,
    place: Place,
    size: u64,
    /// Why something of it could not be read. Readers of damaged files go on; of an object that failed nothing is to be kept.
    failed: Mutex<Option<Error>>,
}

enum Content {
    Local(local::Opened),
    #[cfg(feature = "cloud")]
    Cloud(cloud::Opened),
}

impl Object {
    /// An error if anything of it could not be read, or it is not as it was listed any more. To be asked before anything is kept
    /// of what was read.
    ///
    /// # Errors
    ///
    /// What reading failed with; [`Error::Unfit`] where it was changed.
    pub(crate) fn unchanged(&self) -> Result<()> {
        if let Some(error) = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        match &self.content {
            Content::Local(opened) => opened.unchanged(&self.place),
            #[cfg(feature = "cloud")]
            Content::Cloud(opened) => opened.unchanged(&self.place),
        }
    }
}

impl Ranged for Object {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        // Who takes it for damage looks for what is whole beside it; a store that does not answer would be asked for minutes.
        if self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Err(io::Error::other("could not be read before"));
        }
        let read = match &self.content {
            Content::Local(opened) => opened.read_at(offset, buffer, &self.place),
            #[cfg(feature = "cloud")]
            Content::Cloud(opened) => opened.read_at(offset, buffer, &self.place),
        };
        read.map_err(|error| {
            let said = io::Error::other(error.to_string());
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            said
        })
    }
}

/// The part of a path before its first component with a sign of a pattern, and whether there is one.
fn fixed(path: &str) -> (&str, bool) {
    match path.find(['*', '?', '[']) {
        None => (path, false),
        Some(sign) => (path.get(..sign).and_then(|path| path.rsplit_once('/')).map_or("", |(folder, _)| folder), true),
    }
}

/// Whether a name in a folder is one that the folder does not mean.
fn is_hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with(['.', '_']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_begins_in_a_folder() {
        assert_eq!(fixed("a/b"), ("a/b", false));
        assert_eq!(fixed("a/b/*.jsonl"), ("a/b", true));
        assert_eq!(fixed("a/b*/c"), ("a", true));
        assert_eq!(fixed("*.csv"), ("", true));
        assert!(is_hidden("a/_parts/x") && is_hidden(".x") && !is_hidden("a_/x.y"));
    }

    #[test]
    fn names_are_joined() {
        let joined = |uri: &str| Place::of(uri).unwrap().join("a").join("b").shown().to_owned();
        assert_eq!(
            [joined("x"), joined("x/"), joined("/"), joined("file:///y")],
            ["x/a/b", "x/a/b", "/a/b", "file:///y/a/b"]
        );
    }
}
