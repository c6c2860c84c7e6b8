//! The cold path: a request that finds nobody to serve it.

use super::job::Job;
use crate::{
    endpoint::Lease,
    error::Refusal,
    gate::{NotHeld, WaitsFor},
    http::headers,
    in_flight::InFlight,
    journal::HoldEnd,
    route::Instead,
    server::Transport,
    story::{HoldRefusal, WaitEnd},
};
use std::sync::atomic::Ordering;
use tokio::time::Instant;

/// In characters: a path may be as long as a head may be.
const LONGEST_WHO: usize = 200;

impl Job<'_> {
    /// Step 3, cold: what the route wants for requests that find nobody.
    pub(super) async fn find_nobody(&mut self) -> Result<Lease, Refusal> {
        if let Some(fixed) = self.fixed {
            return Err(self.fixed_answer(&fixed.response));
        }
        if self.on_fallback {
            return Err(Refusal::ReadinessTimeout);
        }
        let target = &self.route.target;
        // While endpoints are ready, the queue is only being worked off.
        if target.ready_endpoints() == 0 {
            let in_flight = target.totals().in_flight();
            let instead = self.route.cold_start.instead_of_waiting(in_flight);
            if let Some(instead) = instead {
                return Err(self.turn_away(instead));
            }
        }
        match self.hold().await {
            Err(Refusal::ReadinessTimeout) if self.route.cold_start.fallback.is_some() => {
                self.on_fallback = true;
                self.pass = None;
                self.pick_fallback().ok_or(Refusal::ReadinessTimeout)
            }
            waited => waited,
        }
    }

    /// Not even held; but it is demand, so it wakes the target like any other.
    fn turn_away(&self, instead: Instead) -> Refusal {
        let target = &self.route.target;
        target.wake(|| self.who());
        let count_rejection = || {
            target.story().refused(HoldRefusal::Full);
            target
                .metrics()
                .holds
                .rejected
                .fetch_add(1, Ordering::Relaxed);
        };
        match instead {
            Instead::Placeholder(page) => self.fixed_answer(&page),
            Instead::Overflow(page) => {
                count_rejection();
                self.fixed_answer(&page)
            }
            Instead::Reject => {
                count_rejection();
                Refusal::TooManyPending
            }
        }
    }

    /// Waits in the queue until an endpoint can be picked.
    async fn hold(&mut self) -> Result<Lease, Refusal> {
        self.passed_wait = false;
        let since = self.held_since.unwrap_or_else(|| {
            self.waits_for = self.what_is_missing();
            Instant::now()
        });
        // In clear, the connection keeps that buffer for what comes next.
        let is_plain = self.may_leave_unseen && self.client.peer.transport == Transport::Clear;
        if self.held_since.is_none()
            && !is_plain
            && let Some(request) = &mut self.request
        {
            headers::let_go_of_buffer(request);
        }
        self.held_since = Some(since);
        let limits = self.limits;
        let deadline = limits.phase(since, limits.readiness, Refusal::ReadinessTimeout);
        self.journal.hold_began();
        if self.waits_for == WaitsFor::Endpoint {
            self.route.target.story().waits();
        }
        let mut account = HoldAccount {
            job: self.in_flight,
            since,
            waits_for: self.waits_for,
            end: HoldEnd::Cancelled,
        };

        let (client, shared) = (self.client, self.shared);
        let may_leave_unseen = self.may_leave_unseen;
        let waited = tokio::select! {
            biased;
            waited = self.wait() => waited,
            refusal = expire(deadline) => Err(refusal),
            // The connection notices a client that leaves, unless bytes are unread.
            () = client.gone(), if may_leave_unseen => Err(Refusal::ClientGone),
            () = shared.drain.deadline() => Err(Refusal::Draining),
        };
        account.end = match &waited {
            Ok(_) => HoldEnd::Ready,
            Err(Refusal::TooManyPending) => HoldEnd::Rejected,
            Err(Refusal::ClientGone) => HoldEnd::Cancelled,
            Err(_) => HoldEnd::Refused,
        };
        if let Some(why) = waited.as_ref().err().and_then(why_refused) {
            self.route.target.story().refused(why);
        }
        self.journal.hold_ended(account.end);
        waited
    }

    /// The request for people: method, host and path. Never the query, which
    /// may hold what is nobody's business.
    fn who(&self) -> String {
        let Some(request) = &self.request else {
            return "a request".to_owned();
        };
        let said = format!(
            "{} {}{}",
            request.method(),
            headers::authority(request),
            request.uri().path()
        );
        let clean = said.chars().filter(|char| !char.is_control());
        clean.take(LONGEST_WHO).collect()
    }

    /// An endpoint; or, where each has a limit and some are there, a place.
    fn what_is_missing(&self) -> WaitsFor {
        let target = &self.route.target;
        if target.max_concurrency().is_some() && target.ready_endpoints() > 0 {
            WaitsFor::Place
        } else {
            WaitsFor::Endpoint
        }
    }

    /// Waits at the gate until an endpoint can be picked. Released and finding
    /// none (another request saw it die first), it takes its place again.
    async fn wait(&mut self) -> Result<Lease, Refusal> {
        let target = &self.route.target;
        self.must_queue = false;
        loop {
            let (held, began) = target
                .gate()
                .hold(self.waits_for, self.pass.take())
                .map_err(|error| match error {
                    NotHeld::Full => Refusal::TooManyPending,
                    NotHeld::Refusing(reason) => target.given_up(reason),
                })?;
            target.began_to_wait(self.waits_for, began, || self.who());
            let mut pass = held.await.map_err(|reason| target.given_up(reason))?;
            // It keeps its place until it has an endpoint: nobody slips past.
            let lease = self.choose();
            if lease.is_some() {
                pass.go();
            }
            self.pass = Some(pass);
            if let Some(lease) = lease {
                return Ok(lease);
            }
        }
    }
}

