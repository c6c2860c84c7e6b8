//! One request on its way to an endpoint, as often as it takes and may be
//! tried: the table of failures is in the crate's README.
//!
//! A connection that cannot be made harms nothing: any request tries again. A
//! connection that breaks without an answer is tried again where that is safe,
//! on another endpoint where there is one, within the retry budget. A request
//! that was released from the queue goes back to its place there instead: what
//! broke its connection may be that too many were released. After the head of
//! an answer, never.

use super::{choose::SessionWish, limits::Limits, upgrades::UpgradePlace};
use crate::{
    endpoint::{EjectReason, Endpoint, Lease, Strike},
    error::Refusal,
    gate::{Pass, WaitsFor},
    http::{
        RequestBody, UploadBody,
        body::{Upload, UploadState},
        expect, forwarded, grpc, headers, trailers,
        websocket::Handshake,
    },
    in_flight::InFlight,
    journal::Journal,
    proxy::Shared,
    route::{ResponseMode, Route, StaticResponse, StaticRoute},
    server::{Caller, ClientConnection},
    tls,
    upstream::{self, Answer, AnswerBody, Asker, SendError, Switched, Use},
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Body;
use std::{
    io::ErrorKind,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// How long one request may spend on connections that cannot be made; time in
/// the queue does not count. The HTTP add-on's limit for dialling.
const MOST_CONNECTING: Duration = Duration::from_secs(60);
/// What a refused connection counts as; the rest took the connect timeout.
const LEAST_CONNECTING: Duration = Duration::from_millis(50);

/// What an endpoint made of a request, with the claim on it.
pub(super) enum Outcome {
    Answered(Answer, Upload, Lease),
    /// It switches protocols, as the client asked it to.
    Switched(Response<Box<Switched>>, Lease),
}

/// One request on its way to an endpoint.
pub(super) struct Job<'a> {
    pub(super) shared: &'a Shared,
    pub(super) caller: Caller<'a>,
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
    pub(super) asks_upgrade: bool,
    /// Its place among those that did.
    pub(super) place: Option<UpgradePlace>,
    /// It did so over HTTP/2, for a WebSocket.
    pub(super) websocket: Option<Handshake>,
    /// The client waits to be asked for its body.
    pub(super) expects_continue: bool,
    /// The client can be told interim answers: it is not on HTTP/1.0.
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
    pub(super) has_picked: bool,
    pub(super) resends: u32,
    /// The endpoint that broke its connection last.
    pub(super) avoid: Option<Arc<Endpoint>>,
    /// Spent on connections that could not be made.
    connecting: Duration,
    pub(super) session: Option<SessionWish>,
    /// The wait ran out and the route's fallback serves.
    pub(super) on_fallback: bool,
}

impl<'a> Job<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        caller: Caller<'a>,
        route: &'a Route,
        fixed: Option<&'a StaticRoute>,
        (in_flight, journal): (&'a InFlight, &'a mut Journal),
        limits: &'a Limits,
        request: Request<RequestBody>,
    ) -> Self {
        let client = caller.connection();
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
        let mut expects_continue = false;
        if has_body {
            expects_continue = expect::is_sent(&mut request, version);
            if version == Version::HTTP_2 && request.headers().contains_key(header::TRAILER) {
                trailers::make_room(request.headers_mut());
            }
            headers::frame_body(&mut request);
        }
        let session = route.session.as_ref().filter(|_| fixed.is_none());
        let session = session.map(|session| SessionWish {
            wanted: session.read(request.headers()),
            is_full: false,
            is_secure: forwarded::came_by_tls(request.headers(), &client.peer),
        });
        Self {
            shared,
            caller,
            client,
            route,
            fixed,
            in_flight,
            journal,
            limits,
            request: Some(request),
            upload: Some(upload),
            has_body,
            asks_upgrade,
            place: None,
            websocket,
            expects_continue,
            relays_interim: version >= Version::HTTP_11,
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
        if self.asks_upgrade {
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
                            if !self.asks_upgrade {
                                return Err(Refusal::SwitchedProtocols);
                            }
                            let answer = Response::from_parts(head, switched);
                            Ok(Outcome::Switched(answer, lease))
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
        let caller = self.caller;
        let relay = |interim| caller.send_interim(interim);
        let asker = Asker {
            relay: self.relays_interim.then_some(&relay),
            continue_within: self
                .expects_continue
                .then_some(&self.shared.config.continue_timeout),
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

    pub(super) fn target_metrics(&self) -> &'a crate::metrics::TargetMetrics {
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
