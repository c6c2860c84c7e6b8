//! An EndpointSlice, and the addresses that all slices of a Service give.
//!
//! <https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/>:
//! a condition that is absent means ready; a Service that publishes not-ready
//! addresses has them marked ready by the cluster.

use super::store::Key;
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// The label that names the Service of a slice.
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// What of an EndpointSlice concerns us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    /// The Service that it belongs to.
    pub(super) service: Key,
    ports: Vec<(String, u16)>,
    endpoints: Vec<Listed>,
}

/// One endpoint of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    ip: IpAddr,
    /// The Pod's name, else the address.
    name: Arc<str>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It should be used.
    Ready,
    /// It is not ready yet, or no longer.
    NotReady,
    /// It is going away, and still serves.
    Leaving,
    /// It is going away, and does not serve.
    Gone,
}

/// An address and whom it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) addr: SocketAddr,
    pub(super) name: Arc<str>,
}

/// The addresses of one port of a Service, each Pod once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    /// To be used.
    pub(super) ready: Vec<Address>,
    /// Known, and not ready.
    pub(super) not_ready: Vec<Address>,
    /// Going away, and still serving.
    pub(super) leaving: Vec<Address>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    metadata: RawMeta,
    ports: Option<Vec<RawPort>>,
    endpoints: Option<Vec<RawEndpoint>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawMeta {
    labels: HashMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawPort {
    name: Option<String>,
    port: Option<u16>,
    protocol: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawEndpoint {
    addresses: Vec<String>,
    conditions: Option<Conditions>,
    target_ref: Option<TargetRef>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TargetRef {
    name: String,
}

impl Slice {
    pub(super) fn read(key: &Key, json: Value) -> Result<Self, String> {
        let raw = Raw::deserialize(json).map_err(|error| error.to_string())?;
        let service = raw.metadata.labels.get(SERVICE_NAME);
        let service = service.ok_or_else(|| format!("the label {SERVICE_NAME} is missing"))?;
        let port = |port: RawPort| {
            let is_tcp = port.protocol.as_deref().unwrap_or("TCP") == "TCP";
            // Without a number it means all ports, which no Service does.
            let number = port.port.filter(|_| is_tcp)?;
            Some((port.name.unwrap_or_default(), number))
        };
        let endpoints = raw.endpoints.unwrap_or_default();
        Ok(Self {
            service: Key {
                namespace: key.namespace.clone(),
                name: service.as_str().into(),
            },
            ports: raw
                .ports
                .unwrap_or_default()
                .into_iter()
                .filter_map(port)
                .collect(),
            endpoints: endpoints.into_iter().filter_map(listed).collect(),
        })
    }
}

fn listed(raw: RawEndpoint) -> Option<Listed> {
    // All addresses of an endpoint lead to the same place; a slice of DNS names
    // (FQDN) is nothing that Kubernetes makes.
    let text = raw.addresses.first()?;
    let ip: IpAddr = text.parse().ok()?;
    let name = raw.target_ref.map(|target| target.name);
    let name = name.filter(|name| !name.is_empty());
    let conditions = raw.conditions.unwrap_or_default();
    let ready = conditions.ready.unwrap_or(true);
    let state = match (ready, conditions.terminating.unwrap_or(false)) {
        (true, false) => State::Ready,
        (false, false) => State::NotReady,
        (_, true) if conditions.serving.unwrap_or(ready) => State::Leaving,
        (_, true) => State::Gone,
    };
    Some(Listed {
        ip,
        name: name.as_deref().unwrap_or(text).into(),
        state,
    })
}

impl Slice {
    /// Hosts of all endpoints, whatever their state: who is going away and
    /// takes no connection any more may still be busy.
    pub(super) fn hosts(&self) -> impl Iterator<Item = IpAddr> {
        self.endpoints.iter().map(|endpoint| endpoint.ip)
    }
}

/// The addresses that `slices`, all of one Service, give for its port
/// `port_name`. A Pod with addresses of both families counts once.
pub(super) fn addresses<'a>(
    slices: impl Iterator<Item = &'a Slice>,
    port_name: &str,
    prefers_ipv6: bool,
) -> Addresses {
    let mut of_pods: HashMap<(&Arc<str>, u16), (IpAddr, State)> = HashMap::new();
    for slice in slices {
        let ports = slice.ports.iter().filter(|(name, _)| name == port_name);
        for (_, port) in ports {
            for endpoint in &slice.endpoints {
                let new = (endpoint.ip, endpoint.state);
                of_pods
                    .entry((&endpoint.name, *port))
                    .and_modify(|known| {
                        if known.0.is_ipv6() != prefers_ipv6 && new.0.is_ipv6() == prefers_ipv6 {
                            *known = new;
                        }
                    })
                    .or_insert(new);
            }
        }
    }
    let mut addresses = Addresses::default();
    for ((name, port), (ip, state)) in of_pods {
        let list = match state {
            State::Ready => &mut addresses.ready,
            State::NotReady => &mut addresses.not_ready,
            State::Leaving => &mut addresses.leaving,
            State::Gone => continue,
        };
        list.push(Address {
            addr: SocketAddr::new(ip, port),
            name: name.clone(),
        });
    }
    // In the same order each time: what has not changed must look so.
    addresses.ready.sort_unstable();
    addresses.not_ready.sort_unstable();
    addresses.leaving.sort_unstable();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn slice(ports: &Value, endpoints: &Value) -> Slice {
        let json = json!({
            "metadata": {"labels": {SERVICE_NAME: "web"}},
            "addressType": "IPv4", "ports": ports, "endpoints": endpoints,
        });
        Slice::read(&Key::new("default", "web-1"), json).expect("readable")
    }

    fn pod(name: &str, ip: &str, conditions: &Value) -> Value {
        json!({"addresses": [ip], "conditions": conditions, "targetRef": {"kind": "Pod", "name": name}})
    }

    fn texts(list: &[Address]) -> Vec<String> {
        list.iter()
            .map(|one| format!("{}={}", one.name, one.addr))
            .collect()
    }

    #[test]
    fn conditions_say_who_is_used() {
        let endpoints = json!([
            pod("a", "10.0.0.1", &json!(null)),
            pod("b", "10.0.0.2", &json!({"ready": true})),
            pod("c", "10.0.0.3", &json!({"ready": false, "serving": false})),
            pod(
                "d",
                "10.0.0.4",
                &json!({"ready": false, "serving": true, "terminating": true})
            ),
            pod(
                "e",
                "10.0.0.5",
                &json!({"ready": false, "serving": false, "terminating": true})
            ),
            // As a Service says it that publishes not-ready addresses.
            pod("f", "10.0.0.6", &json!({"ready": true, "serving": false})),
        ]);
        let slice = slice(&json!([{"name": "http", "port": 8080}]), &endpoints);
        assert_eq!(&*slice.service.name, "web");
        let found = addresses([&slice].into_iter(), "http", false);
        let ready = ["a=10.0.0.1:8080", "b=10.0.0.2:8080", "f=10.0.0.6:8080"];
        assert_eq!(texts(&found.ready), ready);
        assert_eq!(texts(&found.not_ready), ["c=10.0.0.3:8080"]);
        assert_eq!(texts(&found.leaving), ["d=10.0.0.4:8080"]);
    }

    #[test]
    fn hosts_are_those_of_all_endpoints() {
        let endpoints = json!([
            pod("a", "10.0.0.1", &json!({"ready": true})),
            pod("b", "10.0.0.2", &json!({"ready": false})),
            pod(
                "c",
                "10.0.0.3",
                &json!({"ready": false, "serving": false, "terminating": true})
            ),
        ]);
        let slice = slice(&json!([{"name": "grpc", "port": 9090}]), &endpoints);
        let hosts: Vec<String> = slice.hosts().map(|ip| ip.to_string()).collect();
        assert_eq!(hosts, ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    }

    #[test]
    fn several_slices_with_ports_of_their_own_are_one() {
        let one = slice(
            &json!([{"name": "http", "port": 8080}, {"name": "metrics", "port": 9000}]),
            &json!([pod("a", "10.0.0.1", &json!({}))]),
        );
        let two = slice(
            &json!([{"name": "http", "port": 3000, "protocol": "TCP"}, {"name": "http", "port": 1, "protocol": "UDP"}]),
            &json!([pod("b", "10.0.0.2", &json!({})), {"addresses": ["10.0.0.9"]}, {"addresses": []}]),
        );
        let found = addresses([&one, &two].into_iter(), "http", false);
        let all = [
            "10.0.0.9=10.0.0.9:3000",
            "a=10.0.0.1:8080",
            "b=10.0.0.2:3000",
        ];
        let mut texts = texts(&found.ready);
        texts.sort();
        assert_eq!(texts, all);
        assert_eq!(
            addresses([&one].into_iter(), "other", false),
            Addresses::default()
        );
    }

    #[test]
    fn a_pod_of_two_families_counts_once() {
        let ports = json!([{"name": null, "port": 80}]);
        let v4 = slice(&ports, &json!([pod("a", "10.0.0.1", &json!({}))]));
        let v6 = slice(
            &ports,
            &json!([
                pod("a", "fd00::1", &json!({})),
                pod("b", "fd00::2", &json!({}))
            ]),
        );
        for slices in [[&v4, &v6], [&v6, &v4]] {
            let found = |ipv6| addresses(slices.into_iter(), "", ipv6);
            assert_eq!(
                texts(&found(false).ready),
                ["a=10.0.0.1:80", "b=[fd00::2]:80"]
            );
            assert_eq!(
                texts(&found(true).ready),
                ["a=[fd00::1]:80", "b=[fd00::2]:80"]
            );
        }
    }

    #[test]
    fn a_slice_without_its_service_is_refused() {
        let read = Slice::read(&Key::new("a", "b"), json!({"metadata": {}}));
        assert_eq!(read, Err(format!("the label {SERVICE_NAME} is missing")));
    }
}
