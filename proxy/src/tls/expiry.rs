//! When to say that a certificate is about to expire.
//!
//! Asked by `hub.rs` for those in use, and by control for those of others.

const DAY: i64 = 24 * 60 * 60;
/// Days before the end at which it is said.
const DAYS: [i64; 5] = [30, 14, 7, 2, 1];

/// What there is to say, the more urgent the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Notice {
    /// It ends within this many days; fewer is greater.
    Within(std::cmp::Reverse<i64>),
    /// It has ended.
    Expired,
}

/// The most urgent notice that holds at `at`; all times are Unix seconds.
fn notice(expiry: i64, at: i64) -> Option<Notice> {
    let left = expiry.saturating_sub(at);
    if left <= 0 {
        return Some(Notice::Expired);
    }
    let within = DAYS.iter().rev().find(|&&days| left <= days * DAY)?;
    Some(Notice::Within(std::cmp::Reverse(*within)))
}

/// What to say at `now` about a certificate that ends at `expiry`, when it was
/// last looked at, at `last`: each notice once. All times are Unix seconds.
#[must_use]
pub fn due(expiry: i64, last: Option<i64>, now: i64) -> Option<Notice> {
    let said = last.and_then(|last| notice(expiry, last));
    notice(expiry, now).filter(|notice| Some(*notice) > said)
}

/// Whole days that are left.
#[must_use]
pub fn days_left(expiry: i64, now: i64) -> i64 {
    expiry.saturating_sub(now) / DAY
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cmp::Reverse;

    const EXPIRY: i64 = 1_000 * DAY;

    fn within(days: i64) -> Option<Notice> {
        Some(Notice::Within(Reverse(days)))
    }

    #[test]
    fn each_notice_comes_once_and_in_order() {
        let (mut last, mut said) = (None, Vec::new());
        let mut now = EXPIRY - 40 * DAY;
        while now < EXPIRY + 5 * DAY {
            if let Some(notice) = due(EXPIRY, last, now) {
                said.push((notice, days_left(EXPIRY, now)));
            }
            last = Some(now);
            now += 3_600;
        }
        let days = |days| (Notice::Within(Reverse(days)), days);
        let mut wanted: Vec<(Notice, i64)> = DAYS.map(days).to_vec();
        wanted.push((Notice::Expired, 0));
        assert_eq!(said, wanted);
    }

    #[test]
    fn the_bounds_belong_to_the_notice() {
        for days in DAYS {
            assert_eq!(due(EXPIRY, None, EXPIRY - days * DAY), within(days));
            assert_ne!(due(EXPIRY, None, EXPIRY - days * DAY - 1), within(days));
        }
        assert_eq!(due(EXPIRY, None, EXPIRY - 30 * DAY - 1), None);
        assert_eq!(due(EXPIRY, None, EXPIRY - 1), within(1));
        assert_eq!(due(EXPIRY, None, EXPIRY), Some(Notice::Expired));
    }

    #[test]
    fn a_late_look_says_only_the_most_urgent() {
        assert_eq!(due(EXPIRY, None, EXPIRY - 5 * DAY), within(7));
        let before = Some(EXPIRY - 20 * DAY);
        assert_eq!(due(EXPIRY, before, EXPIRY - 20 * DAY), None);
        assert_eq!(due(EXPIRY, before, EXPIRY + 1), Some(Notice::Expired));
        assert_eq!(due(EXPIRY, Some(EXPIRY + 1), EXPIRY + 9 * DAY), None);
    }

    #[test]
    fn a_clock_that_is_set_back_repeats_nothing() {
        let ahead = Some(EXPIRY - DAY);
        assert_eq!(due(EXPIRY, ahead, EXPIRY - 10 * DAY), None);
    }
}
