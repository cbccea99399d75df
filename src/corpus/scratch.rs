//! A packed file, unpacked for a format that is read in no order.

use std::io;
use std::sync::Arc;

use super::input::{Headed, unpacked};
use super::sniff::Packing;
use crate::base::ranged::{Ranged, Span};
use crate::base::scratch::scratch_file;

/// `source`; where it is packed, what is in it, in a file without a name: for a format that is read in no order.
pub(super) fn unpacked_source(source: Arc<dyn Ranged>) -> io::Result<Arc<dyn Ranged>> {
    let input = Headed::of(Box::new(Span::buffered(&source, 0, source.size()?)));
    let Some(packing) = Packing::of(&input.head) else { return Ok(source) };
    let scratch = scratch_file()?;
    io::copy(&mut unpacked(input, packing)?, &mut &scratch)?;
    Ok(Arc::new(scratch))
}
