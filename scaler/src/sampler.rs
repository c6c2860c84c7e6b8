//! The sampler: the one task that looks at the targets that do not rest, ten
//! times a second.
//!
//! Started once by the composition root, on the scaler's runtime. Waits do not
//! depend on it ([`proxy::DemandSink`] is told at once); it finds everything
//! else: activity that nobody waited for, its end, and the readings that the
//! windows are made of.

use crate::{
    ledger::{Ledger, Table},
    tracked::Tracked,
};
use proxy::TargetId;
use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::{Arc, Weak},
};
use tokio::time::MissedTickBehavior;

/// After so many targets other tasks get their turn: a reading costs up to a
/// microsecond, and no message to KEDA may wait for ten thousand.
const BATCH: usize = 256;

/// Samples until `shutdown` is ready. Ticks that were missed are skipped: the
/// readings carry their own times, so a late one is as good as one in time.
///
/// Cancellation safe: dropping it stops the sampling and loses nothing. Only
/// one may run for a ledger at a time: another would miss who was called to
/// this one.
pub async fn run(ledger: Arc<Ledger>, shutdown: impl Future<Output = ()> + Send) {
    let mut shutdown = pin!(shutdown);
    let mut ticks = tokio::time::interval(ledger.config().sample_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut awake = Awake::default();
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => return,
            _ = ticks.tick() => {}
        }
        ledger.look_for_silence();
        awake.update(&ledger);
        awake.sample(&ledger).await;
    }
}

/// The targets that do not rest.
#[derive(Default)]
struct Awake {
    targets: HashMap<TargetId, Arc<Tracked>>,
    /// That they are of.
    table: Weak<Table>,
}

impl Awake {
    /// Takes in those that were called, and lets go those that were removed.
    fn update(&mut self, ledger: &Ledger) {
        let called = ledger.attention().take();
        let Some(table) = ledger.targets() else {
            return;
        };
        if !std::ptr::eq(self.table.as_ptr(), Arc::as_ptr(&table)) {
            self.targets.retain(|id, tracked| {
                let now = table.get(id);
                now.is_some_and(|now| Arc::ptr_eq(now, tracked))
            });
            self.table = Arc::downgrade(&table);
        }
        for id in called {
            if let Some(tracked) = table.get(&id) {
                tracked.attended();
                self.targets.insert(id, Arc::clone(tracked));
            }
        }
    }

    async fn sample(&mut self, ledger: &Ledger) {
        let mut resting = Vec::new();
        for (nth, (id, target)) in self.targets.iter().enumerate() {
            if nth % BATCH == BATCH - 1 {
                tokio::task::yield_now().await;
            }
            if !target.sample(ledger.now_us()) {
                resting.push(id.clone());
            }
        }
        for id in resting {
            self.targets.remove(&id);
        }
    }
}
