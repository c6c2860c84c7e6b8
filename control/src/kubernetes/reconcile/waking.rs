//! Somebody waits: who looks for endpoints, and who wakes the workload.
//!
//! KEDA always may; with a waker it is woken here as well, or instead.

use super::{Placed, Reconciler};
use crate::kubernetes::{
    route::{key_of, legacy_target_of},
    waker::Sleeper,
};
use proxy::TargetId;
use std::collections::HashSet;

impl Reconciler {
    /// Somebody began to wait for these.
    pub(in crate::kubernetes) fn woken(&self, targets: HashSet<TargetId>) {
        for id in targets {
            if let Some(placed) = self.placed.get(&id) {
                self.backends.woken(&placed.backend);
                self.wake(&id, placed);
            }
        }
    }

    /// Wakes the workload behind a route, if that is for us to do.
    fn wake(&self, id: &TargetId, placed: &Placed) {
        let (Some(waker), Some((key, object))) = (&self.waker, self.scaled_object(id)) else {
            return;
        };
        if object.paused.is_some() {
            return;
        }
        let sleeper = Sleeper {
            namespace: key.namespace.clone(),
            workload: object.workload.clone(),
            replicas: object.min_replicas.max(1),
        };
        if waker.begins(&sleeper) {
            let target = placed.target.clone();
            let name = format!("the wake of {}", sleeper.workload);
            let (ledger, ids) = (self.ledger.clone(), names_of(id));
            let replaces_keda = move |yes| {
                ids.iter()
                    .for_each(|id| ledger.set_woken_elsewhere(id, yes))
            };
            let is_awaited = move || target.held() > 0;
            let waking = waker.clone().wake(sleeper, is_awaited, replaces_keda);
            self.crew.spawn(&name, waking);
        }
    }

    /// Tells the ledger which targets KEDA need not wake.
    pub(super) fn say_who_wakes(&self) {
        let Some(waker) = &self.waker else { return };
        for id in self.placed.keys() {
            let scaled = self.scaled_object(id);
            let here = scaled.is_some_and(|(key, object)| {
                let is_able = waker.replaces_keda(&key.namespace, &object.workload);
                is_able && object.paused.is_none()
            });
            let tell = |id: TargetId| self.ledger.set_woken_elsewhere(&id, here);
            names_of(id).into_iter().for_each(tell);
        }
    }
}

/// The names by which KEDA may ask for a target: that of an HTTPScaledObject in
/// whose place it is served is one.
fn names_of(id: &TargetId) -> [TargetId; 2] {
    [id.clone(), legacy_target_of(&key_of(id))]
}
