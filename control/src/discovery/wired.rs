//! A target with everything that stands behind it, for people.
//!
//! Made by whoever wires targets to services, in either mode; read by the admin
//! server.

use super::Service;
use crate::autoscaler::Workload;
use proxy::Target;
use std::{fmt, sync::Arc, time::Duration};

/// A target, the service behind it, and what can be scaled behind that.
#[derive(Clone)]
pub struct Wired {
    /// The proxy's side.
    pub target: Arc<Target>,
    /// Who serves it.
    pub service: Arc<Service>,
    /// What can be scaled, if that is known here.
    pub workload: Option<Arc<dyn Workload>>,
    /// The ScaledObject (`namespace/name`) that scales it, if any.
    pub scaled_object: Option<String>,
    /// What a ScaledObject of a cluster says of it.
    pub bounds: Option<Bounds>,
}

/// Between which bounds KEDA scales a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Fewest replicas.
    pub min: u32,
    /// Most replicas.
    pub max: u32,
    /// How long after the last activity it may sleep.
    pub cooldown: Duration,
    /// Why KEDA does not wake it now.
    pub paused: Option<Arc<str>>,
}

impl fmt::Debug for Wired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wired")
            .field("target", self.target.id())
            .field("scaled_object", &self.scaled_object)
            .finish_non_exhaustive()
    }
}
