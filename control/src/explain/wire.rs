//! The shape of `/api/v1/targets/…/explain`.
//!
//! Written by `admin/explain.rs`, read by `reveille explain` and `reveille top`.

use crate::sight::EventView;
use serde::{Deserialize, Serialize};

/// A target, explained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// `namespace/name`.
    pub name: String,
    /// As in `/api/v1/targets`.
    pub state: String,
    /// Why it is in that state, in one sentence.
    pub why: String,
    /// What asks for it, and what does not.
    pub demand: Vec<Source>,
    /// What KEDA was told last.
    pub told: Vec<Told>,
    /// What happens next.
    pub next: String,
    /// In how many seconds, if nothing comes in between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_in_seconds: Option<f64>,
    /// Its last events, oldest first.
    pub events: Vec<EventView>,
}

/// Something that may ask for a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// What it is.
    pub source: String,
    /// What it says.
    pub says: String,
    /// Whether it keeps the target awake.
    pub active: bool,
}

/// Something that KEDA was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// The trigger or the metric.
    pub about: String,
    /// What was said.
    pub said: String,
    /// How long ago.
    pub ago_seconds: f64,
}

/// No such target, or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotExplained {
    /// What is wrong.
    pub error: String,
    /// Targets that may have been meant.
    pub near: Vec<String>,
}
