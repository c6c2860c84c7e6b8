//! The command line. Each flag has an environment variable of its name. Flags
//! of one topic are in its file in `cli/`.

mod connections;

pub use connections::ConnectionArgs;

mod client_address;
mod clients;
mod endpoints;
pub mod grpc;
mod ingest;
mod keda_env;
mod observe;
pub mod peers;
mod query;
mod reload;

pub use client_address::ClientAddressArgs;
pub use clients::ClientArgs;
pub use endpoints::EndpointArgs;
pub use grpc::GrpcArgs;
pub use ingest::IngestArgs;
pub use keda_env::Notes;
pub use observe::ObserveArgs;
pub use peers::{PeerArgs, PeerSettings};
pub use query::QueryArgs;
pub use reload::ReloadArgs;

pub mod tls;

use crate::{app::Settings, manifest::duration, telemetry::LogFormat};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use proxy::{ProxyConfig, RuntimeKind};
use scaler::LedgerConfig;
use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};
use tls::TlsArgs;

/// Lets services sleep at zero replicas and still answer their first request.
#[derive(Debug, Parser)]
#[command(name = "reveille", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do; nothing: `local` with the built-in example.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run proxy, scaler and autoscaler here, with processes as workloads
    Local(Box<LocalArgs>),
    /// Validate manifests: print every problem; exit 0 if there is no error, else 1
    Check(CheckArgs),
    /// Evaluate a query in a running Reveille: its value, matched series, and their age
    Query(QueryArgs),
    /// Print a ready manifest
    Example(ExampleArgs),
    /// Run a small HTTP server, the workload of the built-in example
    Hello(HelloArgs),
}

/// `reveille local`.
#[derive(Debug, Args)]
#[command(after_help = keda_env::HELP)]
pub struct LocalArgs {
    /// YAML file, or directory of them; may be given several times. Without
    /// it, the built-in example runs
    #[arg(
        short,
        long = "file",
        value_name = "FILE_OR_DIR",
        env = "REVEILLE_FILE",
        value_delimiter = ','
    )]
    pub file: Vec<PathBuf>,

    /// Following them
    #[command(flatten)]
    pub reload: ReloadArgs,

    /// Where clients connect
    #[arg(long, env = "REVEILLE_PROXY_ADDR", default_value = "0.0.0.0:8080")]
    pub proxy_addr: SocketAddr,
    /// Where KEDA connects (gRPC)
    #[arg(long, env = "REVEILLE_GRPC_ADDR", default_value = "127.0.0.1:9090")]
    pub grpc_addr: SocketAddr,
    /// Where operators connect: health, metrics, targets
    #[arg(long, env = "REVEILLE_ADMIN_ADDR", default_value = "127.0.0.1:9901")]
    pub admin_addr: SocketAddr,
    /// Once ready, write the bound addresses to this file as one JSON object
    #[arg(long, env = "REVEILLE_ADDRESSES_FILE", value_name = "PATH")]
    pub addresses_file: Option<PathBuf>,

    /// Workers of the proxy [default: one per core]
    #[arg(long, env = "REVEILLE_WORKERS")]
    pub workers: Option<NonZeroUsize>,
    /// Whether each worker has a runtime of its own
    #[arg(long, env = "REVEILLE_RUNTIME", value_enum, default_value = "per-core")]
    pub runtime: RuntimeArg,

    /// How often the embedded autoscaler does what the HPA does
    #[arg(long, env = "REVEILLE_HPA_SYNC_PERIOD", default_value = "1s", value_parser = positive)]
    pub hpa_sync_period: Duration,
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

/// `reveille check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// YAML file, or directory of them; may be given several times
    #[arg(short, long = "file", value_name = "FILE_OR_DIR", required = true)]
    pub file: Vec<PathBuf>,
}

/// `reveille example`.
#[derive(Debug, Args)]
pub struct ExampleArgs {
    /// Which one; without a name, the list
    pub name: Option<String>,
}

/// `reveille hello`.
#[derive(Debug, Args)]
pub struct HelloArgs {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8000")]
    pub addr: SocketAddr,
}

impl Cli {
    /// Reads the command line and the environment. Ends the program, as clap
    /// does, for `--help` and for flags that are wrong.
    ///
    /// # Errors
    /// All `KEDA_HTTP_*` and `OTEL_*` variables that are wrong.
    pub fn read() -> Result<(Self, Notes), Vec<String>> {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        let (command, notes, problems) = keda_env::apply(Self::command(), &environment.collect());
        let mut matches = command.clone().get_matches();
        if matches.subcommand().is_none() {
            matches = command.get_matches_from(["reveille", "local"]);
        }
        let cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        match (&cli.command, problems.is_empty()) {
            (Some(Command::Local(_)), false) => Err(problems),
            _ => Ok((cli, notes)),
        }
    }
}

impl LocalArgs {
    /// What cannot be as it is given, flag by flag.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.client_address.problems().into_iter().collect()
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
            shutdown_delay: self.shutdown_delay,
            drain_timeout: self.drain_timeout,
        }
    }
}

fn time(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}

fn positive(text: &str) -> Result<Duration, String> {
    let time = time(text)?;
    if time.is_zero() {
        Err("must be more than zero".to_owned())
    } else {
        Ok(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_of_local_has_an_environment_variable_of_its_name() {
        let command = Cli::command();
        let local = command.find_subcommand("local").expect("it exists");
        for arg in local.get_arguments().filter(|arg| arg.get_id() != "help") {
            let flag = arg.get_long().expect("no positional arguments");
            let wanted = format!("REVEILLE_{}", flag.replace('-', "_").to_uppercase());
            let env = arg.get_env().map(|env| env.to_string_lossy().into_owned());
            assert_eq!(env, Some(wanted), "--{flag}");
        }
    }
}
