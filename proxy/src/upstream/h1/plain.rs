//! Finding the lines of a head that has nothing unusual about it: HTTP/1.1, a
//! final status with its usual reason, CRLF behind each line, not very many
//! fields. Nearly all heads are like that, and for them this costs a third of
//! a parser that must know all of HTTP.
//!
//! `head.rs` calls it. It must not judge: where it finds no such head, a real
//! parser looks at all of it again. Names and values are not looked at here,
//! but when they become headers.

use http::StatusCode;

/// Most fields of such a head.
pub(super) const PLAIN_FIELDS: usize = 40;

/// Where in a head a field is: its name from `start` to `colon`, its value
/// behind that, to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) start: usize,
    pub(super) colon: usize,
    pub(super) end: usize,
}

impl Field {
    pub(super) const EMPTY: Self = Self {
        start: 0,
        colon: 0,
        end: 0,
    };
}

/// A whole head, as yet without its headers.
#[derive(Debug)]
pub(super) struct Plain<'f> {
    pub(super) status: StatusCode,
    pub(super) fields: &'f [Field],
    /// Behind the empty line.
    pub(super) end: usize,
}

impl<'f> Plain<'f> {
    /// The head at the start of `bytes`, if all of it is there and plain.
    pub(super) fn find(bytes: &[u8], fields: &'f mut [Field; PLAIN_FIELDS]) -> Option<Self> {
        const CODE: usize = b"HTTP/1.1 ".len();
        let behind = bytes.strip_prefix(b"HTTP/1.1 ")?;
        let status = StatusCode::from_bytes(behind.first_chunk::<3>()?).ok()?;
        if status.is_informational() {
            return None;
        }
        let mut end = line_end(bytes, CODE + 3)?;
        match bytes.get(CODE + 3..end)? {
            [] | [b' '] => {}
            [b' ', reason @ ..] if reason == status.canonical_reason()?.as_bytes() => {}
            _ => return None,
        }
        let mut count = 0;
        loop {
            let start = end + 2;
            if bytes.get(start..start + 2)? == b"\r\n" {
                return Some(Self {
                    status,
                    fields: fields.get(..count)?,
                    end: start + 2,
                });
            }
            let colon = find(bytes, start, [b':', b'\n'])?;
            if bytes.get(colon) != Some(&b':') {
                return None;
            }
            end = line_end(bytes, colon + 1)?;
            *fields.get_mut(count)? = Field { start, colon, end };
            count += 1;
        }
    }
}

/// Where the line ends that `from` is in, if it ends with CRLF.
fn line_end(bytes: &[u8], from: usize) -> Option<usize> {
    let end = find(bytes, from, [b'\n'])?.checked_sub(1)?;
    (end >= from && bytes.get(end) == Some(&b'\r')).then_some(end)
}

/// The first of the `wanted` from `from` on. Names and values are short: too
/// short for what is best at long ones.
fn find<const COUNT: usize>(bytes: &[u8], from: usize, wanted: [u8; COUNT]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let (words, rest) = bytes.get(from..)?.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = wanted.iter().fold(0, |found, &byte| {
            // A byte that is zero borrows from its highest bit; the first such
            // is one indeed.
            let zero = word ^ (LOW * u64::from(byte));
            found | (zero.wrapping_sub(LOW) & !zero & (LOW << 7))
        });
        if found != 0 {
            return Some(from + index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| wanted.contains(byte))?;
    Some(from + words.len() * 8 + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status, names with values, and what comes behind.
    type Lines<'t> = (u16, Vec<(&'t str, &'t str)>, &'t str);

    fn lines(text: &str) -> Option<Lines<'_>> {
        let mut fields = [Field::EMPTY; PLAIN_FIELDS];
        let plain = Plain::find(text.as_bytes(), &mut fields)?;
        let line = |field: &Field| {
            let value = text.get(field.colon + 1..field.end);
            (text.get(field.start..field.colon).zip(value)).expect("text")
        };
        let lines = plain.fields.iter().map(line).collect();
        Some((plain.status.as_u16(), lines, text.get(plain.end..)?))
    }

    #[test]
    fn the_lines_of_plain_heads() {
        for reason in ["", " ", " OK"] {
            let text = format!(
                "HTTP/1.1 200{reason}\r\na:b\r\nc-dddddddddddd: e:f \r\ng:\r\n\r\nrest\r\n"
            );
            let fields = vec![("a", "b"), ("c-dddddddddddd", " e:f "), ("g", "")];
            assert_eq!(lines(&text), Some((200, fields, "rest\r\n")));
        }
        assert_eq!(
            lines("HTTP/1.1 404 Not Found\r\n\r\n"),
            Some((404, vec![], ""))
        );
    }

    #[test]
    fn all_others_are_left_to_the_parser() {
        for other in [
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.1 200 Fine\r\n\r\n",
            "HTTP/1.1 2000\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/1.1 200 OK\n\r\n",
            "HTTP/1.1 200 OK\r\n\n",
            "HTTP/1.1 200 OK\r\na: b\n\r\n",
            "HTTP/1.1 200 OK\r\na:\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            &format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(41)),
        ] {
            assert_eq!(lines(other), None, "{other}");
        }
    }

    #[test]
    fn whatever_is_found_is_what_the_parser_finds() {
        let alphabet = [
            "a",
            ":",
            " ",
            "\r\n",
            "\n",
            "\r",
            "\t",
            "\0",
            "x-y: z\r\n",
            "\u{e4}",
            "12345678",
        ];
        let mut random = fastrand::Rng::with_seed(7);
        let (mut found, mut refused) = (0, 0);
        for _ in 0..20_000 {
            let count = random.usize(0..7);
            let middle: String = (0..count)
                .map(|_| random.choice(alphabet).expect("some"))
                .collect();
            let text = format!("HTTP/1.1 200 OK\r\n{middle}\r\n\r\n");
            let Some((_, ours, rest)) = lines(&text) else {
                continue;
            };
            let mut fields = [httparse::EMPTY_HEADER; PLAIN_FIELDS];
            let mut head = httparse::Response::new(&mut fields);
            match head.parse(text.as_bytes()) {
                Ok(httparse::Status::Complete(end)) => {
                    found += 1;
                    assert_eq!(text.get(end..), Some(rest), "{text:?}");
                    let theirs = head.headers.iter().map(|field| (field.name, field.value));
                    let trimmed = ours
                        .iter()
                        .map(|(name, value)| (*name, value.trim_matches([' ', '\t']).as_bytes()));
                    assert!(theirs.eq(trimmed), "{text:?}");
                }
                // What it refuses is refused when names and values are read.
                _ => {
                    refused += 1;
                    let is_bad = |(name, value): &(&str, &str)| {
                        http::HeaderName::from_bytes(name.as_bytes()).is_err()
                            || http::HeaderValue::from_str(value.trim_matches([' ', '\t'])).is_err()
                    };
                    assert!(ours.iter().any(is_bad), "{text:?}");
                }
            }
        }
        assert!(found > 100 && refused > 100, "{found} {refused}");
    }
}
