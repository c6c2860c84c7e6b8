//! One request on its way to an endpoint, as often as it takes and may be
//! tried: the table of failures is in the crate's README.
//!
//! A connection that cannot be made harms nothing: any request tries again. A
//! connection that breaks without an answer is tried again where that is safe,
//! on another endpoint where there is one, within the retry budget. A request
//! that was released from the queue goes back to its place there instead: what
//! broke its connection may be that too many were released. After the head of
//! an answer, never.

use super::{limits::Limits, upgrades::UpgradePlace};
use crate::{
    endpoint::{Claimed, EjectReason, Endpoint, Lease, Strike},
    error::Refusal,
    gate::{Pass, WaitsFor},
    http::{
        UploadBody,
        body::{Upload, UploadState},
        grpc, headers, trailers,
        websocket::Handshake,
    },
    in_flight::InFlight,
    journal::Journal,
    proxy::Shared,
    route::{ResponseMode, Route, SessionId, StaticResponse, StaticRoute},
    server::ClientConnection,
    tls,
    upstream::{self, Answer, AnswerBody, Asker, SendError, Switched, Use},
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::{
    body::{Body, Incoming},
    upgrade::OnUpgrade,
};
use std::{
    io::ErrorKind,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// How often a request that an endpoint may have seen is sent again.
const MOST_RESENDS: u32 = 2;
/// Likewise, one that goes back to the queue each time.
const MOST_RESENDS_QUEUED: u32 = 8;
/// Before the second time: new connections broke as well, and a process that
/// dies takes a moment until it refuses them.
const RESEND_PAUSE: Duration = Duration::from_millis(25);
/// How long one request may spend on connections that cannot be made; time in
/// the queue does not count. The HTTP add-on's limit for dialling.
const MOST_CONNECTING: Duration = Duration::from_secs(60);
/// What a refused connection counts as; the rest took the connect timeout.
const LEAST_CONNECTING: Duration = Duration::from_millis(50);

/// What an endpoint made of a request, with the claim on it.
pub(super) enum Outcome {
    Answered(Answer, Upload, Lease),
    /// It switches protocols, as the client asked it to; with the client's
    /// side of the connection.
    Switched(Response<Box<Switched>>, Lease, OnUpgrade),
}

/// What a request of a route with sessions says about its own.
struct SessionWish {
    /// The session that it goes on with.
    wanted: Option<SessionId>,
    /// Its endpoint has as many requests as it may; another one serves this
    /// request, and the session stays.
    is_full: bool,
    /// The client came by TLS.
    is_secure: bool,
}

/// One request on its way to an endpoint.
pub(super) struct Job<'a> {
    pub(super) shared: &'a Shared,
    pub(super) client: &'a ClientConnection,
    pub(super) route: &'a Route,
    /// The static route that it falls under.
    pub(super) fixed: Option<&'a StaticRoute>,
    pub(super) in_flight: &'a InFlight,
    pub(super) journal: &'a mut Journal,
    pub(super) limits: &'a Limits,
    /// Taken when it is sent; back if it was not.
    pub(super) request: Option<Request<UploadBody>>,
    pub(super) upload: Option<Upload>,
    pub(super) has_body: bool,
    /// The client asked to switch protocols.
    pub(super) upgrade: Option<OnUpgrade>,
    /// Its place among those that did.
    pub(super) place: Option<UpgradePlace>,
    /// It did so over HTTP/2, for a WebSocket.
    pub(super) websocket: Option<Handshake>,
    /// The client is on HTTP/1.1: it can be told interim answers.
    pub(super) relays_interim: bool,
    /// The client is on HTTP/1.1 and understands trailers: an answer with a
    /// body may need room for them.
    pub(super) makes_room: bool,
    /// The client is on HTTP/1: while the request is held, what it sent next
    /// (its body, another request) stays unread and hides that it left.
    pub(super) may_leave_unseen: bool,
    /// When it first had to wait.
    pub(super) held_since: Option<Instant>,
    /// It is through the wait, whether it had to wait or not.
    pub(super) passed_wait: bool,
    pub(super) pass: Option<Pass>,
    /// What it waited for last.
    pub(super) waits_for: WaitsFor,
    /// It goes back to the queue before it is sent again.
    pub(super) must_queue: bool,
    /// Whether an endpoint was asked for before.
    has_picked: bool,
    resends: u32,
    /// The endpoint that broke its connection last.
    avoid: Option<Arc<Endpoint>>,
    /// Spent on connections that could not be made.
    connecting: Duration,
    session: Option<SessionWish>,
    /// The wait ran out and the route's fallback serves.
    pub(super) on_fallback: bool,
}

impl<'a> Job<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        client: &'a ClientConnection,
        route: &'a Route,
        fixed: Option<&'a StaticRoute>,
        (in_flight, journal): (&'a InFlight, &'a mut Journal),
        limits: &'a Limits,
        request: Request<Incoming>,
    ) -> Self {
        let has_body = !request.body().is_end_stream();
        let version = request.version();
        let may_leave_unseen = version < Version::HTTP_2;
        let (head, body) = request.into_parts();
        let (body, upload) = if has_body {
            UploadBody::stream(body)
        } else {
            (UploadBody::none(), Upload::none())
        };
        journal.upload(&upload);
        let mut request = Request::from_parts(head, body);
        let websocket =
            (request.method() == Method::CONNECT).then(|| Handshake::begin(&mut request));
        let is_head = request.method() == Method::HEAD;
        let headers::Asked {
            upgrade: asks_upgrade,
            trailers: asks_trailers,
        } = headers::rewrite_request(&mut request, &client.peer);
        let upgrade = asks_upgrade.then(|| hyper::upgrade::on(&mut request));
        if has_body {
            if version == Version::HTTP_2 && request.headers().contains_key(header::TRAILER) {
                trailers::make_room(request.headers_mut());
            }
            headers::frame_body(&mut request);
        }
        let session = route.session.as_ref().filter(|_| fixed.is_none());
        let session = session.map(|session| SessionWish {
            wanted: session.read(request.headers()),
            is_full: false,
            is_secure: headers::came_by_tls(request.headers(), &client.peer),
        });
        Self {
            shared,
            client,
            route,
            fixed,
            in_flight,
            journal,
            limits,
            request: Some(request),
            upload: Some(upload),
            has_body,
            upgrade,
            place: None,
            websocket,
            relays_interim: version == Version::HTTP_11,
            makes_room: asks_trailers && version == Version::HTTP_11 && !is_head,
            may_leave_unseen,
            held_since: None,
            passed_wait: false,
            pass: None,
            waits_for: WaitsFor::Endpoint,
            must_queue: false,
            has_picked: false,
            resends: 0,
            avoid: None,
            connecting: Duration::ZERO,
            session,
            on_fallback: false,
        }
    }

    /// Until an endpoint answers or nothing more can be tried.
    pub(super) async fn run(&mut self) -> Result<Outcome, Refusal> {
        if let Some(fixed) = self
            .fixed
            .filter(|fixed| fixed.mode == ResponseMode::Always)
        {
            return Err(self.fixed_answer(&fixed.response));
        }
        if self.upgrade.is_some() {
            let place = self.shared.upgrades.take();
            self.place = Some(place.ok_or(Refusal::TooManyUpgrades)?);
        }
        loop {
            // 3. An endpoint.
            let lease = match self.pick() {
                Some(lease) => lease,
                None => self.find_nobody().await?,
            };
            self.passed_wait = self.fixed.is_none() && !self.on_fallback;

            // 4. to 6. A connection, and the request on it.
            if self.websocket.is_some() && lease.endpoint().speaks_h2_only() {
                return Err(Refusal::NoWebSocket);
            }
            if let Some(request) = &mut self.request {
                let headers = request.headers_mut();
                if let (Some(deadline), Some(_held)) = (self.limits.grpc, self.held_since) {
                    grpc::set_timeout(headers, deadline);
                }
                self.journal.send_began(lease.endpoint(), headers);
            }
            let copy = self.copy_for_http2(&lease);
            let connection = if self.resends == 0 {
                Use::Any
            } else {
                Use::New
            };
            let sent = self.send(&lease, connection).await;
            if matches!(sent, Err(Refusal::ResponseHeaderTimeout)) {
                self.struck(&lease, Strike::Broken);
            }
            match sent? {
                Ok(mut answer) => {
                    if let Some(handshake) = &self.websocket
                        && !is_in_order(handshake, &answer)
                    {
                        return Err(Refusal::NotOpened);
                    }
                    self.answered(&lease, &mut answer);
                    let upload = self.upload.take().unwrap_or_else(Upload::none);
                    upload.answered();
                    let (head, body) = answer.into_parts();
                    return match body {
                        AnswerBody::Switched(switched) => {
                            let client = self.upgrade.take().ok_or(Refusal::SwitchedProtocols)?;
                            let answer = Response::from_parts(head, switched);
                            Ok(Outcome::Switched(answer, lease, client))
                        }
                        body => {
                            let answer = Response::from_parts(head, body);
                            Ok(Outcome::Answered(answer, upload, lease))
                        }
                    };
                }
                Err(SendError::Connect(error)) => {
                    self.journal.not_sent();
                    if tls::is_verdict(&error) && self.is_last_choice(&lease) {
                        return Err(self.cannot_agree(&lease, error));
                    }
                    self.endpoint_is_dead(&lease, &error)?;
                }
                Err(SendError::Unfit(what)) => {
                    self.journal.not_sent();
                    return Err(Refusal::BadRequest(what));
                }
                Err(SendError::NoAnswer { error, is_unharmed }) => {
                    self.journal.send_failed(&error);
                    self.check_upload()?;
                    if !is_unharmed {
                        self.struck(&lease, Strike::Broken);
                    }
                    if !self.send_again(copy, is_unharmed).await {
                        return Err(Refusal::NoAnswer(error));
                    }
                    self.prepare_resend(&lease).await;
                }
                Err(SendError::BadAnswer(error)) => {
                    self.journal.send_failed(&error);
                    self.struck(&lease, Strike::Broken);
                    return Err(Refusal::BadAnswer(error));
                }
            }
        }
    }

    /// Makes the request ready to be sent once more, if it may be. `copy`: of
    /// its head, over HTTP/2; `is_unharmed`: the endpoint did nothing about it.
    async fn send_again(&mut self, copy: Option<Request<()>>, is_unharmed: bool) -> bool {
        let most = match self.pass {
            Some(_) => MOST_RESENDS_QUEUED,
            None => MOST_RESENDS,
        };
        if self.resends >= most || !self.renew(copy, is_unharmed).await {
            return false;
        }
        let retries = &self.target_metrics().retries;
        if is_unharmed {
            retries.refused.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let target = &self.route.target;
        let now_us = target.clock().now_us();
        let begun = target.totals().begun;
        let config = &self.shared.config.endpoints.retries;
        let may = target.retry_budget().take(now_us, begun, config);
        let counter = if may {
            &retries.reset
        } else {
            &retries.budget_exhausted
        };
        counter.fetch_add(1, Ordering::Relaxed);
        may
    }

    /// Where and when it is sent once more, after `lease`'s endpoint failed it.
    async fn prepare_resend(&mut self, lease: &Lease) {
        self.avoid = Some(lease.endpoint().clone());
        if let Some(pass) = &mut self.pass {
            pass.refused();
            self.must_queue = true;
        } else if self.resends > 0 {
            tokio::time::sleep(RESEND_PAUSE).await;
        }
        self.resends += 1;
    }

    /// The head of an answer came from `lease`'s endpoint.
    fn answered(&mut self, lease: &Lease, response: &mut Answer) {
        let status = response.status();
        if status.is_server_error() {
            self.struck(lease, Strike::of(status));
        } else {
            lease.endpoint().answered_well();
        }
        if let Some(mut pass) = self.pass.take() {
            if status == StatusCode::SERVICE_UNAVAILABLE {
                pass.refused();
            } else {
                pass.answered();
            }
        }
        if let Some(cookie) = self.session_cookie(lease) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }

    /// What the client must be told to stay with `lease`'s endpoint, unless it
    /// knows.
    fn session_cookie(&self, lease: &Lease) -> Option<HeaderValue> {
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

    /// What the route answers itself.
    pub(super) fn fixed_answer(&self, response: &Arc<StaticResponse>) -> Refusal {
        let request = self.request.as_ref();
        let path = request.map_or("/", |request| request.uri().path());
        Refusal::Fixed(response.for_path(path))
    }

    fn struck(&self, lease: &Lease, strike: Strike) {
        let limits = &self.shared.config.endpoints.outliers;
        self.route.target.struck(lease.endpoint(), strike, limits);
    }

    /// Step 3, warm: an endpoint at once, unless others wait for one.
    fn pick(&mut self) -> Option<Lease> {
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

    /// Steps 4 to 6 under the deadline for an answer's head, which counts from
    /// when the request is sent: a long upload is no late answer.
    async fn send(
        &mut self,
        lease: &Lease,
        connection: Use,
    ) -> Result<Result<Answer, SendError>, Refusal> {
        let limit = self.shared.config.connect_timeout;
        let worker = self.client.worker;
        let request = &mut self.request;
        let journal = &mut *self.journal;
        let client = self.client;
        let relay = |heads: &[u8]| client.send_interim(heads);
        let asker = Asker {
            relay: self.relays_interim.then_some(&relay),
            is_on_http2: !self.may_leave_unseen,
            stranger: (!client.peer.is_trusted).then_some(&client.peer),
        };
        let send = upstream::send(
            (lease.endpoint(), worker),
            connection,
            limit,
            asker,
            request,
            journal,
        );
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
            if let Some(outcome) = client.timer.until(at, send.as_mut()).await {
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
    /// another endpoint, or go back to its place in the queue; for a minute.
    fn endpoint_is_dead(&mut self, lease: &Lease, error: &std::io::Error) -> Result<(), Refusal> {
        let endpoint = lease.endpoint();
        let target = &self.route.target;
        if endpoint.eject(target.clock().now_us()) {
            tracing::info!(
                target = %target.id(), endpoint = endpoint.name(),
                addr = %endpoint.addr(), %error, reason = EjectReason::Connect.as_str(),
                "endpoint does not accept connections: ejected for a while"
            );
            target.ejected(endpoint, EjectReason::Connect);
        }
        if let Some(pass) = &mut self.pass {
            pass.refused();
        }
        let metrics = self.target_metrics();
        metrics.connect_failures.fetch_add(1, Ordering::Relaxed);
        self.connecting += match error.kind() {
            ErrorKind::TimedOut => self.shared.config.connect_timeout,
            _ => LEAST_CONNECTING,
        };
        if self.connecting >= MOST_CONNECTING {
            return Err(Refusal::Unreachable);
        }
        metrics.retries.connect.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Is there nobody else to try now?
    fn is_last_choice(&self, lease: &Lease) -> bool {
        let target = &self.route.target;
        let (endpoint, now_us) = (lease.endpoint(), target.clock().now_us());
        let has_other = match self.route.cold_start.fallback.as_ref() {
            Some(fallback) if self.on_fallback => fallback.has_other_than(endpoint, now_us),
            _ => target.endpoints_guard().has_other_than(endpoint, now_us),
        };
        !has_other
    }

    /// The endpoint is there, but it and we do not agree about TLS: it would be
    /// no use to wait for another handshake. Nothing was sent.
    #[cold]
    fn cannot_agree(&self, lease: &Lease, error: std::io::Error) -> Refusal {
        let endpoint = lease.endpoint();
        self.target_metrics()
            .connect_failures
            .fetch_add(1, Ordering::Relaxed);
        if endpoint.is_first_disagreement() {
            tracing::warn!(
                target = %self.route.target.id(), endpoint = endpoint.name(),
                addr = %endpoint.addr(), %error,
                "TLS handshake with an endpoint failed: requests are answered 502 \
                 (authority, server name, client certificate?)"
            );
        }
        Refusal::Handshake(error)
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

    /// A copy of the head, to be sent again if an HTTP/2 endpoint says that it
    /// did nothing about the request, or breaks the connection where that is
    /// safe: HTTP/2 takes the original. Over HTTP/1.1 it stays with us.
    fn copy_for_http2(&self, lease: &Lease) -> Option<Request<()>> {
        if !lease.endpoint().may_speak_h2() {
            return None;
        }
        let request = self.request.as_ref()?;
        let mut copy = Request::new(());
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        Some(copy)
    }

    /// Makes a request ready to be sent again that an endpoint may have seen:
    /// only where that is safe (RFC 9110 section 9.2.2), or where the endpoint
    /// did nothing about it; and only if all of its body is there. False: it
    /// cannot be sent again.
    async fn renew(&mut self, copy: Option<Request<()>>, is_unharmed: bool) -> bool {
        let Some(copy) = copy else {
            let request = self.request.as_ref();
            return request.is_some_and(|request| {
                request.method().is_idempotent() && request.body().is_untouched()
            });
        };
        if !is_unharmed && (self.has_body || !copy.method().is_idempotent()) {
            return false;
        }
        let mut body = UploadBody::none();
        if self.has_body {
            let Some(upload) = &self.upload else {
                return false;
            };
            let Some(unsent) = upload.unsent().await else {
                return false;
            };
            let (again, upload) = UploadBody::again(unsent);
            body = again;
            self.journal.upload(&upload);
            self.upload = Some(upload);
        }
        self.request = Some(copy.map(|()| body));
        true
    }

    /// Did it wait for an endpoint? Who waited for a place on one that was
    /// there did not.
    pub(super) fn is_cold_start(&self) -> bool {
        self.held_since.is_some() && self.waits_for == WaitsFor::Endpoint
    }

    /// `true` if the request had to wait for an endpoint, `false` if there was
    /// one; nothing if it never got past the wait.
    pub(super) fn cold_start_header(&self) -> Option<HeaderValue> {
        if !self.shared.config.cold_start_header || !self.passed_wait {
            return None;
        }
        let waited = if self.is_cold_start() {
            "true"
        } else {
            "false"
        };
        Some(HeaderValue::from_static(waited))
    }

    fn target_metrics(&self) -> &'a crate::metrics::TargetMetrics {
        self.route.target.metrics()
    }
}

/// May this be the end of a handshake? Anything but 101 means no, and must not
/// look like yes: over HTTP/2 that is every 2xx (RFC 8441 section 5).
#[cold]
fn is_in_order(handshake: &Handshake, response: &Answer) -> bool {
    match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => handshake.is_met_by(response.headers()),
        status => !status.is_success(),
    }
}
