//! Durations as Go writes them: `300ms`, `1.5s`, `1h30m`.
//!
//! Called by `decode` for every duration of a manifest, because the HTTP add-on keeps durations as
//! Go strings. It must never accept what Go refuses: the same manifest goes to a cluster.

use std::time::Duration;

/// Go keeps a duration in a signed 64-bit count of nanoseconds.
const MAX_NANOS: u128 = i64::MAX as u128;

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not written as a duration.
    #[error("{0:?} is not a duration: use a number with a unit, such as 300ms, 30s or 1h30m")]
    Syntax(String),
    /// Below zero.
    #[error("{0:?} is negative: a duration is zero or more")]
    Negative(String),
    /// Longer than Go can hold.
    #[error("{0:?} is too long: the longest duration is 2562047h47m16s, about 292 years")]
    Overflow(String),
}

/// Reads a Go duration (`time.ParseDuration`), zero or more.
///
/// # Errors
/// When `text` is not one, is negative, or does not fit into Go's 64 bits of nanoseconds.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let syntax = || DurationError::Syntax(text.to_owned());
    let overflow = || DurationError::Overflow(text.to_owned());
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(syntax());
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(syntax());
        }
        let (unit, after) = unit(after).ok_or_else(syntax)?;
        // Too many digits for the integer is far beyond the limit anyway.
        let whole: u128 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| overflow())?
        };
        nanos = whole
            .checked_mul(unit)
            .and_then(|part| part.checked_add(fraction_of(unit, fraction)))
            .and_then(|part| part.checked_add(nanos))
            .filter(|nanos| *nanos <= MAX_NANOS)
            .ok_or_else(overflow)?;
        rest = after;
    }
    if negative && nanos > 0 {
        return Err(DurationError::Negative(text.to_owned()));
    }
    let nanos = u64::try_from(nanos).map_err(|_| overflow())?;
    Ok(Duration::from_nanos(nanos))
}

/// A duration in Go's form, which [`parse`] reads back: `90s`, `1500ms`, `7ns`.
#[must_use]
pub fn format(duration: Duration) -> String {
    match duration.subsec_nanos() {
        0 => format!("{}s", duration.as_secs()),
        nanos if nanos % 1_000_000 == 0 => format!("{}ms", duration.as_millis()),
        _ => format!("{}ns", duration.as_nanos()),
    }
}

/// Splits off the leading ASCII digits.
fn digits(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(end)
}

/// Splits off the unit: its nanoseconds and what follows.
fn unit(text: &str) -> Option<(u128, &str)> {
    let end = text
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let nanos = match name {
        "ns" => 1,
        // U+00B5 micro sign and U+03BC Greek mu, as Go has both.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    Some((nanos, rest))
}

/// `0.<fraction>` of `unit`, cut to whole nanoseconds.
fn fraction_of(unit: u128, fraction: &str) -> u128 {
    // An hour has 3.6e12 ns: digits after the 18th cannot reach one nanosecond.
    let mut numerator: u128 = 0;
    let mut scale: u128 = 1;
    for digit in fraction.bytes().take(18) {
        numerator = numerator * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    unit * numerator / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations() {
        for (text, nanos) in [
            ("0", 0),
            ("+0", 0),
            ("-0", 0),
            ("0s", 0),
            ("-0s", 0),
            ("1ns", 1),
            ("10us", 10_000),
            ("10\u{b5}s", 10_000),
            ("10\u{3bc}s", 10_000),
            ("300ms", 300_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("+5s", 5_000_000_000),
            ("1m", 60_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1h15m30.918273645s", 4_530_918_273_645),
            ("0.3333333333333333333h", 1_200_000_000_000 - 1),
            ("9223372036854775807ns", 9_223_372_036_854_775_807),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_a_duration_says_why() {
        for text in [
            "", "5", "5x", "x", "s", ".", ".s", "1", "1.5", "1s5", "5 s", " 5s", "5s ", "--5s",
            "1d", "1h-5m", "1e3s", "٣s", "5S", "+", "-",
        ] {
            assert_eq!(
                parse(text),
                Err(DurationError::Syntax(text.into())),
                "{text:?}"
            );
        }
        assert_eq!(
            parse("5x").unwrap_err().to_string(),
            "\"5x\" is not a duration: use a number with a unit, such as 300ms, 30s or 1h30m"
        );
        assert_eq!(
            parse("-1.5h").unwrap_err().to_string(),
            "\"-1.5h\" is negative: a duration is zero or more"
        );
        let long = "9".repeat(60) + "h";
        for text in [
            "2562047h48m",
            "9223372036854775808ns",
            "1000000h2000000h",
            long.as_str(),
        ] {
            assert!(
                matches!(parse(text), Err(DurationError::Overflow(_))),
                "{text:?}"
            );
        }
        assert_eq!(
            parse("300000000h").unwrap_err().to_string(),
            "\"300000000h\" is too long: the longest duration is 2562047h47m16s, about 292 years"
        );
    }
}
