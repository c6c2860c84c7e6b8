//! What KEDA was told last of the activity of each trigger, and when.
//!
//! For people, and for whoever logs what woke a target. Written by `IsActive`
//! and by the streams; forgotten when KEDA does not ask for a while and has no
//! stream open. It must never influence an answer.

use super::{error::KedaError, meter::Meter};
use crate::{externalscaler::ScaledObjectRef, metric_trigger::MetricDemand};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};
use tokio::time::Instant;

/// As long as for values: see [`super::told`].
const KEPT_FOR: Duration = Duration::from_secs(10 * 60);

const TENTH: Duration = Duration::from_millis(100);

/// Most triggers that are kept.
const MOST: usize = 20_000;

/// In characters: metadata comes from outside.
const LONGEST: usize = 256;

/// Keys that say what a trigger asks for.
const TELLING: [&str; 4] = [
    "interceptorRoute",
    "httpScaledObject",
    "interceptorTargetPendingRequests",
    "metricQuery",
];

/// Hears when a metric, and no request, makes KEDA be told "active".
pub trait MetricWakes: fmt::Debug + Send + Sync {
    /// `metric` of that ScaledObject rose above its activation value. Called
    /// within an RPC: must neither block nor fail.
    fn rose(&self, namespace: &str, scaled_object: &str, metric: &str);
}

/// How KEDA is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldBy {
    /// It asked.
    Poll,
    /// On an open stream.
    Stream,
}

/// What KEDA was told of a trigger's activity.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivityTold {
    /// The namespace of the ScaledObject.
    pub namespace: String,
    /// The ScaledObject.
    pub scaled_object: String,
    /// What the trigger asks for: `interceptorRoute=web`.
    pub source: String,
    /// What was said last; `None`: nothing yet.
    pub said: Option<Said>,
    /// Whether KEDA has a stream open for it.
    pub has_stream: bool,
    /// The trigger's metric as it is now, if it has one that is known.
    pub metric: Option<Result<MetricNow, String>>,
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Active or not, or why that is not known.
    pub what: Result<bool, String>,
    /// How it was said.
    pub by: ToldBy,
    /// When it was said last.
    pub at: Instant,
    /// Since when the same was said.
    pub since: Instant,
}

/// A metric of a trigger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricNow {
    /// Its value.
    pub value: f64,
    /// What one replica is good for.
    pub target: f64,
    /// Whether the value is above the activation value.
    pub active: bool,
}

/// One trigger. Thousands are kept, so it is small.
#[derive(Debug)]
pub(super) struct Trigger {
    names: Names,
    state: Mutex<State>,
}

/// The namespace, the ScaledObject, and what the trigger asks for, in one piece.
#[derive(Debug, PartialEq, Eq)]
struct Names {
    all: Box<str>,
    /// Where the second and the third begin.
    begins: [u16; 2],
}

#[derive(Debug)]
struct State {
    said: Option<Last>,
    meter: Weak<Meter>,
}

/// [`Said`], with times in tenths of a second since the first trigger was asked
/// for.
#[derive(Debug)]
struct Last {
    what: Result<bool, Box<str>>,
    by: ToldBy,
    at: u32,
    since: u32,
}

/// All triggers.
#[derive(Debug, Default)]
pub(super) struct Activities {
    known: Mutex<Known>,
    hasher: RandomState,
    wakes: OnceLock<Arc<dyn MetricWakes>>,
    start: OnceLock<Instant>,
}

#[derive(Debug, Default)]
struct Known {
    /// By hashes of the ScaledObject and of the whole trigger. A tree: KEDA's
    /// streams are many, and a table has room for twice as many.
    triggers: BTreeMap<(u32, u32), Arc<Trigger>>,
}

impl Activities {
    /// From now on `wakes` hears. The first one counts.
    pub(super) fn follow(&self, wakes: Arc<dyn MetricWakes>) {
        let _first = self.wakes.set(wakes);
    }

    /// The trigger that is asked for; `None` when too many are known.
    pub(super) fn of(
        &self,
        reference: &ScaledObjectRef,
        meter: Option<&Arc<Meter>>,
    ) -> Option<Arc<Trigger>> {
        let names = Names::of(reference);
        let key = self.key(&names);
        let mut known = self.known.lock();
        if let Some(trigger) = known.triggers.get(&key) {
            if trigger.names != names {
                return None; // one in a million millions
            }
            if let Some(meter) = meter {
                trigger.state.lock().meter = Arc::downgrade(meter);
            }
            return Some(trigger.clone());
        }
        let now = self.now();
        if known.triggers.len() >= MOST {
            known.forget(now);
        }
        if known.triggers.len() >= MOST {
            return None;
        }
        let trigger = Arc::new(Trigger {
            names,
            state: Mutex::new(State {
                said: None,
                meter: meter.map_or_else(Weak::new, Arc::downgrade),
            }),
        });
        known.triggers.insert(key, trigger.clone());
        Some(trigger)
    }

    fn key(&self, names: &Names) -> (u32, u32) {
        let [namespace, scaled_object, _] = names.each();
        (self.object(namespace, scaled_object), self.hash(&names.all))
    }

    fn object(&self, namespace: &str, name: &str) -> u32 {
        self.hash((namespace, name))
    }

    /// Half of a hash.
    fn hash(&self, what: impl Hash) -> u32 {
        u32::try_from(self.hasher.hash_one(what) >> 32).unwrap_or(u32::MAX)
    }

