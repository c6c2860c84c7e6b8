//! How many connections may be tunnels at the same time, those that ask to
//! become one included. Each costs two sockets and two buffers for as long as
//! its two sides like.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

#[derive(Debug)]
pub(crate) struct UpgradeLimit {
    most: usize,
    taken: AtomicUsize,
}

impl UpgradeLimit {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            taken: AtomicUsize::new(0),
        })
    }

    /// A place, if one is free. Dropping it frees it.
    pub(super) fn take(self: &Arc<Self>) -> Option<UpgradePlace> {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        let place = UpgradePlace(self.clone());
        (taken < self.most).then_some(place)
    }
}

/// One of the places of an [`UpgradeLimit`].
#[derive(Debug)]
pub(super) struct UpgradePlace(Arc<UpgradeLimit>);

impl Drop for UpgradePlace {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
