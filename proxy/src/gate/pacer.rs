//! The pacer: releases a target's queue in growing batches.
//!
//! One task per target, only while somebody waits. It is started by the
//! request that finds the queue without one and ends when the queue is empty.
//!
//! A fresh replica is slow: it compiles, fills caches, opens its database
//! connections. So the first batch is small (8 per endpoint); the next one,
//! twice as large, goes when half of the last one is answered or after 50 ms.
//! A connection that cannot be made halves the batch.
//!
//! While all known endpoints are ejected, the pacer connects to them itself,
//! so that recovery is noticed without spending a request on it.

use crate::{
    endpoint::{EndpointSet, ProbePace, probe_once},
    target::Target,
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// Requests per endpoint in the first batch.
const FIRST_BATCH: usize = 8;
/// How long a batch may hold up the next one.
const BATCH_PATIENCE: Duration = Duration::from_millis(50);

/// Runs until nobody waits for `target`.
///
/// Dropping it (its runtime shuts down) is safe: the next request to wait
/// starts another one.
pub(crate) async fn run(target: Arc<Target>) {
    let mut died = DiedGuard {
        target: &target,
        armed: true,
    };
    let gate = target.gate();
    let mut batch = 0;
    let mut pace = ProbePace::new();
    loop {
        if gate.queue.pacer_may_end() {
            died.armed = false;
            return;
        }
        let endpoints = target.endpoints();
        if gate.is_refusing() {
            gate.queue.release(usize::MAX);
            gate.changed.notified().await;
        } else if endpoints.is_empty() {
            (batch, pace) = (0, ProbePace::new());
            gate.changed.notified().await;
        } else if endpoints.pickable(target.clock().now_us()) == 0 {
            batch = 0;
            recover(&target, &endpoints, &pace).await;
        } else if gate.queue.unreleased() == 0 {
            // All are released; some have not looked yet. We are told when
            // they have.
            gate.changed.notified().await;
        } else {
            pace = ProbePace::new();
            batch = if batch == 0 {
                FIRST_BATCH * endpoints.len()
            } else {
                batch
            };
            batch = release_batch(&target, batch).await;
        }
    }
}

/// Releases one batch, waits until the next one may go, and says how large
/// that one is to be.
async fn release_batch(target: &Target, batch: usize) -> usize {
    let gate = target.gate();
    let settled_before = gate.feedback.settled.load(Ordering::Acquire);
    let failed_before = gate.feedback.failed.load(Ordering::Relaxed);
    let released = gate.queue.release(batch);
    let half = released.div_ceil(2);
    let half_is_settled = async {
        loop {
            let settled = gate.feedback.settled.load(Ordering::Acquire);
            if settled.wrapping_sub(settled_before) >= half {
                return;
            }
            gate.changed.notified().await;
        }
    };
    // Either way the next batch may go: the timeout is a pace, not an error.
    let _paced = tokio::time::timeout(BATCH_PATIENCE, half_is_settled).await;
    let failed = gate.feedback.failed.load(Ordering::Relaxed) != failed_before;
    if failed {
        (batch / 2).max(1)
    } else {
        batch.saturating_mul(2)
    }
}

/// All endpoints are ejected: connect to each of them once, then wait for the
/// next try. Ends early when there is something better to do; who comes to
/// wait in the meantime neither starts the round anew nor hastens the next.
async fn recover(target: &Target, endpoints: &Arc<EndpointSet>, pace: &ProbePace) {
    let round = async {
        match probe_once(endpoints).await {
            Some(endpoint) => endpoint.readmit(),
            None => tokio::time::sleep(pace.next_delay()).await,
        }
    };
    let overtaken = async {
        while is_dead(target, endpoints) {
            target.gate().changed.notified().await;
        }
    };
    tokio::select! {
        () = round => {}
        () = overtaken => {}
    }
}

/// Are these still the endpoints, all ejected, with somebody who waits?
fn is_dead(target: &Target, endpoints: &Arc<EndpointSet>) -> bool {
    let gate = target.gate();
    Arc::ptr_eq(&target.endpoints(), endpoints)
        && endpoints.pickable(target.clock().now_us()) == 0
        && !gate.queue.is_empty()
        && !gate.is_refusing()
}

struct DiedGuard<'a> {
    target: &'a Arc<Target>,
    armed: bool,
}

impl Drop for DiedGuard<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.target.gate().queue.pacer_died();
        }
    }
}
