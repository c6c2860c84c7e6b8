//! Kubernetes mode on a real kube-apiserver, where one is named: as the chart installs
//! it, as its ServiceAccount, with its roles alone. What the double plays is held
//! against it here.

mod client;
mod control_plane;
mod definitions;
mod first_request;
mod http_scaled_objects;
mod permissions;
mod restart;

use crate::support::{Pod, Reveille, Starter, wait_for};
use client::Client;
use control_plane::ControlPlane;
use serde_json::{Value, json};
use std::net::{SocketAddr, UdpSocket};

/// What the chart gives with its own values.
const CHART: &str = include_str!("../../../../../deploy/manifests/reveille.yaml");

/// A control plane on which the chart is installed, beside a KEDA that does nothing;
/// `None`: there is none to be had.
fn installed() -> Option<ControlPlane> {
    let plane = ControlPlane::start()?;
    let client = plane.client();
    client.apply(&definition_of_keda());
    for object in documents(CHART) {
        client.apply(&object);
    }
    for name in [
        "scaledobjects.keda.sh",
        "httpscaledobjects.http.keda.sh",
        "interceptorroutes.http.keda.sh",
    ] {
        until_defined(client, name);
    }
    Some(plane)
}

/// `reveille kubernetes` as the chart's ServiceAccount.
fn reveille(plane: &ControlPlane) -> Starter {
    Reveille::in_cluster_of(|folder| plane.kubeconfig(folder))
        .arg("--lease-namespace", "keda")
        .arg("--scaler-address", "reveille-scaler.keda:9090")
}

fn documents(yaml: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).expect("YAML");
    let mut documents = documents;
    documents.retain(|document| !document.is_null());
    documents
}

/// Waits until objects of a definition can be written; the definition.
fn until_defined(client: &Client, name: &str) -> Value {
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
    wait_for(&format!("{name} is established"), || {
        let definition = client.get(&path)?;
        let conditions = definition["status"]["conditions"].as_array()?;
        let is_so = |one: &&Value| one["type"] == "Established" && one["status"] == "True";
        conditions.iter().find(is_so)?;
        // Established is said before it is served.
        let group = definition["spec"]["group"].as_str()?;
        let version = definition["spec"]["versions"][0]["name"].as_str()?;
        let served = client.get(&format!("/apis/{group}/{version}"))?;
        let plural = &definition["spec"]["names"]["plural"];
        let mut served = served["resources"].as_array()?.iter();
        served.find(|one| one["name"] == *plural)?;
        Some(definition)
    })
}

/// ScaledObjects as far as an API server must know them: KEDA's own definition says more.
fn definition_of_keda() -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"type": "object", "properties": {"spec": open, "status": open}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "scaledobjects.keda.sh"},
        "spec": {
            "group": "keda.sh",
            "scope": "Namespaced",
            "names": {"kind": "ScaledObject", "plural": "scaledobjects",
                "singular": "scaledobject", "shortNames": ["so"]},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}}],
        },
    })
}

/// An object of `objects.rs` as a real API server wants it.
fn whole(mut object: Value) -> Value {
    let version = match object["kind"].as_str().expect("a kind") {
        "InterceptorRoute" => "http.keda.sh/v1beta1",
        "HTTPScaledObject" => "http.keda.sh/v1alpha1",
        "ScaledObject" => "keda.sh/v1alpha1",
        "EndpointSlice" => "discovery.k8s.io/v1",
        "Deployment" => "apps/v1",
        _ => "v1",
    };
    object["apiVersion"] = version.into();
    object["metadata"]["namespace"] = "default".into();
    object
}

/// Where a route is.
fn route_path(name: &str) -> String {
    format!("/apis/http.keda.sh/v1beta1/namespaces/default/interceptorroutes/{name}")
}

/// The condition of the object at a path, once it has that reason.
fn until_reason(client: &Client, path: &str, kind: &str, reason: &str) -> Value {
    wait_for(&format!("{kind} of {path} is {reason}"), || {
        let object = client.get(path)?;
        let conditions = object["status"]["conditions"].as_array()?;
        let condition = conditions.iter().find(|one| one["type"] == kind)?;
        (condition["reason"] == reason).then(|| condition.clone())
    })
}

/// A Pod at an address that is not loopback: the API server takes no other in an
/// EndpointSlice.
fn pod(name: &str) -> Pod {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    // Sends nothing: an address for documentation says which of ours is in use.
    socket.connect("192.0.2.1:9").expect("a network");
    let ip = socket.local_addr().expect("bound").ip();
    Pod::start_at(name, SocketAddr::new(ip, 0))
}
