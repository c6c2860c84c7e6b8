//! Evaluates an expression at one instant, with Prometheus' semantics.
//!
//! Called by [`Query::answer`](super::Query::answer). Sources are Prometheus'
//! documentation of querying and, where that is silent, what `promql/engine.go`
//! and `promql/functions.go` of version 3 do. Never changes the store.

mod aggregate;
mod binary;
mod histogram;
mod numbers;
mod over_time;

use super::{
    Answer, EvalError, Sample, Selector, Value,
    expr::{Aggregation, Each, Expr, Grouping, OverTime},
};
use crate::series::{Labels, Point, Points, Select};
use std::collections::HashSet;

pub(super) fn answer(expr: &Expr, from: &dyn Select, now_ms: i64) -> Result<Answer, EvalError> {
    let mut run = Run {
        from,
        now_ms,
        matched: 0,
        newest_ms: None,
    };
    let mut value = run.value(expr)?;
    if let Value::Vector(samples) = &mut value {
        samples.sort_by(|one, other| one.labels.cmp(&other.labels));
    }
    Ok(Answer {
        value,
        matched: run.matched,
        newest_ms: run.newest_ms,
    })
}

/// A series that a selector found, with its points in `(from_ms, to_ms]`.
struct Found<'a> {
    labels: &'a Labels,
    points: Points<'a>,
    from_ms: i64,
    to_ms: i64,
}

/// One evaluation.
struct Run<'a> {
    from: &'a dyn Select,
    now_ms: i64,
    matched: usize,
    newest_ms: Option<i64>,
}

