//! The value of a Content-Length (RFC 9110 section 8.6).

/// Digits and nothing else, but for spaces around them. None: it is none, or
/// larger than any body.
pub(crate) fn parse(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |length, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lengths() {
        assert_eq!(parse(b"0"), Some(0));
        assert_eq!(parse(b" 0042\t"), Some(42));
        assert_eq!(parse(b"18446744073709551615"), Some(u64::MAX));
        for none in [
            "",
            " ",
            "+1",
            "-1",
            "1 2",
            "0x1",
            "1,1",
            "18446744073709551616",
        ] {
            assert_eq!(parse(none.as_bytes()), None, "{none:?}");
        }
    }
}
