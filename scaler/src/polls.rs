//! How far back an answer to KEDA's `IsActive` reaches.
//!
//! KEDA polls as rarely as it is told to, and demand between two polls must not
//! be lost, so an answer reaches back to the one before it. But not every
//! `IsActive` is a poll: each of a trigger's metrics asks once more, and the
//! HPA's reads ask too, every 15 s, and throw the answer away. Nothing in them
//! tells which is which. Two things do: what is asked at nearly the same time
//! is one round; and the HPA does not read while there are no replicas, so the
//! rounds of then are polls, and the longest time between two of them is how
//! far back a poll may have to reach when there are replicas.
//!
//! Owned by [`crate::activation`]. Pure: times come in, microseconds of the
//! proxy's clock.

/// What is asked within this time is one round: the metrics of one trigger one
/// after the other, and once more after an error.
const ROUND_US: u64 = 5_000_000;

/// When KEDA asked about one target.
#[derive(Debug, Default)]
pub(crate) struct Polls {
    /// When the last round began, and the one before it.
    round_us: Option<u64>,
    before_us: Option<u64>,
    /// Rounds without replicas, the last ones in a row.
    asleep: u32,
    /// The longest time between two of those, when there were some last.
    each_us: u64,
}

impl Polls {
    /// KEDA asks, at `now_us`; `asleep`: nobody could serve the target, nor is
    /// anything asked of it. Returns how far back the answer reaches.
    pub(crate) fn ask(&mut self, now_us: u64, asleep: bool) -> u64 {
        let since = |at: Option<u64>| at.map(|at| now_us.saturating_sub(at));
        if since(self.round_us).is_none_or(|elapsed| elapsed >= ROUND_US) {
            self.asleep = if asleep {
                self.asleep.saturating_add(1)
            } else {
                0
            };
            let gap = since(self.round_us).unwrap_or_default();
            match self.asleep {
                0 | 1 => {}
                // What was learned before may be a polling interval of then.
                2 => self.each_us = gap,
                _ => self.each_us = self.each_us.max(gap),
            }
            self.before_us = self.round_us.replace(now_us);
        }
        since(self.before_us).unwrap_or_default().max(self.each_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn ask(polls: &mut Polls, second: u64, asleep: bool) -> u64 {
        polls.ask(second * SECOND, asleep) / SECOND
    }

    #[test]
    fn the_metrics_of_one_poll_reach_back_alike() {
        let mut polls = Polls::default();
        assert_eq!(ask(&mut polls, 10, false), 0);
        assert_eq!(ask(&mut polls, 130, false), 120);
        assert_eq!(ask(&mut polls, 130, false), 120);
        assert_eq!(ask(&mut polls, 131, false), 121);
        assert_eq!(ask(&mut polls, 250, false), 120);
    }

    #[test]
    fn reads_of_the_hpa_do_not_shorten_what_polls_were_at_zero() {
        let mut polls = Polls::default();
        for second in [0, 120, 240] {
            ask(&mut polls, second, true);
        }
        for second in (255..2_000).step_by(15) {
            assert_eq!(ask(&mut polls, second, false), 120);
        }
    }

    #[test]
    fn another_polling_interval_is_learned_at_zero() {
        let mut polls = Polls::default();
        for second in [0, 120, 240] {
            ask(&mut polls, second, true);
        }
        assert_eq!(ask(&mut polls, 300, false), 120);
        assert_eq!(ask(&mut polls, 310, true), 120);
        assert_eq!(ask(&mut polls, 320, true), 10);
        // Two replicas: not each poll comes here.
        assert_eq!(ask(&mut polls, 340, true), 20);
        assert_eq!(ask(&mut polls, 350, true), 20);
    }
}
