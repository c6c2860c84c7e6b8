//! `/api/v1/peers`: the other replicas, and what is heard of them.

use super::Admin;
use scaler::peers::PeerView as Peer;
use serde::Serialize;

/// This replica and the others.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PeersView {
    /// This replica's identity: new with each start.
    pub identity: String,
    /// Whether KEDA is refused because the others were not heard yet.
    pub blind: bool,
    /// Replicas that follow this one.
    pub followers: usize,
    /// Every address that is known.
    pub peers: Vec<PeerView>,
}

/// The replica at one address.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PeerView {
    /// Where it is.
    pub address: String,
    /// `unreached`, `joining`, `connected`, `lost`, `left` or `myself`.
    pub state: &'static str,
    /// Its identity, once it was heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// What it calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How long ago it was last heard, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_seconds: Option<f64>,
    /// Why it is not connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

pub(super) fn view(admin: &Admin) -> PeersView {
    let sent = admin.ledger.told_to_peers();
    PeersView {
        identity: sent.identity.to_string(),
        blind: admin.ledger.is_blind(),
        followers: sent.followers,
        peers: admin.peer_views().into_iter().map(peer).collect(),
    }
}

fn peer(peer: Peer) -> PeerView {
    PeerView {
        address: peer.address,
        state: peer.state.as_str(),
        identity: peer.identity,
        name: peer.name,
        silent_seconds: peer.silent.map(|silent| silent.as_secs_f64()),
        problem: peer.problem,
    }
}
