//! Clusters: one per target, and the one of Reveille's own proxies.

use super::{any, direct::Way, duration, from_us, number, tls};
use crate::xds::{Resource, names};
use envoy_types::pb::envoy::{
    config::{
        cluster::v3::{
            CircuitBreakers, Cluster, OutlierDetection,
            circuit_breakers::Thresholds,
            cluster::{
                ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, LbConfig, LbPolicy,
                LeastRequestLbConfig, SlowStartConfig,
            },
        },
        core::v3::{Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions as Common},
    },
    extensions::upstreams::http::v3::{
        HttpProtocolOptions,
        http_protocol_options::{
            ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
            explicit_http_config::ProtocolConfig,
        },
    },
};
use proxy::{OutlierConfig, Protocol, ProxyConfig, tls::Spoken};
use std::{collections::HashMap, sync::Arc};

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// A cluster whose endpoints are found by its name. They are reached this way,
/// and our proxy behind them speaks the same version of HTTP; `None`: only our
/// proxy is there, which speaks whatever the client does.
pub(in crate::xds) fn cluster(
    name: &str,
    way: Option<&Way>,
    config: &ProxyConfig,
) -> Arc<Resource> {
    let endpoints = names::endpoints(name, way.is_some_and(Way::is_tls));
    let slow_start = (!config.endpoints.slow_start.is_zero()).then(|| SlowStartConfig {
        slow_start_window: duration(config.endpoints.slow_start),
        ..SlowStartConfig::default()
    });
    let cluster = Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig {
            eds_config: from_us(),
            service_name: endpoints.clone(),
        }),
        connect_timeout: duration(config.connect_timeout),
        // Two random choices, least in flight: as our own pick.
        lb_policy: LbPolicy::LeastRequest.into(),
        lb_config: Some(LbConfig::LeastRequestLbConfig(LeastRequestLbConfig {
            slow_start_config: slow_start,
            ..LeastRequestLbConfig::default()
        })),
        circuit_breakers: Some(unlimited()),
        outlier_detection: Some(outliers(&config.endpoints.outliers)),
        typed_extension_protocol_options: HashMap::from([(
            HTTP_OPTIONS.to_owned(),
            any(HTTP_OPTIONS, &speaks(way, config)),
        )]),
        transport_socket_matches: match way {
            Some(Way::Tls(spoken, on)) => vec![tls::for_marked(on.terms(), *spoken)],
            Some(Way::Clear(_)) | None => Vec::new(),
        },
        ..Cluster::default()
    };
    Resource::cluster(name, &endpoints, &cluster)
}

/// Envoy's own limits, 1024 of each and three retries, would answer 503 where
/// our proxy has none: a burst, or a replica that dies with many requests.
fn unlimited() -> CircuitBreakers {
    let threshold = Thresholds {
        max_connections: number(u32::MAX),
        max_pending_requests: number(u32::MAX),
        max_requests: number(u32::MAX),
        max_retries: number(u32::MAX),
        ..Thresholds::default()
    };
    CircuitBreakers {
        thresholds: vec![threshold],
        ..CircuitBreakers::default()
    }
}

fn speaks(way: Option<&Way>, config: &ProxyConfig) -> HttpProtocolOptions {
    let (http1, http2) = (
        Http1ProtocolOptions::default(),
        Http2ProtocolOptions::default(),
    );
    let explicit = |config| {
        UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
            protocol_config: Some(config),
        })
    };
    let protocol = match way {
        Some(Way::Clear(Protocol::Http1) | Way::Tls(Spoken::Http1, _)) => {
            explicit(ProtocolConfig::HttpProtocolOptions(http1))
        }
        Some(Way::Clear(Protocol::H2c) | Way::Tls(Spoken::H2, _)) => {
            explicit(ProtocolConfig::Http2ProtocolOptions(http2))
        }
        None => UpstreamProtocolOptions::UseDownstreamProtocolConfig(UseDownstreamHttpConfig {
            http_protocol_options: Some(http1),
            http2_protocol_options: Some(http2),
            ..UseDownstreamHttpConfig::default()
        }),
    };
    HttpProtocolOptions {
        common_http_protocol_options: Some(Common {
            idle_timeout: duration(config.upstream_idle_timeout),
            ..Common::default()
        }),
        upstream_protocol_options: Some(protocol),
        ..HttpProtocolOptions::default()
    }
}

/// When an endpoint is ejected for what it answers; zero is never.
fn outliers(config: &OutlierConfig) -> OutlierDetection {
    let enforced = |limit: u16| number(if limit == 0 { 0 } else { 100 });
    let limit = |limit: u16| number(u32::from(limit.max(1)));
    OutlierDetection {
        consecutive_5xx: limit(config.server_errors),
        enforcing_consecutive_5xx: enforced(config.server_errors),
        consecutive_gateway_failure: limit(config.gateway_errors),
        enforcing_consecutive_gateway_failure: enforced(config.gateway_errors),
        split_external_local_origin_errors: true,
        consecutive_local_origin_failure: limit(config.broken),
        enforcing_consecutive_local_origin_failure: enforced(config.broken),
        // Those that our proxy does not know of.
        enforcing_success_rate: number(0),
        enforcing_local_origin_success_rate: number(0),
        max_ejection_percent: number(u32::from(config.max_percent.min(100))),
        ..OutlierDetection::default()
    }
}
