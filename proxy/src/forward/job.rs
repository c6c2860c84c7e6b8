//! One request on its way to an endpoint, as often as it takes and may be
//! tried: the table of failures is in the crate's README.
//!
//! A connection that cannot be made harms nothing: any request tries again. A
//! connection that breaks without an answer is tried again where that is safe.
//! After the head of an answer, never.

use super::limits::Limits;
use crate::{
    endpoint::Lease,
    error::Refusal,
    gate::Pass,
    http::{
        UploadBody,
        body::{Upload, UploadState},
        headers,
    },
    in_flight::InFlight,
    proxy::Shared,
    route::{ResponseMode, Route, StaticRoute},
    server::ClientConnection,
    tls,
    upstream::{self, Answered, SendError, Use, Used},
};
use http::{HeaderValue, Request, Response, StatusCode, Version};
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

/// An endpoint's answer, with what its body must hold on to.
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    pub(super) used: Option<Used>,
    pub(super) lease: Lease,
    pub(super) upload: Upload,
}

/// What an endpoint made of a request.
pub(super) enum Outcome {
    Answered(Answer),
    /// It switches protocols, as the client asked it to; with the client's
    /// side of the connection.
    Switched(Answer, OnUpgrade),
}

/// One request on its way to an endpoint.
pub(super) struct Job<'a> {
    pub(super) shared: &'a Shared,
    pub(super) client: &'a ClientConnection,
    pub(super) route: &'a Route,
    /// The static route that it falls under.
    pub(super) fixed: Option<&'a StaticRoute>,
    pub(super) in_flight: &'a InFlight,
    pub(super) limits: &'a Limits,
    /// Taken when it is sent; back if it was not.
    pub(super) request: Option<Request<UploadBody>>,
    pub(super) upload: Option<Upload>,
    pub(super) has_body: bool,
    /// The client asked to switch protocols.
    pub(super) upgrade: Option<OnUpgrade>,
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
        let asks_upgrade = headers::rewrite_request(&mut request, &client.ip, client.transport);
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
            limits,
            request: Some(request),
            upload: Some(upload),
            has_body,
            upgrade,
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
            let is_idempotent = request.method().is_idempotent();
            let replay = self.replay(&request, &lease);
            let connection = if resends == 0 { Use::Any } else { Use::New };
            match self.send(&lease, connection, request).await? {
                Ok((response, used)) => {
                    self.pass = None;
                    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                    let upload = self.upload.take().unwrap_or_else(Upload::none);
                    upload.answered();
                    let answer = Answer {
                        response,
                        used,
                        lease,
                        upload,
                    };
                    if !switches {
                        return Ok(Outcome::Answered(answer));
                    }
                    let client_side = self.upgrade.take().ok_or(Refusal::SwitchedProtocols)?;
                    return Ok(Outcome::Switched(answer, client_side));
                }
                Err(SendError::Connect(error, request)) => {
                    if tls::is_verdict(&error) && self.is_last_choice(&lease) {
                        return Err(self.cannot_agree(&lease, error));
                    }
                    self.request = Some(*request);
                    self.endpoint_is_dead(&lease, &error);
                }
                Err(SendError::Unfit(what)) => return Err(Refusal::BadRequest(what)),
                Err(SendError::NoAnswer { error, is_unharmed }) => {
                    self.check_upload()?;
                    let again = (is_unharmed || is_idempotent) && resends < MOST_RESENDS;
                    let Some(copy) = replay.filter(|_| again) else {
                        return Err(Refusal::NoAnswer(error));
                    };
                    let Some(replay) = self.with_body(copy, is_unharmed).await else {
                        return Err(Refusal::NoAnswer(error));
                    };
                    if resends > 0 {
                        tokio::time::sleep(RESEND_PAUSE).await;
                    }
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

    pub(super) fn pick_fallback(&self) -> Option<Lease> {
        let fallback = self.route.cold_start.fallback.as_ref()?;
        fallback.pick(self.route.target.clock().now_us())
    }

    /// Steps 4 to 6 under the deadline for an answer's head, which counts from
    /// when the request is sent: a long upload is no late answer.
    async fn send(
        &self,
        lease: &Lease,
        connection: Use,
        request: Request<UploadBody>,
    ) -> Result<Result<Answered, SendError>, Refusal> {
        let limit = self.shared.config.connect_timeout;
        let worker = self.client.worker;
        let send = upstream::send(lease.endpoint(), worker, connection, limit, request);
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

    /// A copy of the request to send again if its connection breaks before an
    /// answer: only where that is safe (RFC 9110 section 9.2.2), or where the
    /// endpoint can say that it did nothing (HTTP/2).
    fn replay(&self, request: &Request<UploadBody>, lease: &Lease) -> Option<Request<UploadBody>> {
        let may_refuse = lease.endpoint().may_speak_h2();
        if !may_refuse && (self.has_body || !request.method().is_idempotent()) {
            return None;
        }
        let mut copy = Request::new(UploadBody::none());
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        Some(copy)
    }

    /// The copy with the request's body, which can be read just once: only if
    /// there is none, or the endpoint refused it soon enough.
    async fn with_body(
        &mut self,
        copy: Request<UploadBody>,
        is_unharmed: bool,
    ) -> Option<Request<UploadBody>> {
        if !self.has_body {
            return Some(copy);
        }
        if !is_unharmed {
            return None;
        }
        let unsent = self.upload.as_ref()?.unsent().await?;
        let (body, upload) = UploadBody::again(unsent);
        self.upload = Some(upload);
        Some(copy.map(|_none| body))
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
