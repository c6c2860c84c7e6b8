//! Backend: one port of a Service, and the addresses that serve it now.
//!
//! Made by the reconciler for the routes that name it; it feeds the endpoints
//! of a [`Service`](crate::discovery::Service). Who is ready is the cluster's
//! word. But while somebody waits and nobody is ready, addresses that are not
//! ready *yet* are tried, and used as soon as they accept: the kubelet's probe
//! period and the way of its news are longer than the start of most
//! applications. An address that was ready before and is not any more is never
//! overruled.
//!
//! Kinds are watched one by one, so a Service that is missing when a route
//! begins to name it may be on its way: for a moment, whoever asks is held.

use super::{
    slice::{Address, Addresses},
    store::Key,
};
use crate::{
    discovery::{Service, Speaks},
    manifest::{AppProtocol, PortRef, Readiness, Via},
    workload::until_ready,
};
use futures_util::future::select_all;
use parking_lot::Mutex;
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::{pin, sync::Notify, time::sleep};
use tokio_util::sync::DropGuard;

/// So many addresses are tried at once.
const TRIED_AT_ONCE: usize = 16;
/// How often it is looked whether still somebody waits.
const LOOK_EACH: Duration = Duration::from_secs(1);

/// What routes that share a backend agree on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct BackendKey {
    /// The Service.
    pub(super) service: Key,
    /// Its port.
    pub(super) port: PortRef,
    /// How addresses are tried that are not ready; `None`: they are not.
    pub(super) probe: Option<Readiness>,
    /// Whether requests go to its addresses or to its ClusterIP.
    pub(super) via: Via,
}

/// One port of a Service.
#[derive(Debug)]
pub(super) struct Backend {
    key: BackendKey,
    service: Arc<Service>,
    known: Mutex<Known>,
    /// Notified when there are other addresses.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Known {
    /// What the endpoints speak.
    protocol: Option<AppProtocol>,
    addresses: Addresses,
    /// Not ready, and accepted a connection all the same.
    accepted: Vec<Address>,
    /// Was ready at some time since it came.
    once_ready: HashSet<Address>,
    is_probed: bool,
    /// Why it leads nowhere.
    nowhere: Option<Arc<str>>,
    /// Whoever asks is held, even if it leads nowhere.
    is_patient: bool,
    /// Follows a DNS name, where the Service is one.
    name: Option<(String, u16, DropGuard)>,
}

impl Backend {
    /// While it leads nowhere, whoever asks is refused; with `is_patient` only
    /// after [`Backend::give_up`].
    pub(super) fn new(key: BackendKey, service: Arc<Service>, is_patient: bool) -> Self {
        let known = Known {
            is_patient,
            ..Known::default()
        };
        Self {
            key,
            service,
            known: Mutex::new(known),
            changed: Notify::new(),
        }
    }

    /// Why it leads nowhere, if it does.
    pub(super) fn nowhere(&self) -> Option<Arc<str>> {
        self.known.lock().nowhere.clone()
    }

    /// What it leads to has not come: from now on whoever asks is refused while
    /// it leads nowhere.
    pub(super) fn give_up(&self) {
        let mut known = self.known.lock();
        known.is_patient = false;
        if let Some(reason) = &known.nowhere {
            self.service.set_failing(Some(reason));
        }
    }

    pub(super) fn key(&self) -> &BackendKey {
        &self.key
    }

    pub(super) fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// What its endpoints speak, as was last said.
    pub(super) fn protocol(&self) -> Option<AppProtocol> {
        self.known.lock().protocol.clone()
    }

    /// From now on its endpoints speak this.
    pub(super) fn set_speaks(&self, protocol: AppProtocol, speaks: Speaks) {
        let mut known = self.known.lock();
        self.service.set_speaks(speaks);
        known.protocol = Some(protocol);
        self.publish(&known, true);
    }

    /// It leads nowhere, for this reason.
    pub(super) fn set_broken(&self, reason: &str) {
        let mut known = self.known.lock();
        known.name = None;
        if known.nowhere.as_deref() != Some(reason) {
            let reason: Arc<str> = reason.into();
            if !known.is_patient {
                self.service.set_failing(Some(&reason));
            }
            known.nowhere = Some(reason);
        }
        if known.addresses != Addresses::default() {
            known.addresses = Addresses::default();
            known.accepted.clear();
            known.once_ready.clear();
            self.publish(&known, false);
        }
        self.changed.notify_one();
    }

