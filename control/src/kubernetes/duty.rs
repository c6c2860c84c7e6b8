//! What this replica writes for all of them: whether it holds the Lease, and
//! what became of each write.
//!
//! Counted by the writers and by the Lease, read by `/metrics`.

use super::failure::Failure;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// What this replica writes for all of them.
#[derive(Debug, Default)]
pub struct Duty {
    holds: AtomicBool,
    transitions: AtomicU64,
    writes: Mutex<Writes>,
}

/// Writes by resource and result.
type Writes = BTreeMap<(&'static str, &'static str), u64>;

impl Duty {
    /// Does it hold the Lease?
    #[must_use]
    pub fn holds(&self) -> bool {
        self.holds.load(Ordering::Relaxed)
    }

    /// How often it took the Lease or lost it.
    #[must_use]
    pub fn transitions(&self) -> u64 {
        self.transitions.load(Ordering::Relaxed)
    }

    /// Writes so far, by resource and result: `ok`, or why not.
    #[must_use]
    pub fn writes(&self) -> Writes {
        self.writes.lock().clone()
    }

    pub(super) fn set_holds(&self, holds: bool) {
        if self.holds.swap(holds, Ordering::Relaxed) != holds {
            self.transitions.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a write, and hands its result on.
    pub(super) fn wrote<T>(
        &self,
        resource: &'static str,
        result: Result<T, Failure>,
    ) -> Result<T, Failure> {
        let word = result.as_ref().map_or_else(Failure::reason, |_| "ok");
        *self.writes.lock().entry((resource, word)).or_default() += 1;
        result
    }
}
