//! What an Envoy was told, as a static configuration: the same listener, routes,
//! clusters and endpoints, of which nobody tells it anything any more.
//!
//! Read from the Envoy's own `/config_dump`.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Request, header::HOST};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// All that the Envoy with that admin server was told.
pub(super) async fn dump(admin: SocketAddr) -> Result<Value> {
    let stream = TcpStream::connect(admin).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/config_dump?include_eds").header(HOST, "admin");
    let answer = sender.send_request(request.body(Empty::<Bytes>::new())?);
    let answer = answer.await?;
    ensure!(answer.status() == 200, "answered {}", answer.status());
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(serde_json::from_slice(&body)?)
}

/// A bootstrap that does at `listener` what the Envoy of `dump` does.
pub(super) fn bootstrap(dump: &Value, listener: SocketAddr) -> Result<Value> {
    let mut gate = part(
        dump,
        "Listeners",
        "/dynamic_listeners/0/active_state/listener",
    )?;
    let mut routes = part(dump, "Routes", "/dynamic_route_configs/0/route_config")?;
    routes.remove("@type");
    gate.remove("@type");
    gate.insert(
        "address".to_owned(),
        json!({"socket_address": {
            "address": listener.ip().to_string(), "port_value": listener.port()
        }}),
    );
    let mut gate = Value::Object(gate);
    let manager = gate.pointer_mut("/filter_chains/0/filters/0/typed_config");
    let manager = manager.and_then(Value::as_object_mut);
    let manager = manager.context("the dump's listener has no connection manager")?;
    manager.remove("rds");
    manager.insert("route_config".to_owned(), Value::Object(routes));
    let told = list(dump, "Clusters", "dynamic_active_clusters")?;
    let clusters: Result<Vec<Value>> = told.iter().map(|one| cluster(dump, one)).collect();
    Ok(json!({"static_resources": {"listeners": [gate], "clusters": clusters?}}))
}

/// A cluster with its endpoints in it.
fn cluster(dump: &Value, told: &Value) -> Result<Value> {
    let cluster = told["cluster"].as_object();
    let mut cluster = cluster.context("a cluster without content")?.clone();
    let name = cluster["name"].as_str().context("a cluster without name")?;
    let called = cluster["eds_cluster_config"]["service_name"].as_str();
    let called = called.unwrap_or(name);
    let mut all = list(dump, "Endpoints", "dynamic_endpoint_configs")?.iter();
    let own = all.find(|one| one["endpoint_config"]["cluster_name"] == called);
    let own = own.and_then(|one| one["endpoint_config"].as_object());
    let mut own = own.context("a cluster without endpoints")?.clone();
    own.remove("@type");
    let localities = own.get_mut("endpoints").and_then(Value::as_array_mut);
    for locality in localities.into_iter().flatten() {
        // Zero where none was told, which it does not take from anybody.
        if let Some(locality) = locality.as_object_mut() {
            locality.remove("load_balancing_weight");
        }
    }
    cluster.remove("@type");
    cluster.remove("eds_cluster_config");
    cluster.insert("type".to_owned(), json!("STATIC"));
    cluster.insert("load_assignment".to_owned(), Value::Object(own));
    Ok(Value::Object(cluster))
}

fn dumped<'d>(dump: &'d Value, kind: &str) -> Result<&'d Value> {
    let type_url = format!("type.googleapis.com/envoy.admin.v3.{kind}ConfigDump");
    let configs = dump["configs"].as_array();
    let mut configs = configs.into_iter().flatten();
    let found = configs.find(|config| config["@type"] == type_url.as_str());
    found.with_context(|| format!("no {kind} in Envoy's /config_dump"))
}

fn list<'d>(dump: &'d Value, kind: &str, field: &str) -> Result<&'d Vec<Value>> {
    let list = dumped(dump, kind)?[field].as_array();
    list.with_context(|| format!("no {field} in Envoy's /config_dump"))
}

fn part(dump: &Value, kind: &str, pointer: &str) -> Result<Map<String, Value>> {
    let part = dumped(dump, kind)?.pointer(pointer);
    let part = part.and_then(Value::as_object).cloned();
    part.with_context(|| format!("no {pointer} in Envoy's /config_dump"))
}
