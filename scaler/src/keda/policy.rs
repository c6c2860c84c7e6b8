//! When `StreamIsActive` speaks: the sender policy of one stream.
//!
//! KEDA acts on `true` by writing the scale, and may lose it: its cache can be
//! stale, the write can conflict, the poll can be in the middle of scaling to
//! zero. Every `true` also costs it a lock and an API call, so saying it
//! all the time is no answer. Hence:
//!
//! - the state when the stream opens, and every change of it, at once;
//! - `true` again, at once, when somebody starts to wait while the target is
//!   still called active but has no endpoint: somebody else scaled it to zero,
//!   or KEDA just did;
//! - `true` again 0.5 s, 1 s, 2 s, 2 s, … after the last one, for as long as
//!   somebody waits and there is no endpoint;
//! - nothing else.
//!
//! Where somebody else than KEDA scales from zero, KEDA need not hear of waits:
//! `true` only 10 s after somebody began to wait, and each 10 s from then on, if
//! there is still no endpoint. Its polls are answered all the same.
//!
//! Pure: the time, the signal and the queue come in; [`super::stream`] does the
//! waiting. It keeps no list of what is to be said: what happened while the
//! client did not read is said once, as the state of then.

use crate::{activation::Signal, tracked::Queue};
use std::time::Duration;
use tokio::time::Instant;

/// From one `true` to the next; the last one again and again.
const GAPS: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// For so long somebody else may try to scale from zero.
const PATIENCE: Duration = Duration::from_secs(10);

/// New waits are told at once, but a client that comes and goes all the time
/// must cost KEDA no more than one that stays: after a burst, one each 2 s.
/// The repeats go on meanwhile.
const WAITS_BURST: u32 = 8;
const WAITS_EACH: Duration = GAPS[2];

/// Why a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The stream was opened.
    Opened,
    /// The activity changed, or somebody new waits.
    Edge,
    /// Somebody still waits.
    Repeat,
}

/// A message to KEDA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) active: bool,
    pub(crate) why: Why,
}

/// The state of one stream.
#[derive(Debug)]
pub(crate) struct SenderPolicy {
    /// The last message.
    sent: Option<bool>,
    /// The waits that were taken note of.
    waits: u64,
    /// When to look at the queue again.
    check_at: Option<Instant>,
    /// The gap to the next repeat.
    gap: usize,
    /// When the waits told so far will have been paid for.
    paid_at: Option<Instant>,
}

impl SenderPolicy {
    pub(crate) fn new() -> Self {
        Self {
            sent: None,
            waits: 0,
            check_at: None,
            gap: 0,
            paid_at: None,
        }
    }

    /// When [`SenderPolicy::next`] has to be called again even if the signal
    /// does not change.
    pub(crate) fn check_at(&self) -> Option<Instant> {
        self.check_at
    }

    /// What is to be sent now, if anything. `queue` is asked only when it
    /// matters.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        signal: Signal,
        queue: impl FnOnce() -> Queue,
    ) -> Option<Message> {
        let new_wait = signal.waits != self.waits;
        self.waits = signal.waits;
        if signal.woken_elsewhere && signal.active && self.sent.is_some() {
            return self.stand_by(now, new_wait, queue);
        }
        if self.sent != Some(signal.active) {
            let why = if self.sent.is_none() {
                Why::Opened
            } else {
                Why::Edge
            };
            return Some(self.send(now, signal.active, why));
        }
        let due = self.check_at.is_some_and(|at| at <= now);
        if !signal.active || !(new_wait || due) {
            return None;
        }
        let queue = queue();
        let cold = queue.ready_endpoints == 0;
        if new_wait && cold && self.pay_for_wait(now) {
            return Some(self.send(now, true, Why::Edge));
        }
        if due && queue.held > 0 && cold {
            let gap = (self.gap + 1).min(GAPS.len() - 1);
            let message = self.send(now, true, Why::Repeat);
            self.gap = gap;
            self.check_at = Some(now + GAPS[gap]);
            return Some(message);
        }
        if new_wait {
            // Not told: there is an endpoint, or it was told too often. The
            // endpoint may be a ghost, so look again, but not sooner than the
            // repeats would.
            self.check_at = self
                .check_at
                .filter(|_| !due)
                .or(Some(now + GAPS[self.gap]));
        } else if queue.held == 0 {
            self.check_at = None;
            self.gap = 0;
        } else {
            // Somebody waits although there is an endpoint (it is full, or
            // about to be found dead).
            self.check_at = Some(now + GAPS[0]);
        }
        None
    }

    /// Somebody else is at it.
    fn stand_by(
        &mut self,
        now: Instant,
        new_wait: bool,
        queue: impl FnOnce() -> Queue,
    ) -> Option<Message> {
        if self.check_at.is_some_and(|at| at <= now) {
            let queue = queue();
            self.check_at = (queue.held > 0).then(|| now + PATIENCE);
            if queue.held > 0 && queue.ready_endpoints == 0 {
                let message = self.send(now, true, Why::Repeat);
                self.check_at = Some(now + PATIENCE);
                return Some(message);
            }
        }
        if new_wait && self.check_at.is_none() {
            self.check_at = Some(now + PATIENCE);
        }
        None
    }

    fn send(&mut self, now: Instant, active: bool, why: Why) -> Message {
        self.sent = Some(active);
        self.gap = 0;
        // One look after each `true`, even if nobody waits now: who waits may
        // be counted a moment after it was told.
        self.check_at = active.then(|| now + GAPS[0]);
        Message { active, why }
    }

    /// A leaky bucket: `WAITS_BURST` at once, then one each `WAITS_EACH`.
    fn pay_for_wait(&mut self, now: Instant) -> bool {
        let paid_at = self.paid_at.map_or(now, |at| at.max(now));
        let affordable = paid_at < now + WAITS_EACH * WAITS_BURST;
        if affordable {
            self.paid_at = Some(paid_at + WAITS_EACH);
        }
        affordable
    }
}

#[cfg(test)]
mod tests;
