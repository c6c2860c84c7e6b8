//! Changes: told whenever other routes or other endpoints are served.
//!
//! One for the proxy and all of its targets. Control's parts that show the
//! present state elsewhere follow it and then look for themselves; nothing of
//! the hot path touches it.

use tokio::sync::watch;

/// Counts changes. Cheap to share in an `Arc`.
#[derive(Debug)]
pub struct Changes(watch::Sender<u64>);

impl Default for Changes {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Changes {
    /// Something is other than before. Never blocks.
    pub(crate) fn tell(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Follows them: several in quick succession are one.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}
