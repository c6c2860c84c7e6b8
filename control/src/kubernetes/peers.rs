//! Other replicas, found by the EndpointSlices of the Service that they share.
//!
//! What is found here feeds the same roster as a list or a DNS name does. Ready
//! or not, a replica that runs has demand to tell of; so has one that is told to
//! stop and whose probe fails by then, until its last request has ended. It says
//! goodbye itself, and leaves the slices with its Pod.

use super::{
    api::Api,
    contact::Contact,
    news::News,
    slice::{SERVICE_NAME, Slice},
    store::{Key, Scope, Store},
    watch::{Watch, Watched},
};
use scaler::peers::Addresses;
use std::{collections::BTreeSet, fmt, net::SocketAddr, str::FromStr, sync::Arc};
use tokio::sync::{mpsc, watch};

/// The Service of all replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerService {
    service: Key,
    /// The gRPC port of each Pod.
    port: u16,
}

impl FromStr for PeerService {
    type Err = String;

    /// `NAMESPACE/SERVICE:PORT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not NAMESPACE/SERVICE:PORT");
        let (service, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let (namespace, name) = service.split_once('/').ok_or_else(bad)?;
        let is_label = |text: &str| {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !text.is_empty() && text.len() <= 63 && text.chars().all(fits)
        };
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(bad)?;
        if !is_label(namespace) || !is_label(name) {
            return Err(bad());
        }
        let service = Key::new(namespace, name);
        Ok(Self { service, port })
    }
}

impl fmt::Display for PeerService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.port)
    }
}

/// Keeps `found` up to date, for ever.
pub(super) async fn find(api: Api, service: PeerService, found: watch::Sender<Addresses>) {
    let scope: Scope = Some(service.service.namespace.clone());
    let (sender, mut news) = mpsc::channel(16);
    let watch = Watch {
        api,
        labels: Some(format!("{SERVICE_NAME}={}", service.service.name)),
        contact: Arc::new(Contact::new([(Slice::KIND, scope.clone())])),
        scope,
        news: sender,
    };
    let telling = async {
        let mut slices = Store::default();
        while let Some(News::Slices(change)) = news.recv().await {
            slices.apply(change);
            let hosts = slices
                .iter()
                .flat_map(|(_, slice): (_, &Slice)| slice.hosts());
            let addresses: BTreeSet<String> = hosts
                .map(|ip| SocketAddr::new(ip, service.port).to_string())
                .collect();
            found.send_if_modified(|known| {
                let is_news = known.as_ref() != Some(&addresses);
                if is_news {
                    tracing::info!(%service, peers = addresses.len(), "peers");
                    *known = Some(addresses);
                }
                is_news
            });
        }
    };
    tokio::join!(watch.run::<Slice>(), telling);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_service_and_what_is_not() {
        let parsed: PeerService = "keda/reveille-peers:9090".parse().expect("valid");
        assert_eq!(parsed.to_string(), "keda/reveille-peers:9090");
        for bad in [
            "",
            "keda/x",
            "x:1",
            "a/b:0",
            "a/b:99999",
            "A/b:1",
            "a/b/c:1",
            "/b:1",
        ] {
            assert!(bad.parse::<PeerService>().is_err(), "{bad}");
        }
    }
}
