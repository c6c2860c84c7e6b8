//! Metric demand: what a trigger with `metricQuery` asks for, and the number
//! that KEDA gets for it.
//!
//! Pure: reads the metadata that comes with each RPC, evaluates against a
//! store that it is given. Never waits and keeps nothing.

use crate::{
    query::{EvalError, Operation, Query, SeveralSeries},
    series::Select,
};
use std::time::Duration;
use thiserror::Error;

const QUERY: &str = "metricQuery";
const TARGET: &str = "targetValue";
const OPERATION: &str = "operationOverTime";
const CLAMP_MIN: &str = "clampMin";
const CLAMP_MAX: &str = "clampMax";
const ACTIVATION: &str = "activationTargetValue";
const WINDOW: &str = "window";
const ON_NO_DATA: &str = "onNoData";

/// The keys of trigger metadata that are read here.
pub const KEYS: [&str; 8] = [
    QUERY, TARGET, OPERATION, CLAMP_MIN, CLAMP_MAX, ACTIVATION, WINDOW, ON_NO_DATA,
];

/// In characters.
const LONGEST_ERROR: usize = 512;

/// KEDA passes targets on with three digits, and the HPA refuses a zero.
const LEAST_TARGET: f64 = 0.001;

/// The window of `operationOverTime` where none is given.
const DEFAULT_WINDOW: Duration = Duration::from_secs(60);
/// The longest: points are kept in memory for so long.
const MAX_WINDOW: Duration = Duration::from_secs(3600);

/// A value of the metadata that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{key}`: {said}")]
pub struct TriggerError {
    key: &'static str,
    said: String,
}

impl TriggerError {
    fn new(key: &'static str, said: impl Into<String>) -> Self {
        // It may hold a value as it was given, and it goes into a header.
        let said = said.into().chars().take(LONGEST_ERROR).collect();
        Self { key, said }
    }

    /// The key whose value is wrong.
    pub fn key(&self) -> &'static str {
        self.key
    }

    /// What is wrong with it.
    pub fn said(&self) -> &str {
        &self.said
    }
}

/// Why there is no number for KEDA. It gets an error, so that its fallback
/// applies.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoDemand {
    /// Nobody sends metrics, so that silence says nothing.
    #[error("no series has data, and no source of metrics is alive: is the sender up?")]
    Blind,
    /// The query is new, and points of it may have arrived at other replicas.
    #[error("other replicas have not told yet what they have of it; ask again")]
    Gathering,
    /// `onNoData: error`.
    #[error("no series has data, and onNoData is error")]
    NoData,
    /// Beyond all bounds, and no clamp holds it.
    #[error("the value is infinite; clampMin and clampMax would bound it")]
    Infinite,
    /// Which series is meant?
    #[error(transparent)]
    Several(#[from] SeveralSeries),
    /// The query has no result.
    #[error(transparent)]
    Query(#[from] EvalError),
}

/// What a query without data counts as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OnNoData {
    /// Zero while some source of metrics is alive, else an error.
    Auto,
    /// An error.
    Error,
    /// This value.
    Value(f64),
}

/// What KEDA is told of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricDemand {
    /// The clamped value; finite.
    pub value: f64,
    /// Whether it is above the activation value.
    pub active: bool,
}

/// A trigger's query and what is made of its value.
#[derive(Clone, Debug)]
pub struct MetricTrigger {
    query: Query,
    target: f64,
    clamp_min: f64,
    clamp_max: f64,
    activation: f64,
    on_no_data: OnNoData,
}

