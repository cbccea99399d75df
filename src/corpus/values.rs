//! Values of Arrow arrays as JSON: text, numbers and truth as they are, times and decimals as text, lists and structs as arrays
//! and objects. What JSON has no value for is null.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, ArrowTemporalType, ArrowTimestampType, Date32Type, Date64Type, Decimal32Type, Decimal64Type,
    Decimal128Type, Decimal256Type, DecimalType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use serde_json::{Map, Value};

/// The value of `array` at `row`, which is one of its rows.
pub(super) fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => Value::from(array.as_boolean().value(row)),
        DataType::Utf8 => Value::from(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Value::from(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Value::from(array.as_string_view().value(row)),
        // Older writers do not say that their bytes are text.
        DataType::Binary => text(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => text(array.as_binary::<i64>().value(row)),
        DataType::BinaryView => text(array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => text(array.as_fixed_size_binary().value(row)),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let key = value(dictionary.keys(), row).as_u64().and_then(|key| usize::try_from(key).ok());
            key.map_or(Value::Null, |key| value(dictionary.values(), key))
        }
        DataType::List(_) => list(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row)),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            fields.iter().zip(columns).map(|(field, column)| (field.name().clone(), value(column, row))).collect()
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let columns = entries.columns();
            let (Some(keys), Some(values)) = (columns.first(), columns.get(1)) else { return Value::Null };
            let entry = |row| (shown(&value(keys, row)), value(values, row));
            Value::Object((0..entries.len()).map(entry).collect::<Map<String, Value>>())
        }
        _ => number(array, row),
    }
}

/// The value of an array of numbers or of times.
fn number(array: &dyn Array, row: usize) -> Value {
    match array.data_type() {
        DataType::Int8 => plain::<Int8Type>(array, row),
        DataType::Int16 => plain::<Int16Type>(array, row),
        DataType::Int32 => plain::<Int32Type>(array, row),
        DataType::Int64 => plain::<Int64Type>(array, row),
        DataType::UInt8 => plain::<UInt8Type>(array, row),
        DataType::UInt16 => plain::<UInt16Type>(array, row),
        DataType::UInt32 => plain::<UInt32Type>(array, row),
        DataType::UInt64 => plain::<UInt64Type>(array, row),
        DataType::Float64 => plain::<Float64Type>(array, row),
        // As short as it is written there, not with the digits that a longer number has.
        DataType::Float32 => short(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float16 => short(array.as_primitive::<Float16Type>().value(row).to_f32()),
        DataType::Decimal32(..) => decimal::<Decimal32Type>(array, row),
        DataType::Decimal64(..) => decimal::<Decimal64Type>(array, row),
        DataType::Decimal128(..) => decimal::<Decimal128Type>(array, row),
        DataType::Decimal256(..) => decimal::<Decimal256Type>(array, row),
        DataType::Date32 => date::<Date32Type>(array, row),
        DataType::Date64 => date::<Date64Type>(array, row),
        DataType::Time32(TimeUnit::Second) => time::<Time32SecondType>(array, row),
        DataType::Time32(_) => time::<Time32MillisecondType>(array, row),
        DataType::Time64(TimeUnit::Microsecond) => time::<Time64MicrosecondType>(array, row),
        DataType::Time64(_) => time::<Time64NanosecondType>(array, row),
        DataType::Timestamp(TimeUnit::Second, zone) => instant::<TimestampSecondType>(array, row, zone.is_some()),
        DataType::Timestamp(TimeUnit::Millisecond, zone) => {
            instant::<TimestampMillisecondType>(array, row, zone.is_some())
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            instant::<TimestampMicrosecondType>(array, row, zone.is_some())
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            instant::<TimestampNanosecondType>(array, row, zone.is_some())
        }
        _ => Value::Null,
    }
}

fn plain<T: ArrowPrimitiveType<Native: Into<Value>>>(array: &dyn Array, row: usize) -> Value {
    array.as_primitive::<T>().value(row).into()
}

fn short(number: f32) -> Value {
    number.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

fn decimal<T: DecimalType>(array: &dyn Array, row: usize) -> Value {
    Value::from(array.as_primitive::<T>().value_as_string(row))
}

fn date<T: ArrowTemporalType>(array: &dyn Array, row: usize) -> Value
where
    i64: From<T::Native>,
{
    array.as_primitive::<T>().value_as_date(row).map_or(Value::Null, |date| Value::from(date.to_string()))
}

fn time<T: ArrowTemporalType>(array: &dyn Array, row: usize) -> Value
where
    i64: From<T::Native>,
{
    array.as_primitive::<T>().value_as_time(row).map_or(Value::Null, |time| Value::from(time.to_string()))
}

/// ISO 8601. With a time zone, Arrow keeps the time of UTC.
fn instant<T: ArrowTimestampType>(array: &dyn Array, row: usize, has_zone: bool) -> Value {
    let zone = if has_zone { "Z" } else { "" };
    let instant = array.as_primitive::<T>().value_as_datetime(row);
    instant.map_or(Value::Null, |instant| Value::from(instant.to_string().replacen(' ', "T", 1) + zone))
}

fn list(items: &ArrayRef) -> Value {
    (0..items.len()).map(|item| value(items, item)).collect()
}

fn text(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or(Value::Null, Value::from)
}

/// A key of a map, which JSON wants as text.
fn shown(key: &Value) -> String {
    key.as_str().map_or_else(|| key.to_string(), str::to_owned)
}
