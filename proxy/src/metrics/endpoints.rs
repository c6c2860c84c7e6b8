//! What a target's requests met at its endpoints. Written on the cold path
//! only: each of these is a failure, a wait or a new session.

use crate::endpoint::EjectReason;
use std::sync::atomic::{AtomicU64, Ordering};

/// Requests that were sent to an endpoint once more, by reason.
#[derive(Debug, Default)]
pub struct RetryMetrics {
    /// No connection could be made: nothing had been sent.
    pub connect: AtomicU64,
    /// The endpoint said that it did nothing (HTTP/2).
    pub refused: AtomicU64,
    /// The connection broke before an answer; of the retry budget.
    pub reset: AtomicU64,
    /// Not sent again because the retry budget was spent.
    pub budget_exhausted: AtomicU64,
}

impl RetryMetrics {
    /// Requests that an endpoint may have seen and that were sent once more.
    #[must_use]
    pub fn resent(&self) -> u64 {
        self.refused.load(Ordering::Relaxed) + self.reset.load(Ordering::Relaxed)
    }
}

/// Endpoints that left the rotation, by reason.
#[derive(Debug, Default)]
pub struct EjectionMetrics([AtomicU64; EjectReason::ALL.len()]);

impl EjectionMetrics {
    pub(crate) fn of(&self, reason: EjectReason) -> &AtomicU64 {
        &self.0[reason as usize]
    }

    /// How many for `reason`.
    #[must_use]
    pub fn count(&self, reason: EjectReason) -> u64 {
        self.of(reason).load(Ordering::Relaxed)
    }
}

/// Sessions by cookie.
#[derive(Debug, Default)]
pub struct SessionMetrics {
    /// Begun: the request had no valid cookie.
    pub started: AtomicU64,
    /// Moved: the session's endpoint was gone.
    pub moved: AtomicU64,
}
