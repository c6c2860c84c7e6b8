//! The one call against the stream: "somebody waits for this target".

use crate::target::TargetId;

/// Where the proxy reports that a target must be woken. Implemented by the
/// scaler; called from workers, so it must neither block nor fail.
pub trait DemandSink: Send + Sync + 'static {
    /// The first request started to wait for `target` (edge 0 → 1).
    fn waiting(&self, target: &TargetId);
}

/// For tests and for a proxy without a scaler: nobody is told.
impl DemandSink for () {
    fn waiting(&self, _target: &TargetId) {}
}
