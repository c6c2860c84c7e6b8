//! The virtual hosts that one client refuses, and what it gets in their place.
//!
//! Envoy takes or refuses a route configuration as a whole. One that is refused
//! is therefore narrowed down, by parts of what is new in it, to single hosts.
//! The client gets each of those with the same domains and one route, to our
//! proxy; refuses it that, too, it is left out. All others are as they should be.
//!
//! ```text
//!  ┌► everything ──refused──► new hosts by way of our proxy ─► some of the suspects ◄┐
//!  │                                                              │ accepted: it is among the others
//!  └──────────────────── a verdict ◄────── one suspect is left ◄──┘ refused: it is among these
//! ```
//!
//! Some are at first those that the client's reason does not speak of, and
//! then half of them.
//!
//! A verdict holds until the host changes. Used by [`super::session`]. It never
//! has the client sent again what it refused, and looks at hosts only when
//! routes change or something was refused.

mod hint;
mod search;
mod verdict;

use crate::xds::{
    Host, Kind, Resource, Snapshot, compile::hosts::detour, names, resource::Version,
};
use search::{Left, Search};
use std::{collections::HashSet, sync::Arc};
pub use verdict::Instead;
pub(in crate::xds) use verdict::Verdicts;

/// After each so many hosts that are found twice as many are judged together:
/// some good ones take the long way, but a client with many bad ones has peace
/// soon.
const FOUND_PER_DOUBLING: usize = 4;

/// After so many refusals all are, whatever is in their places by now: such a
/// client refuses everything.
const MOST_REFUSALS: usize = 192;

/// The hosts of one client.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    /// What the client accepted last.
    has: Option<Arc<Resource>>,
    verdicts: Arc<Verdicts>,
    search: Option<Search>,
    /// Since everything was accepted.
    refusals: usize,
    /// Likewise, hosts that were found.
    found: usize,
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
    /// To know more about the first of the suspects.
    Some,
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
        // Of equal content: what everybody has may be what this one is offered.
        let is_it = |one: &Resource, offer: &Offer| one.version() == offer.routes.version();
        let is_sent = |offer: &&Offer| resources.iter().any(|one| is_it(one, offer));
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
            Aim::Everything => (self.refusals, self.found) = (0, 0),
            Aim::Detours => self.no_more_detours(),
            Aim::Some => self.search_among_others(),
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
        let news = offer.served.hosts().iter().filter(|own| {
            let sent = offer.routes.host(own.name());
            version(sent) != version(self.had(own.name()))
        });
        let news: Vec<&Arc<Host>> = news.collect();
        let before = self.search.take();
        let judged = self.judged_together(&news);
        if news.is_empty() || !judged.is_empty() {
            for own in &judged {
                self.judge(own.name(), own.version(), reason);
            }
            return !judged.is_empty();
        }
        let mut search = Search::among(news, offer.served.version(), reason);
        search.has_detours = before.is_some();
        self.search = Some(search);
        true
    }

    /// Those of `news`, which were refused together, that need not be looked at
    /// one by one. What is left out altogether is looked at alone.
    fn judged_together<'n>(&self, news: &[&'n Arc<Host>]) -> Vec<&'n Arc<Host>> {
        if news.len() == 1 || self.refusals >= MOST_REFUSALS {
            return news.to_vec();
        }
        let together = 1_usize << (self.found / FOUND_PER_DOUBLING).min(30);
        let is_few = news.len() <= together;
        let fresh = news
            .iter()
            .filter(|own| is_few && !self.verdicts.contains_key(own.name()));
        fresh.copied().collect()
    }

    fn no_more_detours(&mut self) {
        if let Some(search) = &mut self.search {
            search.has_detours = true;
        }
    }

    /// The suspects that were tried are with the client.
    fn search_among_others(&mut self) {
        match self.search.take().map(Search::tried_are_good) {
            None | Some(Left::Nobody) => {}
            Some(Left::Others(search)) => self.search = Some(search),
            Some(Left::One(one, reason)) => self.judge(&one.host, one.of, &reason),
        }
    }

    fn judge(&mut self, host: &Arc<str>, of: Version, reason: &Arc<str>) {
        self.found += usize::from(!self.verdicts.contains_key(host));
        verdict::judge(Arc::make_mut(&mut self.verdicts), host, of, reason);
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
        if let Some(search) = self.search.take() {
            self.search = search.still(served.version(), |one| {
                let own = served.host(&one.host).filter(|own| own.version() == one.of);
                own.is_some_and(|own| !self.is_had(own))
            });
        }
    }

    fn next(&mut self, served: &Arc<Resource>) -> Offer {
        let offer = |routes, aim| Offer {
            served: served.clone(),
            routes,
            aim,
        };
        if let Some(search) = &self.search {
            let mut suspects = search.suspects().iter();
            let are_known = suspects.all(|one| self.had(&one.host).is_some());
            return if search.has_detours || are_known {
                offer(self.with_some(search, served), Aim::Some)
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
            (self.refusals, self.found) = (0, 0);
        }
        offer(everything, Aim::Everything)
    }

    /// What the client has, and the first of the suspects.
    fn with_some(&self, search: &Search, served: &Resource) -> Arc<Resource> {
        let tried = search.tried();
        let hosts = served.hosts().iter().filter_map(|own| {
            if tried.contains(&**own.name()) {
                self.form(own)
            } else {
                self.had(own.name()).cloned()
            }
        });
        served.with_hosts(hosts.collect())
    }

    /// What the client has, and by way of our proxy what is new to it.
    fn with_detours(&self, search: &Search, served: &Resource) -> Arc<Resource> {
        let suspects = search.suspects().iter();
        let suspects: HashSet<&str> = suspects.map(|one| &*one.host).collect();
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

fn version(host: Option<&Arc<Host>>) -> Option<Version> {
    host.map(|host| host.version())
}
