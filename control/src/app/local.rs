//! What only local mode has: the world of the manifests, its child processes,
//! the embedded autoscaler, and the reload of manifests.
//!
//! Started and stopped by the composition root, stage by stage.

use super::{base::Base, ended_early};
use crate::{
    admin::Scene,
    autoscaler::{self, Autoscaler},
    crew::Crew,
    local::{Plan, Reloader, Reloads, World},
    manifest::Files,
    sight::Sight,
};
use anyhow::{Context, anyhow};
use scaler::grpc::InProcess;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// The world and its child processes.
pub(super) struct Workloads {
    world: Arc<World>,
    crew: Crew,
    stop: CancellationToken,
}

/// The running parts of local mode.
pub(super) struct Local {
    pub(super) workloads: Workloads,
    autoscaler: Autoscaler,
    reloader: JoinSet<()>,
    /// Notified when the manifests are to be read again at once.
    reload: Arc<Notify>,
    reloads: Arc<Reloads>,
    stop_autoscaler: CancellationToken,
    stop_reloader: CancellationToken,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Local")
    }
}

impl Workloads {
    /// Starts what `plan` describes.
    ///
    /// # Errors
    /// If it is not known where this program is.
    pub(super) fn start(base: &Base, plan: Plan) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("where this program is")?;
        let (crew, stop) = (Crew::new(), CancellationToken::new());
        let world = Arc::new(World::new(
            base.proxy.clone(),
            base.ledger.clone(),
            base.ingest.scraper.clone(),
            program.to_string_lossy().into_owned(),
            crew.handle(),
            stop.clone(),
        ));
        world.apply(plan);
        Ok(Self { world, crew, stop })
    }

    /// Takes the crew away, as a panic of its owner would.
    #[cfg(test)]
    pub(super) fn crew(&mut self) -> &mut Crew {
        &mut self.crew
    }
}

impl Local {
    /// Starts the autoscaler, as a client of the scaler that listens already.
    pub(super) fn start(
        workloads: Workloads,
        scaler: &InProcess,
        hpa_sync_period: Duration,
        sight: Arc<Sight>,
    ) -> Self {
        let stop_autoscaler = CancellationToken::new();
        let autoscaler = Autoscaler::spawn(
            autoscaler::Config {
                hpa_sync_period,
                ..autoscaler::Config::new(scaler.channel())
            },
            workloads.world.scaled(),
            &stop_autoscaler,
        );
        Self {
            workloads,
            autoscaler,
            reloader: JoinSet::new(),
            reload: Arc::default(),
            reloads: Arc::new(Reloads::none(sight)),
            stop_autoscaler,
            stop_reloader: CancellationToken::new(),
        }
    }

    /// What the admin server shows of it.
    pub(super) fn scene(&self) -> Scene {
        Scene::Local {
            world: self.workloads.world.clone(),
            reloads: self.reloads.clone(),
            autoscaler: self.autoscaler.status_reader(),
        }
    }

    /// See [`super::App::follow`].
    pub(super) fn follow(&mut self, files: Files, every: Option<Duration>) {
        let reloader = Reloader::new(
            files,
            every,
            self.reload.clone(),
            self.workloads.world.clone(),
            self.autoscaler.objects(),
            self.reloads.clone(),
        );
        let stop = self.stop_reloader.clone();
        self.reloader.spawn(async move {
            reloader.run(stop.clone()).await;
            // There may be nothing to follow; that is no reason to stop.
            stop.cancelled().await;
        });
    }

    /// Reads the manifests again at once, if there are files of them.
    pub(super) fn reload(&self) {
        self.reload.notify_one();
    }

    /// Resolves when a part has crashed. Cancel safe.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        tokio::select! {
            crashed = self.autoscaler.crashed() => anyhow!(crashed),
            Some(ended) = self.reloader.join_next() => {
                ended_early("the reload of manifests", ended.map(Ok))
            }
            crashed = self.workloads.crew.crashed() => {
                anyhow!("a process pool crashed: {crashed}")
            }
        }
    }

    /// No more reloads.
    pub(super) async fn stop_changes(&mut self) {
        self.stop_reloader.cancel();
        while let Some(ended) = self.reloader.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the reload of manifests crashed");
            }
        }
    }

    /// Tells the autoscaler to end.
    pub(super) fn end_scaling(&self) {
        self.stop_autoscaler.cancel();
    }

    /// Waits for its end, then stops the child processes.
    pub(super) async fn stop(&mut self) {
        while let Err(error) = self.autoscaler.join().await {
            tracing::error!(%error, "the autoscaler crashed");
        }
        self.workloads.stop.cancel();
        while let Err(error) = self.workloads.crew.finish().await {
            tracing::error!(%error, "a process pool crashed; its processes were killed");
        }
    }
}
