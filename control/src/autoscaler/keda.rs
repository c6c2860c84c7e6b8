//! KEDA's half of autoscaling: from zero (or idle) and back to it.
//!
//! Told by the driver what polls found and what streams reported; answers
//! with a change of replicas or nothing. Rules as in KEDA's scale executor:
//! activity wakes at once, only a poll puts to sleep, and an error never takes
//! anything away. Pure: it must never read a clock, wait, or scale anything.
//! Between 1 and the maximum the HPA decides (`hpa.rs`).

#[cfg(test)]
mod tests;

use super::object::ScaledObject;
use std::time::Duration;
use tokio::time::Instant;

/// What one poll of all triggers found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Poll {
    /// When the questions were asked: an answer may be older than what a
    /// stream reported meanwhile.
    pub(super) began: Instant,
    /// Some trigger is active.
    pub(super) active: bool,
    /// Some trigger could not answer.
    pub(super) failed: bool,
}

/// A change of replicas, to be made at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) to: u32,
    pub(super) why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// There is demand, and nothing (or only the idle replicas) to serve it.
    Activated,
    /// No activity for this long.
    Quiet(Duration),
    /// Nothing active, and fewer replicas than the minimum.
    BelowMin,
}

/// The activation state of one ScaledObject.
#[derive(Debug)]
pub(super) struct Activation {
    min: u32,
    idle: Option<u32>,
    cooldown: Duration,
    initial_cooldown: Duration,
    created: Instant,
    last_active: Option<Instant>,
}

impl Activation {
    /// A ScaledObject created at `created` that has not been active yet.
    pub(super) fn new(object: &ScaledObject, created: Instant) -> Self {
        Self {
            min: object.min_replicas,
            idle: object.idle_replicas,
            cooldown: object.cooldown_period,
            initial_cooldown: object.initial_cooldown_period,
            created,
            last_active: None,
        }
    }

    /// The ScaledObject was edited: when it was active last is not forgotten.
    pub(super) fn adopt(&mut self, object: &ScaledObject) {
        *self = Self {
            last_active: self.last_active,
            ..Self::new(object, self.created)
        };
    }

    /// A poll of all triggers has ended. `replicas` are those of now, not of
    /// when the poll began.
    pub(super) fn poll(&mut self, now: Instant, replicas: u32, seen: Poll) -> Option<Change> {
        if seen.active {
            // With some trigger failing, KEDA wakes but does not call the
            // workload active.
            return self.activate(now, replicas, !seen.failed);
        }
        if seen.failed {
            return None;
        }
        if self.may_sleep(replicas) {
            let quiet = self.quiet_since(seen.began, now)?;
            return Some(Change {
                to: self.idle.unwrap_or(0),
                why: Why::Quiet(quiet),
            });
        }
        let below_min = replicas < self.min && self.idle.is_none();
        below_min.then_some(Change {
            to: self.min,
            why: Why::BelowMin,
        })
    }

    /// A stream reported. `false` is ignored, as in KEDA since 2.18: only a
    /// poll, which asks all triggers, can tell that nothing is active.
    pub(super) fn reported(&mut self, now: Instant, replicas: u32, active: bool) -> Option<Change> {
        if active {
            self.activate(now, replicas, true)
        } else {
            None
        }
    }

    /// At zero, or on no more than its idle replicas: KEDA's to wake, and the
    /// HPA leaves it alone.
    pub(super) fn is_asleep(&self, replicas: u32) -> bool {
        replicas == 0
            || self
                .idle
                .is_some_and(|idle| replicas <= idle && replicas < self.min)
    }

    /// When activity was last seen.
    pub(super) fn last_active(&self) -> Option<Instant> {
        self.last_active
    }

    /// From when on a poll may put it to sleep, if nothing becomes active
    /// before. `None` if it sleeps already or never does.
    pub(super) fn sleeps_at(&self, replicas: u32) -> Option<Instant> {
        let (since, patience) = match self.last_active {
            Some(at) => (at, self.cooldown),
            None => (self.created, self.initial_cooldown),
        };
        // A cooldown beyond the end of time never ends.
        self.may_sleep(replicas)
            .then(|| since.checked_add(patience))?
    }

    fn activate(&mut self, now: Instant, replicas: u32, refresh: bool) -> Option<Change> {
        let wake = replicas == 0 || (self.idle.is_some() && replicas < self.min);
        if wake || refresh {
            self.last_active = Some(now);
        }
        wake.then_some(Change {
            to: self.min.max(1),
            why: Why::Activated,
        })
    }

    fn may_sleep(&self, replicas: u32) -> bool {
        match self.idle {
            Some(idle) => replicas > idle,
            None => replicas > 0 && self.min == 0,
        }
    }

    /// How long it has been quiet, if that is long enough to sleep.
    fn quiet_since(&self, asked: Instant, now: Instant) -> Option<Duration> {
        let (since, patience) = match self.last_active {
            // Reported while the poll was under way: its answer is the older
            // news. KEDA would believe it, and sleep in the face of demand
            // where the cooldown is short.
            Some(at) if at >= asked => return None,
            Some(at) => (at, self.cooldown),
            None => (self.created, self.initial_cooldown),
        };
        let quiet = now.saturating_duration_since(since);
        (quiet >= patience).then_some(quiet)
    }
}
