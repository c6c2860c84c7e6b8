//! What the proxy measures: per target and per worker, plain atomics, no
//! label lookup on the hot path. Control renders them for `/metrics`.

mod endpoints;

pub use endpoints::{EjectionMetrics, RetryMetrics, SessionMetrics};

use http::Method;
use parking_lot::Mutex;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// Upper bounds of the duration buckets in microseconds: the HTTP add-on's,
/// with its longer ones of v0.16. One more bucket has no bound.
pub const DURATION_BOUNDS_US: [u64; 19] = [
    5_000,
    10_000,
    25_000,
    50_000,
    75_000,
    100_000,
    250_000,
    500_000,
    750_000,
    1_000_000,
    2_500_000,
    5_000_000,
    7_500_000,
    10_000_000,
    15_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
];
const BUCKETS: usize = DURATION_BOUNDS_US.len() + 1;
/// Combinations of method and code that a worker finds without a lock.
const FAST_SERIES: usize = 8;

/// What became of client connections because of their age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// Parked at the moment: idle, and their HTTP state is given back.
    pub parked: u64,
    /// Woken so far after they were parked.
    pub woken: u64,
    /// Closed so far because a request's head, or the first byte, took too
    /// long.
    pub slow_closed: u64,
    /// Closed so far because they were idle for too long.
    pub idle_closed: u64,
}

impl std::iter::Sum for ConnectionCounts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            parked: sum.parked + one.parked,
            woken: sum.woken + one.woken,
            slow_closed: sum.slow_closed + one.slow_closed,
            idle_closed: sum.idle_closed + one.idle_closed,
        })
    }
}

/// A method as a metric label: the nine standard ones, or `_OTHER`, so that
/// clients cannot invent series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MethodLabel(u8);

const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "_OTHER",
];

impl MethodLabel {
    /// The label of `method`.
    #[must_use]
    pub fn of(method: &Method) -> Self {
        Self(match *method {
            Method::GET => 0,
            Method::HEAD => 1,
            Method::POST => 2,
            Method::PUT => 3,
            Method::DELETE => 4,
            Method::CONNECT => 5,
            Method::OPTIONS => 6,
            Method::TRACE => 7,
            Method::PATCH => 8,
            _ => 9,
        })
    }

    /// Its text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        METHODS[usize::from(self.0)]
    }
}

/// A histogram of durations.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Durations {
    /// Adds one observation.
    pub fn record(&self, duration_us: u64) {
        let bucket = DURATION_BOUNDS_US.partition_point(|&bound| bound < duration_us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(duration_us, Ordering::Relaxed);
    }

    fn add_to(&self, total: &mut DurationsReading) {
        for (sum, bucket) in total.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.load(Ordering::Relaxed);
        }
        total.sum_us += self.sum_us.load(Ordering::Relaxed);
    }

    /// Its present content.
    #[must_use]
    pub fn read(&self) -> DurationsReading {
        let mut reading = DurationsReading::default();
        self.add_to(&mut reading);
        reading
    }
}

/// The content of a [`Durations`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DurationsReading {
    /// Observations per bucket (not cumulative); the last has no bound.
    pub buckets: [u64; BUCKETS],
    /// Sum of all observations in microseconds.
    pub sum_us: u64,
}

