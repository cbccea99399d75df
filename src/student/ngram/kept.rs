//! What of the copies is kept: in a checkpoint all that training needs, in an export what predicts.
//!
//! Each copy by itself, under a name of its own, and of the table only the rows that it trained: files are laid out as if
//! copies were not side by side, and an export is read whatever the program does in memory.

use tch::Tensor;

use super::bags::int;
use super::model::Model;
use crate::error::Result;
use crate::student::Fold;
use crate::student::checkpoint::{Loaded, Saved};

/// Views of one copy's tensors, by which they are changed too.
struct Copy {
    /// Buckets x dimension; not contiguous.
    table: Tensor,
    /// Buckets; not contiguous.
    table_sums: Tensor,
    /// Head and bias by name, each with its sums, in the order in which they are taken up again.
    dense: [(&'static str, Tensor); 4],
}

impl Model {
    /// Head and bias are dimension x labels, and labels.
    fn copy(&self, fold: Fold) -> Copy {
        let copy = int(fold);
        let bias = |bias: &Tensor| bias.get(copy).squeeze_dim(0);
        Copy {
            table: self.table.narrow(1, copy * self.dimension, self.dimension),
            table_sums: self.table_sums.select(1, copy),
            dense: [
                ("head.weight", self.head.get(copy)),
                ("head.sums", self.head_sums.get(copy)),
                ("bias.weight", bias(&self.bias)),
                ("bias.sums", bias(&self.bias_sums)),
            ],
        }
    }

    /// Adds what predicts of a copy to a folder, under `name`: the trained rows and their numbers, head, and bias. No
    /// optimizer.
    pub(super) fn save_weights(&self, fold: Fold, name: &str, saved: &mut Saved) {
        let copy = self.copy(fold);
        // A row whose sum is zero had no gradient yet, and is zero itself. (But for gradients below 4e-23, whose
        // squares underflow.)
        let rows = copy.table_sums.nonzero().view([-1]);
        saved.add(&format!("{name}.table.rows"), &rows);
        saved.add_own(&format!("{name}.table.weight"), copy.table.index_select(0, &rows));
        for (part, tensor) in copy.dense.iter().filter(|(part, _)| part.ends_with("weight")) {
            saved.add(&format!("{name}.{part}"), tensor);
        }
    }

    /// Takes what [`Model::save_weights`] wrote. Sums stay as they are: such a model predicts only.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`](crate::error::Error::Checkpoint) for a tensor that is missing, of another shape, or not
    /// finite.
    pub(super) fn load_weights(&mut self, fold: Fold, name: &str, loaded: &Loaded) -> Result<()> {
        let mut copy = self.copy(fold);
        let (rows, weight) = copy.trained(name, loaded)?;
        for (part, tensor) in copy.dense.iter_mut().filter(|(part, _)| part.ends_with("weight")) {
            tensor.copy_(&loaded.floats(&format!("{name}.{part}"), &tensor.size())?);
        }
        let _ = copy.table.zero_().index_copy_(0, &rows, &weight);
        Ok(())
    }

    /// Adds a copy's tensors to a checkpoint, under `name`.
    pub(super) fn save(&self, fold: Fold, name: &str, saved: &mut Saved) {
        let copy = self.copy(fold);
        let rows = copy.table_sums.nonzero().view([-1]);
        saved.add(&format!("{name}.table.rows"), &rows);
        saved.add_own(&format!("{name}.table.weight"), copy.table.index_select(0, &rows));
        saved.add_own(&format!("{name}.table.sums"), copy.table_sums.index_select(0, &rows));
        for (part, tensor) in &copy.dense {
            saved.add(&format!("{name}.{part}"), tensor);
        }
    }

    /// Takes a copy's tensors from a checkpoint. All of them are checked before the first is put in place.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`](crate::error::Error::Checkpoint) for a tensor that is missing, of another shape, or not
    /// finite.
    pub(super) fn load(&mut self, fold: Fold, name: &str, loaded: &Loaded) -> Result<()> {
        let mut copy = self.copy(fold);
        let (rows, weight) = copy.trained(name, loaded)?;
        let sums = loaded.floats(&format!("{name}.table.sums"), &rows.size())?;
        let mut dense = Vec::new();
        for (part, tensor) in &copy.dense {
            dense.push(loaded.floats(&format!("{name}.{part}"), &tensor.size())?);
        }
        let _ = copy.table.zero_().index_copy_(0, &rows, &weight);
        let _ = copy.table_sums.zero_().index_copy_(0, &rows, &sums);
        copy.dense.iter_mut().zip(dense).for_each(|((_, own), loaded)| own.copy_(&loaded));
        Ok(())
    }
}

impl Copy {
    /// The rows of the table that were trained, and what is in them.
    fn trained(&self, name: &str, loaded: &Loaded) -> Result<(Tensor, Tensor)> {
        let (buckets, dimension) = self.table.size2().unwrap_or((0, 0));
        let rows = loaded.rows(&format!("{name}.table.rows"), buckets)?;
        let weight = loaded.floats(&format!("{name}.table.weight"), &[int(rows.numel()), dimension])?;
        Ok((rows, weight))
    }
}
