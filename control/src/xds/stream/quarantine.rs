//! The virtual hosts that one client refuses, and what it gets in their place.
//!
//! Envoy takes or refuses a route configuration as a whole. One that is refused
//! is therefore narrowed down by halves of what is new in it, to single hosts.
//! The client gets each of those with the same domains and one route, to our
//! proxy; refuses it that, too, it is left out. All others are as they should be.
//!
//! ```text
//!  ┌► everything ──refused──► new hosts by way of our proxy ─► half of the suspects ◄┐
//!  │                                                              │ accepted: it is among the others
//!  └──────────────────── a verdict ◄────── one suspect is left ◄──┘ refused: it is among these
//! ```
//!
//! A verdict holds until the host changes. Used by [`super::session`]. It never
//! has the client sent again what it refused, and looks at hosts only when
//! routes change or something was refused.

use crate::xds::{
    Host, Kind, Resource, Snapshot, compile::hosts::detour, names, resource::Version,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

/// After so many refusals all suspects are judged together: some of them are
/// good and take the long way, but a client with many bad ones has peace.
const MOST_REFUSALS: usize = 128;

/// What a client gets in the place of a host that it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Instead {
    /// A host whose requests all come to our proxy.
    Proxy,
    /// Nothing: it refuses that, too.
    Nothing,
    /// What it had before: it would not be without it, either.
    Former,
}

/// Why a host is not with a client as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::xds) struct Verdict {
    /// The state of the host that is refused.
    of: Version,
    pub(in crate::xds) instead: Instead,
    /// In the client's words.
    pub(in crate::xds) reason: Arc<str>,
}

/// By hosts.
pub(in crate::xds) type Verdicts = BTreeMap<Arc<str>, Verdict>;

/// The hosts of one client.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    /// What the client accepted last.
    has: Option<Arc<Resource>>,
    verdicts: Arc<Verdicts>,
    search: Option<Search>,
    /// Since everything was accepted.
    refusals: usize,
    /// What was refused last, if nothing was accepted since.
    refused: Option<Refused>,
    /// What the client should be sent, if it is not known to be something else.
    offer: Option<Offer>,
    under_way: Option<Offer>,
}

#[derive(Debug)]
struct Refused {
    version: Version,
    reason: Arc<str>,
}

/// What one client should be sent.
#[derive(Clone, Debug)]
struct Offer {
    /// What everybody should have.
    served: Arc<Resource>,
    routes: Arc<Resource>,
    aim: Aim,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    /// That the client has everything that it does not refuse.
    Everything,
    /// That no suspect that is new to it is unknown to it meanwhile.
    Detours,
    /// To know more about the first half of the suspects.
    Half,
}

/// At least one of the suspects is refused.
#[derive(Debug)]
struct Search {
    /// By name; none of them is with the client yet.
    suspects: Vec<Suspect>,
    /// What everybody should have, of which that is known; `None`: of none
    /// that there is now.
    of: Option<Version>,
    /// Detours were tried.
    has_detours: bool,
    reason: Arc<str>,
}

#[derive(Clone, Debug)]
struct Suspect {
    host: Arc<str>,
    of: Version,
}

impl Quarantine {
    /// What this client is to have in the place of what everybody is served.
    /// `had` is the version of the routes that it has, maybe from a stream
    /// before this one.
    pub(super) fn apply(&mut self, snapshot: &Snapshot, had: Option<Version>) -> Snapshot {
        let served = snapshot.of(Kind::Routes).get(names::ROUTES);
        let (Some(served), None) = (served, &self.under_way) else {
            return snapshot.clone();
        };
        let known = self.offer.take();
        let offer = known
            .filter(|offer| Arc::ptr_eq(&offer.served, served))
            .unwrap_or_else(|| self.make(served));
        if self.has.is_none() && had == Some(offer.routes.version()) {
            self.has = Some(offer.routes.clone());
        }
        let own = if Arc::ptr_eq(&offer.routes, served) {
            snapshot.clone()
        } else {
            snapshot.with_routes(&offer.routes)
        };
        self.offer = Some(offer);
        own
    }

