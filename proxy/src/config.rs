//! What can be set about the proxy as a whole.

pub use crate::{endpoint::OutlierConfig, forward::RetryConfig};

use crate::{
    journal::ObserveConfig,
    server::{ClientLimits, ProxyProtocolMode, TrustedProxies},
};
use std::{fmt, sync::Arc, time::Duration};

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
    /// A client that waits to be asked for its body (`Expect: 100-continue`) is
    /// asked when its endpoint asks, or after this.
    pub continue_timeout: Duration,
    /// Idle connections to endpoints are closed after this.
    pub upstream_idle_timeout: Duration,
    /// Whether answers carry `X-KEDA-HTTP-Cold-Start`.
    pub cold_start_header: bool,
    /// Limits of client connections.
    pub connections: ConnectionConfig,
    /// What clients may take.
    pub clients: ClientLimits,
    /// Who is believed about clients' addresses.
    pub client_address: ClientAddressConfig,
    /// Who wants to know about requests.
    pub observe: ObserveConfig,
    /// How endpoints are treated.
    pub endpoints: EndpointConfig,
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
            // As long as curl waits.
            continue_timeout: Duration::from_secs(1),
            upstream_idle_timeout: Duration::from_secs(90),
            cold_start_header: true,
            connections: ConnectionConfig::default(),
            clients: ClientLimits::default(),
            client_address: ClientAddressConfig::default(),
            observe: ObserveConfig::default(),
            endpoints: EndpointConfig::default(),
        }
    }
}

/// How endpoints are treated.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// When one is ejected for what it answers.
    pub outliers: OutlierConfig,
    /// How many requests may be sent again.
    pub retries: RetryConfig,
    /// A new endpoint beside older ones gets a growing share for this long.
    /// Zero: its full share at once.
    pub slow_start: Duration,
    /// What session cookies are signed with, beside the route's name.
    pub session_secret: Option<SessionSecret>,
}

/// A secret that all replicas share. It is not shown by `Debug`.
#[derive(Clone)]
pub struct SessionSecret(Arc<[u8]>);

impl SessionSecret {
    /// This one.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(secret.into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret")
    }
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            outliers: OutlierConfig::default(),
            retries: RetryConfig::default(),
            slow_start: Duration::from_secs(10),
            session_secret: None,
        }
    }
}

/// Limits of one client connection. Times are kept by a look at all
/// connections every half a second, so they are never short and up to a second
/// long.
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    /// From the first byte of a request's head to its end, and from the accept
    /// to the first byte. Zero: no limit.
    pub header_timeout: Duration,
    /// A connection without a request in progress is closed after this. Zero:
    /// never.
    pub idle_timeout: Duration,
    /// Requests on one connection, then it is closed politely. Over HTTP/2,
    /// those that the client sent before it heard of it are served too. Zero:
    /// no limit.
    pub max_requests: u64,
    /// An HTTP/1.1 connection without a request in progress gives its memory
    /// back after this. Zero: never.
    pub park_after: Duration,
}

impl Default for ConnectionConfig {
    /// Idle connections cost little, and closing one races with its next
    /// request. So whoever is in front should close first: the load balancers
    /// of the large clouds do so after 60 to 600 s.
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(620),
            max_requests: 0,
            park_after: Duration::from_secs(2),
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