impl DurationsReading {
    /// How many observations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[derive(Debug)]
struct RequestSeries {
    method: MethodLabel,
    code: u16,
    durations: Durations,
}

/// One worker's series. Nearly all traffic of a route has a handful of
/// combinations, so a scan of a few pointers finds them; the rest is locked.
#[derive(Debug, Default)]
struct Shard {
    fast: [OnceLock<Box<RequestSeries>>; FAST_SERIES],
    rest: Mutex<Vec<Arc<RequestSeries>>>,
}

impl Shard {
    fn record(&self, method: MethodLabel, code: u16, duration_us: u64) {
        let make = || RequestSeries {
            method,
            code,
            durations: Durations::default(),
        };
        let is_it = |series: &RequestSeries| series.method == method && series.code == code;
        for slot in &self.fast {
            let series = slot.get_or_init(|| Box::new(make()));
            if is_it(series) {
                return series.durations.record(duration_us);
            }
        }
        let series = {
            let mut rest = self.rest.lock();
            let found = rest.iter().find(|series| is_it(series)).cloned();
            found.unwrap_or_else(|| {
                let made = Arc::new(make());
                rest.push(made.clone());
                made
            })
        };
        series.durations.record(duration_us);
    }
}

/// Requests by method and code, each with a histogram of durations.
#[derive(Debug)]
pub struct RequestShards {
    workers: Box<[Shard]>,
}

/// One series of [`RequestShards`], over all workers.
#[derive(Clone, Debug)]
pub struct RequestsReading {
    /// The method label.
    pub method: MethodLabel,
    /// The status code that the client saw; 499 if it left before. What the
    /// proxy itself refused has the refusal's code, also for gRPC clients,
    /// which see 200 and the reason in `grpc-status`: it tells more.
    pub code: u16,
    /// How long the requests took, the hold included.
    pub durations: DurationsReading,
}

impl RequestShards {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers.max(1)).map(|_| Shard::default()).collect(),
        }
    }

    pub(crate) fn record(&self, worker: usize, method: MethodLabel, code: u16, duration_us: u64) {
        self.workers[worker % self.workers.len()].record(method, code, duration_us);
    }

    /// All series, sorted by method and code.
    #[must_use]
    pub fn read(&self) -> Vec<RequestsReading> {
        let mut all: Vec<RequestsReading> = Vec::new();
        let mut add = |series: &RequestSeries| {
            let key = (series.method, series.code);
            let at = all.binary_search_by_key(&key, |known| (known.method, known.code));
            let at = at.unwrap_or_else(|at| {
                let durations = DurationsReading::default();
                all.insert(
                    at,
                    RequestsReading {
                        method: key.0,
                        code: key.1,
                        durations,
                    },
                );
                at
            });
            series.durations.add_to(&mut all[at].durations);
        };
        for worker in &self.workers {
            worker
                .fast
                .iter()
                .filter_map(OnceLock::get)
                .for_each(|series| add(series));
            worker.rest.lock().iter().for_each(|series| add(series));
        }
        all
    }
}

/// How the waits of a target's requests ended. Written on the cold path only.
#[derive(Debug, Default)]
pub struct HoldMetrics {
    /// Released to an endpoint.
    pub ready: Durations,
    /// Refused: deadline, target given up, shutdown.
    pub refused: Durations,
    /// The client left.
    pub cancelled: Durations,
    /// Released to an endpoint after a wait for a place on one: all had as
    /// many requests as they may.
    pub placed: Durations,
    /// Not held because a bound was reached.
    pub rejected: AtomicU64,
}

/// Everything measured about one target.
#[derive(Debug)]
pub struct TargetMetrics {
    /// Requests by method and code.
    pub requests: RequestShards,
    /// Waits.
    pub holds: HoldMetrics,
    /// Requests sent to an endpoint again after a failure.
    pub retries: RetryMetrics,
    /// Endpoints that left the rotation.
    pub ejections: EjectionMetrics,
    /// Sessions.
    pub sessions: SessionMetrics,
    /// Connections to endpoints that could not be made.
    pub connect_failures: AtomicU64,
    /// The longest wait of the last time that requests were released, in µs.
    pub last_cold_start_us: AtomicU64,
}

impl TargetMetrics {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            requests: RequestShards::new(workers),
            holds: HoldMetrics::default(),
            retries: RetryMetrics::default(),
            ejections: EjectionMetrics::default(),
            sessions: SessionMetrics::default(),
            connect_failures: AtomicU64::new(0),
            last_cold_start_us: AtomicU64::new(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let durations = Durations::default();
        for us in [0, 5_000, 5_001, 300_000_000, 300_000_001] {
            durations.record(us);
        }
        let reading = durations.read();
        assert_eq!((reading.buckets[0], reading.buckets[1]), (2, 1));
        assert_eq!((reading.buckets[18], reading.buckets[19]), (1, 1));
        assert_eq!(reading.count(), 5);
        assert_eq!(reading.sum_us, 600_010_002);
    }

    #[test]
    fn more_combinations_than_fast_slots_are_all_counted_once() {
        let requests = RequestShards::new(2);
        for round in 0..3u64 {
            for code in 200..230 {
                requests.record(
                    usize::from(code % 3),
                    MethodLabel::of(&Method::GET),
                    code,
                    round,
                );
            }
        }
        let all = requests.read();
        assert_eq!(all.len(), 30);
        assert!(all.iter().all(|series| series.durations.count() == 3));
    }

    #[test]
    fn methods_that_clients_invent_share_one_label() {
        let invented = Method::from_bytes(b"BREW").expect("a token");
        assert_eq!(MethodLabel::of(&invented).as_str(), "_OTHER");
        assert_eq!(MethodLabel::of(&Method::PATCH).as_str(), "PATCH");
    }
}
