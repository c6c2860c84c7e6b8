//! What one client wants of one kind, has of it, and refused.
//!
//! One response at a time is under way; what changes meanwhile is in the next.
//! What counts as had is what was accepted. A resource that was refused is not
//! sent again before it changes; of several that were refused together each
//! half is tried alone, so that a bad one keeps no other back.

use super::pending::Pending;
use crate::xds::{Kind, Resource, resource::Version, snapshot::Resources};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// Most names that one client may ask for by name, of one kind.
pub(super) const MOST_NAMES: usize = 100_000;

/// The two variants of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::xds) enum Flavour {
    /// A response of clusters or listeners has all of them.
    StateOfTheWorld,
    /// A response has what changed.
    Delta,
}

/// A refused response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::xds) struct Refusal {
    /// What it had, up to a few names.
    pub(in crate::xds) resources: Vec<Arc<str>>,
    /// In the client's words.
    pub(in crate::xds) reason: String,
    /// It was sent to find out what is refused.
    pub(in crate::xds) is_expected: bool,
}

/// Where a client stands with one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::xds) struct Standing {
    /// It asked for some.
    pub(in crate::xds) is_asked: bool,
    /// What it accepted.
    pub(in crate::xds) accepted: usize,
    /// What it refused, and still would.
    pub(in crate::xds) refused: usize,
    /// A response is not answered yet.
    pub(in crate::xds) is_waiting: bool,
}

/// What is to be sent.
#[derive(Debug, Default)]
pub(super) struct Update {
    pub(super) resources: Vec<Arc<Resource>>,
    pub(super) removed: Vec<Arc<str>>,
}

#[derive(Debug)]
pub(super) struct Subscription {
    kind: Kind,
    flavour: Flavour,
    is_asked: bool,
    wildcard: bool,
    names: BTreeSet<Arc<str>>,
    /// What the client accepted.
    has: HashMap<Arc<str>, Had>,
    refused: HashMap<Arc<str>, Version>,
    /// Groups to be tried alone.
    suspects: Vec<Vec<Arc<str>>>,
    /// Asked for by name, and the client was told that there is none.
    missing: HashSet<Arc<str>>,
    under_way: Option<UnderWay>,
    /// What may have to be said. Of all other names nothing has.
    pending: Pending,
}

#[derive(Debug)]
enum Had {
    /// From this stream.
    Sent(Arc<Resource>),
    /// From a stream before it.
    Before(Version),
}

impl Had {
    fn version(&self) -> Version {
        match self {
            Self::Sent(resource) => resource.version(),
            Self::Before(version) => *version,
        }
    }
}

#[derive(Debug)]
struct UnderWay {
    nonce: String,
    update: Update,
    /// Wanted anew since it was sent.
    forgotten: HashSet<Arc<str>>,
}

impl Subscription {
    pub(super) fn new(kind: Kind, flavour: Flavour) -> Self {
        Self {
            kind,
            flavour,
            is_asked: false,
            wildcard: false,
            names: BTreeSet::new(),
            has: HashMap::new(),
            refused: HashMap::new(),
            suspects: Vec::new(),
            missing: HashSet::new(),
            under_way: None,
            pending: Pending::default(),
        }
    }

    // === what the client says ===

    /// It wants these, too. Nothing at its first word: all of them, of kinds
    /// that know that. False: too many.
    pub(super) fn subscribe(&mut self, names: Vec<String>) -> bool {
        let first = !std::mem::replace(&mut self.is_asked, true);
        if first && names.is_empty() && self.kind.has_wildcard() {
            self.wildcard = true;
        }
        for name in names {
            if name == "*" {
                self.wildcard = true;
                self.pending.add_all();
                continue;
            }
            let name: Arc<str> = name.into();
            // Asked for once more: it is sent once more.
            self.forget(&name);
            self.missing.remove(&name);
            self.names.insert(name);
        }
        self.names.len() <= MOST_NAMES
    }

