//! What a YAML scalar is: null, boolean, number or string, by the core schema of YAML 1.2.
//!
//! Called by `tree`. It must never treat `yes`, `no`, `on`, `off`, `1_000` or
//! `0755` the YAML 1.1 way: a manifest would mean something else here than its author reads.

use granit_parser::Tag;

use super::node::Value;

/// The value of a scalar; `plain` is whether it was written without quotes.
///
/// # Errors
/// A message when its tag is unknown or does not fit.
pub(super) fn resolve(text: &str, plain: bool, tag: Option<&Tag>) -> Result<Value, String> {
    let string = || Value::String(text.to_owned());
    let Some(tag) = tag else {
        return Ok(if plain { self::plain(text) } else { string() });
    };
    match (tag.core_suffix(), self::plain(text)) {
        (Some("str"), _) => Ok(string()),
        (Some("null"), value @ Value::Null)
        | (Some("bool"), value @ Value::Bool(_))
        | (Some("int"), value @ Value::Int(_))
        | (Some("float"), value @ Value::Float(_)) => Ok(value),
        (Some("float"), Value::Int(whole)) => Ok(Value::Float(whole as f64)),
        (Some(name @ ("null" | "bool" | "int" | "float")), _) => {
            Err(format!("{text:?} is not of its tag's type !!{name}"))
        }
        // The lone `!` says: not resolved, a string.
        _ if tag.original() == "!" => Ok(string()),
        _ => Err(format!("the tag {} is not supported", tag.original())),
    }
}

/// The value of the plain scalar `text`.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

/// `text` as an integer or float of the core schema.
pub(super) fn number(text: &str) -> Option<Value> {
    integer(text).or_else(|| float(text))
}

fn integer(text: &str) -> Option<Value> {
    let radix = |digits: &str, radix: u32| {
        // `from_str_radix` takes a sign, the schema does not.
        digits.chars().all(|c| c.is_digit(radix)).then_some(())?;
        i64::from_str_radix(digits, radix).ok().map(Value::Int)
    };
    if let Some(hex) = text.strip_prefix("0x") {
        return radix(hex, 16);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return radix(octal, 8);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Too large for 64 bits: a float, as in JSON; whoever wants a whole number will say so.
    match text.parse() {
        Ok(value) => Some(Value::Int(value)),
        Err(_) => text.parse().ok().map(Value::Float),
    }
}

fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            return Some(Value::Float(if negative {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            }));
        }
        ".nan" | ".NaN" | ".NAN" if unsigned.len() == text.len() => {
            return Some(Value::Float(f64::NAN));
        }
        _ => {}
    }
    // Rust also reads "inf", "nan" and "infinity": only the schema's spelling may reach `parse`.
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    if let Some(exponent) = exponent {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if exponent.is_empty() || !digits(exponent) {
            return None;
        }
    }
    text.parse().ok().map(Value::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_schema_of_yaml_1_2() {
        for (text, value) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("null", Value::Null),
            ("True", Value::Bool(true)),
            ("FALSE", Value::Bool(false)),
            ("0", Value::Int(0)),
            ("-12", Value::Int(-12)),
            ("+12", Value::Int(12)),
            ("0x1F", Value::Int(31)),
            ("0o17", Value::Int(15)),
            ("0755", Value::Int(755)),
            ("9223372036854775807", Value::Int(i64::MAX)),
            (
                "9223372036854775808",
                Value::Float(9_223_372_036_854_775_808.0),
            ),
            ("1.5", Value::Float(1.5)),
            ("1.", Value::Float(1.0)),
            ("-.5", Value::Float(-0.5)),
            ("1e3", Value::Float(1000.0)),
            ("1.5E-1", Value::Float(0.15)),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
        ] {
            assert_eq!(plain(text), value, "{text:?}");
        }
        assert!(matches!(plain(".nan"), Value::Float(f) if f.is_nan()));
    }

    #[test]
    fn everything_else_is_a_string() {
        for text in [
            "yes",
            "no",
            "on",
            "off",
            "y",
            "nULL",
            "tRUE",
            "1_000",
            "0x",
            "0o8",
            "0b1",
            "-0x1",
            "0x+1",
            "inf",
            "nan",
            "-.nan",
            "infinity",
            ".",
            "+",
            "-",
            "1e",
            "1e+",
            "e3",
            "1.2.3",
            "10:30",
            "2026-01-01",
            "1m",
            "٣",
        ] {
            assert_eq!(plain(text), Value::String(text.into()), "{text:?}");
        }
    }
}
