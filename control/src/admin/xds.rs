//! `/api/v1/xds`: what Envoys are served, who is connected, and what they
//! refused.

use super::Admin;
use crate::xds::{ClientView, Indirect, Kind};
use serde::Serialize;

/// The xDS server.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct XdsView {
    /// What is served.
    pub resources: Vec<ResourcesView>,
    /// Routes of which every request comes to this proxy, and why.
    pub indirect_routes: Vec<IndirectView>,
    /// Envoys that are connected.
    pub clients: Vec<ClientView>,
    /// Envoys that report their load.
    pub reporting: u64,
}

/// One kind.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResourcesView {
    /// Which.
    pub kind: Kind,
    /// The present version.
    pub version: String,
    /// How many there are.
    pub count: usize,
}

/// A route that goes the long way.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IndirectView {
    /// `namespace/name`.
    pub route: String,
    /// `session`, `concurrencyLimit`, `responseHeaderTimeout`,
    /// `clientCertificate` or `noHandshake`.
    pub reason: Indirect,
}

/// `None`: there is no xDS server.
pub(super) fn view(admin: &Admin) -> Option<XdsView> {
    let xds = admin.xds.as_ref()?;
    let resources = xds.resources().into_iter();
    let indirect = xds.indirect().into_iter();
    Some(XdsView {
        resources: resources
            .map(|(kind, version, count)| ResourcesView {
                kind,
                version,
                count,
            })
            .collect(),
        indirect_routes: indirect
            .map(|(route, reason)| IndirectView { route, reason })
            .collect(),
        clients: xds.clients().view(),
        reporting: xds.loads().reporting(),
    })
}
