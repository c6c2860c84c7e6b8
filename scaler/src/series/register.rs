//! Registering queries: which series a new one needs is found by the index,
//! and told to the series a few at a time, so that no batch of points waits
//! for more than [`AT_ONCE`] of them.

use super::{
    Store,
    asked::{Asked, said},
    need::{For, QueryId, Selector},
    slots::SeriesRef,
    wanted::Wanted,
};
use std::sync::{Arc, Weak};
use tokio::sync::watch;

/// So many series are looked at under one hold of the lock.
pub(super) const AT_ONCE: usize = 1024;

impl Store {
    /// Registers what a query of this replica reads. Until the [`Registration`]
    /// is dropped, the points are kept as far back as it says, series that no
    /// query needs make room first, and other replicas are asked for theirs.
    ///
    /// Touches the series of the rarest label that each selector names; all
    /// series where it names none.
    pub fn register(self: &Arc<Self>, selectors: &[Selector]) -> Registration {
        self.register_for(selectors, For::Ourselves)
    }

    /// Registers what another replica reads: it is told of the points that
    /// arrive here. Once for all replicas that read the same.
    pub(crate) fn register_for_another(self: &Arc<Self>, selector: &Selector) -> Arc<Registration> {
        let said = said(selector);
        let mut others = self.others.lock();
        if let Some(known) = others.get(&said).and_then(Weak::upgrade) {
            return known;
        }
        let registration = self.register_for(std::slice::from_ref(selector), For::Another);
        let registration = Arc::new(registration);
        // Those that nobody holds any more leave little behind; not for long.
        if others.len() >= 2 * others.values().filter(|one| one.strong_count() > 0).count() + 16 {
            others.retain(|_, one| one.strong_count() > 0);
        }
        others.insert(said, Arc::downgrade(&registration));
        registration
    }

    fn register_for(self: &Arc<Self>, selectors: &[Selector], whose: For) -> Registration {
        let (id, arrivals) = self.inner.write().needs.add(selectors, whose);
        for selector in selectors {
            let mut walk = Walk::new(self, id, selector);
            while walk.step(self) {}
        }
        let asked = match whose {
            For::Ourselves => self.asked.add(id, selectors),
            For::Another => Asked::default(),
        };
        Registration {
            store: self.clone(),
            id,
            arrivals,
            asked,
        }
    }
}

/// The way of a new query through the series that are there. Those that come
/// meanwhile know of it already.
#[derive(Debug)]
pub(super) struct Walk {
    id: QueryId,
    wanted: Wanted,
    back: i64,
    candidates: Candidates,
    at: usize,
}

#[derive(Debug)]
enum Candidates {
    /// In these slots.
    These(Vec<u32>),
    /// In any slot below this one.
    Below(usize),
}

impl Walk {
    pub(super) fn new(store: &Store, id: QueryId, selector: &Selector) -> Self {
        let wanted = Wanted::new(&selector.matchers);
        let inner = store.inner.read();
        let candidates = match inner.rarest(&wanted) {
            Some(slots) => Candidates::These(slots.to_vec()),
            None => Candidates::Below(inner.slots.end() as usize),
        };
        Self {
            id,
            wanted,
            back: selector.back_ms(),
            candidates,
            at: 0,
        }
    }

    /// The next few. False at the end.
    pub(super) fn step(&mut self, store: &Store) -> bool {
        let len = match &self.candidates {
            Candidates::These(slots) => slots.len(),
            Candidates::Below(end) => *end,
        };
        let range = self.at..len.min(self.at + AT_ONCE);
        self.at = range.end;
        // Looked at beside queries; only what matches is written to.
        let found: Vec<SeriesRef> = {
            let inner = store.inner.read();
            let number = |at: usize| match &self.candidates {
                Candidates::These(slots) => slots.get(at).copied(),
                Candidates::Below(_) => u32::try_from(at).ok(),
            };
            range
                .filter_map(number)
                .filter(|number| {
                    let series = inner.slots.at(*number);
                    series.is_some_and(|series| self.wanted.matches(&series.labels))
                })
                .filter_map(|number| inner.slots.reference(number))
                .collect()
        };
        if !found.is_empty() {
            let mut inner = store.inner.write();
            let inner = &mut *inner;
            for series in found {
                if let Some(series) = inner.slots.get_mut(series) {
                    series.need = inner.needs.also(series.need, self.id, self.back);
                }
            }
        }
        self.at < len
    }
}

/// A query that the store knows of. Dropping it lets its series go.
#[derive(Debug)]
pub struct Registration {
    store: Arc<Store>,
    id: QueryId,
    arrivals: watch::Receiver<u64>,
    asked: Asked,
}

impl Registration {
    /// Resolves when a batch with points of these series has come since the
    /// last call. Cancel safe.
    pub async fn arrived(&mut self) {
        arrived(&mut self.arrivals).await;
    }

    /// Another one who waits for its points; good as long as the registration.
    pub(crate) fn arrivals(&self) -> Arrivals {
        Arrivals(self.arrivals.clone())
    }

    /// Whether all other replicas that are connected have told what they have
    /// of it.
    pub(crate) fn is_gathered(&self) -> bool {
        self.store.elsewhere.told() >= self.asked.revision
    }

    pub(crate) fn id(&self) -> QueryId {
        self.id
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.store.asked.remove(&self.asked);
        let mut inner = self.store.inner.write();
        inner.needs.remove(self.id);
        if !inner.needs.are_shared() {
            inner.tap.clear();
        }
    }
}

/// Waits for the points of a registered query.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals(watch::Receiver<u64>);

impl Arrivals {
    /// As [`Registration::arrived`].
    pub(crate) async fn arrived(&mut self) {
        arrived(&mut self.0).await;
    }
}

async fn arrived(arrivals: &mut watch::Receiver<u64>) {
    // The sender lives in the store as long as the registration.
    if arrivals.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests;