impl Run<'_> {
    fn value(&mut self, expr: &Expr) -> Result<Value, EvalError> {
        if expr.is_scalar() {
            Ok(Value::Scalar(self.scalar(expr)?))
        } else {
            Ok(Value::Vector(self.vector(expr)?))
        }
    }

    fn scalar(&mut self, expr: &Expr) -> Result<f64, EvalError> {
        Ok(match expr {
            Expr::Number(value) => *value,
            Expr::Time => self.now_ms as f64 / 1000.0,
            Expr::Each(function, of) => each(*function, self.scalar(of)?),
            Expr::Binary {
                op, left, right, ..
            } => {
                let (left, right) = (self.scalar(left)?, self.scalar(right)?);
                binary::scalars(*op, left, right)
            }
            // `scalar()`, and what compiling has made sure not to come here.
            Expr::ToScalar(of) => only(&self.vector(of)?),
            vector => only(&self.vector(vector)?),
        })
    }

    fn vector(&mut self, expr: &Expr) -> Result<Vec<Sample>, EvalError> {
        match expr {
            Expr::Select(selector) => Ok(self.instant(selector)),
            Expr::OverTime {
                function,
                param,
                of,
            } => {
                let param = match param {
                    Some(param) => self.scalar(param)?,
                    None => f64::NAN,
                };
                let samples = self.over_time(*function, param, of);
                if function.keeps_name() {
                    Ok(samples)
                } else {
                    unique(samples)
                }
            }
            Expr::Aggregate {
                function,
                grouping,
                of,
            } => Ok(aggregate::groups(*function, grouping, &self.vector(of)?)),
            Expr::Each(function, of) => {
                let samples = self.vector(of)?;
                nameless(samples, |value| Some(each(*function, value)))
            }
            Expr::Clamp { of, min, max } => {
                let samples = self.vector(of)?;
                let (min, max) = (self.scalar(min)?, self.scalar(max)?);
                nameless(samples, |value| numbers::clamp(value, min, max))
            }
            Expr::Binary {
                op,
                as_bool,
                matching,
                left,
                right,
            } => match (left.is_scalar(), right.is_scalar()) {
                (false, false) => {
                    let (left, right) = (self.vector(left)?, self.vector(right)?);
                    if op.is_set() {
                        Ok(binary::sets(*op, matching, left, right))
                    } else {
                        binary::vectors(*op, *as_bool, matching, &left, &right)
                    }
                }
                (true, _) => {
                    let (scalar, samples) = (self.scalar(left)?, self.vector(right)?);
                    binary::with_scalar(*op, *as_bool, samples, |value| (scalar, value))
                }
                (false, true) => {
                    let (samples, scalar) = (self.vector(left)?, self.scalar(right)?);
                    binary::with_scalar(*op, *as_bool, samples, |value| (value, scalar))
                }
            },
            Expr::HistogramQuantile(quantile, of) => {
                let quantile = self.scalar(quantile)?;
                Ok(histogram::quantiles(quantile, &self.vector(of)?))
            }
            Expr::Absent(of, labels) => Ok(match self.vector(of)?.is_empty() {
                true => vec![sample(labels.clone(), 1.0)],
                false => Vec::new(),
            }),
            Expr::ToVector(of) => Ok(vec![sample(Labels::empty(), self.scalar(of)?)]),
            Expr::Number(_) | Expr::Time | Expr::ToScalar(_) => {
                Ok(vec![sample(Labels::empty(), self.scalar(expr)?)])
            }
        }
    }

    /// The newest point of each series, unless it says that the series ended.
    fn instant(&mut self, selector: &Selector) -> Vec<Sample> {
        let mut samples = Vec::new();
        self.points(selector, &mut |Found { labels, points, .. }| {
            let last = points.last().filter(|point| !point.is_stale())?;
            samples.push(sample(labels.clone(), last.value));
            Some(())
        });
        samples
    }

    fn over_time(&mut self, function: OverTime, param: f64, selector: &Selector) -> Vec<Sample> {
        let mut samples = Vec::new();
        let mut alive: Vec<Point> = Vec::new();
        self.points(selector, &mut |Found {
                                        labels,
                                        points,
                                        from_ms,
                                        to_ms,
                                    }| {
            if function == OverTime::SimpleLast && points.last()?.is_stale() {
                return None;
            }
            alive.clear();
            alive.extend(points.iter().filter(|point| !point.is_stale()));
            if alive.is_empty() {
                return None;
            }
            let range = over_time::Range {
                points: &alive,
                from_ms,
                to_ms,
            };
            if let Some(value) = range.apply(function, param) {
                let labels = if function.keeps_name() {
                    labels.clone()
                } else {
                    labels.without_name()
                };
                samples.push(sample(labels, value));
            }
            Some(())
        });
        samples
    }

    /// Hands the points of each series to `use_it`, which says whether it used
    /// them.
    fn points(&mut self, selector: &Selector, use_it: &mut dyn FnMut(Found<'_>) -> Option<()>) {
        let (from_ms, to_ms) = selector.window(self.now_ms);
        let (mut matched, mut newest) = (0, None);
        self.from
            .select(&selector.matchers, from_ms, to_ms, &mut |labels, points| {
                let found = Found {
                    labels,
                    points,
                    from_ms,
                    to_ms,
                };
                if use_it(found).is_some() {
                    matched += 1;
                    let alive = points.iter().rev().find(|point| !point.is_stale());
                    newest = newest.max(alive.map(|point| point.at_ms));
                }
            });
        self.matched += matched;
        self.newest_ms = self.newest_ms.max(newest);
    }
}

fn sample(labels: Labels, value: f64) -> Sample {
    Sample { labels, value }
}

fn each(function: Each, value: f64) -> f64 {
    match function {
        Each::Abs => value.abs(),
        Each::Ceil => value.ceil(),
        Each::Floor => value.floor(),
        Each::Negate => -value,
    }
}

/// `scalar()`: the value of the one element, NaN for none or several.
fn only(samples: &[Sample]) -> f64 {
    match samples {
        [one] => one.value,
        _ => f64::NAN,
    }
}

/// Changes or drops each value, and drops the metric's name, which would no
/// longer be true.
fn nameless(
    samples: Vec<Sample>,
    value: impl Fn(f64) -> Option<f64>,
) -> Result<Vec<Sample>, EvalError> {
    let changed = samples.into_iter().filter_map(|old| {
        let value = value(old.value)?;
        Some(sample(old.labels.without_name(), value))
    });
    unique(changed.collect())
}

/// Without their names, two series may be one.
fn unique(samples: Vec<Sample>) -> Result<Vec<Sample>, EvalError> {
    if samples.len() > 1 {
        let mut seen = HashSet::with_capacity(samples.len());
        if let Some(twice) = samples.iter().find(|sample| !seen.insert(&sample.labels)) {
            return Err(EvalError::SameLabels(twice.labels.clone()));
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod table;
