//! Lines of a log that have something in them, found by several threads within a time: what is in no index. A gigabyte takes
//! some tenths of a second where the machine has the file in memory.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::lines::Lines;

/// Bytes that are searched at once.
const BLOCK: u64 = 4 << 20;
/// Read on for the end of a block's last line, at once.
const MORE: usize = 64 << 10;
/// Threads, at most.
const THREADS: usize = 4;
/// A longer line is none of ours.
const LONGEST: usize = 64 << 20;

/// What was found.
#[derive(Debug)]
pub(super) struct Scanned<T> {
    /// In the order of the log.
    pub(super) found: Vec<T>,
    /// Up to where all of it was searched: less than asked for where time ran out or the log could not be read.
    pub(super) until: u64,
}

/// Looks through the whole lines that begin in `range`, which begins with a line. `find` gives where in a block, from a place
/// on, something may be; `take` what the whole line around it is worth. Ends at `deadline`.
pub(super) fn scan<T: Send>(
    lines: &Lines,
    range: Range<u64>,
    deadline: Instant,
    find: impl Fn(&[u8], usize) -> Option<usize> + Sync,
    take: impl Fn(&[u8]) -> Option<T> + Sync,
) -> Scanned<T> {
    let blocks = usize::try_from((range.end.saturating_sub(range.start)).div_ceil(BLOCK)).unwrap_or(usize::MAX);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            // The first block is always searched: whoever asks is told something.
            if number >= blocks || (number > 0 && Instant::now() >= deadline) {
                return done;
            }
            let begin = range.start + number as u64 * BLOCK;
            let block = begin..(begin + BLOCK).min(range.end);
            let Some(bytes) = read(lines, &block, begin == range.start) else { return done };
            done.push((number, search(&bytes, &find, &take)));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(THREADS).min(blocks);
    let mut done: Vec<(usize, Vec<T>)> = std::thread::scope(|scope| {
        // Where no thread can be started, this one does all.
        let others: Vec<_> =
            (1..threads).filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
        let mut done = work();
        done.extend(others.into_iter().filter_map(|thread| thread.join().ok()).flatten());
        done
    });
    done.sort_by_key(|(number, _)| *number);
    let whole = done.iter().zip(0..).take_while(|((number, _), expected)| number == expected).count();
    done.truncate(whole);
    let until = (range.start + whole as u64 * BLOCK).min(range.end);
    Scanned { found: done.into_iter().flat_map(|(_, found)| found).collect(), until }
}

/// The whole lines that begin in `block`; `None` where they cannot be read.
fn read(lines: &Lines, block: &Range<u64>, is_first: bool) -> Option<Vec<u8>> {
    // A line begins where one ended before: one byte earlier tells whether the block begins with one.
    let begin = if is_first { block.start } else { block.start - 1 };
    let wanted = usize::try_from(block.end - begin).ok()?;
    let mut bytes = vec![0; wanted];
    let read = lines.read_some(&mut bytes, begin).ok()?;
    bytes.truncate(read);
    while bytes.len() >= wanted && bytes.last() != Some(&b'\n') && bytes.len() < wanted + LONGEST {
        let at = bytes.len();
        bytes.resize(at + MORE, 0);
        let read = lines.read_some(bytes.get_mut(at..)?, begin + at as u64).ok()?;
        bytes.truncate(at + read);
        let end = memchr::memchr(b'\n', bytes.get(at..)?);
        if let Some(end) = end {
            bytes.truncate(at + end + 1);
        }
        if read < MORE {
            break;
        }
    }
    if !is_first {
        let first = memchr::memchr(b'\n', &bytes).map_or(bytes.len(), |end| end + 1);
        bytes.drain(..first.min(bytes.len()));
    }
    Some(bytes)
}

fn search<T>(
    bytes: &[u8],
    find: &impl Fn(&[u8], usize) -> Option<usize>,
    take: &impl Fn(&[u8]) -> Option<T>,
) -> Vec<T> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(at) = find(bytes, from) {
        let begin = bytes.get(..at).and_then(|before| memchr::memrchr(b'\n', before)).map_or(0, |end| end + 1);
        // A torn last line is not there yet.
        let Some(end) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)).map(|end| at + end) else { break };
        found.extend(bytes.get(begin..end).and_then(take));
        from = end + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn log(lines: &[String]) -> (tempfile::TempDir, Lines, u64) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, lines.concat()).unwrap();
        let lines = Lines::new(std::fs::File::open(&path).unwrap());
        let length = lines.length().unwrap();
        (dir, lines, length)
    }

    fn find(needle: &'static [u8]) -> impl Fn(&[u8], usize) -> Option<usize> + Sync {
        let finder = memchr::memmem::Finder::new(needle);
        move |bytes, from| Some(from + finder.find(bytes.get(from..)?)?)
    }

    #[test]
    fn every_line_is_found_once_wherever_blocks_end() {
        // Lines of many lengths, one longer than a block.
        let mut lines: Vec<String> =
            (0..9000).map(|number| format!("{number} {}needle\n", "x".repeat(number % 1999))).collect();
        lines.insert(4000, format!("4000000 needle{}\n", "y".repeat(BLOCK as usize + MORE)));
        lines.push("torn needle".to_owned());
        let (_dir, log, length) = log(&lines);
        let take = |line: &[u8]| std::str::from_utf8(line).ok()?.split(' ').next()?.parse::<u64>().ok();
        let deadline = Instant::now() + Duration::from_secs(60);
        let scanned = scan(&log, 0..length, deadline, find(b"needle"), take);
        let mut expected: Vec<u64> = (0..9000).collect();
        expected.insert(4000, 4_000_000);
        assert_eq!((scanned.found, scanned.until), (expected, length));
        let begin = lines[..10].concat().len() as u64;
        assert_eq!(scan(&log, begin..length, deadline, find(b"needle"), take).found.first(), Some(&10));
    }

    #[test]
    fn when_time_is_up_it_says_how_far_it_came() {
        let line = "needle\n".repeat(1 << 20);
        let (_dir, log, length) = log(&[line]);
        let scanned = scan(&log, 0..length, Instant::now(), find(b"needle"), |_| Some(()));
        assert!(scanned.until < length && scanned.until >= BLOCK, "{}", scanned.until);
        assert!(!scanned.found.is_empty());
        let empty = scan(&log, 5..5, Instant::now(), find(b"needle"), |_| Some(()));
        assert_eq!((empty.found.len(), empty.until), (0, 5));
    }
}
