//! Activation: is anything asked of one target?
//!
//! A target is active while something is held or in flight, and for the
//! activity window after that was last so: a route with one short request
//! every ten seconds is steadily active, a silent one becomes inactive.
//!
//! [`Activation::waiting`] is called by the proxy's workers, from any thread,
//! and takes no lock but the few instructions of a watch channel; everything
//! else is called by [`crate::tracked`] under the target's own lock. Streams
//! subscribe to the [`Signal`]; this file never talks to them itself.

use crate::polls::Polls;
use parking_lot::Mutex;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::sync::watch;

/// How far back an answer may reach, in activity windows.
/// Longer than any sensible polling interval, but a KEDA that was away for a
/// day must not wake everything that had a request yesterday.
const MAX_ANSWER_WINDOWS: u64 = 10;

/// The state that streams follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signal {
    /// The target is active.
    pub(crate) active: bool,
    /// How often somebody started to wait, so far. A stream that sees another
    /// number than before knows of a new hold, also while `active` stays.
    pub(crate) waits: u64,
    /// The target is gone for good.
    pub(crate) removed: bool,
    /// Another replica may have demand that is not known here: only "active" is
    /// certain.
    pub(crate) unsure: bool,
    /// Somebody else than KEDA scales the target from zero.
    pub(crate) woken_elsewhere: bool,
}

/// The activity of one target.
#[derive(Debug)]
pub(crate) struct Activation {
    signal: watch::Sender<Signal>,
    window_us: u64,
    /// When something was last held, in flight or begun: microseconds of the
    /// proxy's clock plus one, zero for never.
    last_busy: AtomicU64,
    /// Likewise, when somebody could last serve what was asked.
    last_ready: AtomicU64,
    /// When `IsActive` was asked.
    polls: Mutex<Polls>,
}

impl Activation {
    pub(crate) fn new(window: Duration) -> Self {
        Self {
            signal: watch::Sender::new(Signal::default()),
            window_us: u64::try_from(window.as_micros()).unwrap_or(u64::MAX),
            last_busy: AtomicU64::new(0),
            last_ready: AtomicU64::new(0),
            polls: Mutex::default(),
        }
    }

    /// Somebody started to wait: every stream is told, now.
    pub(crate) fn waiting(&self, now_us: u64) {
        self.busy_at(now_us);
        self.signal.send_modify(|signal| {
            signal.active = true;
            signal.waits = signal.waits.wrapping_add(1);
        });
    }

    /// The number of waits so far. Read it *before* the counters that are
    /// given to [`Activation::observe`].
    pub(crate) fn waits(&self) -> u64 {
        self.signal.borrow().waits
    }

    /// What a reading of the counters showed. `waits` was read before them: if
    /// somebody started to wait since, this reading is too old to say that the
    /// target is idle.
    pub(crate) fn observe(&self, now_us: u64, busy: bool, waits: u64) {
        if busy {
            self.busy_at(now_us);
        }
        let active = busy || self.busy_within(now_us, self.window_us);
        if active == self.active() {
            return; // the common case costs no write
        }
        self.signal.send_if_modified(|signal| {
            let stale = signal.waits != waits && !active;
            let change = signal.active != active && !stale;
            if change {
                signal.active = active;
            }
            change
        });
    }

    /// Is the target active? For everybody but KEDA's poll.
    pub(crate) fn active(&self) -> bool {
        self.signal.borrow().active
    }

    /// The answer to `IsActive`: active now, or busy as far back as a poll has
    /// to reach. KEDA polls as rarely as it is told to; demand between two
    /// polls must not be lost. `ready_endpoints` could serve the target.
    ///
    /// What is asleep again after somebody could serve it has had what it
    /// asked for: another replica may have told KEDA of it, and each that did
    /// not would wake it once more.
    pub(crate) fn answer(&self, now_us: u64, ready_endpoints: usize) -> bool {
        let active = self.active();
        let asleep = !active && ready_endpoints == 0;
        let reach = self.polls.lock().ask(now_us, asleep);
        let most = self.window_us.saturating_mul(MAX_ANSWER_WINDOWS);
        let [busy, ready] =
            [&self.last_busy, &self.last_ready].map(|at| at.load(Ordering::Relaxed));
        let was_served = asleep && ready > busy;
        active || (!was_served && self.busy_within(now_us, reach.clamp(self.window_us, most)))
    }

    /// Somebody could serve the target.
    pub(crate) fn was_ready(&self, now_us: u64) {
        self.last_ready
            .fetch_max(now_us.saturating_add(1), Ordering::Relaxed);
    }

    /// The target is gone: streams end.
    pub(crate) fn remove(&self) {
        self.signal.send_modify(|signal| signal.removed = true);
    }

    /// Whether only "active" is certain.
    pub(crate) fn set_unsure(&self, unsure: bool) {
        self.signal.send_if_modified(|signal| {
            let changed = signal.unsure != unsure;
            signal.unsure = unsure;
            changed
        });
    }

    /// Whether somebody else than KEDA scales it from zero.
    pub(crate) fn set_woken_elsewhere(&self, elsewhere: bool) {
        self.signal.send_if_modified(|signal| {
            let changed = signal.woken_elsewhere != elsewhere;
            signal.woken_elsewhere = elsewhere;
            changed
        });
    }

