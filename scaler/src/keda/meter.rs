//! The metric triggers that KEDA asks about, ready to be evaluated.
//!
//! To read a query, and to register it with the store and with other replicas,
//! is done once per trigger and not in each RPC. KEDA never says that a
//! ScaledObject is gone: what it has not asked for in a while is forgotten, at
//! the next RPC after that. Streams hold what they follow. Called by
//! [`super::asked`]; every answer is evaluated anew, none is kept.

use super::{error::KedaError, metadata};
use crate::{
    externalscaler::ScaledObjectRef,
    metric_sources::MetricSources,
    metric_trigger::{KEYS, MetricDemand, MetricTrigger, NoDemand},
    series::{Arrivals, Registration, Selector, unix_ms},
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, Interval, MissedTickBehavior, sleep_until};

/// KEDA and the HPA ask every few seconds, and at zero replicas at the polling
/// interval at least.
const KEPT_FOR: Duration = Duration::from_secs(10 * 60);
const SWEEP_EACH: Duration = Duration::from_secs(60);

/// Most triggers that are known at a time.
const MOST: usize = 5_000;

/// An open stream looks at least this often, so that values fall without
/// points: a rate whose points grow old.
const LOOK_EACH: Duration = Duration::from_secs(1);
/// An open stream looks at most this often because of points, however many
/// batches arrive.
const LOOK_GAP: Duration = Duration::from_millis(20);

/// A query that is new has no value until the other replicas have told what
/// they have of it, but at most for so long.
const GATHER_WITHIN: Duration = Duration::from_secs(2);

/// One metric trigger and what it reads from.
#[derive(Debug)]
pub(crate) struct Meter {
    trigger: MetricTrigger,
    sources: MetricSources,
    now_ms: fn() -> i64,
    /// Keeps its series in the store.
    registration: Registration,
    gathers_until: Instant,
}

impl Meter {
    fn new(trigger: MetricTrigger, sources: MetricSources, now_ms: fn() -> i64) -> Self {
        let selectors = trigger.query().selectors().into_iter();
        let selectors: Vec<Selector> = selectors
            .map(|selector| Selector {
                matchers: selector.matchers().to_vec(),
                back: selector.reach(),
            })
            .collect();
        Self {
            registration: sources.store.register(&selectors),
            trigger,
            sources,
            now_ms,
            gathers_until: Instant::now() + GATHER_WITHIN,
        }
    }

    /// The demand of now.
    pub(crate) fn demand(&self) -> Result<MetricDemand, NoDemand> {
        if Instant::now() < self.gathers_until && !self.registration.is_gathered() {
            return Err(NoDemand::Gathering);
        }
        let now_ms = (self.now_ms)();
        let alive = self.sources.is_alive(now_ms);
        self.trigger.demand(&*self.sources.store, now_ms, alive)
    }

    /// The value that one replica is good for. Above zero.
    pub(crate) fn target(&self) -> f64 {
        self.trigger.target()
    }

    /// Follows it for a stream.
    pub(crate) fn follow(self: Arc<Self>) -> Watch {
        let mut ticks = tokio::time::interval_at(Instant::now() + LOOK_EACH, LOOK_EACH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Watch {
            arrivals: self.registration.arrivals(),
            meter: self,
            ticks,
            looked: None,
            has_news: false,
            looked_for_news: None,
        }
    }
}

/// A metric trigger as a stream follows it.
#[derive(Debug)]
pub(crate) struct Watch {
    arrivals: Arrivals,
    meter: Arc<Meter>,
    ticks: Interval,
    /// When it looked last, and what it saw.
    looked: Option<(Instant, Option<bool>)>,
    /// Points have come since then.
    has_news: bool,
    /// When it looked last because of points. A look for another reason must
    /// not hold up the points that come right after it.
    looked_for_news: Option<Instant>,
}

impl Watch {
    /// Whether it is active; `None` while that cannot be known. As seen at most
    /// [`LOOK_GAP`] ago: a route's stream asks for each wait.
    pub(crate) fn active(&mut self) -> Option<bool> {
        let now = Instant::now();
        if let Some((_, seen)) = self.looked
            && self.rests_until().is_some_and(|until| now < until)
        {
            return seen;
        }
        let seen = self.meter.demand().ok().map(|demand| demand.active);
        if self.has_news {
            self.looked_for_news = Some(now);
        }
        (self.looked, self.has_news) = (Some((now, seen)), false);
        seen
    }

