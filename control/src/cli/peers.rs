//! Flags about other replicas.

use super::{positive, time};
use crate::kubernetes::PeerService;
use clap::Args;
use proxy::tls::{Setting, TlsProblem, UpstreamTls};
use scaler::peers::{PeerSource, PeersConfig};
use std::{path::PathBuf, str::FromStr, time::Duration};

/// Other replicas, which share their demand with this one.
#[derive(Debug, Args)]
pub struct PeerArgs {
    /// Other replicas, by the addresses that KEDA reaches them at:
    /// HOST:PORT,HOST:PORT or dns://NAME:PORT (all addresses of the name) or
    /// file:PATH (one address per line, read again when it changes) or, in
    /// Kubernetes mode, kubernetes:NAMESPACE/SERVICE:PORT (the Pods of a
    /// Service). This replica may be among them. While one of them gives no
    /// sign, no target is called idle
    #[arg(long, env = "REVEILLE_PEERS", value_name = "PEERS")]
    pub peers: Option<PeersFrom>,
    /// After the start, KEDA is refused until every peer was heard, but at most
    /// for this long
    #[arg(long, env = "REVEILLE_PEERS_TIMEOUT", default_value = "5s", value_parser = positive)]
    pub peers_timeout: Duration,
    /// For so long, requests in flight at a peer that is lost go on to count
    #[arg(long, env = "REVEILLE_PEER_GRACE", default_value = "5s", value_parser = time)]
    pub peer_grace: Duration,
    /// Speak TLS to peers, as their gRPC ports do; the next four imply it
    #[arg(long, env = "REVEILLE_PEERS_TLS")]
    pub peers_tls: bool,
    /// Authorities that sign the certificates of peers (PEM) [default: the
    /// system's]
    #[arg(long, env = "REVEILLE_PEERS_TLS_CA", value_name = "FILE")]
    pub peers_tls_ca: Option<PathBuf>,
    /// Certificate chain (PEM) to show to peers that ask for one
    #[arg(long, env = "REVEILLE_PEERS_TLS_CERT", value_name = "FILE")]
    pub peers_tls_cert: Option<PathBuf>,
    /// Private key (PEM) of that chain
    #[arg(long, env = "REVEILLE_PEERS_TLS_KEY", value_name = "FILE")]
    pub peers_tls_key: Option<PathBuf>,
    /// Name that the certificates of peers have [default: the host of their
    /// address; needed for addresses that come from a DNS name]
    #[arg(long, env = "REVEILLE_PEERS_TLS_SERVER_NAME", value_name = "NAME")]
    pub peers_tls_server_name: Option<String>,
}

/// Where other replicas are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeersFrom {
    /// A list, a DNS name, a file.
    Source(PeerSource),
    /// The EndpointSlices of a Service.
    Service(PeerService),
}

impl FromStr for PeersFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().strip_prefix("kubernetes:") {
            Some(service) => service.parse().map(Self::Service),
            None => match text.parse() {
                Ok(source) => Ok(Self::Source(source)),
                Err(bad) => Err(bad.to_string()),
            },
        }
    }
}

/// Where the peers are, and how they are treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    /// Where they are.
    pub source: PeersFrom,
    /// How they are treated. Without a name: it is made of the address.
    pub config: PeersConfig,
    /// TLS towards them; `None`: in the clear.
    pub tls: Option<UpstreamTls>,
}

impl PeerArgs {
    /// What cannot be without a cluster.
    pub(super) fn problem_without_cluster(&self) -> Option<String> {
        let is_service = matches!(self.peers, Some(PeersFrom::Service(_)));
        is_service.then(|| {
            "--peers kubernetes:...: there is no cluster in local mode: give addresses, \
             dns://NAME:PORT or file:PATH"
                .to_owned()
        })
    }

    pub(super) fn settings(&self) -> Option<PeerSettings> {
        Some(PeerSettings {
            source: self.peers.clone()?,
            config: PeersConfig {
                name: std::env::var("HOSTNAME").unwrap_or_default(),
                timeout: self.peers_timeout,
                grace: self.peer_grace,
            },
            tls: self.tls(),
        })
    }

    fn tls(&self) -> Option<UpstreamTls> {
        let settings = UpstreamTls {
            ca: self.peers_tls_ca.clone(),
            client_cert: self.peers_tls_cert.clone(),
            client_key: self.peers_tls_key.clone(),
            server_name: self.peers_tls_server_name.clone(),
            insecure_skip_verify: false,
        };
        let is_meant = self.peers_tls || settings != UpstreamTls::default();
        is_meant.then_some(settings)
    }
}

/// A problem with TLS towards peers in the words of the command line.
#[must_use]
pub fn describe(problem: &TlsProblem) -> String {
    let flag = match problem.setting {
        Setting::UpstreamCa => "--peers-tls-ca",
        Setting::UpstreamServerName => "--peers-tls-server-name",
        // The others have no flag here.
        _ => "--peers-tls-cert, --peers-tls-key",
    };
    format!("{flag}: {}", problem.message)
}
