//! What replicas say about targets that are not known here: kept for when the
//! route arrives, which during a roll-out it does a moment later.
//!
//! Owned by the ledger, under the lock that its table is replaced under, so
//! that no share falls between the table and here. Bounded.

use super::{replica::Replica, report::News, share::Shape, shares::Shares};
use proxy::TargetId;
use std::{collections::HashMap, sync::Arc};

/// More targets than any replica serves.
const MAX_TARGETS: usize = 16_384;

/// Shares without a target.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    targets: HashMap<TargetId, Shares>,
}

impl Aside {
    /// News of a target that is not known here. False: there is no room.
    pub(crate) fn hear(
        &mut self,
        id: &TargetId,
        replica: &Arc<Replica>,
        news: &News,
        at_us: u64,
        now_us: u64,
        shape: &Shape,
    ) -> bool {
        if !self.targets.contains_key(id) {
            if matches!(news, News::Removed { .. }) {
                return true;
            }
            if self.targets.len() >= MAX_TARGETS {
                self.forget_the_past(now_us);
            }
            if self.targets.len() >= MAX_TARGETS {
                return false;
            }
        }
        self.targets
            .entry(id.clone())
            .or_default()
            .hear(replica, news, at_us, now_us, shape);
        true
    }

    /// The target is known from now on.
    pub(crate) fn give(&mut self, id: &TargetId) -> Option<Shares> {
        self.targets.remove(id)
    }

    /// The target is not known from now on.
    pub(crate) fn keep(&mut self, id: TargetId, shares: Shares) {
        if !shares.is_empty() && self.targets.len() < MAX_TARGETS {
            self.targets.insert(id, shares);
        }
    }

    /// `replica` sent its whole state: what `mentioned` does not have is gone.
    pub(crate) fn complete(
        &mut self,
        replica: &Replica,
        mentioned: impl Fn(&TargetId) -> bool,
        now_us: u64,
    ) {
        for (id, shares) in &mut self.targets {
            if !mentioned(id) {
                shares.absent(replica, now_us);
            }
        }
        self.forget_the_past(now_us);
    }

    fn forget_the_past(&mut self, now_us: u64) {
        self.targets.retain(|_, shares| {
            shares.read(now_us);
            !shares.is_empty()
        });
    }
}
