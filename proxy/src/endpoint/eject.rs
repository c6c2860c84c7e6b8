//! Ejection: an endpoint that refuses connections, or answers nothing but
//! failures, leaves the rotation for a while, each time for longer.
//!
//! The common case, "not ejected", is one load of a word that nobody writes.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The first ejection, in microseconds.
const FIRST_US: u64 = 100_000;
/// The longest one.
const LONGEST_US: u64 = 10_000_000;
/// An endpoint that was not ejected for its answers for this long starts over.
const FORGIVEN_US: u64 = 60_000_000;

/// Set in the word if the ejection is for answers.
const FOR_ANSWERS: u64 = 1;

#[derive(Debug, Default)]
pub(crate) struct Ejection {
    /// 0 = not ejected; else twice the time at which it ends, in µs, and
    /// [`FOR_ANSWERS`].
    word: AtomicU64,
    refusals: AtomicU32,
    bad_answers: AtomicU32,
}

impl Ejection {
    pub(crate) fn is_active(&self, now_us: u64) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        word != 0 && now_us < word >> 1
    }

    /// Is it out because of its answers? Then it can be reached, at least.
    pub(crate) fn is_for_answers(&self, now_us: u64) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        now_us < word >> 1 && word & FOR_ANSWERS != 0
    }

    /// When it comes back by itself, if it is out.
    pub(crate) fn ends_us(&self, now_us: u64) -> Option<u64> {
        let end = self.word.load(Ordering::Relaxed) >> 1;
        (now_us < end).then_some(end)
    }

    /// It cannot be connected to: out until `now_us` + 0.1 s, 0.2 s, 0.4 s …
    /// 10 s. Failures that come in while it is out are of the same incident and
    /// add nothing. True if it was in.
    pub(crate) fn extend(&self, now_us: u64) -> bool {
        let was_out = self.is_active(now_us);
        if was_out && !self.is_for_answers(now_us) {
            return false;
        }
        let end = now_us.saturating_add(length(&self.refusals));
        self.word.store(end << 1, Ordering::Relaxed);
        !was_out
    }

    /// Its answers are failures: likewise. True if it was in.
    pub(crate) fn extend_for_answers(&self, now_us: u64) -> bool {
        if self.is_active(now_us) {
            return false;
        }
        let last_end = self.word.load(Ordering::Relaxed) >> 1;
        if now_us.saturating_sub(last_end) > FORGIVEN_US {
            self.bad_answers.store(0, Ordering::Relaxed);
        }
        let end = now_us.saturating_add(length(&self.bad_answers));
        self.word.store((end << 1) | FOR_ANSWERS, Ordering::Relaxed);
        true
    }

    /// A connection succeeded: back in, and the next ejection is short again,
    /// unless it is out for its answers: they are no better for that.
    pub(crate) fn end(&self) {
        let word = self.word.load(Ordering::Relaxed);
        if word == 0 {
            return;
        }
        self.refusals.store(0, Ordering::Relaxed);
        if word & FOR_ANSWERS == 0 {
            self.word.store(0, Ordering::Relaxed);
        }
    }
}

/// The length of the next ejection of a streak, in microseconds.
fn length(streak: &AtomicU32) -> u64 {
    let nth = streak.fetch_add(1, Ordering::Relaxed);
    FIRST_US.saturating_mul(1 << nth.min(20)).min(LONGEST_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(ejection: &Ejection, now_us: u64) -> u64 {
        ejection.ends_us(now_us).expect("it is out")
    }

    #[test]
    fn grows_up_to_ten_seconds_and_starts_over_after_a_success() {
        let ejection = Ejection::default();
        assert!(!ejection.is_active(0));
        let mut now = 0;
        let mut lengths = Vec::new();
        for _ in 0..9 {
            assert!(ejection.extend(now));
            assert!(!ejection.extend(now + 1), "the same incident");
            let until = until(&ejection, now);
            lengths.push((until - now) / 100_000);
            assert!(ejection.is_active(until - 1) && !ejection.is_active(until));
            now = until;
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 64, 100, 100]);
        ejection.end();
        assert!(!ejection.is_active(now));
        ejection.extend(now);
        assert_eq!(until(&ejection, now) - now, FIRST_US);
    }

    #[test]
    fn a_connection_does_not_end_an_ejection_for_answers_but_time_does() {
        let ejection = Ejection::default();
        let mut now = 1;
        let mut lengths = Vec::new();
        for _ in 0..3 {
            assert!(ejection.extend_for_answers(now));
            assert!(ejection.is_for_answers(now));
            ejection.end();
            assert!(ejection.is_active(now), "it accepts, and answers no better");
            let end = until(&ejection, now);
            lengths.push((end - now) / 100_000);
            assert!(!ejection.is_active(end));
            now = end;
        }
        assert_eq!(lengths, [1, 2, 4]);
        now += FORGIVEN_US + 1;
        ejection.extend_for_answers(now);
        assert_eq!(until(&ejection, now) - now, FIRST_US, "forgiven");
    }

    #[test]
    fn who_refuses_connections_is_out_for_that() {
        let ejection = Ejection::default();
        ejection.extend_for_answers(1);
        assert!(!ejection.extend(2), "it was out before");
        assert!(ejection.is_active(2) && !ejection.is_for_answers(2));
        ejection.end();
        assert!(!ejection.is_active(2));
    }
}
