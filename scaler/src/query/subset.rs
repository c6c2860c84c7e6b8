//! What of PromQL is supported, and what a query may cost to read.
//!
//! Works on tokens, before the parser sees the text: so each refusal has its
//! place, and the parser gets nothing that would make it work hard or panic.

use super::{
    QueryError,
    expr::Aggregation,
    scan::{Kind, Token},
};
use crate::series::{MatchOp, Matcher};

/// The longest query, in bytes.
pub(super) const MAX_LENGTH: usize = 4096;
/// Parentheses within each other.
const MAX_NESTING: usize = 32;
/// Operators in one query, so that its tree is not deep either.
const MAX_OPERATORS: usize = 64;
/// Regular expressions in one query.
const MAX_PATTERNS: usize = 16;
/// Digits before the unit of a duration.
const MAX_DURATION_DIGITS: usize = 9;

/// The functions, as they are listed in messages.
pub(super) const FUNCTIONS: [&str; 25] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "last_over_time",
    "present_over_time",
    "quantile_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "histogram_quantile",
    "clamp",
    "clamp_min",
    "clamp_max",
    "abs",
    "ceil",
    "floor",
    "absent",
    "vector",
    "scalar",
];
const TIME: &str = "time";

const OTHER_AGGREGATIONS: [&str; 9] = [
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "count_values",
    "quantile",
    "limitk",
    "limit_ratio",
];

/// Keywords that a `(` may follow.
const KEYWORDS: [&str; 12] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "and",
    "or",
    "unless",
    "bool",
    "offset",
    "atan2",
];

/// # Errors
///
/// For the first construct that is not supported, and for what is too much.
pub(super) fn check(text: &str, tokens: &[Token<'_>]) -> Result<(), QueryError> {
    let mut nesting = 0_usize;
    let mut operators = 0;
    let mut patterns = 0;
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1);
        let before = index.checked_sub(1).and_then(|before| tokens.get(before));
        let refuse = |said: String| Err(QueryError::at(text, token.at, said));
        match token.kind {
            Kind::Sign => match token.text {
                "(" => nesting += 1,
                ")" => nesting = nesting.saturating_sub(1),
                "@" => return refuse("the @ modifier is not supported".to_owned()),
                ":" => {
                    return refuse(
                        "subqueries ([range:step]) are not supported; use a range of a metric, \
                         as in rate(name[5m])"
                            .to_owned(),
                    );
                }
                "=~" | "!~" => patterns += 1,
                "," | "{" | "}" | "[" | "]" | "=" => {}
                _ => operators += 1,
            },
            Kind::Word if token.in_braces => {
                if token.is_word("or") && before.is_some_and(|t| t.kind == Kind::Text) {
                    return refuse(
                        "or between label matchers is not supported; use a regular expression, \
                         as in {label=~\"a|b\"}"
                            .to_owned(),
                    );
                }
            }
            Kind::Word => {
                operators += usize::from(
                    ["and", "or", "unless"]
                        .iter()
                        .any(|word| token.is_word(word)),
                );
                if let Some(said) = unsupported_word(token, next) {
                    return refuse(said);
                }
            }
            Kind::Text => {
                let is_pattern = before.is_some_and(|t| t.is("=~") || t.is("!~"));
                if let Some(said) = is_pattern.then(|| bad_pattern(tokens, index)).flatten() {
                    return refuse(said);
                }
            }
            Kind::Number => {
                if let Some(said) = bad_number(tokens, index) {
                    return refuse(said);
                }
            }
        }
        if nesting > MAX_NESTING {
            return refuse(format!(
                "more than {MAX_NESTING} parentheses within each other"
            ));
        }
        if operators > MAX_OPERATORS {
            return refuse(format!("more than {MAX_OPERATORS} operators"));
        }
        if patterns > MAX_PATTERNS {
            return refuse(format!("more than {MAX_PATTERNS} regular expressions"));
        }
    }
    Ok(())
}

fn unsupported_word(token: &Token<'_>, next: Option<&Token<'_>>) -> Option<String> {
    let name = token.text;
    let lower = name.to_ascii_lowercase();
    let called = next.is_some_and(|next| next.is("("));
    let grouped = next.is_some_and(|next| next.is_word("by") || next.is_word("without"));
    if lower == "atan2" {
        return Some("the operator atan2 is not supported".to_owned());
    }
    if (called || grouped) && OTHER_AGGREGATIONS.contains(&&*lower) {
        return Some(format!(
            "the aggregation {lower} is not supported; supported are sum, avg, min, max, count"
        ));
    }
    if !called || Aggregation::named(&lower).is_some() || KEYWORDS.contains(&&*lower) {
        return None;
    }
    if ["fill", "fill_left", "fill_right"].contains(&&*lower) {
        return Some(format!("the modifier {lower} is not supported"));
    }
    if FUNCTIONS.contains(&name) || name == TIME {
        return None;
    }
    let hint = if FUNCTIONS.contains(&&*lower) || lower == TIME {
        format!("write {lower}")
    } else {
        format!("supported are {}, {TIME}", FUNCTIONS.join(", "))
    };
    Some(format!("the function {name} is not supported; {hint}"))
}