    /// From now on its addresses are these.
    pub(super) fn set_addresses(&self, addresses: Addresses) {
        let mut known = self.known.lock();
        let known = &mut *known;
        known.is_patient = false;
        if known.nowhere.take().is_some() {
            self.service.set_failing(None);
        }
        if known.addresses == addresses {
            return;
        }
        let Addresses {
            ready,
            not_ready,
            leaving,
        } = &addresses;
        let is_there = |one: &Address| {
            [ready, not_ready, leaving]
                .iter()
                .any(|list| list.contains(one))
        };
        known.once_ready.retain(is_there);
        known.once_ready.extend(ready.iter().cloned());
        known.accepted.retain(|one| not_ready.contains(one));
        known.addresses = addresses;
        self.publish(known, false);
        self.changed.notify_one();
    }

    /// Does it follow this DNS name?
    pub(super) fn follows(&self, host: &str, port: u16) -> bool {
        let known = self.known.lock();
        let name = known.name.as_ref();
        name.is_some_and(|(known, at, _)| known == host && *at == port)
    }

    /// From now on its addresses are those of a DNS name, until the guard is
    /// dropped; `None`: they are the cluster's.
    pub(super) fn follow(&self, name: Option<(String, u16, DropGuard)>) {
        self.known.lock().name = name;
    }

    /// True if it is time to try addresses; then call [`Backend::try_addresses`].
    pub(super) fn begins_to_try(&self) -> bool {
        let mut known = self.known.lock();
        let begins = !known.is_probed && self.is_in_need(&known);
        known.is_probed |= begins;
        begins
    }

    /// Tries addresses that are not ready while somebody waits and nobody is.
    pub(super) async fn try_addresses(self: Arc<Self>) {
        let Some(readiness) = &self.key.probe else {
            return;
        };
        loop {
            let candidates = self.candidates();
            let round = first_ready(&candidates, readiness);
            pin!(round);
            loop {
                tokio::select! {
                    address = &mut round, if !candidates.is_empty() => {
                        self.accept(address);
                        break;
                    }
                    () = self.changed.notified() => break,
                    () = sleep(LOOK_EACH) => {
                        if !self.is_in_need(&self.known.lock()) {
                            break;
                        }
                    }
                }
            }
            let mut known = self.known.lock();
            if !self.is_in_need(&known) {
                known.is_probed = false;
                return;
            }
        }
    }

    /// Somebody waits, nobody can serve, and it is allowed to try.
    fn is_in_need(&self, known: &Known) -> bool {
        let nobody = known.addresses.ready.is_empty() && known.accepted.is_empty();
        self.key.probe.is_some() && nobody && self.service.is_awaited()
    }

    fn candidates(&self) -> Vec<Address> {
        let known = self.known.lock();
        let not_ready = known.addresses.not_ready.iter();
        not_ready
            .filter(|one| !known.once_ready.contains(one))
            .take(TRIED_AT_ONCE)
            .cloned()
            .collect()
    }

    fn accept(&self, address: Address) {
        let mut known = self.known.lock();
        let is_candidate =
            known.addresses.not_ready.contains(&address) && !known.accepted.contains(&address);
        if is_candidate {
            tracing::debug!(
                service = %self.key.service, endpoint = %address.name, addr = %address.addr,
                "accepts connections before the cluster calls it ready: used"
            );
            known.accepted.push(address);
            self.publish(&known, false);
        }
    }

    fn publish<'k>(&self, known: &'k Known, all_anew: bool) {
        let ready = known.addresses.ready.iter().chain(&known.accepted);
        // As kube-proxy does it: who is leaving serves if nobody else does.
        let of = |one: &'k Address| (one.addr, &*one.name);
        if known.addresses.ready.is_empty() && known.accepted.is_empty() {
            let leaving = known.addresses.leaving.iter().map(of);
            self.service.set_leaving(leaving, all_anew);
        } else {
            self.service.set_addresses(ready.map(of), all_anew);
        }
    }
}

/// The first of `candidates` that is ready. Never without one.
async fn first_ready(candidates: &[Address], readiness: &Readiness) -> Address {
    if candidates.is_empty() {
        return std::future::pending().await;
    }
    let one = |address: &Address| {
        let address = address.clone();
        Box::pin(async move {
            until_ready(address.addr, readiness).await;
            address
        })
    };
    select_all(candidates.iter().map(one)).await.0
}
