//! One condition on a label, as in `name{label="value"}`.

use super::Labels;
use regex::{Regex, RegexBuilder};
use std::fmt;
use thiserror::Error;

/// The longest regular expression, in bytes.
const MAX_PATTERN: usize = 1024;
/// What one compiled expression may take, in bytes. `\w{50}` does.
const MAX_COMPILED: usize = 1 << 20;
/// What one expression may take while it runs, in bytes.
const MAX_CACHE: usize = 1 << 18;

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

/// Why a matcher cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MatcherError {
    /// The expression is too long.
    #[error(
        "the regular expression for label {name:?} has {length} bytes, {MAX_PATTERN} are allowed"
    )]
    TooLong {
        /// The label.
        name: String,
        /// Of the expression, in bytes.
        length: usize,
    },
    /// It is not one, or it takes too much memory.
    #[error("the regular expression for label {name:?}: {reason}")]
    Pattern {
        /// The label.
        name: String,
        /// In words, on one line.
        reason: String,
    },
}

/// A condition on one label. An absent label has the empty value.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: Box<str>,
    op: MatchOp,
    value: Box<str>,
    /// For the two operators with an expression, and only for these.
    pattern: Option<Regex>,
}

impl Matcher {
    /// `value` is an expression for [`MatchOp::Regex`] and
    /// [`MatchOp::NotRegex`]: it must match the whole label, and a dot matches
    /// line ends, as in Prometheus.
    ///
    /// # Errors
    ///
    /// When the expression cannot be compiled within its bounds.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Self, MatcherError> {
        let pattern = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(compile(name, value)?),
        };
        Ok(Self {
            name: name.into(),
            op,
            value: value.into(),
            pattern,
        })
    }

    /// The label.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The comparison.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// What it is compared with: text, or a regular expression.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a label of this value (empty: absent) passes.
    pub fn matches(&self, value: &str) -> bool {
        let is = match &self.pattern {
            None => *self.value == *value,
            Some(pattern) => pattern.is_match(value),
        };
        is == matches!(self.op, MatchOp::Equal | MatchOp::Regex)
    }

    /// Whether a series of these labels passes.
    pub fn matches_series(&self, labels: &Labels) -> bool {
        self.matches(labels.get(&self.name).unwrap_or_default())
    }
}

fn compile(name: &str, value: &str) -> Result<Regex, MatcherError> {
    if value.len() > MAX_PATTERN {
        return Err(MatcherError::TooLong {
            name: name.to_owned(),
            length: value.len(),
        });
    }
    let build = |text: &str| {
        RegexBuilder::new(text)
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_CACHE)
            .build()
    };
    // Alone first: `a)(b` must not become right by what is put around it.
    build(value)
        .and_then(|_| build(&format!("^(?s:{value})$")))
        .map_err(|error| MatcherError::Pattern {
            name: name.to_owned(),
            reason: match error {
                regex::Error::CompiledTooBig(_) => {
                    format!("takes more than {MAX_COMPILED} bytes when compiled")
                }
                other => last_line(&other.to_string()),
            },
        })
}

/// The crate draws a picture above its message; only the message is wanted.
fn last_line(text: &str) -> String {
    let last = text.lines().last().unwrap_or(text);
    last.trim_start_matches("error: ").to_owned()
}

/// As in a query: `label=~"value"`.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match self.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        };
        write!(f, "{}{op}{:?}", self.name, self.value)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(op: MatchOp, value: &str) -> Matcher {
        Matcher::new("a", op, value).expect("a good pattern")
    }

    #[test]
    fn an_absent_label_is_an_empty_one() {
        let other = Labels::new([("b", "1")]).expect("one label");
        assert!(matcher(MatchOp::Equal, "").matches_series(&other));
        assert!(matcher(MatchOp::NotEqual, "x").matches_series(&other));
        assert!(matcher(MatchOp::Regex, ".*").matches_series(&other));
        assert!(matcher(MatchOp::NotRegex, ".+").matches_series(&other));
        assert!(!matcher(MatchOp::Equal, "1").matches_series(&other));
    }

    #[test]
    fn expressions_match_the_whole_value() {
        let abc = matcher(MatchOp::Regex, "b|ab");
        assert!(abc.matches("b") && abc.matches("ab"));
        assert!(!abc.matches("abc") && !abc.matches("xb"));
        assert!(matcher(MatchOp::Regex, "a.b").matches("a\nb"));
        assert!(matcher(MatchOp::NotRegex, "a.b").matches("a\nbc"));
    }

    #[test]
    fn bad_expressions_are_refused_and_name_the_label() {
        for bad in ["(", "a)(b", "*", "\\", "[z-a]"] {
            let error = Matcher::new("path", MatchOp::Regex, bad).expect_err(bad);
            let said = error.to_string();
            assert!(said.contains("\"path\"") && !said.contains('\n'), "{said}");
        }
        let long = "a".repeat(MAX_PATTERN + 1);
        let error = Matcher::new("path", MatchOp::Regex, &long).expect_err("too long");
        assert!(error.to_string().contains("1025 bytes"), "{error}");
    }

    #[test]
    fn an_expression_that_grows_when_compiled_is_refused() {
        let error = Matcher::new("a", MatchOp::Regex, r"((\w{50}){50}){50}");
        let said = error.expect_err("too big").to_string();
        assert!(said.contains("takes more than"), "{said}");
    }
}
