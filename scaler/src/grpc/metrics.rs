//! What is counted about the connections of the gRPC port.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How a connection ended, or why it never began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By its client, or because it broke.
    ByClient,
    /// It was old enough.
    Age,
    /// Nothing was asked on it for long.
    Idle,
    /// The server stops.
    Shutdown,
    /// There were too many.
    TooMany,
    /// The TLS handshake failed.
    Handshake,
    /// The client does not speak HTTP/2, or says nothing.
    NotHttp2,
}

const ENDED: [(Ended, &str); 7] = [
    (Ended::ByClient, "client"),
    (Ended::Age, "age"),
    (Ended::Idle, "idle"),
    (Ended::Shutdown, "shutdown"),
    (Ended::TooMany, "too_many"),
    (Ended::Handshake, "handshake"),
    (Ended::NotHttp2, "not_http2"),
];

/// Counters of the gRPC port. Share it in an `Arc`.
#[derive(Debug, Default)]
pub struct GrpcMetrics {
    open: AtomicUsize,
    requests: AtomicUsize,
    refused_requests: AtomicU64,
    cut_off: AtomicU64,
    ended: [AtomicU64; ENDED.len()],
}

/// The counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcMetricsSnapshot {
    /// Connections that are open now.
    pub connections: usize,
    /// Requests, open streams among them, that are under way now.
    pub requests: usize,
    /// Requests that were refused because there were too many.
    pub refused_requests: u64,
    /// Connections that did not end in time after they were told to.
    pub cut_off: u64,
    /// Connections that ended, by reason: `client`, `age`, `idle`, `shutdown`,
    /// `too_many`, `handshake`, `not_http2`. All reasons, in this order.
    pub ended: Vec<(&'static str, u64)>,
}

impl GrpcMetrics {
    /// All counters. Each is exact; together they are not of one instant.
    #[must_use]
    pub fn snapshot(&self) -> GrpcMetricsSnapshot {
        let ended = ENDED.iter().map(|&(reason, name)| {
            let count = self.ended[reason as usize].load(Ordering::Relaxed);
            (name, count)
        });
        GrpcMetricsSnapshot {
            connections: self.open.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            refused_requests: self.refused_requests.load(Ordering::Relaxed),
            cut_off: self.cut_off.load(Ordering::Relaxed),
            ended: ended.collect(),
        }
    }

    pub(super) fn ended(&self, reason: Ended) {
        self.ended[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn cut_off(&self) {
        self.cut_off.fetch_add(1, Ordering::Relaxed);
    }

    /// The gauge of open connections.
    pub(super) fn open(&self) -> &AtomicUsize {
        &self.open
    }

    /// One more request, unless there are `most` already.
    pub(super) fn begin_request(&self, most: usize) -> bool {
        if self.requests.fetch_add(1, Ordering::Relaxed) < most {
            return true;
        }
        self.end_request();
        self.refused_requests.fetch_add(1, Ordering::Relaxed);
        false
    }

    pub(super) fn end_request(&self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_at_its_own_place() {
        for (index, (reason, _)) in ENDED.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
    }

    #[test]
    fn a_refused_request_takes_no_place() {
        let metrics = GrpcMetrics::default();
        assert!(metrics.begin_request(1));
        assert!(!metrics.begin_request(1));
        metrics.end_request();
        assert!(metrics.begin_request(1));
        let now = metrics.snapshot();
        assert_eq!((now.requests, now.refused_requests), (1, 1));
    }
}
