//! One request in flight: counted as demand and measured from its begin until
//! the guard drops, whatever ends it.

use crate::{
    clock::Clock,
    journal::Journal,
    metrics::{MethodLabel, RequestShards},
    target::Target,
};
use http::{Method, StatusCode};
use std::sync::Arc;

/// What a request that its client abandoned is counted as (nginx's code).
const CLIENT_GONE: u16 = 499;

/// Counts one request: held, forwarded, answered or abandoned. Until a status
/// is set, the end counts as "the client left".
#[derive(Debug)]
pub(crate) struct InFlight {
    target: Arc<Target>,
    worker: usize,
    begun_us: u64,
    method: MethodLabel,
    status: u16,
    /// Whether it is demand. A static route's request is not.
    is_demand: bool,
    /// What the access log and the trace will say, once it is answered.
    pub(crate) journal: Journal,
}

impl InFlight {
    /// Counts a request as demand for `target` from `begun_us` on, which is
    /// when it came.
    pub(crate) fn begin(
        target: Arc<Target>,
        worker: usize,
        method: &Method,
        begun_us: u64,
    ) -> Self {
        let mut request = Self::begin_uncounted(target, worker, method, begun_us);
        request.target.begin(worker, request.begun_us);
        request.is_demand = true;
        request
    }

    /// Measures a request that is no demand: it must wake nobody.
    pub(crate) fn begin_uncounted(
        target: Arc<Target>,
        worker: usize,
        method: &Method,
        begun_us: u64,
    ) -> Self {
        Self {
            target,
            worker,
            begun_us,
            method: MethodLabel::of(method),
            status: CLIENT_GONE,
            is_demand: false,
            journal: Journal::default(),
        }
    }

    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.target
    }

    pub(crate) fn worker(&self) -> usize {
        self.worker
    }

    pub(crate) fn begun_us(&self) -> u64 {
        self.begun_us
    }

    /// The status that the client is about to see; of a refusal, its own one,
    /// also where a gRPC client is told in words of its own.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let now_us = self.target.clock().now_us();
        if self.is_demand {
            self.target.end(self.worker, now_us);
        }
        let duration_us = now_us.saturating_sub(self.begun_us);
        self.target
            .metrics()
            .requests
            .record(self.worker, self.method, self.status, duration_us);
    }
}

/// A request without a target: measured, but nobody's demand.
#[derive(Debug)]
pub(crate) struct Unrouted<'a> {
    pub(crate) clock: &'a Clock,
    pub(crate) requests: &'a RequestShards,
    pub(crate) worker: usize,
}

impl Unrouted<'_> {
    pub(crate) fn record(&self, begun_us: u64, method: &Method, status: StatusCode) {
        let duration_us = self.clock.now_us().saturating_sub(begun_us);
        let method = MethodLabel::of(method);
        self.requests
            .record(self.worker, method, status.as_u16(), duration_us);
    }
}
