//! The kinds of resources that are served, in the order in which an Envoy
//! has to have them: a route must not name a cluster that is not warm.

use serde::Serialize;

/// A kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// CDS.
    Cluster,
    /// SDS: what TLS needs. Never a private key: names of files where Envoy has
    /// its own, and whom to trust.
    Secret,
    /// EDS: the endpoints of a cluster.
    Endpoints,
    /// LDS.
    Listener,
    /// RDS: a route configuration.
    Routes,
}

impl Kind {
    /// All of them, in that order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Cluster,
        Self::Secret,
        Self::Endpoints,
        Self::Listener,
        Self::Routes,
    ];

    /// How many there are.
    pub const COUNT: usize = 5;

    /// What the protocol calls it.
    #[must_use]
    pub fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Routes => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        }
    }

    /// What metrics and logs call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Secret => "secret",
            Self::Endpoints => "endpoints",
            Self::Listener => "listener",
            Self::Routes => "routes",
        }
    }

    /// The kind of that URL; `None`: we have nothing of that kind.
    #[must_use]
    pub fn of(type_url: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.type_url() == type_url)
    }

    /// Does a client that names nothing want all of them? Of secrets,
    /// endpoints and routes, only those are sent that somebody names.
    #[must_use]
    pub fn has_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }
}
