//! How long each phase of a request may take.

use crate::{
    config::ProxyConfig,
    error::Refusal,
    route::{FALLBACK_AFTER, Route},
};
use std::time::Duration;
use tokio::time::Instant;

/// The deadlines of one request.
pub(super) struct Limits {
    /// When all of it must be over.
    pub(super) request: Option<Instant>,
    /// When a gRPC client wants all of it to be over.
    pub(super) grpc: Option<Instant>,
    /// How long it may wait for an endpoint.
    pub(super) readiness: Option<Duration>,
    /// How long the answer's head may take.
    pub(super) response_header: Option<Duration>,
}

impl Limits {
    /// Of a request that came just `now`.
    pub(super) fn of(route: &Route, config: &ProxyConfig, now: Instant) -> Self {
        let limit = |own: Option<Duration>, default: Duration| {
            Some(own.unwrap_or(default)).filter(|limit| !limit.is_zero())
        };
        let timeouts = &route.timeouts;
        let readiness = limit(timeouts.readiness, config.readiness_timeout);
        let has_fallback = route.cold_start.fallback.is_some();
        let request = limit(timeouts.request, config.request_timeout);
        Self {
            request: request.map(|limit| now + limit),
            grpc: None,
            readiness: readiness.or(has_fallback.then_some(FALLBACK_AFTER)),
            response_header: limit(timeouts.response_header, config.response_header_timeout),
        }
    }

    /// A gRPC client itself wants all of it to be over after `limit`.
    pub(super) fn within(mut self, limit: Option<Duration>) -> Self {
        let at = limit.and_then(|limit| Instant::now().checked_add(limit));
        self.request = [self.request, at].into_iter().flatten().min();
        self.grpc = at;
        self
    }

    /// When a phase that starts at `start` and may take `limit` must end, and
    /// what to answer if it does not.
    pub(super) fn phase(
        &self,
        start: Instant,
        limit: Option<Duration>,
        refusal: Refusal,
    ) -> Option<(Instant, Refusal)> {
        let phase = limit.map(|limit| (start + limit, refusal));
        let whole = self.request.map(|at| (at, Refusal::RequestTimeout));
        match (phase, whole) {
            (Some(phase), Some(whole)) => Some(if phase.0 < whole.0 { phase } else { whole }),
            (phase, whole) => phase.or(whole),
        }
    }
}
