//! The store: all series, found by their labels, within bounds.
//!
//! Receivers write batches through [`Store::write`]; queries read through
//! [`Select`] and register in `register.rs`; `expire.rs` lets go. It must never
//! be used on the proxy's request path.
//!
//! One lock for everything. Writers take it once for a batch of a thousand
//! points and let waiting queries in now and then (`writer.rs`); readers share
//! it. Shards would have each selection visit all of them, and each batch all
//! of their locks: dearer than what they would save on the two or three cores
//! of a scaler.

use super::{
    DropReason, Labels, Limits, Matcher, NeededNames, Point, Points, Select,
    asked::AskedOfOthers,
    elsewhere::Elsewhere,
    need::{NeedId, Needs},
    postings::Postings,
    register::Registration,
    ring::Ring,
    slots::{Series, SeriesRef, Slots},
    tap::{Tap, Tapped},
    wanted::Wanted,
    writer::Writer,
};
use foldhash::quality::RandomState;
use hashbrown::HashTable;
use parking_lot::{Mutex, RwLock};
use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{Arc, Weak},
    time::{SystemTime, UNIX_EPOCH},
};

/// Points are kept for so long beyond what queries look back: an evaluation
/// begins a little before its result is wanted.
pub(super) const SLACK_MS: i64 = 5_000;

/// What a series takes beside its labels and points: its slot, its place among
/// identities, and what a receiver keeps to find it again. With
/// [`LABEL_BYTES`], measured by `tests/series_memory.rs`.
const SERIES_BYTES: usize = 150;

/// What a label takes in the index.
const LABEL_BYTES: usize = 14;

/// Milliseconds since the Unix epoch, now.
#[must_use]
pub fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// What the store holds and what it let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Series now.
    pub series: usize,
    /// Of these, those that a registered query needs.
    pub needed: usize,
    /// Bytes now, by the store's own count.
    pub bytes: usize,
    /// Queries that are registered.
    pub queries: usize,
    /// Series that ended because nothing came for as long as points are kept.
    pub expired: u64,
    /// Series that made room because of the limit of series.
    pub evicted_for_series: u64,
    /// Series that made room because of the limit of bytes.
    pub evicted_for_bytes: u64,
    /// Points that made room for a later one of their series.
    pub overwritten_points: u64,
}

/// All series. Share it in an `Arc`.
#[derive(Debug)]
pub struct Store {
    limits: Limits,
    pub(super) inner: RwLock<Inner>,
    pub(super) asked: AskedOfOthers,
    pub(super) elsewhere: Elsewhere,
    /// What other replicas need, by what they say.
    pub(super) others: Mutex<HashMap<String, Weak<Registration>>>,
    /// Made again when it is asked for and was changed. Locked after `inner`.
    pub(super) needed_names: Mutex<Arc<NeededNames>>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) limits: Limits,
    pub(super) slots: Slots,
    by_labels: HashTable<u32>,
    hasher: RandomState,
    postings: Postings,
    pub(super) needs: Needs,
    pub(super) stats: Stats,
    pub(super) tap: Tap,
}

impl Store {
    /// An empty store.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            inner: RwLock::new(Inner {
                limits,
                slots: Slots::default(),
                by_labels: HashTable::new(),
                hasher: RandomState::default(),
                postings: Postings::default(),
                needs: Needs::default(),
                stats: Stats::default(),
                tap: Tap::default(),
            }),
            asked: AskedOfOthers::default(),
            elsewhere: Elsewhere::default(),
            others: Mutex::default(),
            needed_names: Mutex::default(),
        }
    }

    /// What it may hold.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Begins a batch that arrives at `now_ms`. Nobody else may read or write
    /// meanwhile, but for pauses that the writer makes by itself: parse first,
    /// and never hold it across an `await`.
    pub fn write(&self, now_ms: i64) -> Writer<'_> {
        Writer::new(self.inner.write(), now_ms)
    }

    /// What is asked of other replicas.
    pub(crate) fn asked(&self) -> &AskedOfOthers {
        &self.asked
    }

    /// What it holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let inner = self.inner.read();
        Stats {
            series: inner.slots.count(),
            needed: inner.needs.needed(),
            queries: inner.needs.queries(),
            ..inner.stats
        }
    }
}

impl Select for Store {
    fn select(
        &self,
        matchers: &[Matcher],
        from_ms: i64,
        to_ms: i64,
        found: &mut dyn FnMut(&Labels, Points<'_>),
    ) {
        let wanted = Wanted::new(matchers);
        let inner = self.inner.read();
        inner.each(&wanted, 0, &mut |_, series| {
            let points = series.ring.points().within(from_ms, to_ms);
            if !points.is_empty() {
                found(&series.labels, points);
            }
            true
        });
    }
}

impl Inner {
    /// Calls `found` for the series that are wanted, from slot `from` on, until
    /// it returns false. Touches those of the rarest label that the selector
    /// names; all series where it names none.
    pub(super) fn each(
        &self,
        wanted: &Wanted,
        from: u32,
        found: &mut dyn FnMut(u32, &Series) -> bool,
    ) {
        let mut look =
            |number: u32, series: &Series| !wanted.matches(&series.labels) || found(number, series);
        match self.rarest(wanted) {
            Some(slots) => {
                for &number in slots.iter().filter(|number| **number >= from) {
                    if let Some(series) = self.slots.at(number)
                        && !look(number, series)
                    {
                        return;
                    }
                }
            }
            None => {
                for (number, series) in self.slots.from(from) {
                    if !look(number, series) {
                        return;
                    }
                }
            }
        }
    }

