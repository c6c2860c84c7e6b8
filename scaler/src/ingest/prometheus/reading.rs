//! What a source does, for operators: counted by its targets, read by whoever
//! serves `/metrics` and `/api/v1/sources`.

use super::SourceId;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A source at one moment.
#[derive(Clone, Debug)]
pub struct SourceReading {
    /// Which one.
    pub id: SourceId,
    /// Why its targets are not what they should be, such as a file that cannot
    /// be read; those that were known stay.
    pub problem: Option<String>,
    /// Its targets, by address.
    pub targets: Vec<TargetReading>,
    /// Pages that were read.
    pub pages: u64,
    /// Pages that were not to be had.
    pub failures: u64,
    /// How long all of them took together.
    pub took: Duration,
    /// Bytes of all pages, after decompression.
    pub bytes: u64,
}

/// A target at one moment.
#[derive(Clone, Debug)]
pub struct TargetReading {
    /// Where it is.
    pub address: String,
    /// The labels that its series get.
    pub labels: BTreeMap<String, String>,
    /// Another replica fetches it.
    pub is_elsewhere: bool,
    /// What the last try gave; `None` before the first one.
    pub last: Option<LastScrape>,
}

/// What a try to fetch a page gave.
#[derive(Clone, Debug)]
pub struct LastScrape {
    /// When it was begun: milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// How long it took.
    pub took: Duration,
    /// Why there was no page.
    pub error: Option<String>,
    /// Samples that were stored.
    pub samples: u64,
    /// Lines and samples that were not.
    pub dropped: u64,
    /// Why they were not, with an example; empty if all were.
    pub problems: String,
    /// Bytes of the page, after decompression.
    pub bytes: usize,
}

/// What the targets of a source count.
#[derive(Debug, Default)]
pub(super) struct SourceCounters {
    pages: AtomicU64,
    failures: AtomicU64,
    took_us: AtomicU64,
    bytes: AtomicU64,
}

impl SourceCounters {
    pub(super) fn count(&self, scrape: &LastScrape) {
        let us = u64::try_from(scrape.took.as_micros()).unwrap_or(u64::MAX);
        self.took_us.fetch_add(us, Ordering::Relaxed);
        self.bytes.fetch_add(scrape.bytes as u64, Ordering::Relaxed);
        let of = if scrape.error.is_none() {
            &self.pages
        } else {
            &self.failures
        };
        of.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self, id: SourceId) -> SourceReading {
        SourceReading {
            id,
            problem: None,
            targets: Vec::new(),
            pages: self.pages.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            took: Duration::from_micros(self.took_us.load(Ordering::Relaxed)),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

/// The last try of a target, shared with its task.
#[derive(Debug, Default)]
pub(super) struct Shown(Mutex<Option<LastScrape>>);

impl Shown {
    pub(super) fn set(&self, scrape: LastScrape) {
        *self.0.lock() = Some(scrape);
    }

    pub(super) fn get(&self) -> Option<LastScrape> {
        self.0.lock().clone()
    }
}
