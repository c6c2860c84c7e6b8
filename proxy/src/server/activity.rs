//! What the sweep knows of one client connection: a few words that the
//! connection keeps up to date and the sweep reads, and orders in the other
//! direction.
//!
//! The connection writes with plain stores and a clock that only ticks, so
//! that a request pays a handful of instructions for all limits in time
//! together. Nothing here may lock or ask the system for the time.

use super::{http2::PING_INTERVAL, sweep::Sweep};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

/// What a connection does while no request is in progress on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Nothing has arrived yet.
    Silent,
    /// The first byte of a head has arrived, its end has not.
    Head,
    /// HTTP/1.1 between requests.
    Idle,
    /// Likewise, and its HTTP state was given back.
    Parked,
    /// HTTP/1.1: the answer is over, the request's body is not.
    Uploading,
    /// HTTP/2 without a stream.
    NoStream,
    /// HTTP/2 after GOAWAY.
    Leaving,
    /// No HTTP any more.
    Tunnel,
}

impl Stage {
    const ALL: [Self; 8] = [
        Self::Silent,
        Self::Head,
        Self::Idle,
        Self::Parked,
        Self::Uploading,
        Self::NoStream,
        Self::Leaving,
        Self::Tunnel,
    ];
}

/// What has to happen to a connection because of its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nobody would miss it.
    Close,
    /// A head took too long: say so, then close.
    TooSlow,
    /// Its HTTP state can be given back.
    Park,
    /// HTTP/2: no more streams.
    GoAway,
}

/// Orders to a connection, as bits.
pub(crate) mod order {
    /// Take no more requests.
    pub(crate) const DRAIN: u8 = 1;
    /// End now.
    pub(crate) const CUT: u8 = 2;
    /// Something is due: see [`super::Activity::verdict`].
    pub(crate) const LOOK: u8 = 4;
    /// Over HTTP/1, take no request after the next one.
    pub(crate) const ANNOUNCED: u8 = 8;
}

/// A request's head that began this short a time before draining may still be
/// completed.
const HEAD_GRACE_MS: u64 = 1_000;
/// An HTTP/2 client that does not answer a GOAWAY may still be reading the end
/// of an answer for this long after we had all of it.
const READING_MS: u64 = 10_000;

/// The words that a connection and the sweep share.
#[derive(Debug)]
pub(crate) struct Activity {
    sweep: Arc<Sweep>,
    /// The stage (lowest byte), and since when, in the sweep's milliseconds.
    mark: AtomicU64,
    /// Requests in progress: from their head to the end of their answer.
    in_progress: AtomicU32,
    /// When HTTP/2 was last heard of, in the sweep's milliseconds.
    heard_ms: AtomicU64,
    /// Requests so far.
    begun: AtomicU64,
    /// The client does not take what was written.
    unsent: AtomicBool,
    orders: AtomicU8,
    /// Of the task that serves the connection. Not taken out by a wake, so that
    /// it is set once and not at each poll.
    waker: Mutex<Option<Waker>>,
}

impl Activity {
    pub(super) fn new(sweep: Arc<Sweep>) -> Self {
        let activity = Self {
            sweep,
            mark: AtomicU64::new(0),
            in_progress: AtomicU32::new(0),
            heard_ms: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            unsent: AtomicBool::new(false),
            orders: AtomicU8::new(0),
            waker: Mutex::new(None),
        };
        activity.enter(Stage::Silent);
        activity
    }

    pub(crate) fn sweep(&self) -> &Sweep {
        &self.sweep
    }

    /// From now on it does this.
    pub(crate) fn enter(&self, stage: Stage) {
        let mark = (self.sweep.now_ms() << 8) | u64::from(stage as u8);
        self.mark.store(mark, Ordering::Relaxed);
        if stage == Stage::NoStream {
            self.heard();
        }
    }

    fn heard(&self) {
        self.heard_ms.store(self.sweep.now_ms(), Ordering::Relaxed);
    }

