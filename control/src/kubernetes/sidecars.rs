//! Dapr's sidecars, found by their Pods: one source of the scaler's, and a
//! target of it for each.
//!
//! A task beside the cluster's loop, so that Pods that come and go never hold
//! up a route. A Pod that goes ends its series; an API server that is away, or a
//! permission that is missing, changes nothing of what was last seen.

use super::{
    pod::Pod,
    store::{Change, Key, Store},
};
use scaler::ingest::prometheus::{FoundTarget, Scraper, SourceConfig, SourceId, TargetList};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::sleep};

/// So many changes are taken in at once.
const BATCH: usize = 1024;
/// At least so long between two lists of targets: each costs as much as there
/// are Pods.
const PAUSE: Duration = Duration::from_millis(100);
/// The sidecar answers at any path.
const PATH: &str = "/metrics";

/// Keeps the one source of `scraper` the same as what `pods` tells, until
/// nobody tells any more. Each page is fetched every `interval`.
pub(super) async fn find(
    mut pods: mpsc::Receiver<Change<Pod>>,
    source: SourceId,
    interval: Duration,
    scraper: Arc<Scraper>,
) {
    let tell = |targets: Arc<[FoundTarget]>| {
        let config = SourceConfig {
            targets: TargetList::Found(targets),
            path: PATH.to_owned(),
            tls: None,
            interval,
            timeout: interval,
            labels: BTreeMap::new(),
            metrics: Arc::new([]),
        };
        scraper.set_sources([(source.clone(), config)].into());
    };
    // Before the first list: what starts after this counts from zero.
    tell(Arc::new([]));
    let mut known = Store::default();
    let mut batch = Vec::with_capacity(BATCH);
    while pods.recv_many(&mut batch, BATCH).await > 0 {
        let mut is_news = false;
        for change in batch.drain(..) {
            for (key, before) in known.apply(change) {
                let now = known.get(&key).and_then(|pod: &Pod| pod.sidecar);
                is_news |= now != before.and_then(|pod| pod.sidecar);
            }
        }
        if is_news {
            let targets = targets(&known);
            tracing::debug!(sidecars = targets.len(), "sidecars of Dapr");
            tell(targets);
            sleep(PAUSE).await;
        }
    }
}

/// Always in the same order: what has not changed must look so.
fn targets(known: &Store<Pod>) -> Arc<[FoundTarget]> {
    let found = known
        .iter()
        .filter_map(|(key, pod)| Some(target(key, pod.sidecar?)));
    let mut found: Vec<FoundTarget> = found.collect();
    found.sort_unstable();
    found.into()
}

fn target(key: &Key, sidecar: SocketAddr) -> FoundTarget {
    let labels = [("namespace", &key.namespace), ("pod", &key.name)];
    FoundTarget {
        address: sidecar.into(),
        labels: labels
            .map(|(name, value)| (name.to_owned(), value.to_string()))
            .into(),
    }
}
