//! The demand on Reveille itself: what all targets together are asked.
//!
//! For a trigger with `interceptorTargetPendingRequests`, by which Reveille's
//! own replicas are scaled. Read by the service; it must not count as an answer
//! about any single target.

use crate::{
    externalscaler::{GetMetricSpecResponse, IsActiveResponse},
    keda::{
        error::KedaError,
        metrics::{OpenActivity, OpenStream},
        spec_stream::SpecStream,
        stream::ActivityStream,
    },
    ledger::{DemandReading, Ledger},
};
use futures_util::stream;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Interval, MissedTickBehavior},
};
use tonic::Code;

/// How often an open stream looks. Nobody waits to be woken by it: whoever
/// answers is awake.
const LOOK_EACH: Duration = Duration::from_secs(1);

/// The sum over all targets.
///
/// # Errors
/// The routes are not loaded.
pub(super) fn total(ledger: &Ledger) -> Result<DemandReading, KedaError> {
    let targets = ledger.targets().ok_or(KedaError::NotLoaded)?;
    let mut sum = DemandReading {
        in_flight: 0,
        held: 0,
        concurrency: 0.0,
        request_rate: 0.0,
        active: false,
    };
    for target in targets.values() {
        let one = target.demand(ledger.now_us());
        sum.in_flight += one.in_flight;
        sum.held += one.held;
        sum.concurrency += one.concurrency;
        sum.request_rate += one.request_rate;
        sum.active |= one.active;
    }
    Ok(sum)
}

/// `StreamIsActive`: the state on open, then every change.
pub(super) fn activity(
    ledger: Arc<Ledger>,
    closing: watch::Receiver<bool>,
    open: OpenActivity,
) -> ActivityStream {
    let mut looks = tokio::time::interval(LOOK_EACH);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watcher = Watcher {
        ledger,
        closing,
        open,
        looks,
        told: None,
    };
    let reports = stream::unfold(watcher, |mut watcher| async {
        let result = watcher.next().await?;
        Some((Ok(IsActiveResponse { result }), watcher))
    });
    Box::pin(reports)
}

struct Watcher {
    ledger: Arc<Ledger>,
    closing: watch::Receiver<bool>,
    open: OpenActivity,
    looks: Interval,
    told: Option<bool>,
}

impl Watcher {
    /// The next change; `None` when the connection ends.
    async fn next(&mut self) -> Option<bool> {
        loop {
            tokio::select! {
                biased;
                // An error: without a sender, which means the same.
                _ = self.closing.wait_for(|closing| *closing) => {
                    self.open.stream.end(Code::Ok);
                    return None;
                }
                _ = self.looks.tick() => {}
            }
            // Loaded once, loaded for ever.
            let active = total(&self.ledger).ok()?.active;
            if !active && self.ledger.is_unsure() {
                continue;
            }
            let told = self.told.replace(active);
            if told != Some(active) {
                match told {
                    None => self.open.stream.metrics.state_on_open(),
                    Some(_) => self.open.stream.metrics.edge(),
                }
                self.open.told(active, false);
                return Some(active);
            }
        }
    }
}

/// `StreamMetricSpec`: the metadata alone decides, so there is no change.
pub(super) fn metric_specs(
    specs: GetMetricSpecResponse,
    closing: watch::Receiver<bool>,
    open: OpenStream,
) -> SpecStream {
    let start = (Some(specs), closing, open);
    let all = stream::unfold(start, |(specs, mut closing, mut open)| async {
        if let Some(specs) = specs {
            return Some((Ok(specs), (None, closing, open)));
        }
        // An error: without a sender, which means the same.
        closing.wait_for(|closing| *closing).await.ok();
        open.end(Code::Ok);
        None
    });
    Box::pin(all)
}
