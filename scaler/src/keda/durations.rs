//! How long answers took: a histogram of atomics.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the buckets, in microseconds. Answers come from memory: what
/// takes a millisecond is slow.
const BOUNDS_US: [u64; 14] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000,
];

/// A histogram.
#[derive(Debug, Default)]
pub(super) struct Durations {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DurationsTold {
    /// Upper bound in seconds, and how many took at most that and more than
    /// the bound before. The last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
    /// Of all, in seconds.
    pub sum: f64,
}

impl Durations {
    pub(super) fn record(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|&bound| bound * 1_000 < ns);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> DurationsTold {
        let bounds = BOUNDS_US.iter().map(|&us| us as f64 / 1e6);
        let bounds = bounds.chain([f64::INFINITY]);
        let counts = self
            .buckets
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        DurationsTold {
            buckets: bounds.zip(counts).collect(),
            sum: self.sum_ns.load(Ordering::Relaxed) as f64 / 1e9,
        }
    }
}

impl DurationsTold {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let durations = Durations::default();
        for ns in [0, 10_000, 10_001, 1_000_000_000, 2_000_000_000] {
            durations.record(Duration::from_nanos(ns));
        }
        let told = durations.read();
        assert_eq!(told.buckets[0], (0.000_01, 2));
        assert_eq!(told.buckets[1].1, 1);
        assert_eq!(told.buckets[13], (1.0, 1));
        assert_eq!(told.buckets[14], (f64::INFINITY, 1));
        assert_eq!(told.count(), 5);
        assert!((told.sum - 3.000_020_001).abs() < 1e-9);
    }
}