/// Compiles an expression within our bounds; the parser has wider ones.
fn bad_pattern(tokens: &[Token<'_>], index: usize) -> Option<String> {
    let label = index.checked_sub(2).and_then(|label| tokens.get(label))?;
    let value = tokens.get(index)?;
    let pattern = match promql_parser::util::unquote_string(value.text) {
        Ok(pattern) => pattern,
        Err(_) => return Some("this text has an escape that is none".to_owned()),
    };
    let error = Matcher::new(label.text, MatchOp::Regex, &pattern).err()?;
    Some(error.to_string())
}

/// Durations that the parser would cut short or panic at.
fn bad_number(tokens: &[Token<'_>], index: usize) -> Option<String> {
    let before = |steps| index.checked_sub(steps).and_then(|at| tokens.get(at));
    let after_offset = |steps| before(steps).is_some_and(|token| token.is_word("offset"));
    let signed = before(1).is_some_and(|token| token.is("-") || token.is("+"));
    let token = tokens.get(index)?;
    let is_duration = token.in_brackets || after_offset(1) || (signed && after_offset(2));
    let has_unit = token.text.bytes().any(|byte| b"smhdwy".contains(&byte));
    let mut digits = token.text.split(|c: char| !c.is_ascii_digit());
    let too_many_digits = has_unit && digits.any(|run| run.len() > MAX_DURATION_DIGITS);
    // With a unit it is no float, and bounded by its digits.
    let seconds = token.text.parse::<f64>().unwrap_or_default();
    let too_long = too_many_digits || (is_duration && !(0.0..1e15).contains(&seconds));
    too_long.then(|| format!("the duration {} is too long", token.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;

    fn refused(text: &str) -> QueryError {
        Query::promql(text).expect_err(text)
    }

    #[test]
    fn what_is_not_supported_is_named_with_its_place() {
        for (text, column, named) in [
            ("topk(3, foo)", 1, "aggregation topk"),
            ("1 + stddev by (a) (foo)", 5, "aggregation stddev"),
            ("sum(deriv(foo[5m]))", 5, "function deriv"),
            (
                "sum(\n  label_replace(foo, \"a\", \"b\", \"c\", \"d\"))",
                3,
                "function label_replace",
            ),
            ("nonsense(foo)", 1, "function nonsense"),
            ("RATE(foo[1m])", 1, "write rate"),
            ("foo @ 1000", 5, "the @ modifier"),
            ("max_over_time(foo[1h:1m])", 21, "subqueries"),
            ("foo atan2 bar", 5, "atan2"),
            ("foo + fill(0) bar", 7, "modifier fill"),
            ("foo{a=\"1\" or b=\"2\"}", 11, "or between label matchers"),
        ] {
            let error = refused(text);
            assert_eq!(error.column(), column, "{text}: {error}");
            assert!(error.message().contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn reading_a_query_has_a_bounded_cost() {
        let deep = format!("{}1{}", "(".repeat(33), ")".repeat(33));
        assert!(refused(&deep).message().contains("32 parentheses"));
        assert!(
            refused(&format!("{}1", "-".repeat(65)))
                .message()
                .contains("64 operators")
        );
        assert!(refused(&"1+".repeat(65)).message().contains("64 operators"));
        let patterns = format!("foo{{{}}}", "a=~\"b\",".repeat(17));
        assert!(refused(&patterns).message().contains("16 regular"));
        assert!(
            refused(&format!("{}a", " ".repeat(MAX_LENGTH)))
                .message()
                .contains("4096")
        );
        let costly = refused(r#"foo{path=~"((\\w{50}){50}){50}"}"#);
        assert_eq!(costly.column(), 11, "{costly}");
        assert!(costly.message().contains("\"path\""), "{costly}");
    }

    #[test]
    fn durations_that_do_not_fit_are_refused() {
        for text in [
            "rate(foo[1e30])",
            "rate(foo[99999999999y])",
            "foo offset 1e300",
            "foo offset -1e300",
            "foo offset 9999999999999s",
        ] {
            assert!(refused(text).message().contains("too long"), "{text}");
        }
    }
}
