//! The tensors of a Hugging Face folder, by name, and back. Nothing of a file is believed: shape, type and values are
//! checked as each is taken.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use tch::{Kind, Tensor};

use super::architecture::{read, wrong};
use crate::error::Result;
use crate::student::finite::is_finite;

/// `model.safetensors` of a folder.
pub(super) struct Weights {
    path: PathBuf,
    /// All of the file, kept as long as tensors are taken from it.
    bytes: Vec<u8>,
    prefix: &'static str,
}

impl Weights {
    /// `prefix` precedes the encoder's names in a classifier of the family, and may be missing.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::error::Error::Model) where the file cannot be read or is no safetensors file.
    pub(super) fn read(folder: &Path, prefix: &'static str) -> Result<Self> {
        let (path, bytes) = read(folder, "model.safetensors")?;
        SafeTensors::deserialize(&bytes).map_err(|error| wrong(&path, error))?;
        Ok(Self { path, bytes, prefix })
    }

    /// Hash of all bytes: tells models apart, wherever they are.
    pub(super) fn hash(&self) -> String {
        blake3::hash(&self.bytes).to_hex().to_string()
    }

    /// Whether there is a tensor of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        SafeTensors::deserialize(&self.bytes).is_ok_and(|tensors| tensors.tensor(name).is_ok())
    }

    /// The encoder's tensor `name`, as [`Weights::tensor`] gives it, with the family's prefix or without.
    pub(super) fn encoder(&self, name: &str, shape: &[i64]) -> Result<Tensor> {
        let prefixed = format!("{}{name}", self.prefix);
        self.tensor(if self.has(&prefixed) { &prefixed } else { name }, shape)
    }

    /// The tensor `name`, as f32, which must have this shape where a dimension is not -1, and finite values. On the
    /// processor; a copy.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::error::Error::Model) where it is missing, of another shape, of a type that is none of
    /// F32, F16 and BF16, or not finite.
    pub(super) fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor> {
        let tensors = SafeTensors::deserialize(&self.bytes).map_err(|error| wrong(&self.path, error))?;
        let view = tensors.tensor(name).map_err(|error| wrong(&self.path, format!("{name}: {error}")))?;
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            other => return Err(wrong(&self.path, format!("{name} has type {other:?}; known are F32, F16 and BF16"))),
        };
        let found: Vec<i64> = view.shape().iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect();
        let fits = |(found, wanted): (&i64, &i64)| *wanted == -1 || found == wanted;
        if found.len() != shape.len() || !found.iter().zip(shape).all(fits) {
            return Err(wrong(&self.path, format!("{name} has shape {found:?}, and config.json says {shape:?}")));
        }
        let tensor = Tensor::f_from_data_size(view.data(), &found, kind).map_err(|error| wrong(&self.path, error))?;
        let tensor = tensor.to_kind(Kind::Float);
        if !is_finite(&tensor) {
            let message = format!("{name} has values that are not finite: the file is damaged; get it again");
            return Err(wrong(&self.path, message));
        }
        Ok(tensor)
    }
}

/// Tensors by name.
pub(super) type Named = HashMap<String, Tensor>;
