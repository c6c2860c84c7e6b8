//! Once a second: brings what the counters say to [`crate::sight`], and tells
//! whoever looks on which targets have changed.
//!
//! A task beside the admin server. It reads counters that are there anyway: no
//! request knows of it.

use super::{Admin, TargetState, TargetView, targets};
use crate::{
    discovery::Wired,
    sight::{Counts, Gauges, Row},
};
use serde::Serialize;
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::MissedTickBehavior;

/// How often.
const EACH: Duration = Duration::from_secs(1);
/// After so many targets other tasks get their turn.
const BATCH: usize = 256;
/// Of more targets than this, those that were idle and got no request since are
/// looked at in turns: one in so many each time. They are most of them, and a
/// look at 10,000 takes a tenth of a second.
const ALL_OF: usize = 1_000;
const TURNS: usize = 10;

/// A target that has changed.
#[derive(Debug, Serialize)]
struct Changed {
    target: TargetView,
    /// Its newest second.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<Row>,
}

/// Which targets need not be looked at each time.
#[derive(Default)]
struct Idle {
    wired: Arc<[Wired]>,
    /// Requests begun by those that were idle when they were looked at last.
    begun: Vec<Option<u64>>,
    turn: usize,
}

impl Idle {
    /// The next look, at these.
    fn begin(&mut self, wired: &Arc<[Wired]>) {
        self.turn = (self.turn + 1) % TURNS;
        if !Arc::ptr_eq(&self.wired, wired) {
            self.wired = wired.clone();
            self.begun = vec![None; wired.len()];
        }
    }

    fn may_wait(&self, nth: usize) -> bool {
        let is_its_turn = self.wired.len() <= ALL_OF || nth % TURNS == self.turn;
        !is_its_turn && self.begun[nth] == Some(self.wired[nth].target.totals().begun)
    }
}

/// Watches for ever. Cancel safe.
pub(super) async fn run(admin: Arc<Admin>) {
    let mut ticks = tokio::time::interval(EACH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut shown: HashSet<String> = HashSet::new();
    let mut idle = Idle::default();
    loop {
        ticks.tick().await;
        look(&admin, &mut shown, &mut idle).await;
    }
}

async fn look(admin: &Admin, shown: &mut HashSet<String>, idle: &mut Idle) {
    let (sight, wired) = (&admin.sight, admin.scene.wired());
    let mut changed = Vec::new();
    idle.begin(&wired);
    for (nth, one) in wired.iter().enumerate() {
        if nth % BATCH == BATCH - 1 {
            tokio::task::yield_now().await;
        }
        if idle.may_wait(nth) {
            continue;
        }
        let (counts, gauges, is_idle) = read(admin, one);
        idle.begun[nth] = is_idle.then_some(counts.requests);
        if sight.record(one.target.id(), counts, gauges) {
            changed.push(one);
        }
    }
    sight.recorded();
    if !sight.feed().is_followed() {
        shown.clear();
        return;
    }
    if !changed.is_empty() {
        let views = targets::some(admin, changed.iter().copied());
        let rows = changed.iter().map(|one| sight.last_row(one.target.id()));
        let changed = views.into_iter().zip(rows);
        let changed: Vec<Changed> = changed
            .map(|(target, row)| Changed { target, row })
            .collect();
        sight.feed().send("changed", &changed);
    }
    let names = wired
        .iter()
        .map(|one| crate::sight::target_name(one.target.id()));
    let now: HashSet<String> = names.collect();
    let gone: Vec<&String> = shown.difference(&now).collect();
    if !gone.is_empty() {
        sight.feed().send("gone", &gone);
    }
    *shown = now;
}

/// What counters and gauges say, and whether nothing is asked of it.
fn read(admin: &Admin, wired: &Wired) -> (Counts, Gauges, bool) {
    let target = &wired.target;
    let (totals, metrics) = (target.totals(), target.metrics());
    let counts = Counts {
        requests: totals.begun,
        activations: target.wakes(),
        cold_starts: metrics.holds.ready.read().count(),
        refused: target.hold_refusals().map(|(_, count)| count),
    };
    let (state, endpoints) = targets::state_of(wired);
    let active = admin
        .ledger
        .demand_parts(target.id())
        .is_some_and(|parts| parts.active);
    let replicas = wired
        .workload
        .as_ref()
        .map(|workload| (workload.replicas(), workload.ready()));
    let (wanted, ready) = replicas.unwrap_or_default();
    let small = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    let gauges = Gauges {
        in_flight: u32::try_from(totals.in_flight()).unwrap_or(u32::MAX),
        held: u32::try_from(target.held()).unwrap_or(u32::MAX),
        replicas: small(wanted as usize),
        endpoints: small(endpoints),
        look: look_of(state, active, ready, target.ready_endpoints()),
    };
    let is_idle = !active && gauges.in_flight == 0 && gauges.held == 0;
    (counts, gauges, is_idle)
}

/// What a look should show beside numbers, in one.
fn look_of(state: TargetState, active: bool, ready: u32, pickable: usize) -> u16 {
    let bits = [
        (state as usize) & 3,
        usize::from(active),
        (ready & 63) as usize,
        pickable & 127,
    ];
    (bits[0] | bits[1] << 2 | bits[2] << 3 | bits[3] << 9) as u16
}
