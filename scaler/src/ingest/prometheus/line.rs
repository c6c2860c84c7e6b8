//! One line with a sample: name, labels, value, time.
//!
//! Called by `page` for lines whose metric is wanted. Pure: nothing is copied
//! but what has escapes.

use super::Format;
use crate::series::DropReason;
use std::borrow::Cow;

/// Largest time, in milliseconds: the year 9999.
const LATEST_MS: f64 = 253_402_300_799_999.0;

/// A line that was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line<'l> {
    /// Name and labels as they are written: the same text is the same series.
    pub(super) identity: &'l [u8],
    pub(super) value: f64,
    /// When it was measured, where the line says so.
    pub(super) at_ms: Option<i64>,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadLine {
    #[error("no metric's name at its beginning")]
    Name,
    #[error("its labels are not name=\"value\", with commas between and braces around")]
    Labels,
    #[error("a name or a label's value is not UTF-8")]
    Utf8,
    #[error("no number for a value")]
    Value,
    #[error("its time is not a number, or none of this age")]
    Time,
    #[error("more behind the value and the time")]
    Rest,
}

impl From<BadLine> for DropReason {
    fn from(bad: BadLine) -> Self {
        match bad {
            BadLine::Utf8 => Self::BadLabel,
            _ => Self::Syntax,
        }
    }
}

/// The name at the beginning of a line, and what follows it. Of a name in
/// quotes what follows begins with the brace: there it stands again.
pub(super) fn name(line: &[u8]) -> Result<(Cow<'_, str>, &[u8]), BadLine> {
    let end = line
        .iter()
        .position(|byte| matches!(byte, b'{' | b' ' | b'\t'))
        .unwrap_or(line.len());
    let (plain, rest) = line.split_at(end);
    if !plain.is_empty() {
        let name = std::str::from_utf8(plain).map_err(|_| BadLine::Utf8)?;
        return is_metric_name(name)
            .then_some((Cow::Borrowed(name), rest))
            .ok_or(BadLine::Name);
    }
    let mut walk = Walk::new(rest, false).ok_or(BadLine::Name)?;
    while let Some(pair) = walk.next_pair()? {
        if pair.value.is_none() {
            return Ok((unescape(pair.name)?, rest));
        }
    }
    Err(BadLine::Name)
}

/// Reads a line without its line end, of which `rest` is what follows the name.
pub(super) fn read<'l>(
    line: &'l [u8],
    rest: &'l [u8],
    format: Format,
) -> Result<Line<'l>, BadLine> {
    let is_named = !line.starts_with(b"{");
    let rest = match Walk::new(blank(rest), is_named) {
        Some(mut walk) => {
            while walk.next_pair()?.is_some() {}
            walk.rest
        }
        None => rest,
    };
    let identity = line.get(..line.len() - rest.len()).ok_or(BadLine::Labels)?;
    let (value, rest) = word(blank(rest));
    let value = number(value).ok_or(BadLine::Value)?;
    let (time, rest) = word(blank(rest));
    let (at_ms, rest) = match time {
        [] | [b'#', ..] => (None, time),
        _ => (
            Some(millis(time, format).ok_or(BadLine::Time)?),
            blank(rest),
        ),
    };
    match rest {
        [] => {}
        // An exemplar: a request that is counted here. Nobody asks for it.
        [b'#', ..] if format == Format::OpenMetrics => {}
        _ => return Err(BadLine::Rest),
    }
    Ok(Line {
        identity,
        value,
        at_ms,
    })
}

/// Name and labels of an identity that [`read`] gave. The name is given to
/// `name`, each label to `label`, in their order.
pub(super) fn labels<'l, E: From<BadLine>>(
    identity: &'l [u8],
    mut label: impl FnMut(Cow<'l, str>, Cow<'l, str>) -> Result<(), E>,
) -> Result<(), E> {
    let braces = memchr::memchr(b'{', identity).and_then(|at| identity.get(at..));
    let walk = braces.and_then(|braces| Walk::new(braces, false));
    let Some(mut walk) = walk else {
        return Ok(());
    };
    while let Some(pair) = walk.next_pair()? {
        if let Some(value) = pair.value {
            label(unescape(pair.name)?, unescape(value)?)?;
        }
    }
    Ok(())
}

/// A label as it is written; without a value it is the metric's name.
struct Pair<'l> {
    name: &'l [u8],
    value: Option<&'l [u8]>,
}

