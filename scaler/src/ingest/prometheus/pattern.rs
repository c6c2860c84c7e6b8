//! Names of metrics, whole or by how they begin: `http_requests_total`,
//! `dapr_http_*`.
//!
//! What a source lets in. Read from manifests. Pure.

use crate::series::metric_name;
use std::{fmt, str::FromStr};

/// Longest pattern, in bytes: that of a name.
const LONGEST: usize = 256;

/// A metric's name, or the beginning of names. Each spelling of a name counts:
/// with and without Dapr's prefix, with `.` and `/` or with `_`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamePattern {
    written: String,
    /// In stored spelling.
    name: String,
    is_prefix: bool,
}

/// Not a pattern of names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// Nothing at all.
    #[error("must not be empty: use a metric's name, or its beginning and a *")]
    Empty,
    /// Longer than any name may be.
    #[error("must be at most {LONGEST} bytes long, not {0}")]
    TooLong(usize),
    /// A `*` that is not the last character.
    #[error("{0:?} has a '*' before its end: only one at the end stands for any rest of a name")]
    Star(String),
    /// Something that no name has.
    #[error("{0:?} is not a metric's name: use letters, digits, '_', ':', '.', '/' and '-'")]
    Name(String),
}

impl NamePattern {
    /// Does a page's metric of this name pass? `stored` is the same name in
    /// stored spelling.
    #[must_use]
    pub fn matches(&self, name: &str, stored: &str) -> bool {
        if self.is_prefix {
            stored.starts_with(&self.name) || name.starts_with(self.prefix())
        } else {
            stored == self.name
        }
    }

    fn prefix(&self) -> &str {
        self.written.trim_end_matches('*')
    }
}

impl FromStr for NamePattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        if text.is_empty() {
            return Err(BadPattern::Empty);
        }
        if text.len() > LONGEST {
            return Err(BadPattern::TooLong(text.len()));
        }
        let (name, is_prefix) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        if name.contains('*') {
            return Err(BadPattern::Star(text.to_owned()));
        }
        let fits = |c: char| c.is_alphanumeric() || "_:./-".contains(c);
        if !name.chars().all(fits) {
            return Err(BadPattern::Name(text.to_owned()));
        }
        Ok(Self {
            written: text.to_owned(),
            name: metric_name(name).into_owned(),
            is_prefix,
        })
    }
}

impl fmt::Display for NamePattern {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        let pattern: NamePattern = pattern.parse().expect(pattern);
        pattern.matches(name, &metric_name(name))
    }

    #[test]
    fn names_match_in_each_spelling() {
        for (pattern, name, is_match) in [
            ("a_b", "a_b", true),
            ("a.b", "a_b", true),
            ("a_b", "dapr_a_b", true),
            ("dapr_a_b", "a_b", true),
            ("a_b", "a_b_c", false),
            ("a_*", "a_b", true),
            ("a_*", "dapr_a_b", true),
            ("dapr_a_*", "a_b", true),
            ("dapr_*", "dapr_a_b", true),
            ("dapr_*", "go_goroutines", false),
            ("*", "anything", true),
            ("a_*", "b_a_", false),
        ] {
            assert_eq!(matches(pattern, name), is_match, "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        for (text, word) in [
            ("", "empty"),
            ("a*b", "before its end"),
            ("**", "before its end"),
            ("a{b=\"c\"}", "not a metric's name"),
            ("a b", "not a metric's name"),
            (&*"a".repeat(257), "257"),
        ] {
            let error = text.parse::<NamePattern>().expect_err(text).to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
