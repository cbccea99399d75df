//! Columns of texts and of ids, whichever of Arrow's types they came in: what pandas, polars and DuckDB make of strings differs.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, LargeStringArray, StringArray, StringViewArray};
use arrow_schema::DataType;

/// A column of strings.
pub(super) enum Words<'a> {
    Short(&'a StringArray),
    Large(&'a LargeStringArray),
    View(&'a StringViewArray),
    /// Each row is a place among the values, or null: categories.
    Dictionary(Vec<Option<usize>>, Box<Words<'a>>),
    /// A column without any value has no other type.
    Nulls,
}

impl<'a> Words<'a> {
    /// Whether a column of this type is one of strings.
    pub(super) fn can_be(kind: &DataType) -> bool {
        match kind {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => true,
            DataType::Dictionary(_, values) => Self::can_be(values),
            _ => false,
        }
    }

    pub(super) fn new(column: &'a dyn Array) -> Option<Self> {
        Some(match column.data_type() {
            DataType::Utf8 => Self::Short(column.as_string_opt::<i32>()?),
            DataType::LargeUtf8 => Self::Large(column.as_string_opt::<i64>()?),
            DataType::Utf8View => Self::View(column.as_string_view_opt()?),
            DataType::Dictionary(..) => {
                let dictionary = column.as_any_dictionary_opt()?;
                let (keys, values) = (dictionary.keys(), dictionary.values());
                // Without a value every row is null, and no place can be named.
                if values.is_empty() {
                    return Some(Self::Nulls);
                }
                let places = dictionary.normalized_keys().into_iter().enumerate();
                let places = places.map(|(row, place)| keys.is_valid(row).then_some(place)).collect();
                Self::Dictionary(places, Box::new(Self::new(values.as_ref())?))
            }
            DataType::Null => Self::Nulls,
            _ => return None,
        })
    }

    /// The string in `row`, if there is one.
    pub(super) fn get(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::Short(column) => (row < column.len() && column.is_valid(row)).then(|| column.value(row)),
            Self::Large(column) => (row < column.len() && column.is_valid(row)).then(|| column.value(row)),
            Self::View(column) => (row < column.len() && column.is_valid(row)).then(|| column.value(row)),
            Self::Dictionary(places, values) => values.get((*places.get(row)?)?),
            Self::Nulls => None,
        }
    }
}

/// A column of ids: strings, or whole numbers as they are written.
pub(super) enum Ids<'a> {
    Words(Words<'a>),
    Numbers(&'a dyn Array),
}

impl<'a> Ids<'a> {
    /// Whether a column of this type is one of ids.
    pub(super) fn can_be(kind: &DataType) -> bool {
        Words::can_be(kind) || kind.is_integer()
    }

    pub(super) fn new(column: &'a dyn Array) -> Option<Self> {
        if column.data_type().is_integer() {
            return Some(Self::Numbers(column));
        }
        Words::new(column).map(Self::Words)
    }

    /// The id in `row`. An empty one is none, as in a corpus.
    pub(super) fn get(&self, row: usize) -> Option<String> {
        match self {
            Self::Words(words) => words.get(row).filter(|id| !id.is_empty()).map(str::to_owned),
            Self::Numbers(column) => number(*column, row),
        }
    }
}

fn number(column: &dyn Array, row: usize) -> Option<String> {
    match column.data_type() {
        DataType::Int8 => number_of::<Int8Type>(column, row),
        DataType::Int16 => number_of::<Int16Type>(column, row),
        DataType::Int32 => number_of::<Int32Type>(column, row),
        DataType::Int64 => number_of::<Int64Type>(column, row),
        DataType::UInt8 => number_of::<UInt8Type>(column, row),
        DataType::UInt16 => number_of::<UInt16Type>(column, row),
        DataType::UInt32 => number_of::<UInt32Type>(column, row),
        DataType::UInt64 => number_of::<UInt64Type>(column, row),
        _ => None,
    }
}

fn number_of<T: ArrowPrimitiveType>(column: &dyn Array, row: usize) -> Option<String>
where
    T::Native: ToString,
{
    let column = column.as_primitive_opt::<T>()?;
    (row < column.len() && column.is_valid(row)).then(|| column.value(row).to_string())
}
