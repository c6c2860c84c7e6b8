//! Who has just begun to wait: told by the proxy's workers, taken by the
//! cluster's loop, which then looks for somebody who could serve.
//!
//! Stands between the proxy and the ledger. It must never block a worker: one
//! short lock, and only on the first wait for a target.

use parking_lot::Mutex;
use proxy::{DemandSink, TargetId};
use scaler::Ledger;
use std::{collections::HashSet, sync::Arc};
use tokio::sync::Notify;

/// Targets that somebody has just begun to wait for.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    targets: Mutex<HashSet<TargetId>>,
    told: Notify,
}

/// Tells the ledger of each wait, and [`Wakes`] as well.
pub(super) struct Told {
    ledger: Arc<Ledger>,
    wakes: Arc<Wakes>,
}

impl Wakes {
    /// The sink for a proxy whose demand `ledger` knows.
    pub(super) fn sink(self: &Arc<Self>, ledger: Arc<Ledger>) -> Told {
        let wakes = self.clone();
        Told { ledger, wakes }
    }

    /// Resolves when somebody began to wait. Cancel safe.
    pub(super) async fn told(&self) {
        self.told.notified().await;
    }

    /// Takes all of them.
    pub(super) fn take(&self) -> HashSet<TargetId> {
        std::mem::take(&mut self.targets.lock())
    }
}

impl DemandSink for Told {
    fn waiting(&self, target: &TargetId) {
        self.ledger.waiting(target);
        self.wakes.targets.lock().insert(target.clone());
        self.wakes.told.notify_one();
    }

    fn stirred(&self, target: &TargetId, at_us: u64) {
        self.ledger.stirred(target, at_us);
    }
}
