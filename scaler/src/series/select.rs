//! What a query asks of the store, and what it gets.

use super::{Labels, Matcher, Point};

/// What queries read from.
pub trait Select {
    /// Calls `found` once for each series that all `matchers` match and that
    /// has points in `(from_ms, to_ms]` (left open, as ranges are since
    /// Prometheus 3), with these points, oldest first. Stale markers are among
    /// them.
    ///
    /// The order of the series is not specified. `found` must be quick: it may
    /// run under a lock of the store.
    fn select(
        &self,
        matchers: &[Matcher],
        from_ms: i64,
        to_ms: i64,
        found: &mut dyn FnMut(&Labels, Points<'_>),
    );
}

/// Points of one series, oldest first, as the two slices of a ring.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a> {
    head: &'a [Point],
    tail: &'a [Point],
}

impl<'a> Points<'a> {
    /// `head` is older than `tail`; either may be empty.
    pub fn new(head: &'a [Point], tail: &'a [Point]) -> Self {
        Self { head, tail }
    }

    /// All of them, oldest first.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = &'a Point> + Clone {
        self.head.iter().chain(self.tail)
    }

    /// How many.
    pub fn len(self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.head.is_empty() && self.tail.is_empty()
    }

    /// The oldest.
    pub fn first(self) -> Option<&'a Point> {
        self.head.first().or(self.tail.first())
    }

    /// The newest.
    pub fn last(self) -> Option<&'a Point> {
        self.tail.last().or(self.head.last())
    }

    /// Those in `(from_ms, to_ms]`; found by bisection.
    #[must_use]
    pub fn within(self, from_ms: i64, to_ms: i64) -> Self {
        let cut = |all: &'a [Point]| {
            let start = all.partition_point(|point| point.at_ms <= from_ms);
            let end = all.partition_point(|point| point.at_ms <= to_ms);
            all.get(start..end).unwrap_or_default()
        };
        Self::new(cut(self.head), cut(self.tail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(times: &[i64]) -> Vec<Point> {
        times.iter().map(|&at| Point::new(at, 0.0)).collect()
    }

    #[test]
    fn two_slices_read_as_one() {
        let (head, tail) = (points(&[1, 2, 3]), points(&[4, 5]));
        let all = Points::new(&head, &tail);
        assert_eq!(all.len(), 5);
        assert!(all.iter().map(|p| p.at_ms).eq(1..=5));
        assert_eq!(all.first().map(|p| p.at_ms), Some(1));
        assert_eq!(all.last().map(|p| p.at_ms), Some(5));
        let one = Points::new(&head, &[]);
        assert_eq!(one.last().map(|p| p.at_ms), Some(3));
        assert!(Points::new(&[], &[]).is_empty());
    }

    #[test]
    fn a_cut_is_open_on_the_left_and_closed_on_the_right() {
        let (head, tail) = (points(&[10, 20, 30]), points(&[40, 50]));
        let all = Points::new(&head, &tail);
        let cut = |from, to| -> Vec<_> { all.within(from, to).iter().map(|p| p.at_ms).collect() };
        assert_eq!(cut(10, 40), [20, 30, 40]);
        assert_eq!(cut(9, 39), [10, 20, 30]);
        assert_eq!(cut(45, 90), [50]);
        assert_eq!(cut(50, 90), [] as [i64; 0]);
        assert_eq!(cut(40, 20), [] as [i64; 0]);
    }
}
