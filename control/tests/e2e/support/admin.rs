//! The admin API as a test reads it: strictly, so that a field that goes or
//! changes its type fails.

use serde::Deserialize;
use std::collections::BTreeMap;

/// One target, as `/api/v1/targets` shows it. Fields and their types are part
/// of the contract: nothing unknown is accepted.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TargetNow {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) replicas: Option<Replicas>,
    pub(crate) bounds: Option<Bounds>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) in_flight: u64,
    pub(crate) held: u64,
    pub(crate) max_concurrency_per_replica: Option<usize>,
    pub(crate) concurrency: f64,
    pub(crate) request_rate: f64,
    pub(crate) active: bool,
    pub(crate) last_cold_start_seconds: Option<f64>,
    pub(crate) scaled_object: Option<String>,
    pub(crate) sleeps_in_seconds: Option<f64>,
    pub(crate) told: Option<Told>,
}

/// What KEDA was told last.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Told {
    pub(crate) active: Option<bool>,
    pub(crate) error: Option<String>,
    pub(crate) ago_seconds: f64,
    pub(crate) metrics: BTreeMap<String, f64>,
}

/// Replicas of a process.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replicas {
    pub(crate) wanted: u32,
    pub(crate) ready: u32,
}

/// What a ScaledObject of a cluster says.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bounds {
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) paused: Option<String>,
}

/// An endpoint of a target.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Endpoint {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) in_flight: u64,
    pub(crate) ejected: bool,
    pub(crate) ejected_for_answers: bool,
}

/// `/api/v1/manifests`, as strictly.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ManifestsNow {
    pub(crate) files: Vec<String>,
    pub(crate) applied_at: u64,
    pub(crate) reloads_applied: u64,
    pub(crate) reloads_refused: u64,
    pub(crate) refused: Option<RefusedNow>,
}

/// Manifests that are not served.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefusedNow {
    pub(crate) at: u64,
    pub(crate) problems: Vec<String>,
}

impl TargetNow {
    /// Replicas wanted and ready.
    pub(crate) fn replicas(&self) -> (u32, u32) {
        let replicas = self.replicas.expect("a process");
        (replicas.wanted, replicas.ready)
    }

    /// Nobody serves it, and no process is left.
    pub(crate) fn is_asleep(&self) -> bool {
        self.state == "cold" && self.replicas() == (0, 0)
    }
}
