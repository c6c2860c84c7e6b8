//! Gauges and sums.

use super::{
    known::Key,
    part::{Part, Temporality, Times},
    wire::{Fields, WireError},
};
use crate::series::{DropReason, Growth};

/// The attributes' field of a `NumberDataPoint`, and of a summary's.
pub(super) const ATTRIBUTES: u64 = 7;

/// What a metric of single numbers is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Gauge,
    Sum {
        temporality: Temporality,
        monotonic: bool,
    },
}

/// A `NumberDataPoint`. Its attributes are in the key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NumberPoint {
    pub(super) times: Times,
    value: Option<f64>,
}

impl NumberPoint {
    pub(super) fn read(bytes: &[u8], key: &mut Key<'_>) -> Result<Self, WireError> {
        let mut point = Self::default();
        for field in Fields::of("NumberDataPoint", bytes) {
            let field = field?;
            match field.number {
                ATTRIBUTES => key.add(field.bytes()?),
                4 => point.value = Some(field.double()?),
                6 => point.value = Some(field.fixed64()?.cast_signed() as f64),
                8 => point.times.flags = field.varint()?,
                _ => point.times.take(&field)?,
            }
        }
        Ok(point)
    }

    pub(super) fn part(&self, of: Number) -> Result<Part, DropReason> {
        let value = self.value.ok_or(DropReason::Malformed)?;
        let Number::Sum {
            temporality,
            monotonic,
        } = of
        else {
            return match value.is_nan() {
                true => Err(DropReason::NotANumber),
                false => Ok(Part::new("", value, Growth::Level)),
            };
        };
        // One of these in a sum would stay in it for ever.
        if !value.is_finite() {
            return Err(DropReason::NotANumber);
        }
        if monotonic && value < 0.0 {
            return Err(DropReason::Negative);
        }
        let growth = match temporality {
            Temporality::Cumulative if !monotonic => Growth::Level,
            Temporality::Delta => Growth::Delta {
                since: self.times.start_ms(),
                monotonic,
            },
            other => other.growth(&self.times)?,
        };
        Ok(Part::new("", value, growth))
    }
}
