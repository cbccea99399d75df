//! Texts' vectors that were computed once, in a file: for runs that go on, and for other runs with the same encoder.
//!
//! A file for each encoder, a record for each text: 16 bytes of a hash of its token ids, the values as 32-bit floats,
//! and the CRC-32 of both, all little-endian. A torn or damaged record is as if it were not there, and so is a file
//! that cannot be read: all of it can be computed again. The kernel lets one process write; the others only read.
//!
//! A record has 4 x hidden + 20 bytes. The file's name is a hash of all that the vectors' bits depend on: weights,
//! configuration, pooling, precision, device, tiles. Nothing is synced: no label depends on what is there.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::student::Encoded;

const KEY: usize = 16;
const CHECKSUM: usize = 4;

type Key = [u8; KEY];

/// See the module.
pub(super) struct Vectors {
    /// For messages.
    path: PathBuf,
    file: File,
    /// Values of a vector.
    hidden: usize,
    /// Held while a place is looked up and while records are written, not while one is read.
    state: Mutex<State>,
}

struct State {
    /// Where each text's record begins. Of several of one text the last is used; it takes the place of a damaged one.
    places: HashMap<Key, u64>,
    /// Where the next record goes. Behind the last whole record.
    end: u64,
    /// Whether the kernel gave this process the lock, and no write has failed since.
    is_writer: bool,
}

impl Vectors {
    /// The file in `folder` for the encoder that `identity` tells apart, with vectors of `hidden` values; `None`,
    /// with a warning, where there can be none.
    pub(super) fn open(folder: &Path, identity: &str, hidden: usize) -> Option<Self> {
        let name = blake3::hash(identity.as_bytes()).to_hex();
        let path = folder.join(format!("{}.vectors", name.get(..16).unwrap_or_default()));
        match Self::read(folder, path.clone(), hidden) {
            Ok(vectors) => Some(vectors),
            Err(error) => {
                tracing::warn!("{}: {error}; the encoder's vectors are not kept", path.display());
                None
            }
        }
    }

    /// Opens the file and reads the key of every record; the rest of a record is read when it is wanted.
    fn read(folder: &Path, path: PathBuf, hidden: usize) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
        let is_writer = file.try_lock().is_ok();
        let record = record_bytes(hidden) as u64;
        let count = file.metadata()?.len() / record;
        if is_writer {
            // What a killed writer left of a record.
            file.set_len(count * record)?;
        }
        let mut places = HashMap::new();
        for place in (0..count).map(|number| number * record) {
            let mut key = [0; KEY];
            file.read_exact_at(&mut key, place)?;
            places.insert(key, place);
        }
        Ok(Self { path, file, hidden, state: Mutex::new(State { places, end: count * record, is_writer }) })
    }

    /// The vector of `text`, if it was kept. Its checksum and key are checked: a file that was damaged, or that
    /// another process cut, costs computing it again.
    pub(super) fn get(&self, text: &Encoded) -> Option<Vec<f32>> {
        let key = key(text);
        let place = *self.state.lock().ok()?.places.get(&key)?;
        let mut record = vec![0; record_bytes(self.hidden)];
        self.file.read_exact_at(&mut record, place).ok()?;
        let (content, checksum) = record.split_at_checked(KEY + 4 * self.hidden)?;
        if crc32fast::hash(content).to_le_bytes() != checksum || !content.starts_with(&key) {
            return None;
        }
        let (values, _) = content.get(KEY..)?.as_chunks();
        let values: Vec<f32> = values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        values.iter().all(|value| value.is_finite()).then_some(values)
    }

    /// Keeps the vectors of `texts`, which are `hidden` values each; none that is not finite. One write for all of
    /// them. Does nothing where another process writes.
    pub(super) fn keep(&self, texts: &[(&Encoded, &[f32])]) {
        let Ok(mut state) = self.state.lock() else { return };
        if !state.is_writer {
            return;
        }
        let (mut bytes, start) = (Vec::new(), state.end);
        for (text, values) in texts.iter().filter(|(_, values)| values.iter().all(|value| value.is_finite())) {
            let (key, begin) = (key(text), bytes.len());
            state.places.insert(key, start + begin as u64);
            bytes.extend(key);
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            let checksum = crc32fast::hash(bytes.get(begin..).unwrap_or_default());
            bytes.extend(checksum.to_le_bytes());
        }
        match self.file.write_all_at(&bytes, start) {
            Ok(()) => state.end += bytes.len() as u64,
            Err(error) => {
                tracing::warn!("{}: {error}; no more of the encoder's vectors are kept", self.path.display());
                state.is_writer = false;
            }
        }
    }
}

fn record_bytes(hidden: usize) -> usize {
    KEY + 4 * hidden + CHECKSUM
}

/// BLAKE3 of the ids, each in four bytes, cut to 128 bits: texts that a tokenizer makes the same ids of have one
/// vector.
fn key(text: &Encoded) -> Key {
    let bytes: Vec<u8> = text.ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let mut key = [0; KEY];
    key.iter_mut().zip(blake3::hash(&bytes).as_bytes()).for_each(|(to, from)| *to = *from);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(ids: &[u32]) -> Encoded {
        Encoded { ids: ids.to_vec(), ..Encoded::default() }
    }

    #[test]
    fn what_was_kept_is_there_for_the_next_and_what_is_damaged_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("vectors");
        let (a, b, c) = (text(&[1, 2]), text(&[2, 1]), text(&[7]));
        let open = || Vectors::open(&folder, "one", 2).unwrap();
        let vectors = open();
        vectors.keep(&[(&a, &[0.5, -1.0]), (&b, &[3.0, 4.0])]);
        // Another process, or another part of this one, reads and does not write.
        let reader = open();
        reader.keep(&[(&c, &[9.0, 9.0])]);
        assert_eq!((reader.get(&a), reader.get(&c)), (Some(vec![0.5, -1.0]), None));
        drop((reader, vectors));

        let path = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[KEY] ^= 1;
        bytes.extend([0; 5]);
        std::fs::write(&path, &bytes).unwrap();
        let vectors = open();
        assert_eq!((vectors.get(&a), vectors.get(&b)), (None, Some(vec![3.0, 4.0])));
        vectors.keep(&[(&a, &[0.5, -1.0])]);
        assert_eq!(vectors.get(&a), Some(vec![0.5, -1.0]));
        drop(vectors);
        assert_eq!(open().get(&a), Some(vec![0.5, -1.0]));
        assert_eq!(Vectors::open(&folder, "another", 2).unwrap().get(&a), None);
    }

    #[test]
    fn what_is_not_finite_is_not_kept_and_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let (bad, good) = (text(&[1]), text(&[2]));
        let vectors = Vectors::open(dir.path(), "one", 1).unwrap();
        vectors.keep(&[(&bad, &[f32::NAN]), (&good, &[2.0])]);
        assert_eq!((vectors.get(&bad), vectors.get(&good)), (None, Some(vec![2.0])));
        drop(vectors);
        // As an earlier version may have kept it: whole by its checksum.
        let path = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let mut record = key(&bad).to_vec();
        record.extend(f32::INFINITY.to_le_bytes());
        record.extend(crc32fast::hash(&record).to_le_bytes());
        std::fs::write(&path, record).unwrap();
        assert_eq!(Vectors::open(dir.path(), "one", 1).unwrap().get(&bad), None);
    }

    #[test]
    fn a_folder_that_cannot_be_is_done_without() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Vectors::open(&file.path().join("vectors"), "one", 2).is_none());
    }
}
