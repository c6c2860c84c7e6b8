//! What is served and who says so: the one place where the admin server knows
//! in which mode it runs.

use crate::{
    autoscaler::StatusReader,
    discovery::Wired,
    kubernetes::Cluster,
    local::{Reloads, World},
    workload::ProcessPool,
};
use std::sync::Arc;

/// What the admin server shows, by the mode of the run.
pub enum Scene {
    /// Local mode.
    Local {
        /// Targets, services, processes.
        world: Arc<World>,
        /// How reloads of the manifests went.
        reloads: Arc<Reloads>,
        /// What the embedded autoscaler thinks.
        autoscaler: StatusReader,
    },
    /// Kubernetes mode.
    Kubernetes(Arc<Cluster>),
}

impl Scene {
    /// Every target with what stands behind it.
    pub(super) fn wired(&self) -> Arc<[Wired]> {
        match self {
            Self::Local { world, .. } => world.wired(),
            Self::Kubernetes(cluster) => cluster.wired(),
        }
    }

    /// All process pools; none in a cluster.
    pub(super) fn pools(&self) -> Arc<[Arc<ProcessPool>]> {
        match self {
            Self::Local { world, .. } => world.pools(),
            Self::Kubernetes(_) => Arc::default(),
        }
    }

    /// How reloads of the manifests went, if there are files of them.
    pub(super) fn reloads(&self) -> Option<&Reloads> {
        match self {
            Self::Local { reloads, .. } => Some(reloads),
            Self::Kubernetes(_) => None,
        }
    }

    /// What the embedded autoscaler thinks, if there is one.
    pub(super) fn autoscaler(&self) -> Option<&StatusReader> {
        match self {
            Self::Local { autoscaler, .. } => Some(autoscaler),
            Self::Kubernetes(_) => None,
        }
    }

    /// The cluster, if there is one.
    pub(super) fn cluster(&self) -> Option<&Cluster> {
        match self {
            Self::Local { .. } => None,
            Self::Kubernetes(cluster) => Some(cluster),
        }
    }
}
