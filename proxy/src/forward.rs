//! THE hot path: one request, from its head to its answer's last byte.
//!
//! Read [`forward`] from top to bottom; the README lists the same steps.
//! It runs on the worker that accepted the connection. A warm request takes
//! snapshots and counters only: no lock that another worker takes, no task of
//! its own. Whatever ends the request, also a client that leaves (the future
//! is dropped), ends its guards: in-flight count, lease, place in the queue.

use crate::{
    config::ProxyConfig,
    endpoint::Lease,
    error::Refusal,
    gate::{NotHeld, Pass},
    http::{
        ProxyBody, TrackedBody, UploadBody,
        body::{Upload, UploadState},
        headers::{self, COLD_START},
        respond,
    },
    in_flight::{InFlight, Unrouted},
    proxy::Shared,
    route::{FALLBACK_AFTER, Instead, ResponseMode, Route, StaticRoute},
    server::ClientConnection,
    upstream::{self, SendError, Sender},
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use std::{pin::pin, sync::atomic::Ordering, time::Duration};
use tokio::time::Instant;

/// How often a request that an endpoint may have seen is sent again.
const MOST_RESENDS: u32 = 2;

/// Serves one request of `client`.
///
/// Cancel safe: dropped, the request is counted as abandoned (499), its place
/// in a queue is free, and its upstream connection is closed.
pub(crate) async fn forward(
    shared: &Shared,
    client: &ClientConnection,
    request: Request<Incoming>,
) -> Response<ProxyBody> {
    // 1. Which route?
    let route = match find_route(shared, &request) {
        Ok(route) => route,
        Err(refusal) => return refuse_unrouted(shared, client, &request, &refusal),
    };

    // 2. Count it, from here until its last byte, unless the route answers
    //    it itself: that is no demand.
    let fixed = static_route(&route, &request);
    let begin = match fixed {
        None => InFlight::begin,
        Some(_) => InFlight::begin_uncounted,
    };
    let mut in_flight = begin(route.target.clone(), client.worker, request.method());
    let limits = Limits::of(&route, &shared.config);

    // 3. to 6. Pick an endpoint (or wait for one), rewrite the head, send.
    let mut job = Job::new(shared, client, &route, fixed, &in_flight, &limits, request);
    let outcome = job.run().await;
    let cold_start = job.cold_start_header();

    // 7. Answer; the body carries the guards until it ends.
    let mut response = match outcome {
        Ok(Answer {
            response,
            sender,
            lease,
            upload,
        }) => {
            in_flight.answered(response.status());
            let (mut head, body) = response.into_parts();
            headers::strip_hop_by_hop(&mut head.headers);
            head.version = Version::HTTP_11;
            let body = TrackedBody::new(body, limits.request, upload, sender, lease, in_flight);
            Response::from_parts(head, ProxyBody::Upstream(body))
        }
        Err(refusal) => {
            let response = respond::refusal(&refusal);
            in_flight.answered(response.status());
            tracing::debug!(target = %route.target.id(), reason = %refusal, "request refused");
            response
        }
    };
    if let Some(value) = cold_start {
        response.headers_mut().insert(COLD_START, value);
    }
    response
}

/// Step 1: the route of a request, from the present table.
fn find_route(
    shared: &Shared,
    request: &Request<Incoming>,
) -> Result<std::sync::Arc<Route>, Refusal> {
    if request.method() == Method::CONNECT {
        return Err(Refusal::Connect);
    }
    let authority = headers::authority(request).map_err(Refusal::BadRequest)?;
    let table = shared.routes.load();
    let route = table.lookup(authority, request.uri().path(), request.headers());
    route.cloned().ok_or(Refusal::NoRoute)
}

fn static_route<'r>(route: &'r Route, request: &Request<Incoming>) -> Option<&'r StaticRoute> {
    if route.static_routes.is_empty() {
        return None;
    }
    let authority = headers::authority(request).unwrap_or_default();
    route.static_route(authority, request.uri().path(), request.headers())
}

