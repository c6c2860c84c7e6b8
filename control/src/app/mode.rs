//! The two modes, as the composition root sees them: who says what is served,
//! and what has to happen at each stage of the stop.

use super::{kubernetes::Kubernetes, local::Local};
use crate::{admin::Scene, manifest::Files};
use std::time::Duration;

/// Who says what is served.
#[derive(Debug)]
pub(super) enum Mode {
    Local(Box<Local>),
    Kubernetes(Kubernetes),
}

impl Mode {
    /// What the admin server shows of it.
    pub(super) fn scene(&self) -> Scene {
        match self {
            Self::Local(local) => local.scene(),
            Self::Kubernetes(kubernetes) => kubernetes.scene(),
        }
    }

    /// Follows manifests, where there are some.
    pub(super) fn follow(&mut self, files: Files, every: Option<Duration>) {
        match self {
            Self::Local(local) => local.follow(files, every),
            Self::Kubernetes(_) => {}
        }
    }

    /// Reads manifests again, where there are some.
    pub(super) fn reload(&self) {
        match self {
            Self::Local(local) => local.reload(),
            Self::Kubernetes(_) => {}
        }
    }

    /// Resolves when a part has crashed. Cancel safe.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        match self {
            Self::Local(local) => local.failed().await,
            Self::Kubernetes(kubernetes) => kubernetes.failed().await,
        }
    }

    /// Before requests are drained: no more reloads. A cluster is followed on,
    /// as endpoints come and go while requests end.
    pub(super) async fn stop_changes(&mut self) {
        match self {
            Self::Local(local) => local.stop_changes().await,
            Self::Kubernetes(_) => {}
        }
    }

    /// Together with KEDA's streams: the embedded autoscaler is to end.
    pub(super) fn end_scaling(&self) {
        match self {
            Self::Local(local) => local.end_scaling(),
            Self::Kubernetes(_) => {}
        }
    }

    /// When nobody is served any more.
    pub(super) async fn stop(&mut self) {
        match self {
            Self::Local(local) => local.stop().await,
            Self::Kubernetes(kubernetes) => kubernetes.stop().await,
        }
    }
}
