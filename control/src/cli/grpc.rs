//! The flags of the gRPC port, where KEDA and other replicas connect.

use super::{
    positive, time,
    tls::{self, ClientAuthArg, VersionArg, pairs},
};
use clap::Args;
use proxy::tls::{ServerTls, TlsProblem};
use scaler::grpc::GrpcConfig;
use std::{path::PathBuf, time::Duration};

/// The gRPC port.
#[derive(Debug, Args)]
pub struct GrpcArgs {
    /// Certificate chain (PEM) of the gRPC port, which then speaks TLS only;
    /// may be given several times. KEDA expects the host of scalerAddress in it
    #[arg(
        long,
        env = "REVEILLE_GRPC_TLS_CERT",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub grpc_tls_cert: Vec<PathBuf>,
    /// Private keys (PEM), in the order of the chains; without one, the key
    /// is in the file of the chain
    #[arg(
        long,
        env = "REVEILLE_GRPC_TLS_KEY",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub grpc_tls_key: Vec<PathBuf>,
    /// Directory of pairs, NAME.crt and NAME.key, and of such directories (a
    /// mounted secret is one); may be given several times
    #[arg(
        long,
        env = "REVEILLE_GRPC_TLS_CERT_DIR",
        value_name = "DIR",
        value_delimiter = ','
    )]
    pub grpc_tls_cert_dir: Vec<PathBuf>,
    /// Oldest version of TLS that the gRPC port speaks
    #[arg(
        long,
        env = "REVEILLE_GRPC_TLS_MIN_VERSION",
        value_enum,
        default_value = "1.2"
    )]
    pub grpc_tls_min_version: VersionArg,
    /// Authorities that sign the certificates of gRPC clients (PEM)
    #[arg(long, env = "REVEILLE_GRPC_TLS_CLIENT_CA", value_name = "FILE")]
    pub grpc_tls_client_ca: Option<PathBuf>,
    /// Whether gRPC clients must show a certificate
    #[arg(
        long,
        env = "REVEILLE_GRPC_TLS_CLIENT_AUTH",
        value_enum,
        default_value = "none"
    )]
    pub grpc_tls_client_auth: ClientAuthArg,
    /// Most connections on the gRPC port; more are closed as they come
    #[arg(
        long,
        env = "REVEILLE_GRPC_MAX_CONNECTIONS",
        default_value = "1024",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub grpc_max_connections: u32,
    /// After about this long a gRPC connection is ended in order, so that its
    /// client finds replicas that were added; 0s: never
    #[arg(
        long,
        env = "REVEILLE_GRPC_CONNECTION_AGE",
        default_value = "30m",
        value_parser = time
    )]
    pub grpc_connection_age: Duration,
    /// A gRPC connection without any request for this long is ended
    #[arg(
        long,
        env = "REVEILLE_GRPC_IDLE_TIMEOUT",
        default_value = "5m",
        value_parser = positive
    )]
    pub grpc_idle_timeout: Duration,
}

/// What can be set about the gRPC port.
#[derive(Clone, Debug, Default)]
pub struct GrpcSettings {
    /// Its TLS; `None`: in the clear, as KEDA expects inside of a cluster.
    pub tls: Option<ServerTls>,
    /// Its limits.
    pub limits: GrpcConfig,
}

impl GrpcArgs {
    /// The settings.
    #[must_use]
    pub fn settings(&self) -> GrpcSettings {
        let age = self.grpc_connection_age;
        GrpcSettings {
            tls: self.tls(),
            limits: GrpcConfig {
                max_connections: usize::try_from(self.grpc_max_connections).unwrap_or(usize::MAX),
                connection_age: (!age.is_zero()).then_some(age),
                idle_timeout: self.grpc_idle_timeout,
                ..GrpcConfig::default()
            },
        }
    }

    /// Does the port speak TLS, and nothing else?
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls().is_some()
    }

    fn tls(&self) -> Option<ServerTls> {
        let dirs = &self.grpc_tls_cert_dir;
        tls::if_meant(ServerTls {
            certificates: pairs(&self.grpc_tls_cert, &self.grpc_tls_key, dirs),
            client_ca: self.grpc_tls_client_ca.clone(),
            client_auth: self.grpc_tls_client_auth.into(),
            min_version: self.grpc_tls_min_version.into(),
            ..ServerTls::default()
        })
    }
}

/// A problem with the port's TLS in the words of the command line.
#[must_use]
pub fn describe(problem: &TlsProblem) -> String {
    tls::describe_listener("grpc", problem)
}
