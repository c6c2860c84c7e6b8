//! One request's claim on an endpoint.

use super::Endpoint;
use std::sync::{Arc, atomic::Ordering};

/// What became of the wish for one certain endpoint.
#[derive(Debug)]
pub(crate) enum Claimed {
    Lease(Lease),
    /// It has as many requests as it may.
    Full,
    /// It is out of the rotation.
    Gone,
}

/// One request's claim on an endpoint: counted from the pick until dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    endpoint: Arc<Endpoint>,
}

impl Lease {
    pub(super) fn new(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            endpoint: endpoint.clone(),
        }
    }

    /// Only if fewer than `limit` are counted there: exact, whoever else
    /// claims at the same time.
    pub(super) fn claim(endpoint: &Arc<Endpoint>, limit: usize) -> Option<Self> {
        let one_more = |count| (count < limit).then_some(count + 1);
        let claimed =
            endpoint
                .in_flight
                .fetch_update(Ordering::SeqCst, Ordering::Relaxed, one_more);
        claimed.ok().map(|_| Self {
            endpoint: endpoint.clone(),
        })
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // In one order with `watch` and `claimed`: either a watcher sees the
        // place free, or it is told.
        self.endpoint.in_flight.fetch_sub(1, Ordering::SeqCst);
        if self.endpoint.is_watched.load(Ordering::SeqCst) {
            self.endpoint.tell_watchers();
        }
    }
}
