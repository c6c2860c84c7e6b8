//! Attribute values as text: what a label can hold.

use super::wire::{Fields, Value, WireError};
use crate::series::DropReason;
use std::{borrow::Cow, fmt::Write};

/// How deep lists and maps may be nested.
const DEEPEST: u32 = 8;

/// A key and its value (`AnyValue`, not yet read).
pub(super) type KeyValue<'a> = (&'a [u8], &'a [u8]);

/// The two fields of a `KeyValue`.
pub(super) fn key_value(bytes: &[u8]) -> Result<KeyValue<'_>, WireError> {
    let mut pair: KeyValue<'_> = (&[], &[]);
    for field in Fields::of("KeyValue", bytes) {
        let field = field?;
        match field.number {
            1 => pair.0 = field.bytes()?,
            2 => pair.1 = field.bytes()?,
            _ => {}
        }
    }
    Ok(pair)
}

/// A key as text.
pub(super) fn key_text(key: &[u8]) -> Result<&str, DropReason> {
    std::str::from_utf8(key).map_err(|_| DropReason::BadLabel)
}

/// An `AnyValue` as text: numbers and booleans as they are written, bytes as
/// hexadecimal digits, lists and maps as JSON. Empty if it has no value.
///
/// # Errors
/// Not UTF-8, nested too deeply, longer than `most` bytes, or no `AnyValue`.
pub(super) fn value_text(value: &[u8], most: usize) -> Result<Cow<'_, str>, DropReason> {
    let Some((number, value)) = last_field(value)? else {
        return Ok(Cow::Borrowed(""));
    };
    match (number, value) {
        (1, Value::Bytes(text)) => Ok(Cow::Borrowed(key_text(text)?)),
        (5 | 6, Value::Bytes(_)) => {
            let mut text = String::new();
            write_json(number, value, DEEPEST, most, &mut text)?;
            Ok(Cow::Owned(text))
        }
        _ => {
            let mut text = String::new();
            write_scalar(number, value, most, &mut text)?;
            Ok(Cow::Owned(text))
        }
    }
}

/// Of a `oneof`, the last one counts.
fn last_field(value: &[u8]) -> Result<Option<(u64, Value<'_>)>, DropReason> {
    let mut last = None;
    for field in Fields::of("AnyValue", value) {
        let field = field.map_err(|_| DropReason::BadLabel)?;
        if (1..=7).contains(&field.number) {
            last = Some((field.number, field.value));
        }
    }
    Ok(last)
}

fn write_scalar(
    number: u64,
    value: Value<'_>,
    most: usize,
    to: &mut String,
) -> Result<(), DropReason> {
    let written = match (number, value) {
        (2, Value::Varint(is)) => write!(to, "{}", is != 0),
        (3, Value::Varint(bits)) => write!(to, "{}", bits.cast_signed()),
        (4, Value::Fixed64(bits)) => write!(to, "{}", f64::from_bits(bits)),
        (7, Value::Bytes(bytes)) if to.len() + 2 * bytes.len() > most => {
            return Err(DropReason::ValueTooLong);
        }
        (7, Value::Bytes(bytes)) => bytes.iter().try_for_each(|byte| write!(to, "{byte:02x}")),
        _ => return Err(DropReason::BadLabel),
    };
    // Writing to a string does not fail.
    written.map_err(|_| DropReason::BadLabel)
}

fn write_json(
    number: u64,
    value: Value<'_>,
    depth: u32,
    most: usize,
    to: &mut String,
) -> Result<(), DropReason> {
    if to.len() > most {
        return Err(DropReason::ValueTooLong);
    }
    match (number, value) {
        (1, Value::Bytes(text)) => quote(key_text(text)?, most, to),
        (5 | 6, Value::Bytes(items)) => {
            let depth = depth.checked_sub(1).ok_or(DropReason::BadLabel)?;
            let (open, close) = if number == 5 { ('[', ']') } else { ('{', '}') };
            to.push(open);
            let mut first = true;
            for item in Fields::of("AnyValue", items) {
                let item = item.map_err(|_| DropReason::BadLabel)?;
                if item.number != 1 {
                    continue;
                }
                if !std::mem::take(&mut first) {
                    to.push(',');
                }
                let mut inner = item.bytes().map_err(|_| DropReason::BadLabel)?;
                if number == 6 {
                    let (key, value) = key_value(inner).map_err(|_| DropReason::BadLabel)?;
                    quote(key_text(key)?, most, to)?;
                    to.push(':');
                    inner = value;
                }
                match last_field(inner)? {
                    Some((number, value)) => write_json(number, value, depth, most, to)?,
                    None => to.push_str("null"),
                }
            }
            to.push(close);
            Ok(())
        }
        (7, _) => {
            to.push('"');
            write_scalar(number, value, most, to)?;
            to.push('"');
            Ok(())
        }
        _ => write_scalar(number, value, most, to),
    }
}

fn quote(text: &str, most: usize, to: &mut String) -> Result<(), DropReason> {
    if to.len() + text.len() > most {
        return Err(DropReason::ValueTooLong);
    }
    to.push_str(&serde_json::Value::from(text).to_string());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{
        AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value as Any,
    };
    use prost::Message;

    fn text(value: Any) -> Result<String, DropReason> {
        let bytes = AnyValue { value: Some(value) }.encode_to_vec();
        value_text(&bytes, 64).map(Cow::into_owned)
    }

    fn list(values: Vec<Any>) -> Any {
        let values = values
            .into_iter()
            .map(|value| AnyValue { value: Some(value) });
        Any::ArrayValue(ArrayValue {
            values: values.collect(),
        })
    }

    #[test]
    fn each_kind_of_value_is_text() {
        for (value, wanted) in [
            (Any::StringValue("a b".to_owned()), "a b"),
            (Any::BoolValue(false), "false"),
            (Any::IntValue(-200), "-200"),
            (Any::DoubleValue(0.5), "0.5"),
            (Any::BytesValue(vec![0, 255]), "00ff"),
            (
                list(vec![Any::IntValue(1), Any::StringValue("\"".to_owned())]),
                r#"[1,"\""]"#,
            ),
        ] {
            assert_eq!(text(value).as_deref(), Ok(wanted));
        }
        let map = Any::KvlistValue(KeyValueList {
            values: vec![KeyValue {
                key: "k".to_owned(),
                value: Some(AnyValue {
                    value: Some(Any::BoolValue(true)),
                }),
                ..KeyValue::default()
            }],
        });
        assert_eq!(text(map).as_deref(), Ok(r#"{"k":true}"#));
        assert_eq!(value_text(&[], 64).as_deref(), Ok(""));
    }

    #[test]
    fn what_is_too_deep_or_too_long_is_refused() {
        let mut deep = Any::IntValue(1);
        for _ in 0..9 {
            deep = list(vec![deep]);
        }
        assert_eq!(text(deep), Err(DropReason::BadLabel));
        let long = Any::StringValue("x".repeat(70));
        assert_eq!(text(list(vec![long])), Err(DropReason::ValueTooLong));
        let bytes = Any::BytesValue(vec![0; 1 << 20]);
        assert_eq!(text(bytes), Err(DropReason::ValueTooLong));
        let many = list(vec![Any::IntValue(1); 10_000]);
        assert_eq!(text(many), Err(DropReason::ValueTooLong));
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        assert_eq!(value_text(&[10, 1, 0xff], 64), Err(DropReason::BadLabel));
        assert_eq!(value_text(&[8, 1], 64), Err(DropReason::BadLabel));
    }
}
