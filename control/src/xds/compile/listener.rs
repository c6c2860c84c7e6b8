//! The listener of an Envoy that takes everything from us: HTTP, with TLS or
//! without, and the routes by name.

use super::{address, any, certificate, duration, from_us, yes};
use crate::xds::{EnvoyListener, Kind, Resource, names};
use envoy_types::pb::envoy::{
    config::{
        core::v3::{Http2ProtocolOptions, HttpProtocolOptions, SchemeHeaderTransformation},
        listener::v3::{Filter, FilterChain, Listener, filter},
    },
    extensions::filters::{
        http::router::v3::Router,
        network::http_connection_manager::v3::{
            HttpConnectionManager, HttpFilter, Rds,
            http_connection_manager::{RouteSpecifier, ServerHeaderTransformation, UpgradeConfig},
            http_filter,
        },
    },
};
use proxy::ConnectionConfig;
use std::{sync::Arc, time::Duration};

/// That listener. Limits of client connections are the proxy's.
pub(in crate::xds) fn listener(given: &EnvoyListener, limits: &ConnectionConfig) -> Arc<Resource> {
    let router = HttpFilter {
        name: "envoy.filters.http.router".to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(any(
            "envoy.extensions.filters.http.router.v3.Router",
            &Router::default(),
        ))),
        ..HttpFilter::default()
    };
    let manager = HttpConnectionManager {
        stat_prefix: names::ROUTES.to_owned(),
        http_filters: vec![router],
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            config_source: from_us(),
            route_config_name: names::ROUTES.to_owned(),
        })),
        // X-Forwarded-For gets the client's address.
        use_remote_address: yes(),
        // Endpoints that speak TLS are asked for https, as by our proxy.
        scheme_header_transformation: Some(SchemeHeaderTransformation {
            match_upstream: true,
            ..SchemeHeaderTransformation::default()
        }),
        server_header_transformation: ServerHeaderTransformation::PassThrough.into(),
        common_http_protocol_options: Some(HttpProtocolOptions {
            idle_timeout: duration(limits.idle_timeout),
            ..HttpProtocolOptions::default()
        }),
        request_headers_timeout: duration(limits.header_timeout),
        stream_idle_timeout: duration(Duration::ZERO),
        http2_protocol_options: Some(Http2ProtocolOptions {
            // WebSockets over HTTP/2 (RFC 8441).
            allow_connect: true,
            ..Http2ProtocolOptions::default()
        }),
        upgrade_configs: vec![UpgradeConfig {
            upgrade_type: "websocket".to_owned(),
            ..UpgradeConfig::default()
        }],
        ..HttpConnectionManager::default()
    };
    let filter = Filter {
        name: "envoy.filters.network.http_connection_manager".to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(any(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            &manager,
        ))),
    };
    let listener = Listener {
        name: names::ROUTES.to_owned(),
        address: address(given.addr),
        filter_chains: vec![FilterChain {
            filters: vec![filter],
            transport_socket: given.certificate.as_ref().map(|_| certificate::socket()),
            ..FilterChain::default()
        }],
        ..Listener::default()
    };
    Resource::new(Kind::Listener, names::ROUTES, &listener)
}
