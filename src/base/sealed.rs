//! Lines of JSON that carry their own checksum: `{...,"crc":"01234567"}`. The CRC-32 is of all that stands before it.

const MARK: &str = ",\"crc\":\"";
/// `,"crc":"01234567"}`
const TAIL_LEN: usize = MARK.len() + 8 + 2;

/// `json`, an object with at least one field, as a line with its checksum and line feed.
#[must_use]
pub(crate) fn seal(mut json: String) -> String {
    json.pop();
    let crc = crc32fast::hash(json.as_bytes());
    json.push_str(MARK);
    json.push_str(&format!("{crc:08x}\"}}\n"));
    json
}

/// The line itself, if it is as it was sealed: a JSON object whose field `crc` may be passed over.
#[must_use]
pub(crate) fn open(line: &str) -> Option<&str> {
    Some(line).filter(|line| checksum_holds(line) == Some(true))
}

/// Whether `line` matches the checksum at its end; `None` if it has none.
#[must_use]
pub(crate) fn checksum_holds(line: &str) -> Option<bool> {
    let at = line.len().checked_sub(TAIL_LEN)?;
    let (content, tail) = (line.get(..at)?, line.get(at..)?);
    let hex = tail.strip_prefix(MARK)?.strip_suffix("\"}")?;
    Some(hex == format!("{:08x}", crc32fast::hash(content.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_without_a_checksum_is_told_from_one_with_a_wrong_one() {
        assert_eq!(checksum_holds("{\"id\":\"1\"}"), None);
        assert_eq!(checksum_holds("{\"id\":\"1\",\"crc\":\"00000000\"}"), Some(false));
        assert_eq!(open("{\"id\":\"1\"}"), None);
    }

    proptest! {
        #[test]
        fn a_sealed_line_opens_and_a_changed_one_does_not(text in "\\PC{0,20}", at in any::<prop::sample::Index>(), flip in 1..=127_u8) {
            let json = serde_json::json!({ "text": text }).to_string();
            let line = seal(json);
            let line = line.trim_end_matches('\n');
            let opened: serde_json::Value = serde_json::from_str(open(line).unwrap()).unwrap();
            prop_assert_eq!(opened["text"].as_str(), Some(text.as_str()));
            let mut bytes = line.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(changed) = String::from_utf8(bytes) {
                prop_assert_eq!(open(&changed), None);
            }
        }
    }
}
