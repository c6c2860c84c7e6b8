//! What this replica would tell a follower: the state of each target, by
//! revision.
//!
//! One per ledger. [`super::publish`] puts states on it; each follower's stream
//! takes what is newer than what it has sent. A target is on it once, with its
//! latest state: a follower that reads slowly finds less to read, not more, and
//! costs no memory. Pure.

use crate::{gen_peers as wire, tracked::Tracked};
use proxy::{TargetId, Totals};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Removed targets that are remembered. A follower that missed more of them
/// gets the whole state anew.
const MAX_TOMBSTONES: usize = 1_024;

/// What this replica itself counted for one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Own {
    /// When the counts began: another value means other counts.
    pub(crate) born_us: u64,
    /// Counted since then.
    pub(crate) totals: Totals,
    pub(crate) held: u64,
    pub(crate) ready_endpoints: usize,
    pub(crate) waits: u64,
    /// When something was last asked.
    pub(crate) busy_at_us: Option<u64>,
    /// Until when it last rested, unlooked at.
    pub(crate) rested_until_us: u64,
}

impl Own {
    /// Is there anything to tell?
    fn is_untouched(&self) -> bool {
        self.totals.begun == 0 && self.held == 0 && self.waits == 0
    }

    /// Nothing but time has passed since `earlier`.
    fn continues(&self, earlier: &Self) -> bool {
        (self.born_us, self.totals.begun, self.totals.ended)
            == (earlier.born_us, earlier.totals.begun, earlier.totals.ended)
            && (self.held, self.ready_endpoints, self.waits)
                == (earlier.held, earlier.ready_endpoints, earlier.waits)
    }
}

/// The far ends of this replica's own windows, counted as in [`Own`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origins {
    pub(crate) born_us: u64,
    pub(crate) mean_from: Option<Totals>,
    /// When, and requests begun by then.
    pub(crate) rate_from: Option<(u64, u64)>,
}

#[derive(Debug)]
struct Entry {
    revision: u64,
    /// `None`: the target was removed.
    standing: Option<Standing>,
}

#[derive(Debug)]
struct Standing {
    tracked: Arc<Tracked>,
    /// The revision that these counts appeared with: a follower that has only
    /// older ones knows nothing of them.
    first: u64,
    /// At the last look.
    now: Own,
    /// At the look that found the last change, and at the one before it.
    changed: Totals,
    before: Totals,
}

/// All states.
#[derive(Debug, Default)]
pub(crate) struct Board {
    revision: u64,
    entries: HashMap<TargetId, Entry>,
    order: BTreeMap<u64, TargetId>,
    tombstones: usize,
    /// The last revision of a removal that is not remembered any more.
    forgotten: u64,
    /// When the last look at all targets began.
    looked_us: u64,
}

impl Board {
    /// The revision of the newest state.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// A look at all targets begins.
    pub(crate) fn look_begins(&mut self, now_us: u64) -> u64 {
        std::mem::replace(&mut self.looked_us, now_us)
    }

    /// A look at one target, where the look before at one that nothing had been
    /// asked of was at `untouched_us`.
    pub(crate) fn note(&mut self, tracked: &Arc<Tracked>, own: Own, untouched_us: u64) {
        let id = tracked.id();
        let (before, first) = match self.entries.get_mut(id) {
            Some(Entry {
                standing: Some(standing),
                ..
            }) if standing.now.born_us == own.born_us
                && Arc::ptr_eq(&standing.tracked, tracked) =>
            {
                if own.totals.at_us < standing.now.totals.at_us {
                    return; // somebody looked later and was here first
                }
                if own.continues(&standing.now) {
                    standing.now = own;
                    return;
                }
                let mut before = standing.now.totals;
                if before.in_flight() == 0 {
                    let rested_until_us = own.rested_until_us.min(own.totals.at_us);
                    before = before.unchanged_until(rested_until_us);
                }
                (before, standing.first)
            }
            None if own.is_untouched() => return,
            _ => {
                let untouched_us = untouched_us
                    .max(own.rested_until_us)
                    .clamp(own.born_us, own.totals.at_us);
                (Totals::from_parts(untouched_us, 0, 0, 0), self.revision + 1)
            }
        };
        let standing = Standing {
            tracked: Arc::clone(tracked),
            first,
            now: own,
            changed: own.totals,
            before,
        };
        self.put(id.clone(), Some(standing));
    }

