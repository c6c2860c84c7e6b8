//! THE hot path: one request, from its head to its answer's last byte.
//!
//! Read [`forward`] from top to bottom; the README lists the same steps.
//! It runs on the worker that accepted the connection. A warm request takes
//! snapshots and counters only: no lock that another worker takes, no task of
//! its own. Whatever ends the request, also a client that leaves (the future
//! is dropped), ends its guards: in-flight count, lease, place in the queue.
//!
//! `job.rs` is the part that may have to be repeated: endpoint (`choose.rs`),
//! connection, request; `resend.rs` repeats it. `wait.rs` is the cold path; `limits.rs` the deadlines; `tunnel.rs`
//! what comes after an answer that switches protocols.

mod budget;
mod choose;
mod job;
mod limits;
mod resend;
mod timer;
mod tunnel;
mod upgrades;
mod wait;

pub(crate) use budget::RetryBudget;
pub use budget::RetryConfig;
pub(crate) use timer::PhaseTimer;
pub(crate) use tunnel::Tunnel;
pub(crate) use upgrades::UpgradeLimit;

use crate::{
    endpoint::Lease,
    error::Refusal,
    http::{
        AtDeadline, ProxyBody, RequestBody, TrackedBody,
        body::Upload,
        expect, grpc,
        headers::{self, COLD_START},
        hop, respond, trailers, validate,
        websocket::{self, Connect},
    },
    in_flight::{InFlight, Unrouted},
    journal::Journal,
    proxy::Shared,
    route::{Route, StaticRoute},
    server::{Caller, ClientConnection, RefusedFor, ResetWatch},
    upstream::Answer,
};
use http::{Method, Request, Response, StatusCode, Version, header};
use hyper::body::Body;
use job::{Job, Outcome};
use limits::Limits;
use tokio::time::Instant;

/// Serves one request of `caller`.
///
/// Cancel safe: dropped, the request is counted as abandoned (499), its place
/// in a queue is free, and its upstream connection is closed.
pub(crate) async fn forward(
    shared: &Shared,
    caller: Caller<'_>,
    request: Request<RequestBody>,
) -> Response<ProxyBody> {
    let client = caller.connection();
    let now = Instant::now();
    let begun_us = shared.clock.at_us(now);
    let is_grpc = grpc::is_call(&request);
    let is_connect = request.method() == Method::CONNECT;
    let mut journal = Journal::begin(shared, client, &request, begun_us);

    let version = request.version();
    let watch = (version == Version::HTTP_2).then(|| ResetWatch::new(shared, client, begun_us));

    // 1. Is it sound, and which route?
    let number = client.verdicts.next();
    let sound = number.map_err(Refusal::BadRequest);
    let (number, route) = match sound.and_then(|n| Ok((n, find_route(shared, &request)?))) {
        Ok(found) => found,
        Err(refusal) => {
            let begun = (begun_us, is_grpc);
            client.answered_early(!request.body().is_end_stream());
            if let Ok(number) = number {
                client.verdicts.stays_http(number);
            }
            if let Some(watch) = watch {
                watch.answered();
            }
            let response = refuse_unrouted(shared, client, &request, begun, &refusal);
            return close(response, &refusal, journal);
        }
    };
    journal.routed(&route.target);

    // 2. Count it, from here until its last byte, unless the route answers
    //    it itself: that is no demand.
    let fixed = static_route(&route, &request);
    let begin = match fixed {
        None => InFlight::begin,
        Some(_) => InFlight::begin_uncounted,
    };
    let target = route.target.clone();
    let mut in_flight = begin(target, client.worker, request.method(), begun_us);
    let limits = Limits::of(&route, &shared.config, now)
        .within(is_grpc.then(|| grpc::timeout(request.headers())).flatten());

    // 3. to 6. Pick an endpoint (or wait for one), rewrite the head, send.
    let records = (&in_flight, &mut journal);
    let mut job = Job::new(shared, caller, &route, fixed, records, &limits, request);
    let outcome = job.run().await;
    let cold_start = job.cold_start_header();
    let place = job.place.take();
    let makes_room = job.makes_room;
    client.answered_early(job.has_body && is_sending(&outcome, &job));
    if let Some(watch) = watch {
        watch.answered();
    }
    if !matches!(outcome, Ok(Outcome::Switched(..))) {
        client.verdicts.stays_http(number);
    }

    // 7. Answer; the body carries the guards until it ends.
    let mut response = match outcome {
        Ok(Outcome::Answered(answer, upload, lease)) => {
            in_flight.answered(answer.status());
            in_flight.journal = journal;
            let limits = (&limits, is_grpc);
            let mut response = pass_on(answer, upload, lease, version, limits, in_flight);
            if makes_room && !response.body().is_end_stream() {
                trailers::make_room(response.headers_mut());
            }
            response
        }
        Ok(Outcome::Switched(answer, lease)) => {
            let status = if is_connect {
                StatusCode::OK
            } else {
                answer.status()
            };
            in_flight.answered(status);
            in_flight.journal = journal;
            let claims = (lease, place);
            let (tunnel, mut response) = Tunnel::open(answer, claims, limits.request, in_flight);
            if is_connect {
                websocket::opened(&mut response);
            }
            caller.switch_to(tunnel);
            response
        }
        Err(refusal) => {
            let refusal = match refusal {
                Refusal::Fixed(fixed) if is_connect && fixed.status.is_success() => {
                    Refusal::NoWebSocketYet
                }
                refusal => refusal,
            };
            in_flight.answered(refusal.status());
            tracing::debug!(target = %route.target.id(), reason = %refusal, "request refused");
            if let Some(reason) = RefusedFor::of(&refusal) {
                shared.refused.count(reason);
            }
            close(respond::refusal(&refusal, is_grpc), &refusal, journal)
        }
    };
    if let Some(value) = cold_start {
        response.headers_mut().insert(COLD_START, value);
    }
    response
}

