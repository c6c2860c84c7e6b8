//! Points that arrived here and that other replicas need, until they are told.
//!
//! Filled by the store's writer, read by `super::history` for one replica
//! after another, each from where it stands. Bounded: whoever is too slow for
//! it finds that out, and is told anew what is kept.

use super::{Point, slots::SeriesRef};
use std::collections::VecDeque;
use tokio::sync::watch;

/// At most so many points: 2 MiB.
const MOST: usize = 65_536;

/// A point that arrived here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tapped {
    pub(super) series: SeriesRef,
    /// As it arrived.
    pub(super) point: Point,
    /// Its value is what came since the point before.
    pub(super) is_increment: bool,
}

/// What others need of what arrived lately.
#[derive(Debug)]
pub(super) struct Tap {
    points: VecDeque<Tapped>,
    /// How many were taken in so far.
    end: u64,
    ends: watch::Sender<u64>,
}

impl Default for Tap {
    fn default() -> Self {
        Self {
            points: VecDeque::new(),
            end: 0,
            ends: watch::Sender::new(0),
        }
    }
}

impl Tap {
    pub(super) fn push(&mut self, point: Tapped) {
        if self.points.len() >= MOST {
            self.points.pop_front();
        }
        self.points.push_back(point);
        self.end += 1;
    }

    /// Tells those who wait that there are points.
    pub(super) fn tell(&self) {
        self.ends.send_if_modified(|told| {
            let news = *told != self.end;
            *told = self.end;
            news
        });
    }

    /// Follows [`Tap::end`].
    pub(super) fn follow(&self) -> watch::Receiver<u64> {
        self.ends.subscribe()
    }

    /// Where the next point will be.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The points from `from` on; `None` if some of them are gone.
    pub(super) fn after(&self, from: u64) -> Option<impl Iterator<Item = &Tapped>> {
        let behind = usize::try_from(self.end.checked_sub(from)?).ok()?;
        let first = self.points.len().checked_sub(behind)?;
        Some(self.points.range(first..))
    }

    /// Nobody needs them any more.
    pub(super) fn clear(&mut self) {
        self.points = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Growth, Labels, Limits, Store};

    #[test]
    fn who_is_too_slow_is_told_so_and_memory_is_bounded() {
        let store = Store::new(Limits::default());
        let mut writer = store.write(0);
        let series = writer
            .intern(Labels::new([("__name__", "x")]).unwrap())
            .unwrap();
        writer.append(series, 0, 1.0, Growth::Level).unwrap();
        let mut tap = Tap::default();
        let tapped = |at| Tapped {
            series,
            point: Point::new(at, 0.0),
            is_increment: false,
        };
        (0..10).for_each(|at| tap.push(tapped(at)));
        let times = |tap: &Tap, from| {
            let after = tap.after(from)?;
            Some(after.map(|tapped| tapped.point.at_ms).collect::<Vec<_>>())
        };
        assert_eq!(times(&tap, 8), Some(vec![8, 9]));
        assert_eq!(times(&tap, 10), Some(vec![]));
        assert_eq!(times(&tap, 11), None);
        (0..MOST).for_each(|at| tap.push(tapped(at as i64)));
        assert_eq!(times(&tap, 9), None);
        assert_eq!(times(&tap, 10).map(|all| all.len()), Some(MOST));
        tap.clear();
        assert_eq!(times(&tap, 10), None);
    }
}
