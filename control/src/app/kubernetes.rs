//! What only Kubernetes mode has: the cluster that is followed.
//!
//! Started and stopped by the composition root, stage by stage.

use super::{base::Base, scaling::Scaling};
use crate::{
    admin::Scene,
    kubernetes::{Cluster, ClusterSettings, Followed, Waiting},
};
use anyhow::anyhow;
use std::sync::Arc;

/// The running part of Kubernetes mode.
#[derive(Debug)]
pub(super) struct Kubernetes {
    cluster: Arc<Cluster>,
    /// `None` after the stop.
    followed: Option<Followed>,
}

impl Kubernetes {
    /// Follows the cluster from now on.
    ///
    /// # Errors
    /// No API server is configured, or it cannot be spoken to.
    pub(super) async fn start(
        base: &Base,
        scaling: &mut Scaling,
        waiting: &Waiting,
        settings: &ClusterSettings,
    ) -> anyhow::Result<Self> {
        let (proxy, ledger) = (base.proxy.clone(), base.ledger.clone());
        let scraper = &base.ingest.scraper;
        let mut followed = Followed::start(settings, proxy, ledger, scraper, waiting).await?;
        if let Some((service, found)) = scaling.peers_found.take() {
            followed.find_peers(service, found);
        }
        Ok(Self {
            cluster: followed.cluster().clone(),
            followed: Some(followed),
        })
    }

    /// What the admin server shows of it.
    pub(super) fn scene(&self) -> Scene {
        Scene::Kubernetes(self.cluster.clone())
    }

    /// Resolves when what the objects say is served. Cancel safe.
    pub(super) fn served(&self) -> impl Future<Output = ()> + Send + use<> {
        let cluster = self.cluster.clone();
        async move { cluster.served().await }
    }

    /// Resolves when a part has crashed. Cancel safe.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        match &mut self.followed {
            Some(followed) => anyhow!(followed.crashed().await),
            None => std::future::pending().await,
        }
    }

    /// Follows no longer: what was last seen stays.
    pub(super) async fn stop(&mut self) {
        if let Some(followed) = self.followed.take() {
            followed.stop().await;
        }
    }
}
