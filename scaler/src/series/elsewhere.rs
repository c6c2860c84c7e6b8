//! Other places where points of our queries may have arrived, and up to which
//! question each of them has told what it has.
//!
//! `crate::peers` has one [`Place`] per replica that it gathers from. A query
//! that is new knows nothing until all of them have told.

use super::Store;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// All places.
#[derive(Debug, Default)]
pub(super) struct Elsewhere(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    next: u64,
    /// What each has told.
    told: BTreeMap<u64, u64>,
}

impl Elsewhere {
    /// The revision of questions that all places have answered.
    pub(super) fn told(&self) -> u64 {
        self.0.lock().least()
    }

    fn change(&self, change: impl FnOnce(&mut Places)) -> (u64, u64) {
        let mut places = self.0.lock();
        let before = places.least();
        change(&mut places);
        (before, places.least())
    }
}

impl Places {
    fn least(&self) -> u64 {
        self.told.values().min().copied().unwrap_or(u64::MAX)
    }
}

/// One place. Dropping it means that nothing is to be expected from there.
#[derive(Debug)]
pub(crate) struct Place {
    store: Arc<Store>,
    number: u64,
}

impl Store {
    /// A place from which answers are to be expected.
    pub(crate) fn expect_from_elsewhere(self: &Arc<Self>) -> Place {
        let mut number = 0;
        self.elsewhere.change(|places| {
            number = places.next;
            places.next += 1;
            places.told.insert(number, 0);
        });
        Place {
            store: self.clone(),
            number,
        }
    }

    /// Has those look again whose question is answered now.
    fn answered(&self, (before, now): (u64, u64)) {
        if before < now {
            let answered = self.asked.queries(before + 1..=now);
            self.inner.read().needs.stir(answered);
        }
    }
}

impl Place {
    /// It has told what it has for questions up to this revision.
    pub(crate) fn told(&self, revision: u64) {
        let change = self.store.elsewhere.change(|places| {
            let told = places.told.entry(self.number).or_default();
            *told = revision.max(*told);
        });
        self.store.answered(change);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let change = self.store.elsewhere.change(|places| {
            places.told.remove(&self.number);
        });
        self.store.answered(change);
    }
}
