//! What the gRPC service counts about itself.
//!
//! Plain atomics, added to by the service and its streams; [`KedaMetrics::snapshot`]
//! is rendered by whoever serves `/metrics`. Counts are of RPCs that reached the
//! service: a request that does not decode never does.

use super::{
    activity_told::{Activities, ActivityTold, MetricWakes, ToldBy, Trigger},
    durations::{Durations, DurationsTold},
    error::KedaError,
    meter::Meter,
    told::{MetricTold, Told},
};
use crate::externalscaler::{MetricValue, ScaledObjectRef};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tonic::Code;

const METHODS: [&str; 5] = [
    "IsActive",
    "StreamIsActive",
    "GetMetricSpec",
    "GetMetrics",
    "StreamMetricSpec",
];

const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// An RPC of the service, as an index into the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    IsActive = 0,
    StreamIsActive = 1,
    GetMetricSpec = 2,
    GetMetrics = 3,
    StreamMetricSpec = 4,
}

/// Counters of the gRPC service. Share it in an `Arc`.
#[derive(Debug, Default)]
pub struct KedaMetrics {
    calls: [[AtomicU64; CODES.len()]; METHODS.len()],
    open_streams: [AtomicU64; METHODS.len()],
    states_on_open: AtomicU64,
    edges: AtomicU64,
    repeats: AtomicU64,
    spec_updates: AtomicU64,
    durations: [[Durations; CODES.len()]; METHODS.len()],
    told: Told,
    activities: Activities,
}

/// The counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KedaMetricsSnapshot {
    /// RPCs that ended, those that occurred at least once.
    pub calls: Vec<CallCount>,
    /// Streams that are open now.
    pub open_streams: OpenStreams,
    /// First messages on `StreamIsActive`.
    pub states_on_open: u64,
    /// Messages on `StreamIsActive` because the activity changed or somebody
    /// new waits.
    pub edges: u64,
    /// Messages on `StreamIsActive` because somebody still waits.
    pub repeats: u64,
    /// Messages on `StreamMetricSpec` after the first of each stream.
    pub spec_updates: u64,
}

/// How often an RPC ended in a way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallCount {
    /// The RPC, as in the protocol: `IsActive`, …
    pub method: &'static str,
    /// The gRPC code, in capitals: `OK`, `NOT_FOUND`, … A stream that the
    /// client left counts as `CANCELLED`.
    pub code: &'static str,
    /// How often, since the start.
    pub count: u64,
}

/// Open streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenStreams {
    /// Of `StreamIsActive`.
    pub activity: u64,
    /// Of `StreamMetricSpec`.
    pub specs: u64,
}

impl KedaMetrics {
    /// All counters. Each is exact; together they are not of one instant.
    #[must_use]
    pub fn snapshot(&self) -> KedaMetricsSnapshot {
        let calls = METHODS
            .iter()
            .zip(&self.calls)
            .flat_map(|(&method, codes)| {
                CODES
                    .iter()
                    .zip(codes)
                    .map(move |(&code, count)| CallCount {
                        method,
                        code,
                        count: count.load(Ordering::Relaxed),
                    })
            });
        KedaMetricsSnapshot {
            calls: calls.filter(|call| call.count > 0).collect(),
            open_streams: OpenStreams {
                activity: self.open(Method::StreamIsActive).load(Ordering::Relaxed),
                specs: self.open(Method::StreamMetricSpec).load(Ordering::Relaxed),
            },
            states_on_open: self.states_on_open.load(Ordering::Relaxed),
            edges: self.edges.load(Ordering::Relaxed),
            repeats: self.repeats.load(Ordering::Relaxed),
            spec_updates: self.spec_updates.load(Ordering::Relaxed),
        }
    }

    /// How long unary answers took, by method and gRPC code, those that
    /// occurred at least once.
    #[must_use]
    pub fn durations(&self) -> Vec<(&'static str, &'static str, DurationsTold)> {
        let all = METHODS.iter().zip(&self.durations);
        let all = all.flat_map(|(&method, codes)| {
            let codes = CODES.iter().zip(codes);
            codes.map(move |(&code, durations)| (method, code, durations.read()))
        });
        all.filter(|(.., told)| told.count() > 0).collect()
    }

    /// What KEDA was told of each metric, last; in order of the names. A metric
    /// that it did not ask for in the last ten minutes is not among them.
    #[must_use]
    pub fn metric_values(&self) -> Vec<MetricTold> {
        self.told.read()
    }

    /// What KEDA was told last of the activity of one ScaledObject's triggers; of
    /// each that it asked for in the last ten minutes, or follows.
    #[must_use]
    pub fn activity_told(&self, namespace: &str, scaled_object: &str) -> Vec<ActivityTold> {
        self.activities.read(namespace, scaled_object)
    }

