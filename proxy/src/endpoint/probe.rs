//! Asking an endpoint whether it accepts connections, and how often to ask.

use super::{Endpoint, EndpointSet};
use crate::upstream::connect;
use futures_util::stream::{self, StreamExt};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The first delays between probes, and the shortest.
const SHORTEST: Duration = Duration::from_millis(10);
/// The longest delay.
const LONGEST: Duration = Duration::from_millis(250);
/// How long one connection attempt may take.
const CONNECT_LIMIT: Duration = Duration::from_millis(300);
/// How many attempts are under way at once.
const MOST_AT_ONCE: usize = 64;

/// How often to probe something that is starting: every 10 ms at first, then
/// every 4 % of the time it already took, at most every 250 ms. So a probe
/// adds at most 4 % to a start, and a slow start costs few probes.
#[derive(Clone, Copy, Debug)]
pub struct ProbePace {
    since: Instant,
}

impl ProbePace {
    /// A pace for something that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            since: Instant::now(),
        }
    }

    /// How long to wait before the next probe.
    #[must_use]
    pub fn next_delay(&self) -> Duration {
        (self.since.elapsed() / 25).clamp(SHORTEST, LONGEST)
    }
}

impl Default for ProbePace {
    fn default() -> Self {
        Self::new()
    }
}

/// Connects to all endpoints at once, once each; the first that accepts wins.
/// The connection is closed again at once.
///
/// Cancel safe.
pub(crate) async fn probe_once(endpoints: &EndpointSet) -> Option<Arc<Endpoint>> {
    let all: Vec<Arc<Endpoint>> = endpoints.iter().cloned().collect();
    // A set of thousands must not take all file descriptors.
    let probes = stream::iter(all).map(probe).buffer_unordered(MOST_AT_ONCE);
    let mut accepted = pin!(probes.filter_map(std::future::ready));
    accepted.next().await
}

async fn probe(endpoint: Arc<Endpoint>) -> Option<Arc<Endpoint>> {
    let accepts = connect(endpoint.addr(), CONNECT_LIMIT).await.is_ok();
    accepts.then_some(endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_pace_grows_from_10_ms_to_250_ms() {
        let pace = ProbePace::new();
        assert_eq!(pace.next_delay(), Duration::from_millis(10));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(pace.next_delay(), Duration::from_millis(40));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(pace.next_delay(), Duration::from_millis(250));
    }
}
