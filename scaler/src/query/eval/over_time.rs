//! Functions of the points of one series over a range of time.

use super::{OverTime, numbers};
use crate::series::Point;

/// The points of one series in `(from_ms, to_ms]`, oldest first, at least one,
/// no stale markers.
#[derive(Clone, Copy)]
pub(super) struct Range<'a> {
    pub(super) points: &'a [Point],
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
}

impl Range<'_> {
    /// `None` where there are too few points to say anything. `param` is for
    /// the quantile.
    pub(super) fn apply(self, function: OverTime, param: f64) -> Option<f64> {
        let values = self.points.iter().map(|point| point.value);
        Some(match function {
            OverTime::Rate => self.extrapolated(true)? / self.seconds(),
            OverTime::Increase => self.extrapolated(true)?,
            OverTime::Delta => self.extrapolated(false)?,
            OverTime::Irate => self.latest_rate()?,
            OverTime::Idelta => {
                let [.., before, last] = self.points else {
                    return None;
                };
                last.value - before.value
            }
            OverTime::Avg => numbers::mean(values),
            OverTime::Min => numbers::min(values),
            OverTime::Max => numbers::max(values),
            OverTime::Sum => numbers::sum(values),
            OverTime::Count => self.points.len() as f64,
            OverTime::Last | OverTime::SimpleLast => self.points.last()?.value,
            OverTime::Present => 1.0,
            OverTime::Stdvar => numbers::variance(values),
            OverTime::Stddev => numbers::variance(values).sqrt(),
            OverTime::Quantile => numbers::quantile(param, values),
            OverTime::SimpleRate => self.simple_rate()?,
        })
    }

    fn seconds(self) -> f64 {
        (self.to_ms - self.from_ms) as f64 / 1000.0
    }

    /// What the values grow by over the whole range, as Prometheus'
    /// `extrapolatedRate` has it: the growth between the first and the last
    /// point, stretched to the ends of the range. An end that is further off
    /// than 1.1 times the average distance of points is not reached; half that
    /// distance is assumed instead. A counter is never stretched back below
    /// zero.
    fn extrapolated(self, counter: bool) -> Option<f64> {
        let [first, .., last] = self.points else {
            return None;
        };
        let mut growth = last.value - first.value;
        if counter {
            growth += self.lost_to_resets();
        }
        let sampled = (last.at_ms - first.at_ms) as f64 / 1000.0;
        if sampled <= 0.0 {
            return None;
        }
        let distance = sampled / (self.points.len() - 1) as f64;
        let reached = |gap_ms: i64| {
            let gap = gap_ms as f64 / 1000.0;
            if gap >= distance * 1.1 {
                distance / 2.0
            } else {
                gap
            }
        };
        let mut to_start = reached(first.at_ms - self.from_ms);
        if counter && growth > 0.0 && first.value >= 0.0 {
            to_start = to_start.min(sampled * (first.value / growth));
        }
        let to_end = reached(self.to_ms - last.at_ms);
        Some(growth * ((sampled + to_start + to_end) / sampled))
    }

    /// What a counter had counted before each of its resets.
    fn lost_to_resets(self) -> f64 {
        let mut lost = 0.0;
        for (before, after) in self.pairs() {
            if after.value < before.value {
                lost += before.value;
            }
        }
        lost
    }

    /// Growth per second between the last two points. After a reset, the
    /// counter has grown from zero.
    fn latest_rate(self) -> Option<f64> {
        let (before, last) = self.pairs().last()?;
        let seconds = (last.at_ms - before.at_ms) as f64 / 1000.0;
        (seconds > 0.0).then(|| increase(before.value, last.value) / seconds)
    }

    /// The OTel scaler's `rate`: the sum of increases over the time between
    /// the first and the last point; zero where there is no such time.
    fn simple_rate(self) -> Option<f64> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        let seconds = (last.at_ms - first.at_ms) as f64 / 1000.0;
        if seconds <= 0.0 {
            return Some(0.0);
        }
        let increases = self
            .pairs()
            .map(|(before, after)| increase(before.value, after.value));
        Some(increases.sum::<f64>() / seconds)
    }

    fn pairs(&self) -> impl Iterator<Item = (&Point, &Point)> {
        self.points.iter().zip(self.points.iter().skip(1))
    }
}

/// What a counter has grown by; from zero, if it was reset.
fn increase(before: f64, after: f64) -> f64 {
    if after < before {
        after
    } else {
        after - before
    }
}
