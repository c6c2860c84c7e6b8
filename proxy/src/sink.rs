//! The calls against the stream: "somebody waits for this target", and
//! "somebody asks for it again".

use crate::target::TargetId;

/// Where the proxy reports what nobody would find soon enough by looking at the
/// counters. Implemented by the scaler; called from workers, so it must neither
/// block nor fail.
pub trait DemandSink: Send + Sync + 'static {
    /// The first request started to wait for `target` (edge 0 → 1).
    fn waiting(&self, target: &TargetId);

    /// A request for `target` began at `at_us`, in microseconds of the proxy's
    /// clock: the first one ever, or since
    /// [`Target::tell_of_next`](crate::Target::tell_of_next).
    fn stirred(&self, target: &TargetId, at_us: u64);
}

/// For tests and for a proxy without a scaler: nobody is told.
impl DemandSink for () {
    fn waiting(&self, _target: &TargetId) {}
    fn stirred(&self, _target: &TargetId, _at_us: u64) {}
}
