//! How long KEDA, grpc-go and Kubernetes wait for what.

use std::time::Duration;

/// Every pause that is not part of a ScaledObject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timings {
    /// After a stream ended: the first pause, which doubles.
    pub(crate) stream_retry_first: Duration,
    /// The longest of them.
    pub(crate) stream_retry_most: Duration,
    /// grpc-go's pause after a failed connect, which grows by 1.6. Without its
    /// jitter, so that runs repeat.
    pub(crate) connect_retry_first: Duration,
    /// The longest of them.
    pub(crate) connect_retry_most: Duration,
    /// A connect that takes longer has failed.
    pub(crate) connect_within: Duration,
    /// grpc-go does not resolve a name more often than this.
    pub(crate) resolve_each: Duration,
    /// How often the HPA reads its metrics.
    pub(crate) hpa_sync: Duration,
    /// How long the operator's caches show the state of before.
    pub(crate) cache_lag: Duration,
    /// The first pause after a failed reconcile, which doubles up to 1000 s.
    pub(crate) requeue_first: Duration,
}

impl Timings {
    /// As they are.
    pub(crate) const KEDA: Self = Self {
        stream_retry_first: Duration::from_secs(2),
        stream_retry_most: Duration::from_secs(60),
        connect_retry_first: Duration::from_secs(1),
        connect_retry_most: Duration::from_secs(120),
        connect_within: Duration::from_secs(20),
        resolve_each: Duration::from_secs(30),
        hpa_sync: Duration::from_secs(15),
        cache_lag: Duration::from_millis(100),
        requeue_first: Duration::from_millis(5),
    };

    /// All of them so many times shorter, for tests in real time.
    pub(crate) fn divided(by: u32) -> Self {
        let Self {
            stream_retry_first,
            stream_retry_most,
            connect_retry_first,
            connect_retry_most,
            connect_within,
            resolve_each,
            hpa_sync,
            cache_lag,
            requeue_first,
        } = Self::KEDA;
        Self {
            stream_retry_first: stream_retry_first / by,
            stream_retry_most: stream_retry_most / by,
            connect_retry_first: connect_retry_first / by,
            connect_retry_most: connect_retry_most / by,
            connect_within: connect_within / by,
            resolve_each: resolve_each / by,
            hpa_sync: hpa_sync / by,
            cache_lag: cache_lag / by,
            requeue_first: requeue_first / by,
        }
    }
}
