//! What KEDA was told of each metric, last.
//!
//! For `/metrics`, so that a dashboard shows both sides. Written by
//! `GetMetrics`, forgotten when KEDA does not ask for a while: it has no other
//! way to say that a ScaledObject is gone.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    time::Duration,
};
use tokio::time::Instant;

/// KEDA and the HPA ask every few seconds, and at zero replicas at the polling
/// interval at least.
const KEPT_FOR: Duration = Duration::from_secs(10 * 60);

/// Most metrics that are kept.
const MOST: usize = 20_000;

/// A metric as KEDA was told last.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricTold {
    /// The namespace of the ScaledObject.
    pub namespace: String,
    /// The ScaledObject.
    pub scaled_object: String,
    /// The metric's name, without KEDA's prefix.
    pub metric: String,
    /// Its value.
    pub value: f64,
    /// When that was.
    pub at: Instant,
}

impl MetricTold {
    fn names(&self) -> [&str; 3] {
        [&self.namespace, &self.scaled_object, &self.metric]
    }
}

/// The last value of each metric.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// By a hash of the three names: a metric that is known costs no
    /// allocation.
    metrics: Mutex<HashMap<u64, MetricTold>>,
    hasher: RandomState,
}

impl Told {
    /// KEDA was told this. When too many are known, one that is new is not
    /// kept.
    pub(super) fn tell(&self, namespace: &str, scaled_object: &str, metric: &str, value: f64) {
        let now = Instant::now();
        let key = self.hasher.hash_one((namespace, scaled_object, metric));
        let mut metrics = self.metrics.lock();
        if let Some(told) = metrics.get_mut(&key) {
            (told.value, told.at) = (value, now);
            return;
        }
        if metrics.len() >= MOST {
            forget(&mut metrics, now);
        }
        if metrics.len() < MOST {
            let told = MetricTold {
                namespace: namespace.to_owned(),
                scaled_object: scaled_object.to_owned(),
                metric: metric.to_owned(),
                value,
                at: now,
            };
            metrics.insert(key, told);
        }
    }

    /// All that KEDA still asks for, in order of their names.
    pub(super) fn read(&self) -> Vec<MetricTold> {
        let mut metrics = self.metrics.lock();
        forget(&mut metrics, Instant::now());
        let mut all: Vec<MetricTold> = metrics.values().cloned().collect();
        drop(metrics);
        all.sort_by(|a, b| a.names().cmp(&b.names()));
        all
    }
}

fn forget(metrics: &mut HashMap<u64, MetricTold>, now: Instant) {
    metrics.retain(|_, told| now.duration_since(told.at) < KEPT_FOR);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(told: &Told) -> Vec<(String, f64)> {
        let all = told.read().into_iter();
        all.map(|told| (told.metric, told.value)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_value_counts_until_nobody_asks_any_more() {
        let told = Told::default();
        told.tell("ns", "web", "b", 1.0);
        told.tell("ns", "web", "a", 2.0);
        told.tell("ns", "web", "b", 3.5);
        assert_eq!(names(&told), [("a".into(), 2.0), ("b".into(), 3.5)]);
        tokio::time::advance(KEPT_FOR - Duration::from_secs(1)).await;
        told.tell("ns", "web", "b", 4.0);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(names(&told), [("b".into(), 4.0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_bounded_and_the_forgotten_make_room() {
        let told = Told::default();
        for number in 0..MOST + 5 {
            told.tell("ns", "web", &number.to_string(), 1.0);
        }
        assert_eq!(told.read().len(), MOST);
        tokio::time::advance(KEPT_FOR).await;
        told.tell("ns", "web", "new", 1.0);
        assert_eq!(names(&told), [("new".into(), 1.0)]);
    }
}