    /// For how long nothing came over HTTP/2, late by at most two of the
    /// sweep's periods.
    pub(super) fn silence(&self) -> Duration {
        let heard = self.heard_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.sweep.now_ms().saturating_sub(heard))
    }

    /// Must it be asked whether it is still there?
    pub(super) fn is_silent(&self) -> bool {
        matches!(self.stage(), Stage::NoStream | Stage::Leaving) && self.silence() >= PING_INTERVAL
    }

    /// It does this, for as long as it did what it did before.
    pub(crate) fn relabel(&self, stage: Stage) {
        let since = self.mark.load(Ordering::Relaxed) & !0xff;
        self.mark
            .store(since | u64::from(stage as u8), Ordering::Relaxed);
    }

    fn read_mark(&self) -> (Stage, u64) {
        let mark = self.mark.load(Ordering::Relaxed);
        let stage = usize::from(mark.to_le_bytes()[0]);
        (Stage::ALL[stage], mark >> 8)
    }

    pub(crate) fn stage(&self) -> Stage {
        self.read_mark().0
    }

    /// Bytes came from the client.
    pub(crate) fn received(&self) {
        match self.stage() {
            Stage::Silent | Stage::Idle | Stage::Parked => self.enter(Stage::Head),
            Stage::Uploading => self.enter(Stage::Uploading),
            Stage::NoStream | Stage::Leaving => self.heard(),
            Stage::Head | Stage::Tunnel => {}
        }
    }

    /// Whether the client takes what is written.
    pub(crate) fn wrote(&self, is_taken: bool) {
        if self.unsent.load(Ordering::Relaxed) == is_taken {
            self.unsent.store(!is_taken, Ordering::Relaxed);
        }
    }

    /// All that was written is on its way.
    pub(crate) fn is_flushed(&self) -> bool {
        !self.unsent.load(Ordering::Relaxed)
    }

    /// A request begins. True if it is the last one that the connection may
    /// serve. To be called by the connection alone.
    pub(crate) fn begin(&self) -> bool {
        self.in_progress.fetch_add(1, Ordering::Relaxed);
        let begun = self.begun.load(Ordering::Relaxed) + 1;
        self.begun.store(begun, Ordering::Relaxed);
        self.is_used_up()
    }

    /// It has served as many requests as it may.
    pub(crate) fn is_used_up(&self) -> bool {
        let most = self.sweep.limits().max_requests;
        most > 0 && self.begun.load(Ordering::Relaxed) >= most
    }

    /// A request's answer is over, or given up; `is_uploaded`: its body was
    /// read to its end.
    pub(crate) fn end(&self, is_uploaded: bool) {
        let others = self.in_progress.fetch_sub(1, Ordering::Relaxed) - 1;
        if others == 0 {
            self.enter(match self.stage() {
                stage @ (Stage::NoStream | Stage::Leaving | Stage::Tunnel) => stage,
                _ if is_uploaded => Stage::Idle,
                _ => Stage::Uploading,
            });
        }
    }

    /// No request is in progress.
    pub(crate) fn is_free(&self) -> bool {
        self.in_progress.load(Ordering::Relaxed) == 0
    }

    /// The drain is near, or has begun.
    pub(crate) fn is_announced(&self) -> bool {
        self.orders.load(Ordering::Relaxed) & (order::ANNOUNCED | order::DRAIN) != 0
    }

    /// The drain has begun.
    pub(crate) fn is_draining(&self) -> bool {
        self.orders.load(Ordering::Relaxed) & order::DRAIN != 0
    }

    /// What is due by the sweep's clock. Never early, and late by at most two
    /// of the sweep's periods.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        if !self.is_free() {
            return None;
        }
        let (stage, since) = self.read_mark();
        let age = self.sweep.now_ms().saturating_sub(since);
        let limits = self.sweep.limits();
        let is_over = |limit: Duration| !limit.is_zero() && age >= self.sweep.surely(limit);
        let idle = || is_over(limits.idle_timeout).then_some(Verdict::Close);
        match stage {
            Stage::Silent => is_over(limits.header_timeout).then_some(Verdict::Close),
            Stage::Head if self.is_draining() && age >= HEAD_GRACE_MS => Some(Verdict::Close),
            Stage::Head => is_over(limits.header_timeout).then_some(Verdict::TooSlow),
            Stage::Idle => idle().or_else(|| {
                let park = is_over(limits.park_after) && self.is_flushed();
                (park && !self.is_draining()).then_some(Verdict::Park)
            }),
            Stage::Parked | Stage::Uploading => idle(),
            Stage::NoStream => is_over(limits.idle_timeout).then_some(Verdict::GoAway),
            Stage::Leaving => (age >= READING_MS).then_some(Verdict::Close),
            Stage::Tunnel => None,
        }
    }

    /// Gives orders; they stay until the connection has seen them, and
    /// all but [`order::LOOK`] for ever.
    pub(super) fn order(&self, orders: u8) {
        self.orders.fetch_or(orders, Ordering::Release);
        if let Some(waker) = &*self.waker.lock() {
            waker.wake_by_ref();
        }
    }
}

/// A connection's ear for orders; one for each place that waits.
#[derive(Debug)]
pub(crate) struct Orders<'a> {
    activity: &'a Activity,
    waker: Option<Waker>,
}

impl<'a> Orders<'a> {
    pub(crate) fn of(activity: &'a Activity) -> Self {
        Self {
            activity,
            waker: None,
        }
    }

    /// The present orders; the task is woken when others come.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> u8 {
        // A task's waker hardly ever changes, so this is a comparison.
        if !self.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *self.activity.waker.lock() = Some(cx.waker().clone());
            self.waker = Some(cx.waker().clone());
        }
        let orders = &self.activity.orders;
        let present = orders.load(Ordering::Acquire);
        if present & order::LOOK != 0 {
            orders.fetch_and(!order::LOOK, Ordering::Relaxed);
        }
        present
    }
}
