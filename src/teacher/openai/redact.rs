//! Takes a key out of what a server sends back, in whatever spelling: it must not get into files or messages.
//!
//! Servers echo headers in their errors, and each layer between escapes what it passes on in its own way. So the key is
//! looked for character by character, each in any spelling that JSON, URLs or HTML give it, and as base64 and
//! hexadecimal of a longer text. The work is linear in the text but for a factor that is bounded.

/// A shorter key is no secret (local servers take any), and taking it out would take words out of answers.
const SECRET: usize = 8;
/// How often a key may be escaped over; bounds the work on hostile replies.
const NESTED: usize = 8;
/// What stands in its place, so that a person sees what was there.
const INSTEAD: &[u8] = b"[key]";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// See the module.
#[derive(Default)]
pub(super) struct Redactor {
    /// The key, and what of it is in a longer text that was encoded with it.
    needles: Vec<Vec<u8>>,
}

/// Without the needles: they are the key.
impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

impl Redactor {
    /// Looks for `key`; for nothing where there is none, or it is too short to be a secret.
    pub(super) fn new(key: Option<&str>) -> Self {
        let Some(key) = key.map(str::as_bytes).filter(|key| key.len() >= SECRET) else { return Self::default() };
        let mut needles = vec![key.to_vec()];
        // In base64, three bytes are four characters: how the key is spelled depends on how many bytes stand before it,
        // modulo three.
        for before in 0..3 {
            needles.extend([BASE64, BASE64_URL].map(|alphabet| base64(key, before, alphabet)));
        }
        needles.push(key.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect());
        needles.push(key.iter().flat_map(|byte| format!("{byte:02X}").into_bytes()).collect());
        needles.sort();
        needles.dedup();
        Self { needles }
    }

    /// Cleans bytes of any kind.
    pub(super) fn clean(&self, bytes: &mut Vec<u8>) {
        for needle in &self.needles {
            let mut clean = Vec::new();
            let mut rest = bytes.as_slice();
            // Bytes at the head of `rest` that begin no spelling.
            let mut kept = 0;
            while let Some(from) = rest.get(kept..).filter(|from| !from.is_empty()) {
                match spelled(from, needle) {
                    Some(length) => {
                        clean.extend_from_slice(rest.get(..kept).unwrap_or_default());
                        clean.extend_from_slice(INSTEAD);
                        rest = from.get(length..).unwrap_or_default();
                        kept = 0;
                    }
                    None => kept += 1,
                }
            }
            if !clean.is_empty() {
                clean.extend_from_slice(rest);
                *bytes = clean;
            }
        }
    }

    /// Cleans text. It stays UTF-8: what is taken out begins and ends with whole characters, or else what is left is
    /// mended.
    pub(super) fn clean_text(&self, text: &mut String) {
        let mut bytes = std::mem::take(text).into_bytes();
        self.clean(&mut bytes);
        *text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    }
}

/// How many bytes of `text` spell `needle`, if it begins with it: each character as it is, or escaped as JSON (once or more
/// often), C, Python, Rust, URLs or HTML do.
fn spelled(text: &[u8], needle: &[u8]) -> Option<usize> {
    let mut rest = text;
    for &byte in needle {
        rest = character(rest, byte)?;
    }
    Some(text.len() - rest.len())
}

