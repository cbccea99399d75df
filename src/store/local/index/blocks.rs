//! A file of blocks: 4096 bytes each, the last four of which are the CRC-32 of the block's number, in eight bytes, and of those before. So
//! a block that stands where another was written is not taken for it. What stands behind the blocks is not theirs.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

pub(super) const BLOCK: usize = 4096;
/// Bytes of a block that are no checksum.
pub(super) const FILLED: usize = BLOCK - CRC;
const CRC: usize = 4;
/// Blocks after which they are synced. What is full meanwhile waits for a sync; of all of a large file it would be a long one.
const SYNCED: u64 = if cfg!(test) { 2 } else { 1 << 13 };

/// Room to read a block into.
pub(super) type Block = [u8; BLOCK];

pub(super) const fn block() -> Block {
    [0; BLOCK]
}

/// Reads blocks, from any thread.
#[derive(Debug)]
pub(super) struct BlockFile {
    pub(super) path: PathBuf,
    pub(super) file: File,
}

impl BlockFile {
    /// What the block `number` is filled with.
    ///
    /// # Errors
    ///
    /// [`Error::StoreDamaged`] where it is not as it was written, [`Error::RunFile`].
    pub(super) fn read<'a>(&self, number: u64, block: &'a mut Block) -> Result<&'a [u8; FILLED]> {
        self.file.read_exact_at(block, number * BLOCK as u64).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged("it is cut"),
            _ => Error::run_file("read", &self.path)(error),
        })?;
        let whole = block.split_first_chunk::<FILLED>();
        let whole = whole.filter(|(filled, crc)| crc_of(number, filled) == **crc);
        whole.map(|(filled, _)| filled).ok_or_else(|| self.damaged("a block is not as it was written"))
    }

    pub(super) fn damaged(&self, message: impl Into<String>) -> Error {
        damaged(&self.path, message)
    }
}

pub(super) fn damaged(path: &Path, message: impl Into<String>) -> Error {
    Error::StoreDamaged { path: path.to_owned(), message: message.into() }
}

/// Writes blocks, one after the other or where it left room for them.
pub(super) struct BlockWriter<'a> {
    pub(super) path: &'a Path,
    /// What stands behind the blocks can be written to it.
    pub(super) file: BufWriter<File>,
    /// That are written, or left out.
    blocks: u64,
}

impl<'a> BlockWriter<'a> {
    /// To an empty file, which is to become that at `path`.
    pub(super) fn new(path: &'a Path, file: File) -> Self {
        Self { path, file: BufWriter::with_capacity(1 << 18, file), blocks: 0 }
    }

    /// The number of the next block.
    pub(super) fn next(&self) -> u64 {
        self.blocks
    }

    /// Writes the next block. It has at most [`FILLED`] bytes, and is empty then.
    pub(super) fn put(&mut self, filled: &mut Vec<u8>) -> Result<()> {
        let failed = Error::run_file("write", self.path);
        self.file.write_all(&sealed(self.blocks, filled)).map_err(failed)?;
        filled.clear();
        self.blocks += 1;
        if self.blocks.is_multiple_of(SYNCED) {
            let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_data());
            synced.map_err(Error::run_file("write", self.path))?;
        }
        Ok(())
    }

    /// Leaves room for so many blocks, all of which are to be written.
    pub(super) fn leave(&mut self, blocks: u64) -> Result<()> {
        self.blocks += blocks;
        let at = SeekFrom::Start(self.blocks * BLOCK as u64);
        self.file.seek(at).map(drop).map_err(Error::run_file("write", self.path))
    }

    /// Writes the block `number`, for which room was left.
    pub(super) fn put_at(&self, number: u64, filled: &[u8]) -> Result<()> {
        let file = self.file.get_ref();
        file.write_all_at(&sealed(number, filled), number * BLOCK as u64).map_err(Error::run_file("write", self.path))
    }
}

/// The block of this number that is filled with these bytes, and zeros.
fn sealed(number: u64, filled: &[u8]) -> Block {
    debug_assert!(filled.len() <= FILLED);
    let mut block = block();
    if let Some((room, crc)) = block.split_first_chunk_mut::<FILLED>() {
        room.iter_mut().zip(filled).for_each(|(to, from)| *to = *from);
        crc.copy_from_slice(&crc_of(number, room));
    }
    block
}

fn crc_of(number: u64, filled: &[u8; FILLED]) -> [u8; CRC] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&number.to_le_bytes());
    crc.update(filled);
    crc.finalize().to_le_bytes()
}
