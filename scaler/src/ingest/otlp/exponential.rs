//! Exponential histograms, as buckets that `histogram_quantile` understands.
//!
//! Bounds are powers of √2 ([`SCALE`] 1), so that all senders have the same
//! ones and sums over pods are right; finer buckets are added up into these,
//! and coarser ones keep their bounds, which are some of the same. The series
//! of a stream only ever grow in number: a bucket that was there once is sent
//! on even if a delta has nothing in it. With more than [`MOST`] bounds the
//! scale halves until they fit.
//!
//! Source: the data model of OpenTelemetry metrics, "ExponentialHistogram":
//! bucket `i` of scale `s` holds `(base^i, base^(i+1)]`, base = 2^(2^-s).

use super::{
    histogram::Totals,
    known::{Key, Span},
    part::{Part, Temporality},
    wire::{Fields, WireError},
};
use crate::series::DropReason;

/// The attributes' field.
pub(super) const ATTRIBUTES: u64 = 1;

/// The finest scale that is kept.
const SCALE: i32 = 1;

/// Scales that OpenTelemetry allows are -10 to 20; with others, an index does
/// not say anything.
const SCALES: std::ops::RangeInclusive<i32> = -10..=20;

/// Most bounds of a histogram.
const MOST: i64 = 160;

/// Most buckets that a point may have on one side.
const MOST_SENT: usize = 4096;

/// The buckets of one side of zero.
#[derive(Debug, Default)]
struct Side {
    offset: i32,
    counts: Vec<u64>,
}

