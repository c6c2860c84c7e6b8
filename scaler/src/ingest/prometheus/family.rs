//! What a page says a metric is, by its `# TYPE` lines: whether a sample
//! counts, or is a level that may fall.
//!
//! Used by `page`. A family's samples follow its `# TYPE` line, so only the
//! last of these is kept.

use super::line::blank;
use std::borrow::Cow;

/// A family that was begun.
#[derive(Debug, Default)]
pub(super) struct Family {
    name: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Unknown,
    Counter,
    Histogram,
    Summary,
    /// Gauges, and what else may fall.
    Level,
}

impl Family {
    /// Of what follows `# TYPE`: a name, perhaps in quotes, and a type. What
    /// cannot be understood begins a family of no type.
    pub(super) fn begin(&mut self, text: &[u8]) {
        self.name.clear();
        self.kind = Kind::Unknown;
        let text = blank(text);
        let (name, kind) = match text.strip_prefix(b"\"") {
            // The type has no quote.
            Some(quoted) => match memchr::memrchr(b'"', quoted) {
                Some(end) => (&quoted[..end], &quoted[end + 1..]),
                None => return,
            },
            None => match memchr::memchr2(b' ', b'\t', text) {
                Some(end) => text.split_at(end),
                None => return,
            },
        };
        let Ok(name) = std::str::from_utf8(name) else {
            return;
        };
        let name = if name.contains('\\') {
            Cow::Owned(name.replace("\\\"", "\"").replace("\\\\", "\\"))
        } else {
            Cow::Borrowed(name)
        };
        self.name.push_str(&name);
        self.kind = match blank(kind).trim_ascii_end() {
            b"counter" => Kind::Counter,
            b"histogram" => Kind::Histogram,
            b"summary" => Kind::Summary,
            b"gauge" | b"gaugehistogram" | b"info" | b"stateset" => Kind::Level,
            _ => Kind::Unknown,
        };
    }

    /// Whether a sample of that name counts: then the first value may be
    /// growth. Without a type, only what says so by its name does.
    pub(super) fn counts(&self, sample: &str) -> bool {
        let part = sample.strip_prefix(&*self.name);
        match (self.kind, part) {
            (Kind::Counter, Some("" | "_total"))
            | (Kind::Histogram, Some("_bucket" | "_count" | "_sum"))
            | (Kind::Summary, Some("_count" | "_sum")) => true,
            (Kind::Level | Kind::Counter | Kind::Histogram | Kind::Summary, Some(_)) => false,
            _ => sample.ends_with("_total"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_decides_not_the_name() {
        for (of, sample, counts) in [
            ("a counter", "a", true),
            ("a counter", "a_total", true),
            ("a counter", "a_created", false),
            (
                "dapr_http_server_request_count counter",
                "dapr_http_server_request_count",
                true,
            ),
            ("a histogram", "a_bucket", true),
            ("a histogram", "a_sum", true),
            ("a histogram", "a_count", true),
            ("a histogram", "a", false),
            ("a summary", "a", false),
            ("a summary", "a_count", true),
            ("a gauge", "a", false),
            ("a_total gauge", "a_total", false),
            ("a gaugehistogram", "a_bucket", false),
            ("a unknown", "a_total", true),
            ("a untyped", "a", false),
            ("a counter", "b", false),
            ("a counter", "b_total", true),
            ("a", "a", false),
            ("\"a.b\" counter", "a.b", true),
            ("\"a\\\"b\" counter ", "a\"b", true),
            ("  a\tcounter", "a", true),
        ] {
            let mut family = Family::default();
            family.begin(of.as_bytes());
            assert_eq!(family.counts(sample), counts, "{of}: {sample}");
        }
    }
}