    /// Only these targets are left.
    pub(crate) fn keep_only(&mut self, is_left: impl Fn(&TargetId) -> bool) {
        let gone: Vec<TargetId> = self
            .entries
            .iter()
            .filter(|(id, entry)| entry.standing.is_some() && !is_left(id))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.put(id, None);
        }
        while self.tombstones > MAX_TOMBSTONES {
            let oldest = self.order.iter().find(|(_, id)| {
                self.entries
                    .get(*id)
                    .is_some_and(|entry| entry.standing.is_none())
            });
            let Some((&revision, id)) = oldest else {
                return;
            };
            self.entries.remove(&id.clone());
            self.order.remove(&revision);
            self.tombstones -= 1;
            self.forgotten = self.forgotten.max(revision);
        }
    }

    /// Up to `most` states after `revision`, oldest first, and the revision of
    /// the last of them. `None` if removals in between are not remembered: then
    /// the `whole` state is needed, which is asked for from revision 0 on.
    pub(crate) fn after(
        &self,
        revision: u64,
        most: usize,
        whole: bool,
    ) -> Option<(Vec<wire::TargetState>, u64)> {
        if !whole && revision < self.forgotten {
            return None;
        }
        let (mut last, after) = (revision, revision);
        let newer = self.order.range(revision.saturating_add(1)..).take(most);
        let states = newer.filter_map(|(&revision, id)| {
            last = revision;
            let entry = self.entries.get(id)?;
            Some(state(id, entry, after, whole))
        });
        let states = states.collect();
        Some((states, last))
    }

    fn put(&mut self, id: TargetId, standing: Option<Standing>) {
        self.revision += 1;
        self.tombstones += usize::from(standing.is_none());
        let entry = Entry {
            revision: self.revision,
            standing,
        };
        if let Some(old) = self.entries.insert(id.clone(), entry) {
            self.order.remove(&old.revision);
            self.tombstones -= usize::from(old.standing.is_none());
        }
        self.order.insert(self.revision, id);
    }
}

/// `after`: the follower has no newer state than that.
fn state(id: &TargetId, entry: &Entry, after: u64, whole: bool) -> wire::TargetState {
    let mut state = wire::TargetState {
        namespace: id.namespace().to_owned(),
        name: id.name().to_owned(),
        revision: entry.revision,
        removed: entry.standing.is_none(),
        ..wire::TargetState::default()
    };
    let Some(standing) = &entry.standing else {
        return state;
    };
    let (own, now) = (&standing.now, &standing.now.totals);
    state.born_us = own.born_us;
    state.at_us = now.at_us;
    (state.begun, state.ended) = (now.begun, now.ended);
    state.busy_us = now.busy_us();
    state.held = own.held;
    state.ready_endpoints = own.ready_endpoints as u64;
    state.waits = own.waits;
    state.was_busy = own.busy_at_us.is_some();
    state.idle_us = own.busy_at_us.map_or(0, |at| now.at_us.saturating_sub(at));
    let earlier = [&standing.before, &standing.changed];
    state.earlier = earlier
        .into_iter()
        // Also of this very microsecond: what began within it is not to be
        // spread over all the time before.
        .filter(|then| (then.at_us, then.begun, then.ended) != (now.at_us, now.begun, now.ended))
        .filter_map(|then| past(now, then))
        .collect();
    if whole || after < standing.first {
        let origins = standing.tracked.origins();
        if origins.born_us == own.born_us {
            state.mean_from = origins.mean_from.and_then(|from| past(now, &from));
            state.rate_from = origins.rate_from.and_then(|(at_us, begun)| {
                past(
                    now,
                    &Totals::from_parts(at_us, begun, now.ended, now.busy_us()),
                )
            });
        }
    }
    state
}

fn past(now: &Totals, then: &Totals) -> Option<wire::Past> {
    Some(wire::Past {
        elapsed_us: now.at_us.checked_sub(then.at_us)?,
        begun: now.begun.checked_sub(then.begun)?,
        ended: now.ended.checked_sub(then.ended)?,
        busy_us: now.busy_us_since(then),
    })
}
