//! The id of a row, in a corpus and in every file that names the rows of one. By one rule: a gold file that writes `7`
//! means the row that has `"7"`.

use serde_json::Value;

use crate::domain::sample::{SampleId, TextHash};

/// Bytes of an id, at most. Ids are keys of the store, and a line of several files has one.
const LONGEST: usize = 64 << 10;

/// The id in `value`, the field `field` of a row with this `text`; without one, a text goes by its hash.
///
/// Whole numbers are ids too, as they are written. Others are not: `1.0` and `1` may be the same number, and are two
/// spellings.
pub(crate) fn id_of(field: &str, value: Option<Value>, text: Option<&str>) -> Result<SampleId, String> {
    match (value, text) {
        (Some(Value::String(id)), _) if id.len() > LONGEST => {
            Err(format!("the field {field:?} has {} bytes: an id may have {LONGEST}", id.len()))
        }
        (Some(Value::String(id)), _) if !id.is_empty() => Ok(SampleId(id)),
        (Some(Value::Number(id)), _) if id.is_u64() || id.is_i64() => Ok(SampleId(id.to_string())),
        // So equal texts without an id are one sample.
        (None | Some(Value::Null), Some(text)) => Ok(SampleId(TextHash::of(text).to_hex())),
        (None | Some(Value::Null), None) => Err(format!("has no field {field:?}")),
        (Some(_), _) => Err(format!("the field {field:?} is neither a string nor a whole number")),
    }
}
