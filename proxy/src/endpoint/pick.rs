//! Two random choices, the less loaded one wins.
//!
//! Within a factor of the best possible spread at the price of two random
//! numbers and two loads, and without the herd that "always the least
//! loaded" sends to a fresh endpoint.
//!
//! An endpoint that is out for its answers is taken when there is no other:
//! it can be reached, at least.

use super::{Endpoint, EndpointSet, Lease, slow_start};
use std::sync::Arc;

/// At most this many requests at once on one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlaceLimit(usize);

impl PlaceLimit {
    pub(crate) const NONE: Self = Self(0);

    /// 0: no limit.
    pub(crate) fn new(limit: usize) -> Self {
        Self(limit)
    }

    pub(crate) fn get(self) -> Option<usize> {
        (self.0 != 0).then_some(self.0)
    }
}

/// Picks the endpoint for one request, and counts it there.
pub(super) fn pick(set: &EndpointSet, now_us: u64, limit: PlaceLimit) -> Option<Lease> {
    let chosen = less_loaded_of_two(set, now_us)?;
    match limit.get() {
        None => Some(Lease::new(chosen)),
        Some(limit) => {
            Lease::claim(chosen, limit).or_else(|| any_with_room(set, now_us, limit, None))
        }
    }
}

/// Likewise, an endpoint other than `avoid`, the least loaded one.
#[cold]
pub(super) fn pick_other(
    set: &EndpointSet,
    now_us: u64,
    limit: PlaceLimit,
    avoid: &Endpoint,
) -> Option<Lease> {
    if let Some(limit) = limit.get() {
        return any_with_room(set, now_us, limit, Some(avoid));
    }
    let others = around(set).filter(|endpoint| !std::ptr::eq(&raw const ***endpoint, avoid));
    others
        .filter(|endpoint| !endpoint.is_ejected(now_us))
        .min_by_key(|endpoint| endpoint.in_flight())
        .map(Lease::new)
}

/// The less loaded of two random endpoints that are not ejected.
fn less_loaded_of_two(set: &EndpointSet, now_us: u64) -> Option<&Arc<Endpoint>> {
    let endpoints = &set.endpoints;
    let (a, b) = match endpoints.len() {
        0 => return None,
        1 => (0, 0),
        2 => (0, 1),
        n => {
            let a = fastrand::usize(..n);
            (a, (a + 1 + fastrand::usize(..n - 1)) % n)
        }
    };
    let (first, second) = (&endpoints[a], &endpoints[b]);
    match (first.is_ejected(now_us), second.is_ejected(now_us)) {
        (false, false) if now_us < set.slow_until_us => {
            Some(match slow_start::steps_back(first, second, now_us) {
                Some(younger) if Arc::ptr_eq(younger, first) => second,
                Some(_) => first,
                None => lighter(first, second),
            })
        }
        (false, false) => Some(lighter(first, second)),
        (false, true) => Some(first),
        (true, false) => Some(second),
        // Rare: both choices are ejected. Look at all, from a random place
        // on, so that the survivors share the load.
        (true, true) => around(set)
            .find(|endpoint| !endpoint.is_ejected(now_us))
            .or_else(|| around(set).find(|endpoint| endpoint.is_ejected_for_answers(now_us))),
    }
}

/// All endpoints, from a random one on.
fn around(set: &EndpointSet) -> impl Iterator<Item = &Arc<Endpoint>> {
    let count = set.endpoints.len();
    let start = if count == 0 {
        0
    } else {
        fastrand::usize(..count)
    };
    set.endpoints.iter().cycle().skip(start).take(count)
}

/// Claims a place on any endpoint that has one.
#[cold]
fn any_with_room(
    set: &EndpointSet,
    now_us: u64,
    limit: usize,
    avoid: Option<&Endpoint>,
) -> Option<Lease> {
    let panic = set.is_all_ejected(now_us);
    around(set)
        .filter(|endpoint| avoid.is_none_or(|avoid| !std::ptr::eq(&raw const ***endpoint, avoid)))
        .filter(|endpoint| endpoint.is_usable(now_us, panic))
        .find_map(|endpoint| Lease::claim(endpoint, limit))
}

fn lighter<'a>(a: &'a Arc<Endpoint>, b: &'a Arc<Endpoint>) -> &'a Arc<Endpoint> {
    let (load_a, load_b) = (a.in_flight(), b.in_flight());
    // Equal loads: toss a coin, or the first of a pair would get all idle traffic.
    if load_a < load_b || (load_a == load_b && fastrand::bool()) {
        a
    } else {
        b
    }
}
