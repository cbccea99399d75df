//! A packed file, unpacked for a format that is read in no order.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use super::input::{BUFFER, Headed, unpacked};
use super::sniff::Packing;

/// The file at `path`; where it is packed, what is in it, in a file without a name: for a format that is read in no order.
pub(super) fn unpacked_file(path: &Path) -> io::Result<File> {
    let input = Headed::of(Box::new(BufReader::with_capacity(BUFFER, File::open(path)?)));
    let Some(packing) = Packing::of(&input.head) else { return File::open(path) };
    let scratch = scratch_file()?;
    io::copy(&mut unpacked(input, packing)?, &mut &scratch)?;
    Ok(scratch)
}

/// A file in the folder for such, which is gone when it is closed.
fn scratch_file() -> io::Result<File> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("candist-{}-{number}", std::process::id()));
        match File::options().read(true).write(true).create_new(true).open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            // Of another process that had this number, and was killed here.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}
