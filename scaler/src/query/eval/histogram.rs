//! `histogram_quantile` over classic buckets.

use super::{Sample, sample};
use crate::series::Labels;
use std::collections::HashMap;

/// The label that holds a bucket's upper bound.
const BOUND: &str = "le";
/// Counts that differ by less than this part of them are equal: buckets of
/// rates do not add up to the last bit.
const TOLERANCE: f64 = 1e-12;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Of the values in it, included.
    bound: f64,
    /// Values up to the bound.
    count: f64,
}

/// One quantile for each histogram among the samples. Samples without a bound
/// that can be read are passed over.
pub(super) fn quantiles(quantile: f64, samples: &[Sample]) -> Vec<Sample> {
    let bound_label = [BOUND.to_owned()];
    let mut histograms: HashMap<Labels, Vec<Bucket>> = HashMap::new();
    for sample in samples {
        let Some(bound) = sample.labels.get(BOUND).and_then(bound) else {
            continue;
        };
        let labels = sample.labels.without(&bound_label);
        histograms.entry(labels).or_default().push(Bucket {
            bound,
            count: sample.value,
        });
    }
    let found = histograms
        .into_iter()
        .map(|(labels, buckets)| sample(labels, of_buckets(quantile, buckets)));
    found.collect()
}

/// Senders write `+Inf`; numbers in any form.
fn bound(text: &str) -> Option<f64> {
    text.parse().ok().filter(|bound: &f64| !bound.is_nan())
}

/// As Prometheus' `BucketQuantile`: linear between the bounds of the bucket in
/// which the quantile falls.
fn of_buckets(quantile: f64, mut buckets: Vec<Bucket>) -> f64 {
    if quantile.is_nan() {
        return f64::NAN;
    }
    if quantile < 0.0 {
        return f64::NEG_INFINITY;
    }
    if quantile > 1.0 {
        return f64::INFINITY;
    }
    buckets.sort_by(|one, other| one.bound.total_cmp(&other.bound));
    if buckets
        .last()
        .is_none_or(|last| last.bound != f64::INFINITY)
    {
        return f64::NAN;
    }
    let buckets = repaired(&buckets);
    let [lower @ .., last] = &buckets[..] else {
        return f64::NAN;
    };
    let Some(highest) = lower.last() else {
        return f64::NAN;
    };
    // Also when the count is not a number.
    if last.count == 0.0 || last.count.is_nan() {
        return f64::NAN;
    }
    let rank = quantile * last.count;
    let at = lower.partition_point(|bucket| bucket.count < rank);
    let Some(bucket) = lower.get(at) else {
        // In the bucket without upper bound: the best that can be said.
        return highest.bound;
    };
    let Some(before) = at.checked_sub(1).and_then(|at| lower.get(at)) else {
        // The lowest bucket begins at zero, unless it lies below.
        return if bucket.bound <= 0.0 {
            bucket.bound
        } else {
            bucket.bound * (rank / bucket.count)
        };
    };
    let part = (rank - before.count) / (bucket.count - before.count);
    before.bound + (bucket.bound - before.bound) * part
}

/// Equal bounds become one bucket; counts never fall as bounds grow.
fn repaired(sorted: &[Bucket]) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::with_capacity(sorted.len());
    for bucket in sorted {
        match buckets.last_mut() {
            Some(last) if last.bound == bucket.bound => last.count += bucket.count,
            _ => buckets.push(*bucket),
        }
    }
    let mut before: Option<f64> = None;
    for bucket in &mut buckets {
        if let Some(before) = before {
            let near = (bucket.count - before).abs()
                < TOLERANCE * (bucket.count.abs() + before.abs()).min(f64::MAX);
            if near || bucket.count < before {
                bucket.count = before;
            }
        }
        before = Some(bucket.count);
    }
    buckets
}
