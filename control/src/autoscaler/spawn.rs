//! Starting and ending the autoscaler's tasks.
//!
//! Called by the composition root, which owns the handle. One task per
//! ScaledObject, all with one gRPC connection. A panic in any of them reaches
//! the owner through [`Autoscaler::join`]; it must never be swallowed, as a
//! workload without its task would sleep or run for ever.

use super::driver::Driver;
use super::object::{ScaledObject, Workload};
use super::objects::Objects;
use super::scaler::{GrpcScaler, ScalerApi};
use super::status::{ObjectStatus, StatusReader};
use crate::crew::{Crash, Crew};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// Where the scaler is, and how often the HPA looks.
#[derive(Debug, Clone)]
pub struct Config {
    /// To the scaler's gRPC service, with which it is in one process.
    pub scaler: Channel,
    /// How often the HPA reads metrics while there are replicas. A cluster's
    /// default is 15 s; at least 100 ms.
    pub hpa_sync_period: Duration,
}

impl Config {
    /// For the scaler behind `scaler`, with an HPA that looks every second: on a
    /// laptop one watches, and processes start fast.
    #[must_use]
    pub fn new(scaler: Channel) -> Self {
        Self {
            scaler,
            hpa_sync_period: Duration::from_secs(1),
        }
    }
}

/// The running autoscaler. Dropping it aborts its tasks.
pub struct Autoscaler {
    crew: Crew,
    objects: Arc<Objects>,
    stop: CancellationToken,
}

/// A task panicked.
#[derive(Debug, thiserror::Error)]
#[error("autoscaler of {source}")]
pub struct Crashed {
    /// The ScaledObject (`namespace/name`) that it was for.
    pub scaled_object: String,
    source: Crash,
}

impl Autoscaler {
    /// Starts one task per ScaledObject, which polls at once: the scaler
    /// should listen already. They end when `stop` is cancelled. Must be
    /// called within a Tokio runtime.
    #[must_use]
    pub fn spawn(
        config: Config,
        objects: Vec<(ScaledObject, Arc<dyn Workload>)>,
        stop: &CancellationToken,
    ) -> Self {
        let api = Arc::new(GrpcScaler::new(config.scaler));
        Self::spawn_with(&api, config.hpa_sync_period, objects, stop)
    }

    /// The same with any scaler.
    pub(super) fn spawn_with<A: ScalerApi>(
        api: &Arc<A>,
        hpa_sync_period: Duration,
        objects: Vec<(ScaledObject, Arc<dyn Workload>)>,
        stop: &CancellationToken,
    ) -> Self {
        // A child: a crash must end its siblings, not all of the program.
        let stop = stop.child_token();
        let crew = Crew::new();
        let (hire, api) = (crew.handle(), api.clone());
        let start = move |object: ScaledObject, workload, edits, stop| {
            let name = object.full_name();
            let driver = Driver::new(api.clone(), object, workload, hpa_sync_period);
            let board = driver.board();
            hire.spawn(&name, driver.run(edits, stop));
            board
        };
        let running = Arc::new(Objects::new(start, stop.clone()));
        running.set(objects);
        Self {
            crew,
            objects: running,
            stop,
        }
    }

    /// For whoever changes what is autoscaled.
    #[must_use]
    pub fn objects(&self) -> Arc<Objects> {
        self.objects.clone()
    }

    /// What it thinks now, per ScaledObject.
    #[must_use]
    pub fn status(&self) -> Vec<ObjectStatus> {
        self.status_reader().status()
    }

    /// The same for whoever does not own the autoscaler.
    #[must_use]
    pub fn status_reader(&self) -> StatusReader {
        self.objects.status_reader()
    }

    /// Resolves when a task panics, and tells the others to end; never if
    /// none does. Cancellation safe.
    pub async fn crashed(&mut self) -> Crashed {
        let crash = self.crew.crashed().await;
        self.blame(crash)
    }

    /// Waits until all tasks have ended, which they do soon after `stop` was
    /// cancelled; without ScaledObjects that is at once. Does not stop them
    /// itself. Cancellation safe.
    ///
    /// # Errors
    ///
    /// As soon as a task panicked. The others are then told to end; call again
    /// to wait for them.
    pub async fn join(&mut self) -> Result<(), Crashed> {
        let finished = self.crew.finish().await;
        finished.map_err(|crash| self.blame(crash))
    }

    fn blame(&self, crash: Crash) -> Crashed {
        self.stop.cancel();
        Crashed {
            scaled_object: crash.name.clone(),
            source: crash,
        }
    }
}
