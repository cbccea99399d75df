//! Files that are read whole. Only regular files: a pipe would be waited for, and a device never end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// All bytes of `path`, which must be a regular file. Links are followed.
///
/// # Errors
///
/// Of kind `InvalidInput`, with what it is instead, where it is none; those of reading.
pub(crate) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open_regular(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(file.metadata()?.len()).unwrap_or(0));
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// `path` for reading, which must be a regular file. Looked at before it is opened, for opening a pipe already waits.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    check(&std::fs::metadata(path)?)?;
    let file = File::open(path)?;
    // It may be another by now.
    check(&file.metadata()?)?;
    Ok(file)
}

fn check(metadata: &std::fs::Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let what = if metadata.is_dir() { "a folder" } else { "a pipe or a device" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, not a file: put a regular file there")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_read_and_a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link, pipe) = (dir.path().join("file"), dir.path().join("link"), dir.path().join("pipe"));
        std::fs::write(&file, "content").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(read_regular(&file).unwrap(), b"content");
        assert_eq!(read_regular(&link).unwrap(), b"content");
        for path in [&pipe, Path::new("/dev/zero"), dir.path()] {
            let error = read_regular(path).unwrap_err().to_string();
            assert!(error.contains("regular file"), "{error}");
        }
        assert_eq!(read_regular(&dir.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
