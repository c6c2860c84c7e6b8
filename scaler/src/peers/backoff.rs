//! The pause before a replica is connected to again: 100 ms, doubled each time
//! up to 5 s, and each between half and all of that, so that replicas that lost
//! each other at one moment do not come back at one moment.

use std::time::Duration;

const LEAST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(5);

/// The pauses of one address.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: LEAST }
    }

    /// The next pause. `random` is from 0 to 1.
    pub(crate) fn pause(&mut self, random: f64) -> Duration {
        let pause = self.next.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        self.next = (self.next * 2).min(MOST);
        pause
    }

    /// It worked: start from the shortest pause.
    pub(crate) fn reset(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_seconds_and_start_anew_after_a_success() {
        let mut backoff = Backoff::new();
        let longest: Vec<u128> = (0..8).map(|_| backoff.pause(1.0).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        backoff.reset();
        assert_eq!(backoff.pause(0.0), Duration::from_millis(50));
    }
}