/// Walks over what is in braces; afterwards `rest` is what follows them.
struct Walk<'l> {
    rest: &'l [u8],
    has_name: bool,
    is_first: bool,
}

impl<'l> Walk<'l> {
    /// `None` if no brace is opened. Where the metric's name stands before it,
    /// none may stand within.
    fn new(text: &'l [u8], has_name: bool) -> Option<Self> {
        let rest = text.strip_prefix(b"{")?;
        Some(Self {
            rest,
            has_name,
            is_first: true,
        })
    }

    fn next_pair(&mut self) -> Result<Option<Pair<'l>>, BadLine> {
        let mut rest = blank(self.rest);
        if !self.is_first {
            match rest {
                [b',', more @ ..] => rest = blank(more),
                [b'}', ..] => {}
                _ => return Err(BadLine::Labels),
            }
        }
        if let [b'}', after @ ..] = rest {
            self.rest = after;
            return Ok(None);
        }
        self.is_first = false;
        let (name, is_quoted) = match quoted(rest)? {
            Some((name, after)) => {
                rest = after;
                (name, true)
            }
            None => {
                let end = rest
                    .iter()
                    .position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))
                    .ok_or(BadLine::Labels)?;
                let (name, after) = rest.split_at(end);
                if name.first().is_none_or(u8::is_ascii_digit) {
                    return Err(BadLine::Labels);
                }
                rest = after;
                (name, false)
            }
        };
        rest = blank(rest);
        let value = match rest {
            [b'=', more @ ..] => {
                let (value, after) = quoted(blank(more))?.ok_or(BadLine::Labels)?;
                rest = after;
                Some(value)
            }
            _ if is_quoted && !self.has_name => {
                self.has_name = true;
                None
            }
            _ => return Err(BadLine::Labels),
        };
        self.rest = rest;
        Ok(Some(Pair { name, value }))
    }
}

/// A text in quotes, and what follows it.
type Quoted<'l> = (&'l [u8], &'l [u8]);

/// What is between two quotes; `None` where none is.
fn quoted(text: &[u8]) -> Result<Option<Quoted<'_>>, BadLine> {
    let Some(inside) = text.strip_prefix(b"\"") else {
        return Ok(None);
    };
    let mut from = 0;
    loop {
        let rest = inside.get(from..).unwrap_or_default();
        let at = from + memchr::memchr2(b'"', b'\\', rest).ok_or(BadLine::Labels)?;
        if inside.get(at) == Some(&b'"') {
            let (value, after) = inside.split_at(at);
            return Ok(Some((value, after.get(1..).unwrap_or_default())));
        }
        // Whatever is behind a backslash is not the end.
        from = at + 2;
    }
}

/// Takes escapes off: `\\`, `\"` and `\n`; others stay as they are, as in
/// Prometheus (`model/textparse/promparse.go`, `lvalReplacer`).
fn unescape(text: &[u8]) -> Result<Cow<'_, str>, BadLine> {
    let text = std::str::from_utf8(text).map_err(|_| BadLine::Utf8)?;
    if !text.contains('\\') {
        return Ok(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let meant = match (c, chars.peek()) {
            ('\\', Some('\\')) => Some('\\'),
            ('\\', Some('"')) => Some('"'),
            ('\\', Some('n')) => Some('\n'),
            _ => None,
        };
        if meant.is_some() {
            chars.next();
        }
        plain.push(meant.unwrap_or(c));
    }
    Ok(Cow::Owned(plain))
}

fn is_metric_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    !name.starts_with(|first: char| first.is_ascii_digit()) && name.bytes().all(fits)
}

/// Without spaces and tabs before it.
pub(super) fn blank(text: &[u8]) -> &[u8] {
    let mut text = text;
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

/// Up to the next space or tab, and the rest.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| matches!(byte, b' ' | b'\t'));
    text.split_at(end.unwrap_or(text.len()))
}

/// As Go's `ParseFloat` reads decimal numbers.
pub(super) fn number(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn millis(text: &[u8], format: Format) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    match format {
        Format::Text => text.parse().ok(),
        Format::OpenMetrics => seconds_to_ms(text.parse().ok()?),
    }
}

/// Seconds since the Unix epoch as milliseconds; `None` for what is no time.
pub(super) fn seconds_to_ms(seconds: f64) -> Option<i64> {
    let ms = (seconds * 1000.0).round();
    // Within that bound each float is a whole number of milliseconds.
    (ms.abs() <= LATEST_MS).then_some(ms as i64)
}

#[cfg(test)]
mod tests;
