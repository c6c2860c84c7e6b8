//! A Pod, as far as Dapr's sidecar in it has metrics to fetch.
//!
//! The injector labels the Pod and names the port of the sidecar's metrics,
//! which is in `containers`, or in `initContainers` where sidecars are native
//! (`dapr/pkg/injector/patcher`). Each call of the kubelet's changes a Pod's
//! status: what is compared must be this, never the object.

use super::decode::decode;
use serde::Deserialize;
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

/// The name that the injector gives the port.
const PORT: &str = "dapr-metrics";
/// Which port that is, where no container says it.
const PORT_ANNOTATION: &str = "dapr.io/metrics-port";
/// Whether there are metrics, as the injector understood the Pod's annotation.
const ENABLED_LABEL: &str = "dapr.io/metrics-enabled";

/// What of a Pod concerns us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pod {
    /// Where its sidecar has metrics. `None`: it has none, or it does not run.
    pub(super) sidecar: Option<SocketAddr>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    metadata: RawMeta,
    spec: RawSpec,
    status: RawStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawMeta {
    labels: Option<HashMap<String, String>>,
    annotations: Option<HashMap<String, String>>,
    deletion_timestamp: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawSpec {
    containers: Option<Vec<RawContainer>>,
    init_containers: Option<Vec<RawContainer>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawContainer {
    ports: Option<Vec<RawPort>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawPort {
    name: Option<String>,
    container_port: u16,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawStatus {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
}

impl Pod {
    /// From its JSON text; why it cannot be understood, if it cannot.
    pub(super) fn read(json: &str) -> Result<Self, String> {
        let raw: Raw = decode(json)?;
        let is_running = raw.status.phase.as_deref() == Some("Running")
            && raw.metadata.deletion_timestamp.is_none();
        let labels = raw.metadata.labels.unwrap_or_default();
        let is_enabled = labels.get(ENABLED_LABEL).is_none_or(|text| text != "false");
        let ip = raw.status.pod_ip.filter(|ip| !ip.is_empty());
        let (true, true, Some(ip)) = (is_running, is_enabled, ip) else {
            return Ok(Self { sidecar: None });
        };
        let ip: IpAddr = ip
            .parse()
            .map_err(|_| format!("status.podIP: {ip:?} is not an IP address"))?;
        let containers = [raw.spec.containers, raw.spec.init_containers];
        let mut ports = containers
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|container| container.ports)
            .flatten();
        let named = ports.find(|port| port.name.as_deref() == Some(PORT));
        let port = match named {
            Some(port) => Some(port.container_port),
            None => annotated(raw.metadata.annotations.unwrap_or_default())?,
        };
        if port == Some(0) {
            return Err(format!("the port {PORT} is 0"));
        }
        Ok(Self {
            sidecar: port.map(|port| SocketAddr::new(ip, port)),
        })
    }
}

fn annotated(mut annotations: HashMap<String, String>) -> Result<Option<u16>, String> {
    let Some(text) = annotations.remove(PORT_ANNOTATION) else {
        return Ok(None);
    };
    let port = text.parse();
    port.map(Some)
        .map_err(|_| format!("the annotation {PORT_ANNOTATION}: {text:?} is not a port"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(metadata: &Value, spec: &Value, status: &Value) -> Result<Option<String>, String> {
        let json = json!({"metadata": metadata, "spec": spec, "status": status});
        let read = Pod::read(&json.to_string())?;
        Ok(read.sidecar.map(|addr| addr.to_string()))
    }

    fn running() -> Value {
        json!({"phase": "Running", "podIP": "10.0.0.1"})
    }

    fn app_and_sidecar(list: &str) -> Value {
        let app = json!({"name": "app", "ports": [{"name": "http", "containerPort": 80}]});
        let sidecar = json!({"name": "daprd", "ports": [
            {"name": "dapr-http", "containerPort": 3500},
            {"name": "dapr-metrics", "containerPort": 9091},
        ]});
        match list {
            "containers" => json!({"containers": [app, sidecar]}),
            _ => json!({"containers": [app], list: [{"name": "early"}, sidecar]}),
        }
    }

    #[test]
    fn the_port_that_the_injector_named_in_either_list() {
        for list in ["containers", "initContainers"] {
            let found = pod(&json!({}), &app_and_sidecar(list), &running());
            assert_eq!(found, Ok(Some("10.0.0.1:9091".to_owned())), "{list}");
        }
        let v6 = json!({"phase": "Running", "podIP": "fd00::1"});
        let found = pod(&json!({}), &app_and_sidecar("containers"), &v6);
        assert_eq!(found, Ok(Some("[fd00::1]:9091".to_owned())));
    }

    #[test]
    fn without_a_named_port_the_annotation_counts() {
        let spec = json!({"containers": [{"name": "daprd", "ports": null}]});
        let annotated = json!({"annotations": {"dapr.io/metrics-port": "9095"}});
        let found = pod(&annotated, &spec, &running());
        assert_eq!(found, Ok(Some("10.0.0.1:9095".to_owned())));
        assert_eq!(pod(&json!({}), &spec, &running()), Ok(None));
    }

    #[test]
    fn only_pods_that_run_and_have_metrics_count() {
        let spec = app_and_sidecar("containers");
        for status in [
            json!({}),
            json!({"phase": "Pending", "podIP": "10.0.0.1"}),
            json!({"phase": "Succeeded", "podIP": "10.0.0.1"}),
            json!({"phase": "Failed", "podIP": "10.0.0.1"}),
            json!({"phase": "Running"}),
            json!({"phase": "Running", "podIP": ""}),
        ] {
            assert_eq!(pod(&json!({}), &spec, &status), Ok(None), "{status}");
        }
        for metadata in [
            json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
            json!({"labels": {"dapr.io/metrics-enabled": "false"}}),
        ] {
            assert_eq!(pod(&metadata, &spec, &running()), Ok(None), "{metadata}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let port = |port: Value| json!({"containers": [{"ports": [{"name": "dapr-metrics", "containerPort": port}]}]});
        let named = port(json!(9090));
        let far = json!({"phase": "Running", "podIP": "nowhere"});
        let annotated = json!({"annotations": {"dapr.io/metrics-port": "many"}});
        for (metadata, spec, status, problem) in [
            (&json!({}), &named, &far, "status.podIP: \"nowhere\" is not"),
            (&json!({}), &port(json!(0)), &running(), "dapr-metrics is 0"),
            (&json!({}), &port(json!(99_999)), &running(), "99999"),
            (&annotated, &json!({}), &running(), "\"many\" is not a port"),
            (&json!(5), &json!({}), &running(), "invalid type"),
        ] {
            let told = pod(metadata, spec, status).expect_err(problem);
            assert!(told.contains(problem), "{told}");
        }
    }
}
