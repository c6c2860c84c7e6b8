//! The answers of `/api/v1/query`: Prometheus' shape, and beside it what an
//! operator wants to know.
//!
//! Written by `admin/query.rs`, read by `reveille query`.

use scaler::{
    query::{Answer, QueryError, Reading, Sample, Value},
    series::Labels,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What came of a query.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Reply {
    /// It was evaluated.
    #[serde(rename_all = "camelCase")]
    Success {
        /// The result.
        data: Data,
        /// Series with a point where the query looked.
        matched_series: usize,
        /// How old the newest of the points used is, in seconds; absent
        /// without points.
        #[serde(skip_serializing_if = "Option::is_none")]
        newest_age_seconds: Option<f64>,
        /// How the text was understood: `promql` or `simple`.
        reading: String,
    },
    /// It was not.
    #[serde(rename_all = "camelCase")]
    Error {
        /// `bad_data` or `execution`, as Prometheus has them.
        error_type: String,
        /// What is wrong, and where.
        error: String,
        /// The place in the query.
        #[serde(skip_serializing_if = "Option::is_none")]
        position: Option<Position>,
    },
}

/// The result, by its type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub enum Data {
    /// One number.
    Scalar(Stamped),
    /// One number for each series.
    Vector(Vec<Element>),
}

/// The time of evaluation in seconds, and a number as text: JSON has no NaN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamped(pub f64, pub String);

/// An element of a vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Element {
    /// Its labels.
    pub metric: BTreeMap<String, String>,
    /// Its value.
    pub value: Stamped,
}

/// A place in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// In bytes, from 0.
    pub offset: usize,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl Reply {
    /// What an evaluation at `at_ms` gave; ages are counted up to `now_ms`.
    pub fn success(answer: &Answer, reading: Reading, at_ms: i64, now_ms: i64) -> Self {
        let stamped = |value: f64| Stamped(seconds(at_ms), number(value));
        let element = |sample: &Sample| Element {
            metric: map(&sample.labels),
            value: stamped(sample.value),
        };
        Self::Success {
            data: match &answer.value {
                Value::Scalar(value) => Data::Scalar(stamped(*value)),
                Value::Vector(samples) => Data::Vector(samples.iter().map(element).collect()),
            },
            matched_series: answer.matched,
            newest_age_seconds: answer
                .newest_ms
                .map(|newest| seconds(now_ms.saturating_sub(newest))),
            reading: reading.as_str().to_owned(),
        }
    }

    /// A request that cannot be understood.
    pub fn bad(error: impl Into<String>) -> Self {
        Self::Error {
            error_type: "bad_data".to_owned(),
            error: error.into(),
            position: None,
        }
    }

    /// A query that has no result for the series that are there.
    pub fn unanswerable(error: impl Into<String>) -> Self {
        Self::Error {
            error_type: "execution".to_owned(),
            error: error.into(),
            position: None,
        }
    }
}

impl From<&QueryError> for Reply {
    fn from(error: &QueryError) -> Self {
        Self::Error {
            error_type: "bad_data".to_owned(),
            error: error.to_string(),
            position: Some(Position {
                offset: error.offset(),
                line: error.line(),
                column: error.column(),
            }),
        }
    }
}

/// Labels as a JSON object.
fn map(labels: &Labels) -> BTreeMap<String, String> {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    labels.iter().map(owned).collect()
}

fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// As Prometheus writes numbers.
fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_is_that_of_prometheus() {
        let labels = Labels::new([("__name__", "m"), ("a", "1")]).expect("two labels");
        let sample = |value| Sample {
            labels: labels.clone(),
            value,
        };
        let answer = Answer {
            value: Value::Vector(vec![sample(f64::INFINITY), sample(0.25)]),
            matched: 3,
            newest_ms: Some(4_000),
        };
        let reply = Reply::success(&answer, Reading::Promql, 10_500, 10_500);
        assert_eq!(
            serde_json::to_value(reply).expect("JSON"),
            serde_json::json!({
                "status": "success",
                "data": {"resultType": "vector", "result": [
                    {"metric": {"__name__": "m", "a": "1"}, "value": [10.5, "+Inf"]},
                    {"metric": {"__name__": "m", "a": "1"}, "value": [10.5, "0.25"]},
                ]},
                "matchedSeries": 3,
                "newestAgeSeconds": 6.5,
                "reading": "promql",
            })
        );
        let scalar = Answer {
            value: Value::Scalar(f64::NAN),
            matched: 0,
            newest_ms: None,
        };
        let reply = Reply::success(&scalar, Reading::Promql, 1_000, 2_000);
        assert_eq!(
            serde_json::to_value(reply).expect("JSON"),
            serde_json::json!({
                "status": "success",
                "data": {"resultType": "scalar", "result": [1.0, "NaN"]},
                "matchedSeries": 0,
                "reading": "promql",
            })
        );
    }
}