fn refuse_unrouted(
    shared: &Shared,
    client: &ClientConnection,
    request: &Request<Incoming>,
    refusal: &Refusal,
) -> Response<ProxyBody> {
    let begun_us = shared.clock.now_us();
    tracing::debug!(
        host = ?request.headers().get(http::header::HOST),
        path = request.uri().path(),
        reason = %refusal,
        "request without a route"
    );
    let response = respond::refusal(refusal);
    Unrouted {
        clock: &shared.clock,
        requests: &shared.unrouted,
        worker: client.worker,
    }
    .record(begun_us, request.method(), response.status());
    response
}

/// The deadlines of one request.
struct Limits {
    request: Option<Instant>,
    readiness: Option<Duration>,
    response_header: Option<Duration>,
}

impl Limits {
    fn of(route: &Route, config: &ProxyConfig) -> Self {
        let limit = |own: Option<Duration>, default: Duration| {
            Some(own.unwrap_or(default)).filter(|limit| !limit.is_zero())
        };
        let timeouts = &route.timeouts;
        let readiness = limit(timeouts.readiness, config.readiness_timeout);
        let has_fallback = route.cold_start.fallback.is_some();
        let request = limit(timeouts.request, config.request_timeout);
        Self {
            request: request.map(|limit| Instant::now() + limit),
            readiness: readiness.or(has_fallback.then_some(FALLBACK_AFTER)),
            response_header: limit(timeouts.response_header, config.response_header_timeout),
        }
    }

    /// When a phase that starts at `start` and may take `limit` must end, and
    /// what to answer if it does not.
    fn phase(
        &self,
        start: Instant,
        limit: Option<Duration>,
        refusal: Refusal,
    ) -> Option<(Instant, Refusal)> {
        let phase = limit.map(|limit| (start + limit, refusal));
        let whole = self.request.map(|at| (at, Refusal::RequestTimeout));
        match (phase, whole) {
            (Some(phase), Some(whole)) => Some(if phase.0 < whole.0 { phase } else { whole }),
            (phase, whole) => phase.or(whole),
        }
    }
}

/// An endpoint's answer, with what its body must hold on to.
struct Answer {
    response: Response<Incoming>,
    sender: Sender,
    lease: Lease,
    upload: Upload,
}

/// One request on its way to an endpoint.
struct Job<'a> {
    shared: &'a Shared,
    client: &'a ClientConnection,
    route: &'a Route,
    /// The static route that it falls under.
    fixed: Option<&'a StaticRoute>,
    in_flight: &'a InFlight,
    limits: &'a Limits,
    /// Taken when it is sent; back if it was not.
    request: Option<Request<UploadBody>>,
    upload: Option<Upload>,
    has_body: bool,
    /// The client is on HTTP/1: while the request is held, what it sent next
    /// (its body, another request) stays unread and hides that it left.
    may_leave_unseen: bool,
    /// When it first had to wait.
    held_since: Option<Instant>,
    /// It is through the wait, whether it had to wait or not.
    passed_wait: bool,
    pass: Option<Pass>,
    /// The wait ran out and the route's fallback serves.
    on_fallback: bool,
}

impl<'a> Job<'a> {
    fn new(
        shared: &'a Shared,
        client: &'a ClientConnection,
        route: &'a Route,
        fixed: Option<&'a StaticRoute>,
        in_flight: &'a InFlight,
        limits: &'a Limits,
        request: Request<Incoming>,
    ) -> Self {
        let has_body = !request.body().is_end_stream();
        let may_leave_unseen = request.version() < Version::HTTP_2;
        let (head, body) = request.into_parts();
        let (body, upload) = if has_body {
            UploadBody::stream(body)
        } else {
            (UploadBody::none(), Upload::none())
        };
        let mut request = Request::from_parts(head, body);
        headers::rewrite_request(&mut request, &client.ip);
        if has_body {
            headers::frame_body(&mut request);
        }
        Self {
            shared,
            client,
            route,
            fixed,
            in_flight,
            limits,
            request: Some(request),
            upload: Some(upload),
            has_body,
            may_leave_unseen,
            held_since: None,
            passed_wait: false,
            pass: None,
            on_fallback: false,
        }
    }

