//! The sampler: the one task that reads all targets, ten times a second.
//!
//! Started once by the composition root, on the scaler's runtime. Waits do not
//! depend on it ([`proxy::DemandSink`] is told at once); it finds everything
//! else: activity that nobody waited for, its end, and the readings that the
//! windows are made of.

use crate::ledger::Ledger;
use std::{future::Future, pin::pin, sync::Arc};
use tokio::time::MissedTickBehavior;

/// After so many targets other tasks get their turn: a reading costs about a
/// tenth of a microsecond, and no message to KEDA may wait for ten thousand.
const BATCH: usize = 256;

/// Samples until `shutdown` is ready. Ticks that were missed are skipped: the
/// readings carry their own times, so a late one is as good as one in time.
///
/// Cancellation safe: dropping it stops the sampling and loses nothing.
pub async fn run(ledger: Arc<Ledger>, shutdown: impl Future<Output = ()> + Send) {
    let mut shutdown = pin!(shutdown);
    let mut ticks = tokio::time::interval(ledger.config().sample_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => return,
            _ = ticks.tick() => {}
        }
        ledger.look_for_silence();
        let Some(targets) = ledger.targets() else {
            continue;
        };
        for (nth, target) in targets.values().enumerate() {
            if nth % BATCH == BATCH - 1 {
                tokio::task::yield_now().await;
            }
            target.observe(ledger.now_us());
        }
    }
}
