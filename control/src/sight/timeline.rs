//! What happened to each target, second by second, for 15 minutes.
//!
//! A second is kept only if something was counted in it or a gauge is another
//! one than before, so an idle target costs its last reading and nothing else.
//! All rows together are bounded: where many targets are busy, each has a
//! shorter past.

use proxy::{HoldRefusal, TargetId};
use serde::Serialize;
use std::collections::{HashMap, VecDeque};

/// How far back, in seconds.
const SECONDS: u32 = 15 * 60;

/// Rows of all targets together: 24 bytes each, so at most 24 MB, and twice
/// that while their lists grow.
const MOST_ROWS: usize = 1_000_000;

/// Rows that a target may have, however many are busy. With 10,000 busy ones
/// each has more than this.
const LEAST_ROWS: usize = 60;

/// Sweeps for which a target is kept without being recorded: idle ones are not
/// looked at each second.
const KEPT_FOR: u64 = 20;

/// What is counted, since the target is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests begun.
    pub requests: u64,
    /// Times it was woken.
    pub activations: u64,
    /// Requests that waited for an endpoint and got one.
    pub cold_starts: u64,
    /// Requests that were refused while nobody served it.
    pub refused: [u64; HoldRefusal::ALL.len()],
}

/// What is so at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gauges {
    /// Requests begun and not ended.
    pub in_flight: u32,
    /// Requests that wait.
    pub held: u32,
    /// Replicas wanted, where that is known.
    pub replicas: u16,
    /// Endpoints.
    pub endpoints: u16,
    /// State, activity, and what else a look should show.
    #[serde(skip)]
    pub look: u16,
}

/// A second: when (Unix time), requests, in flight, held, replicas, endpoints,
/// activations, cold starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Row(u32, u32, u32, u32, u16, u16, u16, u16);

/// The names of a row's columns.
const COLUMNS: [&str; 8] = [
    "at",
    "requests",
    "inFlight",
    "held",
    "replicas",
    "endpoints",
    "activations",
    "coldStarts",
];

impl Row {
    fn gauges(self) -> Gauges {
        Gauges {
            in_flight: self.2,
            held: self.3,
            replicas: self.4,
            endpoints: self.5,
            look: 0,
        }
    }
}

/// The past of a target. Gauges hold until the next row says otherwise; counts
/// are of one second, zero where there is no row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimelineView {
    /// Unix time.
    now: u32,
    /// How far back rows can reach.
    seconds: u32,
    /// Gauges before the first row.
    before: Gauges,
    columns: [&'static str; 8],
    rows: Vec<Row>,
}

/// What a recording showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    pub(super) is_news: bool,
    pub(super) refused: [u64; HoldRefusal::ALL.len()],
    /// Replicas before and now, where they are others.
    pub(super) scaled: Option<(u16, u16)>,
}

/// The past of all targets.
#[derive(Debug, Default)]
pub(super) struct Timelines {
    lines: HashMap<TargetId, Line>,
    /// Targets with rows.
    busy: usize,
    sweeps: u64,
}

#[derive(Debug, Default)]
struct Line {
    counts: Counts,
    gauges: Gauges,
    before: Gauges,
    rows: VecDeque<Row>,
    /// The sweep before which it was last recorded.
    seen: u64,
}

impl Timelines {
    pub(super) fn record(
        &mut self,
        id: &TargetId,
        now: u32,
        counts: Counts,
        gauges: Gauges,
    ) -> News {
        let most_rows = (MOST_ROWS / self.busy.max(1)).clamp(LEAST_ROWS, SECONDS as usize);
        // Both began to count at zero.
        let is_new = !self.lines.contains_key(id);
        let line = match is_new {
            true => self.lines.entry(id.clone()).or_default(),
            false => self.lines.get_mut(id).expect("it was found"),
        };
        line.seen = self.sweeps;
        let was = std::mem::replace(&mut line.counts, counts);
        // A target that was made anew counts from zero.
        let news = |now: u64, was: u64| now.checked_sub(was).unwrap_or(now);
        let requests = news(counts.requests, was.requests);
        let activations = news(counts.activations, was.activations);
        let cold_starts = news(counts.cold_starts, was.cold_starts);
        let refused = std::array::from_fn(|at| news(counts.refused[at], was.refused[at]));
        let was = std::mem::replace(&mut line.gauges, gauges);
        let is_same = Gauges { look: 0, ..was } == Gauges { look: 0, ..gauges };
        let is_row = requests > 0 || activations > 0 || cold_starts > 0 || !is_same;
        if is_row {
            let small = |count: u64| u16::try_from(count).unwrap_or(u16::MAX);
            line.rows.push_back(Row(
                now,
                u32::try_from(requests).unwrap_or(u32::MAX),
                gauges.in_flight,
                gauges.held,
                gauges.replicas,
                gauges.endpoints,
                small(activations),
                small(cold_starts),
            ));
            while line.rows.len() > most_rows {
                line.forget_first();
            }
        }
        News {
            is_news: is_new || is_row || was.look != gauges.look,
            refused,
            scaled: (was.replicas != gauges.replicas).then_some((was.replicas, gauges.replicas)),
        }
    }

