//! The OTel scaler's form of a query: `name`, `op(name)`, `op(name{k=v, …})`.
//!
//! Looser than PromQL: values need no quotes, names and keys may hold dots,
//! slashes and dashes. First an operation over the points of each series, then
//! an aggregation over all series (`sum` where none is given). Series are
//! matched as PromQL does: an absent label is an empty one, and the other
//! three operators work too, with quoted values.

use super::{
    QueryError,
    expr::{Aggregation, Expr, Grouping, OverTime, Selector},
    subset::MAX_LENGTH,
};
use crate::series::{METRIC_NAME, MatchOp, Matcher};
use std::{fmt, str::FromStr, time::Duration};
use thiserror::Error;

/// `operationOverTime`: what is made of the points of one series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Operation {
    /// The newest value.
    #[default]
    LastOne,
    /// Increase per second between the first and the last point.
    Rate,
    /// The mean of the points.
    Avg,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// How many points there are.
    Count,
}

/// A word that is no operation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("operationOverTime {0:?} is none of last_one, rate, avg, min, max, count")]
pub struct UnknownOperation(String);

impl FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(word: &str) -> Result<Self, UnknownOperation> {
        Ok(match word {
            "last_one" => Self::LastOne,
            "rate" => Self::Rate,
            "avg" => Self::Avg,
            "min" => Self::Min,
            "max" => Self::Max,
            "count" => Self::Count,
            other => return Err(UnknownOperation(other.to_owned())),
        })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LastOne => "last_one",
            Self::Rate => "rate",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Count => "count",
        })
    }
}

impl Operation {
    fn function(self) -> OverTime {
        match self {
            Self::LastOne => OverTime::SimpleLast,
            Self::Rate => OverTime::SimpleRate,
            Self::Avg => OverTime::Avg,
            Self::Min => OverTime::Min,
            Self::Max => OverTime::Max,
            Self::Count => OverTime::Count,
        }
    }
}

/// Reads the form; `None` where the text has another one, to be tried as
/// PromQL.
///
/// # Errors
///
/// When the text has the form, but a label is given two values, or an
/// expression cannot be compiled.
pub(super) fn read(
    text: &str,
    operation: Operation,
    window: Duration,
) -> Result<Option<Expr>, QueryError> {
    if text.len() > MAX_LENGTH {
        return Ok(None);
    }
    let Some(form) = Form::of(text.trim()) else {
        return Ok(None);
    };
    // Where an error points to: the pieces are slices of the text.
    let refuse = |near: &str, said: String| {
        let at = text.find(near).unwrap_or(0);
        Err(QueryError::at(text, at, said))
    };
    let mut matchers = vec![];
    let name = [(METRIC_NAME, MatchOp::Equal, form.name.to_owned())];
    for (key, op, value) in name.into_iter().chain(form.labels) {
        let twice = |held: &Matcher| held.name() == key && held.op() == MatchOp::Equal;
        if op == MatchOp::Equal && matchers.iter().any(twice) {
            return refuse(key, format!("label {key:?} is given twice"));
        }
        match Matcher::new(key, op, &value) {
            Ok(matcher) => matchers.push(matcher),
            Err(error) => return refuse(key, error.to_string()),
        }
    }
    let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX / 4);
    Ok(Some(Expr::Aggregate {
        function: form.aggregation,
        grouping: Grouping::By(Vec::new()),
        of: Box::new(Expr::OverTime {
            function: operation.function(),
            param: None,
            of: Selector {
                matchers,
                // A point at the very begin of the window counts there.
                range_ms: window_ms.saturating_add(1),
                offset_ms: 0,
            },
        }),
    }))
}

struct Form<'a> {
    aggregation: Aggregation,
    name: &'a str,
    labels: Vec<(&'a str, MatchOp, String)>,
}

impl<'a> Form<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let (aggregation, selector) = match text.split_once('(') {
            None => (Aggregation::Sum, text),
            // A parenthesis in a value is not one of an aggregation.
            Some((before, _)) if before.contains('{') => (Aggregation::Sum, text),
            Some((word, rest)) => (
                Aggregation::named(&word.trim_end().to_ascii_lowercase())?,
                rest.strip_suffix(')')?.trim(),
            ),
        };
        let (name, labels) = match selector.split_once('{') {
            None => (selector, Vec::new()),
            Some((name, rest)) => (name.trim_end(), labels(rest)?),
        };
        // PromQL reads these two as numbers.
        let number = name.eq_ignore_ascii_case("inf") || name.eq_ignore_ascii_case("nan");
        (is_name(name) && !number).then_some(Self {
            aggregation,
            name,
            labels,
        })
    }
}

/// A name of a metric or label in the loose sense.
fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "_:./-".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':')
        && text.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':')
        && text.chars().all(inner)
}

/// What stands after `{`, to the end of the text.
fn labels(mut rest: &str) -> Option<Vec<(&str, MatchOp, String)>> {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('}') {
            return after.is_empty().then_some(found);
        }
        let (key, after) = key(rest)?;
        let (op, after) = operator(after.trim_start())?;
        let (value, after) = value(after.trim_start(), op)?;
        found.push((key, op, value));
        rest = after.trim_start();
        if let Some(after) = rest.strip_prefix(',') {
            rest = after;
        } else if !rest.starts_with('}') {
            return None;
        }
    }
}

fn key(rest: &str) -> Option<(&str, &str)> {
    let (key, after) = match rest.strip_prefix(['"', '\'']) {
        Some(inner) => {
            let quote = rest.chars().next()?;
            inner.split_once(quote)?
        }
        None => rest.split_at(rest.find(|c: char| "=!~, \t\r\n{}".contains(c))?),
    };
    (is_name(key) && key != METRIC_NAME).then_some((key, after))
}

fn operator(rest: &str) -> Option<(MatchOp, &str)> {
    let found = [
        ("=~", MatchOp::Regex),
        ("!~", MatchOp::NotRegex),
        ("!=", MatchOp::NotEqual),
        ("=", MatchOp::Equal),
    ];
    found
        .into_iter()
        .find_map(|(sign, op)| Some((op, rest.strip_prefix(sign)?)))
}

/// A quoted value, or for `=` a bare one up to the next comma or brace.
fn value(rest: &str, op: MatchOp) -> Option<(String, &str)> {
    if let Some(quote) = rest.chars().next().filter(|c| "\"'".contains(*c)) {
        let mut escaped = false;
        let end = rest.char_indices().skip(1).find_map(|(at, c)| {
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            ends.then_some(at + 1)
        })?;
        let (quoted, after) = rest.split_at(end);
        return Some((promql_parser::util::unquote_string(quoted).ok()?, after));
    }
    let (bare, after) = rest.split_at(rest.find([',', '}'])?);
    let plain = !bare.contains(['"', '\'', '=', '~', '{', '(', ')']);
    (op == MatchOp::Equal && plain).then(|| (bare.trim().to_owned(), after))
}

#[cfg(test)]
mod tests;