/// Why a request that was to wait was refused; `None`: it left, or the route is
/// gone.
fn why_refused(refusal: &Refusal) -> Option<HoldRefusal> {
    match refusal {
        Refusal::TooManyPending => Some(HoldRefusal::Full),
        Refusal::ReadinessTimeout | Refusal::RequestTimeout => Some(HoldRefusal::NotReady),
        Refusal::Failing(_) => Some(HoldRefusal::Failing),
        Refusal::Draining => Some(HoldRefusal::Stopping),
        _ => None,
    }
}

async fn expire(deadline: Option<(Instant, Refusal)>) -> Refusal {
    match deadline {
        Some((at, refusal)) => {
            tokio::time::sleep_until(at).await;
            refusal
        }
        None => std::future::pending().await,
    }
}

/// Books one wait when it ends, however it ends.
struct HoldAccount<'a> {
    job: &'a InFlight,
    since: Instant,
    waits_for: WaitsFor,
    end: HoldEnd,
}

impl Drop for HoldAccount<'_> {
    fn drop(&mut self) {
        let target = self.job.target();
        let (metrics, waited) = (target.metrics(), self.since.elapsed());
        let waited_us = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        let end = match self.end {
            HoldEnd::Ready => Some(WaitEnd::Released),
            HoldEnd::Refused => Some(WaitEnd::Refused),
            HoldEnd::Cancelled => Some(WaitEnd::Left),
            HoldEnd::Rejected => None,
        };
        if self.waits_for == WaitsFor::Endpoint {
            target.story().waited(target.id(), end, waited);
        }
        match self.end {
            HoldEnd::Ready if self.waits_for == WaitsFor::Place => {
                metrics.holds.placed.record(waited_us);
            }
            HoldEnd::Ready => {
                metrics.holds.ready.record(waited_us);
                metrics
                    .last_cold_start_us
                    .store(waited_us, Ordering::Relaxed);
            }
            HoldEnd::Refused => metrics.holds.refused.record(waited_us),
            HoldEnd::Cancelled => metrics.holds.cancelled.record(waited_us),
            HoldEnd::Rejected => {
                metrics.holds.rejected.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
