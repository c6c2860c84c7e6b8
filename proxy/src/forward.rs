//! THE hot path: one request, from its head to its answer's last byte.
//!
//! Read [`forward`] from top to bottom; the README lists the same steps.
//! It runs on the worker that accepted the connection. A warm request takes
//! snapshots and counters only: no lock that another worker takes, no task of
//! its own. Whatever ends the request, also a client that leaves (the future
//! is dropped), ends its guards: in-flight count, lease, place in the queue.
//!
//! `job.rs` is the part that may have to be repeated: endpoint, connection,
//! request. `wait.rs` is the cold path; `limits.rs` the deadlines; `tunnel.rs`
//! what comes after an answer that switches protocols.

mod job;
mod limits;
mod tunnel;
mod wait;

pub(crate) use tunnel::Tunnel;

use crate::{
    error::Refusal,
    http::{
        AtDeadline, ProxyBody, TrackedBody, grpc,
        headers::{self, COLD_START},
        respond, trailers,
        websocket::{self, Connect},
    },
    in_flight::{InFlight, Unrouted},
    proxy::Shared,
    route::{Route, StaticRoute},
    server::ClientConnection,
};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use job::{Answer, Job, Outcome};
use limits::Limits;

/// Serves one request of `client`.
///
/// Cancel safe: dropped, the request is counted as abandoned (499), its place
/// in a queue is free, and its upstream connection is closed.
pub(crate) async fn forward(
    shared: &Shared,
    client: &ClientConnection,
    request: Request<Incoming>,
) -> Response<ProxyBody> {
    let begun_us = shared.clock.now_us();
    let is_grpc = grpc::is_call(&request);
    let is_connect = request.method() == Method::CONNECT;

    // 1. Which route?
    let route = match find_route(shared, &request) {
        Ok(route) => route,
        Err(refusal) => {
            let begun = (begun_us, is_grpc);
            return refuse_unrouted(shared, client, &request, begun, &refusal);
        }
    };

    // 2. Count it, from here until its last byte, unless the route answers
    //    it itself: that is no demand.
    let fixed = static_route(&route, &request);
    let begin = match fixed {
        None => InFlight::begin,
        Some(_) => InFlight::begin_uncounted,
    };
    let target = route.target.clone();
    let mut in_flight = begin(target, client.worker, request.method(), begun_us);
    let limits = Limits::of(&route, &shared.config)
        .within(is_grpc.then(|| grpc::timeout(request.headers())).flatten());
    let version = request.version();

    // 3. to 6. Pick an endpoint (or wait for one), rewrite the head, send.
    let mut job = Job::new(shared, client, &route, fixed, &in_flight, &limits, request);
    let outcome = job.run().await;
    let cold_start = job.cold_start_header();
    let makes_room = job.makes_room;

    // 7. Answer; the body carries the guards until it ends.
    let mut response = match outcome {
        Ok(Outcome::Answered(answer)) => {
            in_flight.answered(answer.response.status());
            let mut response = pass_on(answer, version, (&limits, is_grpc), in_flight);
            if makes_room && !response.body().is_end_stream() {
                trailers::make_room(response.headers_mut());
            }
            response
        }
        Ok(Outcome::Switched(answer, client_side)) => {
            in_flight.answered(answer.response.status());
            if is_connect {
                in_flight.answered(StatusCode::OK);
            }
            let (tunnel, mut response) =
                Tunnel::open(answer, client_side, limits.request, in_flight);
            if is_connect {
                websocket::opened(&mut response);
                // One stream of many: it cannot be the rest of the connection.
                tokio::spawn(tunnel.run_until(shared.drain.deadline()));
            } else {
                client.switch_to(tunnel);
            }
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
            respond::refusal(&refusal, is_grpc)
        }
    };
    if let Some(value) = cold_start {
        response.headers_mut().insert(COLD_START, value);
    }
    response
}

/// Step 7: an endpoint's answer.
fn pass_on(
    answer: Answer,
    version: Version,
    (limits, is_grpc): (&Limits, bool),
    in_flight: InFlight,
) -> Response<ProxyBody> {
    let Answer {
        response,
        used,
        lease,
        upload,
    } = answer;
    let (mut head, body) = response.into_parts();
    if head.status == StatusCode::UPGRADE_REQUIRED && version == Version::HTTP_11 {
        // It must say to what (RFC 9110 section 15.5.22).
        headers::strip_all_but_upgrade(&mut head.headers);
    } else {
        headers::strip_hop_by_hop(&mut head.headers);
    }
    head.version = Version::HTTP_11;
    let at_deadline = if is_grpc {
        AtDeadline::TellGrpc
    } else {
        AtDeadline::Break
    };
    let deadline = (limits.request, at_deadline);
    let body = TrackedBody::new(body, deadline, version, upload, used, lease, in_flight);
    Response::from_parts(head, ProxyBody::Upstream(body))
}

/// Step 1: the route of a request, from the present table.
fn find_route(
    shared: &Shared,
    request: &Request<Incoming>,
) -> Result<std::sync::Arc<Route>, Refusal> {
    if request.method() == Method::CONNECT {
        match websocket::asked(request) {
            Connect::Plain => return Err(Refusal::Connect),
            Connect::Other => return Err(Refusal::ConnectProtocol),
            Connect::WebSocket => {}
        }
    }
    headers::check_expectation(request).map_err(|()| Refusal::Expectation)?;
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
    respond::refusal(refusal, is_grpc)
}
