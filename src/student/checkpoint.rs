//! Tensors to and from one safetensors file, with notes in its header. None with a value that is not finite.
//!
//! Values are f32 or i64, little-endian, row-major, on the processor. While a file is written or read a student is there
//! twice.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, View};
use tch::{Kind, Tensor};

use super::Snapshot;
use super::finite::is_finite;
use crate::base::regular::read_regular;
use crate::error::{Error, Result};

/// Tensors that are being gathered for a file. Gathering copies them and does no more, so that the student goes on soon, and does not
/// fail: what is wrong is told when the file is written.
#[derive(Debug, Default)]
pub(super) struct Saved {
    /// Nobody else has any of them. Names are each once.
    tensors: Vec<(String, Tensor)>,
}

impl Saved {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds the values of a tensor of f32 or i64 that is on the processor.
    pub(super) fn add(&mut self, name: &str, tensor: &Tensor) {
        self.add_own(name, tensor.detach().copy());
    }

    /// The same of a tensor that nobody else has.
    pub(super) fn add_own(&mut self, name: &str, tensor: Tensor) {
        self.tensors.push((name.to_owned(), tensor));
    }

    /// Writes the file at `path`, on disk when this returns; nothing if a value is not finite. The name in its folder
    /// is not synced: whoever puts the file in its place does that.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] with the first tensor's name, [`Error::Checkpoint`] and [`Error::RunFile`] where it
    /// cannot be written.
    pub(super) fn write(&self, path: &Path, notes: HashMap<String, String>) -> Result<()> {
        let broken =
            self.tensors.iter().find(|(_, tensor)| tensor.kind() == Kind::Float && !are_finite(&bytes_of(tensor)));
        if let Some((name, _)) = broken {
            return Err(Error::NotFinite { what: format!("{name}, which was not written to {}", path.display()) });
        }
        let failed = |error| match error {
            safetensors::SafeTensorError::IoError(source) => Error::run_file("write", path)(source),
            other => Error::Checkpoint { path: path.to_owned(), message: other.to_string() },
        };
        let views = self.tensors.iter().map(|(name, tensor)| (name.as_str(), Written::new(tensor)));
        safetensors::serialize_to_file(views, Some(notes), path).map_err(failed)?;
        File::open(path).and_then(|file| file.sync_all()).map_err(Error::run_file("write", path))
    }

    /// All of it, to be written by another thread; `own` are notes of the student's.
    pub(super) fn into_snapshot(self, own: HashMap<String, String>) -> Snapshot {
        Box::new(move |path, mut notes| {
            notes.extend(own);
            self.write(path, notes)
        })
    }
}

/// Whether all of these f32 are finite. Without libtorch, whose threads are the student's.
fn are_finite(bytes: &[u8]) -> bool {
    bytes.chunks_exact(4).all(|chunk| chunk.try_into().is_ok_and(|bytes| f32::from_le_bytes(bytes).is_finite()))
}

fn bytes_of(tensor: &Tensor) -> Vec<u8> {
    let flat = tensor.contiguous().view([-1]);
    let mut bytes = vec![0; flat.numel() * width_of(tensor)];
    flat.copy_data_u8(&mut bytes, flat.numel());
    bytes
}

/// Bytes of a value.
fn width_of(tensor: &Tensor) -> usize {
    if tensor.kind() == Kind::Int64 { 8 } else { 4 }
}

/// A tensor as it is written: its bytes are there for as long as that takes.
struct Written<'a> {
    tensor: &'a Tensor,
    shape: Vec<usize>,
}

impl<'a> Written<'a> {
    fn new(tensor: &'a Tensor) -> Self {
        let shape = tensor.size().into_iter().map(|size| usize::try_from(size).unwrap_or(0)).collect();
        Self { tensor, shape }
    }
}

impl View for Written<'_> {
    fn dtype(&self) -> Dtype {
        if self.tensor.kind() == Kind::Int64 { Dtype::I64 } else { Dtype::F32 }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(bytes_of(self.tensor))
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * width_of(self.tensor)
    }
}

/// Tensors of a file, checked as they are taken: a checkpoint of other settings has other shapes, and is refused
/// before anything of it is used.
#[derive(Debug)]
pub(super) struct Loaded {
    path: PathBuf,
    /// All of the file.
    bytes: Vec<u8>,
    pub(super) notes: HashMap<String, String>,
}

impl Loaded {
    /// Reads a regular file and its header; no tensor is looked at yet.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] where it cannot be read, [`Error::Checkpoint`] where it is no safetensors file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = read_regular(path).map_err(Error::run_file("read", path))?;
        let (_, header) = SafeTensors::read_metadata(&bytes)
            .map_err(|error| Error::Checkpoint { path: path.to_owned(), message: error.to_string() })?;
        let notes = header.metadata().clone().unwrap_or_default();
        Ok(Self { path: path.to_owned(), bytes, notes })
    }

    /// An error about this file.
    pub(super) fn wrong(&self, message: impl std::fmt::Display) -> Error {
        Error::Checkpoint { path: self.path.clone(), message: message.to_string() }
    }

    /// Shape and bytes of the tensor `name`, copied out.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] where there is none of that type.
    fn bytes_of(&self, name: &str, dtype: Dtype) -> Result<(Vec<i64>, Vec<u8>)> {
        let tensors = SafeTensors::deserialize(&self.bytes).map_err(|error| self.wrong(error))?;
        let view = tensors.tensor(name).map_err(|error| self.wrong(format!("{name}: {error}")))?;
        if view.dtype() != dtype {
            return Err(self.wrong(format!("{name} has type {:?}, not {dtype:?}", view.dtype())));
        }
        let shape = view.shape().iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect();
        Ok((shape, view.data().to_vec()))
    }

    /// The tensor of f32 `name`, which must have this shape and finite values.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] where it has not.
    pub(super) fn floats(&self, name: &str, shape: &[i64]) -> Result<Tensor> {
        let (found, bytes) = self.bytes_of(name, Dtype::F32)?;
        if found != shape {
            return Err(
                self.wrong(format!("{name} has shape {found:?}, not {shape:?}: it belongs to other student settings"))
            );
        }
        let tensor = Tensor::f_from_data_size(&bytes, shape, Kind::Float).map_err(|error| self.wrong(error))?;
        if is_finite(&tensor) {
            Ok(tensor)
        } else {
            Err(self.wrong(format!("{name} has values that are not finite: it is damaged")))
        }
    }

    /// The vector of i64 `name`, whose values must be in 0..`below`: an index out of bounds would be a panic in
    /// libtorch's binding. Its length is the caller's to compare.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] where it is none, or has others.
    pub(super) fn rows(&self, name: &str, below: i64) -> Result<Tensor> {
        let (shape, bytes) = self.bytes_of(name, Dtype::I64)?;
        let values = bytes.chunks_exact(8).filter_map(|chunk| chunk.try_into().ok()).map(i64::from_le_bytes);
        if shape.len() != 1 || !values.into_iter().all(|value| (0..below).contains(&value)) {
            return Err(
                self.wrong(format!("{name} names rows that are not there: it belongs to other student settings"))
            );
        }
        Tensor::f_from_data_size(&bytes, &shape, Kind::Int64).map_err(|error| self.wrong(error))
    }
}
