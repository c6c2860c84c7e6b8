//! Asking all triggers of a ScaledObject at once: what a poll does for
//! activation and the HPA does for metrics.
//!
//! Used by the driver, as two streams of readings: polls and HPA syncs. Every
//! call has a deadline, so a reading ends. It must never interpret what it
//! read, nor touch the workload.

use super::object::{MetricType, ScaledObject, Trigger};
use super::quantity::Quantity;
use super::scaler::{ScalerApi, ScalerError};
use futures_util::future::join_all;
use futures_util::{Stream, stream};
use scaler::externalscaler::ScaledObjectRef;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// How long a scaler may take for one answer. KEDA waits for ever, and is
/// stuck for ever when a scaler hangs.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// Intervals below this are raised to it.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// A trigger, as the scaler is asked about it.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) of: ScaledObjectRef,
    kind: MetricType,
}

/// One question per trigger of `object`, in order, with all its metadata.
pub(super) fn questions(object: &ScaledObject) -> Vec<Question> {
    let ask = |trigger: &Trigger| Question {
        of: ScaledObjectRef {
            name: object.name.clone(),
            namespace: object.namespace.clone(),
            scaler_metadata: trigger.metadata.clone().into_iter().collect(),
        },
        kind: trigger.metric_type,
    };
    object.triggers.iter().map(ask).collect()
}

/// One metric of a trigger.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) metric: String,
    pub(super) kind: MetricType,
    pub(super) target: Quantity,
    /// `None`: it could not be read.
    pub(super) value: Option<Quantity>,
}

/// What one trigger answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    /// Empty if not even the specs could be read.
    pub(super) samples: Vec<Sample>,
    /// Answered `IsActive` with true.
    pub(super) active: bool,
    /// The first error, if any.
    pub(super) error: Option<ScalerError>,
}

/// The answers of all triggers, in order.
#[derive(Debug)]
pub(super) struct Round {
    /// When they were asked.
    pub(super) began: Instant,
    pub(super) readings: Vec<Reading>,
}

/// Whom a reading is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Activity and metrics.
    Poll,
    /// Metrics only. KEDA asks `IsActive` here too and drops the answer; but
    /// a scaler may answer "since the last time", so only polls should ask.
    Hpa,
}

/// Polls at once and then every `period`, or as soon as the last poll ended
/// if that took longer.
pub(super) fn polls<A: ScalerApi>(
    api: Arc<A>,
    questions: Arc<[Question]>,
    period: Duration,
) -> impl Stream<Item = Round> + Send {
    stream::unfold(ticks(period), move |mut ticks| {
        let (api, questions) = (api.clone(), questions.clone());
        async move {
            ticks.tick().await;
            Some((ask_all(&*api, &questions, Purpose::Poll).await, ticks))
        }
    })
}

/// Reads metrics at once and then every `period`. `None` is a sync at which
/// `asleep`, so that nobody was asked.
pub(super) fn syncs<A: ScalerApi>(
    api: Arc<A>,
    questions: Arc<[Question]>,
    period: Duration,
    asleep: impl Fn() -> bool + Clone + Send + Sync,
) -> impl Stream<Item = Option<Round>> + Send {
    stream::unfold(ticks(period), move |mut ticks| {
        let (api, questions, asleep) = (api.clone(), questions.clone(), asleep.clone());
        async move {
            ticks.tick().await;
            if asleep() {
                return Some((None, ticks));
            }
            Some((Some(ask_all(&*api, &questions, Purpose::Hpa).await), ticks))
        }
    })
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period.max(SHORTEST_INTERVAL));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn ask_all<A: ScalerApi>(api: &A, questions: &[Question], purpose: Purpose) -> Round {
    let began = Instant::now();
    let readings = join_all(questions.iter().map(|question| ask(api, question, purpose))).await;
    Round { began, readings }
}

async fn ask<A: ScalerApi>(api: &A, question: &Question, purpose: Purpose) -> Reading {
    let mut reading = Reading::default();
    let specs = match in_time("GetMetricSpec", api.metric_specs(&question.of)).await {
        Ok(specs) => specs,
        Err(error) => {
            return Reading {
                error: Some(error),
                ..reading
            };
        }
    };
    for spec in specs {
        let value = in_time("GetMetrics", api.metric_value(&question.of, &spec.metric)).await;
        let sample = |value| Sample {
            metric: spec.metric,
            kind: question.kind,
            target: spec.target,
            value,
        };
        match value {
            Ok(value) => reading.samples.push(sample(Some(value))),
            Err(error) => {
                reading.samples.push(sample(None));
                reading.error.get_or_insert(error);
            }
        }
    }
    // As in KEDA, a trigger whose metrics all fail is not asked for activity.
    if purpose == Purpose::Poll && reading.samples.iter().any(|sample| sample.value.is_some()) {
        match in_time("IsActive", api.is_active(&question.of)).await {
            Ok(active) => reading.active = active,
            Err(error) => {
                reading.error.get_or_insert(error);
            }
        }
    }
    reading
}

/// The answer, or an error after [`DEADLINE`].
async fn in_time<T>(
    call: &'static str,
    answer: impl Future<Output = Result<T, ScalerError>>,
) -> Result<T, ScalerError> {
    let late = ScalerError::Deadline {
        call,
        deadline: DEADLINE,
    };
    timeout(DEADLINE, answer).await.unwrap_or(Err(late))
}
