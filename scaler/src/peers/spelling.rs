//! Selectors and points as they are on the wire.
//!
//! Used by [`super::asking`] and [`super::sharing`] to write, by the latter and
//! [`super::gathered`] to read. What is read is checked. Pure.

use crate::{
    gen_peers::{self as wire, Need, SeriesPoints, matcher::Op, series_points::Past},
    series::{
        DropReason, Labels, Limits, METRIC_NAME, MatchOp, Matcher, Point, Selector, Told, Values,
        label_name,
    },
};
use std::time::Duration;

/// More conditions than any query has in one selector.
const MOST_MATCHERS: usize = 64;

/// Why a need cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadNeed {
    #[error("`matchers` has {0} entries, {MOST_MATCHERS} are allowed")]
    TooMany(usize),
    #[error("`op` of the matcher for {0:?} is {1}, which is not known here")]
    Op(String, i32),
    #[error(transparent)]
    Matcher(#[from] crate::series::MatcherError),
}

pub(crate) fn need(id: u64, selector: &Selector) -> Need {
    let matchers = selector.matchers.iter().map(|matcher| wire::Matcher {
        name: matcher.name().to_owned(),
        op: match matcher.op() {
            MatchOp::Equal => Op::Equal,
            MatchOp::NotEqual => Op::NotEqual,
            MatchOp::Regex => Op::Regex,
            MatchOp::NotRegex => Op::NotRegex,
        }
        .into(),
        value: matcher.value().to_owned(),
    });
    Need {
        id,
        matchers: matchers.collect(),
        back_ms: u64::try_from(selector.back.as_millis()).unwrap_or(u64::MAX),
    }
}

pub(crate) fn selector(need: &Need) -> Result<Selector, BadNeed> {
    if need.matchers.len() > MOST_MATCHERS {
        return Err(BadNeed::TooMany(need.matchers.len()));
    }
    let matchers = need.matchers.iter().map(|matcher| {
        let op = match Op::try_from(matcher.op) {
            Ok(Op::Equal) => MatchOp::Equal,
            Ok(Op::NotEqual) => MatchOp::NotEqual,
            Ok(Op::Regex) => MatchOp::Regex,
            Ok(Op::NotRegex) => MatchOp::NotRegex,
            Err(_) => return Err(BadNeed::Op(matcher.name.clone(), matcher.op)),
        };
        Ok(Matcher::new(&matcher.name, op, &matcher.value)?)
    });
    Ok(Selector {
        matchers: matchers.collect::<Result<_, _>>()?,
        back: Duration::from_millis(need.back_ms),
    })
}

/// What is told of a series that has this number.
pub(crate) fn series_points(number: u32, told: &Told) -> SeriesPoints {
    let mut before = 0;
    let times = told.points.iter().map(|point| {
        let step = point.at_ms.wrapping_sub(before);
        before = point.at_ms;
        step
    });
    SeriesPoints {
        number,
        at_ms: times.collect(),
        values: told.points.iter().map(|point| point.value).collect(),
        increments: told.values != Values::Plain,
        past: match told.values {
            Values::SinceSum { sum, is_whole } => Some(Past {
                sum,
                whole: is_whole,
            }),
            Values::Plain | Values::Increments => None,
        },
    }
}

/// The points of a series, and what their values are.
pub(crate) fn points(told: &SeriesPoints) -> Result<(Vec<Point>, Values), DropReason> {
    if told.at_ms.len() != told.values.len() {
        return Err(DropReason::Malformed);
    }
    let mut at_ms = 0_i64;
    let points = told.at_ms.iter().zip(&told.values).map(|(step, value)| {
        at_ms = at_ms.wrapping_add(*step);
        Point::new(at_ms, *value)
    });
    let points: Vec<Point> = points.collect();
    let values = match told.past {
        _ if !told.increments => Values::Plain,
        None => Values::Increments,
        Some(Past { sum, whole }) => Values::SinceSum {
            sum,
            is_whole: whole,
        },
    };
    // One of these in a sum would stay in it for ever.
    let mut summed = points.iter().filter(|_| told.increments);
    if summed.any(|point| !point.is_stale() && !point.value.is_finite())
        || matches!(values, Values::SinceSum { sum, .. } if !sum.is_finite())
    {
        return Err(DropReason::NotANumber);
    }
    Ok((points, values))
}

/// The labels of a series: within limits, and in the form in which they are
/// stored.
pub(crate) fn labels(series: &wire::Series, limits: &Limits) -> Result<Labels, DropReason> {
    let (pairs, rest) = series.labels.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(DropReason::Malformed);
    }
    if pairs.len() > limits.labels {
        return Err(DropReason::TooManyLabels);
    }
    for [name, value] in pairs {
        let length = if name == METRIC_NAME { value } else { name };
        if length.is_empty() {
            return Err(DropReason::NoName);
        }
        // A part of a histogram has a suffix behind the name.
        if length.len() > 2 * limits.name_bytes {
            return Err(DropReason::NameTooLong);
        }
        if value.len() > limits.value_bytes.max(2 * limits.name_bytes) {
            return Err(DropReason::ValueTooLong);
        }
        if name != METRIC_NAME && label_name(name) != *name {
            return Err(DropReason::BadLabel);
        }
    }
    let pairs = pairs.iter().map(|[name, value]| (&**name, &**value));
    let labels = Labels::new(pairs).map_err(|_| DropReason::DuplicateLabel)?;
    match labels.metric_name() {
        Some(_) => Ok(labels),
        None => Err(DropReason::NoName),
    }
}
