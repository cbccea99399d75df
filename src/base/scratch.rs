//! Files without a name: nobody else sees them, and they are gone with whoever has them, however that ends.

use std::fs::File;
use std::io;

/// A file in the folder for such (TMPDIR), which is gone when it is closed.
///
/// # Errors
///
/// Those of the folder.
pub(crate) fn scratch_file() -> io::Result<File> {
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
