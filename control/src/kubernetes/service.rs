//! A Service, and what a route's port means in it.
//!
//! Read from the API server's JSON; the built-in kinds are checked there, so
//! what is missing here has its default.

use super::decode::decode;
use crate::manifest::{AppProtocol, PortRef};
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};

/// What of a Service concerns us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServiceObject {
    #[serde(rename = "type")]
    kind: Option<String>,
    external_name: Option<String>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    ports: Option<Vec<Port>>,
    ip_families: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Port {
    name: Option<String>,
    port: u16,
    protocol: Option<String>,
    app_protocol: Option<String>,
}

#[derive(Deserialize)]
struct Raw {
    spec: ServiceObject,
}

/// Where the endpoints of a Service's port are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// In its EndpointSlices, under this name of a port.
    Slices {
        port_name: String,
        protocol: AppProtocol,
        /// IPv6 goes first.
        prefers_ipv6: bool,
        /// Where the cluster's own proxy takes it in; `None`: it is headless.
        cluster_ip: Option<SocketAddr>,
    },
    /// At all addresses of this DNS name.
    External {
        host: String,
        port: u16,
        protocol: AppProtocol,
    },
}

impl ServiceObject {
    /// From its JSON text.
    pub(super) fn read(json: &str) -> Result<Self, String> {
        decode(json).map(|raw: Raw| raw.spec)
    }

    /// Where `port` leads; in words for operators, why nowhere.
    pub(super) fn resolve(&self, port: &PortRef) -> Result<Resolved, String> {
        let ports = self.ports.as_deref().unwrap_or_default();
        let is_tcp = |known: &&Port| known.protocol.as_deref().unwrap_or("TCP") == "TCP";
        let found = ports.iter().filter(is_tcp).find(|known| match port {
            PortRef::Number(number) => known.port == *number,
            PortRef::Name(name) => known.name.as_deref().unwrap_or("") == name,
        });
        let word = found.and_then(|port| port.app_protocol.as_deref());
        let protocol = AppProtocol::of_service_port(word);
        if self.kind.as_deref() == Some("ExternalName") {
            let host = self.external_name.clone().unwrap_or_default();
            let number = match (port, found) {
                (_, Some(found)) => found.port,
                (PortRef::Number(number), None) => *number,
                (PortRef::Name(name), None) => {
                    return Err(format!(
                        "has no port named {name:?}; it has {}",
                        names(ports)
                    ));
                }
            };
            return Ok(Resolved::External {
                host,
                port: number,
                protocol,
            });
        }
        let found = found.ok_or_else(|| {
            let wanted = match port {
                PortRef::Number(number) => number.to_string(),
                PortRef::Name(name) => format!("named {name:?}"),
            };
            format!("has no TCP port {wanted}; it has {}", names(ports))
        })?;
        let families = self.ip_families.as_deref().unwrap_or_default();
        Ok(Resolved::Slices {
            port_name: found.name.clone().unwrap_or_default(),
            protocol,
            prefers_ipv6: families.first().is_some_and(|family| family == "IPv6"),
            cluster_ip: self.cluster_ip(found.port),
        })
    }

    fn cluster_ip(&self, port: u16) -> Option<SocketAddr> {
        // Of a headless one: None, as a word.
        let ip: IpAddr = self.cluster_ip.as_deref()?.parse().ok()?;
        Some(SocketAddr::new(ip, port))
    }
}

fn names(ports: &[Port]) -> String {
    if ports.is_empty() {
        return "none".to_owned();
    }
    let one = |port: &Port| match port.name.as_deref() {
        Some(name) if !name.is_empty() => format!("{} ({name})", port.port),
        _ => port.port.to_string(),
    };
    ports.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proxy::Protocol;
    use serde_json::{Value, json};

    fn service(spec: &Value) -> ServiceObject {
        ServiceObject::read(&json!({ "spec": spec }).to_string()).expect("readable")
    }

    fn slices(port_name: &str, protocol: Protocol) -> Result<Resolved, String> {
        Ok(Resolved::Slices {
            port_name: port_name.to_owned(),
            protocol: AppProtocol::Clear(protocol),
            prefers_ipv6: false,
            cluster_ip: None,
        })
    }

    #[test]
    fn a_port_by_number_and_by_name() {
        let service = service(&json!({"type": "ClusterIP", "ports": [
            {"name": "http", "port": 80, "targetPort": 8080},
            {"name": "grpc", "port": 81, "appProtocol": "kubernetes.io/h2c"},
            {"name": "dns", "port": 53, "protocol": "UDP"},
        ]}));
        let number = |number| service.resolve(&PortRef::Number(number));
        assert_eq!(number(80), slices("http", Protocol::Http1));
        assert_eq!(number(81), slices("grpc", Protocol::H2c));
        let named = service.resolve(&PortRef::Name("grpc".into()));
        assert_eq!(named, slices("grpc", Protocol::H2c));
        let has = "it has 80 (http), 81 (grpc), 53 (dns)";
        assert_eq!(number(53), Err(format!("has no TCP port 53; {has}")));
        let missing = service.resolve(&PortRef::Name("web".into()));
        assert_eq!(
            missing,
            Err(format!("has no TCP port named \"web\"; {has}"))
        );
    }

    #[test]
    fn an_unnamed_port_and_an_unknown_protocol() {
        let service = service(&json!({"ports": [{"port": 80, "appProtocol": "mysql"}]}));
        let resolved = service.resolve(&PortRef::Number(80));
        assert_eq!(resolved, slices("", Protocol::Http1));
        let none = ServiceObject::default().resolve(&PortRef::Number(80));
        assert_eq!(none, Err("has no TCP port 80; it has none".to_owned()));
    }

    #[test]
    fn the_cluster_ip_goes_with_the_services_own_port() {
        let of = |ip: &str| {
            let ports = json!([{"port": 80, "targetPort": 8080}]);
            let service = service(&json!({"clusterIP": ip, "ports": ports}));
            match service.resolve(&PortRef::Number(80)) {
                Ok(Resolved::Slices { cluster_ip, .. }) => cluster_ip.map(|ip| ip.to_string()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(of("10.0.0.7").as_deref(), Some("10.0.0.7:80"));
        assert_eq!(of("fd00::7").as_deref(), Some("[fd00::7]:80"));
        assert_eq!(of("None"), None);
    }

    #[test]
    fn an_external_name_needs_no_port_in_its_list() {
        let spec = json!({"type": "ExternalName", "externalName": "db.example.com"});
        let resolved = service(&spec).resolve(&PortRef::Number(8080));
        let wanted = Resolved::External {
            host: "db.example.com".into(),
            port: 8080,
            protocol: AppProtocol::Clear(Protocol::Http1),
        };
        assert_eq!(resolved, Ok(wanted));
    }
}
