//! The endpoints of one target at one time: who can be picked, and who may be
//! spared.

use super::{Claimed, Endpoint, Lease, PlaceLimit, pick, slow_start};
use std::sync::Arc;

/// An immutable set of endpoints.
#[derive(Debug)]
pub struct EndpointSet {
    pub(super) endpoints: Box<[Arc<Endpoint>]>,
    /// Until when their ages matter.
    pub(super) slow_until_us: u64,
    is_leaving: bool,
}

impl EndpointSet {
    /// Nobody.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            endpoints: Box::new([]),
            slow_until_us: 0,
            is_leaving: false,
        }
    }

    /// These, in this order.
    #[must_use]
    pub fn new(endpoints: Vec<Arc<Endpoint>>) -> Self {
        Self {
            slow_until_us: slow_start::matters_until(&endpoints),
            endpoints: endpoints.into(),
            is_leaving: false,
        }
    }

    /// Likewise, all of which are going away: used while there is nobody else.
    #[must_use]
    pub fn leaving(endpoints: Vec<Arc<Endpoint>>) -> Self {
        Self {
            is_leaving: true,
            ..Self::new(endpoints)
        }
    }

    /// Are all of them going away? Nobody but our own proxy is to be sent to
    /// them then: it knows first who comes after them.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// How many there are, ejected ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Is there none at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// Is this very one among them?
    pub(crate) fn contains(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.endpoints
            .iter()
            .any(|known| Arc::ptr_eq(known, endpoint))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.iter()
    }

    /// How many can be picked at `now_us`: those that are not ejected. If all
    /// are, those that are out for nothing but their answers.
    #[must_use]
    pub fn pickable(&self, now_us: u64) -> usize {
        let mut all = self.endpoints.iter();
        match all.clone().filter(|e| !e.is_ejected(now_us)).count() {
            0 => all
                .by_ref()
                .filter(|endpoint| endpoint.is_ejected_for_answers(now_us))
                .count(),
            count => count,
        }
    }

    pub(super) fn is_all_ejected(&self, now_us: u64) -> bool {
        let mut all = self.endpoints.iter();
        all.all(|endpoint| endpoint.is_ejected(now_us))
    }

    /// How many more requests its endpoints may have at `now_us`.
    pub(crate) fn free_places(&self, now_us: u64, limit: usize) -> usize {
        let all_ejected = self.is_all_ejected(now_us);
        let mut usable = self.endpoints.iter();
        usable
            .by_ref()
            .filter(|endpoint| endpoint.is_usable(now_us, all_ejected))
            .map(|endpoint| limit.saturating_sub(endpoint.claimed()))
            .fold(0, usize::saturating_add)
    }

    /// When the first endpoint that is out at `now_us` comes back by itself.
    pub(crate) fn next_return_us(&self, now_us: u64) -> Option<u64> {
        let ends = self.endpoints.iter();
        ends.filter_map(|endpoint| endpoint.ejection.ends_us(now_us))
            .min()
    }

    /// May `endpoint` be ejected for its answers at `now_us`? Only while at
    /// most `max_percent` of the set are, and another one is left.
    pub(crate) fn may_spare(&self, endpoint: &Endpoint, now_us: u64, max_percent: u8) -> bool {
        let is_it = |other: &Arc<Endpoint>| std::ptr::eq(&raw const **other, endpoint);
        let mut all = self.endpoints.iter();
        let out = all
            .by_ref()
            .filter(|other| other.is_ejected_for_answers(now_us))
            .count();
        let mut others = self.endpoints.iter().filter(|other| !is_it(other));
        self.endpoints.iter().any(is_it)
            && (out + 1) * 100 <= self.len() * usize::from(max_percent)
            && others.any(|other| !other.is_ejected(now_us))
    }

    /// Could somebody else be picked at `now_us`?
    pub(crate) fn has_other_than(&self, endpoint: &Endpoint, now_us: u64) -> bool {
        let mut all = self.endpoints.iter();
        all.any(|other| !std::ptr::eq(&raw const **other, endpoint) && !other.is_ejected(now_us))
    }

    /// Picks the endpoint for one request, and counts it there.
    pub(crate) fn pick(&self, now_us: u64, limit: PlaceLimit) -> Option<Lease> {
        pick::pick(self, now_us, limit)
    }

    /// Likewise, another one than `avoid`.
    pub(crate) fn pick_other(
        &self,
        now_us: u64,
        limit: PlaceLimit,
        avoid: &Endpoint,
    ) -> Option<Lease> {
        pick::pick_other(self, now_us, limit, avoid)
    }

    /// The endpoint at `index`, if it is in the rotation and has a place.
    pub(crate) fn claim(&self, index: usize, now_us: u64, limit: PlaceLimit) -> Claimed {
        match self.endpoints.get(index) {
            Some(endpoint) if !endpoint.is_ejected(now_us) => match limit.get() {
                None => Claimed::Lease(Lease::new(endpoint)),
                Some(limit) => Lease::claim(endpoint, limit).map_or(Claimed::Full, Claimed::Lease),
            },
            _ => Claimed::Gone,
        }
    }
}
