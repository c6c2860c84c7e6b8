//! The sweep: one task per worker that looks over the worker's connections a
//! few times a second, in place of timers per connection or request.
//!
//! It runs only while there are connections. It tells a connection that
//! something is due (see [`Activity::verdict`]) and passes on the phases of
//! the drain; what to do is the connection's business.

use super::{
    activity::{Activity, order},
    drain::Phase,
};
use crate::{config::ConnectionConfig, metrics::ConnectionCounts};
use parking_lot::Mutex;
use slab::Slab;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};

/// How often it looks, unless a limit is so short that this would be late.
const PERIOD: Duration = Duration::from_millis(500);
const SHORTEST_PERIOD: Duration = Duration::from_millis(5);

/// One worker's connections and the clock that they use.
#[derive(Debug)]
pub(crate) struct Sweep {
    limits: ConnectionConfig,
    period: Duration,
    origin: Instant,
    /// Milliseconds since `origin` when it last looked.
    now_ms: AtomicU64,
    phase: watch::Receiver<Phase>,
    connections: Mutex<Connections>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Connections {
    open: Slab<Arc<Activity>>,
    is_running: bool,
}

/// What the limits did to connections.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Closed because a head, or the first byte, took too long.
    pub(crate) slow: AtomicU64,
    /// Closed because nothing happened for too long.
    pub(crate) idle: AtomicU64,
    /// Parked and not woken or closed since.
    pub(crate) parked: AtomicU64,
    /// Woken after they were parked.
    pub(crate) woken: AtomicU64,
}

impl Sweep {
    pub(crate) fn new(limits: ConnectionConfig, phase: watch::Receiver<Phase>) -> Arc<Self> {
        let shortest = [
            limits.header_timeout,
            limits.idle_timeout,
            limits.park_after,
        ]
        .into_iter()
        .filter(|limit| !limit.is_zero())
        .min();
        let period = shortest.map_or(PERIOD, |limit| (limit / 4).clamp(SHORTEST_PERIOD, PERIOD));
        Arc::new(Self {
            limits,
            period,
            origin: Instant::now(),
            now_ms: AtomicU64::new(0),
            phase,
            connections: Mutex::default(),
            counters: Counters::default(),
        })
    }

    pub(crate) fn limits(&self) -> &ConnectionConfig {
        &self.limits
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn counts(&self) -> ConnectionCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ConnectionCounts {
            parked: read(&self.counters.parked),
            woken: read(&self.counters.woken),
            slow_closed: read(&self.counters.slow),
            idle_closed: read(&self.counters.idle),
        }
    }

    /// The time when it last looked.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    /// How old by [`Sweep::now_ms`] something must look to be at least
    /// `limit` old: its beginning was noted up to a period too early.
    pub(crate) fn surely(&self, limit: Duration) -> u64 {
        millis(limit + self.period)
    }

    /// Watches over a new connection until the guard is dropped. Starts the
    /// task if it is the first one; so this must run on the worker.
    pub(crate) fn watch(self: &Arc<Self>) -> Watched {
        let mut connections = self.connections.lock();
        if !connections.is_running {
            connections.is_running = true;
            self.tick();
            tokio::spawn(run(self.clone()));
        }
        let activity = Arc::new(Activity::new(self.clone()));
        // Under the lock, so that it sees the phase or the sweep sees it.
        activity.order(orders_of(*self.phase.borrow()));
        let key = connections.open.insert(activity.clone());
        Watched { activity, key }
    }

    fn tick(&self) {
        let now = millis(self.origin.elapsed());
        self.now_ms.store(now, Ordering::Relaxed);
    }

    /// Tells every connection for which something is due. False if there is
    /// none to watch over: then the task must end.
    fn look(&self) -> bool {
        self.tick();
        let mut connections = self.connections.lock();
        for (_, activity) in &connections.open {
            if activity.verdict().is_some() || activity.is_silent() {
                activity.order(order::LOOK);
            }
        }
        if connections.open.is_empty() {
            // What a burst needed is given back with it.
            connections.open = Slab::new();
            connections.is_running = false;
        }
        connections.is_running
    }

    fn pass_on(&self, phase: Phase) {
        self.tick();
        for (_, activity) in &self.connections.lock().open {
            activity.order(orders_of(phase));
        }
    }
}

async fn run(sweep: Arc<Sweep>) {
    let mut phase = sweep.phase.clone();
    let mut every = tokio::time::interval(sweep.period);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            // Without a sender nothing drains any more, and the proxy is gone.
            Ok(()) = phase.changed() => {
                let present = *phase.borrow_and_update();
                sweep.pass_on(present);
            }
            _ = every.tick() => if !sweep.look() {
                return;
            },
        }
    }
}

fn orders_of(phase: Phase) -> u8 {
    match phase {
        Phase::Serving => 0,
        Phase::Announced => order::ANNOUNCED,
        Phase::Draining => order::DRAIN,
        Phase::Deadline => order::DRAIN | order::CUT,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A connection that is watched over.
#[derive(Debug)]
pub(crate) struct Watched {
    activity: Arc<Activity>,
    key: usize,
}

impl Watched {
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut connections = self.activity.sweep().connections.lock();
        connections.open.remove(self.key);
    }
}
