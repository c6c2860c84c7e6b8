//! What can be set about the proxy as a whole.

use crate::{
    journal::ObserveConfig,
    server::{ProxyProtocolMode, TrustedProxies},
};
use std::time::Duration;

/// Limits and default timeouts. A route's own values win.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Workers, each with its own connections and counters.
    pub workers: usize,
    /// Whether the workers are separate runtimes.
    pub runtime: RuntimeKind,
    /// Most requests held for one target.
    pub max_held_per_target: usize,
    /// Most requests held for all targets.
    pub max_held: usize,
    /// Default for the whole request, the hold included. Zero: no limit.
    pub request_timeout: Duration,
    /// Default from "request sent" to "response head received". Zero: no limit.
    pub response_header_timeout: Duration,
    /// Default for the hold. Zero: no limit of its own.
    pub readiness_timeout: Duration,
    /// For one attempt to connect to an endpoint.
    pub connect_timeout: Duration,
    /// Idle connections to endpoints are closed after this.
    pub upstream_idle_timeout: Duration,
    /// Whether answers carry `X-KEDA-HTTP-Cold-Start`.
    pub cold_start_header: bool,
    /// Who is believed about clients' addresses.
    pub client_address: ClientAddressConfig,
    /// Who wants to know about requests.
    pub observe: ObserveConfig,
}

impl Default for ProxyConfig {
    /// The HTTP add-on's timeouts; bounds that fit 200 MiB.
    fn default() -> Self {
        Self {
            workers: 1,
            runtime: RuntimeKind::PerCore,
            max_held_per_target: 1_000,
            max_held: 10_000,
            request_timeout: Duration::ZERO,
            response_header_timeout: Duration::from_secs(300),
            readiness_timeout: Duration::ZERO,
            connect_timeout: Duration::from_millis(500),
            upstream_idle_timeout: Duration::from_secs(90),
            cold_start_header: true,
            client_address: ClientAddressConfig::default(),
            observe: ObserveConfig::default(),
        }
    }
}

/// Who is believed about clients' addresses.
#[derive(Clone, Debug)]
pub struct ClientAddressConfig {
    /// Peers whose `X-Forwarded-*` and PROXY protocol headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// Whether connections begin with a PROXY protocol header.
    pub proxy_protocol: ProxyProtocolMode,
    /// How long that header may take.
    pub proxy_protocol_timeout: Duration,
}

impl Default for ClientAddressConfig {
    /// Nobody is believed.
    fn default() -> Self {
        Self {
            trusted_proxies: TrustedProxies::default(),
            proxy_protocol: ProxyProtocolMode::Off,
            proxy_protocol_timeout: Duration::from_secs(5),
        }
    }
}

/// How workers map to runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeKind {
    /// One single-threaded runtime per worker: no stealing, no shared queue.
    PerCore,
    /// One multi-threaded runtime for all workers.
    Shared,
}