    /// Forgets what is too old, and targets that were not recorded for
    /// [`KEPT_FOR`] sweeps.
    pub(super) fn sweep(&mut self, now: u32) {
        let (sweeps, oldest) = (self.sweeps, now.saturating_sub(SECONDS));
        self.lines.retain(|_, line| {
            while line.rows.front().is_some_and(|row| row.0 < oldest) {
                line.forget_first();
            }
            if line.rows.is_empty() {
                line.rows = VecDeque::new();
            }
            sweeps - line.seen < KEPT_FOR
        });
        self.busy = self.lines.values().filter(|l| !l.rows.is_empty()).count();
        self.sweeps += 1;
    }

    pub(super) fn view(&self, id: &TargetId, now: u32) -> TimelineView {
        let line = self.lines.get(id);
        TimelineView {
            now,
            seconds: SECONDS,
            before: line.map_or_else(Gauges::default, |line| line.before),
            columns: COLUMNS,
            rows: line.map_or_else(Vec::new, |line| line.rows.iter().copied().collect()),
        }
    }

    pub(super) fn last_row(&self, id: &TargetId) -> Option<Row> {
        self.lines.get(id)?.rows.back().copied()
    }
}

impl Line {
    fn forget_first(&mut self) {
        if let Some(first) = self.rows.pop_front() {
            self.before = first.gauges();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> TargetId {
        TargetId::new("ns", name)
    }

    fn counts(requests: u64) -> Counts {
        Counts {
            requests,
            ..Counts::default()
        }
    }

    fn held(held: u32) -> Gauges {
        Gauges {
            held,
            ..Gauges::default()
        }
    }

    #[test]
    fn an_idle_target_has_no_rows_and_a_busy_one_the_last_15_minutes() {
        let mut all = Timelines::default();
        for second in 0..2_000u32 {
            all.record(&id("idle"), second, counts(0), held(0));
            all.record(&id("busy"), second, counts(u64::from(second)), held(1));
            all.sweep(second);
        }
        assert!(all.lines[&id("idle")].rows.is_empty());
        let busy = all.view(&id("busy"), 1_999);
        assert_eq!((busy.rows.len(), busy.before.held), (900, 1));
        assert_eq!(busy.rows[899], Row(1_999, 1, 0, 1, 0, 0, 0, 0));
        assert_eq!(busy.rows[0].0, 1_100);
    }

    #[test]
    fn rows_of_many_busy_targets_are_bounded_together() {
        let mut all = Timelines::default();
        let ids: Vec<TargetId> = (0..10_000).map(|n| id(&n.to_string())).collect();
        for second in 0..130u32 {
            for id in &ids {
                all.record(id, second, counts(u64::from(second)), held(second % 2));
            }
            all.sweep(second);
        }
        let rows: usize = all.lines.values().map(|line| line.rows.len()).sum();
        assert_eq!(rows, MOST_ROWS);
        assert!(size_of::<Row>() <= 24);
        let one = all.view(&ids[0], 129);
        assert_eq!(one.rows.len(), 100);
        assert_eq!(one.before.held, one.rows[1].3, "gauges go on");
    }

    #[test]
    fn a_target_that_goes_is_forgotten_and_one_made_anew_counts_from_zero() {
        let mut all = Timelines::default();
        all.record(&id("web"), 1, counts(10), held(0));
        all.sweep(1);
        let news = all.record(&id("web"), 2, counts(3), held(0));
        assert!(news.is_news);
        assert_eq!(all.last_row(&id("web")).map(|row| row.1), Some(3));
        for _ in 0..KEPT_FOR {
            assert_eq!(all.lines.len(), 1);
            all.sweep(2);
        }
        all.sweep(3);
        assert!(all.lines.is_empty());
    }

    #[test]
    fn refusals_are_told_and_a_look_is_news_without_a_row() {
        let mut all = Timelines::default();
        all.record(&id("web"), 1, counts(0), held(0));
        let mut refused = counts(0);
        refused.refused[1] = 5;
        let news = all.record(&id("web"), 2, refused, held(0));
        assert_eq!((news.is_news, news.refused[1]), (false, 5));
        let look = Gauges { look: 3, ..held(0) };
        assert!(all.record(&id("web"), 3, refused, look).is_news);
        assert!(all.view(&id("web"), 3).rows.is_empty());
    }
}
