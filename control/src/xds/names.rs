//! What resources are called.

use proxy::TargetId;

/// The route configuration, and the listener for Envoys that have none of
/// their own.
pub(super) const ROUTES: &str = "reveille";

/// The cluster of Reveille's own proxies, for what Envoy is not to decide.
pub(super) const PROXY: &str = "reveille";

/// The cluster of a target. No two targets have the same: namespaces have no
/// slash in them.
pub(super) fn cluster(target: &TargetId) -> String {
    format!("reveille/{target}")
}