    /// It does not want these any more.
    pub(super) fn unsubscribe(&mut self, names: &[String]) {
        for name in names {
            self.names.remove(name.as_str());
            self.missing.remove(name.as_str());
            if name == "*" {
                self.wildcard = false;
                let names = &self.names;
                self.has.retain(|name, _| names.contains(name));
            }
            if !self.wildcard {
                self.has.remove(name.as_str());
            }
        }
    }

    /// It wants exactly these. False: too many.
    pub(super) fn subscribe_to_just(&mut self, names: Vec<String>) -> bool {
        let wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let gone = self
            .names
            .iter()
            .filter(|known| !wanted.contains(&***known));
        let gone: Vec<String> = gone.map(|name| name.to_string()).collect();
        self.unsubscribe(&gone);
        let fresh = names
            .into_iter()
            .filter(|name| !self.names.contains(name.as_str()));
        let fresh: Vec<String> = fresh.collect();
        self.subscribe(fresh)
    }

    /// It has this from a stream before.
    pub(super) fn had_before(&mut self, name: String, version: Version) {
        if self.is_wanted(&name) {
            self.has.insert(name.into(), Had::Before(version));
        }
    }

    /// What it was sent under that nonce is accepted. False: it is not what is
    /// under way.
    pub(super) fn accepted(&mut self, nonce: &str) -> bool {
        let Some(under_way) = self.take(nonce) else {
            return false;
        };
        let UnderWay {
            update, forgotten, ..
        } = under_way;
        if self.flavour == Flavour::StateOfTheWorld && self.kind.has_wildcard() {
            self.has.clear();
        }
        for name in update.removed {
            self.has.remove(&name);
        }
        for resource in update.resources {
            self.refused.remove(resource.name());
            if !forgotten.contains(resource.name()) {
                self.has
                    .insert(resource.name().clone(), Had::Sent(resource));
            }
        }
        true
    }

    /// It is refused. `None`: it is not what is under way.
    pub(super) fn refused(&mut self, nonce: &str, reason: String) -> Option<Refusal> {
        let update = self.take(nonce)?.update;
        let has = &self.has;
        let news: Vec<&Arc<Resource>> = update
            .resources
            .iter()
            .filter(|sent| has.get(sent.name()).map(Had::version) != Some(sent.version()))
            .collect();
        let names = |some: &[&Arc<Resource>]| -> Vec<Arc<str>> {
            some.iter()
                .map(|resource| resource.name().clone())
                .collect()
        };
        let whole = self.flavour == Flavour::StateOfTheWorld && self.kind.has_wildcard();
        if news.len() > 1 && !whole {
            let (one, other) = news.split_at(news.len() / 2);
            self.suspects.extend([names(one), names(other)]);
        } else {
            let versions = news.iter().map(|one| (one.name().clone(), one.version()));
            self.refused.extend(versions);
        }
        if self.flavour == Flavour::Delta && !update.resources.is_empty() {
            // It may not have come to them.
            let removed = update.removed.iter().cloned();
            removed.for_each(|name| self.pending.add(name));
        }
        Some(Refusal {
            resources: names(news.get(..news.len().min(8)).unwrap_or_default()),
            reason,
            is_expected: false,
        })
    }

    fn take(&mut self, nonce: &str) -> Option<UnderWay> {
        self.under_way.take_if(|under_way| under_way.nonce == nonce)
    }

    // === what is to be said ===

    /// The client is to get it anew.
    pub(super) fn forget(&mut self, name: &Arc<str>) {
        self.has.remove(name);
        if let Some(under_way) = &mut self.under_way {
            under_way.forgotten.insert(name.clone());
        }
        self.pending.add(name.clone());
    }

    /// Are these, by name, what it asked for before?
    pub(super) fn asks_the_same(&self, names: &[String]) -> bool {
        self.is_asked
            && !self.wildcard
            && names.len() == self.names.len()
            && names.iter().all(|name| self.names.contains(name.as_str()))
    }

    /// Everything that was asked for by name is to be sent anew.
    pub(super) fn forget_named(&mut self) {
        for name in std::mem::take(&mut self.names) {
            self.forget(&name);
            self.names.insert(name);
        }
    }

