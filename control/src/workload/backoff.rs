//! How long to wait before a replica that ended on its own is started again.

use std::time::Duration;
use tokio::time::Instant;

/// The first pause; each further failure doubles it.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);
/// A replica that served this long before it ended starts the count anew.
const STEADY: Duration = Duration::from_secs(10);

/// Counts failures in a row and tells when the next start may be.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    not_before: Option<Instant>,
}

impl Backoff {
    /// A replica ended on its own at `now`, after serving for `served`
    /// (`None`: it never got ready).
    pub(super) fn failed(&mut self, now: Instant, served: Option<Duration>) {
        if served.is_some_and(|served| served >= STEADY) {
            self.failures = 0;
        }
        let pause = match served {
            // It did serve, and requests may be waiting for it again.
            Some(_) if self.failures == 0 => Duration::ZERO,
            _ => FIRST
                .saturating_mul(1 << self.failures.min(20))
                .min(LONGEST),
        };
        self.failures += 1;
        self.not_before = Some(now + pause);
    }

    /// When the next start may be; `None`: at once.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// Nothing failed so far.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn doubles_up_to_thirty_seconds_and_starts_anew_after_steady_service() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..11 {
            backoff.failed(now, None);
            let until = backoff.not_before().expect("a pause");
            pauses.push((until - now).as_millis());
        }
        assert_eq!(
            pauses,
            [
                100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000
            ]
        );
        backoff.failed(now, Some(Duration::from_secs(10)));
        assert_eq!(backoff.not_before(), Some(now), "at once");
        backoff.failed(now, Some(Duration::from_secs(1)));
        assert_eq!(backoff.not_before(), Some(now + 2 * FIRST));
        backoff.reset();
        assert_eq!(backoff.not_before(), None);
    }
}