    /// Until an endpoint answers or nothing more can be tried.
    async fn run(&mut self) -> Result<Answer, Refusal> {
        if let Some(fixed) = self
            .fixed
            .filter(|fixed| fixed.mode == ResponseMode::Always)
        {
            return Err(Refusal::Fixed(fixed.response.clone()));
        }
        let mut resends = 0;
        loop {
            // 3. An endpoint.
            let lease = match self.pick() {
                Some(lease) => lease,
                None => self.find_nobody().await?,
            };
            self.passed_wait = self.fixed.is_none() && !self.on_fallback;

            // 4. to 6. A connection, and the request on it.
            let request = self
                .request
                .take()
                .expect("a request that failed unsent came back");
            let replay = self.replay(&request);
            match self.send(&lease, request).await? {
                Ok((response, _)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(Refusal::SwitchedProtocols);
                }
                Ok((response, sender)) => {
                    self.pass = None;
                    let upload = self.upload.take().unwrap_or_else(Upload::none);
                    return Ok(Answer {
                        response,
                        sender,
                        lease,
                        upload,
                    });
                }
                Err(SendError::Connect(error, request)) => {
                    self.request = Some(*request);
                    self.endpoint_is_dead(&lease, &error);
                }
                Err(SendError::NoAnswer(error)) => {
                    self.check_upload()?;
                    let Some(replay) = replay.filter(|_| resends < MOST_RESENDS) else {
                        return Err(Refusal::NoAnswer(error));
                    };
                    resends += 1;
                    self.target_metrics()
                        .retries
                        .fetch_add(1, Ordering::Relaxed);
                    self.request = Some(replay);
                }
                Err(SendError::BadAnswer(error)) => return Err(Refusal::BadAnswer(error)),
            }
        }
    }

    /// Step 3, warm: an endpoint at once, unless others wait for one.
    fn pick(&self) -> Option<Lease> {
        if self.on_fallback {
            return self.pick_fallback();
        }
        let target = &self.route.target;
        // A static route's request never waits, so it overtakes nobody.
        let may_pass = target.gate().is_clear() || self.pass.is_some() || self.fixed.is_some();
        if !may_pass {
            return None;
        }
        target.endpoints_guard().pick(self.in_flight.begun_us())
    }

    fn pick_fallback(&self) -> Option<Lease> {
        let fallback = self.route.cold_start.fallback.as_ref()?;
        fallback.pick(self.route.target.clock().now_us())
    }

