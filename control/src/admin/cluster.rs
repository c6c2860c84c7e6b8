//! `/api/v1/cluster`: how each watch of the cluster is.

use super::Admin;
use serde::Serialize;

/// One kind in one namespace, or in all.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchView {
    /// The kind.
    pub kind: &'static str,
    /// Its namespace; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// All objects were read once.
    pub synced: bool,
    /// The cluster does not know the kind, and may do without it.
    pub absent: bool,
    /// How long ago something was heard; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_seconds: Option<f64>,
    /// What is wrong now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// `None`: there is no cluster.
pub(super) fn view(admin: &Admin) -> Option<Vec<WatchView>> {
    let lines = admin.scene.cluster()?.contact().view();
    let one = |line: crate::kubernetes::LineView| WatchView {
        kind: line.kind,
        namespace: line.namespace.as_deref().map(str::to_owned),
        synced: line.is_synced,
        absent: line.is_absent,
        silent_seconds: line.silent_seconds,
        trouble: line.trouble,
    };
    Some(lines.into_iter().map(one).collect())
}