impl MetricTrigger {
    /// Reads the metadata; `value` gives the text of a key. `None` where there
    /// is no `metricQuery`.
    ///
    /// # Errors
    ///
    /// For the first value that cannot be; one of the query says where in it.
    pub fn parse<'a>(
        value: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Option<Self>, TriggerError> {
        let Some(text) = value(QUERY) else {
            return Ok(None);
        };
        let operation = value(OPERATION)
            .map(str::parse::<Operation>)
            .transpose()
            .map_err(|error| TriggerError::new(OPERATION, error.to_string()))?;
        let window = value(WINDOW).map_or(Ok(DEFAULT_WINDOW), window)?;
        let query = Query::trigger(text, operation, window)
            .map_err(|error| TriggerError::new(QUERY, error.to_string()))?;
        let number = |key| value(key).map(|text| number(key, text)).transpose();
        let target = number(TARGET)?
            .ok_or_else(|| TriggerError::new(TARGET, "is missing; metricQuery needs it"))?;
        if target <= 0.0 {
            let said = format!("{target} is not above 0");
            return Err(TriggerError::new(TARGET, said));
        }
        if target < LEAST_TARGET {
            let said = format!("{target} is below {LEAST_TARGET}, the least that KEDA can pass on");
            return Err(TriggerError::new(TARGET, said));
        }
        let clamp_min = number(CLAMP_MIN)?.unwrap_or(f64::NEG_INFINITY);
        let clamp_max = number(CLAMP_MAX)?.unwrap_or(f64::INFINITY);
        if clamp_min > clamp_max {
            let said = format!("{clamp_min} is above clampMax {clamp_max}");
            return Err(TriggerError::new(CLAMP_MIN, said));
        }
        let on_no_data = match value(ON_NO_DATA) {
            None | Some("auto") => OnNoData::Auto,
            Some("error") => OnNoData::Error,
            Some(text) => OnNoData::Value(self::number(ON_NO_DATA, text).map_err(|_| {
                TriggerError::new(
                    ON_NO_DATA,
                    format!("{text:?} is not auto, error or a number"),
                )
            })?),
        };
        Ok(Some(Self {
            query,
            target,
            clamp_min,
            clamp_max,
            activation: number(ACTIVATION)?.unwrap_or(0.0),
            on_no_data,
        }))
    }

    /// What it reads: to be registered with the store.
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// The value that one replica is good for. Above zero.
    pub fn target(&self) -> f64 {
        self.target
    }

    /// The demand at `now_ms`. `alive`: some source of metrics delivered
    /// lately, so that a metric that is not there is quiet and not lost.
    ///
    /// NaN counts as no data: it is what a quiet ratio gives.
    ///
    /// # Errors
    ///
    /// When there is no number: see [`NoDemand`].
    pub fn demand(
        &self,
        from: &dyn Select,
        now_ms: i64,
        alive: bool,
    ) -> Result<MetricDemand, NoDemand> {
        let number = self.query.answer(from, now_ms)?.number()?;
        let value = match (number.filter(|value| !value.is_nan()), self.on_no_data) {
            (Some(value), _) => value,
            (None, OnNoData::Value(value)) => value,
            (None, OnNoData::Error) => return Err(NoDemand::NoData),
            (None, OnNoData::Auto) if !alive => return Err(NoDemand::Blind),
            (None, OnNoData::Auto) => {
                // A true zero: clamped, but nothing to wake for.
                return Ok(MetricDemand {
                    value: self.clamped(0.0),
                    active: false,
                });
            }
        };
        let value = self.clamped(value);
        if value.is_infinite() {
            return Err(NoDemand::Infinite);
        }
        Ok(MetricDemand {
            value,
            active: value > self.activation,
        })
    }

    fn clamped(&self, value: f64) -> f64 {
        value.max(self.clamp_min).min(self.clamp_max)
    }
}

fn number(key: &'static str, text: &str) -> Result<f64, TriggerError> {
    let number: Option<f64> = text.trim().parse().ok();
    number
        .filter(|number| number.is_finite())
        .ok_or_else(|| TriggerError::new(key, format!("{text:?} is not a finite number")))
}

/// Seconds, or a number with one of the units `ms`, `s`, `m`, `h`.
fn window(text: &str) -> Result<Duration, TriggerError> {
    let text = text.trim();
    let units = [
        ("ms", 0.001),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
        ("", 1.0),
    ];
    let seconds = units.into_iter().find_map(|(unit, seconds)| {
        let number = text.strip_suffix(unit)?;
        let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
        plain
            .then(|| number.parse::<f64>().ok())?
            .map(|number| number * seconds)
    });
    seconds
        .filter(|seconds| (0.001..=MAX_WINDOW.as_secs_f64()).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| {
            let said = format!("{text:?} is not a time from 1ms to 1h, such as 90s or 5m");
            TriggerError::new(WINDOW, said)
        })
}

#[cfg(test)]
mod tests;