    /// What is to be sent now. Without `may_remove`, what is gone stays with
    /// the client for now.
    pub(super) fn update(&mut self, present: &Resources, may_remove: bool) -> Option<Update> {
        if !self.is_asked || self.under_way.is_some() {
            return None;
        }
        while let Some(group) = self.suspects.pop() {
            let some = group.iter().filter_map(|name| present.get(name));
            let some: Vec<_> = some.filter(|one| self.is_news(one)).cloned().collect();
            if !some.is_empty() {
                return Some(Update {
                    resources: some,
                    removed: Vec::new(),
                });
            }
        }
        let mut update = Update::default();
        for name in self.pending.take(present, self.has.keys()) {
            match present.get(&name) {
                Some(one) if self.is_wanted(&name) && self.is_news(one) => {
                    update.resources.push(one.clone());
                }
                None if self.is_to_be_removed(&name) => {
                    if may_remove {
                        update.removed.push(name);
                    } else {
                        self.pending.add(name);
                    }
                }
                _ => {}
            }
        }
        if update.resources.is_empty() && update.removed.is_empty() {
            return None;
        }
        Some(self.in_full(update, present))
    }

    /// As the flavour wants it.
    fn in_full(&self, update: Update, present: &Resources) -> Update {
        if self.flavour == Flavour::Delta || !self.kind.has_wildcard() {
            return update;
        }
        let kept = self.has.iter().filter_map(|(name, had)| match had {
            Had::Sent(resource) if !present.has(name) => Some(resource),
            _ => None,
        });
        let kept = kept.filter(|kept| self.pending.has(kept.name()));
        Update {
            resources: self.wanted(present).chain(kept).cloned().collect(),
            removed: update.removed,
        }
    }

    fn wanted<'a>(&'a self, present: &'a Resources) -> impl Iterator<Item = &'a Arc<Resource>> {
        let all = self.wildcard.then(|| present.iter());
        let named =
            (!self.wildcard).then(|| self.names.iter().filter_map(|name| present.get(name)));
        all.into_iter().flatten().chain(named.into_iter().flatten())
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    pub(super) fn is_news(&self, resource: &Resource) -> bool {
        let version = Some(resource.version());
        self.has.get(resource.name()).map(Had::version) != version
            && self.refused.get(resource.name()).copied() != version
    }

    /// Is there something to be said of `name`, which is not there?
    fn is_to_be_removed(&self, name: &str) -> bool {
        match self.flavour {
            // It has no word for it but a whole state without it.
            Flavour::StateOfTheWorld => self.kind.has_wildcard() && self.has.contains_key(name),
            Flavour::Delta => {
                let is_unheard = self.names.contains(name) && !self.missing.contains(name);
                self.has.contains_key(name) || is_unheard
            }
        }
    }

    /// It is on its way.
    pub(super) fn sent(&mut self, nonce: String, update: Update) {
        self.missing.extend(update.removed.iter().cloned());
        self.under_way = Some(UnderWay {
            nonce,
            update,
            forgotten: HashSet::new(),
        });
    }

    // === where it stands ===

    pub(super) fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// Nothing is under way, nor to be sent; what is gone does not matter.
    pub(super) fn is_settled(&self, present: &Resources) -> bool {
        let is_news = |name: &Arc<str>| {
            let wanted = present.get(name).filter(|_| self.is_wanted(name));
            wanted.is_some_and(|one| self.is_news(one))
        };
        self.under_way.is_none() && self.suspects.is_empty() && !self.pending.any(present, is_news)
    }

    /// The version that it has of this.
    pub(super) fn had(&self, name: &str) -> Option<Version> {
        self.has.get(name).map(Had::version)
    }

    /// Names of what it has.
    pub(super) fn accepted_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.has.keys()
    }

    /// It has this, or does not want it.
    pub(super) fn is_done_with(&self, name: &str) -> bool {
        self.has.contains_key(name) || self.refused.contains_key(name)
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            is_asked: self.is_asked,
            accepted: self.has.len(),
            refused: self.refused.len(),
            is_waiting: self.under_way.is_some(),
        }
    }
}