/// Is there more of the request's body to come when its answer goes out?
fn is_sending(outcome: &Result<Outcome, Refusal>, job: &Job<'_>) -> bool {
    let upload = match outcome {
        Ok(Outcome::Answered(_, upload, _)) => Some(upload),
        Ok(Outcome::Switched(..)) => return false,
        Err(_) => job.upload.as_ref(),
    };
    upload.is_some_and(|upload| !upload.is_complete())
}

/// The journal is closed when our own answer has ended.
fn close(
    response: Response<ProxyBody>,
    refusal: &Refusal,
    mut journal: Journal,
) -> Response<ProxyBody> {
    journal.refused(refusal, response.status(), response.headers());
    response.map(|body| body.with(journal))
}

/// Step 7: an endpoint's answer.
fn pass_on(
    answer: Answer,
    upload: Upload,
    lease: Lease,
    version: Version,
    (limits, is_grpc): (&Limits, bool),
    mut in_flight: InFlight,
) -> Response<ProxyBody> {
    let (mut head, body) = answer.into_parts();
    if head.status == StatusCode::UPGRADE_REQUIRED && version == Version::HTTP_11 {
        // It must say to what (RFC 9110 section 15.5.22).
        hop::strip_all_but_upgrade(&mut head.headers);
    } else {
        hop::strip(&mut head.headers);
    }
    head.version = Version::HTTP_11;
    in_flight.journal.answered(head.status, &head.headers);
    let at_deadline = if is_grpc {
        AtDeadline::TellGrpc
    } else {
        AtDeadline::Break
    };
    let deadline = (limits.request, at_deadline);
    let body = TrackedBody::new(body, deadline, upload, lease, in_flight);
    Response::from_parts(head, ProxyBody::Upstream(body))
}

/// Step 1: the route of a request, from the present table.
fn find_route(
    shared: &Shared,
    request: &Request<RequestBody>,
) -> Result<std::sync::Arc<Route>, Refusal> {
    if request.method() == Method::CONNECT {
        match websocket::asked(request) {
            Connect::Plain => return Err(Refusal::Connect),
            Connect::Other => return Err(Refusal::ConnectProtocol),
            // What follows is no body of any length.
            Connect::WebSocket if request.headers().contains_key(header::CONTENT_LENGTH) => {
                return Err(Refusal::BadRequest("a CONNECT with a Content-Length"));
            }
            Connect::WebSocket => {}
        }
    }
    expect::check(request).map_err(|()| Refusal::Expectation)?;
    let authority = validate::authority(request)?;
    let table = shared.routes.load();
    let route = table.lookup(authority, request.uri().path(), request.headers());
    route.cloned().ok_or(Refusal::NoRoute)
}

fn static_route<'r>(route: &'r Route, request: &Request<RequestBody>) -> Option<&'r StaticRoute> {
    if route.static_routes.is_empty() {
        return None;
    }
    let authority = headers::authority(request);
    route.static_route(authority, request.uri().path(), request.headers())
}

fn refuse_unrouted(
    shared: &Shared,
    client: &ClientConnection,
    request: &Request<RequestBody>,
    (begun_us, is_grpc): (u64, bool),
    refusal: &Refusal,
) -> Response<ProxyBody> {
    tracing::debug!(
        host = ?request.headers().get(http::header::HOST),
        path = request.uri().path(),
        reason = %refusal,
        "request without a route"
    );
    Unrouted {
        clock: &shared.clock,
        requests: &shared.unrouted,
        worker: client.worker,
    }
    .record(begun_us, request.method(), refusal.status());
    if let Some(reason) = RefusedFor::of(refusal) {
        shared.refused.count(reason);
    }
    respond::refusal(refusal, is_grpc)
}
