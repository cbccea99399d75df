//! What can be read in any order, be it a file or an object elsewhere: spans of it as a stream, and where its lines begin.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// What has a size and can be read in any order, by several threads at once.
pub(crate) trait Ranged: Send + Sync {
    /// In bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads some bytes from `offset` on; none at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Bytes of a span that are read at once.
const STRIDE: usize = 64 << 10;

impl Ranged for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

/// The bytes `from..to`, read as a stream. It ends early where the source does.
pub(crate) struct Span {
    source: Arc<dyn Ranged>,
    from: u64,
    to: u64,
}

impl Span {
    /// With a buffer of its own.
    pub(crate) fn buffered(source: &Arc<dyn Ranged>, from: u64, to: u64) -> BufReader<Self> {
        BufReader::with_capacity(STRIDE, Self { source: Arc::clone(source), from, to })
    }
}

impl Read for Span {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.to.saturating_sub(self.from)).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let Some(buffer) = buffer.get_mut(..most).filter(|buffer| !buffer.is_empty()) else { return Ok(0) };
        let read = self.source.read_at(self.from, buffer)?;
        self.from += read as u64;
        Ok(read)
    }
}

/// Where the first line begins that does so at `offset` or after it; the end, where there is none. So `line_start` of the places
/// at which a source is cut are places between lines, and every line is in one of the pieces.
///
/// # Errors
///
/// Those of reading.
pub(crate) fn line_start(source: &Arc<dyn Ranged>, offset: u64) -> io::Result<u64> {
    let size = source.size()?;
    // One begins at `offset` if the byte before it ends another.
    let Some(before) = offset.checked_sub(1).filter(|_| offset < size) else { return Ok(offset.min(size)) };
    let passed = Span::buffered(source, before, size).skip_until(b'\n')?;
    Ok(before + passed as u64)
}

/// Whether `byte` is anywhere in the source. Reads all of it where it is not.
///
/// # Errors
///
/// Those of reading.
pub(crate) fn has_byte(source: &Arc<dyn Ranged>, byte: u8) -> io::Result<bool> {
    let mut all = Span::buffered(source, 0, source.size()?);
    loop {
        let bytes = all.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        if bytes.contains(&byte) {
            return Ok(true);
        }
        let read = bytes.len();
        all.consume(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives a few bytes at a time, as a network may.
    struct Slow(Vec<u8>);

    impl Ranged for Slow {
        fn size(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            let rest = self.0.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
            rest.take(3).read(buffer)
        }
    }

    fn source(bytes: &[u8]) -> Arc<dyn Ranged> {
        Arc::new(Slow(bytes.to_vec()))
    }

    #[test]
    fn a_line_belongs_where_it_begins() {
        let lines = source(b"ab\n\ncd\ne");
        let starts: Vec<u64> = (0..=9).map(|offset| line_start(&lines, offset).unwrap()).collect();
        assert_eq!(starts, [0, 3, 3, 3, 4, 7, 7, 7, 8, 8]);
        assert_eq!((has_byte(&lines, b'e').unwrap(), has_byte(&lines, b'"').unwrap()), (true, false));
    }

    proptest! {
        #[test]
        fn any_cut_has_every_line_once_and_whole(
            bytes in prop::collection::vec(prop::sample::select(b"ab\n\r\"".to_vec()), 0..80),
            mut cuts in prop::collection::vec(0..90_u64, 0..6),
        ) {
            cuts.sort_unstable();
            let all = source(&bytes);
            let places: Vec<u64> = [0].into_iter().chain(cuts).chain([bytes.len() as u64]).map(|cut| line_start(&all, cut).unwrap()).collect();
            let mut pieces = Vec::new();
            for ends in places.windows(2) {
                let mut piece = Vec::new();
                Span::buffered(&all, ends[0], ends[1]).read_to_end(&mut piece).unwrap();
                pieces.push(piece);
            }
            for piece in pieces.iter().rev().skip_while(|piece| piece.is_empty()).skip(1) {
                prop_assert!(piece.is_empty() || piece.ends_with(b"\n"), "{pieces:?}");
            }
            prop_assert_eq!(pieces.concat(), bytes);
        }
    }
}