    /// Follows the signal.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Signal> {
        self.signal.subscribe()
    }

    /// Another replica had been idle for `idle_us` at `at_us`.
    pub(crate) fn was_busy(&self, at_us: u64, idle_us: u64) {
        // What was before our clock began is taken for its beginning, if it is
        // of interest at all.
        if idle_us <= at_us || idle_us < self.window_us {
            self.busy_at(at_us.saturating_sub(idle_us));
        }
    }

    fn busy_at(&self, now_us: u64) {
        self.last_busy
            .fetch_max(now_us.saturating_add(1), Ordering::Relaxed);
    }

    /// How long ago it was last busy; `None`: never.
    pub(crate) fn idle_us(&self, now_us: u64) -> Option<u64> {
        match self.last_busy.load(Ordering::Relaxed) {
            0 => None,
            at => Some(now_us.saturating_add(1).saturating_sub(at)),
        }
    }

    /// Busy less than `span_us` ago.
    fn busy_within(&self, now_us: u64, span_us: u64) -> bool {
        self.idle_us(now_us)
            .is_some_and(|idle_us| idle_us < span_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn activation() -> Activation {
        Activation::new(Duration::from_secs(30))
    }

    #[test]
    fn active_while_busy_and_for_the_window_after() {
        let activation = activation();
        activation.observe(0, false, 0);
        assert!(!activation.active());
        activation.observe(SECOND, true, 0);
        assert!(activation.active());
        activation.observe(30 * SECOND, false, 0);
        assert!(activation.active());
        activation.observe(31 * SECOND, false, 0);
        assert!(!activation.active());
    }

    #[test]
    fn one_short_request_every_ten_seconds_is_steadily_active() {
        let activation = activation();
        for tick in 0..6_000u64 {
            activation.observe(tick * SECOND / 10, tick % 100 == 0, 0);
            assert!(activation.active(), "at tick {tick}");
        }
    }

    #[test]
    fn a_reading_from_before_a_wait_cannot_deactivate() {
        let activation = activation();
        let waits = activation.waits();
        // The counters are read as idle here, then somebody starts to wait,
        // then an endless pause, then the reading is reported.
        activation.waiting(SECOND);
        activation.observe(100 * SECOND, false, waits);
        assert!(activation.active());
        activation.observe(100 * SECOND, false, activation.waits());
        assert!(!activation.active());
    }

    #[test]
    fn an_idle_observation_wakes_no_stream() {
        let activation = activation();
        let mut stream = activation.subscribe();
        stream.mark_unchanged();
        activation.observe(SECOND, true, 0);
        assert!(stream.has_changed().unwrap());
        stream.mark_unchanged();
        activation.observe(2 * SECOND, true, 0);
        activation.observe(3 * SECOND, false, 0);
        assert!(!stream.has_changed().unwrap());
    }

    #[test]
    fn the_answer_reaches_back_to_the_last_answer() {
        let activation = activation();
        assert!(!activation.answer(0, 0));
        activation.observe(10 * SECOND, true, 0);
        activation.observe(100 * SECOND, false, 0);
        assert!(!activation.active());
        assert!(
            activation.answer(120 * SECOND, 0),
            "a request since the last answer"
        );
        assert!(
            activation.answer(121 * SECOND, 0),
            "the next metric of the same poll"
        );
        assert!(
            !activation.answer(240 * SECOND, 0),
            "that request was answered for"
        );
    }

    #[test]
    fn what_was_served_and_sleeps_again_is_not_woken_for_it() {
        let activation = activation();
        assert!(!activation.answer(0, 0));
        activation.observe(10 * SECOND, true, 0);
        activation.was_ready(11 * SECOND);
        activation.observe(100 * SECOND, false, 0);
        // While it is awake, traffic between two polls keeps it so.
        assert!(activation.answer(101 * SECOND, 1));
        let asleep = super::Activation::new(Duration::from_secs(30));
        asleep.observe(10 * SECOND, true, 0);
        asleep.was_ready(11 * SECOND);
        asleep.observe(100 * SECOND, false, 0);
        assert!(!asleep.answer(120 * SECOND, 0));
        // Whoever comes after that is not served.
        asleep.observe(121 * SECOND, true, 0);
        asleep.observe(160 * SECOND, false, 0);
        assert!(asleep.answer(170 * SECOND, 0));
    }

    #[test]
    fn the_answer_does_not_reach_back_for_ever() {
        let activation = activation();
        assert!(!activation.answer(0, 0));
        activation.observe(10 * SECOND, true, 0);
        activation.observe(100 * SECOND, false, 0);
        assert!(!activation.answer(400 * SECOND, 0));
    }

    #[test]
    fn a_quick_poller_does_not_shorten_the_window() {
        let activation = activation();
        activation.observe(10 * SECOND, true, 0);
        for second in 11..40 {
            activation.observe(second * SECOND, false, 0);
            assert!(activation.answer(second * SECOND, 0), "at {second} s");
        }
        activation.observe(40 * SECOND, false, 0);
        assert!(!activation.answer(40 * SECOND, 0));
    }
}
