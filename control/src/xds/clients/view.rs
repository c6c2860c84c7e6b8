//! A client as `/api/v1/xds` shows it.

use super::{Client, name};
use crate::xds::{Kind, stream::Instead};
use serde::Serialize;
use std::net::SocketAddr;

/// A client, for people.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientView {
    /// Its node id.
    pub node: String,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// `delta` or `stateOfTheWorld`.
    pub protocol: &'static str,
    /// For how long.
    pub connected_seconds: f64,
    /// The kinds that it asked for.
    pub kinds: Vec<KindView>,
    /// Virtual hosts that it refuses.
    pub quarantined: Vec<QuarantinedView>,
}

/// A virtual host that a client refuses, until its routes change.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuarantinedView {
    /// Its name: the first of its domains.
    pub host: String,
    /// What the client has in its place.
    pub instead: Instead,
    /// Why, in the client's words.
    pub reason: String,
}

/// One kind at one client.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KindView {
    /// Which.
    pub kind: Kind,
    /// Of what it was last sent.
    pub version: String,
    /// Resources that it accepted.
    pub accepted: usize,
    /// Resources that it refused, and that did not change since.
    pub refused: usize,
    /// A response is not answered yet.
    pub waiting: bool,
    /// The last refusal, in its words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_refusal: Option<RefusalView>,
}

/// A refused response.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusalView {
    /// What it had, up to a few names.
    pub resources: Vec<String>,
    /// Why, in the client's words.
    pub reason: String,
}

impl Client {
    pub(super) fn view(&self) -> ClientView {
        let state = self.state.lock().clone();
        let quarantined = state.quarantined.iter();
        let quarantined = quarantined.map(|(host, verdict)| QuarantinedView {
            host: host.to_string(),
            instead: verdict.instead,
            reason: verdict.reason.to_string(),
        });
        let kinds = Kind::ALL.into_iter().zip(state.standings);
        let kinds = kinds.zip(state.versions).zip(state.refusals);
        ClientView {
            node: self.node.clone(),
            address: self.address,
            protocol: name(self.flavour),
            connected_seconds: self.since.elapsed().as_secs_f64(),
            kinds: kinds
                .filter(|(((_, standing), _), _)| standing.is_asked)
                .map(|(((kind, standing), version), refusal)| KindView {
                    kind,
                    version,
                    accepted: standing.accepted,
                    refused: standing.refused,
                    waiting: standing.is_waiting,
                    last_refusal: refusal.map(|refusal| RefusalView {
                        resources: refusal.resources.iter().map(ToString::to_string).collect(),
                        reason: refusal.reason,
                    }),
                })
                .collect(),
            quarantined: quarantined.collect(),
        }
    }
}
