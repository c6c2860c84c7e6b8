//! Metric values and targets with three decimals, as Kubernetes carries them.
//!
//! KEDA prints every value and target with `%.3f` before the HPA reads it, so
//! anything below 0.0005 is nothing. Made by the scaler client, read by the
//! HPA formula, which divides integers: no floating-point error can turn an
//! exact 3.0 into 4 replicas. Must never hold a negative or absent value.

use std::fmt;

/// A value in thousandths: never negative, never NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Quantity(u64);

impl Quantity {
    /// Rounds to three decimals. NaN, infinite and negative values become 0,
    /// as in KEDA.
    pub(super) fn from_f64(value: f64) -> Self {
        if !value.is_finite() || value <= 0.0 {
            return Self(0);
        }
        // `as` saturates: a value beyond 1.8e16 is as good as endless.
        Self((value * 1000.0).round() as u64)
    }

    /// The protocol's pair of fields: the float counts if it is positive,
    /// else the integer of before KEDA 2.17.
    pub(super) fn from_fields(float: f64, integer: i64) -> Self {
        if float > 0.0 {
            Self::from_f64(float)
        } else {
            Self(u64::try_from(integer).unwrap_or(0).saturating_mul(1000))
        }
    }

    pub(super) fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Thousandths.
    pub(super) fn milli(self) -> u64 {
        self.0
    }

    pub(super) fn as_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    pub(super) fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_f64(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_three_decimals_and_nothing_below() {
        assert_eq!(Quantity::from_f64(0.0004).milli(), 0);
        assert_eq!(Quantity::from_f64(0.0005).milli(), 1);
        assert_eq!(Quantity::from_f64(1.2344).milli(), 1234);
        assert_eq!(Quantity::from_f64(0.1 + 0.2).milli(), 300);
    }

    #[test]
    fn nonsense_is_zero_and_the_huge_saturates() {
        for nonsense in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -3.0] {
            assert!(Quantity::from_f64(nonsense).is_zero());
        }
        assert_eq!(Quantity::from_f64(1e300).milli(), u64::MAX);
        assert_eq!(Quantity::from_fields(0.0, i64::MAX).milli(), u64::MAX);
    }

    #[test]
    fn the_float_counts_only_if_positive() {
        assert_eq!(Quantity::from_fields(2.5, 3).milli(), 2500);
        assert_eq!(Quantity::from_fields(0.0, 3).milli(), 3000);
        assert_eq!(Quantity::from_fields(0.0, -3).milli(), 0);
    }

    #[test]
    fn prints_without_needless_decimals() {
        assert_eq!(Quantity::from_f64(10.0).to_string(), "10");
        assert_eq!(Quantity::from_f64(2.5).to_string(), "2.5");
    }
}
