//! Sight: what happens to targets, kept for people for a while.
//!
//! The proxy, the scaler and the reload of manifests tell what happened
//! (`event.rs`, kept in `events.rs`); once a second `admin/look.rs` brings what
//! the counters say (`timeline.rs`); whoever looks on hears of both (`feed.rs`).
//! All of it is bounded, and nothing here decides anything: a lock is held for
//! a few instructions, and never while somebody is written to.

mod event;
mod events;
mod feed;
mod timeline;

pub use event::{EventKind, EventView};
pub(crate) use event::{plural, spell};
pub use feed::{Feed, Subscription, frame};
pub use timeline::{Counts, Gauges, Row, TimelineView};

use crate::discovery::Wired;
use arc_swap::ArcSwap;
use event::{Event, unix_seconds};
use events::Events;
use parking_lot::Mutex;
use proxy::{Happening, HoldRefusal, StorySink, TargetId};
use scaler::keda::MetricWakes;
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};
use timeline::Timelines;

/// What is seen of all targets. Share it in an `Arc`.
#[derive(Default)]
pub struct Sight {
    events: Mutex<Events>,
    timelines: Mutex<Timelines>,
    served: ArcSwap<Served>,
    source: OnceLock<Box<WiredSource>>,
    is_stopping: AtomicBool,
    feed: Feed,
}

/// Says which targets are served; `None`: that is over.
type WiredSource = dyn Fn() -> Option<Arc<[Wired]>> + Send + Sync;

/// The targets that are served, by their ids.
#[derive(Default)]
struct Served {
    wired: Arc<[Wired]>,
    places: HashMap<TargetId, usize>,
}

impl fmt::Debug for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sight").finish_non_exhaustive()
    }
}

impl Sight {
    /// From now on `source` says which targets are served. The first one counts.
    pub fn follow(&self, source: impl Fn() -> Option<Arc<[Wired]>> + Send + Sync + 'static) {
        let _first = self.source.set(Box::new(source));
    }

    /// Those that are served now. Costs next to nothing while they are the same.
    fn served(&self) -> Arc<Served> {
        let wired = self.source.get().and_then(|source| source());
        let known = self.served.load_full();
        let Some(wired) = wired.filter(|wired| !Arc::ptr_eq(wired, &known.wired)) else {
            return known;
        };
        let ids = wired.iter().map(|wired| wired.target.id().clone());
        let places = ids.enumerate().map(|(place, id)| (id, place)).collect();
        let served = Arc::new(Served { wired, places });
        self.served.store(served.clone());
        served
    }

    /// What counters and gauges of a target say now, once a second. True if
    /// that is worth a look: something was counted, or a gauge is another one.
    pub fn record(&self, id: &TargetId, counts: Counts, gauges: Gauges) -> bool {
        let news = self.timelines.lock().record(id, unix_now(), counts, gauges);
        let refused = HoldRefusal::ALL.iter().zip(news.refused);
        for (reason, times) in refused.filter(|(_, times)| *times > 0) {
            self.add(Event::refused(id, *reason, times));
        }
        if let Some((from, to)) = news.scaled {
            let text = format!("scaled from {from} to {to}");
            self.add(Event::new(target_name(id), EventKind::Scaled, text));
        }
        news.is_news
    }

    /// All targets were recorded: those that were not are forgotten.
    pub fn recorded(&self) {
        self.timelines.lock().sweep(unix_now());
    }

    /// The last 15 minutes of a target, or as much of them as is kept.
    #[must_use]
    pub fn timeline(&self, id: &TargetId) -> TimelineView {
        self.timelines.lock().view(id, unix_now())
    }

    /// The last second of a target.
    #[must_use]
    pub fn last_row(&self, id: &TargetId) -> Option<Row> {
        self.timelines.lock().last_row(id)
    }

    /// The last events, oldest first: at most so many, of that target
    /// (`namespace/name`) or of all.
    #[must_use]
    pub fn events(&self, target: Option<&str>, most: usize) -> Vec<EventView> {
        self.events.lock().last(target, most)
    }

    /// Who looks on.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The manifests were read again.
    pub fn reloaded(&self, text: String) {
        self.add(Event::about_all(EventKind::Reloaded, text));
    }

    /// Manifests were read again and refused.
    pub fn reload_refused(&self, problems: &[String]) {
        let first = problems.first().map_or("", String::as_str);
        let text = match problems.len() {
            1 => format!("manifests not reloaded: {first}"),
            count => format!("manifests not reloaded, {count} errors; the first: {first}"),
        };
        self.add(Event::about_all(EventKind::ReloadRefused, text));
    }

    fn served_by(&self, is_it: impl Fn(&Wired) -> bool) -> Vec<Wired> {
        let served = self.served();
        let found = served.wired.iter().filter(|wired| is_it(wired));
        found.cloned().collect()
    }

    /// From now on replicas go because we do: none is missed.
    pub fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Are replicas wanted that should serve it?
    fn is_wanted(&self, id: &TargetId) -> bool {
        if self.is_stopping.load(Ordering::Relaxed) {
            return false;
        }
        let served = self.served();
        let place = served.places.get(id);
        let wired = place.and_then(|place| served.wired.get(*place));
        wired.is_some_and(|wired| match &wired.workload {
            Some(workload) => workload.replicas() > 0,
            None => wired.target.totals().in_flight() > 0,
        })
    }

    fn add(&self, event: Event) {
        event.log();
        let view = self.events.lock().add(event);
        self.feed.send("happened", &view);
    }
}

impl StorySink for Sight {
    fn happened(&self, target: &TargetId, what: Happening) {
        let is_wanted = || self.is_wanted(target);
        self.add(Event::of(target, what, is_wanted));
    }
}

impl MetricWakes for Sight {
    fn rose(&self, namespace: &str, scaled_object: &str, metric: &str) {
        let name = format!("{namespace}/{scaled_object}");
        let is_its = |wired: &Wired| wired.scaled_object.as_ref() == Some(&name);
        for wired in self.served_by(is_its) {
            wired.target.woken_by(metric);
        }
    }
}

/// `namespace/name` of the object that a target was made from.
#[must_use]
pub fn target_name(id: &TargetId) -> String {
    format!("{}/{}", id.namespace(), scaler::object_name(id))
}

/// Whole seconds of Unix time.
fn unix_now() -> u32 {
    unix_seconds(SystemTime::now()) as u32
}

#[cfg(test)]
mod tests;
