//! The HPA between one replica and the maximum: `ceil(usage / target)`, the
//! tolerance, the default scale-up policy and the stabilisation of scale-down.

use super::object::ScaledObject;
use std::collections::VecDeque;
use tokio::time::Instant;

/// No change while usage is this near to the target.
const TOLERANCE: f64 = 0.1;

/// A metric as it was read. `None`: it could not be.
pub(super) type Read = Option<(f64, f64)>;

/// Remembers what it wanted lately.
#[derive(Debug, Default)]
pub(super) struct Hpa {
    wanted: VecDeque<(Instant, u32)>,
}

impl Hpa {
    /// How many replicas there should be: `reads` are usage and target, both
    /// over all replicas and per replica.
    pub(super) fn decide(&mut self, object: &ScaledObject, current: u32, reads: &[Read]) -> u32 {
        let now = Instant::now();
        let each = reads.iter().flatten().map(|&(usage, target)| {
            let ratio = usage / (target * f64::from(current));
            if (1.0 - TOLERANCE..=1.0 + TOLERANCE).contains(&ratio) {
                current
            } else {
                // To three decimals first: 0.3 / 0.1 is not 4.
                ((usage * 1000.0).round() / (target * 1000.0).round()).ceil() as u32
            }
        });
        let Some(most) = each.max() else {
            return current;
        };
        if most < current && reads.iter().any(Option::is_none) {
            return current;
        }
        self.wanted.push_back((now, most));
        while self
            .wanted
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) > object.down_stabilization)
        {
            self.wanted.pop_front();
        }
        let stable = if most < current {
            let lately = self.wanted.iter().map(|&(_, wanted)| wanted).max();
            lately.unwrap_or(most).min(current)
        } else {
            most.min(current.saturating_mul(2).max(current + 4))
        };
        stable.clamp(
            object.min_replicas.max(1),
            object.max_replicas.max(object.min_replicas.max(1)),
        )
    }
}
