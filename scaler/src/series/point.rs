//! One measurement of one series.

/// Prometheus' stale marker: a NaN of its own, told apart by its bits.
/// Source: `model/value/value.go` of Prometheus (`StaleNaN`).
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// A value and when it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The value; any float, also NaN and the infinities.
    pub value: f64,
}

impl Point {
    /// A measured value.
    pub fn new(at_ms: i64, value: f64) -> Self {
        Self { at_ms, value }
    }

    /// Says that the series has ended: until a later point, it is not there.
    pub fn stale(at_ms: i64) -> Self {
        Self::new(at_ms, f64::from_bits(STALE))
    }

    /// Whether this is no value but the end of the series. An ordinary NaN is
    /// a value.
    pub fn is_stale(&self) -> bool {
        self.value.to_bits() == STALE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_marker_is_stale() {
        assert!(Point::stale(7).is_stale());
        assert!(Point::stale(7).value.is_nan());
        assert!(!Point::new(7, f64::NAN).is_stale());
        assert!(!Point::new(7, 0.0).is_stale());
        let moved = Point::stale(7);
        assert!(Point::new(8, moved.value).is_stale());
    }
}
