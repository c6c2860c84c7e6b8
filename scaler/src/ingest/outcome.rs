//! What became of a request's data points, for its sender.

use crate::series::DropReason;
use std::fmt::Write;

/// Longest name that an answer repeats, in characters.
const NAME: usize = 80;

/// Counts of one request, and an example for each reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    accepted: u64,
    dropped: [u64; DropReason::ALL.len()],
    examples: Vec<(DropReason, String)>,
}

impl Outcome {
    /// A data point is stored.
    pub fn accept(&mut self) {
        self.accepted += 1;
    }

    /// So many data points are stored.
    pub(crate) fn accept_all(&mut self, points: u64) {
        self.accepted += points;
    }

    /// Data points of `metric` are not stored.
    pub fn refuse(&mut self, points: u64, reason: DropReason, metric: &str) {
        let count = &mut self.dropped[reason as usize];
        if *count == 0 {
            let name: String = metric.chars().take(NAME).collect();
            self.examples.push((reason, name));
        }
        *count += points;
    }

    /// How many are stored.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// How many are not.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// How many are not, by reason; those that occurred.
    pub fn dropped(&self) -> impl Iterator<Item = (DropReason, u64)> {
        let all = DropReason::ALL.into_iter().zip(self.dropped);
        all.filter(|(_, count)| *count > 0)
    }

    /// Whether nothing was stored, and only because there is no room: then the
    /// sender may try again later.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.accepted == 0
            && self.rejected() > 0
            && self.dropped().all(|(reason, _)| {
                matches!(reason, DropReason::SeriesLimit | DropReason::BytesLimit)
            })
    }

    /// In words; empty if all are stored.
    #[must_use]
    pub fn message(&self) -> String {
        let mut text = String::new();
        for (reason, metric) in &self.examples {
            let count = self.dropped[*reason as usize];
            let gap = if text.is_empty() { "" } else { "; " };
            // Writing to a string does not fail.
            let _written = write!(
                text,
                "{gap}{count} dropped, such as of {metric:?} ({}): {}",
                reason.as_str(),
                reason.explain()
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_has_counts_reasons_and_examples() {
        let mut outcome = Outcome::default();
        outcome.accept();
        outcome.refuse(2, DropReason::Negative, "a");
        outcome.refuse(1, DropReason::Negative, "b");
        outcome.refuse(1, DropReason::NameTooLong, &"n".repeat(1 << 20));
        assert_eq!((outcome.accepted(), outcome.rejected()), (1, 4));
        let message = outcome.message();
        assert!(
            message.starts_with("3 dropped, such as of \"a\" (negative)"),
            "{message}"
        );
        assert!(message.len() < 400, "{message}");
        assert!(!outcome.is_full());
    }

    #[test]
    fn only_a_full_store_is_worth_another_try() {
        let mut outcome = Outcome::default();
        assert!(!outcome.is_full());
        outcome.refuse(1, DropReason::SeriesLimit, "a");
        assert!(outcome.is_full());
        outcome.refuse(1, DropReason::NotANumber, "a");
        assert!(!outcome.is_full());
    }
}
