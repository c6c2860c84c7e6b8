//! EndpointSlices as those read them that send somebody somewhere: DNS and
//! kube-proxy.

use crate::support::ApiServer;
use std::net::{IpAddr, SocketAddr};

/// Addresses of a Service that are ready, with that port.
pub(super) fn ready(api: &ApiServer, namespace: &str, service: &str, port: u16) -> Vec<SocketAddr> {
    let slices = api.all("EndpointSlice").into_iter().filter(|slice| {
        let metadata = &slice["metadata"];
        metadata["namespace"] == namespace
            && metadata["labels"]["kubernetes.io/service-name"] == service
    });
    let endpoints = slices.flat_map(|slice| slice["endpoints"].as_array().cloned());
    endpoints
        .flatten()
        .filter(|endpoint| endpoint["conditions"]["ready"] == true)
        .map(|endpoint| {
            let ip = endpoint["addresses"][0].as_str().expect("an address");
            SocketAddr::new(ip.parse::<IpAddr>().expect("an address"), port)
        })
        .collect()
}
