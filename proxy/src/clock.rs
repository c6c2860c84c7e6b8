//! The proxy's clock: microseconds since the proxy was made.
//!
//! Demand, the sampler and the ledger must use the same clock, so it is made
//! once and copied. Built on tokio's `Instant`, so that tests can pause it.

use tokio::time::Instant;

/// A copyable clock with a fixed origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts at zero now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Microseconds since the origin.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.at_us(Instant::now())
    }

    /// `instant` in microseconds of this clock (0 if it is before the origin).
    #[must_use]
    pub fn at_us(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.origin).as_micros())
            .unwrap_or(u64::MAX)
    }
}
