//! Attention: which targets the sampler has to begin to look at.
//!
//! Most of thousands of targets rest: nothing is asked of them, nobody was told
//! otherwise, and their windows say so. Looking at each ten times a second
//! would cost a tenth of a core, so they are left alone until something happens:
//! the proxy tells of the next request, peers and reporters of what they
//! counted. Whoever learns of it calls here, from any thread; the sampler takes
//! the names.

use parking_lot::Mutex;
use proxy::TargetId;

/// Names of targets that need a look. One per ledger.
#[derive(Debug, Default)]
pub(crate) struct Attention(Mutex<Vec<TargetId>>);

impl Attention {
    /// `target` needs to be looked at. Takes a lock for one push; a target may
    /// be called several times, and need not exist.
    pub(crate) fn call(&self, target: &TargetId) {
        self.0.lock().push(target.clone());
    }

    /// Those that were called since the last time. Read the table after this:
    /// a target is called once it is in there.
    pub(crate) fn take(&self) -> Vec<TargetId> {
        std::mem::take(&mut self.0.lock())
    }
}
