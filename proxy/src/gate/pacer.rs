//! The pacer: releases a target's queue as fast as its endpoints take it.
//!
//! One task per target, only while somebody waits. It is started by the
//! request that finds the queue without one and ends when the queue is empty.
//!
//! Two things bound what is released: the window (`window.rs`), which learns
//! what endpoints that have just come can take; and, where the target has a
//! limit for each endpoint, the places that are free. Each answer, and each
//! request that ends on a limited endpoint, wakes the pacer: it polls nothing.
//!
//! While all known endpoints are ejected, the pacer connects to them itself,
//! so that recovery is noticed without spending a request on it.

use crate::{
    endpoint::{EndpointSet, ProbePace, probe_once},
    target::Target,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

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
    let mut pace = ProbePace::new();
    let mut is_cold = false;
    loop {
        if gate.queue.pacer_may_end() {
            died.armed = false;
            return;
        }
        let endpoints = target.endpoints();
        let now_us = target.clock().now_us();
        if gate.is_refusing() {
            let released = gate.queue.release(usize::MAX);
            gate.window.lock().on_release(released);
            gate.changed.notified().await;
        } else if endpoints.is_empty() {
            (pace, is_cold) = (ProbePace::new(), true);
            gate.changed.notified().await;
        } else if endpoints.pickable(now_us) == 0 {
            gate.window.lock().at_most_first(endpoints.len());
            recover(&target, &endpoints, &pace).await;
        } else if gate.queue.unreleased() == 0 {
            // All are released; some have not looked yet. We are told when
            // they have.
            gate.changed.notified().await;
        } else {
            pace = ProbePace::new();
            if std::mem::take(&mut is_cold) {
                let count = endpoints.pickable(now_us);
                gate.window.lock().restart(count);
            }
            release(&target, &endpoints, now_us).await;
        }
    }
}

/// Releases as many as may go now; if none may, waits until that has changed.
async fn release(target: &Target, endpoints: &EndpointSet, now_us: u64) {
    let gate = target.gate();
    let places = match target.place_limit().get() {
        None => usize::MAX,
        // Who was released and has not picked yet will take one of them.
        Some(limit) => {
            let free = endpoints.free_places(now_us, limit);
            free.saturating_sub(gate.queue.released())
        }
    };
    let grows_at = {
        let mut window = gate.window.lock();
        let count = window.room().min(places);
        if count > 0 {
            let released = gate.queue.release(count);
            window.on_release(released);
            return;
        }
        window.grows_at()
    };
    if places > 0 {
        // Either way there is news: the timeout is a pace, not an error.
        if tokio::time::timeout_at(grows_at, gate.changed.notified())
            .await
            .is_err()
        {
            gate.window.lock().on_silence();
        }
    } else if let Some(return_us) = endpoints.next_return_us(now_us) {
        let at = Instant::now() + Duration::from_micros(return_us.saturating_sub(now_us));
        let _news = tokio::time::timeout_at(at, gate.changed.notified()).await;
    } else {
        gate.changed.notified().await;
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
