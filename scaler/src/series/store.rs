//! The store: all series, found by their labels, within bounds.
//!
//! Receivers write batches through [`Store::write`]; queries read through
//! [`Select`] and register in `register.rs`; `expire.rs` lets go. It must never be used on the proxy's
//! request path.
//!
//! One lock for everything. Writers take it once for a batch of a thousand
//! points and let waiting queries in every [`BREATHE`] points; readers share
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
};
use foldhash::quality::RandomState;
use hashbrown::HashTable;
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{Arc, Weak},
    time::{SystemTime, UNIX_EPOCH},
};

/// After so many points a writer lets others in.
const BREATHE: u32 = 128;

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

/// What the value of a point means for the values before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Growth {
    /// Nothing: a level, such as a gauge or a sum that may fall.
    Level,
    /// Counted since that time (milliseconds; `None`: not known). A new start
    /// within what is kept puts a zero there, so that the first value counts
    /// as growth.
    Since(Option<i64>),
    /// Growth since that time, added up by the store.
    Delta {
        /// When the sender began to count it, where it says so.
        since: Option<i64>,
        /// Never falls: then the first one counts from zero, as with
        /// [`Growth::Since`].
        monotonic: bool,
    },
}

/// Why [`Writer::append`] did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The series is not there any more: ask [`Writer::intern`] for it again.
    Gone,
    /// The point cannot be stored.
    Dropped(DropReason),
}

impl From<DropReason> for AppendError {
    fn from(reason: DropReason) -> Self {
        Self::Dropped(reason)
    }
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
        Writer {
            inner: self.inner.write(),
            now_ms,
            touched: Vec::new(),
            since_pause: 0,
        }
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

