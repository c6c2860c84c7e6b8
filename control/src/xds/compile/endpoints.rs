//! The endpoints of a cluster: at priority 0 those that are ready, at priority
//! 1 Reveille's proxies. Nobody ready: Envoy falls to priority 1 by itself.

use super::{address, number, tls};
use crate::xds::{Kind, Resource};
use envoy_types::pb::envoy::config::core::v3::Locality;
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
    cluster_load_assignment::Policy, lb_endpoint::HostIdentifier,
};
use std::{net::SocketAddr, sync::Arc};

/// One endpoint in a hundred is enough for priority 0 to get everything: with
/// Envoy's own factor, one that is ejected of two would send us a third.
const OVERPROVISIONING: u32 = 10_000;

/// The endpoints of that name. Those that are ready speak TLS, or not; our
/// proxies do not.
pub(in crate::xds) fn endpoints(
    name: &str,
    ready: impl IntoIterator<Item = SocketAddr>,
    over_tls: bool,
    proxies: &[SocketAddr],
) -> Arc<Resource> {
    let priority = |priority, lb_endpoints| LocalityLbEndpoints {
        locality: Some(Locality::default()),
        lb_endpoints,
        priority,
        ..LocalityLbEndpoints::default()
    };
    let mut ready: Vec<SocketAddr> = ready.into_iter().collect();
    // An order that says nothing must not be a change.
    ready.sort_unstable();
    ready.dedup();
    let marked = |addr| LbEndpoint {
        metadata: over_tls.then(tls::metadata),
        ..endpoint(addr)
    };
    let ready = ready.into_iter().map(marked).collect();
    let ours = proxies.iter().copied().map(endpoint).collect();
    let assignment = ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: vec![priority(0, ready), priority(1, ours)],
        policy: Some(Policy {
            overprovisioning_factor: number(OVERPROVISIONING),
            ..Policy::default()
        }),
        ..ClusterLoadAssignment::default()
    };
    Resource::new(Kind::Endpoints, name, &assignment)
}

fn endpoint(addr: SocketAddr) -> LbEndpoint {
    LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: address(addr),
            ..Endpoint::default()
        })),
        ..LbEndpoint::default()
    }
}
