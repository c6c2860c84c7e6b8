//! The tokens of a query with their places.
//!
//! The parser says what is wrong but not where; places come from here. Only
//! what is needed for that: values are read by the parser.

use super::QueryError;

/// What kind of token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a keyword.
    Word,
    /// A number or a duration.
    Number,
    /// A quoted text, with its quotes.
    Text,
    /// An operator, a bracket or a comma.
    Sign,
}

/// One token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// In bytes from the begin of the query.
    pub(super) at: usize,
    /// Between `{` and `}`.
    pub(super) in_braces: bool,
    /// Between `[` and `]`.
    pub(super) in_brackets: bool,
}

impl Token<'_> {
    /// Whether it is this sign.
    pub(super) fn is(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }

    /// Whether it is this keyword, in whatever case.
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }
}

/// Takes a text apart.
///
/// # Errors
///
/// For characters that no token has, and for a quote that does not end.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, QueryError> {
    let mut found = Vec::new();
    let mut at = 0;
    let (mut in_braces, mut in_brackets) = (false, false);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().unwrap_or_default();
        let (kind, length) = match first {
            '#' => {
                at += rest.find(['\n', '\r']).unwrap_or(rest.len());
                continue;
            }
            _ if first.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            '"' | '\'' | '`' => {
                let Some(length) = quoted(rest, first) else {
                    return Err(QueryError::at(text, at, "this quote is not closed"));
                };
                (Kind::Text, length)
            }
            '0'..='9' => (Kind::Number, number(rest)),
            '.' if rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit()) => {
                (Kind::Number, number(rest))
            }
            ':' if in_brackets => (Kind::Sign, 1),
            _ if is_word(first) || first == ':' => {
                let end = rest.find(|c| !is_word(c) && c != ':');
                (Kind::Word, end.unwrap_or(rest.len()))
            }
            _ => match sign(rest, in_braces) {
                Some(length) => (Kind::Sign, length),
                None => {
                    let said = format!("unexpected character {first:?}");
                    return Err(QueryError::at(text, at, said));
                }
            },
        };
        let token = Token {
            kind,
            text: rest.get(..length).unwrap_or(rest),
            at,
            in_braces,
            in_brackets,
        };
        match token.text {
            "{" => in_braces = true,
            "}" => in_braces = false,
            "[" => in_brackets = true,
            "]" => in_brackets = false,
            _ => {}
        }
        at += length;
        found.push(token);
    }
    Ok(found)
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

/// Bytes of the quoted text that `rest` begins with.
fn quoted(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            // The lexer of the parser knows escapes in raw text too.
            escaped = true;
        } else if c == quote {
            return Some(at + 1);
        }
    }
    None
}

/// Bytes of the number or duration that `rest` begins with. The sign of an
/// exponent belongs to it, unless digits of another base come before.
fn number(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let hex = rest.starts_with("0x") || rest.starts_with("0X");
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let exponent = !hex && matches!(byte, b'+' | b'-') && {
            matches!(bytes.get(at.wrapping_sub(1)), Some(b'e' | b'E'))
        };
        if !(byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_' || exponent) {
            break;
        }
        at += 1;
    }
    at
}

/// Bytes of the sign that `rest` begins with.
fn sign(rest: &str, in_braces: bool) -> Option<usize> {
    const LONG: [&str; 4] = ["==", "!=", "<=", ">="];
    const IN_BRACES: [&str; 3] = ["=~", "!~", "!="];
    let long: &[&str] = if in_braces { &IN_BRACES } else { &LONG };
    if long.iter().any(|sign| rest.starts_with(sign)) {
        return Some(2);
    }
    rest.starts_with(|c| "(){}[],+-*/%^=<>@".contains(c))
        .then_some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        let tokens = tokens(text).expect("tokens");
        tokens.iter().map(|token| token.text).collect()
    }

    #[test]
    fn a_query_falls_into_its_tokens() {
        assert_eq!(
            texts("sum by(a) (rate(x:y_z{a=~\"b\\\"}\",c!='d'}[5m:1m] offset -1h)) >= bool 1e-5"),
            [
                "sum",
                "by",
                "(",
                "a",
                ")",
                "(",
                "rate",
                "(",
                "x:y_z",
                "{",
                "a",
                "=~",
                "\"b\\\"}\"",
                ",",
                "c",
                "!=",
                "'d'",
                "}",
                "[",
                "5m",
                ":",
                "1m",
                "]",
                "offset",
                "-",
                "1h",
                ")",
                ")",
                ">=",
                "bool",
                "1e-5"
            ]
        );
        assert_eq!(
            texts("1 - -.5e+3 # more\n+0xe-2"),
            ["1", "-", "-", ".5e+3", "+", "0xe", "-", "2"]
        );
    }

    #[test]
    fn what_no_token_has_is_named_with_its_place() {
        for (text, offset) in [
            ("a ; b", 2),
            ("ab ? ", 3),
            ("a{b=\"c}", 4),
            ("x ä", 2),
            ("a ! b", 2),
        ] {
            let error = tokens(text).expect_err(text);
            assert_eq!(error.offset(), offset, "{text}: {error}");
        }
    }
}
