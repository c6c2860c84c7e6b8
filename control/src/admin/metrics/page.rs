//! How the page is written: families, their labels, their values.
//!
//! Used by the files of this folder, one per topic. It must never know what a
//! metric means.

use crate::{admin::Admin, discovery::Wired};
use prometheus_client::{
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder,
        NoLabelSet,
    },
    metrics::MetricType,
    registry::Unit,
};
use proxy::metrics::{DURATION_BOUNDS_US, DurationsReading};
use std::fmt;

/// Names and values of labels, in the order in which they are written.
pub(super) type Labels<const N: usize> = [(&'static str, String); N];

/// No labels.
pub(super) const NONE: Labels<0> = [];

/// Labels of a route, as the add-on calls them.
pub(super) fn route_labels(wired: &Wired) -> Labels<2> {
    let id = wired.target.id();
    [
        ("route_name", scaler::object_name(id).to_owned()),
        ("route_namespace", id.namespace().to_owned()),
    ]
}

/// Writes families.
pub(super) struct Page<'p, 'e>(&'p mut DescriptorEncoder<'e>);

impl<'p, 'e> Page<'p, 'e> {
    pub(super) fn new(encoder: &'p mut DescriptorEncoder<'e>) -> Self {
        Self(encoder)
    }

    pub(super) fn family(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        values: impl FnOnce(&mut Family<'_>) -> fmt::Result,
    ) -> fmt::Result {
        values(&mut Family(
            self.0.encode_descriptor(name, help, None, kind)?,
        ))
    }

    /// A gauge of seconds, a time or an age; the unit is appended to `name`.
    pub(super) fn gauge_seconds(
        &mut self,
        name: &str,
        help: &str,
        values: impl FnOnce(&mut Family<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        values(&mut Family(self.0.encode_descriptor(
            name,
            help,
            unit,
            MetricType::Gauge,
        )?))
    }

    /// A histogram of seconds; the unit is appended to `name`.
    pub(super) fn seconds(
        &mut self,
        name: &str,
        help: &str,
        values: impl FnOnce(&mut Family<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        values(&mut Family(self.0.encode_descriptor(
            name,
            help,
            unit,
            MetricType::Histogram,
        )?))
    }

    pub(super) fn per_target(
        &mut self,
        admin: &Admin,
        name: &str,
        help: &str,
        value: impl Fn(&Wired) -> u64,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Gauge, |family| {
            let all = admin.scene.wired();
            all.iter()
                .try_for_each(|wired| family.gauge(&route_labels(wired), value(wired)))
        })
    }

    pub(super) fn per_target_counter(
        &mut self,
        admin: &Admin,
        name: &str,
        help: &str,
        value: impl Fn(&Wired) -> u64,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Counter, |family| {
            let all = admin.scene.wired();
            all.iter()
                .try_for_each(|wired| family.counter(&route_labels(wired), value(wired)))
        })
    }

    /// A counter per target and reason.
    pub(super) fn per_target_reasons(
        &mut self,
        admin: &Admin,
        name: &str,
        help: &str,
        values: impl Fn(&Wired) -> Vec<(&'static str, u64)>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Counter, |family| {
            for wired in admin.scene.wired().iter() {
                for (reason, count) in values(wired) {
                    let [name, namespace] = route_labels(wired);
                    family.counter(&[("reason", reason.to_owned()), name, namespace], count)?;
                }
            }
            Ok(())
        })
    }
}

/// Writes the values of one family.
pub(super) struct Family<'e>(MetricEncoder<'e>);

impl Family<'_> {
    pub(super) fn gauge<const N: usize>(&mut self, labels: &Labels<N>, value: u64) -> fmt::Result {
        if N == 0 {
            return self.0.encode_gauge(&Count(value));
        }
        self.0.encode_family(labels)?.encode_gauge(&Count(value))
    }

    pub(super) fn counter<const N: usize>(
        &mut self,
        labels: &Labels<N>,
        value: u64,
    ) -> fmt::Result {
        let exemplar = None::<&prometheus_client::metrics::exemplar::Exemplar<NoLabelSet, f64>>;
        if N == 0 {
            return self.0.encode_counter(&Count(value), exemplar);
        }
        self.0
            .encode_family(labels)?
            .encode_counter(&Count(value), exemplar)
    }

    /// A counter without labels.
    pub(super) fn total(&mut self, value: u64) -> fmt::Result {
        let exemplar = None::<&prometheus_client::metrics::exemplar::Exemplar<NoLabelSet, f64>>;
        self.0.encode_counter(&Count(value), exemplar)
    }

    /// A number with a fraction.
    pub(super) fn fraction<const N: usize>(
        &mut self,
        labels: &Labels<N>,
        value: f64,
    ) -> fmt::Result {
        self.0.encode_family(labels)?.encode_gauge(&value)
    }

    /// Buckets as upper bound, in seconds, and count of just that bucket.
    pub(super) fn buckets<const N: usize>(
        &mut self,
        labels: &Labels<N>,
        buckets: &[(f64, u64)],
        sum: f64,
    ) -> fmt::Result {
        let count = buckets.iter().map(|(_, count)| count).sum();
        self.0
            .encode_family(labels)?
            .encode_histogram::<NoLabelSet>(sum, count, buckets, None)
    }

    pub(super) fn histogram(
        &mut self,
        labels: &impl EncodeLabelSet,
        reading: &DurationsReading,
    ) -> fmt::Result {
        let bounds = DURATION_BOUNDS_US
            .iter()
            .map(|&us| us as f64 / 1e6)
            .chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(reading.buckets).collect();
        let sum = reading.sum_us as f64 / 1e6;
        self.0
            .encode_family(labels)?
            .encode_histogram::<NoLabelSet>(sum, reading.count(), &buckets, None)
    }
}

/// A whole number as a gauge or a counter.
struct Count(u64);

impl EncodeGaugeValue for Count {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::GaugeValueEncoder<'_>,
    ) -> fmt::Result {
        EncodeGaugeValue::encode(&i64::try_from(self.0).unwrap_or(i64::MAX), encoder)
    }
}

impl EncodeCounterValue for Count {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::CounterValueEncoder<'_>,
    ) -> fmt::Result {
        EncodeCounterValue::encode(&self.0, encoder)
    }
}
