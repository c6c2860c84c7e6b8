//! Envoy as a proxy.

use crate::{
    compare::{
        lab::{self, Lab},
        peer::{Peer, Running},
    },
    program::{self, Program},
};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Above anything that the loads reach.
const NO_LIMIT: u32 = 1_000_000;

/// A configuration that passes everything at `address` on to `origin`. JSON is
/// YAML to it.
pub(crate) fn config(address: SocketAddr, origin: SocketAddr) -> Value {
    let socket = |address: SocketAddr| {
        json!({"socket_address": {
            "address": address.ip().to_string(), "port_value": address.port()
        }})
    };
    let connection_manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front",
        // HTTP/1.1, or HTTP/2 with prior knowledge.
        "codec_type": "AUTO",
        // X-Forwarded-For gets the client's address.
        "use_remote_address": true,
        "stream_idle_timeout": "0s",
        "common_http_protocol_options": {"idle_timeout": "0s"},
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
            }
        }],
        "route_config": {"virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": [{
                "match": {"prefix": "/"},
                "route": {"cluster": "origin", "timeout": "0s"}
            }]
        }]}
    });
    let limits = json!({
        "max_connections": NO_LIMIT, "max_pending_requests": NO_LIMIT,
        "max_requests": NO_LIMIT, "max_retries": NO_LIMIT
    });
    json!({"static_resources": {
        "listeners": [{
            "address": socket(address),
            "tcp_backlog_size": 4096,
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": connection_manager
            }]}]
        }],
        "clusters": [{
            "name": "origin",
            "type": "STATIC",
            "connect_timeout": "5s",
            "circuit_breakers": {"thresholds": [limits]},
            "load_assignment": {
                "cluster_name": "origin",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(origin)}}]}]
            }
        }]
    }})
}

/// Starts it.
pub(in crate::compare) async fn start(lab: &Lab<'_>) -> Result<Running> {
    let address = lab::free_address()?;
    let config = config(address, lab.origin);
    let dir = lab.peer_dir(Peer::Envoy)?;
    let file = dir.join("envoy.json");
    std::fs::write(&file, serde_json::to_string_pretty(&config)?)?;
    let binary = lab.args.envoy.as_ref().context("no envoy")?;
    let mut command = program::command(binary, Some(lab.args.proxy_core));
    command.args([
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "-l",
        "warning",
    ]);
    command.arg("-c").arg(&file);
    let mut program = Program::start(&mut command, &dir.join("envoy.log"))?;
    program.accepts(address).await?;
    Ok(Running {
        program,
        http1: address,
        http2: address,
        host: "fixed.localhost".to_owned(),
    })
}