    fn add(&mut self, labels: Labels, now_ms: i64) -> Result<SeriesRef, DropReason> {
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
    fn tap(&mut self, series: SeriesRef, need: NeedId, point: Point, is_increment: bool) {
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

/// A batch on its way into the store. Queries that need its points are told
/// when it is dropped, and so are other replicas.
#[derive(Debug)]
pub struct Writer<'a> {
    pub(super) inner: RwLockWriteGuard<'a, Inner>,
    pub(super) now_ms: i64,
    touched: Vec<NeedId>,
    since_pause: u32,
}

impl Writer<'_> {
    /// When the batch arrived.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// The series of these labels, a new one if there is none.
    ///
    /// # Errors
    /// There is no room, and none can be made: all series are needed.
    pub fn intern(&mut self, labels: Labels) -> Result<SeriesRef, DropReason> {
        self.inner.add(labels, self.now_ms)
    }

    /// Whether a reference still leads to its series.
    #[must_use]
    pub fn is_there(&self, series: SeriesRef) -> bool {
        self.inner.slots.get(series).is_some()
    }

    /// Whether a series has no point, or its last one is its end.
    #[must_use]
    pub fn has_ended(&self, series: SeriesRef) -> bool {
        let held = self.inner.slots.get(series);
        let last = held.and_then(|held| held.ring.last());
        last.is_none_or(Point::is_stale)
    }

    /// How many series there are.
    #[must_use]
    pub fn series(&self) -> usize {
        self.inner.slots.count()
    }

    /// Gives a series without points the last value of another one, at its
    /// time: of a bucket that appears, what it would have held before. Does
    /// nothing where there is no such value before `at_ms`.
    pub fn seed(&mut self, series: SeriesRef, from: SeriesRef, at_ms: i64) {
        let inner = &mut *self.inner;
        let Some(model) = inner.slots.get(from) else {
            return;
        };
        let (start_ms, last) = (model.start_ms, model.ring.last().copied());
        let Some(held) = inner.slots.get_mut(series) else {
            return;
        };
        let Some(last) = last.filter(|last| !last.is_stale() && last.at_ms < at_ms) else {
            return;
        };
        if held.ring.len() > 0 {
            return;
        }
        held.start_ms = start_ms;
        let need = held.need;
        let keep = inner.keep(need);
        // Refused only where there is no room; then it starts without a past.
        if inner.put(series.slot, last, keep, self.now_ms).is_ok() {
            inner.tap(series, need, last, false);
        }
    }

    /// Adds a point. `at_ms` is when it was measured; points may come in any
    /// order.
    ///
    /// # Errors
    /// The series is gone, or what is wrong with the point.
    pub fn append(
        &mut self,
        series: SeriesRef,
        at_ms: i64,
        value: f64,
        growth: Growth,
    ) -> Result<(), AppendError> {
        self.pause();
        let inner = &mut *self.inner;
        let need = inner.slots.get(series).ok_or(AppendError::Gone)?.need;
        let keep = inner.keep(need);
        inner.check_time(at_ms, keep, self.now_ms)?;
        let from_ms = self.now_ms - keep;
        let held = inner.slots.get_mut(series).ok_or(AppendError::Gone)?;
        held.arrived_ms = self.now_ms;
        let point = Point::new(at_ms, value);
        match growth {
            Growth::Level => {
                inner.put(series.slot, point, keep, self.now_ms)?;
                inner.tap(series, need, point, false);
            }
            Growth::Since(start) => {
                let zero = start.and_then(|start| held.opens(start, at_ms, from_ms));
                if let Some(zero) = zero {
                    inner.put(series.slot, zero, keep, self.now_ms)?;
                    inner.tap(series, need, zero, false);
                }
                inner.put(series.slot, point, keep, self.now_ms)?;
                inner.tap(series, need, point, false);
            }
            Growth::Delta { since, monotonic } => {
                held.is_summed = true;
                let place = held.ring.place(at_ms);
                // The zero that a later delta put where this one ended.
                let is_zero = held.ring.at(place).is_some_and(|at| at.at_ms == at_ms)
                    && held.increment(place) == Some(0.0);
                if is_zero && value != 0.0 {
                    held.ring.raise_from(place, value);
                    inner.tap(series, need, point, true);
                    self.touch(need);
                    return Ok(());
                }
                let before = held.ring.before(place).copied();
                if before.is_none() && held.ring.len() > 0 {
                    let first = held.ring.first().map(|first| first.at_ms);
                    return Err(if first == Some(at_ms) {
                        DropReason::Duplicate.into()
                    } else {
                        DropReason::OutOfOrder.into()
                    });
                }
                let counted = before.filter(|before| !before.is_stale());
                let zero = since
                    .filter(|_| counted.is_none() && monotonic)
                    .and_then(|start| held.opens(start, at_ms, from_ms));
                if let Some(zero) = zero {
                    inner.put(series.slot, zero, keep, self.now_ms)?;
                    inner.tap(series, need, zero, true);
                }
                let sum = counted.map_or(0.0, |before| before.value) + value;
                let placed = inner.put(series.slot, Point::new(at_ms, sum), keep, self.now_ms)?;
                if let Some(held) = inner.slots.get_mut(series) {
                    held.ring.raise_from(placed + 1, value);
                }
                inner.tap(series, need, point, true);
            }
        }
        self.touch(need);
        Ok(())
    }

    /// Ends the series: from that time on it is not there, until a later point.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn end(&mut self, series: SeriesRef, at_ms: i64) -> Result<(), AppendError> {
        let held = self.inner.slots.get_mut(series).ok_or(AppendError::Gone)?;
        if held.ring.last().is_some_and(Point::is_stale) {
            return Ok(());
        }
        self.append(series, at_ms, Point::stale(at_ms).value, Growth::Level)
    }

    pub(super) fn touch(&mut self, need: NeedId) {
        if self.inner.needs.is_needed(need) && self.touched.last() != Some(&need) {
            self.touched.push(need);
        }
    }

    /// Lets those in who wait for the lock, now and then.
    pub(super) fn pause(&mut self) {
        self.since_pause += 1;
        if self.since_pause >= BREATHE {
            self.since_pause = 0;
            // The numbers of sets are only good under one hold of the lock.
            self.inner.needs.tell(&mut self.touched);
            self.inner.tap.tell();
            RwLockWriteGuard::bump(&mut self.inner);
        }
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.inner.needs.tell(&mut self.touched);
        self.inner.tap.tell();
    }
}

impl Series {
    /// The zero that a count which started at `start_ms` begins with, if it is
    /// not there and belongs there; from then on that start is known.
    fn opens(&mut self, start_ms: i64, at_ms: i64, from_ms: i64) -> Option<Point> {
        if self.start_ms == start_ms || start_ms <= 0 {
            return None;
        }
        // A start before the last point is a clock that moves, or another
        // sender: whether the value falls will tell.
        self.start_ms = start_ms;
        let last = self.ring.last().map_or(i64::MIN, |last| last.at_ms);
        (last < start_ms && start_ms >= from_ms && start_ms < at_ms)
            .then(|| Point::new(start_ms, 0.0))
    }
}

#[cfg(test)]
mod tests;