    /// Resolves when [`Watch::active`] should be asked again: points have come,
    /// or time has passed. Cancel safe.
    pub(crate) async fn due(&mut self) {
        if !self.has_news {
            tokio::select! {
                biased;
                () = self.arrivals.arrived() => self.has_news = true,
                _ = self.ticks.tick() => {}
            }
        }
        if let Some(until) = self.rests_until() {
            sleep_until(until).await;
        }
    }

    /// Until when what was seen is good enough.
    fn rests_until(&self) -> Option<Instant> {
        let looked = if self.has_news {
            self.looked_for_news
        } else {
            self.looked.map(|(at, _)| at)
        };
        looked.map(|at| at + LOOK_GAP)
    }
}

/// The metric triggers that were asked for lately.
#[derive(Debug)]
pub(crate) struct Meters {
    sources: MetricSources,
    now_ms: fn() -> i64,
    known: Mutex<Known>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Known {
    /// By a hash of the ScaledObject and the metadata.
    meters: HashMap<u64, Kept>,
    swept: Instant,
}

#[derive(Debug)]
struct Kept {
    meter: Arc<Meter>,
    asked: Instant,
}

impl Meters {
    pub(crate) fn new(sources: MetricSources) -> Self {
        Self::with_clock(sources, unix_ms)
    }

    pub(super) fn with_clock(sources: MetricSources, now_ms: fn() -> i64) -> Self {
        Self {
            sources,
            now_ms,
            known: Mutex::new(Known {
                meters: HashMap::new(),
                swept: Instant::now(),
            }),
            hasher: RandomState::default(),
        }
    }

    /// The metric part of a trigger; `None` where it has no `metricQuery`.
    ///
    /// # Errors
    /// What cannot be in the metadata, or too many triggers.
    pub(crate) fn of(&self, reference: &ScaledObjectRef) -> Result<Option<Arc<Meter>>, KedaError> {
        if !metadata::has_query(reference) {
            return Ok(None);
        }
        let values = KEYS.map(|key| metadata::value(reference, key));
        let id = (&reference.namespace, &reference.name, values);
        let id = self.hasher.hash_one(id);
        let (found, forgotten) = self.known.lock().find(id, Instant::now());
        // Not under our lock: it takes that of the store.
        drop(forgotten);
        if let Some(found) = found? {
            return Ok(Some(found));
        }
        let trigger = MetricTrigger::parse(|key| metadata::value(reference, key))?;
        let Some(trigger) = trigger else {
            return Ok(None);
        };
        let meter = Arc::new(Meter::new(trigger, self.sources.clone(), self.now_ms));
        let kept = Kept {
            meter: meter.clone(),
            asked: Instant::now(),
        };
        let replaced = self.known.lock().meters.insert(id, kept);
        drop(replaced);
        Ok(Some(meter))
    }
}

impl Known {
    /// A meter that is known, or whether there is room for it; and those that
    /// nobody asks for any more.
    fn find(
        &mut self,
        id: u64,
        now: Instant,
    ) -> (Result<Option<Arc<Meter>>, KedaError>, Vec<Kept>) {
        let is_full = self.meters.len() >= MOST;
        let forgotten = if is_full || now.duration_since(self.swept) >= SWEEP_EACH {
            self.swept = now;
            let old = |_: &u64, kept: &mut Kept| now.duration_since(kept.asked) >= KEPT_FOR;
            self.meters.extract_if(old).map(|(_, kept)| kept).collect()
        } else {
            Vec::new()
        };
        let is_full = self.meters.len() >= MOST;
        let found = match self.meters.get_mut(&id) {
            Some(kept) => {
                kept.asked = now;
                Ok(Some(kept.meter.clone()))
            }
            None if is_full => Err(KedaError::TooManyMetricTriggers(MOST)),
            None => Ok(None),
        };
        (found, forgotten)
    }
}

#[cfg(test)]
mod tests;
