//! The lowest or highest recommendation of the last while: the HPA's
//! stabilisation window.
//!
//! Used by the HPA for each direction. Pure: the time is an argument and must
//! not go backwards. It keeps only recommendations that can still matter, in
//! strict order of value, so its size is bounded by the number of different
//! values, which is the range from minimum to maximum.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Which end of the recommendations counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extreme {
    Lowest,
    Highest,
}

/// A sliding minimum or maximum.
#[derive(Debug)]
pub(super) struct Window {
    span: Duration,
    extreme: Extreme,
    /// Oldest first; each is beaten by its predecessor, or it would have
    /// removed it.
    candidates: VecDeque<(Instant, u32)>,
}

impl Window {
    pub(super) fn new(span: Duration, extreme: Extreme) -> Self {
        Self {
            span,
            extreme,
            candidates: VecDeque::new(),
        }
    }

    /// Remembers what `before` did, which had the same end in mind.
    pub(super) fn inherit(&mut self, before: Self) {
        self.candidates = before.candidates;
    }

    /// Remembers `value` and returns the extreme of the window, `value`
    /// included. A recommendation exactly as old as the window is out.
    pub(super) fn push(&mut self, now: Instant, value: u32) -> u32 {
        let beats = |old: u32| match self.extreme {
            Extreme::Lowest => value <= old,
            Extreme::Highest => value >= old,
        };
        while self.candidates.back().is_some_and(|&(_, old)| beats(old)) {
            self.candidates.pop_back();
        }
        let gone = |at: Instant| now.saturating_duration_since(at) >= self.span;
        while self.candidates.front().is_some_and(|&(at, _)| gone(at)) {
            self.candidates.pop_front();
        }
        self.candidates.push_back((now, value));
        self.candidates
            .front()
            .map_or(value, |&(_, extreme)| extreme)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn of_no_length_knows_only_the_newest() {
        let now = Instant::now();
        let mut window = Window::new(Duration::ZERO, Extreme::Highest);
        assert_eq!(window.push(now, 9), 9);
        assert_eq!(window.push(now, 2), 2);
    }

    #[test]
    fn forgets_at_exactly_its_length() {
        let start = Instant::now();
        let mut window = Window::new(Duration::from_secs(10), Extreme::Highest);
        window.push(start, 9);
        assert_eq!(window.push(start + Duration::from_millis(9_999), 2), 9);
        assert_eq!(window.push(start + Duration::from_secs(10), 2), 2);
    }

    proptest! {
        #[test]
        fn equals_a_search_through_everything(
            steps in proptest::collection::vec((0u64..8, 0u32..6), 1..60),
            span in 0u64..20,
            highest in any::<bool>(),
        ) {
            let span = Duration::from_secs(span);
            let extreme = if highest { Extreme::Highest } else { Extreme::Lowest };
            let mut window = Window::new(span, extreme);
            let mut all = Vec::new();
            let mut now = Instant::now();
            for (wait, value) in steps {
                now += Duration::from_secs(wait);
                let got = window.push(now, value);
                let kept = all.iter().filter(|&&(at, _)| now - at < span).map(|&(_, old)| old);
                let expected = if highest {
                    kept.max().map_or(value, |old: u32| old.max(value))
                } else {
                    kept.min().map_or(value, |old: u32| old.min(value))
                };
                prop_assert_eq!(got, expected);
                prop_assert!(window.candidates.len() <= 6, "bounded by the values there are");
                all.push((now, value));
            }
        }
    }
}
