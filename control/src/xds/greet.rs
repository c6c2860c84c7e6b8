//! Greeting endpoints that speak TLS: how Envoy goes to them depends on what
//! they choose, and of new ones, and of all after a start, nobody has heard that.
//!
//! Called by [`super::follow`], which hears of what was found out as of any
//! other change. It must never send a request.

use super::compile::direct;
use proxy::{Endpoint, EndpointSet};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

/// So many are greeted at once.
const MOST_AT_ONCE: usize = 64;

/// So long at most is the first state kept back for them.
const PATIENCE: Duration = Duration::from_secs(2);

/// Those that are under way. They end with it.
#[derive(Debug)]
pub(super) struct Greetings {
    tasks: JoinSet<()>,
    places: Arc<Semaphore>,
    connect_timeout: Duration,
}

impl Greetings {
    pub(super) fn new(connect_timeout: Duration) -> Self {
        Self {
            tasks: JoinSet::new(),
            places: Arc::new(Semaphore::new(MOST_AT_ONCE)),
            connect_timeout,
        }
    }

    /// Greets those of whom it matters what they choose, each once. Must be
    /// called within a runtime.
    pub(super) fn begin(&mut self, endpoints: &EndpointSet) {
        while self.tasks.try_join_next().is_some() {}
        let unheard = |endpoint: &&Arc<Endpoint>| direct::is_unheard(endpoint);
        for endpoint in endpoints.iter().filter(unheard) {
            let (endpoint, places) = (endpoint.clone(), self.places.clone());
            let limit = self.connect_timeout;
            self.tasks.spawn(async move {
                let _place = places.acquire().await;
                // Whoever sends it a request hears why.
                if let Err(error) = endpoint.greet(limit).await {
                    tracing::debug!(
                        endpoint = endpoint.name(), addr = %endpoint.addr(), %error,
                        "not reached over TLS: Envoys are not told what it speaks"
                    );
                }
            });
        }
    }

    /// Waits until all are over, but not for long; says whether there were any.
    /// Cancellation safe.
    pub(super) async fn are_over(&mut self) -> bool {
        let were_any = !self.tasks.is_empty();
        let over = async { while self.tasks.join_next().await.is_some() {} };
        // Those that take longer are heard of later.
        let _in_time = timeout(PATIENCE, over).await;
        were_any
    }
}