/// What follows `byte`, if `text` begins with a spelling of it.
fn character(text: &[u8], byte: u8) -> Option<&[u8]> {
    let (&first, rest) = text.split_first()?;
    if first == byte {
        return Some(rest);
    }
    match first {
        b'\\' => {
            // Escaped again, each backslash becomes two.
            let backslashes = rest.iter().take(NESTED).take_while(|&&next| next == b'\\').count();
            let (&escaped, rest) = rest.get(backslashes..)?.split_first()?;
            if escaped == byte {
                return Some(rest);
            }
            let (digits, rest) = match escaped {
                b'u' if rest.first() == Some(&b'{') => {
                    let end = rest.iter().take(10).position(|&next| next == b'}')?;
                    (rest.get(1..end)?, rest.get(end + 1..)?)
                }
                b'u' => rest.split_at_checked(4)?,
                b'U' => rest.split_at_checked(8)?,
                b'x' => rest.split_at_checked(2)?,
                // Octal, as C has it: the first of three figures is the one that was taken.
                b'0'..=b'3' => {
                    let (more, rest) = rest.split_at_checked(2)?;
                    let digits = [&[escaped], more].concat();
                    let value = u32::from_str_radix(std::str::from_utf8(&digits).ok()?, 8).ok()?;
                    return (value == u32::from(byte)).then_some(rest);
                }
                _ => return None,
            };
            (hex(digits)? == u32::from(byte)).then_some(rest)
        }
        b'%' => {
            // `%` may be encoded itself, once or more often.
            let mut rest = rest;
            for _ in 0..NESTED {
                rest = rest.strip_prefix(b"25").filter(|_| byte != b'%').unwrap_or(rest);
            }
            let number = rest.split_at_checked(2)?;
            (hex(number.0)? == u32::from(byte)).then_some(number.1)
        }
        // `&#65;` or `&#x41;`.
        b'&' => {
            let number = rest.strip_prefix(b"#")?;
            let end = number.iter().take(8).position(|&next| next == b';')?;
            let (number, rest) = (number.get(..end)?, number.get(end + 1..)?);
            let value = match number.strip_prefix(b"x").or_else(|| number.strip_prefix(b"X")) {
                Some(digits) => hex(digits)?,
                None => std::str::from_utf8(number).ok()?.parse().ok()?,
            };
            (value == u32::from(byte)).then_some(rest)
        }
        _ => None,
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The characters that depend on nothing but `key` where it stands in base64 after a multiple of three and `before` bytes.
fn base64(key: &[u8], before: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let bit = |at: usize| key.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
    // Six bits a character: from the first that has no bit of what stands before to the last that has none of what
    // follows.
    let (first, end) = ((before * 8).div_ceil(6), (before + key.len()) * 8 / 6);
    let symbol = |place: usize| {
        let number = (0..6).fold(0, |number, offset| 2 * number + usize::from(bit(6 * place + offset - 8 * before)));
        alphabet.get(number).copied()
    };
    (first..end).filter_map(symbol).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "sk/c+nary-42/x";

    fn clean(text: &str) -> String {
        let mut text = text.to_owned();
        Redactor::new(Some(KEY)).clean_text(&mut text);
        text
    }

    #[test]
    fn a_key_is_taken_out_in_every_spelling() {
        for spelling in [
            KEY.to_owned(),
            KEY.replace('/', "\\/"),
            KEY.replace('c', "\\u0063"),
            KEY.replace('c', "\\\\u0063").replace('/', "\\\\\\/"),
            KEY.replace('c', "\\x63").replace('/', "\\057"),
            KEY.replace('c', "\\u{63}").replace('/', "\\U0000002f"),
            KEY.replace('/', "%2F").replace('+', "%2b"),
            KEY.replace('/', "%252F"),
            KEY.replace('/', "&#47;").replace('+', "&#x2B;"),
            "736b2f632b6e6172792d34322f78".to_owned(),
        ] {
            assert_eq!(clean(&format!("wrong key {spelling}, really {spelling}")), "wrong key [key], really [key]");
        }
        // "Bearer " and ":" before it, as base64 has them; what is left are the bits of the neighbours.
        for (encoded, left) in
            [("c2svYytuYXJ5LTQyL3g=", 2), ("QmVhcmVyIHNrL2MrbmFyeS00Mi94", 10), ("dTpzay9jK25hcnktNDIveA==", 6)]
        {
            let cleaned = clean(encoded);
            assert!(cleaned.contains("[key]") && cleaned.len() <= left + INSTEAD.len(), "{cleaned}");
        }
    }

    #[test]
    fn a_key_that_is_no_secret_stays() {
        let mut text = "EMPTY".to_owned();
        Redactor::new(Some("EMPTY")).clean_text(&mut text);
        Redactor::new(None).clean_text(&mut text);
        assert_eq!(text, "EMPTY");
    }

    proptest! {
        #[test]
        fn what_is_not_the_key_stays(text in "[a-z\\\\%&#; /é]{0,60}", at in any::<prop::sample::Index>()) {
            prop_assert_eq!(&clean(&text), &text);
            let at = (0..=text.len()).rev().find(|&place| place <= at.index(text.len() + 1) && text.is_char_boundary(place)).unwrap();
            let (before, after) = text.split_at(at);
            let cleaned = clean(&format!("{before}{KEY}{after}"));
            prop_assert!(cleaned.contains("[key]") && !cleaned.contains(KEY), "{}", cleaned);
        }
    }
}