    fn start(&self) -> Instant {
        *self.start.get_or_init(Instant::now)
    }

    /// In tenths of a second since the start: of 13 years.
    fn now(&self) -> u32 {
        let tenths = self.start().elapsed().as_millis() / 100;
        u32::try_from(tenths).unwrap_or(u32::MAX)
    }

    /// KEDA was told this of `trigger`; `by_metric`: for a metric alone.
    pub(super) fn told(
        &self,
        trigger: &Trigger,
        what: Result<bool, &KedaError>,
        by: ToldBy,
        by_metric: bool,
    ) {
        let now = self.now();
        let rose = {
            let mut state = trigger.state.lock();
            let before = state.said.as_ref();
            let stays = before.filter(|said| match (&said.what, &what) {
                (Ok(was), Ok(is)) => was == is,
                (Err(was), Err(is)) => **was == *is.to_string(),
                _ => false,
            });
            let since = stays.map_or(now, |said| said.since);
            let was_active = before.is_some_and(|said| said.what == Ok(true));
            state.said = Some(Last {
                what: what.map_err(|error| error.to_string().into()),
                by,
                at: now,
                since,
            });
            by_metric && !was_active && what == Ok(true)
        };
        if rose && let Some(wakes) = self.wakes.get() {
            let value = match trigger.metric() {
                Some(Ok(metric)) => format!(" is {}, target {}", metric.value, metric.target),
                _ => String::new(),
            };
            let [namespace, scaled_object, source] = trigger.names.each();
            wakes.rose(namespace, scaled_object, &format!("{source}{value}"));
        }
    }

    /// What KEDA was told of one ScaledObject's triggers, in order of what they
    /// ask for.
    pub(super) fn read(&self, namespace: &str, scaled_object: &str) -> Vec<ActivityTold> {
        let found: Vec<Arc<Trigger>> = {
            let known = self.known.lock();
            let object = self.object(namespace, scaled_object);
            let its = known.triggers.range((object, 0)..=(object, u32::MAX));
            let its = its.map(|(_, trigger)| trigger);
            let is_its = |trigger: &&Arc<Trigger>| {
                let [of, name, _] = trigger.names.each();
                (of, name) == (namespace, scaled_object)
            };
            its.filter(is_its).cloned().collect()
        };
        let now = self.now();
        let view = |trigger| self.view(trigger, now);
        let mut told: Vec<ActivityTold> = found.iter().filter_map(view).collect();
        told.sort_by(|a, b| a.source.cmp(&b.source));
        told
    }

    fn view(&self, trigger: &Arc<Trigger>, now: u32) -> Option<ActivityTold> {
        let metric = trigger.metric();
        let (is_recent, said) = {
            let state = trigger.state.lock();
            let said = state.said.as_ref().map(|last| last.said(self.start()));
            (state.is_recent(now), said)
        };
        // The map's, and the one that was found.
        let has_stream = Arc::strong_count(trigger) > 2;
        let [namespace, scaled_object, source] = trigger.names.each().map(str::to_owned);
        (has_stream || is_recent).then_some(ActivityTold {
            namespace,
            scaled_object,
            source,
            said,
            has_stream,
            metric,
        })
    }
}

impl Names {
    fn of(reference: &ScaledObjectRef) -> Self {
        let named = TELLING.iter().filter_map(|key| {
            let value = reference.scaler_metadata.get(*key)?;
            Some(format!("{key}={value}"))
        });
        let source = named.collect::<Vec<_>>().join(", ");
        let mut all = String::new();
        let mut begins = [0; 3];
        let names = [&reference.namespace, &reference.name, &source];
        for (begin, name) in begins.iter_mut().zip(names) {
            // Of at most four bytes each.
            *begin = u16::try_from(all.len()).unwrap_or(u16::MAX);
            all.extend(name.chars().take(LONGEST));
        }
        let [_, scaled_object, source] = begins;
        Self {
            all: all.into(),
            begins: [scaled_object, source],
        }
    }

    fn each(&self) -> [&str; 3] {
        let [scaled_object, source] = self.begins.map(usize::from);
        let (objects, source) = self.all.split_at(source);
        let (namespace, scaled_object) = objects.split_at(scaled_object);
        [namespace, scaled_object, source]
    }
}

impl Last {
    fn said(&self, start: Instant) -> Said {
        let at = |tenths| start + TENTH * tenths;
        Said {
            what: self.what.clone().map_err(String::from),
            by: self.by,
            at: at(self.at),
            since: at(self.since),
        }
    }
}

impl State {
    /// Was something said lately?
    fn is_recent(&self, now: u32) -> bool {
        let said = self.said.as_ref();
        said.is_some_and(|said| TENTH * now.saturating_sub(said.at) < KEPT_FOR)
    }
}

impl Trigger {
    fn metric(&self) -> Option<Result<MetricNow, String>> {
        let meter = self.state.lock().meter.upgrade()?;
        let now = |MetricDemand { value, active }| MetricNow {
            value,
            target: meter.target(),
            active,
        };
        Some(meter.demand().map(now).map_err(|error| error.to_string()))
    }
}

impl Known {
    /// Those that KEDA neither asks for nor follows.
    fn forget(&mut self, now: u32) {
        let is_asked = |trigger: &Arc<Trigger>| {
            Arc::strong_count(trigger) > 1 || trigger.state.lock().is_recent(now)
        };
        self.triggers.retain(|_, trigger| is_asked(trigger));
    }
}

#[cfg(test)]
mod tests;
