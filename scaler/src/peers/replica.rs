//! Another replica, as its shares see it: who it is, and until when what it
//! reported as in flight counts.
//!
//! One per identity, made by [`super::replicas`], held by every share of it.

use super::identity::Identity;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Another replica.
#[derive(Debug)]
pub(crate) struct Replica {
    identity: Identity,
    name: String,
    /// Microseconds of our clock; the largest number while it is connected.
    counts_until_us: AtomicU64,
}

impl Replica {
    pub(crate) fn new(identity: Identity, name: String) -> Self {
        Self {
            identity,
            name,
            counts_until_us: AtomicU64::new(u64::MAX),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// What operators call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Until when its requests in flight count.
    pub(crate) fn counts_until_us(&self) -> u64 {
        self.counts_until_us.load(Ordering::Acquire)
    }

    /// It is connected.
    pub(crate) fn connected(&self) {
        self.counts_until_us.store(u64::MAX, Ordering::Release);
    }

    /// Its connection broke at `now_us`.
    pub(crate) fn lost(&self, now_us: u64, grace: Duration) {
        let grace_us = u64::try_from(grace.as_micros()).unwrap_or(u64::MAX);
        self.counts_until_us
            .store(now_us.saturating_add(grace_us), Ordering::Release);
    }

    /// It said goodbye at `now_us`.
    pub(crate) fn left(&self, now_us: u64) {
        self.counts_until_us.store(now_us, Ordering::Release);
    }
}