    /// Step 3, cold: what the route wants for requests that find nobody.
    async fn find_nobody(&mut self) -> Result<Lease, Refusal> {
        if let Some(fixed) = self.fixed {
            return Err(Refusal::Fixed(fixed.response.clone()));
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
        target.wake();
        let count_rejection = || {
            target
                .metrics()
                .holds
                .rejected
                .fetch_add(1, Ordering::Relaxed);
        };
        match instead {
            Instead::Placeholder(page) => Refusal::Fixed(page),
            Instead::Overflow(page) => {
                count_rejection();
                Refusal::Fixed(page)
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
        let since = *self.held_since.get_or_insert_with(Instant::now);
        let limits = self.limits;
        let deadline = limits.phase(since, limits.readiness, Refusal::ReadinessTimeout);
        let mut account = HoldAccount {
            job: self.in_flight,
            since,
            end: HoldEnd::Cancelled,
        };

        let waited = tokio::select! {
            biased;
            waited = wait(&self.route.target, &mut self.pass) => waited,
            refusal = expire(deadline) => Err(refusal),
            // hyper notices a client that leaves, unless bytes are unread.
            () = self.client.gone(), if self.may_leave_unseen => Err(Refusal::ClientGone),
            () = self.shared.drain.deadline() => Err(Refusal::Draining),
        };
        account.end = match &waited {
            Ok(_) => HoldEnd::Ready,
            Err(Refusal::TooManyPending) => HoldEnd::Rejected,
            Err(Refusal::ClientGone) => HoldEnd::Cancelled,
            Err(_) => HoldEnd::Refused,
        };
        waited
    }

    /// Steps 4 to 6 under the deadline for an answer's head, which counts from
    /// when the request is sent: a long upload is no late answer.
    async fn send(
        &self,
        lease: &Lease,
        request: Request<UploadBody>,
    ) -> Result<Result<(Response<Incoming>, Sender), SendError>, Refusal> {
        let limit = self.shared.config.connect_timeout;
        let send = upstream::send(lease.endpoint(), self.client.worker, limit, request);
        let mut send = pin!(send);
        let mut sent = Instant::now();
        loop {
            let limit = self.limits.response_header;
            let Some((at, refusal)) =
                self.limits
                    .phase(sent, limit, Refusal::ResponseHeaderTimeout)
            else {
                return Ok(send.await);
            };
            if let Ok(outcome) = tokio::time::timeout_at(at, send.as_mut()).await {
                return Ok(outcome);
            }
            match (refusal, self.upload.as_ref().map(Upload::state)) {
                // Should it end in the meantime, this is found out in time.
                (Refusal::ResponseHeaderTimeout, Some(UploadState::Running)) => sent = at,
                (Refusal::ResponseHeaderTimeout, Some(UploadState::Complete(Some(end))))
                    if end > sent =>
                {
                    sent = end;
                }
                (refusal, _) => return Err(refusal),
            }
        }
    }

    /// No connection could be made: nothing was sent, so any request may try
    /// another endpoint, or go back to its place in the queue.
    fn endpoint_is_dead(&mut self, lease: &Lease, error: &std::io::Error) {
        let endpoint = lease.endpoint();
        let now_us = self.route.target.clock().now_us();
        if !endpoint.is_ejected(now_us) {
            tracing::info!(
                target = %self.route.target.id(), endpoint = endpoint.name(),
                addr = %endpoint.addr(), %error,
                "endpoint does not accept connections: ejected for a while"
            );
        }
        endpoint.eject(now_us);
        self.target_metrics()
            .connect_failures
            .fetch_add(1, Ordering::Relaxed);
        if let Some(pass) = &mut self.pass {
            pass.failed();
        }
    }

    /// A connection also breaks because the client's body did: that is not
    /// the endpoint's failure.
    fn check_upload(&self) -> Result<(), Refusal> {
        match self.upload.as_ref().map(Upload::state) {
            Some(UploadState::ClientLeft) => Err(Refusal::ClientGone),
            Some(UploadState::Malformed) => Err(Refusal::BadRequest("a malformed body")),
            Some(UploadState::Running | UploadState::Complete(_)) | None => Ok(()),
        }
    }

    /// A copy of the request to send again if its connection breaks before an
    /// answer: only where that is safe (RFC 9110 section 9.2.2), and only
    /// without a body, which can be read just once.
    fn replay(&self, request: &Request<UploadBody>) -> Option<Request<UploadBody>> {
        if self.has_body || !request.method().is_idempotent() {
            return None;
        }
        let mut copy = Request::new(UploadBody::none());
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        Some(copy)
    }

    /// `true` if the request had to wait, `false` if it could go at once;
    /// nothing if it never got past the wait.
    fn cold_start_header(&self) -> Option<HeaderValue> {
        if !self.shared.config.cold_start_header || !self.passed_wait {
            return None;
        }
        let waited = if self.held_since.is_some() {
            "true"
        } else {
            "false"
        };
        Some(HeaderValue::from_static(waited))
    }

    fn target_metrics(&self) -> &crate::metrics::TargetMetrics {
        self.route.target.metrics()
    }
}

/// Waits at the gate until an endpoint can be picked. Released and finding
/// none (another request saw it die first), it takes its place again.
async fn wait(
    target: &std::sync::Arc<crate::Target>,
    pass: &mut Option<Pass>,
) -> Result<Lease, Refusal> {
    loop {
        let (held, began) = target
            .gate()
            .hold(pass.take())
            .map_err(|error| match error {
                NotHeld::Full => Refusal::TooManyPending,
                NotHeld::Refusing(reason) => Refusal::Failing(reason),
            })?;
        target.began_to_wait(began);
        *pass = Some(held.await.map_err(Refusal::Failing)?);
        if let Some(lease) = target.endpoints_guard().pick(target.clock().now_us()) {
            return Ok(lease);
        }
        if let Some(pass) = pass {
            pass.failed();
        }
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
    end: HoldEnd,
}

enum HoldEnd {
    Ready,
    Refused,
    Rejected,
    Cancelled,
}

impl Drop for HoldAccount<'_> {
    fn drop(&mut self) {
        let metrics = self.job.target().metrics();
        let waited_us = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        match self.end {
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