impl Side {
    fn read(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        for field in Fields::of("Buckets", bytes) {
            let field = field?;
            match field.number {
                1 => self.offset = field.zigzag()?,
                2 => field.varints(&mut self.counts)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// First and last index that has a count.
    fn range(&self) -> Option<(i64, i64)> {
        let first = self.counts.iter().position(|count| *count > 0)?;
        let last = self.counts.iter().rposition(|count| *count > 0)?;
        Some((self.index(first), self.index(last)))
    }

    fn index(&self, bucket: usize) -> i64 {
        i64::from(self.offset) + bucket as i64
    }

    /// For each index of `range` on a scale that is coarser by `shift`, how
    /// many are in buckets up to it; the one before the range comes first.
    fn sums(&self, range: (i64, i64), shift: u32) -> impl Iterator<Item = (i64, u64)> {
        let mut sum = 0;
        let mut next = 0;
        (range.0 - 1..=range.1).map(move |index| {
            while let Some(count) = self.counts.get(next)
                && self.index(next) >> shift <= index
            {
                sum += count;
                next += 1;
            }
            (index, sum)
        })
    }

    fn total(&self) -> Option<u64> {
        let mut counts = self.counts.iter();
        counts.try_fold(0_u64, |sum, count| sum.checked_add(*count))
    }
}

/// An `ExponentialHistogramDataPoint`; reused for one after another.
#[derive(Debug, Default)]
pub(super) struct ExponentialPoint {
    pub(super) totals: Totals,
    scale: i32,
    zeros: u64,
    zero_threshold: f64,
    above: Side,
    below: Side,
}

impl ExponentialPoint {
    pub(super) fn read(&mut self, bytes: &[u8], key: &mut Key<'_>) -> Result<(), WireError> {
        *self = Self::default();
        for field in Fields::of("ExponentialHistogramDataPoint", bytes) {
            let field = field?;
            let totals = &mut self.totals;
            match field.number {
                ATTRIBUTES => key.add(field.bytes()?),
                4 => totals.count = field.fixed64()?,
                5 => totals.sum = Some(field.double()?),
                6 => self.scale = field.zigzag()?,
                7 => self.zeros = field.fixed64()?,
                8 => self.above.read(field.bytes()?)?,
                9 => self.below.read(field.bytes()?)?,
                10 => totals.times.flags = field.varint()?,
                12 => totals.min = Some(field.double()?),
                13 => totals.max = Some(field.double()?),
                14 => self.zero_threshold = field.double()?,
                _ => totals.times.take(&field)?,
            }
        }
        Ok(())
    }

    /// The parts, and the buckets that the stream now has: those of `before`
    /// and of this point.
    pub(super) fn parts(
        &self,
        temporality: Temporality,
        before: Option<Span>,
        to: &mut Vec<Part>,
    ) -> Result<Span, DropReason> {
        let growth = temporality.growth(&self.totals.times)?;
        self.check()?;
        self.totals.parts(growth, to);
        let span = self.span(before);
        // `self.scale` is at least the span's.
        let shift = self.scale.abs_diff(span.scale);
        let negative = self.below.total().unwrap_or(0);
        if let Some(range) = span.below {
            // A bucket's upper bound is the one nearer to zero: what is below
            // it is what is in the buckets further away.
            let from = to.len();
            to.extend(self.below.sums(range, shift).filter_map(|(index, sum)| {
                let bound = bound(index, span.scale)?;
                Some(Part::bucket(-bound, (negative - sum) as f64, growth))
            }));
            to[from..].reverse();
        }
        let zero = negative + self.zeros;
        to.push(Part::bucket(self.zero_threshold, zero as f64, growth));
        if let Some(range) = span.above {
            to.extend(self.above.sums(range, shift).filter_map(|(index, sum)| {
                let bound = bound(index, span.scale)?;
                (bound > self.zero_threshold)
                    .then(|| Part::bucket(bound, (zero + sum) as f64, growth))
            }));
        }
        to.push(Part::bucket(
            f64::INFINITY,
            self.totals.count as f64,
            growth,
        ));
        Ok(span)
    }

    fn check(&self) -> Result<(), DropReason> {
        let sides = [&self.above, &self.below];
        let total = sides
            .iter()
            .try_fold(self.zeros, |sum, side| sum.checked_add(side.total()?));
        let fits = total == Some(self.totals.count)
            && SCALES.contains(&self.scale)
            && self.zero_threshold.is_finite()
            && self.zero_threshold >= 0.0
            && sides.iter().all(|side| side.counts.len() <= MOST_SENT);
        if fits {
            Ok(())
        } else {
            Err(DropReason::Malformed)
        }
    }

    fn span(&self, before: Option<Span>) -> Span {
        let mut scale = self.scale.min(SCALE);
        if let Some(before) = before {
            scale = scale.min(before.scale);
        }
        let (above, below) = (self.above.range(), self.below.range());
        loop {
            let coarser = |range: Option<(i64, i64)>, from: i32| {
                let shift = from.abs_diff(scale);
                range.map(|(first, last)| (first >> shift, last >> shift))
            };
            let held = |side: fn(&Span) -> Option<(i64, i64)>| {
                before.and_then(|before| coarser(side(&before), before.scale))
            };
            let span = Span {
                scale,
                above: union(coarser(above, self.scale), held(|span| span.above)),
                below: union(coarser(below, self.scale), held(|span| span.below)),
            };
            if width(span.above) + width(span.below) <= MOST {
                return span;
            }
            scale -= 1;
        }
    }
}

fn union(a: Option<(i64, i64)>, b: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

fn width(range: Option<(i64, i64)>) -> i64 {
    range.map_or(0, |(first, last)| last - first + 1)
}

/// The upper bound of a bucket above zero; `None` beyond what a float can say
/// exactly enough to tell it from its neighbours.
fn bound(index: i64, scale: i32) -> Option<f64> {
    let power = (index + 1) as f64 * f64::from(-scale).exp2();
    // Whole powers of two are exact; √2 is rounded once, the same everywhere.
    let whole = power.floor();
    let rest = if power > whole {
        std::f64::consts::SQRT_2
    } else {
        1.0
    };
    let bound = whole.exp2() * rest;
    bound.is_normal().then_some(bound)
}

#[cfg(test)]
mod tests;