    /// These are on their way.
    pub(super) fn sent(&mut self, resources: &[Arc<Resource>]) {
        let offer = self.offer.as_ref();
        let is_sent = |offer: &&Offer| resources.iter().any(|one| Arc::ptr_eq(one, &offer.routes));
        self.under_way = offer.filter(is_sent).cloned();
    }

    /// What was on its way is accepted.
    pub(super) fn accepted(&mut self) {
        let Some(offer) = self.under_way.take() else {
            return;
        };
        self.offer = None;
        self.refused = None;
        match offer.aim {
            Aim::Everything => self.refusals = 0,
            Aim::Detours => self.no_more_detours(),
            Aim::Half => self.search_among_others(),
        }
        self.has = Some(offer.routes);
    }

    /// What was on its way is refused.
    pub(super) fn refused(&mut self, reason: &str) {
        let Some(offer) = self.under_way.take() else {
            return;
        };
        self.offer = None;
        self.refusals += 1;
        let reason: Arc<str> = reason.into();
        self.learn(&offer, &reason);
        let version = offer.routes.version();
        self.refused = Some(Refused { version, reason });
    }

    /// What is refused for now.
    pub(super) fn verdicts(&self) -> &Arc<Verdicts> {
        &self.verdicts
    }

    /// Is it being looked for what is refused?
    pub(super) fn is_searching(&self) -> bool {
        self.search.is_some()
    }

    // === what is known ===

    /// `offer` is refused. False: that says nothing about any host.
    fn learn(&mut self, offer: &Offer, reason: &Arc<str>) -> bool {
        if offer.aim == Aim::Detours {
            // The domains of some are at fault, which will show.
            self.no_more_detours();
            return true;
        }
        let suspects: Vec<Suspect> = offer
            .served
            .hosts()
            .iter()
            .filter(|own| {
                let sent = offer.routes.host(own.name());
                version(sent) != version(self.had(own.name()))
            })
            .map(|own| Suspect {
                host: own.name().clone(),
                of: own.version(),
            })
            .collect();
        let before = self.search.take();
        if suspects.len() <= 1 || self.refusals >= MOST_REFUSALS {
            self.judge(&suspects, reason);
            return !suspects.is_empty();
        }
        self.search = Some(Search {
            of: Some(offer.served.version()),
            has_detours: before.is_some(),
            suspects,
            reason: reason.clone(),
        });
        true
    }

    fn no_more_detours(&mut self) {
        if let Some(search) = &mut self.search {
            search.has_detours = true;
        }
    }

    /// The first half of the suspects is with the client.
    fn search_among_others(&mut self) {
        let Some(mut search) = self.search.take() else {
            return;
        };
        search.suspects.drain(..search.half());
        match &*search.suspects {
            [] => {}
            // What was refused is what the client has now and this one.
            [_] if search.of.is_some() => self.judge(&search.suspects, &search.reason),
            _ => self.search = Some(search),
        }
    }

    /// The next thing for each of them.
    fn judge(&mut self, suspects: &[Suspect], reason: &Arc<str>) {
        let verdicts = Arc::make_mut(&mut self.verdicts);
        for Suspect { host, of } in suspects {
            let before = verdicts.get(host).filter(|verdict| verdict.of == *of);
            let instead = match before.map(|verdict| verdict.instead) {
                None => Instead::Proxy,
                Some(Instead::Proxy) => Instead::Nothing,
                Some(Instead::Nothing | Instead::Former) => Instead::Former,
            };
            let verdict = Verdict {
                of: *of,
                instead,
                reason: reason.clone(),
            };
            verdicts.insert(host.clone(), verdict);
        }
    }

    // === what is to be sent ===

