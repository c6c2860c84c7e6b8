//! One request on its way to an endpoint, as often as it takes and may be
//! tried: the table of failures is in the crate's README.
//!
//! A connection that cannot be made harms nothing: any request tries again. A
//! connection that breaks without an answer is tried again where that is safe.
//! After the head of an answer, never.

use super::{limits::Limits, upgrades::UpgradePlace};
use crate::{
    endpoint::{Lease, Protocol},
    error::Refusal,
    gate::Pass,
    http::{
        UploadBody,
        body::{Upload, UploadState},
        headers,
    },
    in_flight::InFlight,
    journal::Journal,
    proxy::Shared,
    route::{ResponseMode, Route, StaticRoute},
    server::ClientConnection,
    upstream::{self, Answer, AnswerBody, SendError, Switched, Use},
};
use http::{HeaderValue, Request, Response, Version};
use hyper::{
    body::{Body, Incoming},
    upgrade::OnUpgrade,
};
use std::{pin::pin, sync::atomic::Ordering, time::Duration};
use tokio::time::Instant;

/// How often a request that an endpoint may have seen is sent again.
const MOST_RESENDS: u32 = 2;
/// Before the second time: new connections broke as well, and a process that
/// dies takes a moment until it refuses them.
const RESEND_PAUSE: Duration = Duration::from_millis(25);

/// What an endpoint made of a request, with the claim on it.
pub(super) enum Outcome {
    Answered(Answer, Upload, Lease),
    /// It switches protocols, as the client asked it to; with the client's
    /// side of the connection.
    Switched(Response<Box<Switched>>, Lease, OnUpgrade),
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
    /// The client is on HTTP/1: while the request is held, what it sent next
    /// (its body, another request) stays unread and hides that it left.
    pub(super) may_leave_unseen: bool,
    /// When it first had to wait.
    pub(super) held_since: Option<Instant>,
    /// It is through the wait, whether it had to wait or not.
    pub(super) passed_wait: bool,
    pub(super) pass: Option<Pass>,
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
        let may_leave_unseen = request.version() < Version::HTTP_2;
        let (head, body) = request.into_parts();
        let (body, upload) = if has_body {
            UploadBody::stream(body)
        } else {
            (UploadBody::none(), Upload::none())
        };
        journal.upload(&upload);
        let mut request = Request::from_parts(head, body);
        let asks_upgrade = headers::rewrite_request(&mut request, &client.peer);
        let upgrade = asks_upgrade.then(|| hyper::upgrade::on(&mut request));
        if has_body {
            headers::frame_body(&mut request);
        }
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
            may_leave_unseen,
            held_since: None,
            passed_wait: false,
            pass: None,
            on_fallback: false,
        }
    }

    /// Until an endpoint answers or nothing more can be tried.
    pub(super) async fn run(&mut self) -> Result<Outcome, Refusal> {
        if let Some(fixed) = self
            .fixed
            .filter(|fixed| fixed.mode == ResponseMode::Always)
        {
            return Err(Refusal::Fixed(fixed.response.clone()));
        }
        if self.upgrade.is_some() {
            let place = self.shared.upgrades.take();
            self.place = Some(place.ok_or(Refusal::TooManyUpgrades)?);
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
            if let Some(request) = &mut self.request {
                self.journal
                    .send_began(lease.endpoint(), request.headers_mut());
            }
            let copy = self.copy_for_http2(&lease);
            let connection = if resends == 0 { Use::Any } else { Use::New };
            match self.send(&lease, connection).await? {
                Ok(answer) => {
                    self.pass = None;
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
                    self.endpoint_is_dead(&lease, &error);
                }
                Err(SendError::Unfit(what)) => return Err(Refusal::BadRequest(what)),
                Err(SendError::NoAnswer { error, is_unharmed }) => {
                    self.journal.send_failed(&error);
                    self.check_upload()?;
                    if resends == MOST_RESENDS || !self.renew(copy, is_unharmed).await {
                        return Err(Refusal::NoAnswer(error));
                    }
                    if resends > 0 {
                        tokio::time::sleep(RESEND_PAUSE).await;
                    }
                    resends += 1;
                    self.target_metrics()
                        .retries
                        .fetch_add(1, Ordering::Relaxed);
                }
                Err(SendError::BadAnswer(error)) => {
                    self.journal.send_failed(&error);
                    return Err(Refusal::BadAnswer(error));
                }
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
        let send = upstream::send(
            lease.endpoint(),
            worker,
            connection,
            limit,
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

    /// A copy of the head, to be sent again if an HTTP/2 endpoint says that it
    /// did nothing about the request, or breaks the connection where that is
    /// safe: HTTP/2 takes the original. Over HTTP/1.1 it stays with us.
    fn copy_for_http2(&self, lease: &Lease) -> Option<Request<()>> {
        if lease.endpoint().protocol() != Protocol::H2c {
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

    /// `true` if the request had to wait, `false` if it could go at once;
    /// nothing if it never got past the wait.
    pub(super) fn cold_start_header(&self) -> Option<HeaderValue> {
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
