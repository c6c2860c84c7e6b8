//! Where metrics are: what receivers write to, and what metric triggers and
//! other replicas read from.

use crate::{
    ingest::IngestCounters,
    series::{Limits, Store},
};
use std::sync::Arc;

/// A source that delivered within this time is alive. OpenTelemetry SDKs send
/// once a minute by default; one lost batch is not silence.
pub(crate) const ALIVE_FOR_MS: i64 = 150_000;

/// Where metric triggers get their data.
#[derive(Clone, Debug)]
pub struct MetricSources {
    /// All series.
    pub store: Arc<Store>,
    /// What receivers count: tells a quiet metric from a blind ingest.
    pub counters: Arc<IngestCounters>,
}

impl Default for MetricSources {
    /// Where nothing ever comes in.
    fn default() -> Self {
        Self {
            store: Arc::new(Store::new(Limits::default())),
            counters: Arc::default(),
        }
    }
}

impl MetricSources {
    /// Whether some source delivered lately, here or to another replica.
    pub(crate) fn is_alive(&self, now_ms: i64) -> bool {
        let last = self.counters.last_arrival_ms();
        last.is_some_and(|at| now_ms.saturating_sub(at) <= ALIVE_FOR_MS)
    }
}