    /// From now on `wakes` hears of metrics that wake. The first one counts.
    pub fn follow_wakes(&self, wakes: Arc<dyn MetricWakes>) {
        self.activities.follow(wakes);
    }

    /// The trigger that an RPC is about, for [`KedaMetrics::told_active`].
    pub(super) fn trigger(
        &self,
        reference: &ScaledObjectRef,
        meter: Option<&Arc<Meter>>,
    ) -> Option<Arc<Trigger>> {
        self.activities.of(reference, meter)
    }

    /// KEDA was told whether a trigger is active; `by_metric`: it is, for its
    /// metric alone.
    pub(super) fn told_active(
        &self,
        trigger: &Trigger,
        said: Result<bool, &KedaError>,
        by: ToldBy,
        by_metric: bool,
    ) {
        self.activities.told(trigger, said, by, by_metric);
    }

    pub(crate) fn told(&self, reference: &ScaledObjectRef, value: &MetricValue) {
        let (namespace, scaled_object) = (&reference.namespace, &reference.name);
        let (metric, value) = (&value.metric_name, value.metric_value_float);
        self.told.tell(namespace, scaled_object, metric, value);
    }

    /// A unary answer.
    pub(crate) fn answered(&self, method: Method, code: Code, took: Duration) {
        self.ended(method, code);
        if let Some(durations) = self.durations[method as usize].get(code as usize) {
            durations.record(took);
        }
    }

    pub(crate) fn ended(&self, method: Method, code: Code) {
        if let Some(count) = self.calls[method as usize].get(code as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn state_on_open(&self) {
        self.states_on_open.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn edge(&self) {
        self.edges.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn repeat(&self) {
        self.repeats.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn spec_update(&self) {
        self.spec_updates.fetch_add(1, Ordering::Relaxed);
    }

    fn open(&self, method: Method) -> &AtomicU64 {
        &self.open_streams[method as usize]
    }
}

/// An open stream: counted as open while it lives, and as an RPC when it is
/// dropped.
#[derive(Debug)]
pub(crate) struct OpenStream {
    pub(crate) metrics: Arc<KedaMetrics>,
    method: Method,
    code: Code,
}

impl OpenStream {
    pub(crate) fn new(metrics: Arc<KedaMetrics>, method: Method) -> Self {
        metrics.open(method).fetch_add(1, Ordering::Relaxed);
        // Until the stream says otherwise: the client is the one who left.
        Self {
            metrics,
            method,
            code: Code::Cancelled,
        }
    }

    /// The stream ended by itself, with `code`.
    pub(crate) fn end(&mut self, code: Code) {
        self.code = code;
    }
}

/// An open stream of `StreamIsActive`, and what it is about.
#[derive(Debug)]
pub(crate) struct OpenActivity {
    pub(crate) stream: OpenStream,
    trigger: Option<Arc<Trigger>>,
}

impl OpenActivity {
    pub(crate) fn new(stream: OpenStream, trigger: Option<Arc<Trigger>>) -> Self {
        Self { stream, trigger }
    }

    /// KEDA is told on it whether the trigger is active; `by_metric`: it is, for
    /// its metric alone.
    pub(super) fn told(&self, active: bool, by_metric: bool) {
        if let Some(trigger) = &self.trigger {
            let (metrics, by) = (&self.stream.metrics, ToldBy::Stream);
            metrics.told_active(trigger, Ok(active), by, by_metric);
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.metrics
            .open(self.method)
            .fetch_sub(1, Ordering::Relaxed);
        self.metrics.ended(self.method, self.code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_name() {
        let metrics = KedaMetrics::default();
        for (index, named) in CODES.iter().enumerate() {
            let code = Code::from_i32(i32::try_from(index).unwrap());
            metrics.ended(Method::GetMetrics, code);
            let name = format!("{code:?}").to_uppercase();
            assert_eq!(named.replace('_', ""), name);
        }
        assert_eq!(metrics.snapshot().calls.len(), CODES.len());
    }

    #[test]
    fn a_stream_counts_while_open_and_once_when_it_ends() {
        let metrics = Arc::new(KedaMetrics::default());
        let mut ended = OpenStream::new(Arc::clone(&metrics), Method::StreamIsActive);
        let left = OpenStream::new(Arc::clone(&metrics), Method::StreamMetricSpec);
        assert_eq!(
            metrics.snapshot().open_streams,
            OpenStreams {
                activity: 1,
                specs: 1
            }
        );
        ended.end(Code::Ok);
        drop((ended, left));
        let call = |method, code| CallCount {
            method,
            code,
            count: 1,
        };
        assert_eq!(
            metrics.snapshot(),
            KedaMetricsSnapshot {
                calls: vec![
                    call("StreamIsActive", "OK"),
                    call("StreamMetricSpec", "CANCELLED")
                ],
                ..KedaMetricsSnapshot::default()
            }
        );
    }
}
