//! Flags that both modes have: listeners, limits, timeouts, logs.

use super::{
    AdminArgs, ClientAddressArgs, ClientArgs, ConnectionArgs, EndpointArgs, GrpcArgs, IngestArgs,
    ObserveArgs, PeerArgs, XdsArgs, positive, time, tls::TlsArgs,
};
use crate::{app::Settings, telemetry::LogFormat};
use clap::{Args, ValueEnum};
use proxy::{ProxyConfig, RuntimeKind};
use scaler::LedgerConfig;
use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

/// What can be set about a run in either mode.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Where clients connect
    #[arg(long, env = "REVEILLE_PROXY_ADDR", default_value = "0.0.0.0:8080")]
    pub proxy_addr: SocketAddr,
    /// Where KEDA connects (gRPC)
    #[arg(long, env = "REVEILLE_GRPC_ADDR", default_value = "127.0.0.1:9090")]
    pub grpc_addr: SocketAddr,
    /// Where operators connect: health, metrics, targets
    #[arg(long, env = "REVEILLE_ADMIN_ADDR", default_value = "127.0.0.1:9901")]
    pub admin_addr: SocketAddr,
    /// Who may look there
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Once ready, write the bound addresses to this file as one JSON object
    #[arg(long, env = "REVEILLE_ADDRESSES_FILE", value_name = "PATH")]
    pub addresses_file: Option<PathBuf>,

    /// Workers of the proxy [default: one per core]
    #[arg(long, env = "REVEILLE_WORKERS")]
    pub workers: Option<NonZeroUsize>,
    /// Whether each worker has a runtime of its own
    #[arg(long, env = "REVEILLE_RUNTIME", value_enum, default_value = "per-core")]
    pub runtime: RuntimeArg,

    /// Concurrency is reported as the mean over this time
    #[arg(long, env = "REVEILLE_CONCURRENCY_WINDOW", default_value = "5s", value_parser = positive)]
    pub concurrency_window: Duration,
    /// A target counts as active for this long after its last request
    #[arg(long, env = "REVEILLE_ACTIVITY_WINDOW", default_value = "30s", value_parser = time)]
    pub activity_window: Duration,

    /// TLS
    #[command(flatten)]
    pub tls: TlsArgs,

    /// The gRPC port
    #[command(flatten)]
    pub grpc: GrpcArgs,

    /// Most requests held for one target
    #[arg(long, env = "REVEILLE_MAX_HELD_PER_TARGET", default_value = "1000")]
    pub max_held_per_target: usize,
    /// Most requests held for all targets
    #[arg(long, env = "REVEILLE_MAX_HELD", default_value = "10000")]
    pub max_held: usize,
    /// Default limit of the whole request, the hold included; 0s: none
    #[arg(long, env = "REVEILLE_REQUEST_TIMEOUT", default_value = "0s", value_parser = time)]
    pub request_timeout: Duration,
    /// Default limit from "sent" to "response head received"; 0s: none
    #[arg(long, env = "REVEILLE_RESPONSE_HEADER_TIMEOUT", default_value = "300s", value_parser = time)]
    pub response_header_timeout: Duration,
    /// Default limit of the hold; 0s: none of its own
    #[arg(long, env = "REVEILLE_READINESS_TIMEOUT", default_value = "0s", value_parser = time)]
    pub readiness_timeout: Duration,
    /// Limit of one attempt to connect to an endpoint
    #[arg(long, env = "REVEILLE_CONNECT_TIMEOUT", default_value = "500ms", value_parser = positive)]
    pub connect_timeout: Duration,
    /// Whether answers carry X-KEDA-HTTP-Cold-Start
    #[arg(long, env = "REVEILLE_COLD_START_HEADER", default_value = "true", action = clap::ArgAction::Set)]
    pub cold_start_header: bool,

    /// What clients may take.
    #[command(flatten)]
    pub clients: ClientArgs,

    /// Who is believed about clients' addresses.
    #[command(flatten)]
    pub client_address: ClientAddressArgs,

    /// What is told of requests.
    #[command(flatten)]
    pub observe: ObserveArgs,

    /// Metrics that come in.
    #[command(flatten)]
    pub ingest: IngestArgs,

    /// How endpoints are treated
    #[command(flatten)]
    pub endpoints: EndpointArgs,

    /// Limits of client connections
    #[command(flatten)]
    pub connections: ConnectionArgs,

    /// Other replicas.
    #[command(flatten)]
    pub peers: PeerArgs,

    /// Beside Envoy.
    #[command(flatten)]
    pub xds: XdsArgs,

    /// On SIGTERM, go on serving for this long after "not ready"
    #[arg(long, env = "REVEILLE_SHUTDOWN_DELAY", default_value = "0s", value_parser = time)]
    pub shutdown_delay: Duration,
    /// Then, how long requests may take to end
    #[arg(long, env = "REVEILLE_DRAIN_TIMEOUT", default_value = "30s", value_parser = time)]
    pub drain_timeout: Duration,

    /// Form of log lines
    #[arg(long, env = "REVEILLE_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// error, warn, info, debug, trace, or directives such as info,proxy=debug
    #[arg(long, env = "REVEILLE_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
}

/// How workers map to runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RuntimeArg {
    /// One single-threaded runtime per worker
    PerCore,
    /// One multi-threaded runtime for all
    Shared,
}

impl RunArgs {
    /// What cannot be as it is given, flag by flag.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self.client_address.problems().into_iter().collect();
        problems.extend(self.xds.problems(self.proxy_addr));
        problems
    }

    /// The settings of the run.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Settings {
            proxy_addr: self.proxy_addr,
            proxy_tls_addr: self.tls.proxy_tls_addr,
            tls: self.tls.config(),
            grpc_addr: self.grpc_addr,
            grpc: self.grpc.settings(),
            admin_addr: self.admin_addr,
            access: self.admin.settings(),
            proxy: ProxyConfig {
                workers: self.workers.map_or(cores, NonZeroUsize::get),
                runtime: match self.runtime {
                    RuntimeArg::PerCore => RuntimeKind::PerCore,
                    RuntimeArg::Shared => RuntimeKind::Shared,
                },
                max_held_per_target: self.max_held_per_target,
                max_held: self.max_held,
                request_timeout: self.request_timeout,
                response_header_timeout: self.response_header_timeout,
                readiness_timeout: self.readiness_timeout,
                connect_timeout: self.connect_timeout,
                cold_start_header: self.cold_start_header,
                clients: self.clients.limits(),
                client_address: self.client_address.config(),
                endpoints: self.endpoints.config(),
                connections: self.connections.config(),
                ..ProxyConfig::default()
            },
            ledger: LedgerConfig {
                concurrency_window: self.concurrency_window,
                activity_window: self.activity_window,
                ..LedgerConfig::default()
            },
            peers: self.peers.settings(),
            access_log: self.observe.access_log(),
            otlp: self.observe.otlp(),
            ingest: self.ingest.settings(),
            xds: self.xds.settings(),
            shutdown_delay: self.shutdown_delay,
            drain_timeout: self.drain_timeout,
        }
    }
}