    fn make(&mut self, served: &Arc<Resource>) -> Offer {
        self.forget_changed(served);
        loop {
            let offer = self.next(served);
            let refused = self.refused.as_ref();
            let known = refused.filter(|known| known.version == offer.routes.version());
            let Some(reason) = known.map(|known| known.reason.clone()) else {
                return offer;
            };
            if !self.learn(&offer, &reason) {
                return offer;
            }
        }
    }

    /// Whatever was found out about other states than those in `served`.
    fn forget_changed(&mut self, served: &Resource) {
        let is_so = |host: &Arc<str>, of: Version| version(served.host(host)) == Some(of);
        let verdicts = self.verdicts.iter();
        if !verdicts.clone().all(|(host, one)| is_so(host, one.of)) {
            Arc::make_mut(&mut self.verdicts).retain(|host, one| is_so(host, one.of));
        }
        if let Some(mut search) = self.search.take() {
            search.of = search.of.filter(|of| *of == served.version());
            search.suspects.retain(|one| {
                let own = served.host(&one.host).filter(|own| own.version() == one.of);
                own.is_some_and(|own| !self.is_had(own))
            });
            self.search = (!search.suspects.is_empty()).then_some(search);
        }
    }

    fn next(&mut self, served: &Arc<Resource>) -> Offer {
        let offer = |routes, aim| Offer {
            served: served.clone(),
            routes,
            aim,
        };
        if let Some(search) = &self.search {
            let are_known = |one: &Suspect| self.had(&one.host).is_some();
            return if search.has_detours || search.suspects.iter().all(are_known) {
                offer(self.with_half(search, served), Aim::Half)
            } else {
                offer(self.with_detours(search, served), Aim::Detours)
            };
        }
        let everything = if self.verdicts.is_empty() {
            served.clone()
        } else {
            let hosts = served.hosts().iter();
            served.with_hosts(hosts.filter_map(|own| self.form(own)).collect())
        };
        let has = self.has.as_ref().map(|has| has.version());
        if has == Some(everything.version()) {
            self.refusals = 0;
        }
        offer(everything, Aim::Everything)
    }

    /// What the client has, and half of the suspects.
    fn with_half(&self, search: &Search, served: &Resource) -> Arc<Resource> {
        let half = search.suspects.iter().take(search.half());
        let half: HashSet<&str> = half.map(|one| &*one.host).collect();
        let hosts = served.hosts().iter().filter_map(|own| {
            if half.contains(&**own.name()) {
                self.form(own)
            } else {
                self.had(own.name()).cloned()
            }
        });
        served.with_hosts(hosts.collect())
    }

    /// What the client has, and by way of our proxy what is new to it.
    fn with_detours(&self, search: &Search, served: &Resource) -> Arc<Resource> {
        let suspects: HashSet<&str> = search.suspects.iter().map(|one| &*one.host).collect();
        let hosts = served.hosts().iter().filter_map(|own| {
            let had = self.had(own.name()).cloned();
            had.or_else(|| suspects.contains(&**own.name()).then(|| detour(own)))
        });
        served.with_hosts(hosts.collect())
    }

    /// What a host should be for the client.
    fn form(&self, own: &Arc<Host>) -> Option<Arc<Host>> {
        match self.verdicts.get(own.name()).map(|known| known.instead) {
            None => Some(own.clone()),
            Some(Instead::Proxy) => Some(detour(own)),
            Some(Instead::Nothing) => None,
            Some(Instead::Former) => self.had(own.name()).cloned(),
        }
    }

    fn had(&self, host: &str) -> Option<&Arc<Host>> {
        self.has.as_ref()?.host(host)
    }

    /// Is it with the client as it should be?
    fn is_had(&self, own: &Arc<Host>) -> bool {
        version(self.form(own).as_ref()) == version(self.had(own.name()))
    }
}

impl Search {
    /// How many of the suspects are looked at next.
    fn half(&self) -> usize {
        (self.suspects.len() / 2).max(1)
    }
}

fn version(host: Option<&Arc<Host>>) -> Option<Version> {
    host.map(|host| host.version())
}
