//! What resources are called.

use proxy::{TargetId, tls::Trust};

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

/// The endpoints of a cluster. Those that speak TLS have a name of their own: a
/// cluster that does not know so yet, which Envoy uses until the one that does
/// is warm, never hears of them, and sends them nothing in the clear.
pub(super) fn endpoints(cluster: &str, over_tls: bool) -> String {
    if over_tls {
        format!("tls:{cluster}")
    } else {
        cluster.to_owned()
    }
}

/// The certificate of the listener.
pub(super) const CERTIFICATE: &str = "reveille/listener";

/// Authorities; `None`: anyone is believed.
pub(super) fn authorities(trust: &Trust) -> Option<String> {
    match trust {
        Trust::Anyone => None,
        Trust::System => Some("reveille/authorities".to_owned()),
        Trust::File(path) => Some(format!("reveille/authorities:{}", path.display())),
    }
}
