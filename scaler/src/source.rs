//! What the ledger is fed with: one source of demand per target, and what the
//! target's route asks for.
//!
//! The composition root hands a [`TargetEntry`] per InterceptorRoute to
//! [`crate::Ledger::set_targets`]; the proxy's targets (and fakes in tests)
//! implement [`DemandSource`]. Nothing here decides anything.

use proxy::{TargetId, Totals};
use std::{fmt, sync::Arc, time::Duration};

/// The counters of one target, read by every RPC that asks for the target, and
/// by the sampler ten times a second unless the target rests.
///
/// The first three methods are called while the target's window is locked: they
/// must be a handful of atomic loads, must not block and must not call the
/// ledger back.
pub trait DemandSource: Send + Sync + 'static {
    /// The exact demand counters, read now, on the clock that the ledger was
    /// given.
    fn totals(&self) -> Totals;
    /// Requests that wait now because nobody can serve them.
    fn held(&self) -> u64;
    /// Endpoints that a request could be sent to now.
    fn ready_endpoints(&self) -> usize;
    /// The target that is counted, if other proxies may report requests for it
    /// that are not among [`DemandSource::totals`].
    fn target(&self) -> Option<&TargetId> {
        None
    }
    /// Nobody will look for a while: the ledger is to be told
    /// ([`proxy::DemandSink::stirred`], under the name of
    /// [`DemandSource::target`]) when the next request begins. False: this
    /// source cannot tell, and must be looked at.
    fn tell_of_next(&self) -> bool {
        false
    }
}

/// A wanted request rate per replica, and how the rate is averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateTarget {
    /// Requests per second that one replica should get.
    pub target_value: u32,
    /// The rate is the mean over this time. Zero means the default, 1 m.
    pub window: Duration,
    /// How often a reading is kept. Zero means the default, 1 s. It only says
    /// how finely the far end of the window is known: the rate is per second
    /// whatever the granularity is.
    pub granularity: Duration,
}

impl RateTarget {
    /// The window of a route that names none.
    pub const DEFAULT_WINDOW: Duration = Duration::from_secs(60);
    /// The granularity of a route that names none.
    pub const DEFAULT_GRANULARITY: Duration = Duration::from_secs(1);

    /// `target_value` requests per second, with the default window.
    #[must_use]
    pub fn new(target_value: u32) -> Self {
        Self {
            target_value,
            window: Self::DEFAULT_WINDOW,
            granularity: Self::DEFAULT_GRANULARITY,
        }
    }
}

/// The target of the HTTPScaledObject `namespace/name`: the trigger key
/// `httpScaledObject` leads to it. No InterceptorRoute can be called so, and
/// thus the two may have the same name.
#[must_use]
pub fn http_scaled_object(namespace: &str, name: &str) -> TargetId {
    TargetId::new(namespace, &format!("{HTTP_SCALED_OBJECT}{name}"))
}

const HTTP_SCALED_OBJECT: &str = "httpscaledobject/";

/// A target for people: kind, namespace and name of its object.
pub(crate) fn describe(id: &TargetId) -> String {
    match id.name().strip_prefix(HTTP_SCALED_OBJECT) {
        Some(name) => format!("HTTPScaledObject {}/{name}", id.namespace()),
        None => format!("InterceptorRoute {id}"),
    }
}

/// The name of the object that a target was made from: of the InterceptorRoute, or of the
/// HTTPScaledObject of [`http_scaled_object`].
#[must_use]
pub fn object_name(id: &TargetId) -> &str {
    let name = id.name();
    name.strip_prefix(HTTP_SCALED_OBJECT).unwrap_or(name)
}

/// What a route scales by. With neither metric set, the target is reported as
/// concurrency 100 per replica: KEDA cannot live with an empty answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetScaling {
    /// Requests at once that one replica should have.
    pub concurrency: Option<u32>,
    /// Requests per second that one replica should get.
    pub request_rate: Option<RateTarget>,
}

/// One target of the ledger.
#[derive(Clone)]
pub struct TargetEntry {
    /// The InterceptorRoute, or what [`http_scaled_object`] gives.
    pub id: TargetId,
    /// Its counters. A target that stays in the set keeps its history when the
    /// counters go on; when they start anew, the history starts anew.
    pub source: Arc<dyn DemandSource>,
    /// What it scales by.
    pub scaling: TargetScaling,
}

impl fmt::Debug for TargetEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetEntry")
            .field("id", &self.id)
            .field("scaling", &self.scaling)
            .finish_non_exhaustive()
    }
}
