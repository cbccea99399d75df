//! Values on disk: one format byte, then bincode.

use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The format of all values. A change of any stored type raises it.
pub(super) const FORMAT: u8 = 2;

/// A value that cannot be read back: damage, or another format.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Undecodable(pub(super) String);

fn options() -> impl Options {
    // Variable-length numbers keep values small; trailing bytes are damage.
    bincode::DefaultOptions::new().with_limit(64 << 20)
}

pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Undecodable> {
    let mut bytes = vec![FORMAT];
    options().serialize_into(&mut bytes, value).map_err(|error| Undecodable(error.to_string()))?;
    Ok(bytes)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Undecodable> {
    match bytes.split_first() {
        Some((&FORMAT, value)) => options().deserialize(value).map_err(|error| Undecodable(error.to_string())),
        Some((format, _)) => Err(Undecodable(format!("a value has format {format}, not {FORMAT}"))),
        None => Err(Undecodable("a value is empty".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(value: (String, Vec<u16>, Option<u64>, f32)) {
            let bytes = encode(&value).unwrap();
            prop_assert_eq!(bytes[0], FORMAT);
            let read: (String, Vec<u16>, Option<u64>, f32) = decode(&bytes).unwrap();
            prop_assert_eq!((read.0, read.1, read.2, read.3.to_bits()), (value.0, value.1, value.2, value.3.to_bits()));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode::<(String, Vec<u16>, Option<u64>)>(&bytes);
        }
    }

    #[test]
    fn other_formats_and_trailing_bytes_are_refused() {
        let mut bytes = encode(&7_u64).unwrap();
        bytes.push(0);
        assert!(decode::<u64>(&bytes).is_err());
        assert!(decode::<u64>(&[FORMAT + 1, 7]).unwrap_err().0.contains("format 3"));
        assert!(decode::<u64>(&[]).is_err());
    }
}
