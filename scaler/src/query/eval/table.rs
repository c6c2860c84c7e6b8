//! Queries with the result that Prometheus' rules give them.
//!
//! Each case names where its value comes from: a page of Prometheus'
//! documentation (`doc`), a function of its source (`go`), or, where neither
//! gives a number, the reckoning (`hand`).

use crate::query::{Query, Value, memory::Memory};
use std::collections::BTreeMap;

mod aggregations;
mod instant;
mod operators;
mod ranges;
mod transforms;

/// A query, its result, and the source of the result. The result is
/// `labels value` for each series, separated by `;`, or one number for a
/// scalar, or `error: part of the message`.
type Case = (&'static str, &'static str, &'static str);

/// Evaluates all cases at `at_ms`.
fn check(memory: &Memory, at_ms: i64, cases: &[Case]) {
    for (text, wanted, source) in cases {
        assert!(!source.is_empty(), "{text} names no source");
        let query = Query::promql(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let given = query.answer(memory, at_ms);
        let (given, wanted) = match (given, wanted.strip_prefix("error: ")) {
            (Err(error), Some(part)) => {
                assert!(error.to_string().contains(part), "{text}: {error}");
                continue;
            }
            (Err(error), None) => panic!("{text}: {error}"),
            (Ok(answer), Some(part)) => panic!("{text}: {answer:?}, not an error with {part}"),
            (Ok(answer), None) => (answer.value, parsed(wanted)),
        };
        let given: BTreeMap<String, f64> = match given {
            Value::Scalar(value) => BTreeMap::from([(String::new(), value)]),
            Value::Vector(samples) => samples
                .iter()
                .map(|sample| (sample.labels.to_string(), sample.value))
                .collect(),
        };
        let equal = given.len() == wanted.len()
            && given
                .iter()
                .zip(&wanted)
                .all(|(one, other)| one.0 == other.0 && near(*one.1, *other.1));
        assert!(equal, "{text} gives {given:?}, not {wanted:?} ({source})");
    }
}

fn parsed(wanted: &str) -> BTreeMap<String, f64> {
    let series = wanted
        .split(';')
        .map(str::trim)
        .filter(|one| !one.is_empty());
    let pair = |one: &str| {
        let (labels, value) = one.rsplit_once(' ').unwrap_or(("", one));
        (labels.to_owned(), value.parse().expect("a number"))
    };
    series.map(pair).collect()
}

fn near(one: f64, other: f64) -> bool {
    one == other
        || (one.is_nan() && other.is_nan())
        || (one - other).abs() <= 1e-12 * one.abs().max(other.abs())
}
