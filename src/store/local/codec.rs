//! Values in sled: one format byte, then bincode, then the CRC-32 of key and value. sled finds not every flipped bit; this does.

use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The format of all values. A change of any stored type raises it; a store of another format is rebuilt from the logs.
pub(super) const FORMAT: u8 = 3;

/// A value that cannot be read back: damage, or another format. Says why; which store it is in the caller knows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Undecodable(pub(super) String);

/// The same for writing and reading, and for stores of format 1.
pub(super) fn options() -> impl Options {
    // The limit bounds what a damaged length may ask for: no value of ours comes near 64 MiB. Variable-length numbers
    // keep values small; trailing bytes are damage.
    bincode::DefaultOptions::new().with_limit(64 << 20)
}

/// Over the key's length, the key and the value with its format byte: a value that sled gives back under another key
/// does not match. The length keeps key and value apart.
fn crc(key: &[u8], value: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    hasher.finalize().to_le_bytes()
}

/// # Errors
///
/// Where a value is larger than the limit; none of ours is.
pub(super) fn encode<T: Serialize>(key: &[u8], value: &T) -> Result<Vec<u8>, Undecodable> {
    let mut bytes = vec![FORMAT];
    options().serialize_into(&mut bytes, value).map_err(|error| Undecodable(error.to_string()))?;
    bytes.extend_from_slice(&crc(key, &bytes));
    Ok(bytes)
}

/// # Errors
///
/// Where the value has another format, does not match its checksum, or is not what is wanted. Never panics, whatever
/// the bytes.
pub(super) fn decode<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, Undecodable> {
    let (value, found) = bytes.split_last_chunk::<4>().ok_or_else(|| Undecodable("a value is empty".to_owned()))?;
    match value.split_first() {
        // The checksum comes before bincode: what reads a value trusts it.
        Some((&FORMAT, _)) if *found != crc(key, value) => {
            Err(Undecodable("a value is not as it was written".to_owned()))
        }
        Some((&FORMAT, value)) => options().deserialize(value).map_err(|error| Undecodable(error.to_string())),
        Some((format, _)) => Err(Undecodable(format!("a value has format {format}, not {FORMAT}"))),
        None => Err(Undecodable("a value is empty".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Value = (String, Vec<u16>, Option<u64>, f32);

    proptest! {
        #[test]
        fn what_is_written_is_read(key: Vec<u8>, value: Value) {
            let bytes = encode(&key, &value).unwrap();
            prop_assert_eq!(bytes[0], FORMAT);
            let read: Value = decode(&key, &bytes).unwrap();
            prop_assert_eq!((read.0, read.1, read.2, read.3.to_bits()), (value.0, value.1, value.2, value.3.to_bits()));
        }

        #[test]
        fn a_changed_byte_or_another_key_is_noticed(value: Value, at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
            let mut bytes = encode(b"key", &value).unwrap();
            prop_assert!(decode::<Value>(b"kex", &bytes).is_err());
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert!(decode::<Value>(b"key", &bytes).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode::<(String, Vec<u16>, Option<u64>)>(b"key", &bytes);
        }
    }

    #[test]
    fn another_format_is_named() {
        let mut bytes = encode(b"k", &7_u64).unwrap();
        bytes[0] = FORMAT + 1;
        assert!(decode::<u64>(b"k", &bytes).unwrap_err().0.contains("format 4"));
        assert!(decode::<u64>(b"k", &[]).is_err());
    }
}
