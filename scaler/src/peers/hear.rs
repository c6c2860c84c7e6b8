//! How what other replicas say enters the ledger.
//!
//! Called by [`super::session`] for each target of a frame. Known targets are
//! told directly, so that an edge is on KEDA's streams before this returns; the
//! others are kept aside.

use super::{identity::Identity, replica::Replica, report::News};
use crate::ledger::Ledger;
use parking_lot::Mutex;
use proxy::TargetId;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

/// Identities that are remembered; those that are gone for longest go first.
const MAX_REPLICAS: usize = 1_024;

/// The replicas that were heard, by their identities: one that is reached over
/// two addresses is one.
#[derive(Debug, Default)]
pub(crate) struct Replicas {
    known: Mutex<HashMap<Identity, Known>>,
}

#[derive(Debug)]
struct Known {
    replica: Arc<Replica>,
    streams: usize,
}

impl Replicas {
    /// A stream of this replica began.
    pub(crate) fn joined(&self, identity: Identity, name: &str) -> Arc<Replica> {
        let mut known = self.known.lock();
        if known.len() >= MAX_REPLICAS && !known.contains_key(&identity) {
            let oldest = known
                .iter()
                .filter(|(_, known)| known.streams == 0)
                .min_by_key(|(_, known)| known.replica.counts_until_us())
                .map(|(identity, _)| *identity);
            if let Some(oldest) = oldest {
                known.remove(&oldest);
            }
        }
        let entry = known.entry(identity).or_insert_with(|| Known {
            replica: Arc::new(Replica::new(identity, name.to_owned())),
            streams: 0,
        });
        entry.streams += 1;
        entry.replica.connected();
        Arc::clone(&entry.replica)
    }

    /// A stream of this replica ended without a goodbye. True if it was the
    /// last one: it is lost, and counts on for the grace.
    pub(crate) fn lost(&self, replica: &Replica, now_us: u64, grace: Duration) -> bool {
        let last = self.ended(replica);
        if last {
            replica.lost(now_us, grace);
        }
        last
    }

    /// It said goodbye. True if nothing else is heard of it.
    pub(crate) fn left(&self, replica: &Replica, now_us: u64) -> bool {
        let last = self.ended(replica);
        // Whoever else still hears it will hear the same.
        replica.left(now_us);
        last
    }

    fn ended(&self, replica: &Replica) -> bool {
        let mut known = self.known.lock();
        let Some(entry) = known.get_mut(&replica.identity()) else {
            return true;
        };
        entry.streams = entry.streams.saturating_sub(1);
        entry.streams == 0
    }
}

impl Ledger {
    /// What `replica` says about a target, read there at `at_us` of our clock.
    /// False: the target is not known here, nor is there room to keep it aside.
    pub(crate) fn hear(
        &self,
        replica: &Arc<Replica>,
        id: &TargetId,
        news: &News,
        at_us: u64,
    ) -> bool {
        // So that the target cannot come or go meanwhile.
        let mut aside = self.aside().lock();
        let now_us = self.now_us();
        match self.known(id) {
            Some(tracked) => {
                tracked.hear(replica, news, at_us, now_us);
                true
            }
            None => {
                let shape = self.config().shape(None);
                aside.hear(id, replica, news, at_us, now_us, &shape)
            }
        }
    }

    /// `replica` sent its whole state: it has nothing of any other target.
    pub(crate) fn complete(&self, replica: &Replica, mentioned: &HashSet<TargetId>) {
        let mut aside = self.aside().lock();
        let now_us = self.now_us();
        for (id, tracked) in self.targets().iter().flat_map(|table| table.iter()) {
            if !mentioned.contains(id) {
                tracked.absent(replica, now_us);
            }
        }
        aside.complete(replica, |id| mentioned.contains(id), now_us);
    }
}
