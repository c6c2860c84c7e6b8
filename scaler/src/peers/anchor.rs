//! The sender's clock in terms of ours.
//!
//! Used by [`super::session`], one per connection. The sender's clock counts
//! from wherever it likes; a frame tells what it showed when the frame was
//! made. The frame that travelled fastest tells the difference best, so the
//! smallest one of the last 10 to 20 s counts: a frame that was held up on its
//! way does not move what it reports, and clocks that drift apart are followed.

/// Differences are remembered for one to two of these.
const SPAN_US: u64 = 10_000_000;

/// The difference between two clocks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Anchor {
    /// Our clock less theirs, smallest in this span and in the one before.
    current: Option<i128>,
    previous: Option<i128>,
    /// When this span began.
    since_us: u64,
}

impl Anchor {
    /// A frame that was made at `theirs_us` arrived at `ours_us`.
    pub(crate) fn arrived(&mut self, theirs_us: u64, ours_us: u64) {
        if ours_us.saturating_sub(self.since_us) >= SPAN_US {
            self.previous = self.current.take();
            self.since_us = ours_us;
        }
        let difference = i128::from(ours_us) - i128::from(theirs_us);
        self.current = Some(self.current.map_or(difference, |now| now.min(difference)));
    }

    /// `theirs_us` on our clock, which shows `now_us`: never in the future.
    pub(crate) fn ours(&self, theirs_us: u64, now_us: u64) -> u64 {
        let smallest = [self.current, self.previous].into_iter().flatten().min();
        let Some(difference) = smallest else {
            return now_us;
        };
        let ours = (i128::from(theirs_us) + difference).clamp(0, i128::from(now_us));
        u64::try_from(ours).unwrap_or(now_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_that_was_held_up_does_not_move_what_it_reports() {
        let mut anchor = Anchor::default();
        anchor.arrived(1_000, 501_000);
        assert_eq!(anchor.ours(1_000, 501_000), 501_000);
        anchor.arrived(2_000, 510_000); // 8 ms late
        assert_eq!(anchor.ours(2_000, 510_000), 502_000);
    }

    #[test]
    fn clocks_that_drift_apart_are_followed() {
        let mut anchor = Anchor::default();
        // Theirs loses one part in a thousand.
        for second in 1..=1_000u64 {
            anchor.arrived(second * 999_000, second * 1_000_000);
        }
        let behind = 1_000_000_000 - anchor.ours(999_000_000, 1_000_000_000);
        assert!(behind <= 20_000, "{behind} µs behind");
    }

    proptest! {
        #[test]
        fn no_clock_of_theirs_makes_a_time_in_our_future(
            frames in proptest::collection::vec((any::<u64>(), any::<u32>()), 1..20),
            asked in any::<u64>(),
        ) {
            let (mut anchor, mut now) = (Anchor::default(), 0u64);
            for (theirs, pause) in frames {
                now += u64::from(pause);
                anchor.arrived(theirs, now);
                prop_assert!(anchor.ours(theirs, now) <= now);
            }
            prop_assert!(anchor.ours(asked, now) <= now);
        }
    }
}
