//! What a query gives.

use crate::series::Labels;
use std::{collections::BTreeSet, fmt};
use thiserror::Error;

/// One element of a vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What tells it from the others.
    pub labels: Labels,
    /// The value; any float.
    pub value: f64,
}

/// The result of a query, as PromQL types it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number without labels.
    Scalar(f64),
    /// Numbers with labels, none twice.
    Vector(Vec<Sample>),
}

/// A query's result and what it stands on.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The result; a vector is sorted by its labels.
    pub value: Value,
    /// Series that had a point where a selector looked, counted for each
    /// selector.
    pub matched: usize,
    /// When the newest of the points used was measured, in milliseconds since
    /// the Unix epoch; `None` without points.
    pub newest_ms: Option<i64>,
}

/// A trigger needs one number, and there are several.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the query gives {count} series where one number is needed; they differ in {labels}: \
     put sum(…) or another aggregation around it"
)]
pub struct SeveralSeries {
    count: usize,
    labels: Differing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Differing(Vec<String>);

impl fmt::Display for Differing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl Answer {
    /// The one number that a trigger needs. `None` is no data: a query without
    /// series, which is not zero.
    ///
    /// # Errors
    ///
    /// When there are several series: which of them is meant is for the query
    /// to say.
    pub fn number(&self) -> Result<Option<f64>, SeveralSeries> {
        match &self.value {
            Value::Scalar(value) => Ok(Some(*value)),
            Value::Vector(samples) => match &samples[..] {
                [] => Ok(None),
                [one] => Ok(Some(one.value)),
                several => Err(SeveralSeries {
                    count: several.len(),
                    labels: differing(several),
                }),
            },
        }
    }
}

/// The labels whose value is not the same everywhere.
fn differing(samples: &[Sample]) -> Differing {
    let names: BTreeSet<&str> = samples
        .iter()
        .flat_map(|sample| sample.labels.iter().map(|(name, _)| name))
        .collect();
    let differs = |name: &&str| {
        let mut values = samples.iter().map(|sample| sample.labels.get(name));
        let first = values.next();
        values.any(|other| Some(other) != first)
    };
    Differing(
        names
            .into_iter()
            .filter(differs)
            .map(str::to_owned)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(series: &[&[(&str, &str)]]) -> Answer {
        let sample = |pairs: &&[(&str, &str)]| Sample {
            labels: Labels::new(pairs.iter().copied()).expect("no name twice"),
            value: 3.0,
        };
        Answer {
            value: Value::Vector(series.iter().map(sample).collect()),
            matched: series.len(),
            newest_ms: None,
        }
    }

    #[test]
    fn no_series_is_no_data_and_one_is_its_value() {
        assert_eq!(answer(&[]).number(), Ok(None));
        assert_eq!(answer(&[&[("a", "1")]]).number(), Ok(Some(3.0)));
    }

    #[test]
    fn several_series_are_refused_by_the_labels_that_differ() {
        let two = answer(&[
            &[("a", "1"), ("b", "1")],
            &[("a", "1"), ("b", "2"), ("c", "1")],
        ]);
        let said = two.number().expect_err("two series").to_string();
        assert!(said.contains("gives 2 series"), "{said}");
        assert!(said.contains("differ in b, c:"), "{said}");
    }
}
