//! Slow start: an endpoint that has just come gets a share that grows with its
//! age, so that a process that still compiles, fills caches and opens its
//! connections is not hit like one that is warm.
//!
//! Of two candidates the younger one steps back with probability 1 − its age
//! ÷ the older one's, both counted up to the window. Ages are compared, so
//! nothing changes where all endpoints are equally new, or there is just one.
//! The least share and the linear growth are Envoy's (`slow_start_config`).
//!
//! Looked at only until the youngest endpoint of a set has left its window.

use super::Endpoint;
use std::sync::Arc;

/// An endpoint of no age at all counts as one of this share of the window.
const LEAST: f64 = 0.1;

/// When an endpoint came, and when it is as good as any other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Youth {
    pub(super) born_us: u64,
    pub(super) ends_us: u64,
}

impl Youth {
    /// How much of its window has passed, from [`LEAST`] to 1.
    fn weight(self, now_us: u64) -> f64 {
        let window = self.ends_us.saturating_sub(self.born_us);
        let age = now_us.saturating_sub(self.born_us);
        if age >= window {
            return 1.0;
        }
        (age as f64 / window as f64).max(LEAST)
    }
}

/// Until when the ages within a set matter; 0: they do not.
pub(super) fn matters_until(endpoints: &[Arc<Endpoint>]) -> u64 {
    let born = |endpoint: &Arc<Endpoint>| endpoint.youth.born_us;
    let first = endpoints.first().map(born);
    if endpoints.iter().map(born).all(|at| Some(at) == first) {
        return 0;
    }
    let ends = endpoints.iter().map(|endpoint| endpoint.youth.ends_us);
    ends.max().unwrap_or(0)
}

/// The one of two that must step back this time, if either must.
pub(super) fn steps_back<'a>(
    a: &'a Arc<Endpoint>,
    b: &'a Arc<Endpoint>,
    now_us: u64,
) -> Option<&'a Arc<Endpoint>> {
    let (weight_a, weight_b) = (a.youth.weight(now_us), b.youth.weight(now_us));
    let (younger, share) = if weight_a < weight_b {
        (a, weight_a / weight_b)
    } else {
        (b, weight_b / weight_a)
    };
    (share < 1.0 && fastrand::f64() >= share).then_some(younger)
}
