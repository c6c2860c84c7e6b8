//! Which endpoint a request goes to: the one of its session, another one than
//! just failed it, else the best of those that have a place.

use super::{job::Job, resend::MOST_RESENDS};
use crate::{
    endpoint::{Claimed, Lease},
    route::SessionId,
};
use http::HeaderValue;
use std::sync::atomic::Ordering;

/// What a request of a route with sessions says about its own.
pub(super) struct SessionWish {
    /// The session that it goes on with.
    pub(super) wanted: Option<SessionId>,
    /// Its endpoint has as many requests as it may; another one serves this
    /// request, and the session stays.
    pub(super) is_full: bool,
    /// The client came by TLS.
    pub(super) is_secure: bool,
}

impl Job<'_> {
    /// Step 3, warm: an endpoint at once, unless others wait for one.
    pub(super) fn pick(&mut self) -> Option<Lease> {
        if self.on_fallback {
            return self.pick_fallback();
        }
        // A static route's request never waits, so it overtakes nobody.
        let gate = self.route.target.gate();
        let may_pass = gate.is_clear() || self.pass.is_some() || self.fixed.is_some();
        if !may_pass || self.must_queue {
            return None;
        }
        self.choose()
    }

    /// The endpoint that is best for this request, if any has a place.
    pub(super) fn choose(&mut self) -> Option<Lease> {
        let target = &self.route.target;
        let now_us = if self.has_picked {
            target.clock().now_us()
        } else {
            self.in_flight.begun_us()
        };
        self.has_picked = true;
        let limit = target.place_limit();
        let endpoints = target.endpoints_guard();
        if let Some(wish) = &mut self.session
            && let Some(session) = &self.route.session
            // Its connection may just have been an old one; twice is enough.
            && self.resends < MOST_RESENDS
            && let Some(index) = wish.wanted.and_then(|id| session.find(&endpoints, id))
        {
            match endpoints.claim(index, now_us, limit) {
                Claimed::Lease(lease) => {
                    wish.is_full = false;
                    return Some(lease);
                }
                Claimed::Full => wish.is_full = true,
                Claimed::Gone => wish.is_full = false,
            }
        }
        if let Some(avoid) = &self.avoid
            && let Some(other) = endpoints.pick_other(now_us, limit, avoid)
        {
            return Some(other);
        }
        endpoints.pick(now_us, limit)
    }

    pub(super) fn pick_fallback(&self) -> Option<Lease> {
        let fallback = self.route.cold_start.fallback.as_ref()?;
        fallback.pick(self.route.target.clock().now_us())
    }

    /// Is there nobody else to try now?
    pub(super) fn is_last_choice(&self, lease: &Lease) -> bool {
        let target = &self.route.target;
        let (endpoint, now_us) = (lease.endpoint(), target.clock().now_us());
        let has_other = match self.route.cold_start.fallback.as_ref() {
            Some(fallback) if self.on_fallback => fallback.has_other_than(endpoint, now_us),
            _ => target.endpoints_guard().has_other_than(endpoint, now_us),
        };
        !has_other
    }

    /// What the client must be told to stay with `lease`'s endpoint, unless it
    /// knows.
    pub(super) fn session_cookie(&self, lease: &Lease) -> Option<HeaderValue> {
        let wish = self.session.as_ref().filter(|_| !self.on_fallback)?;
        let session = self.route.session.as_ref()?;
        let endpoint = lease.endpoint();
        if wish.is_full || wish.wanted == Some(session.id_of(endpoint)) {
            return None;
        }
        let sessions = &self.target_metrics().sessions;
        let counter = match wish.wanted {
            None => &sessions.started,
            Some(_) => &sessions.moved,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        Some(session.set_cookie(endpoint, wish.is_secure))
    }
}
