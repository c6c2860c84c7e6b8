//! Flags about other replicas.

use super::{positive, time};
use clap::Args;
use scaler::peers::{PeerSource, PeersConfig};
use std::time::Duration;

/// Other replicas, which share their demand with this one.
#[derive(Debug, Args)]
pub struct PeerArgs {
    /// Other replicas, by the addresses that KEDA reaches them at:
    /// HOST:PORT,HOST:PORT or dns://NAME:PORT (all addresses of the name) or
    /// file:PATH (one address per line, read again when it changes). This
    /// replica may be among them
    #[arg(long, env = "REVEILLE_PEERS", value_name = "PEERS")]
    pub peers: Option<PeerSource>,
    /// After the start, KEDA is refused until every peer was heard, but at most
    /// for this long
    #[arg(long, env = "REVEILLE_PEERS_TIMEOUT", default_value = "5s", value_parser = positive)]
    pub peers_timeout: Duration,
    /// For so long, requests in flight at a peer that is lost go on to count
    #[arg(long, env = "REVEILLE_PEER_GRACE", default_value = "5s", value_parser = time)]
    pub peer_grace: Duration,
}

/// Where the peers are, and how they are treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSettings {
    /// Where they are.
    pub source: PeerSource,
    /// How they are treated. Without a name: it is made of the address.
    pub config: PeersConfig,
}

impl PeerArgs {
    pub(super) fn settings(&self) -> Option<PeerSettings> {
        Some(PeerSettings {
            source: self.peers.clone()?,
            config: PeersConfig {
                name: std::env::var("HOSTNAME").unwrap_or_default(),
                timeout: self.peers_timeout,
                grace: self.peer_grace,
            },
        })
    }
}
