//! What a data point becomes: one value, or the parts of a histogram or
//! summary, each of a series of its own.

use super::{
    known::Key,
    wire::{Field, WireError},
};
use crate::series::{DropReason, Growth};

/// The label of a bucket: its upper bound.
pub(super) const LE: &str = "le";

/// One value on its way to one series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part {
    /// Goes behind the metric's name.
    pub(super) suffix: &'static str,
    /// The label that tells parts apart, and its value as a number.
    pub(super) label: Option<(&'static str, f64)>,
    /// NaN: nothing was recorded.
    pub(super) value: f64,
    pub(super) growth: Growth,
}

impl Part {
    pub(super) fn new(suffix: &'static str, value: f64, growth: Growth) -> Self {
        Self {
            suffix,
            label: None,
            value,
            growth,
        }
    }

    pub(super) fn bucket(le: f64, value: f64, growth: Growth) -> Self {
        Self {
            suffix: "_bucket",
            label: Some((LE, le)),
            value,
            growth,
        }
    }
}

/// A label's number as Prometheus writes it.
pub(super) fn number_text(number: f64) -> String {
    if number == f64::INFINITY {
        "+Inf".to_owned()
    } else if number == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else {
        format!("{number}")
    }
}

/// Whether values count from a start, or each from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Temporality {
    Unspecified,
    Delta,
    Cumulative,
}

impl Temporality {
    pub(super) fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Delta,
            2 => Self::Cumulative,
            _ => Self::Unspecified,
        }
    }

    /// Of a count that never falls.
    pub(super) fn growth(self, times: &Times) -> Result<Growth, DropReason> {
        match self {
            Self::Unspecified => Err(DropReason::Unsupported),
            Self::Cumulative => Ok(Growth::Since(times.start_ms())),
            Self::Delta => Ok(Growth::Delta {
                since: times.start_ms(),
                monotonic: true,
            }),
        }
    }
}

/// What all data points have: times (nanoseconds since the epoch) and flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) start: u64,
    pub(super) time: u64,
    pub(super) flags: u64,
}

const NANOS: u64 = 1_000_000;

fn millis(nanos: u64) -> i64 {
    // At most 1.8e13.
    (nanos / NANOS).cast_signed()
}

impl Times {
    /// When it was measured; zero in the data means when it came.
    pub(super) fn at_ms(&self, now_ms: i64) -> i64 {
        if self.time == 0 {
            now_ms
        } else {
            millis(self.time)
        }
    }

    pub(super) fn start_ms(&self) -> Option<i64> {
        (self.start != 0).then(|| millis(self.start))
    }

    /// The flag that says: the series has ended, there is no value.
    pub(super) fn nothing_recorded(&self) -> bool {
        self.flags & 1 == 1
    }

    /// Takes the fields that most data points have in common: 2 and 3.
    pub(super) fn take(&mut self, field: &Field<'_>) -> Result<(), WireError> {
        match field.number {
            2 => self.start = field.fixed64()?,
            3 => self.time = field.fixed64()?,
            _ => {}
        }
        Ok(())
    }
}

/// Adds which parts there are to a stream's key: other bounds are other series.
pub(super) fn add_shape(key: &mut Key<'_>, parts: &[Part]) {
    for part in parts {
        key.add(part.suffix.as_bytes());
        if let Some((_, number)) = part.label {
            key.number(number.to_bits());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_labels_are_written_as_prometheus_does() {
        for (number, wanted) in [
            (1.0, "1"),
            (0.005, "0.005"),
            (-2.5, "-2.5"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(number_text(number), wanted);
        }
    }

    #[test]
    fn a_time_of_zero_is_the_time_of_arrival() {
        let mut times = Times::default();
        assert_eq!((times.at_ms(7), times.start_ms()), (7, None));
        times.time = 5_999_999;
        times.start = 3_000_000;
        assert_eq!((times.at_ms(7), times.start_ms()), (5, Some(3)));
    }
}
