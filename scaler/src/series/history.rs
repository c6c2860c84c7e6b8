//! What one other replica is told: first all that is kept of the series that
//! it needs, then what arrives here.
//!
//! Owned by a stream of `crate::peers`. Says nothing of where a point came
//! from while it tells what is kept, so that whoever is new learns what a
//! replica that is gone had told; of what arrives, only what arrived here.

use super::{
    Labels, Point, Store,
    merge::Values,
    need::QueryId,
    slots::{Series, SeriesRef},
    tap::Tapped,
};
use std::{collections::HashSet, sync::Arc};
use tokio::sync::watch;

/// So many series are looked at under one hold of the lock.
const AT_ONCE: u32 = 1024;

/// What is told of one series.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) series: SeriesRef,
    pub(crate) labels: Labels,
    pub(crate) points: Vec<Point>,
    pub(crate) values: Values,
}

/// Where one other replica stands.
#[derive(Debug)]
pub(crate) struct History {
    store: Arc<Store>,
    /// Its queries, as they are registered here.
    queries: HashSet<QueryId>,
    /// Those of which it was told nothing yet.
    fresh: HashSet<QueryId>,
    /// Those of which it is being told what is kept, and from which slot on.
    telling: Option<(HashSet<QueryId>, u32)>,
    cursor: u64,
    arrivals: watch::Receiver<u64>,
}

impl History {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        let (cursor, arrivals) = {
            let inner = store.inner.read();
            (inner.tap.end(), inner.tap.follow())
        };
        Self {
            store,
            queries: HashSet::new(),
            fresh: HashSet::new(),
            telling: None,
            cursor,
            arrivals,
        }
    }

    /// It needs the series of this query, too.
    pub(crate) fn add(&mut self, id: QueryId) {
        if self.queries.insert(id) {
            self.fresh.insert(id);
        }
    }

    /// It does not need them any more.
    pub(crate) fn remove(&mut self, id: QueryId) {
        self.queries.remove(&id);
        self.fresh.remove(&id);
    }

    /// All that is kept has to be told once more.
    fn anew(&mut self) {
        self.telling = None;
        self.fresh.clone_from(&self.queries);
    }

    /// Whether it was told of all that is kept.
    pub(crate) fn is_told(&self) -> bool {
        self.fresh.is_empty() && self.telling.is_none()
    }

    /// Resolves when points have arrived since the last
    /// [`History::arrived_here`]. Cancel safe.
    pub(crate) async fn more(&mut self) {
        // The sender lives in the store, which this holds.
        if self.arrivals.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Up to about `most` points that arrived here since the last call.
    pub(crate) fn arrived_here(&mut self, most: usize) -> Vec<Told> {
        self.arrivals.mark_unchanged();
        let inner = self.store.inner.read();
        let end = inner.tap.end();
        let Some(tapped) = inner.tap.after(self.cursor) else {
            drop(inner);
            self.cursor = end;
            tracing::info!(
                "a replica reads points more slowly than they arrive: it is told anew what is kept"
            );
            self.anew();
            return Vec::new();
        };
        let mut told: Vec<Told> = Vec::new();
        for Tapped {
            series,
            point,
            is_increment,
        } in tapped.take(most)
        {
            self.cursor += 1;
            let Some(held) = inner.slots.get(*series) else {
                continue; // it was let go
            };
            let mut who = inner.needs.who(held.need).iter();
            if !who.any(|(id, _)| self.queries.contains(id)) {
                continue;
            }
            let values = match is_increment {
                true => Values::Increments,
                false => Values::Plain,
            };
            match told.last_mut() {
                Some(last) if last.series == *series && last.values == values => {
                    last.points.push(*point);
                }
                _ => told.push(Told {
                    series: *series,
                    labels: held.labels.clone(),
                    points: vec![*point],
                    values,
                }),
            }
        }
        drop(inner);
        if self.cursor < end {
            self.arrivals.mark_changed();
        }
        told
    }

    /// The next of what is kept, with about `most` points at least if there
    /// are so many. Empty although not [`History::is_told`]: ask again.
    pub(crate) fn kept(&mut self, most: usize, now_ms: i64) -> Vec<Told> {
        let mut told = Vec::new();
        if self.telling.is_none() && !self.fresh.is_empty() {
            self.telling = Some((std::mem::take(&mut self.fresh), 0));
        }
        let Some((queries, from)) = &mut self.telling else {
            return told;
        };
        let inner = self.store.inner.read();
        let (mut looked, mut points) = (0, 0);
        for (number, series) in inner.slots.from(*from) {
            if looked >= AT_ONCE || points >= most {
                *from = number;
                return told;
            }
            looked += 1;
            let who = inner.needs.who(series.need).iter();
            let back = who
                .filter(|(id, _)| queries.contains(id))
                .map(|(_, back)| *back)
                .max();
            let Some((back, reference)) = back.zip(inner.slots.reference(number)) else {
                continue;
            };
            let from_ms = now_ms
                .saturating_sub(back)
                .saturating_sub(super::store::SLACK_MS);
            let kept = series.kept(reference, from_ms);
            points += kept.points.len();
            if !kept.points.is_empty() {
                told.push(kept);
            }
        }
        self.telling = None;
        told
    }
}

impl Series {
    /// Its points after `from_ms`, as another replica is told.
    fn kept(&self, series: SeriesRef, from_ms: i64) -> Told {
        let first = self.ring.place(from_ms.saturating_add(1));
        let points = self.ring.points().within(from_ms, i64::MAX);
        let (points, values) = if self.is_summed {
            let is_whole = first == 0 && !self.is_cut;
            let sum = match self.ring.before(first) {
                Some(before) if before.is_stale() => 0.0,
                Some(before) => before.value,
                None if is_whole => 0.0,
                None => points.first().map_or(0.0, |first| first.value),
            };
            // Of the very first one it is not known what came with it.
            let increments = points.iter().enumerate().map(|(at, point)| {
                let increment = self.increment(first + at).unwrap_or(0.0);
                match point.is_stale() {
                    true => *point,
                    false => Point::new(point.at_ms, increment),
                }
            });
            (increments.collect(), Values::SinceSum { sum, is_whole })
        } else {
            (points.iter().copied().collect(), Values::Plain)
        };
        Told {
            series,
            labels: self.labels.clone(),
            points,
            values,
        }
    }
}
