//! What only Kubernetes mode has: the cluster that is followed.
//!
//! Started and stopped by the composition root, stage by stage.

use super::base::Base;
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
        waiting: &Waiting,
        settings: &ClusterSettings,
    ) -> anyhow::Result<Self> {
        let (proxy, ledger) = (base.proxy.clone(), base.ledger.clone());
        let followed = Followed::start(settings, proxy, ledger, waiting).await?;
        Ok(Self {
            cluster: followed.cluster().clone(),
            followed: Some(followed),
        })
    }

    /// What the admin server shows of it.
    pub(super) fn scene(&self) -> Scene {
        Scene::Kubernetes(self.cluster.clone())
    }

    /// Resolves when all objects were read once. Cancel safe.
    pub(super) fn synced(&self) -> impl Future<Output = ()> + Send + use<> {
        let cluster = self.cluster.clone();
        async move { cluster.contact().synced_all().await }
    }

    /// Resolves when a part has crashed. Cancel safe.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        match &mut self.followed {
            Some(followed) => anyhow!(followed.crashed().await),
            None => std::future::pending().await,
        }
    }

    /// Follows no longer: what was last seen stays.
    pub(super) fn stop(&mut self) {
        self.followed = None;
    }
}
