//! What the autoscaler thinks, for people: a snapshot per ScaledObject.
//!
//! Written by the driver's tasks, read by the admin API through
//! [`StatusReader`]. Must never influence a decision.

use super::object::{MetricType, Workload};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// One ScaledObject as of now. All times are relative to the moment it was
/// read.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectStatus {
    /// The ScaledObject's namespace.
    pub namespace: String,
    /// The ScaledObject's name.
    pub name: String,
    /// What it scales.
    pub workload: String,
    /// The replicas wanted.
    pub desired_replicas: u32,
    /// The replicas that can serve.
    pub ready_replicas: u32,
    /// How long ago activity was last seen; `None` if never.
    pub last_active: Option<Duration>,
    /// The last error that a trigger answered with; `None` if never.
    pub last_error: Option<ErrorStatus>,
    /// The metrics as last read, of all triggers.
    pub metrics: Vec<MetricStatus>,
    /// In how long it may sleep if nothing becomes active: at the first poll
    /// after that, so zero means at the next one. `None` if it sleeps already
    /// or never does.
    pub sleeps_in: Option<Duration>,
    /// Its rules.
    pub rules: Rules,
}

/// What of a ScaledObject decides when its workload sleeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// `minReplicaCount`.
    pub min_replicas: u32,
    /// `maxReplicaCount`.
    pub max_replicas: u32,
    /// `pollingInterval`.
    pub polling_interval: Duration,
    /// `cooldownPeriod`.
    pub cooldown_period: Duration,
}

/// An error of a trigger.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorStatus {
    /// Which trigger, and what went wrong.
    pub message: String,
    /// How long ago it was last seen.
    pub age: Duration,
    /// Some trigger still cannot be read, so nothing is taken away.
    pub ongoing: bool,
}

/// A metric, as the HPA sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricStatus {
    /// The index of its trigger.
    pub trigger: usize,
    /// Its name, as the scaler gave it.
    pub name: String,
    /// The value last read; `None` if it could not be read.
    pub value: Option<f64>,
    /// The target.
    pub target: f64,
    /// Whether the target is per replica or for the whole.
    pub metric_type: MetricType,
}

/// Reads the status of all ScaledObjects, also after the autoscaler ended.
/// Cheap to clone.
#[derive(Clone, Default)]
pub struct StatusReader {
    boards: Arc<ArcSwap<Vec<Arc<Board>>>>,
}

impl StatusReader {
    /// From now on these are read.
    pub(super) fn show(&self, boards: Vec<Arc<Board>>) {
        self.boards.store(Arc::new(boards));
    }

    /// A snapshot, in the order in which the ScaledObjects were given.
    /// Consistent for each ScaledObject, not across them.
    #[must_use]
    pub fn status(&self) -> Vec<ObjectStatus> {
        let now = Instant::now();
        let boards = self.boards.load();
        boards.iter().map(|board| board.read(now)).collect()
    }
}

/// Where the task of one ScaledObject writes what it thinks.
pub(super) struct Board {
    namespace: String,
    name: String,
    workload: Arc<dyn Workload>,
    // Held for a copy, never across an await.
    facts: Mutex<Facts>,
}

/// What only the task knows.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) last_active: Option<Instant>,
    pub(super) sleeps_at: Option<Instant>,
    pub(super) last_error: Option<(Instant, String)>,
    pub(super) failing: bool,
    pub(super) metrics: Vec<MetricStatus>,
    pub(super) rules: Rules,
}

impl Board {
    pub(super) fn new(namespace: &str, name: &str, workload: Arc<dyn Workload>) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Self {
            namespace,
            name,
            workload,
            facts: Mutex::default(),
        }
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.facts.lock());
    }

    fn read(&self, now: Instant) -> ObjectStatus {
        let Facts {
            last_active,
            sleeps_at,
            last_error,
            failing,
            metrics,
            rules,
        } = self.facts.lock().clone();
        let age = |at: Instant| now.saturating_duration_since(at);
        ObjectStatus {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            workload: self.workload.name(),
            desired_replicas: self.workload.replicas(),
            ready_replicas: self.workload.ready(),
            last_active: last_active.map(age),
            last_error: last_error.map(|(at, message)| ErrorStatus {
                message,
                age: age(at),
                ongoing: failing,
            }),
            metrics,
            sleeps_in: sleeps_at.map(|at| at.saturating_duration_since(now)),
            rules,
        }
    }
}
