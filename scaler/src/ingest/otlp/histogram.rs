//! Histograms with explicit bounds: `_bucket{le}`, `_sum`, `_count`, and the
//! smallest and largest value as `_min` and `_max` where they are told.

use super::{
    known::Key,
    part::{Part, Temporality, Times},
    wire::{Fields, WireError},
};
use crate::series::{DropReason, Growth};

/// The attributes' field.
pub(super) const ATTRIBUTES: u64 = 9;

/// Most bounds of one histogram.
const MOST_BOUNDS: usize = 512;

/// What both kinds of histogram tell beside their buckets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) times: Times,
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
}

impl Totals {
    /// The parts that are no buckets.
    pub(super) fn parts(&self, growth: Growth, to: &mut Vec<Part>) {
        to.push(Part::new("_count", self.count as f64, growth));
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
        // A sum with an infinite measurement in it is of no use; the counts
        // still are.
        to.extend(finite(self.sum).map(|sum| Part::new("_sum", sum, growth)));
        to.extend(finite(self.min).map(|min| Part::new("_min", min, Growth::Level)));
        to.extend(finite(self.max).map(|max| Part::new("_max", max, Growth::Level)));
    }
}

/// A `HistogramDataPoint`; reused for one after another.
#[derive(Debug, Default)]
pub(super) struct HistogramPoint {
    pub(super) totals: Totals,
    counts: Vec<u64>,
    bounds: Vec<u64>,
}

impl HistogramPoint {
    pub(super) fn read(&mut self, bytes: &[u8], key: &mut Key<'_>) -> Result<(), WireError> {
        self.totals = Totals::default();
        self.counts.clear();
        self.bounds.clear();
        let totals = &mut self.totals;
        for field in Fields::of("HistogramDataPoint", bytes) {
            let field = field?;
            match field.number {
                ATTRIBUTES => key.add(field.bytes()?),
                4 => totals.count = field.fixed64()?,
                5 => totals.sum = Some(field.double()?),
                6 => field.fixed64s(&mut self.counts)?,
                7 => field.fixed64s(&mut self.bounds)?,
                10 => totals.times.flags = field.varint()?,
                11 => totals.min = Some(field.double()?),
                12 => totals.max = Some(field.double()?),
                _ => totals.times.take(&field)?,
            }
        }
        Ok(())
    }

    pub(super) fn parts(
        &self,
        temporality: Temporality,
        to: &mut Vec<Part>,
    ) -> Result<(), DropReason> {
        let growth = temporality.growth(&self.totals.times)?;
        self.totals.parts(growth, to);
        let bounds = self.bounds.iter().map(|bits| f64::from_bits(*bits));
        // A last bound of infinity says nothing that +Inf does not.
        let rising = bounds
            .clone()
            .zip(bounds.clone().skip(1))
            .all(|(a, b)| a < b);
        let fit = self.counts.len() == self.bounds.len() + 1
            || (self.counts.is_empty() && self.bounds.is_empty());
        if !fit || !rising || bounds.clone().any(f64::is_nan) || self.bounds.len() > MOST_BOUNDS {
            return Err(DropReason::Malformed);
        }
        let total = self
            .counts
            .iter()
            .try_fold(0_u64, |sum, count| sum.checked_add(*count));
        if !self.counts.is_empty() && total != Some(self.totals.count) {
            return Err(DropReason::Malformed);
        }
        let mut below = 0;
        for (bound, count) in bounds.zip(&self.counts) {
            below += count;
            if bound.is_finite() {
                to.push(Part::bucket(bound, below as f64, growth));
            }
        }
        to.push(Part::bucket(
            f64::INFINITY,
            self.totals.count as f64,
            growth,
        ));
        Ok(())
    }
}
