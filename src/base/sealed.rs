//! Sealed lines: one JSON object a line with the CRC-32 of what stands before it as its last field.
//!
//! A line that was torn, flipped or edited does not match its checksum any more. What reads the line as JSON sees one
//! more field, `crc`, and may ignore it.
//!
//! The checksum is of all bytes up to `,"crc":"`, in eight hexadecimal digits of lower case. It finds accidents, not
//! intent: whoever edits a line can seal it again. A line can be checked without knowing its fields.

/// Where the seal begins.
const MARK: &str = ",\"crc\":\"";
/// `,"crc":"01234567"}`
const TAIL_LEN: usize = MARK.len() + 8 + 2;

/// Why a line cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It has no checksum at its end, as a recording that a person wrote.
    Unsealed,
    /// It does not match its checksum.
    Changed,
}

/// `object`, a JSON object on one line with at least one field, as a line with its checksum and line feed.
pub(crate) fn seal(object: &str) -> String {
    let mut line = String::with_capacity(object.len() + TAIL_LEN + 1);
    line.push_str(object.strip_suffix('}').unwrap_or(object));
    let crc = crc32fast::hash(line.as_bytes());
    line.push_str(MARK);
    line.push_str(&format!("{crc:08x}\"}}\n"));
    line
}

/// Whether `line`, without its line feed, is as it was sealed. Says nothing of whether it is JSON.
pub(crate) fn check(line: &[u8]) -> Result<(), Broken> {
    let at = line.len().checked_sub(TAIL_LEN).ok_or(Broken::Unsealed)?;
    let (content, tail) = line.split_at_checked(at).ok_or(Broken::Unsealed)?;
    let hex = tail.strip_prefix(MARK.as_bytes()).and_then(|tail| tail.strip_suffix(b"\"}"));
    if hex.ok_or(Broken::Unsealed)? == digits(crc32fast::hash(content)) { Ok(()) } else { Err(Broken::Changed) }
}

/// In hexadecimal, as `{:08x}` writes it. Without an allocation, for logs have millions of lines.
fn digits(crc: u32) -> [u8; 8] {
    let mut digits = [0; 8];
    for (digit, byte) in digits.chunks_exact_mut(2).zip(crc.to_be_bytes()) {
        for (digit, half) in digit.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = half + if half < 10 { b'0' } else { b'a' - 10 };
        }
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_sealed_line_is_whole_until_any_byte_of_it_changes(text: String, at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
            let object = serde_json::json!({ "text": text }).to_string();
            let line = seal(&object);
            let line = line.strip_suffix('\n').unwrap().as_bytes();
            prop_assert_eq!(check(line), Ok(()));
            prop_assert_eq!(&serde_json::from_slice::<serde_json::Value>(line).unwrap()["text"], &text);
            let mut changed = line.to_vec();
            let at = at.index(changed.len());
            changed[at] ^= flip;
            prop_assert!(check(&changed).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = check(&bytes);
        }
    }

    #[test]
    fn a_line_without_checksum_says_so() {
        assert_eq!(check(br#"{"id":"a","labels":["b"]}"#), Err(Broken::Unsealed));
    }
}
