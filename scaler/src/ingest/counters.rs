//! What receivers count about themselves, and when each of them last heard
//! something: the difference between a quiet metric and a blind ingest.
//!
//! Plain atomics; [`IngestCounters::read`] is rendered by whoever serves
//! `/metrics`.

use super::Outcome;
use crate::series::DropReason;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

const REASONS: usize = DropReason::ALL.len();

/// How points come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// OTLP over gRPC.
    OtlpGrpc,
    /// OTLP over HTTP.
    OtlpHttp,
    /// The OpenCensus agent's protocol.
    OpenCensus,
    /// Pages that we fetch.
    Scrape,
    /// Other replicas, which tell what arrived there.
    Peer,
}

impl Source {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 5] = [
        Self::OtlpGrpc,
        Self::OtlpHttp,
        Self::OpenCensus,
        Self::Scrape,
        Self::Peer,
    ];

    /// For `/metrics`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OtlpGrpc => "otlp_grpc",
            Self::OtlpHttp => "otlp_http",
            Self::OpenCensus => "opencensus",
            Self::Scrape => "scrape",
            Self::Peer => "peer",
        }
    }
}

/// Counters of all sources. Share it in an `Arc`.
#[derive(Debug, Default)]
pub struct IngestCounters([OfSource; Source::ALL.len()]);

#[derive(Debug, Default)]
struct OfSource {
    requests: AtomicU64,
    refused: AtomicU64,
    discarded: AtomicU64,
    accepted: AtomicU64,
    dropped: [AtomicU64; REASONS],
    last_arrival_ms: AtomicI64,
}

/// The counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngestReading {
    /// Each source, in the order of [`Source::ALL`].
    pub sources: Vec<(Source, SourceReading)>,
}

/// The counters of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceReading {
    /// Requests that were read, in whole or in part; pages that were fetched.
    pub requests: u64,
    /// Requests that were turned away: not readable, too large, too many; pages
    /// that were not to be had.
    pub refused: u64,
    /// Messages that are no metrics: taken, and thrown away.
    pub discarded: u64,
    /// Data points that were stored.
    pub accepted: u64,
    /// Data points that were not, by reason, those that occurred.
    pub dropped: Vec<(DropReason, u64)>,
    /// When a data point last was stored, or a page fetched: milliseconds since
    /// the Unix epoch.
    pub last_arrival_ms: Option<i64>,
}

impl IngestCounters {
    /// A request of `source` was read at `now_ms`.
    pub fn took(&self, source: Source, outcome: &Outcome, now_ms: i64) {
        let of = &self.0[source as usize];
        of.requests.fetch_add(1, Ordering::Relaxed);
        of.accepted.fetch_add(outcome.accepted(), Ordering::Relaxed);
        for (reason, count) in outcome.dropped() {
            of.dropped[reason as usize].fetch_add(count, Ordering::Relaxed);
        }
        // Another replica says itself when points arrived there.
        if outcome.accepted() > 0 && source != Source::Peer {
            of.last_arrival_ms.fetch_max(now_ms, Ordering::Relaxed);
        }
    }

    /// `source` answered at `now_ms`, perhaps without a point that is wanted, or
    /// another replica says so: it is alive.
    pub fn heard(&self, source: Source, now_ms: i64) {
        self.0[source as usize]
            .last_arrival_ms
            .fetch_max(now_ms, Ordering::Relaxed);
    }

    /// A request of `source` was turned away.
    pub fn refused(&self, source: Source) {
        self.0[source as usize]
            .refused
            .fetch_add(1, Ordering::Relaxed);
    }

    /// A message of `source` was thrown away, because it is no metrics.
    pub fn discarded(&self, source: Source) {
        self.0[source as usize]
            .discarded
            .fetch_add(1, Ordering::Relaxed);
    }

    /// When a data point last was stored or a page fetched, whatever the source:
    /// milliseconds since the Unix epoch.
    #[must_use]
    pub fn last_arrival_ms(&self) -> Option<i64> {
        let all = self.0.iter();
        let last = all.map(|of| of.last_arrival_ms.load(Ordering::Relaxed));
        last.max().filter(|at| *at > 0)
    }

    /// The same, without what arrived at other replicas.
    pub(crate) fn last_arrival_here_ms(&self) -> Option<i64> {
        let all = Source::ALL.into_iter().zip(&self.0);
        let here = all.filter(|(source, _)| *source != Source::Peer);
        let last = here.map(|(_, of)| of.last_arrival_ms.load(Ordering::Relaxed));
        last.max().filter(|at| *at > 0)
    }

    /// All counters. Each is exact; together they are not of one instant.
    #[must_use]
    pub fn read(&self) -> IngestReading {
        let reading = |of: &OfSource| SourceReading {
            requests: of.requests.load(Ordering::Relaxed),
            refused: of.refused.load(Ordering::Relaxed),
            discarded: of.discarded.load(Ordering::Relaxed),
            accepted: of.accepted.load(Ordering::Relaxed),
            dropped: DropReason::ALL
                .into_iter()
                .zip(&of.dropped)
                .map(|(reason, count)| (reason, count.load(Ordering::Relaxed)))
                .filter(|(_, count)| *count > 0)
                .collect(),
            last_arrival_ms: Some(of.last_arrival_ms.load(Ordering::Relaxed)).filter(|at| *at > 0),
        };
        let sources = Source::ALL.into_iter().zip(&self.0);
        IngestReading {
            sources: sources.map(|(source, of)| (source, reading(of))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_listed_in_the_order_of_their_discriminants() {
        for (index, source) in Source::ALL.into_iter().enumerate() {
            assert_eq!(source as usize, index);
        }
    }

    #[test]
    fn each_source_counts_for_itself() {
        let counters = IngestCounters::default();
        assert_eq!(counters.last_arrival_ms(), None);
        let mut outcome = Outcome::default();
        outcome.refuse(3, DropReason::TooOld, "x");
        counters.took(Source::OtlpHttp, &outcome, 5);
        outcome.accept();
        counters.took(Source::OtlpHttp, &outcome, 7);
        counters.refused(Source::OtlpHttp);
        counters.discarded(Source::OtlpHttp);
        assert_eq!(counters.last_arrival_ms(), Some(7));
        let reading = counters.read();
        assert_eq!(reading.sources[0].1, SourceReading::default());
        assert_eq!(
            reading.sources[1].1,
            SourceReading {
                requests: 2,
                refused: 1,
                discarded: 1,
                accepted: 1,
                dropped: vec![(DropReason::TooOld, 6)],
                last_arrival_ms: Some(7),
            }
        );
    }

    #[test]
    fn an_answer_without_points_is_a_sign_of_life() {
        let counters = IngestCounters::default();
        counters.heard(Source::Scrape, 9);
        assert_eq!(counters.last_arrival_ms(), Some(9));
        assert_eq!(counters.read().sources[2].1.accepted, 0);
    }
}
