//! Demand: how much is asked of one target, exactly.
//!
//! Each worker adds to a shard of its own; the scaler's sampler reads all
//! shards. A shard keeps four sums that only grow: requests begun, requests
//! ended, the sum of begin times and the sum of end times. From two readings
//! of them the *time integral* of concurrency over the interval follows, so
//! the mean is exact: a request that lives 5 ms between two readings counts
//! as 5 ms, it cannot be missed.
//!
//! Written on the hot path: two relaxed additions at the begin and two at the
//! end of a request, on a cache line that no other worker writes. Never a
//! lock, never a loop.
//!
//! Counts and times must be read *together*, or a request that is counted but
//! whose time is not yet added would weigh as much as the process is old. So
//! each time sum carries its own count in its low bits; see [`Stamped`].

use crate::sync::{AtomicU64, Ordering};
use crossbeam_utils::CachePadded;

/// Bits of a stamped sum that hold the count.
const COUNT_BITS: u32 = 12;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
/// Time sums are modulo 2^52 µs·requests: differences are right as long as
/// one sampling interval holds less than 142 request-years.
const TIME_MASK: u64 = u64::MAX >> COUNT_BITS;

/// A count, and the sum of the times of what was counted, which can be read
/// consistently although they are two words: the word with the times repeats
/// the count modulo 4096, and a reader trusts the times' word and corrects
/// the other one by the few additions that were under way.
#[derive(Debug)]
struct Stamped {
    times: AtomicU64,
    count: AtomicU64,
}

impl Stamped {
    fn new() -> Self {
        Self {
            times: AtomicU64::new(0),
            count: AtomicU64::new(0),
        }
    }

    fn add(&self, at_us: u64) {
        // Release: whoever sees an end must see the begin that preceded it,
        // or in-flight would be negative for a moment.
        self.times
            .fetch_add((at_us << COUNT_BITS) | 1, Ordering::Release);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// (count, sum of times modulo 2^52)
    fn read(&self) -> (u64, u64) {
        let times = self.times.load(Ordering::Acquire);
        let near = self.count.load(Ordering::Relaxed);
        let ahead = times.wrapping_sub(near) & COUNT_MASK;
        // More than half the range "ahead" means that the count ran ahead of
        // the times' word between the two loads.
        let count = if ahead > COUNT_MASK / 2 {
            near.wrapping_sub(COUNT_MASK + 1 - ahead)
        } else {
            near.wrapping_add(ahead)
        };
        (count, times.wrapping_sub(count) >> COUNT_BITS)
    }
}

#[derive(Debug)]
struct Shard {
    begun: Stamped,
    ended: Stamped,
}

/// The demand counters of one target.
#[derive(Debug)]
pub struct Demand {
    shards: Box<[CachePadded<Shard>]>,
}

impl Demand {
    /// Counters for `workers` writers (at least one shard is made).
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let shard = || {
            CachePadded::new(Shard {
                begun: Stamped::new(),
                ended: Stamped::new(),
            })
        };
        Self {
            shards: (0..workers.max(1)).map(|_| shard()).collect(),
        }
    }

    /// A request begins at `now_us` (microseconds of the proxy's clock).
    pub fn begin(&self, worker: usize, now_us: u64) {
        self.shard(worker).begun.add(now_us);
    }

    /// A request ends. The worker may be another one than at the begin.
    pub fn end(&self, worker: usize, now_us: u64) {
        self.shard(worker).ended.add(now_us);
    }

    /// All shards summed up at `now_us`.
    #[must_use]
    pub fn totals(&self, now_us: u64) -> Totals {
        // Ends first: each end that is seen has its begin seen after it.
        let (mut ended, mut end_times) = (0u64, 0u64);
        for shard in &self.shards {
            let (count, times) = shard.ended.read();
            ended = ended.wrapping_add(count);
            end_times = end_times.wrapping_add(times);
        }
        let (mut begun, mut begin_times) = (0u64, 0u64);
        for shard in &self.shards {
            let (count, times) = shard.begun.read();
            begun = begun.wrapping_add(count);
            begin_times = begin_times.wrapping_add(times);
        }
        let area_us = now_us
            .wrapping_mul(begun.wrapping_sub(ended))
            .wrapping_add(end_times)
            .wrapping_sub(begin_times)
            & TIME_MASK;
        Totals {
            at_us: now_us,
            begun,
            ended,
            area_us,
        }
    }

    fn shard(&self, worker: usize) -> &Shard {
        &self.shards[worker % self.shards.len()]
    }
}

/// A reading of [`Demand`]. Only differences of two readings mean something,
/// except for [`Totals::in_flight`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// When it was read, in microseconds of the proxy's clock.
    pub at_us: u64,
    /// Requests begun so far.
    pub begun: u64,
    /// Requests ended so far.
    pub ended: u64,
    /// Integral of concurrency from the start until `at_us`, in
    /// request-microseconds modulo 2^52.
    area_us: u64,
}

impl Totals {
    /// A reading of counters in another process, told in numbers. `busy_us` is
    /// modulo 2^52, as [`Totals::busy_us`] gives it.
    #[must_use]
    pub fn from_parts(at_us: u64, begun: u64, ended: u64, busy_us: u64) -> Self {
        Self {
            at_us,
            begun,
            ended,
            area_us: busy_us & TIME_MASK,
        }
    }

    /// Request-microseconds from the start until `at_us`, modulo 2^52.
    #[must_use]
    pub fn busy_us(&self) -> u64 {
        self.area_us
    }

    /// This reading as it is at `at_us` if nothing begins or ends until then.
    /// Itself for a time that has passed.
    #[must_use]
    pub fn unchanged_until(&self, at_us: u64) -> Self {
        let Some(elapsed) = at_us.checked_sub(self.at_us) else {
            return *self;
        };
        let gained = self.in_flight().wrapping_mul(elapsed);
        let busy_us = self.area_us.wrapping_add(gained);
        Self::from_parts(at_us, self.begun, self.ended, busy_us)
    }

    /// Requests begun and not ended: held, forwarded, streaming.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.begun.wrapping_sub(self.ended)
    }

    /// Requests begun after `earlier`.
    #[must_use]
    pub fn begun_since(&self, earlier: &Totals) -> u64 {
        self.begun.wrapping_sub(earlier.begun)
    }

    /// Request-microseconds spent since `earlier`.
    #[must_use]
    pub fn busy_us_since(&self, earlier: &Totals) -> u64 {
        let area = self.area_us.wrapping_sub(earlier.area_us) & TIME_MASK;
        // A begin between the clock's reading and the counters' is in the
        // future of this reading; the tiny negative area it leaves is zero.
        if area > TIME_MASK / 2 { 0 } else { area }
    }

    /// Mean concurrency since `earlier`: exact, not sampled. Over an empty
    /// interval, what is in flight now.
    #[must_use]
    pub fn mean_concurrency_since(&self, earlier: &Totals) -> f64 {
        let elapsed = self.at_us.saturating_sub(earlier.at_us);
        if elapsed == 0 {
            return self.in_flight() as f64;
        }
        self.busy_us_since(earlier) as f64 / elapsed as f64
    }
}
