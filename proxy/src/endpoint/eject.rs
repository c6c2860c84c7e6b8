//! Ejection: an endpoint that refuses connections leaves the rotation for a
//! while, each time for longer.
//!
//! The common case, "not ejected", is one load of a word that nobody writes.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The first ejection, in microseconds.
const FIRST_US: u64 = 100_000;
/// The longest one.
const LONGEST_US: u64 = 10_000_000;

#[derive(Debug, Default)]
pub(crate) struct Ejection {
    /// 0 = not ejected.
    until_us: AtomicU64,
    streak: AtomicU32,
}

impl Ejection {
    pub(crate) fn is_active(&self, now_us: u64) -> bool {
        let until = self.until_us.load(Ordering::Relaxed);
        until != 0 && now_us < until
    }

    /// Ejects until `now_us` + 0.1 s, 0.2 s, 0.4 s … 10 s. Failures that come
    /// in while it is ejected are of the same incident and add nothing.
    pub(crate) fn extend(&self, now_us: u64) {
        if self.is_active(now_us) {
            return;
        }
        let streak = self.streak.fetch_add(1, Ordering::Relaxed);
        let length = FIRST_US.saturating_mul(1 << streak.min(20)).min(LONGEST_US);
        self.until_us
            .store(now_us.saturating_add(length).max(1), Ordering::Relaxed);
    }

    /// A connection succeeded: back in, and the next ejection is short again.
    pub(crate) fn end(&self) {
        if self.until_us.load(Ordering::Relaxed) != 0 {
            self.until_us.store(0, Ordering::Relaxed);
            self.streak.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_up_to_ten_seconds_and_starts_over_after_a_success() {
        let ejection = Ejection::default();
        assert!(!ejection.is_active(0));
        let mut now = 0;
        let mut lengths = Vec::new();
        for _ in 0..9 {
            ejection.extend(now);
            ejection.extend(now + 1); // the same incident
            let until = ejection.until_us.load(Ordering::Relaxed);
            lengths.push((until - now) / 100_000);
            assert!(ejection.is_active(until - 1) && !ejection.is_active(until));
            now = until;
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 64, 100, 100]);
        ejection.end();
        assert!(!ejection.is_active(now));
        ejection.extend(now);
        assert_eq!(ejection.until_us.load(Ordering::Relaxed) - now, FIRST_US);
    }
}