    /// The slots of the rarest label that the selector names; none if it names
    /// none.
    pub(super) fn rarest(&self, wanted: &Wanted) -> Option<&[u32]> {
        let lists = wanted.pairs();
        lists
            .map(|(name, value)| self.postings.with(name, value))
            .min_by_key(|slots| slots.len())
    }

    /// How far back a series' points are kept, in milliseconds.
    pub(super) fn keep(&self, need: NeedId) -> i64 {
        let retention = i64::try_from(self.limits.retention.as_millis()).unwrap_or(i64::MAX / 4);
        self.needs.back(need).max(retention) + SLACK_MS
    }

    fn find(&self, hash: u64, labels: &Labels) -> Option<SeriesRef> {
        let number = self.by_labels.find(hash, |&number| {
            self.slots
                .at(number)
                .is_some_and(|series| series.labels == *labels)
        })?;
        self.slots.reference(*number)
    }

    pub(super) fn add(&mut self, labels: Labels, now_ms: i64) -> Result<SeriesRef, DropReason> {
        let hash = self.hasher.hash_one(&labels);
        if let Some(series) = self.find(hash, &labels) {
            return Ok(series);
        }
        if self.slots.count() >= self.limits.series && !self.make_room_for_series() {
            return Err(DropReason::SeriesLimit);
        }
        let bytes = cost(&labels);
        if self.stats.bytes + bytes > self.limits.bytes && !self.make_room(bytes, None) {
            return Err(DropReason::BytesLimit);
        }
        let need = self.needs.enter(&labels);
        let series = self.slots.add(Series {
            labels,
            ring: Ring::default(),
            start_ms: i64::MIN,
            arrived_ms: now_ms,
            need,
            is_summed: false,
            is_cut: false,
        });
        let held = self.slots.at(series.slot).expect("it was just added");
        self.postings.add(series.slot, &held.labels);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.by_labels.insert_unique(hash, series.slot, |&number| {
            let series = slots.at(number).expect("an identity is of a series");
            hasher.hash_one(&series.labels)
        });
        self.stats.bytes += bytes;
        Ok(series)
    }

    /// Lets all these series go.
    pub(super) fn remove(&mut self, numbers: &[u32]) {
        let gone = numbers
            .iter()
            .filter_map(|&number| Some((number, &self.slots.at(number)?.labels)));
        self.postings.remove(gone);
        for &number in numbers {
            let Some(series) = self.slots.remove(number) else {
                continue;
            };
            let hash = self.hasher.hash_one(&series.labels);
            if let Ok(identity) = self.by_labels.find_entry(hash, |held| *held == number) {
                identity.remove();
            }
            self.stats.bytes -= cost(&series.labels) + series.ring.bytes();
            self.needs.leave(series.need);
        }
    }

    /// Whether a point of that time can be taken at all.
    pub(super) fn check_time(&self, at_ms: i64, keep: i64, now_ms: i64) -> Result<(), DropReason> {
        let ahead = i64::try_from(self.limits.ahead.as_millis()).unwrap_or(i64::MAX / 4);
        if at_ms > now_ms.saturating_add(ahead) {
            Err(DropReason::TooFarAhead)
        } else if at_ms < now_ms - keep {
            Err(DropReason::TooOld)
        } else {
            Ok(())
        }
    }

    /// A point arrived here that other replicas may need.
    pub(super) fn tap(
        &mut self,
        series: SeriesRef,
        need: NeedId,
        point: Point,
        is_increment: bool,
    ) {
        if self.needs.is_shared(need) {
            self.tap.push(Tapped {
                series,
                point,
                is_increment,
            });
        }
    }

    /// Takes a point into a series that is there.
    pub(super) fn put(
        &mut self,
        number: u32,
        point: Point,
        keep: i64,
        now_ms: i64,
    ) -> Result<usize, DropReason> {
        let growth = self
            .slots
            .at(number)
            .map_or(0, |series| series.ring.growth());
        let may_grow = growth == 0
            || self.stats.bytes + growth <= self.limits.bytes
            || self.make_room(growth, Some(number));
        let limits = self.limits;
        let series = self.slots.at_mut(number).expect("it was not let go");
        let most = if self.needs.is_needed(series.need) {
            limits.points
        } else {
            limits.unneeded_points
        };
        series.is_cut |= series.ring.forget_before(now_ms - keep);
        let (len, bytes) = (series.ring.len(), series.ring.bytes());
        let placed = series.ring.insert(point, most, may_grow)?;
        let overwritten = series.ring.len() == len;
        series.is_cut |= overwritten;
        self.stats.overwritten_points += u64::from(overwritten);
        self.stats.bytes += series.ring.bytes() - bytes;
        Ok(placed)
    }
}

/// What a series is counted as, its points aside.
fn cost(labels: &Labels) -> usize {
    SERIES_BYTES + labels.bytes() + LABEL_BYTES * labels.iter().count()
}

#[cfg(test)]
mod tests;
